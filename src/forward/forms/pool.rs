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
    let (value, base) = match reduction {
        Reduction::Mean | Reduction::Sum if cx.patch.fact(map).element.is_float() => {
            let (rows, base) = mean_of_masks(cx, op, map, reduction, &positions);
            (rows, Some(base))
        }
        _ => (extreme(cx, &op.node.name, map, reduction, &positions)?, None),
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

/// What stands where a map is blanked.
#[derive(Debug, Clone, Copy)]
struct Blanked {
    value: OutletId,
    /// Whether it is still a part of what is said to be above it, being the same everywhere.
    in_map: bool,
}

/// What differs from mask to mask as the map less its background does, and that background where there is any.
fn above_background(
    cx: &mut Context<'_, '_>,
    hint: &str,
    map: OutletId,
    positions: &[usize],
) -> (OutletId, Option<Blanked>) {
    let value = cx.view().unblanked(map);
    let Some(Background::Value(background)) = cx.view().background(map) else { return (value, None) };
    if uniform(cx, map, background, positions) {
        return (value, Some(Blanked { value: background, in_map: true }));
    }
    let part = format!("{hint}/rest");
    let background = at_every_position(cx, &part, map, background, positions);
    let above = cx.patch.binary(&part, OpKind::Subtract, value, background);
    (above, Some(Blanked { value: background, in_map: false }))
}

/// A mean or sum of all positions as what each mask has more than all of them on average, at the place of its position in the
/// layout of the map; and that average, in the original's shape.
///
/// With v the map, r the background and K positions, a mean under mask k is `(v_k - r_k) / K + mean(r)`, and a sum K times
/// that. A mean is made of a sum, and of a sum a mean: OpenVINO makes one of two equal operations, and would fuse less around
/// that of the original. What is subtracted from is not divided first, which would round it.
fn mean_of_masks(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    map: OutletId,
    reduction: Reduction,
    positions: &[usize],
) -> (OutletId, OutletId) {
    let (hint, element) = (&op.node.name, cx.patch.fact(map).element);
    let (above, background) = above_background(cx, hint, map, positions);
    let is_mean = reduction == Reduction::Mean;
    let mean = match is_mean {
        true => {
            let sum = cx.patch.reduce(hint, OpKind::ReduceSum, above, positions, true);
            over_k(cx, hint, sum, element)
        }
        false => cx.patch.reduce(hint, OpKind::ReduceMean, above, positions, true),
    };
    let rows = cx.patch.binary(hint, OpKind::Subtract, above, mean);
    let rows = if is_mean { over_k(cx, hint, rows, element) } else { rows };
    let hint = op.hint("base");
    let mut base = if is_mean { over_k(cx, &hint, mean, element) } else { mean };
    if let Some(Blanked { value, in_map }) = background {
        let missing: Vec<usize> = (0..cx.patch.fact(base).rank() - cx.patch.fact(value).rank()).collect();
        let value = cx.patch.unsqueeze(&hint, value, &missing);
        let mean = cx.patch.reduce(&hint, OpKind::ReduceMean, value, positions, true);
        let k = cx.view().k();
        let count = cx.patch.size_float("positions", &k, element);
        let all = cx.patch.binary(&hint, OpKind::Multiply, mean, count);
        // What the map holds of it already is that of its own position.
        let all = if in_map { cx.patch.binary(&hint, OpKind::Subtract, all, mean) } else { all };
        let all = if is_mean { over_k(cx, &hint, all, element) } else { all };
        base = cx.patch.binary(&hint, OpKind::Add, base, all);
    }
    let sizes = cx.view().original_sizes(op.out());
    (rows, cx.patch.reshape(&hint, base, &sizes))
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
