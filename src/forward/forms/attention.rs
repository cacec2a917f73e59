//! Attention over masked keys and values.
//!
//! With queries that no mask touches, a score is `M_kt a_t + b`: a from the original pass, b the same for all
//! keys, which Softmax does not see. Then `P_k = softmax_t(M_kt a_t)` is one row for each mask and query, and
//! the result is `(P_k * M_k) (V - r) + r`, with r what stands where a value is blanked: rows of P sum to 1.
//! Neither keys nor values are ever copied. (arXiv 2310.02588 copies both.)
//!
//! P and the result are differences from what they are where all of the grid is blanked: with G the masks of the grid
//! and m what is kept of the tokens before it, `M = G + m`, a base p of scores `m a`, and `P = p + D`, the result is
//! `(p m) (V - r) + r` and beside it `(D M + p G) (V - r)`.

use super::dense::copies;
use super::difference;
use crate::forward::background::{above, full};
use crate::forward::context::Context;
use crate::forward::copies::{copies_above_background, copies_of_grid};
use crate::forward::differences::{Arithmetic, Pair};
use crate::forward::form::{Background, Form, Rows};
use crate::forward::mask::Mask;
use crate::forward::memory::{MemoryKey, tensor_bytes};
use crate::forward::nonlinear::weigh;
use crate::forward::operation::{Applied, Operation};
use crate::forward::questions::View;
use crate::forward::why::Why;
use crate::graph::{Fact, Node, Op, OpKind, OutletId, Size};
use crate::ir::ElementType;
use crate::ops::Action;

/// Whether a node is the Softmax of an attention whose keys are masked.
pub(super) fn is_softmax_over_positions(
    view: View<'_>,
    scores: OutletId,
    node: &Node,
    axes: &[usize],
) -> bool {
    let positions = view.positions(scores);
    matches!(node.op.kind, OpKind::SoftMax) && positions.is_ok_and(|positions| positions == axes)
}

/// The weights of an attention under all masks.
pub(super) fn weights(cx: &mut Context<'_, '_>, op: Operation<'_>, scores: OutletId) -> Result<Applied, Why> {
    if let Ok(pair) = score_differences(cx, scores) {
        let before = cx.values.forms.insert(scores, Form::Dense(pair));
        let applied = difference::rule(cx, op);
        cx.values.forms.extend(before.map(|form| (scores, form)));
        if applied.is_ok() {
            return applied;
        }
    }
    let varies = cx.view().spread(scores).is_ok_and(|spread| spread.positions);
    let copied = match varies && cx.view().background(scores).is_some() {
        true => copies(cx, scores)?,
        false => copies_above_background(cx, scores)?,
    };
    let fact = Fact::new(op.node.outputs[0].fact.element, cx.patch.fact(copied).shape.clone());
    let weights = cx.patch.add(&op.node.name, op.node.op.clone(), vec![copied], vec![fact]);
    Ok(Applied::one(Form::copies(weights)))
}

/// Scores of masked keys as differences from those where all of the grid is blanked, less what is the same for all keys.
fn score_differences(cx: &mut Context<'_, '_>, scores: OutletId) -> Result<Rows, Why> {
    let (background, spread) = full(cx, scores)?;
    let [axis] = cx.view().positions(scores)?[..] else { return Err(Why::PositionsNoTokens) };
    let rows = copies_of_grid(cx, scores)?;
    let hint = cx.hint(scores, "base");
    let kept = before_grid(cx, scores, axis)?;
    let above = above(cx, scores);
    let mut base = cx.patch.binary(&hint, OpKind::Multiply, above, kept);
    if spread.positions {
        base = cx.patch.binary(&hint, OpKind::Add, base, background);
    }
    Ok(Rows::above(base, rows))
}

/// What masks keep of the tokens before the grid's, along the axis of a value's tokens: 0 for those of the grid.
fn before_grid(cx: &mut Context<'_, '_>, like: OutletId, axis: usize) -> Result<OutletId, Why> {
    let (prefix, rank) = (cx.view().prefix(like), cx.view().fact(like).rank());
    let element = cx.view().fact(like).element;
    if !element.is_float() {
        return Err(Why::NoRealNumbers);
    }
    let mut sizes = vec![Size::Fixed(1); rank];
    let mut part = |cx: &mut Context<'_, '_>, size: Size, value: f32| {
        sizes[axis] = size;
        let value = cx.patch.float("masks/before", element, value);
        cx.patch.broadcast_to("masks/before", value, &sizes)
    };
    let k = cx.view().k();
    let grid = part(cx, k, 0.0);
    if prefix == 0 {
        return Ok(grid);
    }
    let kept = if cx.mask.class_token { 1.0 } else { 0.0 };
    let before = part(cx, Size::Fixed(prefix), kept);
    Ok(cx.patch.concat("masks/before", &[before, grid], axis))
}

/// Copies of attention weights times masked values.
pub(super) fn weighted_values(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let (Action::MatMul { transpose_a: false, transpose_b }, [weights, values]) =
        (op.action, &op.node.inputs[..])
    else {
        return Err(Why::NoProductOfWeights);
    };
    let Some(Form::Dense(Rows { outlet: copies, base })) = cx.form(*weights) else {
        return Err(Why::WeightsAreMasked);
    };
    let rank = cx.patch.fact(*values).rank();
    let (keys, batch) = (if *transpose_b { rank - 1 } else { rank - 2 }, cx.view().batch(*weights)?);
    let fits = cx.patch.fact(*weights).rank() == rank && cx.view().positions(*values)? == [keys];
    if !fits || rank < 3 || batch != 0 || cx.view().batch(*values)? != 0 {
        return Err(Why::ValuesNotOnKeys);
    }
    // [N·K·g, .., P, T] to [N·g, .., K, P, T], with g groups that share the axis of the batch.
    let (samples, groups) = cx.view().batch_and_groups(*weights)?;
    let hint = op.hint("weights");
    let (k, sizes) = (cx.view().k(), cx.view().original_sizes(*weights));
    let mut split = vec![samples.clone(), k.clone(), groups.clone()];
    split.extend_from_slice(&sizes[1..]);
    let mut order: Vec<usize> = [0, 2].into_iter().chain(3..rank).chain([1, rank, rank + 1]).collect();
    if groups == Size::Fixed(1) {
        split.remove(2);
        order = std::iter::once(0).chain(2..rank - 1).chain([1, rank - 1, rank]).collect();
    }
    let copies = cx.patch.reshape(&hint, copies, &split);
    let mut by_query = cx.patch.transpose(&hint, copies, &order);
    if groups != Size::Fixed(1) {
        let mut joined = vec![Size::product([samples, groups])];
        joined.extend_from_slice(&sizes[1..rank - 2]);
        joined.push(k);
        joined.extend_from_slice(&sizes[rank - 2..]);
        by_query = cx.patch.reshape(&hint, by_query, &joined);
    }
    let weights = match base {
        Some(base) => Weights::Above { base, above: Some(by_query) },
        None => Weights::Values(by_query),
    };
    attend(cx, op, weights, *values, *transpose_b)
}

/// The weights of an attention: `[N, .., K, P, T]` for each mask, `[N, .., P, T]` for the base.
#[derive(Debug, Clone, Copy)]
enum Weights {
    /// Values.
    Values(OutletId),
    /// Differences from a base; none where no mask touches the keys.
    Above { base: OutletId, above: Option<OutletId> },
}

/// `ScaledDotProductAttention` (opset13) of queries that no mask touches.
pub(super) fn fused(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let [queries, keys, values, ref parameters @ ..] = op.node.inputs[..] else {
        return Err(Why::NotThreeOperands);
    };
    of_plain_queries(cx.view(), op, [queries, keys, values], parameters)?;
    let hint = op.hint("scores");
    let element = op.node.outputs[0].fact.element;
    let scaled = scaled_queries(cx, op, queries, parameters.get(1).copied())?;
    let (mut base, above) = scores(cx, &hint, scaled, keys, element)?;
    if let Some(bias) = parameters.first() {
        if cx.patch.fact(*bias).element != element {
            return Err(Why::AttentionMaskNoAddition);
        }
        if !cx.view().plain(*bias) {
            let bias = cx.view().unblanked(*bias);
            base = cx.patch.binary(&hint, OpKind::Add, base, bias);
        }
    }
    let weights = op.hint("weights");
    let rank = cx.patch.fact(base).rank();
    let weights = match above {
        Some(above) => {
            let base = cx.patch.unsqueeze(&weights, base, &[rank - 2]);
            let mut arithmetic = Arithmetic { patch: cx.patch, hint: weights.clone() };
            let Pair { base, above } = arithmetic.softmax(Pair { base, above }, rank);
            let bytes = tensor_bytes(cx.patch.fact(above), Some(1));
            cx.memory.count(MemoryKey::Weights(op.id), bytes);
            let base = cx.patch.squeeze(&weights, base, &[rank - 2]);
            Weights::Above { base, above: Some(above) }
        }
        None => {
            let fact = cx.patch.fact(base).clone();
            let softmax = Op::new(OpKind::SoftMax, "opset8").with("axis", -1);
            Weights::Above { base: cx.patch.add(&weights, softmax, vec![base], vec![fact]), above: None }
        }
    };
    attend(cx, op, weights, values, false)
}

/// Checks that only keys and values are masked, either of them or both, on the axis of their tokens.
fn of_plain_queries(
    view: View<'_>,
    op: Operation<'_>,
    [queries, keys, values]: [OutletId; 3],
    parameters: &[OutletId],
) -> Result<(), Why> {
    if view.masked(queries) {
        return Err(Why::QueriesMasked);
    }
    if parameters.iter().any(|outlet| view.masked(*outlet)) || op.node.op.flag("causal") {
        return Err(Why::AttentionMaskNoAddition);
    }
    let rank = view.fact(keys).rank();
    if rank < 3 || view.fact(queries).rank() != rank || view.fact(values).rank() != rank {
        return Err(Why::KeysNotOnTokens);
    }
    for masked in [keys, values].into_iter().filter(|outlet| view.masked(*outlet)) {
        if view.positions(masked)? != [rank - 2] || view.batch(masked)? != 0 {
            return Err(Why::KeysNotOnTokens);
        }
    }
    Ok(())
}

/// Queries times the scale of their scores: that of the operation, or one over the root of their width.
fn scaled_queries(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    queries: OutletId,
    scale: Option<OutletId>,
) -> Result<OutletId, Why> {
    let queries = cx.view().unblanked(queries);
    let scale = match scale {
        Some(scale) => cx.view().unblanked(scale),
        None => {
            let width = cx.patch.fact(queries).shape.last().and_then(|dim| dim.fixed());
            let width = width.ok_or(Why::UnknownHeadWidth)?;
            let element = op.node.outputs[0].fact.element;
            #[allow(clippy::cast_precision_loss)]
            cx.patch.float(&op.hint("scale"), element, 1.0 / (width as f32).sqrt())
        }
    };
    Ok(cx.patch.binary(&op.hint("queries"), OpKind::Multiply, queries, scale))
}

/// Scores where all of the grid is blanked, `[N, .., P, T]`, and of each mask what is above that, `[N, .., K, P, T]`, less
/// what is the same for all keys; nothing above of keys that no mask touches.
fn scores(
    cx: &mut Context<'_, '_>,
    hint: &str,
    queries: OutletId,
    keys: OutletId,
    element: ElementType,
) -> Result<(OutletId, Option<OutletId>), Why> {
    let rank = cx.patch.fact(keys).rank();
    let value = cx.view().unblanked(keys);
    let whole = cx.patch.matmul(hint, queries, value, (false, true));
    if !cx.view().masked(keys) {
        return Ok((whole, None));
    }
    let (mut blank, mut beside) = (None, None);
    if let Some(Background::Value(_)) = cx.view().background(keys) {
        let (background, spread) = full(cx, keys)?;
        let background = cx.patch.matmul(hint, queries, background, (false, true));
        blank = Some(background);
        beside = spread.positions.then_some(background);
    }
    let less_blank = |cx: &mut Context<'_, '_>, scores: OutletId| match blank {
        Some(blank) => cx.patch.binary(hint, OpKind::Subtract, scores, blank),
        None => scores,
    };
    // [N, .., 1, P, T] beside masks [K, 1, T].
    let masks = key_masks(cx, keys, element, cx.mask.of_grid())?;
    let above = weigh(cx, hint, keys, masks, |cx, keys| {
        let above = cx.patch.matmul(hint, queries, keys, (false, true));
        let above = less_blank(cx, above);
        cx.patch.unsqueeze(hint, above, &[rank - 2])
    });
    let above_blank = less_blank(cx, whole);
    let kept = before_grid(cx, keys, rank - 2)?;
    let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    let kept = cx.patch.transpose("masks/before", kept, &order);
    let mut base = cx.patch.binary(hint, OpKind::Multiply, above_blank, kept);
    if let Some(beside) = beside {
        base = cx.patch.binary(hint, OpKind::Add, base, beside);
    }
    Ok((base, Some(above)))
}

/// Weights and values to one row of results for each mask and query.
fn attend(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    weights: Weights,
    values: OutletId,
    transposed: bool,
) -> Result<Applied, Why> {
    if cx.view().nonlinear(values) {
        return Err(Why::ValuesNotLinear);
    }
    let background = match cx.view().masked(values) {
        true => {
            let (background, spread) = full(cx, values)?;
            if spread.positions {
                return Err(Why::BlankedValueVaries);
            }
            Some(background).filter(|_| cx.view().background(values) != Some(Background::Zero))
        }
        false => None,
    };
    let kept = kept_weights(cx, op, weights, values)?;
    let above = above(cx, values);
    let rows = rows_of_results(cx, op, kept, above, transposed)?;
    let with_background = |cx: &mut Context<'_, '_>, result: OutletId| {
        let Some(background) = background else { return result };
        let rank = cx.patch.fact(background).rank();
        let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        let hint = op.hint("rest");
        let background = if transposed { cx.patch.transpose(&hint, background, &order) } else { background };
        cx.patch.binary(&op.hint("blank"), OpKind::Add, result, background)
    };
    let rows = match weights {
        Weights::Values(_) => {
            let rows = with_background(cx, rows);
            Rows::values(copies_of_results(cx, op, rows)?)
        }
        Weights::Above { base, .. } => {
            let rows = copies_of_results(cx, op, rows)?;
            let hint = op.hint("base");
            let rank = cx.patch.fact(base).rank();
            let kept = match cx.view().masked(values) {
                true => {
                    let axis = if transposed { rank - 1 } else { rank - 2 };
                    let mut kept = before_grid(cx, values, axis)?;
                    if !transposed {
                        let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
                        kept = cx.patch.transpose("masks/before", kept, &order);
                    }
                    cx.patch.binary(&hint, OpKind::Multiply, base, kept)
                }
                false => base,
            };
            let base = cx.patch.matmul(&hint, kept, above, (false, transposed));
            Rows::above(with_background(cx, base), rows)
        }
    };
    Ok(Applied::one(Form::Dense(rows)))
}

/// What each mask keeps of the weights, `[N, .., K, P, T]`; of differences with what it keeps of the base.
fn kept_weights(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    weights: Weights,
    values: OutletId,
) -> Result<OutletId, Why> {
    let hint = op.hint("kept");
    let masked = cx.view().masked(values);
    match weights {
        Weights::Values(weights) if !masked => Ok(weights),
        Weights::Values(weights) => {
            let masks = key_masks(cx, values, cx.patch.fact(weights).element, cx.mask)?;
            Ok(cx.patch.binary(&hint, OpKind::Multiply, weights, masks))
        }
        Weights::Above { above: Some(above), .. } if !masked => Ok(above),
        Weights::Above { base, above } => {
            let element = cx.patch.fact(base).element;
            let masks = key_masks(cx, values, element, cx.mask.of_grid())?;
            let rank = cx.patch.fact(base).rank();
            let base = cx.patch.unsqueeze(&hint, base, &[rank - 2]);
            let of_base = cx.patch.binary(&hint, OpKind::Multiply, base, masks);
            let Some(above) = above else { return Ok(of_base) };
            let masks = key_masks(cx, values, element, cx.mask)?;
            let kept = cx.patch.binary(&hint, OpKind::Multiply, above, masks);
            Ok(cx.patch.binary(&hint, OpKind::Add, kept, of_base))
        }
    }
}

/// Kept weights `[N, .., K, P, T]` times values above their background: `[N, .., K·P, d]`.
fn rows_of_results(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    kept: OutletId,
    above: OutletId,
    transposed: bool,
) -> Result<OutletId, Why> {
    let sizes = cx.patch.sizes(kept);
    let rank = sizes.len();
    let (samples, groups) = cx.view().batch_and_groups(op.out())?;
    let (k, queries, keys) = (cx.view().k(), sizes[rank - 2].clone(), sizes[rank - 1].clone());
    let mut rows = sizes[..rank - 3].to_vec();
    rows.extend([Size::product([k, queries]), keys]);
    if let first @ Size::Of(..) = &mut rows[0] {
        *first = Size::product([samples, groups]);
    }
    let kept = cx.patch.reshape(&op.hint("kept"), kept, &rows);
    Ok(cx.patch.matmul(&op.node.name, kept, above, (false, transposed)))
}

/// Results `[N·g, .., K·P, d]` as copies `[N·K·g, .., P, d]`.
fn copies_of_results(cx: &mut Context<'_, '_>, op: Operation<'_>, result: OutletId) -> Result<OutletId, Why> {
    let hint = &op.node.name;
    let (samples, groups) = cx.view().batch_and_groups(op.out())?;
    let mut split = cx.patch.sizes(result);
    let channels = split.pop().unwrap_or(Size::Fixed(1));
    split.pop();
    if let Some(first @ Size::Of(..)) = split.first_mut() {
        *first = Size::product([samples.clone(), groups.clone()]);
    }
    let whole = cx.view().original_sizes(op.out());
    let queries = whole[whole.len() - 2].clone();
    split.extend([cx.view().k(), queries, channels]);
    if groups != Size::Fixed(1) {
        split.splice(..1, [samples, groups]);
    }
    let result = cx.patch.reshape(hint, result, &split);
    let last = split.len() - 1;
    let order: Vec<usize> = [0, last - 2].into_iter().chain(1..last - 2).chain([last - 1, last]).collect();
    let result = cx.patch.transpose(hint, result, &order);
    let sizes = cx.view().copies_sizes(op.out())?;
    Ok(cx.patch.reshape(hint, result, &sizes))
}

/// Masks as `[K, 1, T]`, to stand beside `[.., K, P, T]`.
fn key_masks(
    cx: &mut Context<'_, '_>,
    like: OutletId,
    element: ElementType,
    mask: Mask,
) -> Result<OutletId, Why> {
    if !element.is_float() {
        return Err(Why::NoRealNumbers);
    }
    let prefix = cx.view().prefix(like);
    let masks = mask.weights(cx.patch, &cx.target.layout.grid, prefix, element)?;
    Ok(cx.patch.unsqueeze("masks/keys", masks, &[1]))
}
