//! Evaluating small integer tensors before inference: axes, shapes and what is computed from shapes.
//!
//! Converters leave such arithmetic in the graph even where every extent is known (`ShapeOf`, `Gather`,
//! `FloorMod`, … before a `Pad`). Semantics: OpenVINO operation set 1.

use super::{MAX_INTEGERS, Model};
use crate::graph::{Node, OutletId};
use crate::ir::{ElementType, resolve_axis};

/// Shape arithmetic is short. The bound is on visits, not on depth: what reads a value twice, and that
/// again and again, takes exponential time.
const MAX_VISITS: usize = 256;

/// The values of an integer tensor of rank 0 or 1, where known.
pub(super) fn integers(model: &Model, outlet: OutletId) -> Option<Vec<i64>> {
    let mut left = MAX_VISITS;
    evaluate(model, outlet, &mut left)
}

fn evaluate(model: &Model, outlet: OutletId, left: &mut usize) -> Option<Vec<i64>> {
    *left = left.checked_sub(1)?;
    let node = model.node(outlet.node);
    let mut input = |i: usize| evaluate(model, *node.inputs.get(i)?, left);
    match node.op.kind.as_str() {
        "Const" => model.constant(node),
        "Convert" if !is_float(model, node) => input(0),
        "Reshape" | "Squeeze" | "Unsqueeze" => input(0),
        "ShapeOf" => {
            let shape = &model.graph().fact(*node.inputs.first()?).shape;
            shape.iter().map(|dim| i64::try_from(dim.fixed()?).ok()).collect()
        }
        "Gather" => {
            let indices = input(1)?;
            let values = match shape_behind(model, *node.inputs.first()?) {
                // Of a shape, only what is taken has to be known.
                Some(dims) => dims,
                None => input(0)?.into_iter().map(Some).collect(),
            };
            let pick = |index: &i64| {
                let back = if *index < 0 { values.len() } else { 0 };
                let place = index.checked_add(i64::try_from(back).ok()?)?;
                *values.get(usize::try_from(place).ok()?)?
            };
            (input(2)? == [0]).then(|| indices.iter().map(pick).collect()).flatten()
        }
        "Concat" => {
            let parts = (0..node.inputs.len()).map(input).collect::<Option<Vec<_>>>()?;
            let short = parts.iter().map(Vec::len).sum::<usize>() <= MAX_INTEGERS;
            (short && model.graph().fact(outlet).rank() == 1).then(|| parts.concat())
        }
        "Split" => split(model, node, &input(0)?, *input(1)?.first()?, outlet.slot),
        "ReduceProd" => {
            Some(vec![input(0)?.iter().try_fold(1i64, |product, value| product.checked_mul(*value))?])
        }
        kind => {
            let operation = arithmetic(kind)?;
            let (a, b) = (input(0)?, input(1)?);
            let length = if a.len() == 1 { b.len() } else { a.len() };
            if a.is_empty() || b.is_empty() || (b.len() != length && b.len() != 1) {
                return None;
            }
            (0..length).map(|i| operation(a[i % a.len()], b[i % b.len()])).collect()
        }
    }
}

/// The extents of a tensor whose shape an outlet holds.
fn shape_behind(model: &Model, outlet: OutletId) -> Option<Vec<Option<i64>>> {
    let mut node = model.node(outlet.node);
    while node.op.kind == "Convert" {
        node = model.node(node.inputs.first()?.node);
    }
    if node.op.kind != "ShapeOf" {
        return None;
    }
    let shape = &model.graph().fact(*node.inputs.first()?).shape;
    Some(shape.iter().map(|dim| i64::try_from(dim.fixed()?).ok()).collect())
}

/// One part of a split tensor, whose elements are given in order.
fn split(model: &Model, node: &Node, values: &[i64], axis: i64, slot: usize) -> Option<Vec<i64>> {
    let shape = &model.graph().fact(*node.inputs.first()?).shape;
    let shape: Vec<usize> = shape.iter().map(|dim| dim.fixed()).collect::<Option<_>>()?;
    let axis = resolve_axis(axis, shape.len())?;
    let inner: usize = shape[axis + 1..].iter().product();
    let part = shape[axis].checked_div(node.outputs.len())?.checked_mul(inner)?;
    let row = shape[axis].checked_mul(inner).filter(|row| *row > 0)?;
    let parts = values.chunks_exact(row).map(|row| row.get(slot * part..(slot + 1) * part));
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

fn is_float(model: &Model, node: &Node) -> bool {
    let source = node.inputs.first().map(|input| model.graph().fact(*input).element);
    source.is_none_or(ElementType::is_float)
}

fn arithmetic(kind: &str) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match kind {
        "Add" => i64::checked_add,
        "Subtract" => i64::checked_sub,
        "Multiply" => i64::checked_mul,
        "Maximum" => |a, b| Some(a.max(b)),
        "Minimum" => |a, b| Some(a.min(b)),
        // Rounds down, as Python does.
        "Divide" => |a: i64, b: i64| {
            let quotient = a.checked_div(b)?;
            let inexact = a.checked_rem(b)? != 0;
            Some(if inexact && ((a < 0) != (b < 0)) { quotient - 1 } else { quotient })
        },
        "FloorMod" => |a: i64, b: i64| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && ((rest < 0) != (b < 0)) { rest + b } else { rest })
        },
        "Mod" => i64::checked_rem,
        "Greater" => |a, b| Some(i64::from(a > b)),
        "Less" => |a, b| Some(i64::from(a < b)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::arithmetic;

    #[test]
    fn division_rounds_as_openvino_does() {
        let of = |kind: &str, a, b| arithmetic(kind).and_then(|f| f(a, b));
        assert_eq!(of("Divide", -7, 2), Some(-4));
        assert_eq!(of("FloorMod", -7, 2), Some(1));
        assert_eq!(of("FloorMod", 7, -2), Some(-1));
        assert_eq!(of("Mod", -7, 2), Some(-1));
        assert_eq!(of("Divide", 1, 0), None);
        assert_eq!(of("Multiply", i64::MAX, 2), None);
        assert_eq!(of("Power", 2, 2), None);
    }
}
