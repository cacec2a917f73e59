//! What each axis of each tensor means: batch, height, width, tokens, or something else.
//!
//! An axis is a product of *atoms*, outermost first: the token axis of a ViT is height × width, the
//! first axis of windowed attention is batch × window row × window column. Reshape splits and
//! merges atoms, Transpose moves them; a part of the height remembers its stride, so that cutting
//! a map into windows and putting it together again ends in a height. Where an operation tells
//! nothing, the labels come back with the next residual addition.

use std::collections::HashSet;
use std::fmt;

use crate::graph::{Graph, Node, NodeId, OutletId, Size};
use crate::ir::Dim;
use crate::model::Model;
use crate::ops::{Action, Extent, Pick, WindowKind, action};

/// What an atom runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Samples.
    Batch,
    /// Rows of the grid.
    Height,
    /// Columns of the grid.
    Width,
    /// Channels, heads, or anything else.
    Other,
}

/// A factor of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atom {
    /// What it runs over.
    pub role: Role,
    /// Its extent.
    pub size: Dim,
    /// For rows and columns: distance between neighbours, in units of the grid.
    pub stride: usize,
    /// Where an unknown extent can be read.
    pub origin: Option<(OutletId, usize)>,
}

impl Atom {
    fn new(role: Role, size: Dim) -> Self {
        Self { role, size, stride: 1, origin: None }
    }

    /// The extent, as something that can be emitted; `None` where nothing tells it.
    pub fn extent(&self) -> Option<Size> {
        match (self.size, self.origin) {
            (Dim::Fixed(size), _) => Some(Size::Fixed(size)),
            (Dim::Dynamic, Some((outlet, axis))) => Some(Size::Of(outlet, axis)),
            _ => None,
        }
    }
}

/// One axis of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Class, distillation or register tokens before the grid's.
    pub prefix: usize,
    /// Factors, outermost first; their product is the extent less the prefix.
    pub atoms: Vec<Atom>,
}

impl Axis {
    fn of(role: Role, size: Dim) -> Self {
        Self { prefix: 0, atoms: vec![Atom::new(role, size)] }
    }

    fn other(size: Dim) -> Self {
        Self::of(Role::Other, size)
    }

    /// Whether any of its atoms has that role.
    pub fn has(&self, role: Role) -> bool {
        self.atoms.iter().any(|atom| atom.role == role)
    }

    /// Whether all of its atoms have that role, and nothing precedes them.
    pub fn is(&self, role: Role) -> bool {
        self.prefix == 0 && self.atoms.iter().all(|atom| atom.role == role)
    }

    /// Whether it carries grid positions.
    pub fn positional(&self) -> bool {
        self.has(Role::Height) || self.has(Role::Width)
    }

    fn merged(mut self) -> Self {
        let mut atoms: Vec<Atom> = Vec::with_capacity(self.atoms.len());
        for atom in self.atoms.drain(..) {
            if let Some(last) = atoms.last_mut()
                && last.role == atom.role
                && let (Dim::Fixed(a), Dim::Fixed(b)) = (last.size, atom.size)
            {
                let joins = match atom.role {
                    Role::Other => true,
                    Role::Batch => false,
                    _ => atom.stride.checked_mul(b) == Some(last.stride),
                };
                if let (true, Some(size)) = (joins, a.checked_mul(b)) {
                    *last = Atom { size: Dim::Fixed(size), ..atom };
                    continue;
                }
            }
            atoms.push(atom);
        }
        if atoms.len() > 1 {
            atoms.retain(|atom| atom.role != Role::Other || !atom.size.is_one());
        }
        Self { prefix: self.prefix, atoms }
    }
}

/// The axes of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axes(pub Vec<Axis>);

impl Axes {
    /// The axis that carries the batch, and nothing else of more than one element.
    pub fn batch(&self) -> Option<usize> {
        self.0.iter().position(|axis| axis.has(Role::Batch))
    }

    /// Axes that carry grid positions.
    pub fn positional(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|axis| self.0[*axis].positional()).collect()
    }
}

impl fmt::Display for Axes {
    /// One entry for each axis: `N,C,H,W`, `N,1+HW,C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, axis) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if axis.prefix > 0 {
                write!(f, "{}+", axis.prefix)?;
            }
            for atom in &axis.atoms {
                f.write_str(match atom.role {
                    Role::Batch => "N",
                    Role::Height => "H",
                    Role::Width => "W",
                    Role::Other => "C",
                })?;
            }
        }
        Ok(())
    }
}

/// Labels of every outlet of a model, where known.
#[derive(Debug, Clone)]
pub struct Labels(Vec<Vec<Option<Axes>>>);

impl Labels {
    /// Labels a model from its inputs on.
    pub fn new(model: &Model) -> Self {
        let graph = model.graph();
        let mut labels = Self(graph.nodes().map(|(_, node)| vec![None; node.outputs.len()]).collect());
        for &id in graph.order() {
            let node = graph.node(id);
            let action = action(model, node);
            for slot in 0..node.outputs.len() {
                let axes = labels.infer(model, id, &action, slot);
                labels.0[id.0][slot] = axes.filter(|axes| axes.0.len() == node.outputs[slot].fact.rank());
            }
        }
        labels
    }

    /// Labels of an outlet.
    pub fn get(&self, outlet: OutletId) -> Option<&Axes> {
        self.0.get(outlet.node.0)?.get(outlet.slot)?.as_ref()
    }

    fn infer(&self, model: &Model, id: NodeId, action: &Action, slot: usize) -> Option<Axes> {
        let graph = model.graph();
        let node = graph.node(id);
        let out = &node.outputs[slot].fact.shape;
        if node.op.kind == "Parameter" {
            return parameter(OutletId::new(id, slot), out);
        }
        let first = *node.inputs.first()?;
        match action {
            Action::Elementwise(_) => self.joined(&node.inputs, out),
            Action::Pointwise(_) | Action::Within { .. } => self.get(first).cloned(),
            Action::Resample { axes } => {
                let input = self.get(first)?;
                Some(Axes(
                    input
                        .0
                        .iter()
                        .enumerate()
                        .map(|(i, axis)| {
                            if axes.contains(&i) { resized(axis, out.get(i).copied()) } else { axis.clone() }
                        })
                        .collect(),
                ))
            }
            Action::Reduce { axes, keep_dims, .. } => {
                let input = self.get(first)?;
                let kept = input.0.iter().enumerate().filter_map(|(i, axis)| match axes.contains(&i) {
                    true if *keep_dims => Some(Axis::other(Dim::Fixed(1))),
                    true => None,
                    false => Some(axis.clone()),
                });
                Some(Axes(kept.collect()))
            }
            Action::Window(window) => {
                let point = window.extent == Extent::Point;
                Some(self.window(first, OutletId::new(id, slot), out, window.kind, point))
            }
            Action::MatMul { transpose_a, transpose_b } => {
                self.matmul(graph, node, out, *transpose_a, *transpose_b)
            }
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
            Action::Reshape => regroup(self.get(first)?, out),
            Action::Pick(parts) => self.pick(first, parts.get(slot)?, out),
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
                Some(axis) if weight(axis).0 || out[i].is_one() => axis.clone(),
                _ => Axis::other(out[i]),
            }
        });
        Some(Axes(axes.collect()))
    }

    fn window(&self, input: OutletId, output: OutletId, out: &[Dim], kind: WindowKind, point: bool) -> Axes {
        let labels = self.get(input);
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
                axes[spatial.clone()].clone_from_slice(&labels.0[spatial]);
            }
            _ if out.len() == 4 => {
                for (axis, role) in [(2, Role::Height), (3, Role::Width)] {
                    let atom = Atom { role, size: out[axis], stride: 1, origin: Some((output, axis)) };
                    axes[axis] = Axis { prefix: 0, atoms: vec![atom] };
                }
                if out[2].is_one() && out[3].is_one() {
                    axes[2..].fill(Axis::other(Dim::Fixed(1)));
                }
            }
            // 1-D convolutions run along tokens; of equal number they are the same tokens.
            Some(labels) => {
                for axis in spatial {
                    let same = extent_of(&labels.0[axis]) == out[axis];
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
        let rows = side(a, ta, true).unwrap_or_else(|| Axis::other(out[rank - 2]));
        let columns = match side(b, !tb, true) {
            // Keys of an attention are positions as well, but the queries are what stays.
            Some(axis) if !axis.positional() || !rows.positional() => axis,
            _ => Axis::other(out[rank - 1]),
        };
        axes.extend([rows, columns]);
        Some(Axes(axes))
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
                    && (extent_of(axis) == out[i] || axis.has(Role::Batch))
                {
                    best = axis.clone();
                }
            }
            best
        });
        Some(axes.collect())
    }

    fn pick(&self, input: OutletId, picks: &[Pick], out: &[Dim]) -> Option<Axes> {
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
                (Some(axis), Some(dim)) if !pick.drops => Some(part(&axis, pick, dim)),
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
                parts[0].0.map_or_else(|| Axis::other(out[axis]), |first| resized(first, Some(out[axis])))
            }
            _ if parts.iter().any(|part| part.0.is_some_and(|a| a.has(Role::Batch))) => return None,
            _ => Axis::other(out[axis]),
        };
        Some(axes)
    }
}

fn extent_of(axis: &Axis) -> Dim {
    let product = axis.atoms.iter().map(|atom| atom.size).fold(Dim::Fixed(1), Dim::times);
    product.fixed().and_then(|size| size.checked_add(axis.prefix)).map_or(Dim::Dynamic, Dim::Fixed)
}

/// Labels of an input: the batch comes first, and an axis of 1, 3 or 4 says where a picture has its channels.
fn parameter(outlet: OutletId, shape: &[Dim]) -> Option<Axes> {
    let mut axes: Vec<Axis> = shape.iter().map(|dim| Axis::other(*dim)).collect();
    axes.first_mut()?.atoms[0].role = Role::Batch;
    if shape.len() == 4 {
        let channels = |axis: usize| matches!(shape[axis], Dim::Fixed(1 | 3 | 4));
        let rows = if channels(1) { 2 } else { 1 };
        if channels(1) || channels(3) {
            for (axis, role) in [(rows, Role::Height), (rows + 1, Role::Width)] {
                axes[axis].atoms =
                    vec![Atom { role, size: shape[axis], stride: 1, origin: Some((outlet, axis)) }];
            }
        }
    }
    Some(Axes(axes))
}

/// An axis whose extent changes while its meaning stays.
fn resized(axis: &Axis, dim: Option<Dim>) -> Axis {
    let dim = dim.unwrap_or(Dim::Dynamic);
    match &axis.atoms[..] {
        [atom] if axis.prefix == 0 => {
            Axis { prefix: 0, atoms: vec![Atom { size: dim, origin: None, ..*atom }] }
        }
        _ => Axis::other(dim),
    }
}

/// The part of an axis that a pick takes; `dim` is its extent.
fn part(axis: &Axis, pick: &Pick, dim: Dim) -> Axis {
    if pick.step == 1 && pick.to_end && pick.start.is_some_and(|start| start <= axis.prefix) {
        return Axis { prefix: axis.prefix - pick.start.unwrap_or(0), atoms: axis.atoms.clone() };
    }
    match &axis.atoms[..] {
        [atom] if axis.prefix == 0 && pick.step > 0 && atom.role != Role::Batch => Axis {
            prefix: 0,
            atoms: vec![Atom {
                size: dim,
                stride: atom.stride.saturating_mul(pick.step),
                origin: None,
                ..*atom
            }],
        },
        _ => Axis::other(dim),
    }
}

/// Labels after a Reshape to `out`.
///
/// Elements keep their order, so the new axes take the atoms from the left, splitting one where
/// an extent asks for it. `None` where that does not work out.
fn regroup(input: &Axes, out: &[Dim]) -> Option<Axes> {
    let mut pieces: Vec<Piece> = Vec::new();
    for axis in input.0.iter().rev() {
        // What is not a plain product cannot be split.
        if axis.prefix > 0 {
            pieces.push(Piece { size: extent_of(axis), axis: axis.clone() });
        } else {
            for atom in axis.atoms.iter().rev().filter(|atom| atom.role != Role::Other || !atom.size.is_one())
            {
                pieces.push(Piece { size: atom.size, axis: Axis { prefix: 0, atoms: vec![*atom] } });
            }
        }
    }
    let mut axes = deal(pieces, out, &mut HashSet::new())?;
    for axis in &mut axes {
        *axis = axis.clone().merged();
    }
    Some(Axes(axes))
}

#[derive(Debug, Clone)]
struct Piece {
    size: Dim,
    axis: Axis,
}

/// Where a deal got to: pieces left, the size of the next one, axes left.
type Progress = (usize, Option<Dim>, usize);

/// Deals pieces (next one last) to the axes of `out`; `dead` are states from which nothing worked out, so
/// that many unknown extents do not take exponential time.
fn deal(mut pieces: Vec<Piece>, out: &[Dim], dead: &mut HashSet<Progress>) -> Option<Vec<Axis>> {
    let Some((dim, rest)) = out.split_first() else { return pieces.is_empty().then(Vec::new) };
    let empty = Axis { prefix: 0, atoms: Vec::new() };
    let mut axis = empty;
    match dim {
        Dim::Fixed(size) => {
            let mut missing = *size;
            if missing == 1 && pieces.last().is_some_and(|piece| piece.size.is_one()) {
                append(&mut axis, pieces.pop()?)?;
            }
            while missing > 1 {
                let piece = pieces.pop()?;
                let extent = piece.size.fixed().filter(|extent| *extent > 0)?;
                if missing.is_multiple_of(extent) {
                    missing /= extent;
                    append(&mut axis, piece)?;
                } else if extent.is_multiple_of(missing) && piece.axis.prefix == 0 {
                    let atom = *piece.axis.atoms.first()?;
                    if atom.role == Role::Batch {
                        return None;
                    }
                    let inner = extent / missing;
                    let outer =
                        Atom { size: Dim::Fixed(missing), stride: atom.stride.saturating_mul(inner), ..atom };
                    axis.atoms.push(outer);
                    let atom = Atom { size: Dim::Fixed(inner), ..atom };
                    pieces
                        .push(Piece { size: Dim::Fixed(inner), axis: Axis { prefix: 0, atoms: vec![atom] } });
                    missing = 1;
                } else {
                    return None;
                }
            }
            if rest.is_empty() {
                while pieces.last().is_some_and(|piece| piece.size.is_one()) {
                    append(&mut axis, pieces.pop()?)?;
                }
            }
        }
        Dim::Dynamic => {
            // Take as few pieces as leave the rest a way to work out.
            while let Some(piece) = pieces.pop() {
                append(&mut axis, piece)?;
                let progress = (pieces.len(), pieces.last().map(|piece| piece.size), rest.len());
                if dead.contains(&progress) {
                    continue;
                }
                if let Some(axes) = deal(pieces.clone(), rest, dead) {
                    return Some(std::iter::once(axis).chain(axes).collect());
                }
                dead.insert(progress);
            }
            return None;
        }
    }
    if axis.atoms.is_empty() {
        axis = Axis::other(*dim);
    }
    let axes = deal(pieces, rest, dead)?;
    Some(std::iter::once(axis).chain(axes).collect())
}

fn append(axis: &mut Axis, piece: Piece) -> Option<()> {
    if piece.axis.prefix > 0 {
        if !axis.atoms.is_empty() {
            return None;
        }
        axis.prefix = piece.axis.prefix;
    } else if axis.prefix > 0 {
        return None;
    }
    axis.atoms.extend(piece.axis.atoms);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(n: Dim, h: usize, w: usize, c: usize) -> Axes {
        Axes(vec![
            Axis::of(Role::Batch, n),
            Axis::of(Role::Height, Dim::Fixed(h)),
            Axis::of(Role::Width, Dim::Fixed(w)),
            Axis::other(Dim::Fixed(c)),
        ])
    }

    fn fixed(dims: &[usize]) -> Vec<Dim> {
        dims.iter().map(|dim| Dim::Fixed(*dim)).collect()
    }

    #[test]
    fn windows_are_put_together_again() {
        let cut = regroup(&map(Dim::Fixed(2), 14, 21, 8), &fixed(&[2, 2, 7, 3, 7, 8])).unwrap();
        assert_eq!(cut.to_string(), "N,H,H,W,W,C");
        let order = [0, 1, 3, 2, 4, 5];
        let windows = Axes(order.iter().map(|axis| cut.0[*axis].clone()).collect());
        let rows = regroup(&windows, &fixed(&[12, 49, 8])).unwrap();
        assert_eq!(rows.to_string(), "NHW,HW,C");
        let back = regroup(&rows, &fixed(&[2, 2, 3, 7, 7, 8])).unwrap();
        let back = Axes(order.iter().map(|axis| back.0[*axis].clone()).collect());
        let back = regroup(&back, &fixed(&[2, 14, 21, 8])).unwrap();
        assert_eq!(back, map(Dim::Fixed(2), 14, 21, 8));
    }

    #[test]
    fn tokens_split_into_their_own_grid() {
        let tokens =
            regroup(&map(Dim::Dynamic, 2, 8, 8), &[Dim::Dynamic, Dim::Fixed(16), Dim::Fixed(8)]).unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
        // 16 = 4 x 4 would be a wrong guess; the grid is 2 x 8.
        assert_eq!(tokens.0[1].atoms[0].size, Dim::Fixed(2));
        let back = regroup(&tokens, &[Dim::Dynamic, Dim::Fixed(2), Dim::Fixed(8), Dim::Fixed(8)]).unwrap();
        assert_eq!(back.to_string(), "N,H,W,C");
    }

    #[test]
    fn unknown_extents_find_their_place() {
        let mut axes = map(Dim::Dynamic, 1, 1, 8);
        axes.0[1].atoms[0].size = Dim::Dynamic;
        axes.0[2].atoms[0].size = Dim::Dynamic;
        let tokens = regroup(&axes, &[Dim::Dynamic, Dim::Dynamic, Dim::Fixed(8)]).unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
    }

    #[test]
    fn many_unknown_extents_take_no_exponential_time() {
        let axes = Axes((0..40).map(|_| Axis::other(Dim::Fixed(2))).collect());
        let mut out = vec![Dim::Dynamic; 40];
        out.push(Dim::Fixed(3));
        assert!(regroup(&axes, &out).is_none());
    }

    #[test]
    fn a_batch_of_one_goes_with_the_first_axis() {
        let axes = map(Dim::Fixed(1), 1, 1, 8);
        assert_eq!(regroup(&axes, &fixed(&[1, 8])).unwrap().to_string(), "N,HWC");
        assert_eq!(regroup(&axes, &fixed(&[8])).unwrap().to_string(), "NHWC");
        assert!(regroup(&axes, &fixed(&[3])).is_none());
    }
}
