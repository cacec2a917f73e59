//! Class scores: from what an output holds to probabilities.

mod activation;
mod predicted;

use std::sync::Arc;

pub use activation::OutputActivation;
pub(crate) use predicted::{
    MOST, Predicted, best_first, best_of_many, best_of_none, nothing_found, otherwise, shown,
};

use super::engine::ImageOutputs;
use crate::error::{Error, Result};
use crate::ir::{Hierarchy, ModelInfo};
use crate::message::{Setting, message};
use crate::ops::Activation;
use crate::runtime::Tensor;
use crate::tasks::{Ending, Scale, ScoreMaps, ScoreOutput};

/// A function of the caller's own that makes one image's class scores of a model's outputs.
///
/// It gets the outputs in the model's order, each with its name, and runs on several threads at once.
#[derive(Clone)]
pub struct ScoreFunction(Arc<Scoring>);

type Scoring = dyn Fn(&[(&str, &Tensor)]) -> Result<Vec<f32>> + Send + Sync;

impl ScoreFunction {
    /// Wraps a function.
    pub fn new(function: impl Fn(&[(&str, &Tensor)]) -> Result<Vec<f32>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }
}

impl std::fmt::Debug for ScoreFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScoreFunction")
    }
}

impl PartialEq for ScoreFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ScoreFunction {}

/// What class scores are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScoreSource {
    /// The output of that index among the model's: `[N, classes]`.
    Output(usize),
    /// Outputs that list the best scores and their classes, `[N, k]` each: what the others have is not known.
    Ranked {
        /// The scores.
        scores: usize,
        /// Their classes.
        classes: usize,
    },
    /// An output of a branch, `[N, 2, classes]`: the largest score of each class at any position of a detector's maps, and
    /// the mean.
    Maps(usize),
    /// An output with scores for each box, `[N, boxes, classes]` or of one class `[N, boxes]`: a class has the
    /// largest of any box.
    Boxes(usize),
    /// All outputs, of these names.
    Function(ScoreFunction, Vec<String>),
}

/// Where class scores are, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassScores {
    /// What they are made of.
    pub(crate) source: ScoreSource,
    /// The name of that.
    pub(crate) name: String,
    /// Number of classes, where it is known before inference.
    pub(crate) classes: Option<usize>,
    /// What is applied to the output; `None` until the first scores are seen, where nothing says it.
    pub(crate) activation: Option<OutputActivation>,
    /// Whether each class stands for itself.
    pub(crate) separate: bool,
    /// Whether there is one class, and another answer where it is not.
    pub(crate) binary: bool,
    /// The heads that classes are divided into, where they are.
    pub(crate) hierarchy: Option<Hierarchy>,
    /// Whether the scores of a box exclude each other: one of its classes may be that it is no object.
    pub(crate) exclusive: bool,
    /// The class that means no object, which is never explained unasked.
    pub(crate) background: Option<usize>,
    /// Whether scores were seen.
    settled: bool,
}

/// Scores of one image as the model gives them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Raw {
    /// For each box, or for the image, a score of each class.
    values: Vec<f32>,
    /// Number of classes.
    classes: usize,
    /// Means over boxes, where only the largest of each class are in `values`.
    means: Option<Vec<f32>>,
}

impl ClassScores {
    fn new(source: ScoreSource, name: String, classes: Option<usize>) -> Self {
        Self {
            source,
            name,
            classes,
            activation: None,
            separate: false,
            binary: false,
            hierarchy: None,
            exclusive: false,
            background: None,
            settled: false,
        }
    }

    /// Scores of images, in an output. What makes probabilities of them is said by the graph, else by `info`.
    ///
    /// # Errors
    /// [`Error::Usage`] where `info` divides other classes into heads, or makes no sense.
    pub(crate) fn of_images(found: ScoreOutput, info: &ModelInfo) -> Result<Self> {
        let ScoreOutput { output, name, classes, ending, ranks } = found;
        let hierarchy = match &info.hierarchy {
            Some(Ok(hierarchy)) => Some(hierarchy.clone()),
            Some(Err(why)) => {
                return Err(Error::usage(message![
                    format!("the model's hierarchical_config cannot be read: {why}; give "),
                    Setting::Activation
                ]));
            }
            None => None,
        };
        if let (Some(hierarchy), Some(classes)) = (&hierarchy, classes)
            && hierarchy.names.len() != classes
        {
            let said = hierarchy.names.len();
            return Err(Error::usage(format!(
                "the model's hierarchical_config is of {said} classes, output '{name}' of {classes}"
            )));
        }
        let of_info = match classes {
            _ if hierarchy.is_some() => Some(OutputActivation::Hierarchical),
            _ if info.multilabel => Some(OutputActivation::Sigmoid),
            // Two names for one number are those of no and yes.
            Some(1) if info.labels.len() == 2 => Some(OutputActivation::Sigmoid),
            // One number is no choice among classes: a softmax of it is 1, whatever it is.
            Some(1) => Some(OutputActivation::None),
            _ => None,
        };
        let activation = match (ending, of_info) {
            (Ending::Activated(Activation::Softmax | Activation::Sigmoid), _) => Some(OutputActivation::None),
            (_, Some(activation)) => Some(activation),
            (Ending::Unseen, None) => None,
            // Of logarithms a Softmax makes probabilities again, as of logits.
            (Ending::Logits | Ending::Activated(Activation::LogSoftmax), None) => {
                Some(OutputActivation::Softmax)
            }
        };
        let separate =
            ending == Ending::Activated(Activation::Sigmoid) || activation == Some(OutputActivation::Sigmoid);
        let source = match ranks {
            Some(classes) => ScoreSource::Ranked { scores: output, classes },
            None => ScoreSource::Output(output),
        };
        let binary = classes == Some(1) && info.labels.len() == 2;
        Ok(Self { activation, separate, binary, hierarchy, ..Self::new(source, name, classes) })
    }

    /// Scores of boxes, in an output.
    pub(crate) fn of_boxes(found: ScoreOutput) -> Self {
        let ScoreOutput { output, name, classes, ending, .. } = found;
        let separate = matches!(ending, Ending::Activated(Activation::Softmax | Activation::Sigmoid));
        let exclusive = ending == Ending::Activated(Activation::Softmax);
        let activation = separate.then_some(OutputActivation::None);
        Self { activation, separate, exclusive, ..Self::new(ScoreSource::Boxes(output), name, classes) }
    }

    /// Scores of a detector's maps, in the output of its branch.
    pub(crate) fn of_maps(output: usize, maps: &ScoreMaps) -> Self {
        let made = |activation| maps.scales.iter().all(|scale| scale.scores.activation == Some(activation));
        let multiplied = |scale: &Scale| scale.objectness.is_some() || scale.left_to_readers.is_some();
        let exclusive = made(Activation::Softmax);
        let known = exclusive || made(Activation::Sigmoid) || maps.scales.iter().all(multiplied);
        let activation = known.then_some(OutputActivation::None);
        let source = ScoreSource::Maps(output);
        Self {
            activation,
            separate: true,
            exclusive,
            ..Self::new(source, maps.explains.clone(), Some(maps.classes))
        }
    }

    /// Scores that a function makes of outputs with these names.
    pub(crate) fn of_function(function: ScoreFunction, outputs: Vec<String>) -> Self {
        let name = "scores of a function of the caller's own".to_owned();
        let source = ScoreSource::Function(function, outputs);
        Self { activation: Some(OutputActivation::None), ..Self::new(source, name, None) }
    }

    /// Takes what turns them into probabilities from the caller.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are no heads to which it could be applied.
    pub(crate) fn choose(&mut self, activation: OutputActivation) -> Result<()> {
        match (activation, &self.hierarchy) {
            (OutputActivation::Hierarchical, None) => {
                return Err(Error::usage(message![
                    Setting::Activation.to("hierarchical"),
                    ": the model's model_info has no hierarchical_config"
                ]));
            }
            (OutputActivation::Hierarchical, Some(_)) => {}
            _ => self.hierarchy = None,
        }
        self.activation = Some(activation);
        self.separate = activation == OutputActivation::Sigmoid;
        Ok(())
    }

    /// The outputs that scores are made of.
    pub(crate) fn outputs(&self) -> Vec<usize> {
        match &self.source {
            ScoreSource::Output(output) | ScoreSource::Boxes(output) | ScoreSource::Maps(output) => {
                vec![*output]
            }
            ScoreSource::Ranked { scores, classes } => vec![*scores, *classes],
            ScoreSource::Function(_, names) => (0..names.len()).collect(),
        }
    }

    fn shown(&self) -> String {
        match self.source {
            ScoreSource::Function(..) => self.name.clone(),
            ScoreSource::Maps(_) => format!("maps of '{}'", self.name),
            _ => format!("output '{}'", self.name),
        }
    }

    /// Whether they are scores of boxes, of which a class has the largest.
    pub(crate) fn per_box(&self) -> bool {
        matches!(self.source, ScoreSource::Boxes(_) | ScoreSource::Maps(_))
    }

    /// The scores of one image, as the model gives them; [`ClassScores::outputs`] begin at `place`.
    ///
    /// # Errors
    /// [`Error::Usage`] where they are no numbers; those of a function.
    pub(crate) fn raw(&self, outputs: &ImageOutputs<'_>, place: usize) -> Result<Raw> {
        let (shape, mut values) = match &self.source {
            ScoreSource::Output(_) | ScoreSource::Maps(_) => outputs.of(place)?,
            ScoreSource::Ranked { .. } => {
                (Vec::new(), self.ranked(&outputs.of(place)?.1, &outputs.of(place + 1)?.1)?)
            }
            ScoreSource::Boxes(_) => outputs.of_boxes(place)?,
            ScoreSource::Function(function, names) => {
                let tensors = outputs.tensors.get(place..).unwrap_or_default();
                let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(tensors).collect();
                (Vec::new(), function.0(&named)?)
            }
        };
        if values.iter().any(|score| score.is_nan()) {
            let message = format!("the model's scores ({}) are not numbers (NaN)", self.shown());
            return Err(Error::usage(message));
        }
        if values.is_empty() {
            return Err(Error::usage(format!("{} holds no scores", self.shown())));
        }
        let classes = match (&self.source, shape.last()) {
            (ScoreSource::Boxes(_), _) if self.classes == Some(1) => 1,
            (ScoreSource::Boxes(_) | ScoreSource::Maps(_), Some(classes)) => (*classes).max(1),
            _ => values.len(),
        };
        let means = matches!(self.source, ScoreSource::Maps(_)).then(|| values.split_off(classes));
        Ok(Raw { values, classes, means })
    }

    /// The scores of all classes, of which the best are listed; the others have the least that there is.
    fn ranked(&self, scores: &[f32], classes: &[f32]) -> Result<Vec<f32>> {
        let least = if self.activation == Some(OutputActivation::None) { 0.0 } else { f32::NEG_INFINITY };
        let mut all = vec![least; self.classes.unwrap_or_default()];
        for (score, class) in scores.iter().zip(classes) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let place = *class as usize;
            if all.len() <= place {
                if self.classes.is_some() {
                    let shown = self.shown();
                    return Err(Error::usage(format!("{shown}: class {place} is listed of {}", all.len())));
                }
                all.resize(place + 1, least);
            }
            all[place] = *score;
        }
        Ok(all)
    }

    /// Whether what is applied to scores is known, and whether a class of boxes means no object.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled || (self.activation.is_some() && !self.per_box())
    }

    /// Looks at the first scores where nothing else says what they are: numbers of 0 to 1 are scores already. Says whether
    /// a class was found that means no object.
    pub(crate) fn settle(&mut self, raw: &Raw) -> bool {
        self.classes.get_or_insert(raw.classes);
        if std::mem::replace(&mut self.settled, true) {
            return false;
        }
        if self.activation.is_none() {
            let probabilities = raw
                .values
                .iter()
                .chain(raw.means.iter().flatten())
                .all(|score| (-1e-6..=1.0 + 1e-5).contains(score));
            let one = raw.rows().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-2);
            // Of logits of boxes, the class that most of them have by a Softmax is none of an object.
            let background = (self.per_box() && !probabilities)
                .then(|| raw.background(OutputActivation::Softmax))
                .flatten();
            self.exclusive |= self.per_box() && raw.means.is_none() && one && raw.classes > 1;
            self.activation = Some(match (probabilities, self.per_box()) {
                (true, _) => OutputActivation::None,
                (false, false) if raw.values.len() == 1 => OutputActivation::None,
                (false, true) if background.is_some() && raw.means.is_none() => OutputActivation::Softmax,
                // The largest of each class come from different boxes.
                (false, true) => OutputActivation::Sigmoid,
                (false, false) => OutputActivation::Softmax,
            });
            self.separate = self.per_box() || (probabilities && !one);
        }
        self.exclusive |= self.per_box() && self.activation == Some(OutputActivation::Softmax);
        if self.exclusive && self.per_box() {
            self.background = raw.background(self.activation.unwrap_or(OutputActivation::None));
        }
        self.background.is_some()
    }

    /// Turns what the model gives into scores.
    pub(crate) fn activate(&self, mut raw: Raw) -> Vec<f32> {
        let activation = self.activation.unwrap_or(OutputActivation::None);
        if self.per_box() && activation == OutputActivation::Softmax {
            raw.values.chunks_mut(raw.classes).for_each(|row| activation.apply(row, None));
            return raw.largest();
        }
        let mut scores = if self.per_box() { raw.largest() } else { raw.values };
        activation.apply(&mut scores, self.hierarchy.as_ref());
        scores
    }
}

/// Share of the probability from which the first or last class of boxes is taken for that of no object. It has nearly all
/// of it in detectors that have such a class, and of others no class has.
const BACKGROUND: f32 = 0.8;

impl Raw {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.classes.max(1))
    }

    /// The largest score of each class.
    fn largest(&self) -> Vec<f32> {
        let mut most = vec![f32::NEG_INFINITY; self.classes];
        for row in self.rows() {
            most.iter_mut().zip(row).for_each(|(most, score)| *most = most.max(*score));
        }
        most
    }

    /// The first or last class, where it has nearly all of the probability that an activation makes.
    #[allow(clippy::cast_precision_loss)]
    fn background(&self, activation: OutputActivation) -> Option<usize> {
        let means = match &self.means {
            Some(means) => means.clone(),
            None => {
                let mut sums = vec![0.0; self.classes];
                for row in self.rows() {
                    let mut row = row.to_vec();
                    activation.apply(&mut row, None);
                    sums.iter_mut().zip(row).for_each(|(sum, score)| *sum += score);
                }
                let count = (self.values.len() / self.classes.max(1)).max(1) as f32;
                sums.into_iter().map(|sum| sum / count).collect()
            }
        };
        let ends = [0, self.classes.checked_sub(1)?];
        ends.into_iter()
            .find(|class| self.classes > 1 && means.get(*class).is_some_and(|mean| *mean > BACKGROUND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(activation: Option<OutputActivation>, separate: bool) -> ClassScores {
        let source = ScoreSource::Output(0);
        ClassScores { activation, separate, ..ClassScores::new(source, String::new(), None) }
    }

    fn of_image(values: &[f32]) -> Raw {
        Raw { values: values.to_vec(), classes: values.len(), means: None }
    }

    #[test]
    fn scores_that_nothing_describes_are_judged_by_their_values() {
        for (raw, activation, separate) in [
            (&[0.1, 0.9][..], OutputActivation::None, false),
            (&[0.8, 0.9], OutputActivation::None, true),
            (&[-3.0, 8.0], OutputActivation::Softmax, false),
        ] {
            let mut found = read_as(None, false);
            found.settle(&of_image(raw));
            assert_eq!((found.activation, found.separate), (Some(activation), separate), "{raw:?}");
            assert_eq!(found.classes, Some(2));
        }
    }

    fn of_boxes(values: &[f32], classes: usize) -> (ClassScores, Vec<f32>, bool) {
        let mut found = ClassScores::new(ScoreSource::Boxes(0), String::new(), None);
        let raw = Raw { values: values.to_vec(), classes, means: None };
        let background = found.settle(&raw);
        let scores = found.activate(raw);
        (found, scores, background)
    }

    #[test]
    fn a_class_has_the_largest_score_of_any_box() {
        let (found, scores, background) = of_boxes(&[0.1, 0.7, 0.2, 0.4, 0.3, 0.9], 3);
        assert_eq!((scores, background), (vec![0.4, 0.7, 0.9], false));
        assert_eq!((found.activation, found.separate), (Some(OutputActivation::None), true));
        let (found, scores, _) = of_boxes(&[-2.0, 0.0, -3.0, -9.0], 2);
        assert_eq!((found.activation, scores[1]), (Some(OutputActivation::Sigmoid), 0.5));
    }

    #[test]
    fn the_class_of_no_object_has_nearly_all_of_the_probability() {
        // Queries of a transformer: most see nothing, which is the last class.
        let logits = [[-1.0, 0.0, 9.0], [-1.0, 0.0, 8.0], [0.0, 0.0, 7.0], [0.0, 9.0, 9.0]].concat();
        let (found, scores, background) = of_boxes(&[logits.clone(), logits].concat(), 3);
        assert_eq!((found.activation, found.background), (Some(OutputActivation::Softmax), Some(2)));
        assert!(background && (scores[1] - 0.5).abs() < 1e-3, "{scores:?}");
        let (found, ..) = of_boxes(&[0.9, 0.1, 0.95, 0.05, 0.8, 0.2], 2);
        assert_eq!(found.background, Some(0), "probabilities that sum to one, the background first");
        let (found, ..) = of_boxes(&[0.1, 0.2, 0.05, 0.0, 0.99, 0.98], 2);
        assert_eq!(found.background, None, "these stand for themselves");
    }

    fn found(classes: Option<usize>, ending: Ending, info: &ModelInfo) -> Option<(OutputActivation, bool)> {
        let output = ScoreOutput { output: 0, name: String::new(), classes, ending, ranks: None };
        let found = ClassScores::of_images(output, info).unwrap();
        found.activation.map(|activation| (activation, found.separate))
    }

    #[test]
    fn what_makes_probabilities_is_said_by_the_graph_and_by_model_info() {
        use OutputActivation as Made;
        let silent = ModelInfo::default();
        let multilabel = ModelInfo { multilabel: true, ..ModelInfo::default() };
        let binary = ModelInfo { labels: vec!["no".into(), "yes".into()], ..ModelInfo::default() };
        let sigmoid = Ending::Activated(Activation::Sigmoid);
        assert_eq!(found(Some(5), Ending::Logits, &silent), Some((Made::Softmax, false)));
        assert_eq!(found(Some(5), Ending::Logits, &multilabel), Some((Made::Sigmoid, true)));
        assert_eq!(found(None, Ending::Unseen, &multilabel), Some((Made::Sigmoid, true)));
        assert_eq!(found(Some(5), sigmoid, &multilabel), Some((Made::None, true)), "not twice");
        assert_eq!(found(Some(1), Ending::Logits, &silent), Some((Made::None, false)), "a number");
        assert_eq!(found(Some(1), Ending::Unseen, &silent), Some((Made::None, false)));
        assert_eq!(found(Some(1), Ending::Logits, &binary), Some((Made::Sigmoid, true)));
        assert_eq!(found(Some(1), sigmoid, &silent), Some((Made::None, true)));
        assert_eq!(found(None, Ending::Unseen, &silent), None);
    }

    #[test]
    fn of_a_list_of_the_best_the_others_have_nothing() {
        let mut reader = ClassScores { classes: Some(4), ..read_as(Some(OutputActivation::None), false) };
        assert_eq!(reader.ranked(&[0.7, 0.2], &[3.0, 1.0]).unwrap(), [0.0, 0.2, 0.0, 0.7]);
        assert!(reader.ranked(&[0.7], &[4.0]).unwrap_err().to_string().contains("class 4 is listed of 4"));
        reader.activation = Some(OutputActivation::Softmax);
        let soft = reader.activate(of_image(&reader.ranked(&[2.0, 2.0], &[3.0, 1.0]).unwrap()));
        assert_eq!(soft, [0.0, 0.5, 0.0, 0.5]);
    }
}
