//! Convolutions and poolings: operations on `[N,C,spatial…]` that look at a neighbourhood.

use super::{Action, Constants, Reduction};
use crate::graph::{Node, OpKind};
use crate::ir::Dim;

/// A convolution or pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// What it computes.
    pub kind: WindowKind,
    /// What it looks at.
    pub extent: Extent,
}

/// What a window operation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowKind {
    /// `Convolution`: mixes channels.
    Convolution,
    /// `GroupConvolution`: mixes channels within groups.
    GroupConvolution,
    /// Pooling: every channel by itself.
    Pool(Reduction),
}

/// What a window operation looks at for one element of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One position: kernel and stride 1, no padding.
    Point,
    /// The whole map: one output position, nothing padded.
    Whole,
    /// A neighbourhood.
    Local,
}

pub(super) fn action(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let kind = match &node.op.kind {
        OpKind::Convolution => WindowKind::Convolution,
        OpKind::GroupConvolution => WindowKind::GroupConvolution,
        OpKind::AvgPool | OpKind::AdaptiveAvgPool => WindowKind::Pool(Reduction::Mean),
        OpKind::MaxPool | OpKind::AdaptiveMaxPool => WindowKind::Pool(Reduction::Max),
        _ => return None,
    };
    if rank < 3 {
        return None;
    }
    let spatial = |dims: &[Dim]| dims.get(2..).map(<[Dim]>::to_vec).unwrap_or_default();
    let input = spatial(&constants.fact(*node.inputs.first()?).shape);
    let output = spatial(&node.outputs.first()?.fact.shape);
    let pads = ["pads_begin", "pads_end"]
        .iter()
        .all(|name| node.op.integers(name).is_none_or(|pads| pads.iter().all(|pad| *pad == 0)));
    let adaptive = matches!(node.op.kind, OpKind::AdaptiveAvgPool | OpKind::AdaptiveMaxPool);
    let kernel = kernel(constants, node)?;
    let strides = node.op.integers("strides").is_none_or(|strides| strides.iter().all(|stride| *stride == 1));
    let close = node.op.integers("dilations").is_none_or(|list| list.iter().all(|dilation| *dilation == 1));
    let single = output.iter().all(|dim| dim.is_one());
    let extent = if !adaptive && kernel.iter().all(|dim| dim.is_one()) && strides && pads {
        Extent::Point
    } else if single && kernel == input && close && (pads || adaptive) {
        Extent::Whole
    } else {
        Extent::Local
    };
    Some(Action::Window(Window { kind, extent }))
}

/// Whether a last window that is cut off counts.
pub(super) fn rounds_up(node: &Node) -> bool {
    matches!(node.op.attribute("rounding_type"), Some("ceil" | "ceil_torch"))
}

/// How far a window reaches along each spatial axis, in elements.
pub(super) fn kernel(constants: Constants<'_>, node: &Node) -> Option<Vec<Dim>> {
    let spatial = |input: usize, from: usize| {
        constants.fact(*node.inputs.get(input)?).shape.get(from..).map(<[Dim]>::to_vec)
    };
    match &node.op.kind {
        OpKind::Convolution => spatial(1, 2),
        OpKind::GroupConvolution => spatial(1, 3),
        OpKind::AdaptiveAvgPool | OpKind::AdaptiveMaxPool => spatial(0, 2),
        _ => {
            let kernel = node.op.integers("kernel")?;
            Some(kernel.iter().map(|size| usize::try_from(*size).map_or(Dim::Dynamic, Dim::Fixed)).collect())
        }
    }
}
