//! From the form of the logits to `[N, classes, h, w]`, for all classes or for some.

use super::context::Context;
use super::form::Form;
use super::operation::Operation;
use super::why::Why;
use crate::graph::{OpKind, OutletId, Size, index};
use crate::ir::Classes;
use crate::ops::{Action, Extent, Window, WindowKind, Zero, is_linear};
use crate::tasks::Logits;

/// Logits of every class under every mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scores {
    /// The tensor.
    pub(crate) outlet: OutletId,
    /// Its axes.
    pub(crate) order: Order,
    /// What is to be added to it where differences are not enough; it broadcasts.
    pub(crate) base: Option<OutletId>,
}

/// Order of the axes of [`Scores`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[N, classes, h, w]`.
    Map,
    /// `[N, classes, K]`.
    ClassesFirst,
    /// `[N, K, classes]`.
    PositionsFirst,
}

impl Scores {
    /// Axes of the positions.
    pub(crate) fn positions(&self) -> &'static [usize] {
        match self.order {
            Order::Map => &[2, 3],
            Order::ClassesFirst => &[2],
            Order::PositionsFirst => &[1],
        }
    }
}

/// The scores of the wanted classes.
pub(super) fn scores(cx: &mut Context<'_, '_>, logits: &Logits, classes: &Classes) -> Result<Scores, Why> {
    let Some(wanted) = Wanted::new(cx, logits, classes) else { return of_all(cx, logits) };
    let mut restricted = Restricted { cx, wanted, seen: Vec::new() };
    if let Ok(outlet) = restricted.value(logits.outlet) {
        let base = base_of(cx, logits, Order::ClassesFirst).map(|base| wanted.take(cx, "targets/base", base));
        return Ok(Scores { outlet, order: Order::ClassesFirst, base });
    }
    // The last product could not be restricted: evaluate all classes and take some.
    let all = of_all(cx, logits)?;
    let all = classes_first(cx, all);
    let outlet = wanted.take(cx, "targets", all);
    let base = base_of(cx, logits, Order::ClassesFirst).map(|base| wanted.take(cx, "targets/base", base));
    Ok(Scores { outlet, order: Order::ClassesFirst, base })
}

/// What the logits' differences are taken from, where they are differences: one entry for each class.
fn base_of(cx: &mut Context<'_, '_>, logits: &Logits, order: Order) -> Option<OutletId> {
    let base = cx.form(logits.outlet)?.rows()?.base?;
    let (batch, class) = (logits.batch, logits.class);
    let others = (0..cx.patch.fact(base).rank()).filter(|axis| *axis != batch && *axis != class);
    let axes: Vec<usize> = [batch, class].into_iter().chain(others).collect();
    let sizes = cx.view().original_sizes(logits.outlet);
    let (samples, classes, one) = (sizes[batch].clone(), sizes[class].clone(), Size::Fixed(1));
    let sizes = match order {
        Order::Map => vec![samples, classes, one.clone(), one],
        Order::ClassesFirst => vec![samples, classes, one],
        Order::PositionsFirst => vec![samples, one, classes],
    };
    let base = cx.patch.transpose("scores/base", base, &axes);
    Some(cx.patch.reshape("scores/base", base, &sizes))
}

fn of_all(cx: &mut Context<'_, '_>, logits: &Logits) -> Result<Scores, Why> {
    match cx.form(logits.outlet) {
        Some(Form::PerPosition(rows)) => {
            let base = base_of(cx, logits, Order::Map);
            Ok(Scores { outlet: rows.outlet, order: Order::Map, base })
        }
        Some(Form::Dense(rows)) => {
            let axes = (logits.batch, logits.class);
            let outlet = rows_of_samples(cx, "scores", logits.outlet, rows.outlet, axes);
            let base = base_of(cx, logits, Order::PositionsFirst);
            Ok(Scores { outlet, order: Order::PositionsFirst, base })
        }
        _ => Err(Why::LogitsWithoutPositions),
    }
}

/// The copies of a vector as `[N,K,C]`, whichever of batch and channels comes first in the original.
fn rows_of_samples(
    cx: &mut Context<'_, '_>,
    hint: &str,
    outlet: OutletId,
    copies: OutletId,
    (batch, channel): (usize, usize),
) -> OutletId {
    let others = (0..cx.patch.fact(copies).rank()).filter(|axis| *axis != batch && *axis != channel);
    let order: Vec<usize> = [batch, channel].into_iter().chain(others).collect();
    let sizes = cx.view().original_sizes(outlet);
    let sizes = [sizes[batch].clone(), cx.view().k(), sizes[channel].clone()];
    let copies = if batch < channel { copies } else { cx.patch.transpose(hint, copies, &order) };
    cx.patch.reshape(hint, copies, &sizes)
}

/// A map `[N,C,h,w]` as `[N,C,K]`.
fn flat(cx: &mut Context<'_, '_>, hint: &str, map: OutletId) -> OutletId {
    let sizes = cx.patch.sizes(map);
    let sizes = [sizes[0].clone(), sizes[1].clone(), cx.view().k()];
    cx.patch.reshape(hint, map, &sizes)
}

fn classes_first(cx: &mut Context<'_, '_>, scores: Scores) -> OutletId {
    match scores.order {
        Order::ClassesFirst => scores.outlet,
        Order::PositionsFirst => cx.patch.transpose("scores", scores.outlet, &[0, 2, 1]),
        Order::Map => flat(cx, "scores", scores.outlet),
    }
}

/// Indices of the wanted classes in the graph: `[k]` for a list, `[N,k]` where each sample has its own.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    indices: OutletId,
    per_sample: bool,
}

impl Wanted {
    /// `None` where all classes are wanted.
    fn new(cx: &mut Context<'_, '_>, logits: &Logits, classes: &Classes) -> Option<Self> {
        match classes {
            Classes::All => None,
            Classes::Listed(list) => {
                let list: Vec<i64> = list.iter().map(|class| index(*class)).collect();
                let indices = cx.patch.integers("targets/indices", &list);
                Some(Self { indices, per_sample: false })
            }
            Classes::Top(count) => {
                let sizes = cx.view().original_sizes(logits.outlet);
                let flat = [sizes[logits.batch].clone(), sizes[logits.class].clone()];
                let flat = cx.patch.reshape("targets/logits", logits.original, &flat);
                let indices = cx.patch.top_indices("targets", flat, *count);
                Some(Self { indices, per_sample: true })
            }
        }
    }

    /// The wanted classes of `[N,classes,K]`.
    fn take(self, cx: &mut Context<'_, '_>, hint: &str, x: OutletId) -> OutletId {
        if self.per_sample {
            cx.patch.gather_of_each(hint, x, self.indices)
        } else {
            cx.patch.gather(hint, x, self.indices, 1)
        }
    }
}

/// Logits are a few operations behind the product that makes them; a limit keeps the recursion shallow.
const MAX_SEEN: usize = 256;

/// Evaluates only the wanted classes, `[N,k,K]`: walks back over what treats classes one by one to the products that
/// make them, and takes just the wanted rows of their weights.
struct Restricted<'a, 'p, 'm> {
    cx: &'a mut Context<'p, 'm>,
    wanted: Wanted,
    /// Values whose wanted classes were asked for, and those classes once they are known.
    seen: Vec<(OutletId, Option<OutletId>)>,
}

impl Restricted<'_, '_, '_> {
    /// A value whose channels are classes, of the wanted ones only.
    fn value(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        if let Some((_, known)) = self.seen.iter().find(|(other, _)| *other == outlet) {
            return known.ok_or(Why::ClassesUnknown);
        }
        if self.seen.len() == MAX_SEEN {
            return Err(Why::ProductTooFar);
        }
        let at = self.seen.len();
        self.seen.push((outlet, None));
        let found = self.evaluated(outlet)?;
        self.seen[at].1 = Some(found);
        Ok(found)
    }

    fn evaluated(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        let op = self.cx.operation(outlet.node);
        if !self.cx.view().masked(outlet) || outlet.slot != 0 {
            return Err(Why::Unmasked);
        }
        let (_, class) = self.cx.view().vector(outlet)?;
        let hint = op.hint("targets");
        match op.action {
            Action::Elementwise(_) => self.elementwise(&hint, op, class),
            Action::Pointwise(Zero::Kept | Zero::Lost)
                if op.node.inputs.len() == 1
                    && (!self.differs(op) || is_linear(&op.node.op.kind, &[true])) =>
            {
                let x = self.value(op.first()?)?;
                Ok(self.cloned(&hint, op, vec![x]))
            }
            Action::Reshape | Action::Transpose { .. } => {
                let input = op.first()?;
                self.cx.view().vector(input)?;
                self.value(input)
            }
            Action::MatMul { transpose_a: false, transpose_b } => {
                let [x, weight] = op.operands()?;
                let view = self.cx.view();
                let matrix = !view.masked(weight) && view.fact(weight).rank() == 2;
                if !matrix || view.vector(x)?.1 + 1 != view.fact(x).rank() {
                    return Err(Why::NoProductOfChannels);
                }
                let order = if *transpose_b { [0, 1] } else { [1, 0] };
                let weight = self.cx.patch.transpose(&hint, weight, &order);
                self.product(&hint, x, weight)
            }
            Action::Window(Window {
                kind: WindowKind::Convolution,
                extent: Extent::Point | Extent::Whole,
            }) => {
                let [x, weight] = op.operands()?;
                if self.cx.view().masked(weight) {
                    return Err(Why::MaskedWeight);
                }
                self.cx.view().vector(x)?;
                let sizes = self.cx.patch.sizes(weight);
                let weight = self.cx.patch.reshape(&hint, weight, &sizes[..2]);
                self.product(&hint, x, weight)
            }
            _ => Err(Why::MixesClasses),
        }
    }

    /// Whether an operation reads differences from a base.
    fn differs(&self, op: Operation<'_>) -> bool {
        let rows = op.node.inputs.iter().filter_map(|input| self.cx.values.form(*input)?.rows());
        rows.into_iter().any(|rows| rows.base.is_some())
    }

    /// A sum or product of differences with what no mask touches.
    fn of_differences(&mut self, hint: &str, op: Operation<'_>) -> Result<Option<OutletId>, Why> {
        let varies: Vec<bool> = op.node.inputs.iter().map(|input| self.cx.view().masked(*input)).collect();
        match (&op.node.op.kind, &varies[..]) {
            (kind, varies) if !is_linear(kind, varies) => Err(Why::MixesClasses),
            // What all masks add is no difference.
            (OpKind::Add, [first, second]) if first != second => {
                Ok(Some(self.value(op.node.inputs[usize::from(!first)])?))
            }
            (OpKind::Subtract, [true, false]) => Ok(Some(self.value(op.node.inputs[0])?)),
            (OpKind::Subtract, [false, true]) => {
                let value = self.value(op.node.inputs[1])?;
                Ok(Some(self.cx.patch.unary(hint, OpKind::Negative, value)))
            }
            _ => Ok(None),
        }
    }

    fn elementwise(&mut self, hint: &str, op: Operation<'_>, class: usize) -> Result<OutletId, Why> {
        let out = &op.node.outputs[0].fact;
        let same = |input: &OutletId| self.cx.view().fact(*input).shape.last() == out.shape.last();
        let masked: Vec<OutletId> =
            op.node.inputs.iter().copied().filter(|input| self.cx.view().masked(*input)).collect();
        if self.differs(op)
            && masked.iter().all(same)
            && let Some(value) = self.of_differences(hint, op)?
        {
            return Ok(value);
        }
        let mut inputs = Vec::new();
        for input in &op.node.inputs {
            let view = self.cx.view();
            if !view.masked(*input) {
                inputs.push(self.operand(hint, *input, out.rank(), class)?);
                continue;
            }
            let (_, own) = view.vector(*input)?;
            let fact = view.fact(*input);
            // A score that counts for all classes has no row of its own for each.
            if fact.shape[own] != out.shape[class] || own + out.rank() != class + fact.rank() {
                return Err(Why::ClassesDiffer);
            }
            inputs.push(self.value(*input)?);
        }
        Ok(self.cloned(hint, op, inputs))
    }

    fn cloned(&mut self, hint: &str, op: Operation<'_>, inputs: Vec<OutletId>) -> OutletId {
        let element = op.node.outputs[0].fact.element;
        self.cx.patch.elementwise(hint, op.node.op.clone(), inputs, element)
    }

    /// Rows of `weight` `[classes, C]` times the vectors `x` of all positions.
    fn product(&mut self, hint: &str, x: OutletId, weight: OutletId) -> Result<OutletId, Why> {
        let rows = self.cx.patch.gather(hint, weight, self.wanted.indices, 0);
        let features = format!("{hint}/features");
        let (value, transposed) = match self.cx.form(x) {
            Some(Form::PerPosition(value)) => (flat(self.cx, &features, value.outlet), false),
            Some(Form::Dense(value)) => {
                let axes = self.cx.view().vector(x)?;
                (rows_of_samples(self.cx, &features, x, value.outlet, axes), true)
            }
            _ => return Err(Why::PositionsLeft),
        };
        // A matrix for all samples gets a batch of 1 by broadcasting.
        Ok(self.cx.patch.matmul(hint, rows, value, (false, transposed)))
    }

    /// The entries of the wanted classes of an operand that does not depend on the mask: `[N?,k,1]`.
    fn operand(&mut self, hint: &str, outlet: OutletId, rank: usize, class: usize) -> Result<OutletId, Why> {
        let shape = self.cx.patch.fact(outlet).shape.clone();
        if shape.iter().all(|dim| dim.is_one()) && shape.len() <= 3 {
            return Ok(outlet);
        }
        let axis = (class + shape.len()).checked_sub(rank);
        let others = shape.iter().enumerate().all(|(i, dim)| Some(i) == axis || dim.is_one());
        let (Some(axis), true) = (axis, others) else { return Err(Why::OperandDiffersBetweenSamples) };
        let size = self.cx.patch.sizes(outlet)[axis].clone();
        let hint = format!("{hint}/operand");
        let flat = self.cx.patch.reshape(&hint, outlet, std::slice::from_ref(&size));
        let taken = match size {
            Size::Fixed(1) => flat,
            _ => self.cx.patch.gather(&hint, flat, self.wanted.indices, 0),
        };
        let last = self.cx.patch.fact(taken).rank();
        Ok(self.cx.patch.unsqueeze(&hint, taken, &[last]))
    }
}
