//! Where positions end: pooling a one-hot map, or multiplying each position with weights of its own.
//!
//! The result for mask k needs nothing but position k of the map and what stands everywhere else, so the
//! results of all masks are laid out where the positions were.

use crate::forward::context::Context;
use crate::forward::form::{Background, Form, Rows};
use crate::forward::mask::Mask;
use crate::forward::operation::{Applied, Operation};
use crate::forward::why::Why;
use crate::graph::{OpKind, OutletId, Size};
use crate::ir::ElementType;
use crate::ops::Reduction;

/// Checks that the masks are 0 and 1.
pub(super) fn only_binary(mask: Mask) -> Result<(), Why> {
    match mask.binary() {
        true => Ok(()),
        false => Err(Why::WeightedPool),
    }
}

/// `out[n,o,k] = sum_c weight[k,o,c] map[n,c,k]`: a product for each position. The background must be zero.
pub(super) fn per_position_product(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    map: OutletId,
    weight: OutletId,
) -> Result<Applied, Why> {
    if cx.view().background(map) != Some(Background::Zero) {
        return Err(Why::BackgroundMeetsWeights);
    }
    cx.view().vector(op.out())?;
    let hint = &op.node.name;
    let map = channels_first(cx, map)?;
    let sizes = cx.patch.sizes(map);
    let flat = [sizes[0].clone(), sizes[1].clone(), cx.view().k()];
    let columns = cx.patch.reshape(&op.hint("positions"), map, &flat);
    // [K,C,N], so that the positions are the batch of the product.
    let columns = cx.patch.transpose(&op.hint("positions"), columns, &[2, 1, 0]);
    let product = cx.patch.matmul(hint, weight, columns, (false, false));
    let product = cx.patch.transpose(hint, product, &[2, 1, 0]);
    let out = cx.patch.sizes(product)[1].clone();
    let (h, w) = cx.target.layout.grid.clone();
    let value = cx.patch.reshape(hint, product, &[sizes[0].clone(), out, h, w]);
    Ok(Applied::one(Form::PerPosition(Rows::values(value))))
}

/// A one-hot map's original as `[N,C,h,w]`.
fn channels_first(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<OutletId, Why> {
    let positions = cx.view().positions(outlet)?;
    let batch = cx.view().batch(outlet)?;
    let tokens = positions.len() != 2;
    let shape = cx.patch.fact(outlet).shape.clone();
    let others: Vec<usize> =
        (0..shape.len()).filter(|axis| *axis != batch && !positions.contains(axis)).collect();
    let many: Vec<usize> = others.iter().copied().filter(|axis| !shape[*axis].is_one()).collect();
    if many.len() > 1 {
        return Err(Why::SeveralChannelAxes);
    }
    let sizes = cx.patch.sizes(outlet);
    let channels = many.first().map_or(Size::Fixed(1), |axis| sizes[*axis].clone());
    let order: Vec<usize> = std::iter::once(batch).chain(others).chain(positions).collect();
    let hint = cx.hint(outlet, "nchw");
    let value = cx.view().unblanked(outlet);
    let value = cx.patch.transpose(&hint, value, &order);
    // A map that has these axes already needs nothing; tokens are laid out again.
    if shape.len() == 4 && !tokens {
        return Ok(value);
    }
    let (h, w) = cx.target.layout.grid.clone();
    Ok(cx.patch.reshape(&hint, value, &[sizes[batch].clone(), channels, h, w]))
}

/// Pooling over all positions: one vector for each mask.
pub(super) fn over_positions(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    map: OutletId,
    reduction: Reduction,
    axes: &[usize],
) -> Result<Applied, Why> {
    cx.view().no_prefix(map)?;
    only_binary(cx.mask)?;
    let positions = cx.view().positions(map)?;
    let shape = cx.patch.fact(map).shape.clone();
    if !positions.iter().all(|axis| axes.contains(axis)) {
        return Err(Why::PoolsPartOfPositions);
    }
    if axes.iter().any(|axis| !positions.contains(axis) && !shape[*axis].is_one()) {
        return Err(Why::PoolsMoreThanPositions);
    }
    let out = op.out();
    let base = base_of_pooled(cx, op, map, reduction, &positions)?;
    let value = match base {
        Some(_) => above_mean(cx, &op.node.name, map, reduction, &positions),
        None => extreme(cx, &op.node.name, map, reduction, &positions)?,
    };
    let rows = |outlet| Rows { outlet, base };
    if cx.view().vector(out).is_err() {
        return Ok(Applied::one(Form::Dense(rows(pooled_copies(cx, out, value, &positions)?))));
    }
    let batch = cx.view().batch(map)?;
    let last = positions.iter().max().copied().unwrap_or(0);
    let channels_last = batch == 0 && shape[last + 1..].iter().any(|dim| !dim.is_one());
    if channels_last {
        return Ok(Applied::one(Form::Dense(rows(pooled_copies(cx, out, value, &positions)?))));
    }
    let value = as_nchw(cx, &op.node.name, map, value)?;
    Ok(Applied::one(Form::PerPosition(rows(value))))
}

/// What is above the background, where anything stands there.
fn above_background(
    cx: &mut Context<'_, '_>,
    hint: &str,
    map: OutletId,
    positions: &[usize],
) -> (OutletId, Option<OutletId>) {
    let value = cx.view().unblanked(map);
    let Some(Background::Value(background)) = cx.view().background(map) else { return (value, None) };
    if uniform(cx, map, background, positions) {
        // The same everywhere: what is above it differs from mask to mask as the map does.
        return (value, Some(background));
    }
    let part = format!("{hint}/rest");
    let background = at_every_position(cx, &part, map, background, positions);
    (cx.patch.binary(&part, OpKind::Subtract, value, background), Some(background))
}

/// The mean of a pooled value over all masks, in the original's shape: with v the map, r the background and K positions
/// `(mean(v) + (K - 1) mean(r)) / K` for a mean, K times that for a sum. `None` for other reductions, whose results are no
/// differences.
fn base_of_pooled(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    map: OutletId,
    reduction: Reduction,
    positions: &[usize],
) -> Result<Option<OutletId>, Why> {
    let element = cx.patch.fact(map).element;
    if !matches!(reduction, Reduction::Mean | Reduction::Sum) || !element.is_float() {
        return Ok(None);
    }
    let hint = op.hint("base");
    let (_, background) = above_background(cx, &op.node.name, map, positions);
    let value = cx.view().unblanked(map);
    let mut base = cx.patch.reduce(&hint, OpKind::ReduceMean, value, positions, true);
    if let Some(background) = background {
        let rank = cx.patch.fact(base).rank();
        let missing: Vec<usize> = (0..rank - cx.patch.fact(background).rank()).collect();
        let whole = cx.patch.unsqueeze(&hint, background, &missing);
        let mean = cx.patch.reduce(&hint, OpKind::ReduceMean, whole, positions, true);
        let k = cx.view().k();
        let count = cx.patch.size_float("positions", &k, element);
        let others = cx.patch.binary(&hint, OpKind::Multiply, mean, count);
        let others = cx.patch.binary(&hint, OpKind::Subtract, others, mean);
        base = cx.patch.binary(&hint, OpKind::Add, base, others);
    }
    if reduction == Reduction::Mean {
        base = over_k(cx, &hint, base, element);
    }
    let sizes = cx.view().original_sizes(op.out());
    Ok(Some(cx.patch.reshape(&hint, base, &sizes)))
}

/// A map less its mean over positions, of what stands above the background: what pooling makes of each mask less what it
/// makes of all of them on average.
fn above_mean(
    cx: &mut Context<'_, '_>,
    hint: &str,
    map: OutletId,
    reduction: Reduction,
    positions: &[usize],
) -> OutletId {
    let (above, _) = above_background(cx, hint, map, positions);
    let mean = cx.patch.reduce(hint, OpKind::ReduceMean, above, positions, true);
    let above = cx.patch.binary(hint, OpKind::Subtract, above, mean);
    let element = cx.patch.fact(map).element;
    if reduction == Reduction::Mean { over_k(cx, hint, above, element) } else { above }
}

/// The largest or least of all positions, for mask k at the place of position k, in the layout of the map.
fn extreme(
    cx: &mut Context<'_, '_>,
    hint: &str,
    map: OutletId,
    reduction: Reduction,
    positions: &[usize],
) -> Result<OutletId, Why> {
    let element = cx.patch.fact(map).element;
    if !element.is_float() {
        return Err(Why::PoolsNoRealNumbers);
    }
    let kind = match reduction {
        Reduction::Max => OpKind::Maximum,
        Reduction::Min => OpKind::Minimum,
        _ => return Err(Why::NoOneHotReduction),
    };
    let background = match cx.view().background(map) {
        Some(Background::Value(value)) if uniform(cx, map, value, positions) => value,
        Some(Background::Value(_)) => return Err(Why::NoOneHotReduction),
        _ => cx.patch.float("zero", element, 0.0),
    };
    let value = cx.view().unblanked(map);
    Ok(cx.patch.binary(hint, kind, value, background))
}

/// Whether a background is the same at all positions. Not the view's spread, which asks for a batch as well.
fn uniform(cx: &Context<'_, '_>, map: OutletId, background: OutletId, positions: &[usize]) -> bool {
    let shape = &cx.patch.fact(background).shape;
    let shift = cx.patch.fact(map).rank() - shape.len();
    positions.iter().all(|axis| axis.checked_sub(shift).is_none_or(|axis| shape[axis].is_one()))
}

/// A background with all axes of the map and all of its positions, where it differs along some of them.
fn at_every_position(
    cx: &mut Context<'_, '_>,
    hint: &str,
    map: OutletId,
    background: OutletId,
    positions: &[usize],
) -> OutletId {
    let missing: Vec<usize> = (0..cx.patch.fact(map).rank() - cx.patch.fact(background).rank()).collect();
    let background = match missing.is_empty() {
        true => background,
        false => cx.patch.unsqueeze(hint, background, &missing),
    };
    let full = cx.patch.sizes(map);
    let mut sizes = cx.patch.sizes(background);
    let mut whole = true;
    for axis in positions {
        whole &= !cx.patch.fact(background).shape[*axis].is_one() || full[*axis] == Size::Fixed(1);
        sizes[*axis] = full[*axis].clone();
    }
    if whole { background } else { cx.patch.broadcast_to(hint, background, &sizes) }
}

/// A sum over positions as a mean.
fn over_k(cx: &mut Context<'_, '_>, hint: &str, value: OutletId, element: ElementType) -> OutletId {
    let k = cx.view().k();
    #[allow(clippy::cast_precision_loss)]
    if let Size::Fixed(k) = k {
        let part = cx.patch.float("positions_inverse", element, 1.0 / k as f32);
        return cx.patch.binary(hint, OpKind::Multiply, value, part);
    }
    let count = cx.patch.size_float("positions", &k, element);
    cx.patch.binary(hint, OpKind::Divide, value, count)
}

/// A pooled map in its own layout, made `[N,C,h,w]`.
fn as_nchw(cx: &mut Context<'_, '_>, hint: &str, map: OutletId, value: OutletId) -> Result<OutletId, Why> {
    if value == map {
        return channels_first(cx, map);
    }
    let positions = cx.view().positions(map)?;
    let batch = cx.view().batch(map)?;
    let rank = cx.patch.fact(map).rank();
    let others: Vec<usize> = (0..rank).filter(|axis| *axis != batch && !positions.contains(axis)).collect();
    let order: Vec<usize> =
        std::iter::once(batch).chain(others.iter().copied()).chain(positions.iter().copied()).collect();
    let sizes = cx.patch.sizes(map);
    let channels = Size::product(others.iter().map(|axis| sizes[*axis].clone()));
    let moved = cx.patch.transpose(hint, value, &order);
    if rank == 4 && positions.len() == 2 {
        return Ok(moved);
    }
    let (h, w) = cx.target.layout.grid.clone();
    Ok(cx.patch.reshape(hint, moved, &[sizes[batch].clone(), channels, h, w]))
}

/// A pooled map in its own layout as copies: `[N, positions…, others…]` to the shape of `out` with N·K.
fn pooled_copies(
    cx: &mut Context<'_, '_>,
    out: OutletId,
    value: OutletId,
    positions: &[usize],
) -> Result<OutletId, Why> {
    let rank = cx.patch.fact(value).rank();
    let others = (1..rank).filter(|axis| !positions.contains(axis));
    if cx.view().batch(out)? != 0 || positions.contains(&0) {
        return Err(Why::BatchNotFirst);
    }
    let order: Vec<usize> = std::iter::once(0).chain(positions.iter().copied()).chain(others).collect();
    let hint = cx.view().node(out).name.clone();
    let moved = cx.patch.transpose(&hint, value, &order);
    let sizes = cx.view().copies_sizes(out)?;
    Ok(cx.patch.reshape(&hint, moved, &sizes))
}
