//! Where the elements of a result stand along an axis of the operand.
//!
//! Semantics: OpenVINO operation sets, Convolution, AvgPool, Pad, Interpolate (opset1, 4 and 11), Slice, StridedSlice.

use super::constants::Constants;
use super::window::kernel;
use crate::graph::{Node, OpKind};
use crate::ir::{Dim, resolve_axis};

/// How elements move along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Move {
    /// Element i of the result is centred on element `offset + scale * i` of the operand.
    Affine {
        /// Where element 0 is.
        offset: f64,
        /// From an element to the next.
        scale: f64,
    },
    /// The other way round, over an extent that is known only at inference.
    Reversed,
}

impl Move {
    const NONE: Self = Self::Affine { offset: 0.0, scale: 1.0 };
}

/// How a window, padding, resampling or reversal moves elements along `axis`; `None` where nothing tells.
#[allow(clippy::cast_precision_loss)]
pub(super) fn along(constants: Constants<'_>, node: &Node, axis: usize) -> Option<Move> {
    let extent = |dim: Option<&Dim>| dim.and_then(|dim| dim.fixed()).map(|extent| extent as f64);
    let before = extent(constants.fact(*node.inputs.first()?).shape.get(axis));
    let after = extent(node.outputs.first()?.fact.shape.get(axis));
    match &node.op.kind {
        OpKind::Pad => {
            let begin = *constants.input_integers(node, 1)?.get(axis)?;
            Some(Move::Affine { offset: -(begin as f64), scale: 1.0 })
        }
        OpKind::Interpolate => interpolated(constants, node, axis, before, after),
        OpKind::AdaptiveAvgPool | OpKind::AdaptiveMaxPool => {
            let scale = before? / after?;
            Some(Move::Affine { offset: (scale - 1.0) / 2.0, scale })
        }
        OpKind::Convolution | OpKind::GroupConvolution | OpKind::AvgPool | OpKind::MaxPool => {
            windowed(constants, node, axis, before, after)
        }
        OpKind::Slice | OpKind::StridedSlice | OpKind::Gather | OpKind::Reverse => {
            Some(before.map_or(Move::Reversed, |before| Move::Affine { offset: before - 1.0, scale: -1.0 }))
        }
        _ => None,
    }
}

/// The middle of a window: `stride * i + (kernel - 1) * dilation / 2 - pad`.
#[allow(clippy::cast_precision_loss)]
fn windowed(
    constants: Constants<'_>,
    node: &Node,
    axis: usize,
    before: Option<f64>,
    after: Option<f64>,
) -> Option<Move> {
    let place = axis.checked_sub(2)?;
    let listed = |name: &str, otherwise: i64| match node.op.integers(name) {
        Some(list) => list.get(place).map(|value| *value as f64),
        None => Some(otherwise as f64),
    };
    let kernel = kernel(constants, node)?.get(place)?.fixed()? as f64;
    let (stride, dilation) = (listed("strides", 1)?, listed("dilations", 1)?);
    let reach = (kernel - 1.0) * dilation;
    let pad = match node.op.attribute("auto_pad") {
        Some("valid") => 0.0,
        Some(same @ ("same_upper" | "same_lower")) => {
            // As many as are needed for one window at each stride; an odd one goes to the end, or to the begin.
            let needed = match (stride == 1.0, before, after) {
                (true, ..) => reach,
                (_, Some(before), Some(after)) => ((after - 1.0) * stride + reach + 1.0 - before).max(0.0),
                _ => return None,
            };
            let half = needed / 2.0;
            if same == "same_upper" { half.floor() } else { half.ceil() }
        }
        _ => listed("pads_begin", 0)?,
    };
    Some(Move::Affine { offset: reach / 2.0 - pad, scale: stride })
}

/// Which point of the operand an element of a resampled axis is taken from.
fn interpolated(
    constants: Constants<'_>,
    node: &Node,
    axis: usize,
    before: Option<f64>,
    after: Option<f64>,
) -> Option<Move> {
    let pads = ["pads_begin", "pads_end"].map(|name| node.op.integers(name));
    if pads.iter().flatten().flatten().any(|pad| *pad != 0) {
        return None;
    }
    let ratio = match before.zip(after) {
        Some((before, after)) => before / after,
        None => scale(constants, node, axis)?.recip(),
    };
    let nearest = node.op.attribute("mode") == Some("nearest");
    let half_pixel = Move::Affine { offset: (ratio - 1.0) / 2.0, scale: ratio };
    let mode = match node.op.opset.as_str() {
        "opset1" if node.op.attribute("align_corners").is_none_or(|_| node.op.flag("align_corners")) => {
            "align_corners"
        }
        "opset1" => "asymmetric",
        _ => node.op.attribute("coordinate_transformation_mode").unwrap_or("half_pixel"),
    };
    match mode {
        "half_pixel" | "pytorch_half_pixel" => Some(half_pixel),
        // Each element is repeated, and stands in the middle of its repetitions.
        "asymmetric" | "tf_half_pixel_for_nn" if nearest => Some(half_pixel),
        "asymmetric" => Some(Move::Affine { offset: 0.0, scale: ratio }),
        "align_corners" => match before.zip(after)? {
            (_, 1.0) => Some(Move::NONE),
            (before, after) => Some(Move::Affine { offset: 0.0, scale: (before - 1.0) / (after - 1.0) }),
        },
        _ => None,
    }
}

/// The factor by which an axis grows, where it is a constant.
fn scale(constants: Constants<'_>, node: &Node, axis: usize) -> Option<f64> {
    if node.op.attribute("shape_calculation_mode") != Some("scales") {
        return None;
    }
    let (scales, axes) = if node.op.opset == "opset11" { (1, 2) } else { (2, 3) };
    let scales = constants.numbers(*node.inputs.get(scales)?)?;
    let rank = constants.fact(*node.inputs.first()?).rank();
    let place = match node.inputs.get(axes) {
        Some(_) => {
            let listed = constants.input_integers(node, axes)?;
            listed.iter().position(|listed| resolve_axis(*listed, rank) == Some(axis))?
        }
        None => axis,
    };
    scales.get(place).copied().filter(|scale| *scale > 0.0)
}
