//! Reductions over axes.

use super::{Action, axes, input_integers};
use crate::graph::Node;
use crate::model::Model;

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
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

pub(super) fn action(model: &Model, node: &Node, rank: usize) -> Option<Action> {
    let reduction = match node.op.kind.as_str() {
        "ReduceMean" => Reduction::Mean,
        "ReduceSum" => Reduction::Sum,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceL1" | "ReduceL2" | "ReduceProd" | "ReduceLogicalAnd" | "ReduceLogicalOr" => Reduction::Other,
        _ => return None,
    };
    let axes = axes(&input_integers(model, node, 1)?, rank)?;
    Some(Action::Reduce { reduction, axes, keep_dims: node.op.flag("keep_dims") })
}
