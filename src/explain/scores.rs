//! Class scores: from what an output holds to probabilities.

use std::sync::Arc;

use serde::Serialize;

use super::engine::Answer;
use crate::analysis::walk;
use crate::error::{Error, Result};
use crate::message::{Setting, message};
use crate::model::Model;
use crate::ops::Passage;
use crate::runtime::{Network, Tensor};

/// What turns an output into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
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

/// Where the scores are, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassHead {
    /// What they are made of.
    pub(crate) source: ScoreSource,
    /// The name of that.
    pub(crate) name: String,
    /// Number of classes, where it is known before inference.
    pub(crate) classes: Option<usize>,
    /// What is applied to the output; `None` until the first scores are seen, where nothing says it.
    pub(crate) activation: Option<Activation>,
    /// Whether each class stands for itself.
    pub(crate) separate: bool,
}

/// An activation at the end of the graph, behind operations that only change shape or type.
pub(crate) fn in_graph(model: &Model, output: usize) -> Option<Activation> {
    let output = model.graph().outputs().nth(output)?;
    for step in walk(model, output.outlet) {
        match step.passage {
            Passage::Activation(crate::ops::Activation::Sigmoid) => return Some(Activation::Sigmoid),
            Passage::Activation(crate::ops::Activation::Softmax) => return Some(Activation::Softmax),
            Passage::Same | Passage::Reorder => {}
            // Of logarithms a Softmax makes probabilities again, as of logits.
            Passage::Activation(_) | Passage::Select | Passage::Stop => return None,
        }
    }
    None
}

/// Outputs that can be class scores by their shape: `[N, classes]`, further axes of extent 1.
pub(crate) fn candidates(network: &Network, batch: usize) -> Vec<(usize, Option<usize>)> {
    let fits = |(index, port): (usize, &crate::runtime::Port)| {
        let dims = port.shape.as_ref()?;
        let (first, rest) = dims.split_first()?;
        let float = port.element.is_some_and(crate::ir::ElementType::is_float);
        let (classes, ones) = rest.split_first()?;
        let plain = first.is_none_or(|first| first == batch) && ones.iter().all(|dim| *dim == Some(1));
        (float && plain).then_some((index, *classes))
    };
    network.outputs().iter().enumerate().filter_map(fits).collect()
}

/// Outputs with one score for each box, `[N, boxes]` with further axes of extent 1, beside an output of boxes
/// `[N, boxes, 4 or more]`; that of the maps is none.
pub(crate) fn one_per_box(network: &Network, batch: usize, map: &str) -> Vec<usize> {
    let count = |(index, classes): (usize, Option<usize>)| {
        let boxes = |port: &crate::runtime::Port| match port.shape.as_deref() {
            Some([first, count, Some(4..)]) => {
                first.is_none_or(|first| first == batch)
                    && *count == classes
                    && port.name != map
                    && port.element.is_some_and(crate::ir::ElementType::is_float)
            }
            _ => false,
        };
        (classes.is_some_and(|count| count > 1) && network.outputs().iter().any(boxes)).then_some(index)
    };
    candidates(network, batch).into_iter().filter_map(count).collect()
}

/// The output `[N, boxes, classes]` beside one of boxes `[N, boxes, 4]`, where there is one such pair; its place and
/// its number of classes. A batch of 1 may be left out.
pub(crate) fn beside_boxes(
    network: &Network,
    batch: usize,
    wanted: Option<&str>,
) -> Option<(usize, Option<usize>)> {
    let dims = |port: &crate::runtime::Port| match port.shape.as_deref() {
        Some([rest @ .., boxes, last])
            if (rest.len() == 1 || (rest.is_empty() && batch == 1))
                && port.element.is_some_and(crate::ir::ElementType::is_float) =>
        {
            Some((*boxes, *last))
        }
        _ => None,
    };
    let is_boxes =
        |(count, last): (Option<usize>, Option<usize>), of: Option<usize>| count == of && last == Some(4);
    let ports = || network.outputs().iter().enumerate().filter_map(|(i, port)| Some((i, port, dims(port)?)));
    let mut found = ports().filter(|(index, port, (count, last))| {
        *last != Some(4)
            && wanted.is_none_or(|wanted| port.name == wanted)
            && ports().any(|(other, _, dims)| other != *index && is_boxes(dims, *count))
    });
    match (found.next(), found.next()) {
        (Some((index, _, (_, classes))), None) => Some((index, classes)),
        _ => None,
    }
}

impl ClassHead {
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

    /// The scores of one image, as the model gives them; [`ClassHead::outputs`] begin at `place` of the answer.
    ///
    /// # Errors
    /// [`Error::Usage`] where they are no numbers; those of a function.
    pub(crate) fn raw(&self, answer: &Answer<'_>, place: usize) -> Result<Vec<f32>> {
        let (shape, scores) = match &self.source {
            ScoreSource::Output(_) => answer.of(place)?,
            ScoreSource::Boxes(_) => answer.of_boxes(place)?,
            ScoreSource::Function(function, names) => {
                let tensors = answer.tensors.get(place..).unwrap_or_default();
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
                (true, _) => Activation::None,
                // The largest of each class come from different boxes.
                (false, true) => Activation::Sigmoid,
                (false, false) => Activation::Softmax,
            });
            self.separate = self.per_box() || (probabilities && !one);
        }
    }

    /// Turns what the model gives into scores.
    pub(crate) fn activate(&self, mut scores: Vec<f32>) -> Vec<f32> {
        match self.activation {
            Some(Activation::Softmax) => {
                let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                // Infinite logits would make NaN of their differences.
                scores.iter_mut().for_each(|score| {
                    *score = if *score == most { 1.0 } else { (*score - most).exp() };
                });
                let sum: f64 = scores.iter().map(|score| f64::from(*score)).sum();
                #[allow(clippy::cast_possible_truncation)]
                scores.iter_mut().for_each(|score| *score = (f64::from(*score) / sum) as f32);
            }
            Some(Activation::Sigmoid) => {
                scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
            }
            Some(Activation::None) | None => {}
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

    fn head(activation: Option<Activation>, separate: bool) -> ClassHead {
        let source = ScoreSource::Output(0);
        ClassHead { source, name: String::new(), classes: None, activation, separate }
    }

    #[test]
    fn activations_are_what_they_are_called() {
        let soft = head(Some(Activation::Softmax), false).activate(vec![0.0, 3f32.ln(), f32::NEG_INFINITY]);
        assert!((soft[0] - 0.25).abs() < 1e-6 && (soft[1] - 0.75).abs() < 1e-6 && soft[2] == 0.0);
        let large = head(Some(Activation::Softmax), false).activate(vec![1e30, f32::INFINITY]);
        assert_eq!(large, [0.0, 1.0]);
        assert_eq!(head(Some(Activation::Sigmoid), true).activate(vec![0.0]), [0.5]);
    }

    #[test]
    fn scores_that_nothing_describes_are_judged_by_their_values() {
        for (raw, activation, separate) in [
            (&[0.1, 0.9][..], Activation::None, false),
            (&[0.8, 0.9], Activation::None, true),
            (&[-3.0, 8.0], Activation::Softmax, false),
        ] {
            let mut head = head(None, false);
            head.settle(raw);
            assert_eq!((head.activation, head.separate), (Some(activation), separate), "{raw:?}");
            assert_eq!(head.classes, Some(2));
        }
    }

    #[test]
    fn a_class_has_the_largest_score_of_any_box() {
        assert_eq!(largest(&[0.1, 0.7, 0.2, 0.4, 0.3, 0.9], 3), [0.4, 0.7, 0.9]);
        let mut head = ClassHead { source: ScoreSource::Boxes(0), ..head(None, false) };
        head.settle(&[-2.0, 3.0]);
        assert_eq!((head.activation, head.separate), (Some(Activation::Sigmoid), true));
    }

    #[test]
    fn the_predicted_classes_depend_on_whether_they_exclude_each_other() {
        let scores = [0.6, 0.1, 0.9];
        assert_eq!(head(None, false).predicted(&scores, 0.7).unwrap(), [2]);
        assert_eq!(head(None, true).predicted(&scores, 0.7).unwrap(), [2, 0]);
        assert_eq!(head(None, true).predicted(&[0.2, 0.1], 0.7).unwrap(), [0]);
        let boxes = ClassHead { source: ScoreSource::Boxes(0), ..head(None, true) };
        assert_eq!(boxes.predicted(&scores, 0.7).unwrap(), [2]);
        assert_eq!(boxes.predicted(&scores, 0.1).unwrap(), [2, 0, 1]);
        boxes.predicted(&scores, 0.95).unwrap_err();
    }
}
