//! Copies of masked values: `M_k * v + (1 - M_k) * background` for every k, as rows of the batch.

use super::context::Context;
use super::form::Background;
use super::mask::Mask;
use super::nonlinear::weigh_beside;
use super::why::Why;
use crate::analysis::Role;
use crate::graph::{OpKind, OutletId, Size};
use crate::ir::ElementType;

/// `M_k * v + (1 - M_k) * background` for every k.
pub(super) fn masked_copies(
    cx: &mut Context<'_, '_>,
    outlet: OutletId,
    background: Background,
) -> Result<OutletId, Why> {
    let Background::Value(background) = background else { return copies_above_background(cx, outlet) };
    let hint = cx.hint(outlet, "mosaic");
    let masks = masks_beside(cx, outlet, cx.mask)?;
    let background = match cx.patch.fact(background).rank() == cx.patch.fact(outlet).rank() {
        true => cx.patch.unsqueeze(&hint, background, &[1]),
        false => background,
    };
    let value = if cx.mask.binary() {
        let map = cx.view().unblanked(outlet);
        let map = cx.patch.unsqueeze(&hint, map, &[1]);
        let masks = cx.patch.convert("masks", masks, ElementType::Boolean);
        cx.patch.select(&hint, masks, map, background)
    } else {
        let kept = weigh_beside(cx, &hint, outlet, masks, 1);
        cx.patch.binary(&hint, OpKind::Add, kept, background)
    };
    masks_with_batch(cx, &hint, outlet, value)
}

/// `M_k * (v - background)` for every k.
pub(super) fn copies_above_background(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<OutletId, Why> {
    weighed_copies(cx, outlet, cx.mask)
}

/// The same of the grid alone: nothing of tokens before it.
pub(super) fn copies_of_grid(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<OutletId, Why> {
    weighed_copies(cx, outlet, cx.mask.of_grid())
}

fn weighed_copies(cx: &mut Context<'_, '_>, outlet: OutletId, mask: Mask) -> Result<OutletId, Why> {
    let hint = cx.hint(outlet, "mosaic");
    let masks = masks_beside(cx, outlet, mask)?;
    let kept = weigh_beside(cx, &hint, outlet, masks, 1);
    masks_with_batch(cx, &hint, outlet, kept)
}

/// The vectors of all masks, `[N,C,h,w]`, as rows.
pub(super) fn rows_of_positions(
    cx: &mut Context<'_, '_>,
    outlet: OutletId,
    value: OutletId,
) -> Result<OutletId, Why> {
    let hint = cx.hint(outlet, "rows");
    let (batch, channel) = cx.view().vector(outlet)?;
    let order = if batch < channel { [0, 2, 3, 1] } else { [1, 0, 2, 3] };
    let value = cx.patch.transpose(&hint, value, &order);
    let sizes = cx.view().copies_sizes(outlet)?;
    Ok(cx.patch.reshape(&hint, value, &sizes))
}

/// `[N·g, K, ..]` as copies `[N·K·g, ..]`, with g groups that share the axis of the batch.
fn masks_with_batch(
    cx: &mut Context<'_, '_>,
    hint: &str,
    outlet: OutletId,
    value: OutletId,
) -> Result<OutletId, Why> {
    let (samples, groups) = cx.view().batch_and_groups(outlet)?;
    let mut value = value;
    if groups != Size::Fixed(1) {
        let mut sizes = cx.patch.sizes(value);
        sizes.splice(..1, [samples, groups]);
        value = cx.patch.reshape(hint, value, &sizes);
        let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..sizes.len()).collect();
        value = cx.patch.transpose(hint, value, &order);
    }
    let sizes = cx.view().copies_sizes(outlet)?;
    Ok(cx.patch.reshape(hint, value, &sizes))
}

/// The masks `[K, ..]`, laid along the positions of a value `[N, 1, ..]`.
fn masks_beside(cx: &mut Context<'_, '_>, outlet: OutletId, mask: Mask) -> Result<OutletId, Why> {
    let axes = cx.labels.get(outlet).ok_or(Why::PositionsUnknown)?;
    let batch = cx.view().batch(outlet)?;
    let in_order = axes.0.iter().flat_map(|axis| axis.atoms.iter()).map(|atom| atom.role);
    let in_order: Vec<Role> = in_order.filter(|role| matches!(role, Role::Height | Role::Width)).collect();
    let prefix = cx.view().prefix(outlet);
    let tokens = axes.positional().len() == 1;
    let plain = !axes.0[batch].positional() && (prefix == 0 || tokens);
    if !plain || in_order != [Role::Height, Role::Width] {
        return Err(Why::PositionsNotRowsAndColumns);
    }
    let (h, w) = cx.target.layout.grid.clone();
    let original = cx.view().original_sizes(outlet);
    // One extent for each atom of a positional axis: 1 x K masks, laid along the map's axes.
    let mut mask_sizes = vec![cx.view().k()];
    for (i, axis) in axes.0.iter().enumerate().filter(|(i, _)| *i != batch) {
        let part = axis.atoms.iter().map(|atom| match atom.role {
            Role::Height => h.clone(),
            Role::Width => w.clone(),
            _ => Size::Fixed(1),
        });
        let other = |role| !matches!(role, Role::Height | Role::Width);
        if axis.positional() && axis.atoms.iter().any(|atom| other(atom.role)) {
            return Err(Why::PositionsShared);
        }
        mask_sizes.push(if axis.prefix > 0 { original[i].clone() } else { Size::product(part) });
    }
    // The masks' axis takes the place after the batch.
    if batch != 0 {
        return Err(Why::BatchNotFirst);
    }
    cx.view().real(outlet)?;
    let masks = mask.weights(cx.patch, &cx.target.layout.grid, prefix, cx.view().fact(outlet).element)?;
    Ok(cx.patch.reshape("masks", masks, &mask_sizes))
}
