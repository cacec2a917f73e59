//! Names of classes, and the classes that a user asks for.

use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::message::{Setting, message};

/// Names of a model's classes; empty where they are not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassNames {
    names: Vec<String>,
    /// What is meant where a model's only class is not.
    otherwise: Option<String>,
}

impl ClassNames {
    /// Reads a text file with a name on each line.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Usage`] where it holds nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read the labels", path, e))?;
        let mut names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        if names.is_empty() {
            return Err(Error::usage(format!("{} holds no labels", path.display())));
        }
        Ok(Self::new(names))
    }

    /// These names, in the order of the classes.
    pub fn new(names: Vec<String>) -> Self {
        Self { names, otherwise: None }
    }

    /// The name of a model's only class, and of what is meant where that is not.
    pub(crate) fn of_one(names: Vec<String>, otherwise: String) -> Self {
        Self { names, otherwise: Some(otherwise) }
    }

    /// What is meant where a model's only class is not.
    pub(crate) fn otherwise(&self) -> Option<&str> {
        self.otherwise.as_deref()
    }

    /// The names, in the order of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no names are known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of a class; `class 7` where it has none.
    pub fn name(&self, class: usize) -> String {
        match self.names.get(class) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("class {class}"),
        }
    }

    /// Names a class that means no object, where names are those of the others.
    pub(super) fn with_background(&mut self, class: usize, classes: Option<usize>) {
        if !self.is_empty() && classes == Some(self.len() + 1) && class <= self.len() {
            self.names.insert(class, "no object".to_owned());
        }
    }

    /// Checks that there is a name for each of `classes`.
    ///
    /// # Errors
    /// [`Error::Usage`] with both numbers.
    pub fn check(&self, classes: usize) -> Result<()> {
        if self.is_empty() || self.len() == classes {
            return Ok(());
        }
        Err(Error::usage(format!("there are {} labels, but the model has {classes} classes", self.len())))
    }

    /// The class of a name. Case does not matter, nor do underscores in place of spaces; the first of several
    /// classes of the same name is meant.
    pub fn find(&self, wanted: &str) -> Option<usize> {
        let exact = self.names.iter().position(|name| name == wanted);
        exact.or_else(|| self.names.iter().position(|name| plain(name) == plain(wanted)))
    }

    /// The names that look most like one that is not there, the likeliest first.
    pub fn near(&self, wanted: &str) -> Vec<&str> {
        let wanted = plain(wanted);
        let alike = |name: &str| strsim::normalized_damerau_levenshtein(name, &wanted);
        let mut scored: Vec<(f64, &str)> = self
            .names
            .iter()
            .map(|name| {
                let plain = plain(name);
                let words = plain.split_whitespace().map(alike).fold(alike(&plain), f64::max);
                let contained = !wanted.is_empty() && plain.contains(&wanted);
                (if contained { 1.0 + alike(&plain) } else { words }, name.as_str())
            })
            .filter(|(like, _)| *like > ALIKE)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = scored.first().map_or(0.0, |(like, _)| *like);
        scored.retain(|(like, _)| best - like < 0.25);
        scored.into_iter().take(3).map(|(_, name)| name).collect()
    }
}

/// Likeness from which one name may be meant by another: a letter of three may be wrong, but not two of four.
const ALIKE: f64 = 0.65;

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace('_', " ")
}

/// A class that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The class of that index.
    Class(usize),
    /// Indices and names as a user wrote them; a name that looks like an index is a name.
    Text(String),
}

/// The classes that are to be explained.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Targets {
    /// Those that the model predicts.
    #[default]
    Predicted,
    /// The best K of each image.
    Top(usize),
    /// All.
    All,
    /// These.
    Listed(Vec<Wanted>),
}

impl FromStr for Targets {
    type Err = Error;

    /// Reads `pred`, `topK`, `all` or what is in a list.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = || {
            let forms = "pred, topK (such as top5), all, or class indices and names separated by commas";
            Error::usage(format!("targets '{text}': give {forms}"))
        };
        if text == "pred" {
            return Ok(Self::Predicted);
        }
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(count) = text.strip_prefix("top").and_then(|count| count.parse().ok()) {
            return if count > 0 { Ok(Self::Top(count)) } else { Err(wrong()) };
        }
        if text.split(',').any(|word| word.trim().is_empty()) {
            return Err(wrong());
        }
        Ok(Self::Listed(vec![Wanted::Text(text.to_owned())]))
    }
}

impl Targets {
    /// Several of them together; each text is read as by `from_str`.
    ///
    /// # Errors
    /// [`Error::Usage`] where a text is of none of its forms, and where what is no list does not stand alone.
    pub fn all_of(wanted: impl IntoIterator<Item = Wanted>) -> Result<Self> {
        let one = |wanted| match wanted {
            Wanted::Text(text) => text.parse(),
            Wanted::Class(_) => Ok(Self::Listed(vec![wanted])),
        };
        let mut parsed: Vec<Self> = wanted.into_iter().map(one).collect::<Result<_>>()?;
        if parsed.len() == 1 {
            return Ok(parsed.remove(0));
        }
        let mut all = Vec::new();
        for targets in parsed {
            match targets {
                Self::Listed(list) => all.extend(list),
                _ => return Err(alone()),
            }
        }
        Ok(Self::Listed(all))
    }

    /// The classes of a list, in its order and each once; `classes` is how many the model has, where that is
    /// known. `None` where the targets depend on the image.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such class, with the nearest names.
    pub(crate) fn resolve(&self, names: &ClassNames, classes: Option<usize>) -> Result<Option<Vec<usize>>> {
        let list = match self {
            Self::Predicted => return Ok(None),
            Self::All => return Ok(classes.map(|classes| (0..classes).collect())),
            Self::Top(count) => match classes {
                Some(classes) if *count > classes => {
                    return Err(Error::usage(format!("top{count}: the model has {classes} classes")));
                }
                _ => return Ok(None),
            },
            Self::Listed(list) => list,
        };
        let mut found: Vec<usize> = Vec::new();
        for wanted in list {
            let text = match wanted {
                Wanted::Class(index) => {
                    let class = existing(*index, classes)?;
                    if !found.contains(&class) {
                        found.push(class);
                    }
                    continue;
                }
                Wanted::Text(text) => text,
            };
            // A name may itself hold commas.
            let words: Vec<&str> = match names.find(text) {
                Some(_) => vec![text],
                None => text.split(',').map(str::trim).collect(),
            };
            for word in words {
                let class = class(word, names, classes)?;
                if !found.contains(&class) {
                    found.push(class);
                }
            }
        }
        Ok(Some(found))
    }
}

/// Whether a word is no class, but all that is to be explained.
fn stands_alone(word: &str) -> bool {
    let count = word.strip_prefix("top").map(str::parse::<usize>);
    word == "pred" || word == "all" || count.is_some_and(|count| count.is_ok())
}

fn alone() -> Error {
    Error::usage("targets: pred, topK and all stand alone, without others beside them")
}

fn existing(class: usize, classes: Option<usize>) -> Result<usize> {
    match classes {
        Some(count) if class >= count => {
            let message = format!("class {class}: the model has {count} classes, counted from 0");
            Err(Error::usage(message))
        }
        _ => Ok(class),
    }
}

fn class(word: &str, names: &ClassNames, classes: Option<usize>) -> Result<usize> {
    if let Some(class) = names.find(word) {
        return Ok(class);
    }
    if let Ok(class) = word.parse::<usize>() {
        return existing(class, classes);
    }
    if stands_alone(word) {
        return Err(alone());
    }
    if let Some(otherwise) = names.otherwise().filter(|otherwise| plain(otherwise) == plain(word)) {
        let only = names.name(0);
        return Err(Error::usage(format!(
            "'{otherwise}' is what is left where '{only}' is not: the model has one number, and it is for '{only}'"
        )));
    }
    if names.is_empty() {
        let unknown = format!("the label '{word}' is not known, nor any other; give a list with ");
        return Err(Error::usage(message![unknown, Setting::Labels]));
    }
    let near = names.near(word);
    let hint = match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean '{}'?", near.join("', '")),
    };
    Err(Error::usage(format!("no label '{word}'{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ClassNames {
        let names = ["tabby", "tiger cat", "Egyptian cat", "crane, bird", "7"];
        ClassNames::new(names.map(str::to_owned).to_vec())
    }

    fn resolve(text: &str) -> Result<Option<Vec<usize>>> {
        text.parse::<Targets>()?.resolve(&names(), Some(5))
    }

    #[test]
    fn classes_are_found_by_index_and_by_name() {
        assert_eq!(resolve("pred").unwrap(), None);
        assert_eq!(resolve("top5").unwrap(), None);
        assert_eq!(resolve("all").unwrap(), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(resolve("2,0,2").unwrap(), Some(vec![2, 0]));
        assert_eq!(resolve("EGYPTIAN_cat, 1").unwrap(), Some(vec![2, 1]));
        assert_eq!(resolve("crane, bird").unwrap(), Some(vec![3]));
        assert_eq!(resolve("7").unwrap(), Some(vec![4]), "a name that looks like a number is a name");
    }

    #[test]
    fn an_index_is_no_name() {
        let resolve = |wanted: Vec<Wanted>| Targets::all_of(wanted)?.resolve(&names(), Some(5));
        let text = |text: &str| Wanted::Text(text.to_owned());
        assert_eq!(resolve(vec![text("7"), Wanted::Class(3), text("0, 7")]).unwrap(), Some(vec![4, 3, 0]));
        assert!(resolve(vec![Wanted::Class(7)]).is_err(), "the class named 7 is another");
        assert!(resolve(vec![Wanted::Class(1), text("top2")]).is_err());
        assert_eq!(resolve(vec![text("all")]).unwrap().map(|all| all.len()), Some(5));
    }

    #[test]
    fn unknown_names_suggest_the_nearest() {
        let error = resolve("Egyptain cat").unwrap_err().to_string();
        assert!(error.contains("did you mean 'Egyptian cat'"), "{error}");
        let error = resolve("cat").unwrap_err().to_string();
        assert!(error.contains("'tiger cat'") && error.contains("'Egyptian cat'"), "{error}");
        let error = resolve("xyzzy").unwrap_err().to_string();
        assert_eq!(error, "no label 'xyzzy'");
        assert_eq!(resolve("tubby").unwrap_err().to_string(), "no label 'tubby'; did you mean 'tabby'?");
        assert_eq!(resolve("cranes-bill").unwrap_err().to_string(), "no label 'cranes-bill'");
        for list in ["pred,3", "all, 3", "3,top2"] {
            let error = resolve(list).unwrap_err().to_string();
            assert!(error.contains("pred, topK and all stand alone"), "{error}");
        }
        let named = ClassNames::of_one(vec!["yes".to_owned()], "no".to_owned());
        let error = "No".parse::<Targets>().unwrap().resolve(&named, Some(1)).unwrap_err().to_string();
        assert!(error.ends_with("the model has one number, and it is for 'yes'"), "{error}");
        for wrong in ["", "top0", "top6", "9", "1,,2"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_the_wrong_number_are_refused() {
        names().check(5).unwrap();
        ClassNames::default().check(5).unwrap();
        let error = names().check(1000).unwrap_err().to_string();
        assert!(error.contains('5') && error.contains("1000"), "{error}");
    }
}
