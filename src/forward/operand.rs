//! Operands that no mask touches, beside copies; and operations that are cloned on copies.

use super::context::Context;
use super::operation::Operation;
use super::questions::{View, extent_of};
use super::why::Why;
use crate::analysis::Atom;
use crate::graph::{Fact, Op, OpKind, OutletId, Size};
use crate::ir::{Dim, Shape};
use crate::ops::Selection;

/// An operand that is the same for all masks, made to broadcast against N·K rows of a result of `rank` whose batch
/// is on axis `batch`; `like` is that result.
pub(super) fn beside_copies(
    cx: &mut Context<'_, '_>,
    outlet: OutletId,
    rank: usize,
    batch: usize,
    like: OutletId,
) -> Result<OutletId, Why> {
    let fact = cx.patch.fact(outlet);
    match (batch + fact.rank()).checked_sub(rank) {
        Some(axis) if !fact.shape[axis].is_one() => repeated(cx, outlet, axis, like),
        _ => Ok(cx.view().unblanked(outlet)),
    }
}

/// Repeats a value K times along its batch, each sample by itself.
pub(super) fn repeated(
    cx: &mut Context<'_, '_>,
    outlet: OutletId,
    axis: usize,
    like: OutletId,
) -> Result<OutletId, Why> {
    let dim = cx.patch.fact(outlet).shape[axis];
    let value = cx.view().unblanked(outlet);
    let hint = cx.hint(outlet, "repeated");
    // How the copies' axis is composed: what is outside the batch, the batch, what is inside.
    let (atoms, at) = cx.view().batch_atoms(like)?;
    let (outer, inner) = (extent_of(&atoms[..at])?, extent_of(&atoms[at + 1..])?);
    let rows = atoms[at].size;
    let sizes = cx.patch.sizes(outlet);
    let k = cx.view().k();
    let one = Size::Fixed(1);
    if sizes[axis] == one {
        // The same for every row.
        let rows = match rows {
            Dim::Fixed(n) => Size::product([outer, Size::Fixed(n), inner]),
            Dim::Dynamic => cx.view().original_sizes(like)[cx.view().batch(like)?].clone(),
        };
        let mut repeats = vec![one; sizes.len()];
        repeats[axis] = Size::product([rows, k]);
        return Ok(cx.patch.tile(&hint, value, &repeats));
    }
    // [.., outer, N, 1, inner, ..] repeated K times in the place of the 1.
    let samples = match (dim, outer.dim().times(inner.dim())) {
        (Dim::Fixed(all), Dim::Fixed(others)) if others > 0 => Size::Fixed(all / others),
        _ if outer == one && inner == one => sizes[axis].clone(),
        // Composed as the result is, of an unknown batch and known heads.
        _ if cx.view().batch(outlet)? == axis && composed_alike(cx.view(), outlet, like)? => {
            cx.view().batch_and_groups(like)?.0
        }
        _ => return Err(Why::OperandBatchUnclear),
    };
    // Where rows are not grouped there are no axes of extent 1 for it: of seven axes, into which OpenVINO 2026.4.1 moves
    // the scale of an attention, its CPU plugin makes other numbers.
    let split = |k: Size| {
        let groups = [outer.clone(), samples.clone(), k, inner.clone()];
        let kept = |(place, size): &(usize, Size)| matches!(place, 1 | 2) || *size != one;
        groups.into_iter().enumerate().filter(kept).map(|(_, size)| size).collect::<Vec<_>>()
    };
    let around = |middle: &[Size]| -> Vec<Size> {
        sizes[..axis].iter().chain(middle).chain(&sizes[axis + 1..]).cloned().collect()
    };
    let shape = around(&split(Size::Fixed(1)));
    let mut repeats = vec![one.clone(); shape.len()];
    repeats[axis + 1 + usize::from(outer != one)] = k.clone();
    let value = cx.patch.reshape(&hint, value, &shape);
    let value = cx.patch.tile(&hint, value, &repeats);
    let all = Size::product(split(k));
    Ok(cx.patch.reshape(&hint, value, &around(&[all])))
}

/// Whether the batch's axis has the same factors in two values.
fn composed_alike(view: View<'_>, a: OutletId, b: OutletId) -> Result<bool, Why> {
    let ((a, at), (b, other)) = (view.batch_atoms(a)?, view.batch_atoms(b)?);
    let factors = |atoms: &[Atom]| atoms.iter().map(|atom| (atom.role, atom.size)).collect::<Vec<_>>();
    Ok(at == other && factors(a) == factors(b))
}

/// Clones a selection on `x`, whose batch may be larger than the original's; the results have the given shapes.
pub(super) fn select(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    parts: &[Vec<Selection>],
    x: OutletId,
    shapes: Vec<Shape>,
) -> Result<Vec<OutletId>, Why> {
    let node = op.node;
    let facts: Vec<Fact> = node
        .outputs
        .iter()
        .zip(shapes)
        .map(|(outlet, shape)| Fact::new(outlet.fact.element, shape))
        .collect();
    if !matches!(node.op.kind, OpKind::Slice | OpKind::StridedSlice) {
        let mut inputs = node.inputs.clone();
        inputs[0] = x;
        let cloned = cx.patch.add(&node.name, node.op.clone(), inputs, facts);
        return Ok((0..node.outputs.len()).map(|slot| OutletId::new(cloned.node, slot)).collect());
    }
    // The original may spell out the whole batch; written anew, only what is cut is named.
    let selections = parts.first().map_or(&[][..], Vec::as_slice);
    let cut = Cut::new(cx.patch.fact(x).rank(), selections, &node.outputs[0].fact.shape)?;
    let begin = cx.patch.integers(&op.hint("begin"), &cut.begin);
    let end = cx.patch.integers(&op.hint("end"), &cut.end);
    let stride = cx.patch.integers(&op.hint("stride"), &cut.stride);
    Ok(vec![cx.patch.add(&node.name, cut.op(), vec![x, begin, end, stride], facts)])
}

/// A `StridedSlice`, axis by axis.
struct Cut {
    begin: Vec<i64>,
    end: Vec<i64>,
    stride: Vec<i64>,
    /// 1 where an axis is taken from its first entry.
    from_start: Vec<i32>,
    /// 1 where an axis is taken to its last entry.
    to_end: Vec<i32>,
    /// 1 where an axis goes.
    shrink: Vec<i32>,
}

impl Cut {
    /// Takes `selections` from a tensor of `rank`; `out` is the shape of the result.
    fn new(rank: usize, selections: &[Selection], out: &[Dim]) -> Result<Self, Why> {
        let mut cut = Self {
            begin: vec![0; rank],
            end: vec![0; rank],
            stride: vec![1; rank],
            from_start: vec![1; rank],
            to_end: vec![1; rank],
            shrink: vec![0; rank],
        };
        let mut extents = out.iter();
        for axis in 0..rank {
            match selections.iter().find(|selection| selection.axis == axis) {
                None => {
                    extents.next();
                }
                Some(selection) if selection.drops => cut.take(selection, None)?,
                Some(selection) => {
                    cut.take(selection, Some(extents.next().copied().unwrap_or(Dim::Dynamic)))?;
                }
            }
        }
        Ok(cut)
    }

    /// Takes a selection from its axis; `extent` is what it leaves of that, nothing where the axis goes.
    fn take(&mut self, selection: &Selection, extent: Option<Dim>) -> Result<(), Why> {
        let (axis, start) = (selection.axis, selection.start.ok_or(Why::UnknownSliceStart)?);
        let integer = |value: usize| i64::try_from(value).map_err(|_| Why::SliceTooLong);
        self.begin[axis] = integer(start)?;
        self.from_start[axis] = 0;
        self.stride[axis] = integer(selection.step)?;
        let Some(extent) = extent else {
            self.end[axis] = integer(start.saturating_add(1))?;
            self.to_end[axis] = 0;
            self.shrink[axis] = 1;
            return Ok(());
        };
        if !selection.to_end {
            let length = extent.fixed().ok_or(Why::UnknownSliceEnd)?;
            let last = length.saturating_sub(1).saturating_mul(selection.step).saturating_add(start);
            self.end[axis] = integer(last.saturating_add(1))?;
            self.to_end[axis] = 0;
        }
        Ok(())
    }

    fn op(&self) -> Op {
        let list = |values: &[i32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let zeros = list(&vec![0; self.shrink.len()]);
        Op::new(OpKind::StridedSlice, "opset1")
            .with("begin_mask", list(&self.from_start))
            .with("end_mask", list(&self.to_end))
            .with("new_axis_mask", &zeros)
            .with("shrink_axis_mask", list(&self.shrink))
            .with("ellipsis_mask", zeros)
    }
}
