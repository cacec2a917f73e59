//! Rules of a base with differences: what an operation makes of both, without subtracting what is nearly equal.
//!
//! What is linear does the same to both. The base, in the original's shape, is evaluated by the operation itself; what
//! becomes of the differences is in `differences.rs`. An operation that is not here makes values of them.

use super::{dense, per_position};
use crate::forward::context::Context;
use crate::forward::copies::rows_of_positions;
use crate::forward::differences::{Arithmetic, Pair};
use crate::forward::form::{Form, FormKind, Rows};
use crate::forward::laid::Laid;
use crate::forward::operation::{Applied, Operation};
use crate::forward::why::Why;
use crate::graph::{OpKind, OutletId};
use crate::ops::{Action, Reduction, Window, WindowKind};

/// Applies an operation to values that are differences from a base.
pub(super) fn rule(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    if !op.node.inputs.iter().any(|input| has_base(cx, *input)) {
        return Err(Why::NoDifference);
    }
    let kind = common_kind(cx, op)?;
    if !op.outputs().all(|outlet| cx.view().fact(outlet).element.is_float()) {
        return Err(Why::NoRealNumbers);
    }
    let rows = match op.action {
        Action::Elementwise(_) | Action::Pointwise(_) => elementwise(cx, op, kind)?,
        Action::Within { axes, .. } => within(cx, op, axes)?,
        Action::Reduce { reduction: Reduction::Mean | Reduction::Sum, .. }
        | Action::Transpose { .. }
        | Action::Reshape
        | Action::Select(_) => linear(cx, op, kind)?,
        Action::Window(Window {
            kind: WindowKind::Convolution | WindowKind::Pool(Reduction::Mean), ..
        }) => linear(cx, op, kind)?,
        Action::MatMul { .. } if masked(cx, op).len() == 1 => linear(cx, op, kind)?,
        Action::Concat { .. } if masked(cx, op).len() == op.node.inputs.len() => linear(cx, op, kind)?,
        _ => return Err(Why::NoDifference),
    };
    with_base(cx, op, rows)
}

fn has_base(cx: &Context<'_, '_>, outlet: OutletId) -> bool {
    cx.values.form(outlet).and_then(Form::rows).is_some_and(|rows| rows.base.is_some())
}

/// Operands that depend on the mask.
fn masked(cx: &Context<'_, '_>, op: Operation<'_>) -> Vec<OutletId> {
    op.node.inputs.iter().copied().filter(|input| cx.view().masked(*input)).collect()
}

/// The form of all operands that depend on the mask, each of which has a base; vectors become copies beside copies, and
/// where channels are mixed.
fn common_kind(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<FormKind, Why> {
    let operands = masked(cx, op);
    if !operands.iter().all(|outlet| has_base(cx, *outlet)) {
        return Err(Why::NoDifference);
    }
    let kind = |outlet: &OutletId| cx.values.form(*outlet).map(Form::kind);
    let copied = operands.iter().any(|outlet| kind(outlet) == Some(FormKind::Dense));
    if !copied && !matches!(op.action, Action::Within { .. }) {
        return Ok(FormKind::PerPosition);
    }
    for outlet in operands {
        if let Some(Form::PerPosition(Rows { outlet: value, base })) = cx.form(outlet) {
            let outlet_rows = rows_of_positions(cx, outlet, value)?;
            cx.values.forms.insert(outlet, Form::Dense(Rows { outlet: outlet_rows, base }));
        }
    }
    Ok(FormKind::Dense)
}

/// Rows of the outputs, as the rules of values make them of the differences alone.
fn linear(cx: &mut Context<'_, '_>, op: Operation<'_>, kind: FormKind) -> Result<Vec<Form>, Why> {
    let operands = masked(cx, op);
    let before: Vec<(OutletId, Form)> =
        operands.iter().filter_map(|outlet| Some((*outlet, cx.form(*outlet)?))).collect();
    for (outlet, form) in &before {
        let Some(rows) = form.rows() else { continue };
        let rows = Rows::values(rows.outlet);
        let alone = if kind == FormKind::Dense { Form::Dense(rows) } else { Form::PerPosition(rows) };
        cx.values.forms.insert(*outlet, alone);
    }
    let made = match kind {
        FormKind::Dense => {
            dense::on_copies(cx, op).map(|copies| copies.into_iter().map(Form::copies).collect())
        }
        _ => per_position::rule(cx, op).map(|applied| applied.forms),
    };
    cx.values.forms.extend(before);
    made
}

/// Adds what becomes of the bases to rows of differences.
fn with_base(cx: &mut Context<'_, '_>, op: Operation<'_>, rows: Vec<Form>) -> Result<Applied, Why> {
    let rank = op.node.outputs[0].fact.rank();
    let mut inputs = Vec::new();
    for input in &op.node.inputs {
        let base = cx.values.form(*input).and_then(Form::rows).and_then(|rows| rows.base);
        let value = base.unwrap_or_else(|| cx.view().unblanked(*input));
        inputs.push(match (base, op.action) {
            (None, Action::Elementwise(_)) => cx.patch.apart(&op.hint("base"), value, rank),
            _ => value,
        });
    }
    let bases = cx.clone_alike(&op.hint("base"), op, inputs);
    let pair = |(form, base): (Form, OutletId)| match form {
        Form::PerPosition(rows) => Ok(Form::PerPosition(Rows::above(base, rows.outlet))),
        Form::Dense(rows) => Ok(Form::Dense(Rows::above(base, rows.outlet))),
        _ => Err(Why::NoDifference),
    };
    Ok(Applied::linear(rows.into_iter().zip(bases).map(pair).collect::<Result<_, _>>()?))
}

/// The rows of one output.
fn of_output(kind: FormKind, rows: OutletId) -> Vec<Form> {
    let rows = Rows::values(rows);
    vec![if kind == FormKind::Dense { Form::Dense(rows) } else { Form::PerPosition(rows) }]
}

fn elementwise(cx: &mut Context<'_, '_>, op: Operation<'_>, kind: FormKind) -> Result<Vec<Form>, Why> {
    let varies: Vec<bool> = op.node.inputs.iter().map(|input| cx.view().masked(*input)).collect();
    match (&op.node.op.kind, &varies[..]) {
        (OpKind::Convert | OpKind::Identity | OpKind::Negative, _) => linear(cx, op, kind),
        (OpKind::Add | OpKind::Subtract, [true, true]) => linear(cx, op, kind),
        (OpKind::Add | OpKind::Subtract, [first, _]) => alone(cx, op, kind, *first),
        (OpKind::Multiply, [true, false] | [false, true]) | (OpKind::Divide, [true, false]) => {
            linear(cx, op, kind)
        }
        (OpKind::Multiply | OpKind::SquaredDifference, [true, true]) => product(cx, op, kind),
        (OpKind::Divide, [first, true]) => quotient(cx, op, kind, *first),
        (_, [true, rest @ ..]) if rest.iter().all(|varies| !varies) => function(cx, op, kind),
        _ => Err(Why::NoDifference),
    }
}

/// A constant added to or subtracted from differences is none of them.
fn alone(cx: &mut Context<'_, '_>, op: Operation<'_>, kind: FormKind, first: bool) -> Result<Vec<Form>, Why> {
    let outlet = op.node.inputs.get(usize::from(!first)).copied().ok_or(Why::NoInputs)?;
    let fact = cx.view().fact(op.out());
    if cx.view().fact(outlet).shape != fact.shape {
        return Err(Why::NoDifference);
    }
    let rows = cx.form(outlet).and_then(|form| form.rows()).ok_or(Why::UnmaskedOperand)?.outlet;
    let rows = match op.node.op.kind == OpKind::Subtract && !first {
        true => cx.patch.unary(&op.node.name, OpKind::Negative, rows),
        false => rows,
    };
    Ok(of_output(kind, rows))
}

/// Operands laid out alike, each as large as the result but for extents of 1.
fn laid(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Vec<Laid>, Why> {
    let rank = cx.view().fact(op.out()).rank();
    let mut found: Vec<Laid> = Vec::new();
    for outlet in masked(cx, op) {
        if cx.view().fact(outlet).rank() != rank || cx.view().batch(outlet)? != cx.view().batch(op.out())? {
            return Err(Why::NoDifference);
        }
        let laid = Laid::new(cx, outlet)?;
        if found.first().is_some_and(|first| !first.alike(laid)) {
            return Err(Why::NoDifference);
        }
        found.push(laid);
    }
    Ok(found)
}

fn pair(laid: Laid) -> Pair {
    Pair { base: laid.base, above: laid.rows }
}

fn arithmetic<'p, 'm>(cx: &'p mut Context<'_, 'm>, op: Operation<'_>) -> Arithmetic<'p, 'm> {
    Arithmetic { patch: cx.patch, hint: op.hint("above") }
}

fn product(cx: &mut Context<'_, '_>, op: Operation<'_>, kind: FormKind) -> Result<Vec<Form>, Why> {
    let [x, y] = laid(cx, op)?[..] else { return Err(Why::NotTwoOperands) };
    let mut arithmetic = arithmetic(cx, op);
    let rows = match op.node.op.kind {
        OpKind::SquaredDifference => {
            let difference =
                Pair { base: arithmetic.less(x.base, y.base), above: arithmetic.less(x.rows, y.rows) };
            arithmetic.square(difference)
        }
        _ if op.node.inputs[0] == op.node.inputs[1] => arithmetic.square(pair(x)),
        _ => arithmetic.product(pair(x), pair(y)),
    };
    let rows = x.back(cx, op.out(), rows)?;
    Ok(of_output(kind, rows))
}

fn quotient(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    kind: FormKind,
    first: bool,
) -> Result<Vec<Form>, Why> {
    let operands = laid(cx, op)?;
    let (Some(divisor), true) = (operands.last().copied(), first) else { return Err(Why::NoDifference) };
    let above = operands.first().copied().ok_or(Why::NotTwoOperands)?;
    let mut arithmetic = arithmetic(cx, op);
    let quotient = arithmetic.over(above.base, divisor.base);
    let rows = arithmetic.quotient(Some(above.rows), pair(divisor), quotient);
    let rows = divisor.back(cx, op.out(), rows)?;
    Ok(of_output(kind, rows))
}

/// A parameter that is one number.
#[allow(clippy::cast_possible_truncation)]
fn scalar(cx: &Context<'_, '_>, outlet: OutletId) -> Option<f32> {
    match cx.model().numbers(outlet)?[..] {
        [value] => Some(value as f32),
        _ => None,
    }
}

/// A function of one value.
fn function(cx: &mut Context<'_, '_>, op: Operation<'_>, kind: FormKind) -> Result<Vec<Form>, Why> {
    let parameter = op.node.inputs.get(1).and_then(|input| scalar(cx, *input));
    let [x] = laid(cx, op)?[..] else { return Err(Why::NoDifference) };
    let (node, y) = (&op.node.op, pair(x));
    let bound = |name| node.attribute(name).and_then(|text| text.trim().parse::<f32>().ok());
    let mut arithmetic = arithmetic(cx, op);
    let rows = match (&node.kind, parameter) {
        (OpKind::Relu, None) => arithmetic.clamp(y, Some(0.0), None),
        (OpKind::Clamp, None) => {
            let (least, most) = (bound("min"), bound("max"));
            if least.is_none() || most.is_none() {
                return Err(Why::NoDifference);
            }
            arithmetic.clamp(y, least, most)
        }
        (OpKind::Maximum, Some(least)) => arithmetic.clamp(y, Some(least), None),
        (OpKind::Minimum, Some(most)) => arithmetic.clamp(y, None, Some(most)),
        (OpKind::Sigmoid, None) => arithmetic.sigmoid(y),
        (OpKind::Tanh, None) => arithmetic.tanh(y),
        (OpKind::Erf, None) => arithmetic.erf(y),
        (OpKind::Exp, None) => arithmetic.exp(y),
        (OpKind::Sqrt, None) => arithmetic.root(y),
        (OpKind::HSigmoid, None) => arithmetic.hsigmoid(y).above,
        (OpKind::HSwish, None) => {
            let share = arithmetic.hsigmoid(y);
            arithmetic.product(y, share)
        }
        (OpKind::Swish, None) if op.node.inputs.len() == 1 => arithmetic.swish(y),
        (OpKind::Swish, Some(1.0)) => arithmetic.swish(y),
        (OpKind::Gelu, None) => match node.attribute("approximation_mode") {
            Some(mode) if mode.eq_ignore_ascii_case("tanh") => arithmetic.gelu_by_tanh(y),
            _ => arithmetic.gelu(y),
        },
        (OpKind::Power, Some(2.0)) => arithmetic.square(y),
        (OpKind::Power, Some(0.5)) => arithmetic.root(y),
        (OpKind::Power, Some(exponent)) => arithmetic.power(y, exponent),
        _ => return Err(Why::NoDifference),
    };
    let rows = x.back(cx, op.out(), rows)?;
    Ok(of_output(kind, rows))
}

/// Norms and Softmax.
fn within(cx: &mut Context<'_, '_>, op: Operation<'_>, axes: &[usize]) -> Result<Vec<Form>, Why> {
    let node = &op.node.op;
    cx.view().only_first(op.node)?;
    cx.view().not_batch(op.first()?, axes)?;
    let [x] = laid(cx, op)?[..] else { return Err(Why::NoDifference) };
    let axes: Vec<usize> = axes.iter().map(|axis| x.axis(*axis)).collect();
    let epsilon = ["eps", "epsilon"].iter().find_map(|name| node.attribute(name)?.trim().parse::<f32>().ok());
    let inside = node.attribute("eps_mode").is_none_or(|mode| mode.eq_ignore_ascii_case("inside_sqrt"));
    let mut arithmetic = arithmetic(cx, op);
    let rows = match (&node.kind, epsilon, &axes[..]) {
        (OpKind::Mvn, Some(epsilon), _) if node.flag("normalize_variance") && inside => {
            arithmetic.norm(pair(x), &axes, epsilon)
        }
        (OpKind::SoftMax, _, [axis]) => arithmetic.softmax(pair(x), *axis).above,
        _ => return Err(Why::NoDifference),
    };
    let rows = x.back(cx, op.out(), rows)?;
    Ok(of_output(FormKind::Dense, rows))
}
