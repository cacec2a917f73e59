//! Tokens before the grid's, taken from a masked value.

use super::background::full;
use super::context::Context;
use super::operation::Operation;
use crate::graph::OutletId;
use crate::ops::Action;

/// What stands for tokens before the grid's that an operation takes from a masked value: no mask changes them. `None`
/// where that is not what it does.
pub(super) fn prefix_tokens(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Option<OutletId> {
    let Action::Select(parts) = op.action else { return None };
    let [selections] = &parts[..] else { return None };
    let ([selection], first) = (&selections[..], op.first().ok()?) else { return None };
    cx.view().background(first)?;
    let (axis, drops) = (selection.axis, selection.drops);
    let start = selection.start.filter(|_| drops || selection.step == 1)?;
    let length = if drops { 1 } else { op.node.outputs[0].fact.shape.get(axis)?.fixed()? };
    let prefix = cx.labels.get(first)?.0.get(axis)?.prefix;
    if start.checked_add(length)? > prefix {
        return None;
    }
    if cx.mask.class_token {
        let value = cx.view().unblanked(first);
        if value == first {
            return Some(op.out());
        }
        let inputs = std::iter::once(value).chain(op.node.inputs.iter().skip(1).copied()).collect();
        return cx.clone_alike(&op.node.name, op, inputs).first().copied();
    }
    // Blanked like the others.
    let (background, spread) = full(cx, first).ok()?;
    if spread.positions {
        return None;
    }
    let hint = op.hint("blank");
    let background = if drops { cx.patch.squeeze(&hint, background, &[axis]) } else { background };
    let sizes = cx.view().original_sizes(op.out());
    Some(cx.patch.broadcast_to(&hint, background, &sizes))
}
