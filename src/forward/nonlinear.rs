//! Functions that are not linear, under masks of more weights than 0 and 1.
//!
//! A mask has few different weights. Behind a norm or an activation `f(M v + (1 - M) background)` is no
//! longer linear in M, but it is known: one tensor for each weight, as large as the original, in place of K.

use super::background::{above, less};
use super::context::Context;
use super::form::{Background, Form};
use super::operation::{Applied, Operation};
use crate::graph::{OpKind, OutletId};

/// Works out what becomes of each weight in an operation whose result is not linear in it.
pub(super) fn evaluate_at_weights(cx: &mut Context<'_, '_>, op: Operation<'_>, applied: &Applied) {
    let before = op.node.inputs.iter().any(|input| cx.view().nonlinear(*input));
    let masked = applied.forms.iter().all(|form| matches!(form, Form::OneHot { .. }));
    if cx.mask.binary() || !masked || (applied.linear && !before) {
        return;
    }
    let mut at_weights = vec![Vec::new(); op.node.outputs.len()];
    for (i, weight) in cx.mask.partial_weights().into_iter().enumerate() {
        let inputs = op.node.inputs.iter().map(|input| at_weight(cx, *input, i, weight)).collect();
        let cloned = cx.clone_alike(&op.hint("weight"), op, inputs);
        for (values, value) in at_weights.iter_mut().zip(cloned) {
            values.push(value);
        }
    }
    cx.values.at_weights.extend(op.outputs().zip(at_weights));
}

/// A value where the mask has `weight`, the i-th of the partial ones.
fn at_weight(cx: &mut Context<'_, '_>, outlet: OutletId, i: usize, weight: f32) -> OutletId {
    if let Some(value) = cx.values.at_weights.get(&outlet).and_then(|values| values.get(i)) {
        return *value;
    }
    let Some(background) = cx.view().background(outlet) else { return cx.view().unblanked(outlet) };
    let hint = cx.hint(outlet, "weight");
    let above = above(cx, outlet);
    let element = cx.patch.fact(outlet).element;
    let weight = cx.patch.float(&hint, element, weight);
    let value = cx.patch.binary(&hint, OpKind::Multiply, above, weight);
    match background {
        Background::Zero => value,
        Background::Value(background) => cx.patch.binary(&hint, OpKind::Add, value, background),
    }
}

/// `M_k * (v - background)`, or what stands for it where v is not linear in the masks. `part` makes of a tensor like
/// v what is to be weighed, less its background; `masks` broadcast with that.
pub(super) fn weigh(
    cx: &mut Context<'_, '_>,
    hint: &str,
    outlet: OutletId,
    masks: OutletId,
    mut part: impl FnMut(&mut Context<'_, '_>, OutletId) -> OutletId,
) -> OutletId {
    let value = cx.view().unblanked(outlet);
    let Some(at_weights) = cx.values.at_weights.get(&outlet).cloned() else {
        let above = part(cx, value);
        return cx.patch.binary(hint, OpKind::Multiply, above, masks);
    };
    let whole = cx.mask.keeps_whole(cx.view().prefix(outlet)).then_some((1.0, value));
    let mut sum = None;
    for (weight, value) in cx.mask.partial_weights().into_iter().zip(at_weights).chain(whole) {
        let element = cx.patch.fact(masks).element;
        let weight = cx.patch.float("masks/weight", element, weight);
        let here = cx.patch.binary("masks/weight", OpKind::Equal, masks, weight);
        let here = cx.patch.convert("masks/weight", here, element);
        let above = part(cx, value);
        let kept = cx.patch.binary(hint, OpKind::Multiply, above, here);
        sum = Some(match sum {
            None => kept,
            Some(sum) => cx.patch.binary(hint, OpKind::Add, sum, kept),
        });
    }
    sum.unwrap_or(value)
}

/// `M_k * (v - background)` as [`weigh`] makes it, with an axis for the masks before `axis` of v.
pub(super) fn weigh_beside(
    cx: &mut Context<'_, '_>,
    hint: &str,
    outlet: OutletId,
    masks: OutletId,
    axis: usize,
) -> OutletId {
    weigh(cx, hint, outlet, masks, |cx, value| {
        let above = less(cx, outlet, value);
        cx.patch.unsqueeze(hint, above, &[axis])
    })
}
