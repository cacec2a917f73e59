//! Working out what the axes of every tensor of a model mean, from its inputs on.

use super::axes::{Atom, Axes, Axis, Role};
use super::place::Place;
use super::regroup::{regroup, regroup_by_symbols};
use crate::graph::{Graph, Node, NodeId, OpKind, OutletId, SymInt};
use crate::ir::{Dim, resolve_axis};
use crate::model::Model;
use crate::ops::{Action, Equation, Extent, Selection, WindowKind};

/// Labels of every outlet of a model, where known.
#[derive(Debug, Clone)]
pub(crate) struct Labels(Vec<Vec<Option<Axes>>>);

impl Labels {
    /// Labels a model from its inputs on.
    pub(crate) fn new(model: &Model) -> Self {
        Self(Vec::new()).extended(model)
    }

    /// These labels, and those of the nodes that `model` has more than the one they are of.
    pub(crate) fn extended(&self, model: &Model) -> Self {
        let graph = model.graph();
        let mut labels = self.clone();
        let known = labels.0.len();
        labels.0.extend(graph.nodes().skip(known).map(|(_, node)| vec![None; node.outputs.len()]));
        for &id in graph.order().iter().filter(|id| id.index() >= known) {
            let node = graph.node(id);
            let action = model.action(id);
            for slot in 0..node.outputs.len() {
                let axes = labels.infer(model, id, action, slot);
                let shape = &node.outputs[slot].fact.shape;
                let axes = axes.filter(|axes| axes.0.len() == shape.len());
                labels.0[id.0][slot] = axes.map(|axes| with_origins(axes, OutletId::new(id, slot), shape));
            }
        }
        labels
    }

    /// Labels of an outlet.
    pub(crate) fn get(&self, outlet: OutletId) -> Option<&Axes> {
        self.0.get(outlet.node.0)?.get(outlet.slot)?.as_ref()
    }

    fn infer(&self, model: &Model, id: NodeId, action: &Action, slot: usize) -> Option<Axes> {
        let graph = model.graph();
        let node = graph.node(id);
        let out = &node.outputs[slot].fact.shape;
        if node.op.kind == OpKind::Parameter {
            return parameter(OutletId::new(id, slot), out, model.told().grid);
        }
        let first = *node.inputs.first()?;
        match action {
            Action::Elementwise(_) => self.joined(&node.inputs, out),
            Action::Pointwise(_) | Action::Within { .. } => self.get(first).cloned(),
            Action::Resample { axes } => {
                let input = self.get(first)?;
                let moved = |(i, axis): (usize, &Axis)| match axes.contains(&i) {
                    true => resampled(model, node, i, axis, out.get(i).copied()),
                    false => axis.clone(),
                };
                Some(Axes(input.0.iter().enumerate().map(moved).collect()))
            }
            Action::Reduce { axes, keep_dims, .. } => {
                let input = self.get(first)?;
                let gone = || axes.iter().filter_map(|axis| input.0.get(*axis));
                let kept = input.0.iter().enumerate().filter_map(|(i, axis)| match axes.contains(&i) {
                    true if *keep_dims => Some(Axis::other(Dim::Fixed(1))),
                    true => None,
                    false => Some(gone().fold(axis.clone(), Axis::with_mixed)),
                });
                Some(Axes(kept.collect()))
            }
            Action::Window(window) => {
                let point = window.extent == Extent::Point;
                Some(self.window(model, OutletId::new(id, slot), out, window.kind, point))
            }
            Action::MatMul { transpose_a, transpose_b } => {
                self.matmul(graph, node, out, *transpose_a, *transpose_b)
            }
            Action::Einsum(equation) => self.einsum(node, equation, out),
            Action::Attention => {
                let mut axes = self.joined_leading(&node.inputs, graph, out)?;
                let rows = self.get(first).and_then(|axes| axes.0.get(out.len() - 2).cloned());
                axes.push(rows.unwrap_or_else(|| Axis::other(out[out.len() - 2])));
                axes.push(Axis::other(out[out.len() - 1]));
                Some(Axes(axes))
            }
            Action::Transpose { order } => {
                let input = self.get(first)?;
                Some(Axes(order.iter().map(|axis| input.0.get(*axis).cloned()).collect::<Option<_>>()?))
            }
            Action::Reshape => {
                let input = self.get(first)?;
                inserted_or_removed(model, node, input, out.len())
                    .or_else(|| by_symbols(model, first, input, OutletId::new(id, slot)))
                    .or_else(|| regroup(input, &graph.fact(first).shape, out))
            }
            Action::Select(parts) => self.pick(first, parts.get(slot)?, out),
            Action::Unfold { axis, dilation, stride } => {
                let mut axes = self.get(first)?.0.clone();
                let (inner, outer) =
                    axes.get(*axis)?.unfolded(*dilation, *stride, out[*axis], out[*axis + 1]);
                axes.splice(*axis..=*axis, [inner, outer]);
                Some(Axes(axes))
            }
            Action::Concat { axis } => self.concat(graph, node, *axis, out),
            Action::ShapeOf | Action::Opaque => None,
        }
    }

    /// Labels of an elementwise result: axis by axis from the operand that says most.
    fn joined(&self, inputs: &[OutletId], out: &[Dim]) -> Option<Axes> {
        let rank = out.len();
        let known: Vec<&Axes> = inputs.iter().filter_map(|input| self.get(*input)).collect();
        if known.is_empty() {
            return None;
        }
        let axes = (0..rank).map(|i| {
            let candidates =
                known.iter().filter_map(|axes| axes.0.get((i + axes.0.len()).checked_sub(rank)?));
            let weight = |axis: &Axis| {
                let telling = axis.atoms.iter().any(|atom| atom.role != Role::Other);
                let size: Option<usize> =
                    axis.atoms.iter().try_fold(axis.prefix.max(1), |n, a| n.checked_mul(a.size.fixed()?));
                (size != Some(1), telling)
            };
            // On a tie the first operand wins.
            let mut best: Option<&Axis> = None;
            for axis in candidates {
                if best.is_none_or(|best| weight(axis) > weight(best)) {
                    best = Some(axis);
                }
            }
            match best {
                Some(axis) if weight(axis).0 || out[i].is_one() => known
                    .iter()
                    .filter_map(|axes| axes.0.get((i + axes.0.len()).checked_sub(rank)?))
                    .fold(axis.clone(), Axis::met),
                _ => Axis::other(out[i]),
            }
        });
        Some(Axes(axes.collect()))
    }

    fn window(&self, model: &Model, output: OutletId, out: &[Dim], kind: WindowKind, point: bool) -> Axes {
        let node = model.node(output.node);
        let labels = node.inputs.first().and_then(|input| self.get(*input));
        let mixed = |axis: usize| {
            let input = &labels?.0;
            Some(input[axis].clone().with_mixed(&input[1]))
        };
        let mut axes: Vec<Axis> = out.iter().map(|dim| Axis::other(*dim)).collect();
        axes[0] = match labels.map(|labels| &labels.0[0]) {
            Some(axis) if axis.has(Role::Batch) => axis.clone(),
            _ => Axis::of(Role::Batch, out[0]),
        };
        if let (WindowKind::Pool(_), Some(labels)) = (kind, labels) {
            axes[1] = labels.0[1].clone();
        }
        let spatial = 2..out.len();
        match labels {
            Some(labels) if point && spatial.clone().any(|axis| labels.0[axis].positional()) => {
                for axis in spatial {
                    axes[axis] = mixed(axis).unwrap_or_else(|| axes[axis].clone());
                }
            }
            _ if out.len() == 4 => {
                for (axis, role) in [(2, Role::Height), (3, Role::Width)] {
                    let before = mixed(axis);
                    let place = before.as_ref().and_then(Axis::only).map_or(Place::Unknown, |atom| {
                        atom.place.moved(atom.stride, model.moved(node, axis))
                    });
                    let origin = Some((output, axis));
                    let atom = Atom { role, size: out[axis], stride: 1, origin, place };
                    axes[axis] = Axis { prefix: 0, atoms: vec![atom] };
                }
                if out[2].is_one() && out[3].is_one() {
                    axes[2..].fill(Axis::other(Dim::Fixed(1)));
                }
            }
            // 1-D convolutions run along tokens; of equal number they are the same tokens.
            Some(labels) => {
                for axis in spatial {
                    let same = labels.0[axis].extent() == out[axis];
                    if same {
                        axes[axis] = labels.0[axis].clone();
                    }
                }
            }
            None => {}
        }
        Axes(axes)
    }

    fn matmul(&self, graph: &Graph, node: &Node, out: &[Dim], ta: bool, tb: bool) -> Option<Axes> {
        let (a, b) = (*node.inputs.first()?, *node.inputs.get(1)?);
        let side = |outlet: OutletId, transposed: bool, row: bool| -> Option<Axis> {
            let axes = self.get(outlet)?;
            let rank = graph.fact(outlet).rank();
            if rank < 2 {
                return None;
            }
            axes.0.get(if row == transposed { rank - 1 } else { rank - 2 }).cloned()
        };
        let rank = out.len();
        if rank < 2 {
            return None;
        }
        let mut axes = self.joined_leading(&[a, b], graph, out)?;
        let mut rows = side(a, ta, true).unwrap_or_else(|| Axis::other(out[rank - 2]));
        if let Some(gone) = side(a, ta, false) {
            rows = rows.with_mixed(&gone);
            axes = axes.into_iter().map(|axis| axis.with_mixed(&gone)).collect();
        }
        let columns = match side(b, !tb, true) {
            // Keys of an attention are positions as well, but the queries are what stays.
            Some(axis) if !axis.positional() || !rows.positional() => axis,
            _ => Axis::other(out[rank - 1]),
        };
        axes.extend([rows, columns]);
        Some(Axes(axes))
    }

    /// Labels of a sum of products: axis by axis from the operand that says most, with what the others' positions mix in.
    fn einsum(&self, node: &Node, equation: &Equation, out: &[Dim]) -> Option<Axes> {
        let known: Vec<Option<&Axes>> = node.inputs.iter().map(|input| self.get(*input)).collect();
        if known.iter().all(Option::is_none) {
            return None;
        }
        let letters = known.iter().zip(&equation.operands);
        let of = |letter: char| {
            let found = letters.clone().filter_map(move |(axes, letters)| {
                (*axes)?.0.get(letters.iter().position(|other| *other == letter)?)
            });
            found.max_by_key(|axis| axis.atoms.iter().any(|atom| atom.role != Role::Other))
        };
        let summed = equation.operands.iter().flatten().filter(|letter| !equation.result.contains(letter));
        let gone: Vec<&Axis> = summed.filter_map(|letter| of(*letter)).collect();
        let axes = equation.result.iter().zip(out).map(|(letter, dim)| {
            let axis = of(*letter).filter(|axis| !dim.is_one() || axis.extent().is_one());
            let axis = axis.cloned().unwrap_or_else(|| Axis::other(*dim));
            gone.iter().fold(axis, |axis, gone| axis.with_mixed(gone))
        });
        Some(Axes(axes.collect()))
    }

    /// Labels of all axes but the last two, from whichever operand tells.
    fn joined_leading(&self, inputs: &[OutletId], graph: &Graph, out: &[Dim]) -> Option<Vec<Axis>> {
        let leading = out.len().checked_sub(2)?;
        if inputs.iter().all(|input| self.get(*input).is_none()) {
            return None;
        }
        let axes = (0..leading).map(|i| {
            let mut best = Axis::other(out[i]);
            for input in inputs {
                let rank = graph.fact(*input).rank();
                let axis = (i + rank).checked_sub(out.len()).and_then(|i| self.get(*input)?.0.get(i));
                if let Some(axis) = axis
                    && best.is(Role::Other)
                    && (fits(axis, out[i]) || axis.has(Role::Batch))
                {
                    best = axis.clone();
                }
            }
            best
        });
        Some(axes.collect())
    }

    fn pick(&self, input: OutletId, picks: &[Selection], out: &[Dim]) -> Option<Axes> {
        let mut axes: Vec<Option<Axis>> = self.get(input)?.0.iter().cloned().map(Some).collect();
        // Extents of the output, at the places of the input's axes.
        let mut extents = out.iter().copied();
        let dims: Vec<Option<Dim>> = (0..axes.len())
            .map(
                |i| if picks.iter().any(|pick| pick.axis == i && pick.drops) { None } else { extents.next() },
            )
            .collect();
        for pick in picks {
            axes[pick.axis] = match (axes[pick.axis].take(), dims[pick.axis]) {
                (Some(axis), Some(dim)) if !pick.drops => Some(axis.part(pick, dim)),
                _ => None,
            };
        }
        Some(Axes(axes.into_iter().flatten().collect()))
    }

    fn concat(&self, graph: &Graph, node: &Node, axis: usize, out: &[Dim]) -> Option<Axes> {
        let mut axes = self.joined(&node.inputs, out)?;
        let parts: Vec<(Option<&Axis>, Dim)> = node
            .inputs
            .iter()
            .map(|input| (self.get(*input).and_then(|axes| axes.0.get(axis)), graph.fact(*input).shape[axis]))
            .collect();
        let tokens = |part: &(Option<&Axis>, Dim)| part.0.is_some_and(|axis| axis.positional());
        axes.0[axis] = match parts.iter().filter(|part| tokens(part)).count() {
            // Tokens put before the grid's: the class token.
            1 if parts.last().is_some_and(&tokens) => {
                let before = parts[..parts.len() - 1]
                    .iter()
                    .try_fold(0usize, |n, (_, dim)| n.checked_add(dim.fixed()?));
                match (before, parts.last().and_then(|part| part.0)) {
                    (Some(before), Some(last)) => {
                        Axis { prefix: last.prefix.saturating_add(before), atoms: last.atoms.clone() }
                    }
                    _ => Axis::other(out[axis]),
                }
            }
            // A map that was cut along one axis and put together again, perhaps in another order.
            count
                if count == parts.len()
                    && parts.iter().all(|part| part.0.is_some_and(|a| a.atoms.len() == 1)) =>
            {
                parts[0].0.map_or_else(|| Axis::other(out[axis]), |first| first.resized(Some(out[axis])))
            }
            _ if parts.iter().any(|part| part.0.is_some_and(|a| a.has(Role::Batch))) => return None,
            _ => Axis::other(out[axis]),
        };
        Some(axes)
    }
}

/// Whether an axis can have that extent: what is not known of its factors may be known of their product.
fn fits(axis: &Axis, dim: Dim) -> bool {
    let extent = axis.extent();
    extent == dim || (extent == Dim::Dynamic && !dim.is_one())
}

/// An axis that elements are moved along.
fn resampled(model: &Model, node: &Node, at: usize, axis: &Axis, dim: Option<Dim>) -> Axis {
    let mut resized = axis.resized(dim);
    if let (Some(before), [after]) = (axis.only(), &mut resized.atoms[..]) {
        let unit = if before.role.positional() { before.stride } else { 1 };
        after.place = before.place.moved(unit, model.moved(node, at));
        // The new grid has units of its own.
        if before.role.positional() && matches!(after.place, Place::Along(_)) {
            after.stride = 1;
        }
    }
    resized
}

/// Labels of an input: the batch comes first, and an axis of 1, 3 or 4 says where a picture has its channels. Patches of
/// an image on one axis have the rows and columns of the `grid` that the user gives.
fn parameter(outlet: OutletId, shape: &[Dim], grid: Option<(usize, usize)>) -> Option<Axes> {
    let mut axes: Vec<Axis> = shape.iter().map(|dim| Axis::other(*dim)).collect();
    axes.first_mut()?.atoms[0].role = Role::Batch;
    for (i, axis) in axes.iter_mut().enumerate().skip(1) {
        axis.atoms[0].place = Place::input(outlet.node, i);
    }
    // Patches row by row.
    if let (Some((rows, columns)), 3) = (grid, shape.len())
        && (shape[1] == Dim::Dynamic || Some(shape[1]) == rows.checked_mul(columns).map(Dim::Fixed))
    {
        let atoms = [(Role::Height, rows), (Role::Width, columns)];
        axes[1].atoms = atoms.map(|(role, size)| Atom::new(role, Dim::Fixed(size))).to_vec();
    }
    if shape.len() == 4 {
        let channels = |axis: usize| matches!(shape[axis], Dim::Fixed(1 | 3 | 4));
        let rows = if channels(1) { 2 } else { 1 };
        // Where both could be, the first convolution tells.
        if channels(1) != channels(3) {
            for (axis, role) in [(rows, Role::Height), (rows + 1, Role::Width)] {
                axes[axis].atoms[0].role = role;
                axes[axis].atoms[0].origin = Some((outlet, axis));
            }
        }
    }
    Some(Axes(axes))
}

/// Notes of unknown extents where they can be read: on an axis of which they are all.
fn with_origins(mut axes: Axes, outlet: OutletId, shape: &[Dim]) -> Axes {
    for (i, axis) in axes.0.iter_mut().enumerate() {
        if let ([atom], 0) = (&mut axis.atoms[..], axis.prefix) {
            match (atom.size, shape[i]) {
                // Known to be a number by now.
                (Dim::Dynamic, Dim::Fixed(size)) if size != 1 || atom.role == Role::Batch => {
                    atom.size = Dim::Fixed(size)
                }
                (Dim::Dynamic, Dim::Dynamic) if atom.origin.is_none() => atom.origin = Some((outlet, i)),
                _ => {}
            }
        }
    }
    axes
}

/// Labels after a Reshape, where the extents of its result are known to be products of those of its operand.
fn by_symbols(model: &Model, first: OutletId, input: &Axes, result: OutletId) -> Option<Axes> {
    let extents = model.extents();
    let (have, out) = (extents.dims(first)?, extents.dims(result)?);
    let known = |dims: &[SymInt]| dims.iter().all(|dim| dim.number().is_some());
    // Numbers are dealt without them, where those of all factors are known.
    let atoms = || input.0.iter().flat_map(|axis| &axis.atoms);
    if known(have) && known(out) && atoms().all(|atom| atom.size != Dim::Dynamic) {
        return None;
    }
    regroup_by_symbols(input, have, out, extents)
}

/// Labels after an Unsqueeze or Squeeze whose axes are known. With a batch of 1 a mere comparison of
/// extents could not tell the batch from a new axis beside it.
fn inserted_or_removed(model: &Model, node: &Node, input: &Axes, rank: usize) -> Option<Axes> {
    let unsqueeze = match &node.op.kind {
        OpKind::Unsqueeze => true,
        OpKind::Squeeze => false,
        _ => return None,
    };
    let listed = model.integers(*node.inputs.get(1)?)?;
    let around = if unsqueeze { rank } else { input.0.len() };
    let places: Vec<usize> = listed.iter().map(|axis| resolve_axis(*axis, around)).collect::<Option<_>>()?;
    if unsqueeze {
        let mut rest = input.0.iter().cloned();
        let axes = (0..rank)
            .map(|i| if places.contains(&i) { Some(Axis::other(Dim::Fixed(1))) } else { rest.next() });
        return Some(Axes(axes.collect::<Option<_>>()?)).filter(|_| rest.next().is_none());
    }
    // A batch that is squeezed away lives on in an axis that stays.
    if places.iter().any(|place| input.0[*place].has(Role::Batch)) {
        return None;
    }
    let kept = input.0.iter().enumerate().filter(|(i, _)| !places.contains(i));
    Some(Axes(kept.map(|(_, axis)| axis.clone()).collect()))
}
