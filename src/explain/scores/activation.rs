//! What turns an output into probabilities.

use std::ops::Range;

use serde::Serialize;

use crate::ir::Hierarchy;

/// What turns an output into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OutputActivation {
    /// `exp(x) / sum(exp(x))`: one class is right.
    Softmax,
    /// `1 / (1 + exp(-x))`: each class for itself.
    Sigmoid,
    /// Softmax within each head of the `hierarchical_config` in the model's `model_info`, sigmoid for its other classes.
    Hierarchical,
    /// The output holds scores already, or a number that is none.
    None,
}

impl OutputActivation {
    /// Makes probabilities of scores; the heads are those of [`OutputActivation::Hierarchical`].
    pub(super) fn apply(self, scores: &mut [f32], hierarchy: Option<&Hierarchy>) {
        match self {
            Self::Softmax => softmax(scores),
            Self::Sigmoid => sigmoid(scores),
            Self::Hierarchical => {
                let Some(Hierarchy { heads, separate, .. }) = hierarchy else { return };
                let mut part = |range: &Range<usize>, apply: fn(&mut [f32])| {
                    if let Some(part) = scores.get_mut(range.clone()) {
                        apply(part);
                    }
                };
                heads.iter().for_each(|head| part(head, softmax));
                part(separate, sigmoid);
            }
            Self::None => {}
        }
    }
}

fn softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Infinite logits would make NaN of their differences.
    scores.iter_mut().for_each(|score| {
        *score = if *score == most { 1.0 } else { (*score - most).exp() };
    });
    let sum: f64 = scores.iter().map(|score| f64::from(*score)).sum();
    #[allow(clippy::cast_possible_truncation)]
    scores.iter_mut().for_each(|score| *score = (f64::from(*score) / sum) as f32);
}

fn sigmoid(scores: &mut [f32]) {
    scores.iter_mut().for_each(|score| *score = 1.0 / (1.0 + (-*score).exp()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(activation: OutputActivation, hierarchy: Option<&Hierarchy>, scores: &[f32]) -> Vec<f32> {
        let mut scores = scores.to_vec();
        activation.apply(&mut scores, hierarchy);
        scores
    }

    #[test]
    fn activations_are_what_they_are_called() {
        let soft = applied(OutputActivation::Softmax, None, &[0.0, 3f32.ln(), f32::NEG_INFINITY]);
        assert!((soft[0] - 0.25).abs() < 1e-6 && (soft[1] - 0.75).abs() < 1e-6 && soft[2] == 0.0);
        assert_eq!(applied(OutputActivation::Softmax, None, &[1e30, f32::INFINITY]), [0.0, 1.0]);
        assert_eq!(applied(OutputActivation::Sigmoid, None, &[0.0]), [0.5]);
        assert_eq!(applied(OutputActivation::None, None, &[7.0]), [7.0]);
    }

    #[test]
    fn each_head_is_a_choice_of_its_own() {
        let tree = Hierarchy { heads: vec![0..2, 2..4], separate: 4..6, ..Hierarchy::default() };
        let found = applied(OutputActivation::Hierarchical, Some(&tree), &[1.0, 1.0, 5.0, -200.0, 0.0, 90.0]);
        assert_eq!(found, [0.5, 0.5, 1.0, 0.0, 0.5, 1.0]);
    }
}
