//! Activations, arithmetic and norms.

use super::{Action, Zero, axes, axis, input_integers};
use crate::graph::Node;
use crate::model::Model;

pub(super) fn action(model: &Model, node: &Node) -> Option<Action> {
    let rank = node.inputs.first().map_or(0, |input| model.graph().fact(*input).rank());
    Some(match node.op.kind.as_str() {
        "Abs" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Ceiling" | "Convert" | "ConvertLike" | "Elu"
        | "Erf" | "Floor" | "Gelu" | "HSwish" | "Mish" | "Negative" | "PReLU" | "PRelu" | "ReLU" | "Relu"
        | "Round" | "Selu" | "Sign" | "Sin" | "Sinh" | "SoftSign" | "Sqrt" | "Swish" | "Tan" | "Tanh" => {
            Action::Pointwise(Zero::Kept)
        }
        "Clamp" => {
            let bound = |name| node.op.attribute(name).and_then(|text| text.trim().parse::<f64>().ok());
            let around_zero =
                bound("min").is_some_and(|min| min <= 0.0) && bound("max").is_some_and(|max| max >= 0.0);
            Action::Pointwise(if around_zero { Zero::Kept } else { Zero::Lost })
        }
        "Acos" | "Acosh" | "Cos" | "Cosh" | "Exp" | "HSigmoid" | "HardSigmoid" | "Log" | "LogicalNot"
        | "Sigmoid" | "SoftPlus" => Action::Pointwise(Zero::Lost),
        // The first set has the data third.
        "BatchNormInference" if node.op.opset != "opset1" => Action::Pointwise(Zero::Lost),
        "Add" | "Subtract" | "Maximum" | "Minimum" | "SquaredDifference" => {
            Action::Elementwise(Zero::AllZero)
        }
        "Multiply" => Action::Elementwise(Zero::Absorbing),
        "Divide" => Action::Elementwise(Zero::First),
        "Power" => {
            let exponent = node.inputs.get(1).and_then(|input| model.scalar(*input));
            Action::Elementwise(if exponent.is_some_and(|p| p > 0.0) { Zero::First } else { Zero::Lost })
        }
        "Equal" | "NotEqual" | "Greater" | "GreaterEqual" | "Less" | "LessEqual" | "LogicalAnd"
        | "LogicalOr" | "LogicalXor" | "Mod" | "FloorMod" | "Select" | "FakeQuantize" => {
            Action::Elementwise(Zero::Lost)
        }
        "MVN" => {
            // opset6 takes the axes as an input; opset1 as attributes.
            let axes = match node.inputs.len() {
                2.. => axes(&input_integers(model, node, 1)?, rank)?,
                _ => match node.op.integers("reduction_axes") {
                    Some(list) => axes(&list, rank)?,
                    None if node.op.flag("across_channels") => (1..rank).collect(),
                    None => (2..rank).collect(),
                },
            };
            Action::Within { axes, zero: Zero::Kept }
        }
        "NormalizeL2" => {
            Action::Within { axes: axes(&input_integers(model, node, 1)?, rank)?, zero: Zero::Kept }
        }
        "SoftMax" | "Softmax" => softmax(node, rank, 1)?,
        "LogSoftmax" | "LogSoftMax" => softmax(node, rank, 1)?,
        "GroupNormalization" => Action::Within { axes: (1..rank).collect(), zero: Zero::Lost },
        "LRN" => Action::Within { axes: axes(&input_integers(model, node, 1)?, rank)?, zero: Zero::Kept },
        "CumSum" => {
            let at = input_integers(model, node, 1)?;
            Action::Within { axes: vec![axis(at.first().copied(), rank)?], zero: Zero::Kept }
        }
        _ => return None,
    })
}

fn softmax(node: &Node, rank: usize, default: i64) -> Option<Action> {
    let axis = axis(Some(node.op.integer("axis").unwrap_or(default)), rank)?;
    Some(Action::Within { axes: vec![axis], zero: Zero::Lost })
}
