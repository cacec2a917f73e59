//! Evaluating small integer tensors before inference: axes, shapes and what is computed from shapes.
//!
//! Converters leave such arithmetic in the graph even where every extent is known (`ShapeOf`, `Gather`,
//! `FloorMod`, … before a `Pad`). Semantics: OpenVINO operation set 1.

use super::constants::{Constants, MAX_INTEGERS};
use crate::graph::{Node, OpKind, OutletId};
use crate::ir::{Dim, ElementType, resolve_axis};

/// Shape arithmetic is short. The bound is on visits, not on depth: what reads a value twice, and that
/// again and again, takes exponential time.
const MAX_VISITS: usize = 256;

impl Constants<'_> {
    /// The integers that an outlet holds, row-major.
    ///
    /// `None` where they depend on an input, are no integers or far too many to be a shape.
    pub(crate) fn integers(self, outlet: OutletId) -> Option<Vec<i64>> {
        let mut left = MAX_VISITS;
        evaluate(self, outlet, &mut left)
    }

    /// The integers of a node's input.
    pub(super) fn input_integers(self, node: &Node, input: usize) -> Option<Vec<i64>> {
        self.integers(*node.inputs.get(input)?)
    }
}

fn evaluate(constants: Constants<'_>, outlet: OutletId, left: &mut usize) -> Option<Vec<i64>> {
    *left = left.checked_sub(1)?;
    let node = constants.graph().node(outlet.node);
    let mut input = |i: usize| evaluate(constants, *node.inputs.get(i)?, left);
    match &node.op.kind {
        OpKind::Const => constants.of_const(node),
        OpKind::Convert if !is_float(constants, node) => input(0),
        OpKind::Reshape | OpKind::Squeeze | OpKind::Unsqueeze => input(0),
        OpKind::ShapeOf => {
            let shape = &constants.fact(*node.inputs.first()?).shape;
            shape.iter().map(|dim| i64::try_from(dim.fixed()?).ok()).collect()
        }
        OpKind::Gather => {
            let indices = input(1)?;
            let values = match shape_behind(constants, *node.inputs.first()?) {
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
        OpKind::Concat => {
            let parts = (0..node.inputs.len()).map(input).collect::<Option<Vec<_>>>()?;
            let short = parts.iter().map(Vec::len).sum::<usize>() <= MAX_INTEGERS;
            (short && constants.fact(outlet).rank() == 1).then(|| parts.concat())
        }
        OpKind::Split => split(constants, node, &input(0)?, *input(1)?.first()?, outlet.slot),
        OpKind::Range => {
            let (start, stop, step) = (*input(0)?.first()?, *input(1)?.first()?, *input(2)?.first()?);
            let count =
                usize::try_from(stop.checked_sub(start)?.checked_add(step)?.checked_sub(1)? / step.max(1));
            let count = count.ok().filter(|count| step > 0 && *count <= MAX_INTEGERS)?;
            (0..count).map(|i| start.checked_add(step.checked_mul(i64::try_from(i).ok()?)?)).collect()
        }
        OpKind::Broadcast => {
            let shape = fixed(&constants.fact(*node.inputs.first()?).shape)?;
            broadcast(&input(0)?, &shape, &fixed(&constants.fact(outlet).shape)?)
        }
        OpKind::ReduceProd => {
            Some(vec![input(0)?.iter().try_fold(1i64, |product, value| product.checked_mul(*value))?])
        }
        kind => {
            let operation = arithmetic(kind)?;
            let (a, b) = (input(0)?, input(1)?);
            let shape = |i: usize| fixed(&constants.fact(*node.inputs.get(i)?).shape);
            let out = fixed(&constants.fact(outlet).shape)?;
            let (a, b) = (broadcast(&a, &shape(0)?, &out)?, broadcast(&b, &shape(1)?, &out)?);
            a.into_iter().zip(b).map(|(a, b)| operation(a, b)).collect()
        }
    }
}

/// The extents of a tensor whose shape an outlet holds.
fn shape_behind(constants: Constants<'_>, outlet: OutletId) -> Option<Vec<Option<i64>>> {
    let mut node = constants.graph().node(outlet.node);
    while node.op.kind == OpKind::Convert {
        node = constants.graph().node(node.inputs.first()?.node);
    }
    if node.op.kind != OpKind::ShapeOf {
        return None;
    }
    let shape = &constants.fact(*node.inputs.first()?).shape;
    Some(shape.iter().map(|dim| i64::try_from(dim.fixed()?).ok()).collect())
}

fn fixed(shape: &[Dim]) -> Option<Vec<usize>> {
    shape.iter().map(|dim| dim.fixed()).collect()
}

/// Values of a tensor laid out as a larger shape, as numpy broadcasts.
fn broadcast(values: &[i64], shape: &[usize], out: &[usize]) -> Option<Vec<i64>> {
    let count = out.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent))?;
    let fits = shape.len() <= out.len()
        && shape.iter().rev().zip(out.iter().rev()).all(|(own, wide)| own == wide || *own == 1);
    if !fits || count > MAX_INTEGERS || shape.iter().product::<usize>() != values.len() {
        return None;
    }
    (0..count)
        .map(|mut i| {
            let (mut at, mut stride) = (0, 1);
            for (back, extent) in out.iter().rev().enumerate() {
                let place = i % extent;
                i /= extent;
                if let Some(own) = shape.len().checked_sub(back + 1).map(|axis| shape[axis]) {
                    at += if own == 1 { 0 } else { place * stride };
                    stride *= own;
                }
            }
            values.get(at).copied()
        })
        .collect()
}

/// One part of a split tensor, whose elements are given in order.
fn split(constants: Constants<'_>, node: &Node, values: &[i64], axis: i64, slot: usize) -> Option<Vec<i64>> {
    let shape = &constants.fact(*node.inputs.first()?).shape;
    let shape: Vec<usize> = shape.iter().map(|dim| dim.fixed()).collect::<Option<_>>()?;
    let axis = resolve_axis(axis, shape.len())?;
    let inner: usize = shape[axis + 1..].iter().product();
    let part = shape[axis].checked_div(node.outputs.len())?.checked_mul(inner)?;
    let row = shape[axis].checked_mul(inner).filter(|row| *row > 0)?;
    let parts = values.chunks_exact(row).map(|row| row.get(slot * part..(slot + 1) * part));
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

fn is_float(constants: Constants<'_>, node: &Node) -> bool {
    let source = node.inputs.first().map(|input| constants.fact(*input).element);
    source.is_none_or(ElementType::is_float)
}

fn arithmetic(kind: &OpKind) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match kind {
        OpKind::Add => i64::checked_add,
        OpKind::Subtract => i64::checked_sub,
        OpKind::Multiply => i64::checked_mul,
        OpKind::Maximum => |a, b| Some(a.max(b)),
        OpKind::Minimum => |a, b| Some(a.min(b)),
        // Rounds down, as Python does.
        OpKind::Divide => |a: i64, b: i64| {
            let quotient = a.checked_div(b)?;
            let inexact = a.checked_rem(b)? != 0;
            Some(if inexact && ((a < 0) != (b < 0)) { quotient - 1 } else { quotient })
        },
        OpKind::FloorMod => |a: i64, b: i64| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && ((rest < 0) != (b < 0)) { rest + b } else { rest })
        },
        OpKind::Mod => i64::checked_rem,
        OpKind::Greater => |a, b| Some(i64::from(a > b)),
        OpKind::Less => |a, b| Some(i64::from(a < b)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{arithmetic, broadcast};

    #[test]
    fn values_broadcast_from_the_right() {
        assert_eq!(broadcast(&[1, 2], &[1, 2], &[3, 2]), Some(vec![1, 2, 1, 2, 1, 2]));
        assert_eq!(broadcast(&[1, 2, 3], &[3, 1], &[3, 2]), Some(vec![1, 1, 2, 2, 3, 3]));
        assert_eq!(broadcast(&[7], &[], &[2, 2]), Some(vec![7; 4]));
        assert_eq!(broadcast(&[1, 2], &[2], &[3]), None);
        assert_eq!(broadcast(&[1, 2], &[2], &[usize::MAX, 2]), None);
    }

    #[test]
    fn division_rounds_as_openvino_does() {
        let of = |kind: &str, a, b| arithmetic(&kind.into()).and_then(|f| f(a, b));
        assert_eq!(of("Divide", -7, 2), Some(-4));
        assert_eq!(of("FloorMod", -7, 2), Some(1));
        assert_eq!(of("FloorMod", 7, -2), Some(-1));
        assert_eq!(of("Mod", -7, 2), Some(-1));
        assert_eq!(of("Divide", 1, 0), None);
        assert_eq!(of("Multiply", i64::MAX, 2), None);
        assert_eq!(of("Power", 2, 2), None);
    }
}
