//! Class scores: from what an output holds to probabilities.

use std::sync::Arc;

use serde::Serialize;

use super::engine::ImageOutputs;
use crate::error::{Error, Result};
use crate::message::{Setting, message};
use crate::ops::Activation;
use crate::runtime::Tensor;
use crate::tasks::{Ending, ScoreOutput};

/// What turns an output into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OutputActivation {
    /// `exp(x) / sum(exp(x))`: one class is right.
    Softmax,
    /// `1 / (1 + exp(-x))`: each class for itself.
    Sigmoid,
    /// The output holds scores already.
    None,
}

/// Scores from which a class of a model whose classes stand for themselves counts as predicted.
const PREDICTED: f32 = 0.5;

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
}

impl ClassScores {
    /// Scores of images, in an output.
    pub(crate) fn of_images(found: ScoreOutput) -> Self {
        let ScoreOutput { output, name, classes, ending } = found;
        let activation = match ending {
            Ending::Unseen => None,
            // Of logarithms a Softmax makes probabilities again, as of logits.
            Ending::Logits | Ending::Activated(Activation::LogSoftmax) => Some(OutputActivation::Softmax),
            Ending::Activated(Activation::Softmax | Activation::Sigmoid) => Some(OutputActivation::None),
        };
        let separate = ending == Ending::Activated(Activation::Sigmoid);
        Self { source: ScoreSource::Output(output), name, classes, activation, separate }
    }

    /// Scores of boxes, in an output.
    pub(crate) fn of_boxes(found: ScoreOutput) -> Self {
        let ScoreOutput { output, name, classes, ending } = found;
        let separate = matches!(ending, Ending::Activated(Activation::Softmax | Activation::Sigmoid));
        let activation = separate.then_some(OutputActivation::None);
        Self { source: ScoreSource::Boxes(output), name, classes, activation, separate }
    }

    /// Scores that a function makes of outputs with these names.
    pub(crate) fn of_function(function: ScoreFunction, outputs: Vec<String>) -> Self {
        Self {
            source: ScoreSource::Function(function, outputs),
            name: "scores of a function of the caller's own".to_owned(),
            classes: None,
            activation: Some(OutputActivation::None),
            separate: false,
        }
    }

    /// Takes what turns them into probabilities from the caller.
    pub(crate) fn choose(&mut self, activation: OutputActivation) {
        self.activation = Some(activation);
        self.separate = activation == OutputActivation::Sigmoid;
    }

    /// The outputs that scores are made of.
    pub(crate) fn outputs(&self) -> Vec<usize> {
        match &self.source {
            ScoreSource::Output(output) | ScoreSource::Boxes(output) => vec![*output],
            ScoreSource::Function(_, names) => (0..names.len()).collect(),
        }
    }

    fn shown(&self) -> String {
        match self.source {
            ScoreSource::Function(..) => self.name.clone(),
            _ => format!("output '{}'", self.name),
        }
    }

    fn per_box(&self) -> bool {
        matches!(self.source, ScoreSource::Boxes(_))
    }

    /// The scores of one image, as the model gives them; [`ClassScores::outputs`] begin at `place`.
    ///
    /// # Errors
    /// [`Error::Usage`] where they are no numbers; those of a function.
    pub(crate) fn raw(&self, outputs: &ImageOutputs<'_>, place: usize) -> Result<Vec<f32>> {
        let (shape, scores) = match &self.source {
            ScoreSource::Output(_) => outputs.of(place)?,
            ScoreSource::Boxes(_) => outputs.of_boxes(place)?,
            ScoreSource::Function(function, names) => {
                let tensors = outputs.tensors.get(place..).unwrap_or_default();
                let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(tensors).collect();
                (Vec::new(), function.0(&named)?)
            }
        };
        if scores.iter().any(|score| score.is_nan()) {
            let message = format!("the model's scores ({}) are not numbers (NaN)", self.shown());
            return Err(Error::usage(message));
        }
        if scores.is_empty() {
            return Err(Error::usage(format!("{} holds no scores", self.shown())));
        }
        match shape.last() {
            Some(_) if self.per_box() && self.classes == Some(1) => Ok(largest(&scores, 1)),
            Some(classes) if self.per_box() => Ok(largest(&scores, *classes)),
            _ => Ok(scores),
        }
    }

    /// Looks at the first scores where nothing else says what they are: numbers of 0 to 1 are scores already.
    pub(crate) fn settle(&mut self, raw: &[f32]) {
        self.classes.get_or_insert(raw.len());
        if self.activation.is_none() {
            let probabilities = raw.iter().all(|score| (-1e-6..=1.0 + 1e-5).contains(score));
            let one = (raw.iter().sum::<f32>() - 1.0).abs() < 1e-2;
            self.activation = Some(match (probabilities, self.per_box()) {
                (true, _) => OutputActivation::None,
                // The largest of each class come from different boxes.
                (false, true) => OutputActivation::Sigmoid,
                (false, false) => OutputActivation::Softmax,
            });
            self.separate = self.per_box() || (probabilities && !one);
        }
    }

    /// Turns what the model gives into scores.
    pub(crate) fn activate(&self, mut scores: Vec<f32>) -> Vec<f32> {
        match self.activation {
            Some(OutputActivation::Softmax) => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                // Infinite logits would make NaN of their differences.
                scores.iter_mut().for_each(|score| {
                    *score = if *score == most { 1.0 } else { (*score - most).exp() };
                });
                let sum: f64 = scores.iter().map(|score| f64::from(*score)).sum();
                #[allow(clippy::cast_possible_truncation)]
                scores.iter_mut().for_each(|score| *score = (f64::from(*score) / sum) as f32);
            }
            Some(OutputActivation::Sigmoid) => {
                scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
            }
            Some(OutputActivation::None) | None => {}
        }
        scores
    }

    /// The classes that the scores predict: the best, or all that pass one half where each stands for itself.
    /// Classes of boxes are those with a box that counts as found, from a score of `threshold`.
    ///
    /// # Errors
    /// [`Error::Usage`] where no box counts as found.
    pub(crate) fn predicted(&self, scores: &[f32], threshold: f32) -> Result<Vec<usize>> {
        let least = if self.per_box() { threshold } else { PREDICTED };
        let order = best_first(scores);
        let passing = order.iter().take_while(|class| scores.get(**class).is_some_and(|s| *s >= least));
        match passing.count() {
            0 if self.per_box() => Err(nothing_found(threshold)),
            count @ 1.. if self.separate || self.per_box() => Ok(order[..count].to_vec()),
            _ => Ok(order.into_iter().take(1).collect()),
        }
    }
}

/// The error where a detector finds nothing.
pub(crate) fn nothing_found(threshold: f32) -> Error {
    Error::usage(message![format!("no object with a score of {threshold} or more; see "), Setting::Threshold])
}

/// The largest score of each class, of boxes with `classes` scores each.
fn largest(scores: &[f32], classes: usize) -> Vec<f32> {
    let mut most = vec![f32::NEG_INFINITY; classes];
    for of_box in scores.chunks(classes.max(1)) {
        most.iter_mut().zip(of_box).for_each(|(most, score)| *most = most.max(*score));
    }
    most
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

    fn read_as(activation: Option<OutputActivation>, separate: bool) -> ClassScores {
        let source = ScoreSource::Output(0);
        ClassScores { source, name: String::new(), classes: None, activation, separate }
    }

    #[test]
    fn activations_are_what_they_are_called() {
        let soft =
            read_as(Some(OutputActivation::Softmax), false).activate(vec![0.0, 3f32.ln(), f32::NEG_INFINITY]);
        assert!((soft[0] - 0.25).abs() < 1e-6 && (soft[1] - 0.75).abs() < 1e-6 && soft[2] == 0.0);
        let large = read_as(Some(OutputActivation::Softmax), false).activate(vec![1e30, f32::INFINITY]);
        assert_eq!(large, [0.0, 1.0]);
        assert_eq!(read_as(Some(OutputActivation::Sigmoid), true).activate(vec![0.0]), [0.5]);
    }

    #[test]
    fn scores_that_nothing_describes_are_judged_by_their_values() {
        for (raw, activation, separate) in [
            (&[0.1, 0.9][..], OutputActivation::None, false),
            (&[0.8, 0.9], OutputActivation::None, true),
            (&[-3.0, 8.0], OutputActivation::Softmax, false),
        ] {
            let mut found = read_as(None, false);
            found.settle(raw);
            assert_eq!((found.activation, found.separate), (Some(activation), separate), "{raw:?}");
            assert_eq!(found.classes, Some(2));
        }
    }

    #[test]
    fn a_class_has_the_largest_score_of_any_box() {
        assert_eq!(largest(&[0.1, 0.7, 0.2, 0.4, 0.3, 0.9], 3), [0.4, 0.7, 0.9]);
        let mut found = ClassScores { source: ScoreSource::Boxes(0), ..read_as(None, false) };
        found.settle(&[-2.0, 3.0]);
        assert_eq!((found.activation, found.separate), (Some(OutputActivation::Sigmoid), true));
    }

    #[test]
    fn the_predicted_classes_depend_on_whether_they_exclude_each_other() {
        let scores = [0.6, 0.1, 0.9];
        assert_eq!(read_as(None, false).predicted(&scores, 0.7).unwrap(), [2]);
        assert_eq!(read_as(None, true).predicted(&scores, 0.7).unwrap(), [2, 0]);
        assert_eq!(read_as(None, true).predicted(&[0.2, 0.1], 0.7).unwrap(), [0]);
        let boxes = ClassScores { source: ScoreSource::Boxes(0), ..read_as(None, true) };
        assert_eq!(boxes.predicted(&scores, 0.7).unwrap(), [2]);
        assert_eq!(boxes.predicted(&scores, 0.1).unwrap(), [2, 0, 1]);
        boxes.predicted(&scores, 0.95).unwrap_err();
    }
}
