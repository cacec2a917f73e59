//! What stands where a mask blanks: the second half of a masked value.
//!
//! It starts as zero and becomes a value for each channel with the first bias. Products with an attention's
//! queries make it differ between samples, position embeddings between positions.

use super::context::Context;
use super::form::{Background, Form};
use super::operation::{Applied, Operation};
use super::questions::{Spread, shape_of};
use super::why::Why;
use crate::graph::{Fact, OpKind, OutletId, Size};

/// The masked result of an operation, which must still have its positions.
pub(super) fn masked(
    cx: &Context<'_, '_>,
    op: Operation<'_>,
    background: Background,
) -> Result<Applied, Why> {
    cx.view().positions(op.out())?;
    Ok(Applied::one(Form::OneHot { background }))
}

/// The background as a tensor that has all channels: `[1,C,1,1]` for a map, as far as it does not differ between
/// samples or positions.
pub(super) fn full(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<(OutletId, Spread), Why> {
    let spread = cx.view().spread(outlet)?;
    Ok((full_along(cx, outlet, spread)?, spread))
}

fn full_along(cx: &mut Context<'_, '_>, outlet: OutletId, spread: Spread) -> Result<OutletId, Why> {
    let sizes = cx.view().background_sizes(outlet, spread)?;
    let shape = shape_of(&sizes);
    let hint = cx.hint(outlet, "rest");
    let value = match cx.view().background(outlet) {
        Some(Background::Value(value)) => value,
        _ => {
            let element = cx.patch.fact(outlet).element;
            cx.patch.float(&hint, element, 0.0)
        }
    };
    let have = &cx.patch.fact(value).shape;
    if *have == shape {
        return Ok(value);
    }
    let fits = have.len() <= shape.len()
        && have.iter().rev().zip(shape.iter().rev()).all(|(have, want)| have.is_one() || have == want);
    match fits {
        true => Ok(cx.patch.broadcast_to(&hint, value, &sizes)),
        false => Err(Why::UnknownBackgroundExtent),
    }
}

/// The backgrounds of several values, alike in what they differ along.
pub(super) fn full_alike(cx: &mut Context<'_, '_>, outlets: &[OutletId]) -> Result<Vec<OutletId>, Why> {
    let spreads = outlets.iter().map(|outlet| cx.view().spread(*outlet)).collect::<Result<Vec<_>, _>>()?;
    let spread = spreads.into_iter().fold(Spread::default(), Spread::with);
    outlets.iter().map(|outlet| full_along(cx, *outlet, spread)).collect()
}

/// Clones an operation of one masked input on its background.
pub(super) fn clone_on(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let node = op.node;
    let (background, spread) = full(cx, op.first()?)?;
    let mut facts = Vec::new();
    for (outlet, output) in op.outputs().zip(&node.outputs) {
        let sizes = cx.view().background_sizes(outlet, spread)?;
        facts.push(Fact::new(output.fact.element, shape_of(&sizes)));
    }
    let parameters = node.inputs.iter().skip(1).map(|input| cx.view().unblanked(*input));
    let inputs = std::iter::once(background).chain(parameters).collect();
    let cloned = cx.patch.add(&op.hint("rest"), node.op.clone(), inputs, facts);
    let value = |slot| Background::Value(OutletId::new(cloned.node, slot));
    let forms = (0..node.outputs.len()).map(|slot| Form::OneHot { background: value(slot) });
    Ok(Applied::linear(forms.collect()))
}

/// The background of a Reshape's result.
pub(super) fn reshaped(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<OutletId, Why> {
    let first = op.first()?;
    let mut spread = cx.view().spread(first)?;
    // What shares the batch's axis differs along it.
    spread.batch |= cx.view().batch_and_groups(op.out())?.1 != Size::Fixed(1);
    let background = full_along(cx, first, spread)?;
    let sizes = cx.view().background_sizes(op.out(), spread)?;
    Ok(cx.patch.reshape(&op.hint("rest"), background, &sizes))
}

/// A masked value less its background, which makes it zero where a mask blanks.
pub(super) fn above(cx: &mut Context<'_, '_>, outlet: OutletId) -> OutletId {
    let value = cx.view().unblanked(outlet);
    less(cx, outlet, value)
}

/// A tensor like the masked value `outlet`, less that value's background.
pub(super) fn less(cx: &mut Context<'_, '_>, outlet: OutletId, value: OutletId) -> OutletId {
    match cx.view().background(outlet) {
        Some(Background::Value(background)) => {
            let hint = cx.hint(outlet, "above_rest");
            cx.patch.binary(&hint, OpKind::Subtract, value, background)
        }
        _ => value,
    }
}
