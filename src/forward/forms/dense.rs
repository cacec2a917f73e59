//! The dense form: K copies as rows of the batch, masks innermost.
//!
//! Operations are cloned on the copies. Where the original says how large its batch is (in a Reshape,
//! in a constant), the clone has to say N·K instead; where the batch is, the labels tell.
//!
//! [`copies`] and [`on_copies`] call each other: where a value cannot be copied, what makes it is evaluated on copies
//! of what that reads.

use crate::forward::context::Context;
use crate::forward::copies::{masked_copies, rows_of_positions};
use crate::forward::form::Form;
use crate::forward::laid::whole;
use crate::forward::operand::{beside_copies, repeated, select};
use crate::forward::operation::Operation;
use crate::forward::why::Why;
use crate::graph::{OutletId, Size};
use crate::ops::{Action, Equation, Selection};

/// A value as copies, made where they are not there yet.
pub(in crate::forward) fn copies(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<OutletId, Why> {
    if let Some(copies) = cx.values.copies.get(&outlet) {
        return Ok(*copies);
    }
    whole(cx, outlet)?;
    let copies = match cx.form(outlet) {
        Some(Form::Dense(copies)) => return Ok(copies.outlet),
        Some(Form::PerPosition(value)) => rows_of_positions(cx, outlet, value.outlet)?,
        Some(Form::OneHot { background }) => match masked_copies(cx, outlet, background) {
            Ok(copies) => copies,
            // Where this value's own positions cannot be masked, its operation runs on copies.
            Err(why) => produced(cx, outlet).map_err(|_| why)?,
        },
        Some(Form::Distinct(_)) => produced(cx, outlet)?,
        None => return Err(Why::UnmaskedOperand),
    };
    cx.values.copies.insert(outlet, copies);
    cx.count_copies(outlet);
    Ok(copies)
}

/// Copies made by evaluating the operation behind a value on copies of its inputs.
fn produced(cx: &mut Context<'_, '_>, outlet: OutletId) -> Result<OutletId, Why> {
    if cx.target.masked().contains(&outlet) {
        return Err(Why::TargetNotCopied);
    }
    if let Some(input) = cx.values.left_out.get(&outlet) {
        return copies(cx, *input);
    }
    let outputs = on_copies(cx, cx.operation(outlet.node))?;
    outputs.get(outlet.slot).copied().ok_or(Why::NoSuchOutput)
}

/// Clones an operation on copies of its inputs; returns the copies of its outputs.
pub(in crate::forward) fn on_copies(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
) -> Result<Vec<OutletId>, Why> {
    let (node, action) = (op.node, op.action);
    if node.has_body {
        return Err(Why::ControlFlow);
    }
    if *action == Action::Opaque && cx.model().contradicted(op.id) {
        return Err(Why::ShapesContradict);
    }
    let opaque = || Err(Why::OpaqueBatch(node.op.type_name().to_owned()));
    if matches!(action, Action::Opaque | Action::ShapeOf | Action::Unfold { .. }) {
        return opaque();
    }
    let batches = op.outputs().map(|outlet| cx.view().batch(outlet)).collect::<Result<Vec<_>, _>>()?;
    let batch = batches.first().copied().unwrap_or(0);
    let first = op.first()?;
    match action {
        Action::Elementwise(_) => elementwise(cx, op, batch),
        Action::Pointwise(_) | Action::Transpose { .. } => clone_first(cx, op),
        Action::Within { axes, .. } | Action::Resample { axes } | Action::Reduce { axes, .. } => {
            cx.view().not_batch(first, axes)?;
            clone_first(cx, op)
        }
        Action::Window(_) if batch == 0 => clone_first(cx, op),
        Action::Window(_) => Err(Why::WindowBatchNotFirst),
        Action::MatMul { transpose_a, transpose_b } => matmul(cx, op, batch, [*transpose_a, *transpose_b]),
        Action::Einsum(equation) => einsum(cx, op, batch, equation),
        Action::Attention => attention(cx, op, batch),
        Action::Reshape => {
            cx.view().only_first(node)?;
            let x = copies(cx, first)?;
            let sizes = cx.view().copies_sizes(op.out())?;
            Ok(vec![cx.patch.reshape(&node.name, x, &sizes)])
        }
        Action::Select(parts) => selection(cx, op, first, parts),
        Action::Concat { axis } => concat(cx, op, batch, *axis),
        Action::ShapeOf | Action::Opaque | Action::Unfold { .. } => opaque(),
    }
}

/// Clones an operation on operands that are copies or stand beside them.
fn clone_on(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    inputs: Vec<OutletId>,
) -> Result<Vec<OutletId>, Why> {
    let facts = op.outputs().map(|outlet| cx.view().copies_fact(outlet)).collect::<Result<Vec<_>, _>>()?;
    let cloned = cx.patch.add(&op.node.name, op.node.op.clone(), inputs, facts);
    Ok((0..op.node.outputs.len()).map(|slot| OutletId::new(cloned.node, slot)).collect())
}

/// Clones an operation of which only the first input depends on the mask.
fn clone_first(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Vec<OutletId>, Why> {
    cx.view().only_first(op.node)?;
    let mut inputs = op.node.inputs.clone();
    inputs[0] = copies(cx, inputs[0])?;
    clone_on(cx, op, inputs)
}

fn elementwise(cx: &mut Context<'_, '_>, op: Operation<'_>, batch: usize) -> Result<Vec<OutletId>, Why> {
    let rank = op.node.outputs[0].fact.rank();
    let mut inputs = Vec::new();
    for input in &op.node.inputs {
        inputs.push(match cx.view().masked(*input) {
            true => aligned(cx, *input, rank, batch)?,
            false => beside_copies(cx, *input, rank, batch, op.out())?,
        });
    }
    clone_on(cx, op, inputs)
}

/// Copies of an operand, made to broadcast with the batch on axis `batch` of `rank`.
///
/// With a batch of 1 the original may line it up with any axis; N·K rows have to go where the rows are.
fn aligned(cx: &mut Context<'_, '_>, outlet: OutletId, rank: usize, batch: usize) -> Result<OutletId, Why> {
    let own = cx.view().batch(outlet)?;
    let copied = copies(cx, outlet)?;
    let shape = cx.patch.fact(outlet).shape.clone();
    let shift = rank - shape.len();
    if own + shift == batch {
        return Ok(copied);
    }
    if !shape[own].is_one() {
        return Err(Why::BatchOnDifferentAxes);
    }
    // Other extents keep their places; none may stand where the rows go, or change sides with them.
    let mut sizes = vec![Size::Fixed(1); rank];
    for (axis, size) in cx.view().original_sizes(outlet).into_iter().enumerate() {
        if axis == own || shape[axis].is_one() {
            continue;
        }
        if axis + shift == batch || (axis < own) != (axis + shift < batch) {
            return Err(Why::BatchOnDifferentAxes);
        }
        sizes[axis + shift] = size;
    }
    sizes[batch] = cx.view().k();
    let hint = cx.hint(outlet, "aligned");
    Ok(cx.patch.reshape(&hint, copied, &sizes))
}

/// Copies of an operand whose batch is where that of the result is, at `batch`.
fn copies_alike(cx: &mut Context<'_, '_>, outlet: OutletId, batch: usize) -> Result<OutletId, Why> {
    match cx.view().batch(outlet)? == batch {
        true => copies(cx, outlet),
        false => Err(Why::BatchOnDifferentAxes),
    }
}

fn attention(cx: &mut Context<'_, '_>, op: Operation<'_>, batch: usize) -> Result<Vec<OutletId>, Why> {
    let rank = op.node.outputs[0].fact.rank();
    let mut inputs = Vec::new();
    for input in &op.node.inputs {
        let whole = cx.patch.fact(*input).rank() == rank;
        inputs.push(match cx.view().masked(*input) {
            true if !whole => return Err(Why::BatchOnDifferentAxes),
            true => copies_alike(cx, *input, batch)?,
            false if whole => repeated(cx, *input, batch, op.out())?,
            false => cx.view().unblanked(*input),
        });
    }
    clone_on(cx, op, inputs)
}

/// Operands that have an axis for the batch get the rows of the copies.
fn einsum(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    batch: usize,
    equation: &Equation,
) -> Result<Vec<OutletId>, Why> {
    let mut inputs = Vec::new();
    for (operand, input) in op.node.inputs.iter().enumerate() {
        let own = equation.axis_of(operand, batch);
        inputs.push(match (cx.view().masked(*input), own) {
            (true, None) => return Err(Why::BatchOnDifferentAxes),
            (true, Some(own)) => copies_alike(cx, *input, own)?,
            (false, Some(own)) => repeated(cx, *input, own, op.out())?,
            (false, None) => cx.view().unblanked(*input),
        });
    }
    clone_on(cx, op, inputs)
}

fn concat(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    batch: usize,
    axis: usize,
) -> Result<Vec<OutletId>, Why> {
    if axis == batch {
        return Err(Why::JoinsAlongBatch);
    }
    let mut inputs = Vec::new();
    for input in &op.node.inputs {
        inputs.push(match cx.view().masked(*input) {
            true => copies_alike(cx, *input, batch)?,
            false => repeated(cx, *input, batch, op.out())?,
        });
    }
    clone_on(cx, op, inputs)
}

fn selection(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    parts: &[Vec<Selection>],
) -> Result<Vec<OutletId>, Why> {
    for part in parts {
        cx.view().not_batch(first, &part.iter().map(|part| part.axis).collect::<Vec<_>>())?;
    }
    cx.view().only_first(op.node)?;
    let x = copies(cx, first)?;
    let shapes = op.outputs().map(|outlet| Ok(cx.view().copies_fact(outlet)?.shape));
    let shapes = shapes.collect::<Result<Vec<_>, Why>>()?;
    select(cx, op, parts, x, shapes)
}

fn matmul(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    batch: usize,
    transpose: [bool; 2],
) -> Result<Vec<OutletId>, Why> {
    let rank = op.node.outputs[0].fact.rank();
    let mut inputs = Vec::new();
    for (i, (input, transposed)) in op.node.inputs.iter().zip(transpose).enumerate() {
        let whole = cx.patch.fact(*input).rank();
        inputs.push(match cx.view().masked(*input) {
            true => {
                let at = cx.view().batch(*input)?;
                let back = if (i == 0) == transposed { 2 } else { 1 };
                if whole < 2 || at + back == whole {
                    return Err(Why::MultipliesAlongBatch);
                }
                // Leading axes line up from the right; a row or column stays what it is.
                let kept = if i == 0 { rank - 2 } else { rank - 1 };
                let lands = if at + 2 < whole { at + rank - whole } else { kept };
                if lands != batch {
                    return Err(Why::BatchOnDifferentAxes);
                }
                copies(cx, *input)?
            }
            // An operand without a batch serves all copies; one with a batch is repeated.
            false if batch + 2 < rank + usize::from(whole < rank) && whole == rank => {
                beside_copies(cx, *input, rank, batch, op.out())?
            }
            false => cx.view().unblanked(*input),
        });
    }
    clone_on(cx, op, inputs)
}
