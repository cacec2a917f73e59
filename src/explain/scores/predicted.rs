//! Which classes a model predicts, by their scores.

use super::ClassScores;
use crate::ir::Hierarchy;
use crate::message::{Message, Setting, message};

/// What a model predicts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Predicted {
    /// These classes, the best first.
    Classes(Vec<usize>),
    /// Not the only class that there is, but what else is meant then.
    Otherwise(usize),
    /// None counts; of classes of boxes none is explained then, of others this one, the best.
    Below(usize),
}

impl ClassScores {
    /// Whether it depends on a threshold what is predicted.
    pub(crate) fn uses_threshold(&self) -> bool {
        // Of one number there is nothing to choose, unless it says yes or no.
        let choice = self.classes != Some(1) || self.binary;
        let separate = self.hierarchy.as_ref().map_or(self.separate, |tree| !tree.separate.is_empty());
        (separate && choice) || self.per_box()
    }

    /// Classes by their scores, the best first, without one that means no object.
    pub(crate) fn best_first(&self, scores: &[f32]) -> Vec<usize> {
        let mut order = best_first(scores);
        order.retain(|class| Some(*class) != self.background);
        order
    }

    /// The classes that the scores predict: the best; or, where each stands for itself, all from a score of `threshold`
    /// on; or the best of each head and what stands for itself, with all classes above them in the tree.
    pub(crate) fn predicted(&self, scores: &[f32], threshold: f32) -> Predicted {
        let order = self.best_first(scores);
        let passes = |class: &usize| scores.get(*class).is_some_and(|score| *score >= threshold);
        let best = order.first().copied().unwrap_or_default();
        let mut classes: Vec<usize> = match &self.hierarchy {
            Some(hierarchy) => hierarchy.rooted(&likely(hierarchy, scores, passes)),
            None if (self.separate && scores.len() > 1) || self.per_box() => {
                order.into_iter().filter(passes).collect()
            }
            None if self.binary && self.separate && !passes(&best) => return Predicted::Otherwise(best),
            None => vec![best],
        };
        classes.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        if classes.is_empty() { Predicted::Below(best) } else { Predicted::Classes(classes) }
    }
}

/// The best class of each head, and those that stand for themselves and pass.
fn likely(hierarchy: &Hierarchy, scores: &[f32], passes: impl Fn(&usize) -> bool) -> Vec<usize> {
    let best = |head: &std::ops::Range<usize>| {
        let part = scores.get(head.clone())?;
        Some(head.start + best_first(part).first()?)
    };
    let heads = hierarchy.heads.iter().filter_map(best);
    heads.chain(hierarchy.separate.clone().filter(passes)).collect()
}

/// What there is to say where a detector finds nothing; `best` are the likeliest classes with their scores.
pub(crate) fn nothing_found(threshold: f32, best: &[(String, f32)]) -> Message {
    let mut text = format!("no object with a score of {threshold} or more");
    if !best.is_empty() {
        let shown: Vec<String> =
            best.iter().map(|(name, score)| format!("{name} {}", shown(*score))).collect();
        text += &format!("; the best: {}", shown.join(", "));
    }
    message![text + "; see ", Setting::Threshold]
}

/// A score for people: with three digits behind the point, or with as many as tell it from nothing.
pub(crate) fn shown(score: f32) -> String {
    if score != 0.0 && score.abs() < 0.0005 { format!("{score:.1e}") } else { format!("{score:.3}") }
}

/// How many classes are explained at most where nobody says how many.
pub(crate) const MOST: usize = 25;

/// What there is to say where more classes count than anybody looks at unasked.
pub(crate) fn best_of_many(threshold: f32, count: usize, what: &str) -> Message {
    message![
        format!("{count} {what} have a score of {threshold} or more; the best {MOST} are explained; see "),
        Setting::Threshold,
        " and ",
        Setting::Targets.to(format!("top{count}"))
    ]
}

/// What there is to say where a model's only class is not what it sees.
pub(crate) fn otherwise(threshold: f32, name: &str, otherwise: &str) -> Message {
    message![
        format!(
            "the answer is '{otherwise}', as '{name}' has less than {threshold}; the map shows what speaks for '{name}'; see "
        ),
        Setting::Threshold
    ]
}

/// What there is to say where no class counts.
pub(crate) fn best_of_none(threshold: f32) -> Message {
    message![
        format!("no class has a score of {threshold} or more; the best is explained; see "),
        Setting::Threshold
    ]
}

/// Classes by their scores, the best first; the first of equals comes first.
pub(crate) fn best_first(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::scores::ScoreSource;

    fn read_as(separate: bool) -> ClassScores {
        ClassScores { separate, ..ClassScores::new(ScoreSource::Output(0), String::new(), None) }
    }

    #[test]
    fn the_predicted_classes_depend_on_whether_they_exclude_each_other() {
        use Predicted::{Below, Classes};
        let scores = [0.6, 0.1, 0.9];
        assert_eq!(read_as(false).predicted(&scores, 0.95), Classes(vec![2]));
        assert_eq!(read_as(true).predicted(&scores, 0.5), Classes(vec![2, 0]));
        assert_eq!(read_as(true).predicted(&scores, 0.7), Classes(vec![2]));
        assert_eq!(read_as(true).predicted(&scores, 0.95), Below(2));
        let boxes = ClassScores { source: ScoreSource::Boxes(0), ..read_as(false) };
        assert_eq!(boxes.predicted(&scores, 0.1), Classes(vec![2, 0, 1]));
        assert_eq!(boxes.predicted(&scores, 0.95), Below(2));
        let boxes = ClassScores { background: Some(2), ..boxes };
        assert_eq!(boxes.predicted(&scores, 0.1), Classes(vec![0, 1]), "no object is none of them");
        let number = read_as(false).predicted(&[-7.0], 0.5);
        assert_eq!(number, Classes(vec![0]), "a number is what it is");
        assert_eq!(read_as(true).predicted(&[0.2], 0.5), Classes(vec![0]), "and so is a probability");
        let binary = ClassScores { binary: true, ..read_as(true) };
        assert_eq!(binary.predicted(&[0.2], 0.5), Predicted::Otherwise(0));
        assert_eq!(binary.predicted(&[0.2], 0.1), Classes(vec![0]));
    }

    #[test]
    fn a_tree_of_classes_is_predicted_from_its_root() {
        let hierarchy = Hierarchy {
            heads: vec![0..2, 2..4],
            separate: 4..5,
            names: Vec::new(),
            parents: vec![None, None, Some(0), Some(0), None],
        };
        let reader = ClassScores { hierarchy: Some(hierarchy), ..read_as(false) };
        let predicted = |scores: &[f32]| reader.predicted(scores, 0.5);
        assert_eq!(predicted(&[0.4, 0.6, 0.9, 0.1, 0.7]), Predicted::Classes(vec![4, 1]));
        assert_eq!(predicted(&[0.6, 0.4, 0.9, 0.1, 0.2]), Predicted::Classes(vec![2, 0]));
    }

    #[test]
    fn where_nothing_is_found_the_best_are_named() {
        let error = nothing_found(0.5, &[("cat".to_owned(), 0.25)]).to_string();
        assert!(
            error.starts_with("no object with a score of 0.5 or more; the best: cat 0.250; see "),
            "{error}"
        );
        assert_eq!([shown(0.0), shown(-3.25), shown(0.00042)], ["0.000", "-3.250", "4.2e-4"]);
    }
}
