//! Attention over masked keys and values.
//!
//! With queries that no mask touches, a score is `M_kt a_t + b`: a from the original pass, b the same for all
//! keys, which Softmax does not see. Then `P_k = softmax_t(M_kt a_t)` is one row for each mask and query, and
//! the result is `(P_k * M_k) (V - r) + r`, with r what stands where a value is blanked: rows of P sum to 1.
//! Neither keys nor values are ever copied. (arXiv 2310.02588 copies both.)

use super::dense::copies;
use crate::forward::background::{above, full};
use crate::forward::context::Context;
use crate::forward::copies::copies_above_background;
use crate::forward::form::{Background, Form};
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
    let varies = cx.view().spread(scores).is_ok_and(|spread| spread.positions);
    let copied = match varies && cx.view().background(scores).is_some() {
        true => copies(cx, scores)?,
        false => copies_above_background(cx, scores)?,
    };
    let fact = Fact::new(op.node.outputs[0].fact.element, cx.patch.fact(copied).shape.clone());
    let weights = cx.patch.add(&op.node.name, op.node.op.clone(), vec![copied], vec![fact]);
    Ok(Applied::one(Form::Dense(weights)))
}

/// Copies of attention weights times masked values.
pub(super) fn weighted_values(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let (Action::MatMul { transpose_a: false, transpose_b }, [weights, values]) =
        (op.action, &op.node.inputs[..])
    else {
        return Err(Why::NoProductOfWeights);
    };
    let Some(Form::Dense(copies)) = cx.form(*weights) else { return Err(Why::WeightsAreMasked) };
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
    attend(cx, op, by_query, *values, *transpose_b)
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
    let mut logits = scores(cx, &hint, scaled, keys, element)?;
    if let Some(bias) = parameters.first() {
        let fact = cx.patch.fact(*bias).clone();
        if fact.element != element {
            return Err(Why::AttentionMaskNoAddition);
        }
        if !cx.view().plain(*bias) {
            let bias = cx.view().unblanked(*bias);
            let bias = match fact.rank() {
                0..2 => bias,
                rank => cx.patch.unsqueeze(&op.hint("bias"), bias, &[rank - 2]),
            };
            logits = cx.patch.binary(&hint, OpKind::Add, logits, bias);
        }
    }
    let fact = cx.patch.fact(logits).clone();
    let softmax = Op::new(OpKind::SoftMax, "opset8").with("axis", -1);
    let weights = cx.patch.add(&op.hint("weights"), softmax, vec![logits], vec![fact]);
    let bytes = tensor_bytes(cx.patch.fact(weights), Some(1));
    cx.memory.count(MemoryKey::Weights(op.id), bytes);
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

/// Scores of masked keys, `[N, .., K, P, T]`, less what is the same for all keys; `[N, .., 1, P, T]` of keys that no
/// mask touches.
fn scores(
    cx: &mut Context<'_, '_>,
    hint: &str,
    queries: OutletId,
    keys: OutletId,
    element: ElementType,
) -> Result<OutletId, Why> {
    let rank = cx.patch.fact(keys).rank();
    if !cx.view().masked(keys) {
        let keys = cx.view().unblanked(keys);
        let scores = cx.patch.matmul(hint, queries, keys, (false, true));
        return Ok(cx.patch.unsqueeze(hint, scores, &[rank - 2]));
    }
    let (mut blank, mut beside) = (None, None);
    if let Some(Background::Value(_)) = cx.view().background(keys) {
        let (background, spread) = full(cx, keys)?;
        let background = cx.patch.matmul(hint, queries, background, (false, true));
        blank = Some(background);
        beside = spread.positions.then_some(background);
    }
    // [N, .., 1, P, T] beside masks [K, 1, T].
    let masks = key_masks(cx, keys, element)?;
    let logits = weigh(cx, hint, keys, masks, |cx, keys| {
        let above = cx.patch.matmul(hint, queries, keys, (false, true));
        let above = match blank {
            Some(blank) => cx.patch.binary(hint, OpKind::Subtract, above, blank),
            None => above,
        };
        cx.patch.unsqueeze(hint, above, &[rank - 2])
    });
    let Some(beside) = beside else { return Ok(logits) };
    let beside = cx.patch.unsqueeze(hint, beside, &[rank - 2]);
    Ok(cx.patch.binary(hint, OpKind::Add, logits, beside))
}

/// Weights `[N, .., K, P, T]` and values to one row of results for each mask and query. The weights of keys that no mask
/// touches, `[N, .., 1, P, T]`, get their masks from the values.
fn attend(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    weights: OutletId,
    values: OutletId,
    transposed: bool,
) -> Result<Applied, Why> {
    if cx.view().nonlinear(values) {
        return Err(Why::ValuesNotLinear);
    }
    let hint = &op.node.name;
    let element = cx.patch.fact(weights).element;
    let (mut kept, mut rest) = (weights, None);
    if cx.view().masked(values) {
        let (background, spread) = full(cx, values)?;
        if spread.positions {
            return Err(Why::BlankedValueVaries);
        }
        let masks = key_masks(cx, values, element)?;
        kept = cx.patch.binary(&op.hint("kept"), OpKind::Multiply, weights, masks);
        rest = (cx.view().background(values) != Some(Background::Zero)).then_some(background);
    }
    let sizes = cx.patch.sizes(kept);
    let rank = sizes.len();
    let (samples, groups) = cx.view().batch_and_groups(op.out())?;
    let (k, queries, keys) = (cx.view().k(), sizes[rank - 2].clone(), sizes[rank - 1].clone());
    let mut rows = sizes[..rank - 3].to_vec();
    rows.extend([Size::product([k.clone(), queries.clone()]), keys]);
    if let first @ Size::Of(..) = &mut rows[0] {
        *first = Size::product([samples.clone(), groups.clone()]);
    }
    let kept = cx.patch.reshape(&op.hint("kept"), kept, &rows);
    let above = above(cx, values);
    let mut result = cx.patch.matmul(hint, kept, above, (false, transposed));
    if let Some(background) = rest {
        let background = if transposed {
            let order: Vec<usize> = (0..rank - 3).chain([rank - 2, rank - 3]).collect();
            cx.patch.transpose(&op.hint("rest"), background, &order)
        } else {
            background
        };
        result = cx.patch.binary(&op.hint("blank"), OpKind::Add, result, background);
    }
    // [N·g, .., K·P, d] to [N·K·g, .., P, d].
    let channels = cx.patch.sizes(result).pop().unwrap_or(Size::Fixed(1));
    let mut split = rows[..rank - 3].to_vec();
    split.extend([k, queries, channels]);
    if groups != Size::Fixed(1) {
        split.splice(..1, [samples, groups]);
    }
    let result = cx.patch.reshape(hint, result, &split);
    let last = split.len() - 1;
    let order: Vec<usize> = [0, last - 2].into_iter().chain(1..last - 2).chain([last - 1, last]).collect();
    let result = cx.patch.transpose(hint, result, &order);
    let sizes = cx.view().copies_sizes(op.out())?;
    let result = cx.patch.reshape(hint, result, &sizes);
    Ok(Applied::one(Form::Dense(result)))
}

/// The masks as `[K, 1, T]`, to stand beside `[.., K, P, T]`.
fn key_masks(cx: &mut Context<'_, '_>, like: OutletId, element: ElementType) -> Result<OutletId, Why> {
    if !element.is_float() {
        return Err(Why::NoRealNumbers);
    }
    let prefix = cx.view().prefix(like);
    let masks = cx.masks(prefix, element)?;
    Ok(cx.patch.unsqueeze("masks/keys", masks, &[1]))
}
