//! One row for each token that differs: what a transformer's later layers need where all tokens are read.
//!
//! Under one mask, all tokens that it blanks are equal, and stay so through an attention: same query,
//! same keys. So of each of K copies only the tokens before the grid's, those that the mask keeps, and one that
//! stands for all others are evaluated. Where tokens meet, each counts as often as there are such:
//! `softmax(s + log m)` over keys, and a weighted mean. What tells positions apart from the start, a relative
//! position bias or a rotary embedding of a biased query, loses the form.

use super::dense::copies;
use crate::forward::context::Context;
use crate::forward::form::{Distinct, Form};
use crate::forward::operand::{beside_copies, select};
use crate::forward::operation::{Applied, Operation};
use crate::forward::questions::{View, shape_of};
use crate::forward::tokens::{beside_rows, distinct_tokens};
use crate::forward::why::Why;
use crate::graph::{Fact, OpKind, OutletId};
use crate::ir::Dim;
use crate::ops::{Action, Reduction, Selection, differs_along};

/// Far below any score: its exponential is 0 in half precision as well.
const NEVER: f32 = -1e4;

/// Applies an operation to distinct tokens.
pub(super) fn rule(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let first = op.first()?;
    match op.action {
        Action::Elementwise(_) => elementwise(cx, op),
        Action::Attention => attention(cx, op),
        Action::MatMul { transpose_a, transpose_b } => matmul(cx, op, *transpose_a, *transpose_b),
        Action::Pointwise(_) => {
            let x = distinct_tokens(cx, first)?;
            if x.axes.iter().any(|axis| differs_along(op.node, *axis)) {
                cx.view().plain_parameters(op.node)?;
            }
            clone_first(cx, op, x)
        }
        Action::Within { axes, .. } => within(cx, op, first, axes),
        Action::Reduce { reduction, axes, keep_dims } => reduce(cx, op, first, *reduction, axes, *keep_dims),
        Action::Transpose { order } => {
            let mut x = distinct_tokens(cx, first)?;
            let moved = |axis: &usize| order.iter().position(|from| from == axis);
            x.axes = x.axes.iter().map(moved).collect::<Option<_>>().ok_or(Why::AxisLost)?;
            clone_first(cx, op, x)
        }
        Action::Reshape => reshape(cx, op, first),
        Action::Select(parts) => selection(cx, op, first, parts),
        Action::Concat { axis } => concat(cx, op, *axis),
        _ => Err(Why::NoDistinctRule),
    }
}

/// Distinct tokens on `axes`; copies of what has lost them all.
fn as_form(outlet: OutletId, axes: &[usize]) -> Form {
    match axes {
        [] => Form::copies(outlet),
        _ => Form::Distinct(Distinct { outlet, axes: axes.to_vec() }),
    }
}

/// Clones an operation on distinct tokens; those of its results are on `axes`.
fn clone_on(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    inputs: Vec<OutletId>,
    axes: &[usize],
) -> Result<Applied, Why> {
    let mut facts = Vec::new();
    for (outlet, output) in op.outputs().zip(&op.node.outputs) {
        let sizes = cx.view().distinct_sizes(outlet, axes)?;
        facts.push(Fact::new(output.fact.element, shape_of(&sizes)));
    }
    let first = cx.patch.add(&op.node.name, op.node.op.clone(), inputs, facts);
    let outlets = (0..op.node.outputs.len()).map(|slot| OutletId::new(first.node, slot));
    Ok(Applied::linear(outlets.map(|outlet| as_form(outlet, axes)).collect()))
}

/// Clones an operation that has one input that depends on the mask.
fn clone_first(cx: &mut Context<'_, '_>, op: Operation<'_>, x: Distinct) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    let mut inputs: Vec<OutletId> = op.node.inputs.iter().map(|input| cx.view().unblanked(*input)).collect();
    inputs[0] = x.outlet;
    clone_on(cx, op, inputs, &x.axes)
}

fn concat(cx: &mut Context<'_, '_>, op: Operation<'_>, axis: usize) -> Result<Applied, Why> {
    let mut parts: Vec<Distinct> = Vec::new();
    for input in &op.node.inputs {
        let part = distinct_tokens(cx, *input)?;
        if part.axes.contains(&axis) || parts.first().is_some_and(|first| first.axes != part.axes) {
            return Err(Why::JoinsTokens);
        }
        parts.push(part);
    }
    let axes = parts.first().ok_or(Why::NoInputs)?.axes.clone();
    let inputs = parts.into_iter().map(|part| part.outlet).collect();
    clone_on(cx, op, inputs, &axes)
}

fn within(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    axes: &[usize],
) -> Result<Applied, Why> {
    let mut x = distinct_tokens(cx, first)?;
    if axes.iter().any(|axis| x.axes.contains(axis)) {
        let ([axis], OpKind::SoftMax) = (axes, &op.node.op.kind) else { return Err(Why::WorksAlongTokens) };
        x.outlet = with_counts(cx, op, first, x.outlet, *axis)?;
    }
    clone_first(cx, op, x)
}

/// Scores with the logarithm of how many keys each stands for.
fn with_counts(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    scores: OutletId,
    x: OutletId,
    axis: usize,
) -> Result<OutletId, Why> {
    let tokens = cx.patch.fact(scores).shape[axis].fixed().zip(cx.view().k().dim().fixed());
    let (tokens, k) = tokens.ok_or(Why::UnknownTokens)?;
    let counts = log_counts(cx.view(), tokens.saturating_sub(k))?;
    let bias = beside_rows(cx, "distinct/log_counts", scores, &counts, axis)?;
    Ok(cx.patch.binary(&op.hint("counted"), OpKind::Add, x, bias))
}

fn log_counts(view: View<'_>, prefix: usize) -> Result<Vec<f32>, Why> {
    let counts = view.distinct_counts(prefix)?;
    Ok(counts.into_iter().map(|count| if count > 0.0 { count.ln() } else { NEVER }).collect())
}

fn reduce(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    reduction: Reduction,
    axes: &[usize],
    keep_dims: bool,
) -> Result<Applied, Why> {
    let mut x = distinct_tokens(cx, first)?;
    match axes.iter().filter(|axis| x.axes.contains(axis)).count() {
        0 => {
            let gone: &[usize] = if keep_dims { &[] } else { axes };
            for axis in &mut x.axes {
                *axis -= gone.iter().filter(|gone| *gone < axis).count();
            }
            clone_first(cx, op, x)
        }
        1 if x.axes.len() == 1 => pool(cx, op, first, &x, reduction, axes),
        _ => Err(Why::WorksAlongAttentionTokens),
    }
}

/// Pooling over all tokens.
fn pool(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    x: &Distinct,
    reduction: Reduction,
    axes: &[usize],
) -> Result<Applied, Why> {
    let shape = &cx.patch.fact(first).shape;
    let axis = x.axes[0];
    if axes.iter().any(|other| *other != axis && !shape[*other].is_one()) {
        return Err(Why::PoolsMoreThanTokens);
    }
    let prefix = cx.view().prefix(first);
    let counts = cx.view().distinct_counts(prefix)?;
    let total: f32 = counts[..cx.view().distinct_rows(prefix)].iter().sum();
    let factor = match reduction {
        Reduction::Mean => 1.0 / total,
        Reduction::Sum => 1.0,
        _ => return Err(Why::NoDistinctReduction),
    };
    let weights: Vec<f32> = counts.iter().map(|count| count * factor).collect();
    let weights = beside_rows(cx, "distinct/counts", first, &weights, axis)?;
    let weighed = cx.patch.binary(&op.hint("counted"), OpKind::Multiply, x.outlet, weights);
    let pooled = cx.patch.reduce(&op.node.name, OpKind::ReduceSum, weighed, &[axis], true);
    let sizes = cx.view().copies_sizes(op.out())?;
    let pooled = cx.patch.reshape(&op.node.name, pooled, &sizes);
    Ok(Applied::one(Form::copies(pooled)))
}

fn elementwise(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let (node, out) = (op.node, op.out());
    let rank = node.outputs[0].fact.rank();
    let batch = cx.view().batch(out)?;
    let mut axes: Option<Vec<usize>> = None;
    for input in &node.inputs {
        if !cx.view().masked(*input) {
            continue;
        }
        let own = distinct_tokens(cx, *input)?;
        let shift = rank - cx.patch.fact(*input).rank();
        let own_batch = cx.view().batch(*input)? + shift;
        let own: Vec<usize> = own.axes.iter().map(|axis| axis + shift).collect();
        if own_batch != batch || axes.as_ref().is_some_and(|axes| *axes != own) {
            return Err(Why::TokensOnDifferentAxes);
        }
        axes = Some(own);
    }
    let axes = axes.ok_or(Why::NoMaskedOperand)?;
    let mut inputs = Vec::new();
    for input in &node.inputs {
        if cx.view().masked(*input) {
            inputs.push(distinct_tokens(cx, *input)?.outlet);
            continue;
        }
        let shape = &cx.patch.fact(*input).shape;
        let along =
            |axis: &usize| (axis + shape.len()).checked_sub(rank).is_some_and(|axis| !shape[axis].is_one());
        if axes.iter().any(along) {
            return Err(Why::OperandTellsTokens);
        }
        inputs.push(beside_copies(cx, *input, rank, batch, out)?);
    }
    clone_on(cx, op, inputs, &axes)
}

fn reshape(cx: &mut Context<'_, '_>, op: Operation<'_>, first: OutletId) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    let x = distinct_tokens(cx, first)?;
    let [axis] = x.axes[..] else { return Err(Why::RearrangesScores) };
    let labels = cx.labels.get(first).zip(cx.labels.get(op.out()));
    let (from, to) = labels.ok_or(Why::TokensUnknown)?;
    let same = |i: &usize| to.0[*i].positional() && to.0[*i] == from.0[axis];
    let to: Vec<usize> = (0..to.0.len()).filter(same).collect();
    if to.len() != 1 {
        return Err(Why::SplitsOrJoinsTokens);
    }
    let sizes = cx.view().distinct_sizes(op.out(), &to)?;
    let outlet = cx.patch.reshape(&op.node.name, x.outlet, &sizes);
    Ok(Applied::one(as_form(outlet, &to)))
}

fn selection(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    parts: &[Vec<Selection>],
) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    let x = distinct_tokens(cx, first)?;
    let batch = cx.view().batch(first)?;
    for part in parts.iter().flatten() {
        if part.axis == batch {
            return Err(Why::WorksAlongBatch);
        }
        if x.axes.contains(&part.axis) {
            return tokens_of(cx, op, first, parts, part, &x);
        }
    }
    let mut axes = x.axes;
    let dropped = parts.first().into_iter().flatten().filter(|part| part.drops);
    let dropped: Vec<usize> = dropped.map(|part| part.axis).collect();
    for axis in &mut axes {
        *axis -= dropped.iter().filter(|dropped| *dropped < axis).count();
    }
    let sizes = op.outputs().map(|outlet| cx.view().distinct_sizes(outlet, &axes));
    let shapes = sizes.map(|sizes| Ok(shape_of(&sizes?))).collect::<Result<Vec<_>, Why>>()?;
    let outlets = select(cx, op, parts, x.outlet, shapes)?;
    Ok(Applied::linear(outlets.into_iter().map(|outlet| as_form(outlet, &axes)).collect()))
}

/// A selection along the tokens: some of those before the grid's, or all but some of them.
fn tokens_of(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    parts: &[Vec<Selection>],
    part: &Selection,
    x: &Distinct,
) -> Result<Applied, Why> {
    let prefix = cx.view().prefix(first);
    let [only] = parts else { return Err(Why::SplitsTokens) };
    let start = part.start.filter(|start| *start <= prefix && (part.step == 1 || part.drops));
    let length = if part.drops { Some(1) } else { op.node.outputs[0].fact.shape[part.axis].fixed() };
    let (Some(start), Some(length), [_], [_]) = (start, length, &only[..], &x.axes[..]) else {
        return Err(Why::TakesPartOfTokens);
    };
    if !part.to_end && start + length > prefix {
        return Err(Why::TakesPartOfTokens);
    }
    let end = (!part.to_end).then_some(start + length);
    let hint = &op.node.name;
    let rows = cx.patch.slice(hint, x.outlet, part.axis, start, end);
    if part.to_end {
        return Ok(Applied::one(as_form(rows, &x.axes)));
    }
    let rows = if part.drops { cx.patch.squeeze(hint, rows, &[part.axis]) } else { rows };
    Ok(Applied::one(Form::copies(rows)))
}

fn matmul(cx: &mut Context<'_, '_>, op: Operation<'_>, ta: bool, tb: bool) -> Result<Applied, Why> {
    let [a, b] = op.operands()?;
    let rank = op.node.outputs[0].fact.rank();
    let (rank_a, rank_b) = (cx.patch.fact(a).rank(), cx.patch.fact(b).rank());
    if rank_a < 2 || rank_b < 2 {
        return Err(Why::OperandWithoutMatrix);
    }
    let contracted_a = if ta { rank_a - 2 } else { rank_a - 1 };
    let contracted_b = if tb { rank_b - 1 } else { rank_b - 2 };
    if !cx.view().masked(b) {
        let x = distinct_tokens(cx, a)?;
        if x.axes.contains(&contracted_a) || rank_a != rank || rank_b > 2 || ta {
            return Err(Why::MultipliesAlongTokens);
        }
        let inputs = vec![x.outlet, cx.view().unblanked(b)];
        return clone_on(cx, op, inputs, &x.axes);
    }
    if rank_a != rank || rank_b != rank || ta {
        return Err(Why::MultipliesAlongTokens);
    }
    let (a, b) = (tokens_or_rows(cx, a)?, distinct_tokens(cx, b)?);
    // Keys or values: scores take their tokens as columns, results take them away.
    let over_tokens = b.axes == [contracted_b] && a.axes.last() == Some(&contracted_a);
    let scores = !b.axes.contains(&contracted_b) && !a.axes.contains(&contracted_a);
    let mut axes: Vec<usize> = a.axes.iter().copied().filter(|axis| *axis != contracted_a).collect();
    match (over_tokens, scores) {
        (true, _) => {}
        (_, true) if b.axes.len() == 1 => axes.push(rank - 1),
        _ => return Err(Why::MultipliesAlongTokens),
    }
    clone_on(cx, op, vec![a.outlet, b.outlet], &axes)
}

/// Distinct tokens, or copies of what has no tokens.
fn tokens_or_rows(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<Distinct, Why> {
    match cx.form(outlet) {
        Some(Form::Dense(_)) if !cx.view().positional(outlet) && cx.view().batch(outlet)? == 0 => {
            Ok(Distinct { outlet: copies(cx, outlet)?, axes: Vec::new() })
        }
        _ => distinct_tokens(cx, outlet),
    }
}

fn attention(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let [queries, keys, values, ref parameters @ ..] = op.node.inputs[..] else {
        return Err(Why::NotThreeOperands);
    };
    if !parameters.iter().all(|outlet| cx.view().plain(*outlet)) || op.node.op.flag("causal") {
        return Err(Why::AttentionMaskTellsTokens);
    }
    let rank = cx.patch.fact(keys).rank();
    let q = tokens_or_rows(cx, queries)?;
    let (k, v) = (distinct_tokens(cx, keys)?, distinct_tokens(cx, values)?);
    if rank < 3 || k.axes != [rank - 2] || v.axes != [rank - 2] || q.axes.iter().any(|axis| *axis != rank - 2)
    {
        return Err(Why::TokensOnOtherAxes);
    }
    let counts = log_counts(cx.view(), cx.view().prefix(keys))?;
    let mut bias = beside_rows(cx, "distinct/log_counts", keys, &counts, rank - 1)?;
    // OpenVINO 2023.3 does not broadcast a mask over queries.
    if let Some(rows @ 2..) = cx.patch.fact(q.outlet).shape[rank - 2].fixed() {
        let mut shape = vec![Dim::Fixed(1); rank];
        shape[rank - 2] = Dim::Fixed(rows);
        let fact = Fact::new(cx.patch.fact(bias).element, shape);
        let zeros = cx.patch.floats("distinct/every_query", fact, &vec![0.0; rows]);
        bias = cx.patch.binary("distinct/log_counts", OpKind::Add, bias, zeros);
    }
    let mut inputs = vec![q.outlet, k.outlet, v.outlet, bias];
    inputs.extend(parameters.get(1).map(|scale| cx.view().unblanked(*scale)));
    clone_on(cx, op, inputs, &q.axes)
}
