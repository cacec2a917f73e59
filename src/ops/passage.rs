//! What scores may pass through on their way from where they are made to an output.
//!
//! This is the only list of its kind: logits, the heads of detectors, attention blocks and explanations all ask it.

use super::Constants;
use crate::graph::{Node, OpKind, OutletId};

/// What an operation does to scores that pass through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Turns scores into probabilities; what comes before is what is explained.
    Activation(Activation),
    /// Leaves each score at its place, and scores in their order: conversions, roots, a bound that probabilities
    /// never reach.
    Same,
    /// Lays scores out anew, in another shape or with other axes in front.
    Reorder,
    /// Takes some of the scores, or blanks the others.
    Select,
    /// Anything else: here scores are made.
    Stop,
}

/// What turns scores into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Each score by itself.
    Sigmoid,
    /// Over the classes.
    Softmax,
    /// The logarithm of a Softmax.
    LogSoftmax,
}

impl Activation {
    /// The name by which it is recorded.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Softmax | Self::LogSoftmax => "softmax",
        }
    }

    /// Whether it looks at each score by itself.
    pub(crate) fn is_elementwise(self) -> bool {
        self == Self::Sigmoid
    }
}

impl Passage {
    /// What a node does to the scores that it reads from its [`source`].
    pub(super) fn of(constants: Constants<'_>, node: &Node) -> Self {
        match &node.op.kind {
            OpKind::Sigmoid => Self::Activation(Activation::Sigmoid),
            OpKind::SoftMax => Self::Activation(Activation::Softmax),
            OpKind::LogSoftmax => Self::Activation(Activation::LogSoftmax),
            OpKind::Convert | OpKind::Identity | OpKind::Sqrt => Self::Same,
            // A positive power keeps the order of what is not negative, such as probabilities.
            OpKind::Power => {
                let exponent = node.inputs.get(1).and_then(|input| constants.scalar(*input));
                if exponent.is_some_and(|exponent| exponent > 0.0) { Self::Same } else { Self::Stop }
            }
            OpKind::Clamp => {
                let bound = |name| node.op.attribute(name).and_then(|text| text.trim().parse::<f64>().ok());
                let (least, most) = (bound("min"), bound("max"));
                // Within 0..1 it bounds probabilities, which only rounding takes beyond; others change what scores are.
                let of_probabilities =
                    least.is_some_and(|least| least >= 0.0) && most.is_some_and(|most| most <= 1.0);
                if of_probabilities { Self::Same } else { Self::Stop }
            }
            OpKind::Reshape | OpKind::Squeeze | OpKind::Unsqueeze | OpKind::Transpose => Self::Reorder,
            OpKind::Gather
            | OpKind::GatherElements
            | OpKind::GatherNd
            | OpKind::ReduceMax
            | OpKind::Select
            | OpKind::Slice
            | OpKind::Split
            | OpKind::StridedSlice
            | OpKind::TopK
            | OpKind::VariadicSplit => Self::Select,
            _ => Self::Stop,
        }
    }
}

/// Which input of a node the scores come from that pass through it.
pub(crate) fn source(node: &Node) -> Option<OutletId> {
    // The first input of a Select is the condition.
    node.inputs.get(usize::from(node.op.kind == OpKind::Select)).copied()
}
