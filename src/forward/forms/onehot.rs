//! Rules of the one-hot form: values that are masked position by position, with any weights.
//!
//! An operation that treats positions one by one leaves the value at k what it is in the original
//! graph; only the background has to be worked out, and that has no positions. Pooling over all positions
//! gives one vector for each k.

use super::{attention, pool};
use crate::analysis::Role;
use crate::forward::background::{clone_on, full, full_alike, masked, reshaped};
use crate::forward::context::Context;
use crate::forward::form::{Background, Form};
use crate::forward::operand::select;
use crate::forward::operation::{Applied, Operation};
use crate::forward::questions::shape_of;
use crate::forward::why::Why;
use crate::graph::{OpKind, OutletId, Size};
use crate::ir::Dim;
use crate::ops::{Action, Extent, Reduction, Selection, Window, WindowKind, Zero, is_linear};

/// Applies an operation to masked values.
pub(super) fn rule(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Applied, Why> {
    let first = op.first()?;
    match op.action {
        Action::Elementwise(zero) => elementwise(cx, op, *zero),
        Action::Pointwise(zero) => pointwise(cx, op, first, *zero),
        Action::Within { axes, zero } => within(cx, op, first, axes, *zero),
        Action::Reduce { reduction, axes, .. } => reduce(cx, op, first, *reduction, axes),
        Action::Window(Window { kind, extent }) => window(cx, op, first, *kind, *extent),
        Action::MatMul { transpose_a, transpose_b } => matmul(cx, op, *transpose_a, *transpose_b),
        Action::Transpose { order } => transpose(cx, op, first, order),
        Action::Reshape => reshape(cx, op, first),
        Action::Select(parts) => selection(cx, op, first, parts),
        Action::Concat { axis } => concat(cx, op, *axis),
        Action::Attention => attention::fused(cx, op),
        Action::Resample { .. } => Err(Why::MovesPositions),
        Action::Einsum(_) | Action::ShapeOf | Action::Opaque | Action::Unfold { .. } => {
            Err(Why::NoOneHotRule)
        }
    }
}

/// Whether nothing stands where a value is blanked.
fn blank(cx: &Context<'_, '_>, outlet: OutletId) -> bool {
    cx.view().background(outlet) == Some(Background::Zero)
}

fn pointwise(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    zero: Zero,
) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    let applied = if blank(cx, first) && zero == Zero::Kept {
        masked(cx, op, Background::Zero)?
    } else {
        cx.view().plain_parameters(op.node)?;
        clone_on(cx, op)?
    };
    Ok(applied.with_linear(is_linear(&op.node.op.kind, &[true])))
}

fn within(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    axes: &[usize],
    zero: Zero,
) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    if attention::is_softmax_over_positions(cx.view(), first, op.node, axes) {
        return attention::weights(cx, op, first);
    }
    cx.view().apart(first, axes)?;
    let applied = match blank(cx, first) && zero == Zero::Kept {
        true => masked(cx, op, Background::Zero)?,
        false => clone_on(cx, op)?,
    };
    Ok(applied.with_linear(false))
}

fn reduce(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    reduction: Reduction,
    axes: &[usize],
) -> Result<Applied, Why> {
    let positions = cx.view().positions(first)?;
    if positions.iter().any(|axis| axes.contains(axis)) {
        return pool::over_positions(cx, op, first, reduction, axes);
    }
    cx.view().apart(first, axes)?;
    let linear = matches!(reduction, Reduction::Mean | Reduction::Sum);
    Ok(clone_on(cx, op)?.with_linear(linear))
}

fn transpose(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    order: &[usize],
) -> Result<Applied, Why> {
    cx.view().positions(op.out())?;
    if blank(cx, first) {
        return masked(cx, op, Background::Zero);
    }
    let (background, _) = full(cx, first)?;
    let background = cx.patch.transpose(&op.hint("rest"), background, order);
    masked(cx, op, Background::Value(background))
}

fn reshape(cx: &mut Context<'_, '_>, op: Operation<'_>, first: OutletId) -> Result<Applied, Why> {
    // Positions may share an axis with channels (a flattened map) while nothing is added to them.
    if blank(cx, first) && cx.view().positional(op.out()) && cx.labels.get(op.out()).is_some() {
        return Ok(Applied::one(Form::OneHot { background: Background::Zero }));
    }
    let background = reshaped(cx, op)?;
    masked(cx, op, Background::Value(background))
}

fn elementwise(cx: &mut Context<'_, '_>, op: Operation<'_>, zero: Zero) -> Result<Applied, Why> {
    let (node, out) = (op.node, op.out());
    cx.view().positions(out)?;
    // Two masked values must agree on where their positions are.
    for input in node.inputs.iter().filter(|input| cx.view().masked(**input)) {
        let shift = node.outputs[0].fact.rank() - cx.patch.fact(*input).rank();
        let positions: Vec<usize> = cx.view().positions(*input)?.iter().map(|axis| axis + shift).collect();
        if positions != cx.view().positions(out)? {
            return Err(Why::PositionsOnDifferentAxes);
        }
    }
    // A background that is infinite would spoil what masks weigh it against, also where they blank nothing.
    if node.op.kind == OpKind::Divide && node.inputs.get(1).is_some_and(|input| blank(cx, *input)) {
        return Err(Why::DividesByBlank);
    }
    let varies: Vec<bool> = node.inputs.iter().map(|input| cx.view().masked(*input)).collect();
    let linear = is_linear(&node.op.kind, &varies);
    let blanks: Vec<bool> = node.inputs.iter().map(|input| blank(cx, *input)).collect();
    let stays = match zero {
        Zero::Kept | Zero::All => blanks.iter().all(|blank| *blank),
        Zero::Absorbing => blanks.contains(&true),
        Zero::First => blanks.first() == Some(&true),
        Zero::Lost => false,
    };
    if stays {
        return Ok(masked(cx, op, Background::Zero)?.with_linear(linear));
    }
    let mut inputs = Vec::new();
    for input in &node.inputs {
        inputs.push(match cx.view().background(*input) {
            // FakeQuantize, for one, wants its data in full.
            Some(_) if zero == Zero::Lost => full(cx, *input)?.0,
            Some(Background::Value(value)) => value,
            Some(Background::Zero) => {
                let element = cx.patch.fact(*input).element;
                cx.patch.float("zero", element, 0.0)
            }
            None => cx.view().unblanked(*input),
        });
    }
    let background = match (&node.op.kind, &blanks[..]) {
        // 0 + s is s.
        (OpKind::Add, [_, true]) => inputs[0],
        (OpKind::Add, [true, _]) => inputs[1],
        _ => {
            let element = node.outputs[0].fact.element;
            cx.patch.elementwise(&op.hint("rest"), node.op.clone(), inputs, element)
        }
    };
    Ok(masked(cx, op, Background::Value(background))?.with_linear(linear))
}

fn concat(cx: &mut Context<'_, '_>, op: Operation<'_>, axis: usize) -> Result<Applied, Why> {
    let (inputs, out) = (&op.node.inputs, op.out());
    for input in inputs.iter().filter(|input| cx.view().masked(**input)) {
        if cx.view().positions(*input)? != cx.view().positions(out)? {
            return Err(Why::PositionsOnDifferentAxes);
        }
    }
    if cx.view().positions(out)?.contains(&axis) {
        return behind_prefix(cx, op, axis);
    }
    cx.view().apart(out, &[axis])?;
    if inputs.iter().all(|input| blank(cx, *input)) {
        return masked(cx, op, Background::Zero);
    }
    if !inputs.iter().all(|input| cx.view().masked(*input)) {
        return Err(Why::JoinsFeaturesWithOthers);
    }
    let parts = full_alike(cx, inputs)?;
    let background = cx.patch.concat(&op.hint("rest"), &parts, axis);
    masked(cx, op, Background::Value(background))
}

/// Tokens that are not masked put before those that are: a class token.
fn behind_prefix(cx: &mut Context<'_, '_>, op: Operation<'_>, axis: usize) -> Result<Applied, Why> {
    let others = Err(Why::JoinsPositionsWithOthers);
    let Some((last, before)) = op.node.inputs.split_last() else { return others };
    let (view, last) = (cx.view(), *last);
    let more = view.prefix(op.out()).saturating_sub(view.prefix(last));
    if !view.mask.class_token
        || before.iter().any(|input| view.masked(*input))
        || !view.masked(last)
        || more == 0
    {
        return others;
    }
    if blank(cx, last) {
        return masked(cx, op, Background::Zero);
    }
    let (background, spread) = full(cx, last)?;
    if !spread.positions {
        return masked(cx, op, Background::Value(background));
    }
    // What stands at those tokens has no weight.
    let mut sizes = cx.patch.sizes(background);
    sizes[axis] = Size::Fixed(more);
    let hint = op.hint("rest");
    let element = cx.patch.fact(background).element;
    let zero = cx.patch.float(&hint, element, 0.0);
    let zeros = cx.patch.broadcast_to(&hint, zero, &sizes);
    let background = cx.patch.concat(&hint, &[zeros, background], axis);
    masked(cx, op, Background::Value(background))
}

fn selection(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    parts: &[Vec<Selection>],
) -> Result<Applied, Why> {
    let positions = cx.view().positions(first)?;
    let along = parts.iter().flatten().find(|part| positions.contains(&part.axis));
    if along.is_none() {
        for part in parts {
            cx.view().apart(first, &part.iter().map(|part| part.axis).collect::<Vec<_>>())?;
        }
        if blank(cx, first) {
            let blanks = op.outputs().map(|_| Form::OneHot { background: Background::Zero });
            return Ok(Applied::linear(blanks.collect()));
        }
    }
    let (background, spread) = full(cx, first)?;
    if let Some(part) = along {
        // Only tokens before the grid's may go.
        let prefix = cx.view().prefix(first);
        let grid_stays = part.to_end && part.step == 1 && part.start.is_some_and(|start| start <= prefix);
        if !grid_stays || part.drops || !matches!(parts, [only] if only.len() == 1) {
            return Err(Why::TakesPartOfPositions(part.axis));
        }
        if blank(cx, first) {
            return masked(cx, op, Background::Zero);
        }
        if !spread.positions {
            return masked(cx, op, Background::Value(background));
        }
    }
    let sizes = op.outputs().map(|outlet| cx.view().background_sizes(outlet, spread));
    let shapes = sizes.map(|sizes| Ok(shape_of(&sizes?))).collect::<Result<Vec<_>, Why>>()?;
    let backgrounds = select(cx, op, parts, background, shapes)?;
    let forms = backgrounds.into_iter().map(|value| Form::OneHot { background: Background::Value(value) });
    Ok(Applied::linear(forms.collect()))
}

fn window(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    first: OutletId,
    kind: WindowKind,
    extent: Extent,
) -> Result<Applied, Why> {
    cx.view().only_first(op.node)?;
    match (kind, extent) {
        (WindowKind::Pool(reduction), Extent::Whole) => {
            let axes: Vec<usize> = (2..op.node.outputs[0].fact.rank()).collect();
            pool::over_positions(cx, op, first, reduction, &axes)
        }
        (WindowKind::Pool(_), Extent::Point) => {
            let background = cx.view().background(first).unwrap_or(Background::Zero);
            masked(cx, op, background)
        }
        (WindowKind::Convolution, Extent::Whole) => {
            pool::only_binary(cx.mask)?;
            // [O,C,h,w]: for each position the [O,C] matrix that meets it.
            let weight = op.node.inputs[1];
            let shape = cx.patch.fact(weight).shape.clone();
            let positions = Size::product(shape[2..].iter().filter_map(|dim| dim.fixed()).map(Size::Fixed));
            let sizes = [known(shape[0])?, known(shape[1])?, positions];
            let hint = op.hint("weight");
            let weight = cx.patch.reshape(&hint, weight, &sizes);
            let weight = cx.patch.transpose(&hint, weight, &[2, 0, 1]);
            pool::per_position_product(cx, op, first, weight)
        }
        (_, Extent::Point) if blank(cx, first) => masked(cx, op, Background::Zero),
        (_, Extent::Point) => clone_on(cx, op),
        _ => Err(Why::KernelReachesOthers),
    }
}

/// An extent of a weight.
fn known(dim: Dim) -> Result<Size, Why> {
    dim.fixed().map(Size::Fixed).ok_or(Why::UnknownWeightExtent)
}

fn matmul(cx: &mut Context<'_, '_>, op: Operation<'_>, ta: bool, tb: bool) -> Result<Applied, Why> {
    let [a, b] = op.operands()?;
    let (value, other, transposed, left) = match (cx.view().background(a), cx.view().background(b)) {
        (Some(_), Some(_)) => return Err(Why::MultipliesMasked),
        (Some(_), None) => (a, b, ta, true),
        _ => (b, a, !tb, false),
    };
    let other = cx.view().unblanked(other);
    let rank = cx.patch.fact(value).rank();
    if rank < 2 || cx.patch.fact(other).rank() < 2 {
        return Err(Why::OperandWithoutMatrix);
    }
    let contracted = if transposed { rank - 2 } else { rank - 1 };
    // An axis that is positions and channels together: a flattened map.
    if left && cx.labels.get(value).is_some_and(|axes| axes.0[contracted].positional()) {
        return flattened_product(cx, op, [value, other], tb, contracted);
    }
    cx.view().apart(value, &[contracted])?;
    // Rows of queries have positions as well as the columns that keys become; which of them is masked has to be told.
    let whole = op.node.outputs[0].fact.rank();
    let lands = |axis: usize| match (axis + 2 < rank, left) {
        (true, _) => axis + whole - rank,
        (false, true) => whole - 2,
        (false, false) => whole - 1,
    };
    let landed: Vec<usize> = cx.view().positions(value)?.into_iter().map(lands).collect();
    if landed != cx.view().positions(op.out())? {
        return Err(Why::PositionsOnDifferentAxes);
    }
    if blank(cx, value) {
        return masked(cx, op, Background::Zero);
    }
    // Queries differ between samples, and so does what they make of the background.
    let (background, _) = full(cx, value)?;
    let (a, b) = if left { (background, other) } else { (other, background) };
    let background = cx.patch.matmul(&op.hint("rest"), a, b, (ta, tb));
    masked(cx, op, Background::Value(background))
}

/// A flattened map times a matrix: for each position, the rows of the matrix that meet it.
fn flattened_product(
    cx: &mut Context<'_, '_>,
    op: Operation<'_>,
    [value, weight]: [OutletId; 2],
    transpose: bool,
    axis: usize,
) -> Result<Applied, Why> {
    pool::only_binary(cx.mask)?;
    let axes = cx.labels.get(value).filter(|axes| axes.positional() == [axis]);
    let axes = axes.filter(|_| cx.patch.fact(weight).rank() == 2).ok_or(Why::MultipliesAlongPositions)?;
    let atoms = &axes.0[axis].atoms;
    let roles: Vec<Role> = atoms.iter().map(|atom| atom.role).collect();
    let channels_first = match roles[..] {
        [Role::Other, Role::Height, Role::Width] => true,
        [Role::Height, Role::Width, Role::Other] => false,
        _ => return Err(Why::PositionsInterleaved),
    };
    let k @ Size::Fixed(_) = cx.view().k() else { return Err(Why::UnknownPositions) };
    let channels = atoms[if channels_first { 0 } else { 2 }].size;
    let shape = cx.patch.fact(weight).shape.clone();
    let out = known(if transpose { shape[0] } else { shape[1] })?;
    let channels = known(channels)?;
    let hint = op.hint("weight");
    // To [K,O,C], from [O, C·K] or [C·K, O] with either order inside.
    let (sizes, order) = match (transpose, channels_first) {
        (true, true) => ([out, channels, k], [2, 0, 1]),
        (true, false) => ([out, k, channels], [1, 0, 2]),
        (false, true) => ([channels, k, out], [1, 2, 0]),
        (false, false) => ([k, channels, out], [0, 2, 1]),
    };
    let weight = cx.patch.reshape(&hint, weight, &sizes);
    let weight = cx.patch.transpose(&hint, weight, &order);
    let source = unflattened(cx, value).ok_or(Why::NoMapBehindFlattened)?;
    pool::per_position_product(cx, op, source, weight)
}

/// The feature map that was flattened into `outlet`: positions on axes of their own.
fn unflattened(cx: &Context<'_, '_>, outlet: OutletId) -> Option<OutletId> {
    let mut at = outlet;
    while cx.view().positions(at).is_err() {
        let node = cx.view().node(at);
        if !node.op.kind.is_reshape() {
            return None;
        }
        at = *node.inputs.first()?;
    }
    Some(at)
}
