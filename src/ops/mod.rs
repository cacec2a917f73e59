//! What is known of each operator.
//!
//! [`Action`] says how an operation moves and mixes data, in terms of its axes. Everything else
//! follows from it: where height and width are, what happens to a one-hot mosaic, and which axis carries
//! the batch. [`Passage`] says what becomes of scores. Both are worked out once for each node, as its
//! [`Semantics`]. To teach the tool an operator is to give its action here.
//!
//! Semantics: OpenVINO operation sets 1 to 16.

mod boxes;
mod constants;
mod einsum;
mod elementwise;
mod extents;
mod fold;
mod infer;
mod linear;
mod moves;
mod passage;
mod reduce;
mod select;
mod shape_check;
mod window;

pub(crate) use boxes::BoxStage;
pub(crate) use constants::Constants;
pub(crate) use einsum::Equation;
pub(crate) use elementwise::differs_along;
pub(crate) use extents::Extents;
pub(crate) use linear::is_linear;
pub(crate) use moves::Move;
pub(crate) use passage::Activation;
pub(crate) use passage::{Passage, source};
pub(crate) use reduce::Reduction;
pub(crate) use select::Selection;
pub(crate) use window::{Extent, Window, WindowKind};

use crate::graph::{Graph, Node, NodeId, OpKind, SymInt};
use crate::ir::{Weights, resolve_axis};

/// What becomes of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zero {
    /// f(0) = 0.
    Kept,
    /// f(0) may be anything.
    Lost,
    /// 0 as soon as one operand is 0: a product.
    Absorbing,
    /// 0 where the first operand is 0: a quotient.
    First,
    /// 0 where all operands are 0: a sum.
    All,
}

/// How an operation moves and mixes the elements of its first input.
///
/// Axes are those of the first input, counted from 0; negative ones of the IR are resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
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
    /// Sum of products over axes that are named in each operand.
    Einsum(Equation),
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
    Select(Vec<Vec<Selection>>),
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
    /// Moves or resamples along axes, and keeps their meaning (Pad, Roll, Interpolate, what reverses an axis); how
    /// far, [`moved`] says.
    Resample {
        /// The axes.
        axes: Vec<usize>,
    },
    /// Reads a shape and no data.
    ShapeOf,
    /// Anything else.
    Opaque,
}

/// What a node does: how it moves and mixes data, and what scores may pass through it.
#[derive(Debug, Clone)]
pub(crate) struct Semantics {
    /// [`Action::Opaque`] also where the shapes that the file declares contradict the operation.
    pub(crate) action: Action,
    /// Whether the action is opaque only because of that.
    pub(crate) contradicted: bool,
    /// What becomes of scores.
    pub(crate) passage: Passage,
}

impl Semantics {
    /// Looks at a node once; whoever wants to know later asks the model.
    pub(crate) fn of(constants: Constants<'_>, node: &Node) -> Self {
        let action = described(constants, node);
        let contradicted = !shape_check::agrees(constants, node, &action);
        let action = if contradicted { Action::Opaque } else { action };
        Self { action, contradicted, passage: Passage::of(constants, node) }
    }
}

/// Works out what the nodes of a graph do from `first` on, and gives dimensions numbers that the file does not say but that
/// follow from others.
pub(crate) fn describe(
    graph: &mut Graph,
    weights: &Weights,
    extents: &mut Extents,
    semantics: &mut Vec<Semantics>,
) {
    let first = semantics.len();
    let order: Vec<NodeId> = graph.order().iter().copied().filter(|id| id.index() >= first).collect();
    extents.of.resize_with(graph.len(), Vec::new);
    let mut found: Vec<Option<Semantics>> = vec![None; graph.len() - first];
    for id in order {
        let constants = Constants::new(graph, weights, &extents.of);
        let mut own = Semantics::of(constants, graph.node(id));
        let known = infer::known(constants, id, graph.node(id), &own.action, &mut extents.symbols);
        let shapes = known.iter().map(|known| known.dims.iter().map(SymInt::dim).collect());
        if graph.refine(id, shapes) {
            own = Semantics::of(Constants::new(graph, weights, &extents.of), graph.node(id));
        }
        extents.of[id.index()] = known;
        found[id.index() - first] = Some(own);
    }
    semantics.extend(found.into_iter().flatten());
}

fn described(constants: Constants<'_>, node: &Node) -> Action {
    let rank = node.inputs.first().map_or(0, |input| constants.fact(*input).rank());
    match &node.op.kind {
        OpKind::ShapeOf => Action::ShapeOf,
        OpKind::Reshape | OpKind::Squeeze | OpKind::Unsqueeze => Action::Reshape,
        OpKind::Transpose => match constants.input_integers(node, 1) {
            Some(order) => order_of(&order, rank).map_or(Action::Opaque, |order| Action::Transpose { order }),
            None => Action::Opaque,
        },
        OpKind::Concat => {
            axis(node.op.integer("axis"), rank).map_or(Action::Opaque, |axis| Action::Concat { axis })
        }
        OpKind::MatMul => Action::MatMul {
            transpose_a: node.op.flag("transpose_a"),
            transpose_b: node.op.flag("transpose_b"),
        },
        OpKind::Einsum => {
            let equation = node.op.attribute("equation").and_then(Equation::parse);
            equation.map_or(Action::Opaque, Action::Einsum)
        }
        OpKind::ScaledDotProductAttention => Action::Attention,
        _ => elementwise::action(constants, node)
            .or_else(|| reduce::action(constants, node, rank))
            .or_else(|| window::action(constants, node, rank))
            .or_else(|| select::action(constants, node, rank))
            .unwrap_or(Action::Opaque),
    }
}

/// How an operation of the kinds [`Action::Window`] and [`Action::Resample`] moves elements along an axis; `None` where
/// nothing tells.
pub(crate) fn moved(constants: Constants<'_>, node: &Node, axis: usize) -> Option<Move> {
    moves::along(constants, node, axis)
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
