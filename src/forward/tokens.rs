//! Making distinct tokens of masked ones: one row for each that differs under a mask.

use super::background::{above, full, less};
use super::context::Context;
use super::form::{Background, Distinct, Form};
use super::nonlinear::weigh;
use super::why::Why;
use crate::graph::{Fact, OpKind, OutletId, Size, index};
use crate::ir::{Dim, Shape};

/// A value as distinct tokens, made where they are not there yet.
pub(super) fn distinct_tokens(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<Distinct, Why> {
    let background = match cx.form(outlet) {
        Some(Form::Distinct(distinct)) => return Ok(distinct),
        Some(Form::OneHot { background }) => background,
        _ => return Err(Why::TokensLost),
    };
    let view = cx.view();
    let axes = view.positions(outlet)?;
    let ([axis], 0) = (&axes[..], view.batch(outlet)?) else { return Err(Why::PositionsNoTokens) };
    let axis = *axis;
    if view.spread(outlet)?.positions || !view.fact(outlet).element.is_float() {
        return Err(Why::BlankedTokensVary);
    }
    let kept = cx.mask.kept(&cx.target.layout.grid)?;
    let (samples, groups) = view.batch_and_groups(outlet)?;
    let layout = Layout { hint: cx.hint(outlet, "distinct"), axis, samples, groups };
    let mut rows = above_background(cx, outlet, &layout, kept.each, &kept.places, &kept.weights);
    if let Background::Value(_) = background {
        let (background, _) = full(cx, outlet)?;
        let background = layout.tokens_first(cx, background);
        let background = cx.patch.unsqueeze(&layout.hint, background, &[1]);
        rows = cx.patch.binary(&layout.hint, OpKind::Add, rows, background);
    }
    let outlet = layout.tokens_back(cx, outlet, rows)?;
    Ok(Distinct { outlet, axes: vec![axis] })
}

/// Where a value has its tokens, and what its first axis is made of.
struct Layout {
    /// A name for the nodes that rearrange it.
    hint: String,
    /// The axis of the tokens.
    axis: usize,
    samples: Size,
    /// What shares the axis of the batch: heads.
    groups: Size,
}

impl Layout {
    /// `[N·g, .., tokens, ..]` as `[N, tokens, g, ..]`, without g where that is 1.
    ///
    /// With masks and tokens beside the batch, what follows is the usual order of axes: heads move before the tokens
    /// in a Transpose of four. OpenVINO's CPU plugin (2026.4) gets another order wrong where heads are as many as
    /// tokens.
    fn tokens_first(&self, cx: &mut Context<'_, '_>, value: OutletId) -> OutletId {
        let (mut value, mut axis) = (value, self.axis);
        if self.groups != Size::Fixed(1) {
            let mut sizes = cx.patch.sizes(value);
            let split = match sizes[0] {
                Size::Fixed(1) => [Size::Fixed(1), Size::Fixed(1)],
                _ => [self.samples.clone(), self.groups.clone()],
            };
            sizes.splice(..1, split);
            value = cx.patch.reshape(&self.hint, value, &sizes);
            axis += 1;
        }
        let rank = cx.patch.fact(value).rank();
        let order: Vec<usize> = [0, axis].into_iter().chain((1..rank).filter(|i| *i != axis)).collect();
        cx.patch.transpose(&self.hint, value, &order)
    }

    /// `[N, K, rows, g, ..]` to `[N·K, rows, g, ..]`, the tokens back to their axis, and g to the batch's.
    fn tokens_back(
        &self,
        cx: &mut Context<'_, '_>,
        outlet: OutletId,
        rows: OutletId,
    ) -> Result<OutletId, Why> {
        let mut sizes = cx.patch.sizes(rows);
        sizes.splice(..2, [Size::product([self.samples.clone(), cx.view().k()])]);
        let rows = cx.patch.reshape(&self.hint, rows, &sizes);
        let back = if self.groups == Size::Fixed(1) { self.axis } else { self.axis + 1 };
        let order: Vec<usize> =
            std::iter::once(0).chain(2..=back).chain([1]).chain(back + 1..sizes.len()).collect();
        let rows = cx.patch.transpose(&self.hint, rows, &order);
        let sizes = cx.view().distinct_sizes(outlet, &[self.axis])?;
        Ok(cx.patch.reshape(&self.hint, rows, &sizes))
    }
}

/// Distinct tokens less their background, `[N, K, rows, ..]`: those before the grid's, those that the masks keep, and a
/// zero for all others.
fn above_background(
    cx: &mut Context<'_, '_>,
    outlet: OutletId,
    layout: &Layout,
    each: usize,
    places: &[usize],
    weights: &[f32],
) -> OutletId {
    let hint = &layout.hint;
    let (element, prefix) = (cx.patch.fact(outlet).element, cx.view().prefix(outlet));
    let k = cx.view().k();
    let places: Vec<i64> = places.iter().map(|place| index(place + prefix)).collect();
    let places = cx.patch.integers("distinct/places", &places);
    let places = cx.patch.reshape("distinct/places", places, &[k.clone(), Size::Fixed(each)]);
    let above = above(cx, outlet);
    let above = layout.tokens_first(cx, above);
    let mut shape: Shape = vec![Dim::Fixed(1); cx.patch.fact(above).rank()];
    (shape[0], shape[1]) = (k.dim(), Dim::Fixed(each));
    let weights = cx.patch.floats("distinct/weights", Fact::new(element, shape), weights);
    let near = weigh(cx, hint, outlet, weights, |cx, value| {
        let above = less(cx, outlet, value);
        let above = layout.tokens_first(cx, above);
        cx.patch.gather(hint, above, places, 1)
    });
    let mut sizes = cx.patch.sizes(near);
    (sizes[0], sizes[2]) = (layout.samples.clone(), Size::Fixed(1));
    let zero = cx.patch.float("zero", element, 0.0);
    let far = cx.patch.broadcast_to(hint, zero, &sizes);
    let mut parts = vec![near, far];
    if prefix > 0 {
        sizes[2] = Size::Fixed(prefix);
        let tokens = if cx.mask.class_token {
            let tokens = cx.patch.slice(hint, above, 1, 0, Some(prefix));
            cx.patch.unsqueeze(hint, tokens, &[1])
        } else {
            zero
        };
        parts.insert(0, cx.patch.broadcast_to(hint, tokens, &sizes));
    }
    cx.patch.concat(hint, &parts, 2)
}

/// A `[K, rows]` constant as `[N·K, 1, .., rows, .., 1]`, to stand beside copies of a value whose tokens are on
/// `axis`.
pub(super) fn beside_rows(
    cx: &mut Context<'_, '_>,
    hint: &str,
    like: OutletId,
    values: &[f32],
    axis: usize,
) -> Result<OutletId, Why> {
    let (element, rank) = (cx.patch.fact(like).element, cx.patch.fact(like).rank());
    let k = cx.view().known_k()?;
    let rows = values.len() / k.max(1);
    let (samples, groups) = cx.view().batch_and_groups(like)?;
    let shape = vec![Dim::Fixed(1), Dim::Fixed(k), Dim::Fixed(1), Dim::Fixed(rows)];
    let constant = cx.patch.floats(hint, Fact::new(element, shape), values);
    let one = Size::Fixed(1);
    let all = match samples == one && groups == one {
        true => constant,
        false => {
            let sizes = [samples.clone(), Size::Fixed(k), groups.clone(), Size::Fixed(rows)];
            cx.patch.broadcast_to(hint, constant, &sizes)
        }
    };
    let mut sizes = vec![one; rank];
    sizes[cx.view().batch(like)?] = Size::product([samples, Size::Fixed(k), groups]);
    sizes[axis] = Size::Fixed(rows);
    Ok(cx.patch.reshape(hint, all, &sizes))
}
