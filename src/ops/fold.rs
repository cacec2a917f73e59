//! Evaluating small integer tensors before inference: axes, shapes and what is computed from shapes.
//!
//! Converters leave such arithmetic in the graph even where every extent is known (`ShapeOf`, `Gather`,
//! `FloorMod`, … before a `Pad`). Where an extent is not known, its symbol is followed. Semantics: OpenVINO operation
//! sets 1 to 16.

use super::constants::{Constants, MAX_INTEGERS};
use super::extents::Elements;
use crate::graph::{Node, OpKind, OutletId, SymInt, Symbols};
use crate::ir::resolve_axis;

impl Constants<'_> {
    /// The integers that an outlet holds, row-major.
    ///
    /// `None` where they depend on an input, are no integers or far too many to be a shape.
    pub(crate) fn integers(self, outlet: OutletId) -> Option<Vec<i64>> {
        let node = self.graph().node(outlet.node);
        if node.op.kind == OpKind::Const {
            return self.of_const(node);
        }
        let elements = self.known(outlet)?.elements.as_ref()?;
        elements.iter().map(|element| element.as_ref()?.number()).collect()
    }

    /// The same with symbols, as far as they are known.
    pub(crate) fn elements(self, outlet: OutletId) -> Option<Elements> {
        let node = self.graph().node(outlet.node);
        if node.op.kind == OpKind::Const {
            return Some(self.of_const(node)?.into_iter().map(|value| Some(SymInt::Number(value))).collect());
        }
        self.known(outlet)?.elements.clone()
    }

    /// The integers of a node's input.
    pub(super) fn input_integers(self, node: &Node, input: usize) -> Option<Vec<i64>> {
        self.integers(*node.inputs.get(input)?)
    }

    /// The integers of a node's input with symbols.
    pub(super) fn input_elements(self, node: &Node, input: usize) -> Option<Elements> {
        self.elements(*node.inputs.get(input)?)
    }
}

/// The elements of an output of a node that is no Const; `dims` is its shape.
pub(super) fn evaluate(
    constants: Constants<'_>,
    node: &Node,
    slot: usize,
    dims: &[SymInt],
    symbols: &mut Symbols,
) -> Option<Elements> {
    let out: Vec<usize> = dims.iter().map(SymInt::fixed).collect::<Option<_>>()?;
    let count = out.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent))?;
    if count > MAX_INTEGERS {
        return None;
    }
    let input = |i: usize| constants.input_elements(node, i);
    let found = match &node.op.kind {
        OpKind::Convert | OpKind::Reshape | OpKind::Squeeze | OpKind::Unsqueeze => input(0),
        OpKind::Round => input(0),
        OpKind::Floor => input(0).or_else(|| divided(constants, node, &out, symbols, false)),
        OpKind::Ceiling => input(0).or_else(|| divided(constants, node, &out, symbols, true)),
        OpKind::ShapeOf => {
            let dims = &constants.known(*node.inputs.first()?)?.dims;
            Some(dims.iter().cloned().map(Some).collect())
        }
        OpKind::Gather => gather(constants, node),
        OpKind::Slice | OpKind::StridedSlice => slice(constants, node),
        OpKind::Concat if out.len() == 1 => {
            // A part of which nothing is known counts all the same.
            let part = |outlet: &OutletId| {
                let count = constants.known(*outlet).and_then(|known| known.dims.first()?.fixed());
                constants
                    .elements(*outlet)
                    .or_else(|| Some(vec![None; count.filter(|count| *count <= MAX_INTEGERS)?]))
            };
            Some(node.inputs.iter().map(part).collect::<Option<Vec<_>>>()?.concat())
        }
        OpKind::Split | OpKind::VariadicSplit => split(constants, node, slot, &out),
        OpKind::Range => range(constants, node),
        OpKind::Broadcast => broadcast(&input(0)?, &constants.fixed_dims(*node.inputs.first()?)?, &out),
        OpKind::ReduceProd => {
            let factors = input(0)?.into_iter().collect::<Option<Vec<_>>>();
            Some(vec![factors.and_then(|factors| SymInt::product(&factors))])
        }
        OpKind::Select => {
            let operand = |i: usize| broadcast(&input(i)?, &constants.fixed_dims(node.inputs[i])?, &out);
            let (condition, yes, no) = (operand(0)?, operand(1)?, operand(2)?);
            let chosen = condition.into_iter().zip(yes.into_iter().zip(no)).map(|(condition, (yes, no))| {
                match condition?.number()? {
                    0 => no,
                    _ => yes,
                }
            });
            Some(chosen.collect())
        }
        _ => arithmetic(constants, node, &out, symbols),
    }?;
    (found.len() == count && found.iter().any(Option::is_some)).then_some(found)
}

/// What one operation of arithmetic makes.
fn arithmetic(
    constants: Constants<'_>,
    node: &Node,
    out: &[usize],
    symbols: &mut Symbols,
) -> Option<Elements> {
    let operand = |i: usize| {
        let outlet = *node.inputs.get(i)?;
        broadcast(&constants.elements(outlet)?, &constants.fixed_dims(outlet)?, out)
    };
    let (a, b) = (operand(0)?, operand(1)?);
    let float = constants.fact(*node.inputs.first()?).element.is_float();
    let mut one = |a: Option<SymInt>, b: Option<SymInt>| {
        let (a, b) = (a?, b?);
        match &node.op.kind {
            OpKind::Add => a.plus(&b),
            OpKind::Subtract => a.minus(&b),
            OpKind::Multiply => a.times(&b),
            // That of integers rounds down, as Python does; of real numbers only what divides is an integer.
            OpKind::Divide if float => a.divided(&b),
            OpKind::Divide => quotient(symbols, &a, &b),
            OpKind::FloorMod => a.minus(&quotient(symbols, &a, &b)?.times(&b)?),
            kind => compared(kind, &a, &b, symbols),
        }
    };
    if !of_two(&node.op.kind) {
        return None;
    }
    Some(a.into_iter().zip(b).map(|(a, b)| one(a, b)).collect())
}

fn of_two(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Add
            | OpKind::Subtract
            | OpKind::Multiply
            | OpKind::Divide
            | OpKind::FloorMod
            | OpKind::Mod
            | OpKind::Maximum
            | OpKind::Minimum
            | OpKind::Greater
            | OpKind::Less
            | OpKind::Equal
            | OpKind::NotEqual
    )
}

/// `a / b`, rounded down.
fn quotient(symbols: &mut Symbols, a: &SymInt, b: &SymInt) -> Option<SymInt> {
    match (a.number(), b.number()) {
        (Some(a), Some(b)) => {
            let down = a.checked_rem(b)? != 0 && ((a < 0) != (b < 0));
            Some(SymInt::Number(a.checked_div(b)? - i64::from(down)))
        }
        (_, Some(b)) => symbols.quotient(a, b),
        _ => a.divided(b),
    }
}

/// Operations that need numbers, or operands that are surely alike or surely different.
fn compared(kind: &OpKind, a: &SymInt, b: &SymInt, symbols: &Symbols) -> Option<SymInt> {
    let same = match (a.number(), b.number()) {
        _ if a == b => Some(true),
        (Some(_), Some(_)) => Some(false),
        // No extent is negative.
        (Some(number), None) if number < 0 && symbols.is_extent(b) => Some(false),
        (None, Some(number)) if number < 0 && symbols.is_extent(a) => Some(false),
        _ => None,
    };
    match kind {
        OpKind::Equal => return Some(SymInt::Number(i64::from(same?))),
        OpKind::NotEqual => return Some(SymInt::Number(i64::from(!same?))),
        OpKind::Maximum | OpKind::Minimum if same == Some(true) => return Some(a.clone()),
        _ => {}
    }
    let (a, b) = (a.number()?, b.number()?);
    Some(SymInt::Number(match kind {
        OpKind::Mod => a.checked_rem(b)?,
        OpKind::Maximum => a.max(b),
        OpKind::Minimum => a.min(b),
        OpKind::Greater => i64::from(a > b),
        OpKind::Less => i64::from(a < b),
        _ => return None,
    }))
}

/// A quotient of real numbers that is rounded.
fn divided(
    constants: Constants<'_>,
    node: &Node,
    out: &[usize],
    symbols: &mut Symbols,
    up: bool,
) -> Option<Elements> {
    let division = constants.graph().node(node.inputs.first()?.node);
    if division.op.kind != OpKind::Divide {
        return None;
    }
    let operand = |i: usize| {
        let outlet = *division.inputs.get(i)?;
        let elements = constants.elements(outlet).or_else(|| constants.whole_numbers(outlet))?;
        broadcast(&elements, &constants.fixed_dims(outlet)?, out)
    };
    let (a, b) = (operand(0)?, operand(1)?);
    let minus = |a: &SymInt| a.times(&SymInt::Number(-1));
    let mut one = |a: Option<SymInt>, b: Option<SymInt>| {
        let (a, b) = (a?, b?);
        if up { minus(&quotient(symbols, &minus(&a)?, &b)?) } else { quotient(symbols, &a, &b) }
    };
    Some(a.into_iter().zip(b).map(|(a, b)| one(a, b)).collect())
}

fn gather(constants: Constants<'_>, node: &Node) -> Option<Elements> {
    let (values, indices) = (constants.input_elements(node, 0)?, constants.input_integers(node, 1)?);
    // Of a list.
    if constants.fact(*node.inputs.first()?).rank() != 1 || constants.input_integers(node, 2)? != [0] {
        return None;
    }
    let pick = |index: &i64| {
        let back = if *index < 0 { values.len() } else { 0 };
        let place = index.checked_add(i64::try_from(back).ok()?)?;
        values.get(usize::try_from(place).ok()?).cloned()
    };
    indices.iter().map(pick).collect()
}

/// A part of a list.
fn slice(constants: Constants<'_>, node: &Node) -> Option<Elements> {
    let values = constants.input_elements(node, 0)?;
    let one = |i: usize| {
        let listed = constants.input_integers(node, i)?;
        if let [only] = listed[..] { Some(only) } else { None }
    };
    if constants.fact(*node.inputs.first()?).rank() != 1 {
        return None;
    }
    let step = if node.inputs.len() > 3 { one(3)? } else { 1 };
    let masked = |name: &str| node.op.integers(name).is_some_and(|bits| bits.first() == Some(&1));
    if step != 1 || masked("new_axis_mask") || masked("ellipsis_mask") {
        return None;
    }
    let len = values.len();
    let at = |value: i64| {
        let back = usize::try_from(value.unsigned_abs()).unwrap_or(usize::MAX);
        if value < 0 { len.saturating_sub(back) } else { back.min(len) }
    };
    let begin = if masked("begin_mask") { 0 } else { at(one(1)?) };
    let end = match masked("end_mask") {
        _ if masked("shrink_axis_mask") => begin + 1,
        true => len,
        false => at(one(2)?),
    };
    values.get(begin..end.max(begin)).map(<[_]>::to_vec)
}

/// One part of a split tensor, whose elements are given in order.
fn split(constants: Constants<'_>, node: &Node, slot: usize, out: &[usize]) -> Option<Elements> {
    let values = constants.input_elements(node, 0)?;
    let shape = constants.fixed_dims(*node.inputs.first()?)?;
    let axis = resolve_axis(*constants.input_integers(node, 1)?.first()?, shape.len())?;
    let extents = (0..slot).map(|slot| constants.out_extent(node, slot, axis));
    let before = extents.sum::<Option<usize>>()?;
    let inner = shape[axis + 1..].iter().try_fold(1usize, |count, extent| count.checked_mul(*extent))?;
    let row = shape[axis].checked_mul(inner).filter(|row| *row > 0)?;
    let (from, to) = (before.checked_mul(inner)?, before.checked_add(*out.get(axis)?)?.checked_mul(inner)?);
    let parts = values.chunks_exact(row).map(|row| row.get(from..to));
    Some(parts.collect::<Option<Vec<_>>>()?.concat())
}

fn range(constants: Constants<'_>, node: &Node) -> Option<Elements> {
    let one = |i: usize| constants.input_integers(node, i)?.first().copied();
    let (start, stop, step) = (one(0)?, one(1)?, one(2)?);
    let count = usize::try_from(stop.checked_sub(start)?.checked_add(step)?.checked_sub(1)? / step.max(1));
    let count = count.ok().filter(|count| step > 0 && *count <= MAX_INTEGERS)?;
    let at = |i: usize| start.checked_add(step.checked_mul(i64::try_from(i).ok()?)?);
    (0..count).map(|i| Some(at(i).map(SymInt::Number))).collect()
}

/// Values of a tensor laid out as a larger shape, as numpy broadcasts.
fn broadcast<T: Clone>(values: &[T], shape: &[usize], out: &[usize]) -> Option<Vec<T>> {
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
            values.get(at).cloned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{broadcast, compared, quotient};
    use crate::graph::{NodeId, OpKind, OutletId, SymInt, Symbols};

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
        let mut symbols = Symbols::default();
        let mut of = |a, b| quotient(&mut symbols, &SymInt::Number(a), &SymInt::Number(b))?.number();
        assert_eq!(of(-7, 2), Some(-4));
        assert_eq!(of(7, -2), Some(-4));
        assert_eq!(of(7, 2), Some(3));
        assert_eq!(of(1, 0), None);
    }

    #[test]
    fn extents_are_compared_where_no_inference_is_needed() {
        let mut symbols = Symbols::default();
        let rows = symbols.dimension(OutletId::new(NodeId(0), 0), 2);
        let of =
            |kind: OpKind, a: &SymInt, b: i64| compared(&kind, a, &SymInt::Number(b), &symbols)?.number();
        assert_eq!(of(OpKind::Equal, &rows, -1), Some(0));
        assert_eq!(of(OpKind::NotEqual, &rows, -1), Some(1));
        assert_eq!(of(OpKind::Equal, &rows, 224), None);
        assert_eq!(of(OpKind::Maximum, &SymInt::Number(3), 5), Some(5));
        assert_eq!(of(OpKind::Mod, &SymInt::Number(-7), 2), Some(-1));
        assert_eq!(compared(&OpKind::Minimum, &rows, &rows, &symbols), Some(rows.clone()));
    }
}
