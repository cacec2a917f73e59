//! Activations, arithmetic and norms.

use super::{Action, Constants, Zero, axes, axis};
use crate::graph::{Node, OpKind};

pub(super) fn action(constants: Constants<'_>, node: &Node) -> Option<Action> {
    let pointwise = || pointwise(node).map(Action::Pointwise);
    let elementwise = || elementwise(constants, node).map(Action::Elementwise);
    pointwise().or_else(elementwise).or_else(|| within(constants, node))
}

/// Functions of one operand, and what becomes of zeros in them.
fn pointwise(node: &Node) -> Option<Zero> {
    Some(match &node.op.kind {
        OpKind::Abs
        | OpKind::Asin
        | OpKind::Asinh
        | OpKind::Atan
        | OpKind::Atanh
        | OpKind::Ceiling
        | OpKind::Convert
        | OpKind::ConvertLike
        | OpKind::Elu
        | OpKind::Erf
        | OpKind::Floor
        | OpKind::Gelu
        | OpKind::HSwish
        | OpKind::Identity
        | OpKind::Mish
        | OpKind::Negative
        | OpKind::PRelu
        | OpKind::Relu
        | OpKind::Round
        | OpKind::Selu
        | OpKind::Sign
        | OpKind::Sin
        | OpKind::Sinh
        | OpKind::SoftSign
        | OpKind::Sqrt
        | OpKind::Swish
        | OpKind::Tan
        | OpKind::Tanh => Zero::Kept,
        OpKind::Clamp => {
            let bound = |name| node.op.attribute(name).and_then(|text| text.trim().parse::<f64>().ok());
            let around_zero =
                bound("min").is_some_and(|min| min <= 0.0) && bound("max").is_some_and(|max| max >= 0.0);
            if around_zero { Zero::Kept } else { Zero::Lost }
        }
        OpKind::Acos
        | OpKind::Acosh
        | OpKind::Cos
        | OpKind::Cosh
        | OpKind::Exp
        | OpKind::HSigmoid
        | OpKind::HardSigmoid
        | OpKind::Log
        | OpKind::LogicalNot
        | OpKind::Sigmoid
        | OpKind::SoftPlus => Zero::Lost,
        // The first set has the data third.
        OpKind::BatchNormInference if node.op.opset != "opset1" => Zero::Lost,
        _ => return None,
    })
}

/// Whether a function of one operand may have other parameters at each element of an axis, where they are more than one
/// number: those of a batch norm belong to axis 1; a slope may broadcast to any.
pub(crate) fn differs_along(node: &Node, axis: usize) -> bool {
    node.op.kind != OpKind::BatchNormInference || axis == 1
}

/// Functions of several operands that broadcast, and what becomes of zeros in them.
fn elementwise(constants: Constants<'_>, node: &Node) -> Option<Zero> {
    Some(match &node.op.kind {
        OpKind::Add | OpKind::Subtract | OpKind::Maximum | OpKind::Minimum | OpKind::SquaredDifference => {
            Zero::All
        }
        OpKind::Multiply => Zero::Absorbing,
        OpKind::Divide => Zero::First,
        OpKind::Power => {
            let exponent = node.inputs.get(1).and_then(|input| constants.scalar(*input));
            if exponent.is_some_and(|p| p > 0.0) { Zero::First } else { Zero::Lost }
        }
        OpKind::Equal
        | OpKind::NotEqual
        | OpKind::Greater
        | OpKind::GreaterEqual
        | OpKind::Less
        | OpKind::LessEqual
        | OpKind::LogicalAnd
        | OpKind::LogicalOr
        | OpKind::LogicalXor
        | OpKind::Mod
        | OpKind::FloorMod
        | OpKind::Select
        | OpKind::FakeQuantize => Zero::Lost,
        _ => return None,
    })
}

/// What mixes along axes and keeps the shape.
fn within(constants: Constants<'_>, node: &Node) -> Option<Action> {
    let rank = node.inputs.first().map_or(0, |input| constants.fact(*input).rank());
    Some(match &node.op.kind {
        OpKind::Mvn => {
            // opset6 takes the axes as an input; opset1 as attributes.
            let axes = match node.inputs.len() {
                2.. => axes(&constants.input_integers(node, 1)?, rank)?,
                _ => match node.op.integers("reduction_axes") {
                    Some(list) => axes(&list, rank)?,
                    None if node.op.flag("across_channels") => (1..rank).collect(),
                    None => (2..rank).collect(),
                },
            };
            Action::Within { axes, zero: Zero::Kept }
        }
        OpKind::NormalizeL2 => {
            Action::Within { axes: axes(&constants.input_integers(node, 1)?, rank)?, zero: Zero::Kept }
        }
        OpKind::SoftMax => softmax(node, rank, 1)?,
        OpKind::LogSoftmax => softmax(node, rank, 1)?,
        OpKind::GroupNormalization => Action::Within { axes: (1..rank).collect(), zero: Zero::Lost },
        OpKind::Lrn => {
            Action::Within { axes: axes(&constants.input_integers(node, 1)?, rank)?, zero: Zero::Kept }
        }
        OpKind::CumSum => {
            let at = constants.input_integers(node, 1)?;
            Action::Within { axes: vec![axis(at.first().copied(), rank)?], zero: Zero::Kept }
        }
        _ => return None,
    })
}

fn softmax(node: &Node, rank: usize, default: i64) -> Option<Action> {
    let axis = axis(Some(node.op.integer("axis").unwrap_or(default)), rank)?;
    Some(Action::Within { axes: vec![axis], zero: Zero::Lost })
}
