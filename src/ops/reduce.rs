//! Reductions over axes.

use super::{Action, Constants, axes};
use crate::graph::{Node, OpKind};

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    /// Arithmetic mean.
    Mean,
    /// Sum.
    Sum,
    /// Largest element.
    Max,
    /// Smallest element.
    Min,
    /// Something else.
    Other,
}

pub(super) fn action(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let reduction = match &node.op.kind {
        OpKind::ReduceMean => Reduction::Mean,
        OpKind::ReduceSum => Reduction::Sum,
        OpKind::ReduceMax => Reduction::Max,
        OpKind::ReduceMin => Reduction::Min,
        OpKind::ReduceL1
        | OpKind::ReduceL2
        | OpKind::ReduceProd
        | OpKind::ReduceLogicalAnd
        | OpKind::ReduceLogicalOr => Reduction::Other,
        _ => return None,
    };
    let axes = axes(&constants.input_integers(node, 1)?, rank)?;
    Some(Action::Reduce { reduction, axes, keep_dims: node.op.flag("keep_dims") })
}
