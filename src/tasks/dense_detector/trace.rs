//! Following scores back to the maps that they come from.
//!
//! The walk knows for each axis of a value which part of it are batch, positions, anchors and classes, and
//! keeps that through activations, transpositions, reshapes, selections and concatenations: over scales,
//! whose parts are scales of their own, and over channels, whose parts are boxes, objectness and classes.
//! Anything else is where the scores were made.

use std::ops::Range;

use super::head;
use super::map::ChannelMap;
use crate::analysis::{Atom, Axes, Axis, Labels, Role, regroup};
use crate::graph::{Graph, Node, OpKind, OutletId};
use crate::ir::{Dim, resolve_axis};
use crate::model::Model;
use crate::ops::{Action, Activation, Passage, Selection, source};
use crate::refusal::Reason;

/// Values that one walk looks at; a limit for graphs that are no detectors.
const MAX_STEPS: usize = 20_000;
/// Concatenations and products inside each other.
const MAX_DEPTH: usize = 64;

/// Some channels of a value, as far back as they can be followed.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Which channels of the value that the walk began with.
    pub(super) at: Range<usize>,
    /// Where they were made.
    pub(super) layer: String,
    /// What they are, or why they are no map.
    pub(super) map: Result<ChannelMap, Reason>,
    /// Whether a convolution made them.
    pub(super) head: bool,
    /// What they were multiplied by, if anything: objectness or centerness.
    pub(super) factor: Option<Box<Piece>>,
}

/// A value on the way, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) outlet: OutletId,
    /// Roles of its axes; positions not yet told from anchors are [`Role::Other`].
    pub(super) axes: Axes,
    /// Which of the fields are followed.
    pub(super) channels: Range<usize>,
    /// The first of them in the value that the walk began with.
    pub(super) at: usize,
    /// What was applied to them since.
    pub(super) activation: Option<Activation>,
}

impl Point {
    /// A value whose axis `class` are fields, all of which are followed.
    pub(super) fn start(graph: &Graph, labels: &Labels, outlet: OutletId, class: usize) -> Option<Self> {
        let shape = &graph.fact(outlet).shape;
        let fields = shape.get(class)?.fixed()?;
        let batch = labels.get(outlet).and_then(Axes::batch).or((shape.len() > 2).then_some(0));
        if batch == Some(class) {
            return None;
        }
        let role = |axis: usize| match () {
            () if axis == class => Role::Class,
            () if Some(axis) == batch => Role::Batch,
            () => Role::Other,
        };
        let axes = shape.iter().enumerate().map(|(i, dim)| Axis::of(role(i), *dim)).collect();
        Some(Self { outlet, axes: Axes(axes), channels: 0..fields, at: 0, activation: None })
    }

    /// Where the fields are.
    fn class(&self) -> Option<(usize, usize)> {
        self.axes.0.iter().enumerate().find_map(|(i, axis)| {
            let atom = axis.atoms.iter().find(|atom| atom.role == Role::Class)?;
            Some((i, atom.size.fixed()?))
        })
    }

    /// Takes over height and width from what is known of the value by following them forwards.
    fn refine(&mut self, labels: &Labels) {
        let Some(known) = labels.get(self.outlet) else { return };
        for (axis, known) in self.axes.0.iter_mut().zip(&known.0) {
            if known.prefix > 0 || !known.positional() || axis.positional() {
                continue;
            }
            let mut atoms = known.atoms.clone();
            let class = axis.atoms.iter().find(|atom| atom.role == Role::Class).copied();
            if let Some(class) = class {
                // Positions and classes on one axis: what is innermost is the channels.
                let Some(Atom { role: Role::Other, size: Dim::Fixed(channels), .. }) = atoms.pop() else {
                    continue;
                };
                let Some(fields) = class.size.fixed().filter(|fields| *fields > 0) else { continue };
                if !channels.is_multiple_of(fields) || axis.atoms.last() != Some(&class) {
                    continue;
                }
                if channels > fields {
                    atoms.push(Atom::new(Role::Other, Dim::Fixed(channels / fields)));
                }
                atoms.push(class);
            }
            axis.atoms = atoms;
        }
    }
}

/// A walk back through one model.
#[derive(Debug)]
pub(super) struct Tracer<'a> {
    model: &'a Model,
    labels: &'a Labels,
    steps: usize,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(model: &'a Model, labels: &'a Labels) -> Self {
        Self { model, labels, steps: 0 }
    }

    fn graph(&self) -> &'a Graph {
        self.model.graph()
    }

    /// The pieces that a value is made of, scale by scale.
    pub(super) fn trace(&mut self, point: Point) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.follow(point, 0, &mut pieces);
        pieces
    }

    fn follow(&mut self, mut point: Point, depth: usize, pieces: &mut Vec<Piece>) {
        loop {
            self.steps += 1;
            point.refine(self.labels);
            if self.steps > MAX_STEPS || depth > MAX_DEPTH {
                pieces.push(self.piece(&point));
                return;
            }
            let node = self.graph().node(point.outlet.node);
            let next = match &node.op.kind {
                OpKind::Concat => {
                    let parts = self.concat(node, &point);
                    if parts.is_empty() {
                        pieces.push(self.piece(&point));
                    }
                    for part in parts {
                        self.follow(part, depth + 1, pieces);
                    }
                    return;
                }
                OpKind::Multiply => match self.product(node, &point) {
                    Some((scores, Some(factor))) => {
                        let start = pieces.len();
                        self.follow(scores, depth + 1, pieces);
                        let mut factors = Vec::new();
                        self.follow(factor, depth + 1, &mut factors);
                        self.attach(&mut pieces[start..], factors, &point);
                        return;
                    }
                    Some((scores, None)) => Some(scores),
                    None => None,
                },
                _ => self.back(node, &point),
            };
            match next {
                Some(next) => point = next,
                None => {
                    pieces.push(self.piece(&point));
                    return;
                }
            }
        }
    }

    /// Gives each scale its factor. Where their numbers differ, the product itself is what there is.
    fn attach(&self, scores: &mut [Piece], factors: Vec<Piece>, product: &Point) {
        let fits = scores.len() == factors.len();
        for (i, piece) in scores.iter_mut().enumerate() {
            match factors.get(i) {
                Some(factor) if fits && piece.factor.is_none() => {
                    piece.factor = Some(Box::new(factor.clone()))
                }
                _ => {
                    let layer = self.graph().label(product.outlet);
                    piece.map = Err(Reason::FactorsDoNotFit { layer });
                }
            }
        }
    }

    fn piece(&self, point: &Point) -> Piece {
        let graph = self.graph();
        let map = ChannelMap::new(graph, self.labels, point.outlet, &point.axes, point.channels.clone());
        Piece {
            at: point.at..point.at + point.channels.len(),
            layer: graph.label(point.outlet),
            map: map.map(|map| ChannelMap { activation: point.activation, ..map }),
            head: head::reads(graph, point.outlet).is_some(),
            factor: None,
        }
    }

    /// One step back through an operation that only moves scores, or activates them.
    fn back(&self, node: &Node, point: &Point) -> Option<Point> {
        let graph = self.graph();
        // What stands in memory alone is no layer that could be named.
        let input = source(node).filter(|input| input.node.index() < graph.in_file())?;
        let shape = &graph.fact(input).shape;
        let same = |point: &Point| Point { outlet: input, ..point.clone() };
        let activated = |activation| {
            point.activation.is_none().then(|| Point { activation: Some(activation), ..same(point) })
        };
        let action = self.model.action(point.outlet.node);
        match self.model.passage(point.outlet.node) {
            Passage::Activation(Activation::Sigmoid) => activated(Activation::Sigmoid),
            Passage::Activation(_) => {
                let Action::Within { axes, .. } = action else { return None };
                let (class, _) = point.class()?;
                if axes[..] == [class] { activated(Activation::Softmax) } else { None }
            }
            Passage::Same => Some(same(point)),
            Passage::Reorder => match action {
                Action::Transpose { order } => {
                    let mut axes: Vec<Option<Axis>> = vec![None; shape.len()];
                    for (to, from) in order.iter().enumerate() {
                        *axes.get_mut(*from)? = Some(point.axes.0.get(to)?.clone());
                    }
                    Some(Point { axes: Axes(axes.into_iter().collect::<Option<_>>()?), ..same(point) })
                }
                Action::Reshape => {
                    let have = &self.graph().fact(point.outlet).shape;
                    Some(Point { axes: regroup(&point.axes, have, shape)?, ..same(point) })
                }
                _ => None,
            },
            Passage::Select => match (action, &node.inputs[..]) {
                (Action::Select(parts), _) => self.unselect(parts.get(point.outlet.slot)?, input, point),
                // Scores below a threshold, or beside a peak, are set to a constant.
                (Action::Elementwise(_), [_, _, other]) => {
                    let fits = shape.len() == point.axes.0.len() && head::constant(graph, *other);
                    fits.then(|| same(point))
                }
                _ => self.selection(node, point),
            },
            Passage::Stop => None,
        }
    }

    /// What a slice was taken from: fields shift, positions are those of the whole.
    fn unselect(&self, picks: &[Selection], input: OutletId, point: &Point) -> Option<Point> {
        let shape = &self.graph().fact(input).shape;
        let mut own = point.axes.0.iter();
        let mut channels = point.channels.clone();
        let mut restored = None;
        let mut axes: Vec<Axis> = Vec::with_capacity(shape.len());
        for (i, dim) in shape.iter().enumerate() {
            let Some(pick) = picks.iter().find(|pick| pick.axis == i) else {
                axes.push(own.next()?.clone());
                continue;
            };
            let axis = if pick.drops { None } else { Some(own.next()?) };
            match axis {
                Some(axis) if axis.is(Role::Class) => {
                    let start = pick.start.filter(|_| pick.step == 1)?;
                    channels = channels.start.checked_add(start)?..channels.end.checked_add(start)?;
                    if channels.end > dim.fixed()? {
                        return None;
                    }
                    axes.push(Axis::of(Role::Class, *dim));
                }
                Some(axis) if axis.is(Role::Other) => axes.push(Axis::other(*dim)),
                // One image of a batch.
                None if dim.is_one() => axes.push(Axis::other(*dim)),
                // One field, whose axis is gone.
                None if point.class().is_some_and(|(_, fields)| fields == 1) => {
                    let start = pick.start?;
                    channels = start..start.checked_add(1)?;
                    restored = Some(i);
                    axes.push(Axis::of(Role::Class, *dim));
                }
                _ => return None,
            }
        }
        // What stood for the field while it had no axis of its own.
        let stand_in = |(i, axis): &(usize, &mut Axis)| Some(*i) != restored && axis.has(Role::Class);
        if restored.is_some() {
            for (_, axis) in axes.iter_mut().enumerate().filter(stand_in) {
                axis.atoms.retain(|atom| atom.role != Role::Class);
                if axis.atoms.is_empty() {
                    *axis = Axis::other(Dim::Fixed(1));
                }
            }
        }
        Some(Point { outlet: input, axes: Axes(axes), channels, ..point.clone() })
    }

    /// What a selection of positions was made from, such as the best ones.
    fn selection(&self, node: &Node, point: &Point) -> Option<Point> {
        let graph = self.graph();
        let input = *node.inputs.first()?;
        let shape = &graph.fact(input).shape;
        let along = match &node.op.kind {
            OpKind::Gather => {
                let axis = self.model.integers(*node.inputs.get(2)?)?;
                resolve_axis(*axis.first()?, shape.len())?
            }
            OpKind::GatherElements => resolve_axis(node.op.integer("axis")?, shape.len())?,
            OpKind::GatherNd if node.op.integer("batch_dims") == Some(1) => 1,
            _ => return None,
        };
        if shape.len() != point.axes.0.len() || !point.axes.0.get(along)?.is(Role::Other) {
            return None;
        }
        let mut axes = point.axes.clone();
        axes.0[along] = Axis::other(*shape.get(along)?);
        Some(Point { outlet: input, axes, ..point.clone() })
    }

    /// Parts of a concatenation: scales along the positions, groups of fields along the classes.
    fn concat(&self, node: &Node, point: &Point) -> Vec<Point> {
        let graph = self.graph();
        let &Action::Concat { axis } = self.model.action(point.outlet.node) else { return Vec::new() };
        let Some(along) = point.axes.0.get(axis) else { return Vec::new() };
        let part = |input: OutletId, own: Axis| {
            let mut axes = point.axes.clone();
            axes.0[axis] = own;
            Point { outlet: input, axes, ..point.clone() }
        };
        let extent = |input: &OutletId| graph.fact(*input).shape.get(axis).copied();
        if along.is(Role::Class) {
            let (mut parts, mut first) = (Vec::new(), 0usize);
            for input in &node.inputs {
                let Some(Dim::Fixed(count)) = extent(input) else { return Vec::new() };
                let Some(next) = first.checked_add(count) else { return Vec::new() };
                let (start, end) = (point.channels.start.max(first), point.channels.end.min(next));
                if start < end {
                    let own = part(*input, Axis::of(Role::Class, Dim::Fixed(count)));
                    let at = point.at + start - point.channels.start;
                    parts.push(Point { channels: start - first..end - first, at, ..own });
                }
                first = next;
            }
            return parts;
        }
        let inner = along.atoms.last().filter(|atom| atom.role == Role::Class).copied();
        let fits = along.atoms.iter().all(|atom| !matches!(atom.role, Role::Batch));
        if !fits || along.prefix > 0 {
            return Vec::new();
        }
        let parts = node.inputs.iter().map(|input| {
            let mut positions = extent(input)?;
            let fields = match inner {
                Some(atom) => atom.size.fixed().filter(|size| *size > 0)?,
                None => 1,
            };
            if let Dim::Fixed(whole) = positions {
                if !whole.is_multiple_of(fields) {
                    return None;
                }
                positions = Dim::Fixed(whole / fields);
            }
            let mut own = Axis::other(positions);
            own.atoms.extend(inner);
            Some(part(*input, own))
        });
        parts.collect::<Option<Vec<Point>>>().unwrap_or_default()
    }

    /// The scores of a product, and what they are multiplied by unless that is a mask of zeros and ones.
    fn product(&self, node: &Node, point: &Point) -> Option<(Point, Option<Point>)> {
        let graph = self.graph();
        let [a, b] = node.inputs[..] else { return None };
        if head::constant(graph, a) || head::constant(graph, b) {
            return None;
        }
        let operand = |outlet: OutletId| Point { outlet, ..point.clone() };
        let whole = |outlet: OutletId| graph.fact(outlet).rank() == point.axes.0.len();
        for (mask, scores) in [(a, b), (b, a)] {
            if is_mask(graph, mask) && whole(scores) {
                return Some((operand(scores), None));
            }
        }
        let (class, fields) = point.class()?;
        let of_classes = |outlet: OutletId| graph.fact(outlet).shape.get(class).and_then(|dim| dim.fixed());
        if !whole(a) || !whole(b) || !point.axes.0[class].is(Role::Class) {
            return None;
        }
        let (scores, factor) = match (of_classes(a)?, of_classes(b)?) {
            (scores, 1) if scores == fields => (a, b),
            (1, scores) if scores == fields => (b, a),
            _ => return None,
        };
        let mut other = operand(factor);
        other.axes.0[class] = Axis::of(Role::Class, Dim::Fixed(1));
        (other.channels, other.at) = (0..1, 0);
        // What is applied to the product is neither operand's own.
        let scores = Point { activation: None, ..operand(scores) };
        Some((scores, Some(Point { activation: None, ..other })))
    }
}

/// Whether a value says only where something holds.
fn is_mask(graph: &Graph, outlet: OutletId) -> bool {
    let node = graph.node(outlet.node);
    match &node.op.kind {
        OpKind::Convert => node
            .inputs
            .first()
            .is_some_and(|input| graph.fact(*input).element == crate::ir::ElementType::Boolean),
        _ => graph.fact(outlet).element == crate::ir::ElementType::Boolean,
    }
}
