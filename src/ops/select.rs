//! Operations that take parts of axes.

use super::extents::Elements;
use super::{Action, Constants, axes, axis};
use crate::graph::{Node, OpKind, OutletId, SymInt, Symbols};
use crate::ir::Dim;

/// Which part of an axis an operation takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The axis of the input.
    pub axis: usize,
    /// First index, counted from the start; `None` where not known.
    pub start: Option<usize>,
    /// The index after the last one, where the part ends before the axis does and that is known.
    pub end: Option<SymInt>,
    /// Whether the part reaches to the end of the axis.
    pub to_end: bool,
    /// Step; 1 for contiguous parts, 0 for a list of indices.
    pub step: usize,
    /// Whether the axis is gone in the output.
    pub drops: bool,
}

impl Selection {
    /// How many elements of an axis of the extent `whole` are taken; `None` where that is not known.
    pub(super) fn length(&self, whole: &SymInt, symbols: &mut Symbols) -> Option<SymInt> {
        let step = i64::try_from(self.step).ok()?;
        let end = match &self.end {
            _ if self.to_end => whole,
            Some(end) => end,
            None => return None,
        };
        let room = end.minus(&SymInt::from(self.start?))?;
        symbols.quotient(&room.plus(&SymInt::Number(step.checked_sub(1)?))?, step)
    }
}

pub(super) fn action(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    match &node.op.kind {
        OpKind::Split => split(constants, node, rank),
        OpKind::VariadicSplit => variadic_split(constants, node, rank),
        OpKind::Slice => slice(constants, node, rank),
        OpKind::StridedSlice => strided_slice(constants, node, rank),
        OpKind::Gather => gather(constants, node, rank),
        OpKind::Pad => {
            let (begins, ends) = (constants.input_elements(node, 1)?, constants.input_elements(node, 2)?);
            let pads = begins.into_iter().zip(ends);
            let pads = pads.map(|(begin, end)| Some((begin?, end?))).collect::<Option<Vec<_>>>()?;
            let none = SymInt::Number(0);
            let changed = pads.iter().enumerate().filter(|(_, (begin, end))| *begin != none || *end != none);
            Some(Action::Resample { axes: changed.map(|(axis, _)| axis).collect() })
        }
        OpKind::Reverse if node.op.attribute("mode") == Some("index") => {
            Some(Action::Resample { axes: axes(&constants.input_integers(node, 1)?, rank)? })
        }
        OpKind::ShuffleChannels => {
            Some(Action::Resample { axes: vec![axis(Some(node.op.integer("axis").unwrap_or(1)), rank)?] })
        }
        OpKind::Roll => Some(Action::Resample { axes: axes(&constants.input_integers(node, 2)?, rank)? }),
        OpKind::Interpolate => {
            let (listed, given) = match node.op.opset.as_str() {
                "opset1" => (node.op.integers("axes"), true),
                "opset11" => (constants.input_integers(node, 2), node.inputs.len() > 2),
                _ => (constants.input_integers(node, 3), node.inputs.len() > 3),
            };
            let all = || (0..rank).collect();
            let axes = if given { axes(&listed?, rank)? } else { all() };
            Some(Action::Resample { axes })
        }
        _ => None,
    }
}

fn extent(constants: Constants<'_>, node: &Node, axis: usize) -> Option<usize> {
    constants.fact(*node.inputs.first()?).shape.get(axis)?.fixed()
}

fn split(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let axis = axis(constants.input_integers(node, 1)?.first().copied(), rank)?;
    let count = node.outputs.len();
    let size = extent(constants, node, axis)
        .filter(|size| count > 0 && size.is_multiple_of(count))
        .map(|size| size / count);
    let parts = (0..count).map(|slot| {
        let start = size.and_then(|size| size.checked_mul(slot));
        vec![Selection { axis, start, end: None, to_end: slot + 1 == count, step: 1, drops: false }]
    });
    Some(Action::Select(parts.collect()))
}

fn variadic_split(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let axis = axis(constants.input_integers(node, 1)?.first().copied(), rank)?;
    let lengths = constants.input_elements(node, 2)?;
    let count = node.outputs.len();
    let mut start = Some(0usize);
    let parts = lengths.iter().enumerate().map(|(slot, length)| {
        let pick = Selection { axis, start, end: None, to_end: slot + 1 == count, step: 1, drops: false };
        start = start.and_then(|start| start.checked_add(length.as_ref()?.fixed()?));
        vec![pick]
    });
    let parts: Vec<_> = parts.collect();
    (parts.len() == count).then_some(Action::Select(parts))
}

/// One axis of a slice of the extent `whole`, from numbers that count from the end where negative.
fn range(whole: &SymInt, axis: usize, start: &SymInt, stop: &SymInt, step: i64) -> Option<Selection> {
    let step = usize::try_from(step).ok().filter(|step| *step > 0)?;
    let from_end = |value: i64| match whole.fixed() {
        Some(size) => Some(SymInt::from(size.saturating_sub(usize::try_from(value.unsigned_abs()).ok()?))),
        None => whole.plus(&SymInt::Number(value)),
    };
    let at = |value: &SymInt| match value.number() {
        Some(number) if number < 0 => from_end(number),
        _ => Some(value.clone()),
    };
    let start = at(start).and_then(|start| start.fixed());
    let end = at(stop);
    let far = stop.number().is_some_and(|stop| stop >= i64::from(i32::MAX));
    let beyond = |end: &SymInt| {
        *end == *whole || end.number().zip(whole.number()).is_some_and(|(end, whole)| end >= whole)
    };
    let to_end = far || end.as_ref().is_some_and(beyond);
    Some(Selection { axis, start, end: end.filter(|_| !to_end), to_end, step, drops: false })
}

/// From `value` to the next one.
fn single(whole: &SymInt, axis: usize, value: &SymInt) -> Option<Selection> {
    let pick = range(whole, axis, value, &SymInt::Number(i64::MAX), 1)?;
    Some(Selection { drops: true, to_end: false, ..pick })
}

/// Whether a slice takes all of an axis, from the last element to the first.
fn reverses(size: Option<usize>, start: i64, stop: i64, step: i64) -> bool {
    let size = size.and_then(|size| i64::try_from(size).ok());
    let far = i64::from(i32::MAX);
    let from_last = start == -1 || start >= far || size.is_some_and(|size| start >= size - 1);
    let to_first = stop <= -far || size.is_some_and(|size| stop < -size);
    step == -1 && from_last && to_first
}

/// What stands at a place of bounds of which all are known.
fn bound(elements: &Elements, at: usize) -> Option<&SymInt> {
    elements.get(at)?.as_ref()
}

/// The number that stands there.
fn number(elements: &Elements, at: usize) -> Option<i64> {
    bound(elements, at)?.number()
}

/// The extents of what is selected from.
fn extents<'a>(constants: Constants<'a>, node: &Node) -> Option<&'a [SymInt]> {
    Some(&constants.known(*node.inputs.first()?)?.dims)
}

fn slice(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let (starts, stops, steps) = (
        constants.input_elements(node, 1)?,
        constants.input_elements(node, 2)?,
        constants.input_integers(node, 3)?,
    );
    let whole_axes = extents(constants, node)?;
    let axes = match node.inputs.get(4) {
        Some(_) => axes(&constants.input_integers(node, 4)?, rank)?,
        None => (0..starts.len()).collect(),
    };
    if steps.iter().any(|step| *step < 0) {
        let backwards = |(i, &axis): (usize, &usize)| {
            let size = extent(constants, node, axis);
            reverses(size, number(&starts, i)?, number(&stops, i)?, *steps.get(i)?).then_some(axis)
        };
        let axes = axes.iter().enumerate().map(backwards).collect::<Option<_>>()?;
        return Some(Action::Resample { axes });
    }
    let picks = axes.iter().enumerate().map(|(i, &axis)| {
        range(whole_axes.get(axis)?, axis, bound(&starts, i)?, bound(&stops, i)?, *steps.get(i)?)
    });
    let picks: Vec<Selection> = picks.collect::<Option<_>>()?;
    let picks = picks.into_iter().filter(|pick| !whole(pick)).collect();
    Some(Action::Select(vec![picks]))
}

fn whole(pick: &Selection) -> bool {
    pick.start == Some(0) && pick.to_end && pick.step == 1
}

fn strided_slice(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    let mask = |name: &str, axis: usize| {
        node.op.integers(name).and_then(|list| list.get(axis).copied()).is_some_and(|bit| bit == 1)
    };
    let (begins, ends) = (constants.input_elements(node, 1)?, constants.input_elements(node, 2)?);
    let whole_axes = extents(constants, node)?;
    let steps = match node.inputs.get(3) {
        Some(_) => constants.input_integers(node, 3)?,
        None => vec![1; begins.len()],
    };
    if begins.len() > rank
        || (0..begins.len()).any(|axis| mask("new_axis_mask", axis) || mask("ellipsis_mask", axis))
    {
        return None;
    }
    let (mut picks, mut reversed) = (Vec::new(), Vec::new());
    for axis in 0..begins.len() {
        let (size, extent) = (extent(constants, node, axis), whole_axes.get(axis)?);
        let step = *steps.get(axis)?;
        if step < 0 {
            // A mask stands for the end that the direction begins with.
            let begin = if mask("begin_mask", axis) { -1 } else { number(&begins, axis)? };
            let end = if mask("end_mask", axis) { i64::MIN } else { number(&ends, axis)? };
            if mask("shrink_axis_mask", axis) || !reverses(size, begin, end, step) {
                return None;
            }
            reversed.push(axis);
            continue;
        }
        let (zero, far) = (SymInt::Number(0), SymInt::Number(i64::MAX));
        let begin = if mask("begin_mask", axis) { &zero } else { bound(&begins, axis)? };
        if mask("shrink_axis_mask", axis) {
            picks.push(single(extent, axis, begin)?);
            continue;
        }
        let end = if mask("end_mask", axis) { &far } else { bound(&ends, axis)? };
        let pick = range(extent, axis, begin, end, step)?;
        if !whole(&pick) {
            picks.push(pick);
        }
    }
    match (&picks[..], &reversed[..]) {
        (_, []) => Some(Action::Select(vec![picks])),
        ([], _) => Some(Action::Resample { axes: reversed }),
        _ => None,
    }
}

fn gather(constants: Constants<'_>, node: &Node, rank: usize) -> Option<Action> {
    if node.op.integer("batch_dims").unwrap_or(0) != 0 {
        return None;
    }
    let axis = axis(constants.input_integers(node, 2)?.first().copied(), rank)?;
    let indices = *node.inputs.get(1)?;
    let values = constants.integers(indices)?;
    let pick = match constants.fact(indices).rank() {
        0 => {
            let value = SymInt::Number(*values.first()?);
            single(extents(constants, node)?.get(axis)?, axis, &value)?
        }
        1 if extent(constants, node, axis) == Some(values.len()) && values.len() > 1 && falls(&values) => {
            return Some(Action::Resample { axes: vec![axis] });
        }
        1 => Selection { axis, start: None, end: None, to_end: false, step: 0, drops: false },
        2 => return unfold(constants, axis, indices, &values),
        _ => return None,
    };
    Some(Action::Select(vec![vec![pick]]))
}

/// Whether indices run from the last to the first; negative ones count from the end.
fn falls(values: &[i64]) -> bool {
    let count = values.len();
    let at = |value: i64| usize::try_from(if value < 0 { value + count as i64 } else { value });
    values.iter().enumerate().all(|(i, value)| at(*value) == Ok(count - 1 - i))
}

/// A gather of all `offset * dilation + patch * stride`.
fn unfold(constants: Constants<'_>, axis: usize, indices: OutletId, values: &[i64]) -> Option<Action> {
    let [Dim::Fixed(offsets), Dim::Fixed(patches)] = constants.fact(indices).shape[..] else {
        return None;
    };
    if offsets < 2 || patches < 2 || values.len() != offsets.checked_mul(patches)? || values[0] != 0 {
        return None;
    }
    let (stride, dilation) = (usize::try_from(values[1]).ok()?, usize::try_from(values[patches]).ok()?);
    let regular = values.iter().enumerate().all(|(i, value)| {
        let (offset, patch) = (i / patches, i % patches);
        let at =
            offset.checked_mul(dilation).zip(patch.checked_mul(stride)).and_then(|(a, b)| a.checked_add(b));
        at.is_some_and(|at| usize::try_from(*value) == Ok(at))
    });
    (regular && stride > 0 && dilation > 0).then_some(Action::Unfold { axis, dilation, stride })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(size: Option<usize>, start: i64, stop: i64, step: i64) -> Option<(Option<usize>, bool, usize)> {
        let whole = size.map_or_else(rows, SymInt::from);
        let pick = range(&whole, 0, &SymInt::Number(start), &SymInt::Number(stop), step);
        pick.map(|pick| (pick.start, pick.to_end, pick.step))
    }

    /// An extent that is known only at inference.
    fn rows() -> SymInt {
        crate::graph::Symbols::default().dimension(OutletId::new(crate::graph::NodeId(0), 0), 2)
    }

    #[test]
    fn bounds_may_be_symbols() {
        let (rows, zero) = (rows(), SymInt::Number(0));
        assert!(range(&rows, 0, &zero, &rows, 1).is_some_and(|pick| whole(&pick)));
        let padded = rows.plus(&SymInt::Number(3)).unwrap();
        let cropped = range(&padded, 0, &zero, &rows, 1).unwrap();
        let mut symbols = Symbols::default();
        assert_eq!((cropped.to_end, cropped.length(&padded, &mut symbols)), (false, Some(rows.clone())));
        let but_last = range(&rows, 0, &SymInt::Number(1), &SymInt::Number(-1), 1).unwrap();
        assert_eq!(but_last.length(&rows, &mut symbols), rows.minus(&SymInt::Number(2)));
        let odd = range(&SymInt::Number(7), 0, &SymInt::Number(1), &SymInt::Number(i64::MAX), 2).unwrap();
        assert_eq!(odd.length(&SymInt::Number(7), &mut symbols), Some(SymInt::Number(3)));
    }

    #[test]
    fn negative_numbers_count_from_the_end() {
        assert_eq!(picked(Some(10), -3, i64::MAX, 1), Some((Some(7), true, 1)));
        assert_eq!(picked(Some(10), 2, -1, 2), Some((Some(2), false, 2)));
        assert_eq!(picked(Some(10), i64::MIN, 10, 1), Some((Some(0), true, 1)));
        // Of an unknown extent neither is known.
        assert_eq!(picked(None, -3, -1, 1), Some((None, false, 1)));
    }

    #[test]
    fn the_end_may_be_written_in_many_ways() {
        for stop in [10, 11, i64::from(i32::MAX), i64::MAX] {
            assert_eq!(picked(Some(10), 1, stop, 1), Some((Some(1), true, 1)), "{stop}");
        }
        assert_eq!(picked(None, 1, 10, 1), Some((Some(1), false, 1)));
        assert_eq!(picked(None, 1, i64::MAX, 1), Some((Some(1), true, 1)));
    }

    #[test]
    fn a_whole_axis_is_reversed_in_many_ways() {
        for (start, stop) in [(-1, i64::MIN), (9, -11), (i64::MAX, -11), (-1, -i64::from(i32::MAX))] {
            assert!(reverses(Some(10), start, stop, -1), "{start} {stop}");
        }
        assert!(reverses(None, -1, i64::MIN, -1));
        for (start, stop, step) in
            [(-1, 0, -1), (-2, i64::MIN, -1), (8, -11, -1), (-1, i64::MIN, -2), (0, 10, 1)]
        {
            assert!(!reverses(Some(10), start, stop, step), "{start} {stop} {step}");
        }
        assert!(falls(&[2, 1, 0]) && falls(&[-1, -2, -3]) && !falls(&[2, 0, 1]) && !falls(&[3, 2, 1]));
    }

    #[test]
    fn only_steps_forwards_are_described() {
        assert_eq!(picked(Some(10), 9, 0, -1), None);
        assert_eq!(picked(Some(10), 0, 10, 0), None);
        assert_eq!(picked(Some(10), 0, 10, i64::MIN), None);
    }
}
