//! Rules of values per position: a "fully convolutional" head.
//!
//! The value is `[N,C,h,w]` where the original is a vector of C channels. What multiplies channels is a 1x1
//! convolution here; what rearranges axes of extent 1 is nothing at all.

use crate::forward::context::Context;
use crate::forward::form::{Form, Rows};
use crate::forward::operation::{Applied, Operation};
use crate::forward::questions::View;
use crate::forward::why::Why;
use crate::graph::{Fact, OpKind, OutletId, Size};
use crate::ops::{Action, Extent, Reduction, Window, WindowKind};

/// Applies an operation to values per position.
pub(super) fn rule(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let (node, first) = (op.node, op.first()?);
    let (_, channel) = cx.view().vector(op.out())?;
    let value = match op.action {
        Action::Elementwise(_) => elementwise(cx, op)?,
        Action::Pointwise(_) => {
            cx.view().only_first(node)?;
            let x = at_positions(cx.view(), first)?;
            let inputs = std::iter::once(x).chain(node.inputs.iter().skip(1).copied()).collect();
            cx.view().plain_parameters(node)?;
            let fact = Fact::new(node.outputs[0].fact.element, cx.patch.fact(x).shape.clone());
            cx.patch.add(&node.name, node.op.clone(), inputs, vec![fact])
        }
        Action::Within { axes, .. } if matches!(node.op.kind, OpKind::SoftMax | OpKind::LogSoftmax) => {
            if axes[..] != [channel] {
                return Err(Why::WorksAlongNothing);
            }
            let x = at_positions(cx.view(), first)?;
            let fact = cx.patch.fact(x).clone();
            cx.patch.add(&node.name, node.op.clone().replacing("axis", 1), vec![x], vec![fact])
        }
        Action::Within { .. } => return Err(Why::NormFasterInCopies),
        Action::Reduce { reduction: Reduction::Other, .. } => return Err(Why::NoPerPositionReduction),
        Action::Reduce { axes, .. } => {
            let shape = &cx.patch.fact(first).shape;
            if !axes.iter().all(|axis| shape[*axis].is_one()) {
                return Err(Why::ReducesChannels);
            }
            at_positions(cx.view(), first)?
        }
        Action::Transpose { .. } | Action::Reshape => {
            cx.view().only_first(node)?;
            at_positions(cx.view(), first)?
        }
        Action::Concat { axis } => {
            if *axis != channel {
                return Err(Why::JoinsNoChannels);
            }
            let parts = node.inputs.iter().map(|input| at_positions(cx.view(), *input));
            let parts: Vec<OutletId> = parts.collect::<Result<_, _>>()?;
            cx.patch.concat(&node.name, &parts, 1)
        }
        Action::Window(Window { kind, extent }) => window(cx, op, first, *kind, *extent)?,
        Action::MatMul { transpose_a, transpose_b } => matmul(cx, op, first, *transpose_a, *transpose_b)?,
        _ => return Err(Why::NoPerPositionRule),
    };
    Ok(Applied::one(Form::PerPosition(Rows::values(value))))
}

fn at_positions(view: View<'_>, outlet: OutletId) -> Result<OutletId, Why> {
    match view.form(outlet) {
        Some(Form::PerPosition(Rows { outlet, base: None })) => Ok(*outlet),
        _ => Err(Why::UnmaskedOperand),
    }
}

fn elementwise(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<OutletId, Why> {
    let node = op.node;
    let (batch, channel) = cx.view().vector(op.out())?;
    let rank = node.outputs[0].fact.rank();
    let mut inputs = Vec::new();
    for input in &node.inputs {
        inputs.push(match cx.form(*input) {
            Some(Form::PerPosition(Rows { outlet: value, base: None })) => {
                if cx.view().vector(*input)? != (batch, channel) || cx.patch.fact(*input).rank() != rank {
                    return Err(Why::ChannelsOnDifferentAxes);
                }
                value
            }
            _ => beside_positions(cx, &op.hint("operand"), *input, rank, (batch, channel))?,
        });
    }
    let element = node.outputs[0].fact.element;
    Ok(cx.patch.elementwise(&node.name, node.op.clone(), inputs, element))
}

/// A value that does not depend on the mask, laid out to broadcast against `[N,C,h,w]`.
fn beside_positions(
    cx: &mut Context<'_, '_>,
    hint: &str,
    outlet: OutletId,
    rank: usize,
    (batch, channel): (usize, usize),
) -> Result<OutletId, Why> {
    if cx.view().plain(outlet) && cx.patch.fact(outlet).rank() <= 4 {
        return Ok(outlet);
    }
    let sizes = cx.patch.sizes(outlet);
    let along = |axis: usize| {
        (axis + sizes.len())
            .checked_sub(rank)
            .and_then(|axis| sizes.get(axis).cloned())
            .unwrap_or(Size::Fixed(1))
    };
    for axis in (0..rank).filter(|axis| *axis != batch && *axis != channel) {
        if along(axis) != Size::Fixed(1) {
            return Err(Why::OperandBeyondChannels);
        }
    }
    if channel < batch && along(batch) != Size::Fixed(1) {
        return Err(Why::OperandChannelsFirst);
    }
    let target = [along(batch), along(channel), Size::Fixed(1), Size::Fixed(1)];
    Ok(cx.patch.reshape(hint, outlet, &target))
}

fn window(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    kind: WindowKind,
    extent: Extent,
) -> Result<OutletId, Why> {
    let node = op.node;
    cx.view().only_first(node)?;
    let (_, channel) = cx.view().vector(first)?;
    let x = at_positions(cx.view(), first)?;
    match (kind, extent) {
        // Pooling over a map of one position.
        (WindowKind::Pool(_), Extent::Point | Extent::Whole) => Ok(x),
        (_, Extent::Point | Extent::Whole) if channel == 1 && node.outputs[0].fact.rank() == 4 => {
            let mut fact = cx.patch.fact(x).clone();
            fact.shape[1] = node.outputs[0].fact.shape[1];
            // A stride means nothing on one position, but here it would skip some.
            let one = node.op.clone().replacing("strides", "1, 1").replacing("dilations", "1, 1");
            Ok(cx.patch.add(&node.name, one, vec![x, node.inputs[1]], vec![fact]))
        }
        _ => Err(Why::KernelLargerThanPosition),
    }
}

/// A matrix product over channels as a 1x1 convolution.
fn matmul(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    ta: bool,
    tb: bool,
) -> Result<OutletId, Why> {
    let node = op.node;
    cx.view().only_first(node)?;
    let weight = node.inputs[1];
    let rank = cx.patch.fact(first).rank();
    let (_, channel) = cx.view().vector(first)?;
    if cx.patch.fact(weight).rank() != 2 || rank < 2 || ta || channel != rank - 1 {
        return Err(Why::NoProductOfChannels);
    }
    let x = at_positions(cx.view(), first)?;
    let hint = op.hint("weight");
    let order = if tb { [0, 1] } else { [1, 0] };
    let weight = cx.patch.transpose(&hint, weight, &order);
    let mut sizes = cx.patch.sizes(weight);
    sizes.extend([Size::Fixed(1), Size::Fixed(1)]);
    let weight = cx.patch.reshape(&hint, weight, &sizes);
    Ok(cx.patch.pointwise_convolution(&node.name, x, weight))
}
