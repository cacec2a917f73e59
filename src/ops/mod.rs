//! What is known of each operator.
//!
//! [`Action`] says how an operation moves and mixes data, in terms of its axes. Everything else
//! follows from it: where height and width are ([`crate::analysis`]), what happens to a one-hot
//! mosaic, and which axis carries the batch ([`crate::mosaic`]). To teach the tool an operator is to
//! give its action here.
//!
//! Semantics: OpenVINO operation sets 1 to 16.

mod elementwise;
mod pick;
mod reduce;
mod sound;
mod window;

pub use pick::Pick;
pub use reduce::Reduction;
pub use window::{Extent, Window, WindowKind};

use crate::graph::{Node, OutletId};
use crate::ir::resolve_axis;
use crate::model::Model;

/// What becomes of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// f(0) = 0.
    Kept,
    /// f(0) may be anything.
    Lost,
    /// 0 as soon as one operand is 0: a product.
    Absorbing,
    /// 0 where the first operand is 0: a quotient.
    First,
    /// 0 where all operands are 0: a sum.
    AllZero,
}

/// How an operation moves and mixes the elements of its first input.
///
/// Axes are those of the first input, counted from 0; negative ones of the IR are resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Every element by itself; all inputs broadcast as numpy does.
    Elementwise(Zero),
    /// Every element of the first input by itself; other inputs are parameters of the function.
    Pointwise(Zero),
    /// Mixes along some axes, and keeps the shape (norms, softmax).
    Within {
        /// Axes that are mixed.
        axes: Vec<usize>,
        /// What becomes of zeros.
        zero: Zero,
    },
    /// Reduces over axes.
    Reduce {
        /// Mean, sum, …
        reduction: Reduction,
        /// Axes that are reduced.
        axes: Vec<usize>,
        /// Whether they stay with extent 1.
        keep_dims: bool,
    },
    /// Convolution or pooling over `[N,C,…]`.
    Window(Window),
    /// Matrix product over the last two axes.
    MatMul {
        /// Whether the first operand's last two axes are swapped.
        transpose_a: bool,
        /// Whether the second operand's last two axes are swapped.
        transpose_b: bool,
    },
    /// `ScaledDotProductAttention`.
    Attention,
    /// Permutes axes: output axis i is input axis `order[i]`.
    Transpose {
        /// The permutation.
        order: Vec<usize>,
    },
    /// Regroups axes and keeps the order of elements (Reshape, Squeeze, Unsqueeze).
    Reshape,
    /// Takes parts of axes (Slice, StridedSlice, Gather, Split); one entry for each output.
    Pick(Vec<Vec<Pick>>),
    /// Cuts an axis into patches, perhaps overlapping ones (im2col): in its place come the offset inside a
    /// patch and the patch.
    Unfold {
        /// The axis.
        axis: usize,
        /// Distance between neighbours inside a patch.
        dilation: usize,
        /// Distance between neighbouring patches.
        stride: usize,
    },
    /// Joins along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Moves or resamples along axes, and keeps their meaning (Pad, Roll, Interpolate).
    Resample {
        /// The axes.
        axes: Vec<usize>,
    },
    /// Reads a shape and no data.
    ShapeOf,
    /// Anything else.
    Opaque,
}

/// The action of a node of a model; [`Action::Opaque`] also where the shapes that the file declares
/// contradict the operation.
pub fn action(model: &Model, node: &Node) -> Action {
    let action = described(model, node);
    if sound::sound(model, node, &action) { action } else { Action::Opaque }
}

/// Whether a node is opaque only because the shapes that the file declares contradict its operation.
pub(crate) fn contradicted(model: &Model, node: &Node) -> bool {
    !sound::sound(model, node, &described(model, node))
}

fn described(model: &Model, node: &Node) -> Action {
    let rank = node.inputs.first().map_or(0, |input| model.graph().fact(*input).rank());
    match node.op.kind.as_str() {
        "ShapeOf" => Action::ShapeOf,
        "Reshape" | "Squeeze" | "Unsqueeze" => Action::Reshape,
        "Transpose" => match input_integers(model, node, 1) {
            Some(order) => order_of(&order, rank).map_or(Action::Opaque, |order| Action::Transpose { order }),
            None => Action::Opaque,
        },
        "Concat" => {
            axis(node.op.integer("axis"), rank).map_or(Action::Opaque, |axis| Action::Concat { axis })
        }
        "MatMul" => Action::MatMul {
            transpose_a: node.op.flag("transpose_a"),
            transpose_b: node.op.flag("transpose_b"),
        },
        "ScaledDotProductAttention" => Action::Attention,
        _ => elementwise::action(model, node)
            .or_else(|| reduce::action(model, node, rank))
            .or_else(|| window::action(model, node, rank))
            .or_else(|| pick::action(model, node, rank))
            .unwrap_or(Action::Opaque),
    }
}

/// The integers of a node's constant input.
fn input_integers(model: &Model, node: &Node, input: usize) -> Option<Vec<i64>> {
    let input: OutletId = *node.inputs.get(input)?;
    model.integers(input)
}

/// Resolves a possibly negative axis.
fn axis(value: Option<i64>, rank: usize) -> Option<usize> {
    resolve_axis(value?, rank)
}

/// Resolves several axes.
fn axes(values: &[i64], rank: usize) -> Option<Vec<usize>> {
    values.iter().map(|value| axis(Some(*value), rank)).collect()
}

fn order_of(values: &[i64], rank: usize) -> Option<Vec<usize>> {
    if values.is_empty() {
        return Some((0..rank).rev().collect());
    }
    let order = axes(values, rank)?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    (sorted == (0..rank).collect::<Vec<_>>()).then_some(order)
}
