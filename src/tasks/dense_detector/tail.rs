//! Where a detector's scores end: in what suppresses or sorts boxes, or in outputs.

use super::trace::Point;
use crate::analysis::{Atom, Axis, Labels, Role, walk};
use crate::graph::{Graph, NodeId, OpKind, OutletId, Output};
use crate::ir::{Dim, resolve_axis};
use crate::model::Model;
use crate::ops::{Action, BoxStage, Passage, Reduction};

/// From a flat list of scores to where it still has axes; a limit for graphs that are no detectors.
const MAX_STEPS: usize = 16;

/// The first layer that does that to boxes, if there is one.
pub(crate) fn first(graph: &Graph, stage: BoxStage) -> Option<NodeId> {
    graph.order().iter().copied().find(|id| BoxStage::of(&graph.node(*id).op.kind) == Some(stage))
}

/// A value that holds class scores, perhaps among other things.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    /// For people.
    pub(super) name: String,
    outlet: OutletId,
    form: Form,
}

/// What is known of a value's axes.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// This one has the classes.
    Class(usize),
    /// The second one has positions and, innermost, so many classes.
    Flat { classes: usize },
    /// The second one has anchors, each with coordinates, objectness and classes.
    Region { anchors: usize, coordinates: usize, fields: usize },
    /// Nothing.
    Open,
}

impl Seed {
    pub(super) fn output(name: String, outlet: OutletId) -> Self {
        Self { name, outlet, form: Form::Open }
    }

    /// Whether boxes are suppressed by it.
    pub(super) fn is_suppressed(&self) -> bool {
        matches!(self.form, Form::Class(_) | Form::Flat { .. })
    }

    /// Where to begin to follow it, the likeliest first.
    pub(super) fn points(&self, model: &Model, labels: &Labels) -> Vec<Point> {
        let graph = model.graph();
        let (outlet, form) = match self.form {
            Form::Open => unflattened(model, self.outlet),
            // One list for all classes has the best score of each box.
            Form::Class(axis) if graph.fact(self.outlet).shape.get(axis).is_some_and(|dim| dim.is_one()) => {
                let all = best_of(model, self.outlet);
                all.map_or((self.outlet, self.form), |(outlet, axis)| (outlet, Form::Class(axis)))
            }
            form => (self.outlet, form),
        };
        let rank = graph.fact(outlet).rank();
        match form {
            Form::Class(axis) => Point::start(graph, labels, outlet, axis).into_iter().collect(),
            Form::Open => {
                (0..rank).rev().filter_map(|axis| Point::start(graph, labels, outlet, axis)).collect()
            }
            Form::Flat { classes } => grouped(graph, labels, outlet, classes, 0).into_iter().collect(),
            Form::Region { anchors, coordinates, fields } => {
                let point = grouped(graph, labels, outlet, fields, coordinates);
                let fits = |point: &Point| point.axes.0[1].atoms[0].size == Dim::Fixed(anchors);
                point.filter(fits).into_iter().collect()
            }
        }
    }
}

/// A value whose second axis has groups of so many fields; those from `first` on are followed.
fn grouped(graph: &Graph, labels: &Labels, outlet: OutletId, fields: usize, first: usize) -> Option<Point> {
    let size = graph.fact(outlet).shape.get(1)?.fixed()?;
    if fields == 0 || first >= fields || !size.is_multiple_of(fields) {
        return None;
    }
    let mut point = Point::start(graph, labels, outlet, 1)?;
    let atom = |role, size| Atom::new(role, Dim::Fixed(size));
    let atoms = vec![atom(Role::Other, size / fields), atom(Role::Class, fields)];
    point.axes.0[1] = Axis { prefix: 0, atoms };
    (point.channels, point.at) = (first..fields, first);
    Some(point)
}

/// Goes back from scores in one list to where classes have an axis.
fn unflattened(model: &Model, from: OutletId) -> (OutletId, Form) {
    let mut at = from;
    for step in walk(model, from).take(MAX_STEPS) {
        if let Some(axis) = largest_along(model, at) {
            return (step.source, Form::Class(axis));
        }
        if model.graph().fact(at).rank() >= 3 {
            break;
        }
        match step.passage {
            Passage::Activation(activation) if !activation.is_elementwise() => break,
            Passage::Activation(_) | Passage::Same | Passage::Reorder => at = step.source,
            Passage::Select | Passage::Stop => break,
        }
    }
    (at, Form::Open)
}

/// The scores of all classes, and their axis, of which a list has the best for each box.
///
/// Which boxes go on is no matter on the way.
fn best_of(model: &Model, from: OutletId) -> Option<(OutletId, usize)> {
    for step in walk(model, from).take(MAX_STEPS) {
        if let Some(axis) = largest_along(model, step.result) {
            return Some((step.source, axis));
        }
        match step.passage {
            Passage::Same | Passage::Reorder => {}
            Passage::Select if chooses_positions(model, step.result) => {}
            Passage::Activation(_) | Passage::Select | Passage::Stop => break,
        }
    }
    None
}

/// The axis along which a value is the largest of another one.
fn largest_along(model: &Model, of: OutletId) -> Option<usize> {
    let graph = model.graph();
    let node = graph.node(of.node);
    match (model.action(of.node), &node.op.kind) {
        (Action::Reduce { reduction: Reduction::Max, axes, .. }, OpKind::ReduceMax) => match axes[..] {
            [axis] => Some(axis),
            _ => None,
        },
        (_, OpKind::TopK) if of.slot == 0 && node.op.attribute("mode") == Some("max") => {
            let axis = resolve_axis(node.op.integer("axis")?, graph.fact(of).rank())?;
            graph.fact(of).shape.get(axis)?.is_one().then_some(axis)
        }
        _ => None,
    }
}

/// Whether a value has some of the elements of another one along an axis of positions: those that a computed index
/// lists, or all where the axis that is dropped has extent 1.
fn chooses_positions(model: &Model, of: OutletId) -> bool {
    let graph = model.graph();
    let node = graph.node(of.node);
    let Some(source) = node.inputs.first() else { return false };
    let shape = &graph.fact(*source).shape;
    match (model.action(of.node), &node.op.kind) {
        (Action::Select(parts), _) => parts.get(of.slot).is_some_and(|picks| {
            picks.iter().all(|pick| shape.get(pick.axis).is_some_and(|dim| dim.is_one()))
        }),
        (_, OpKind::GatherNd | OpKind::Gather) => {
            shape.len() == 1 && node.inputs.get(1).is_some_and(|index| model.integers(*index).is_none())
        }
        _ => false,
    }
}

/// Outputs with their names, or the one of that name.
pub(super) fn outputs(graph: &Graph, wanted: Option<&str>) -> Vec<(String, OutletId)> {
    let one = wanted.map(|wanted| graph.output(wanted).into_iter().collect());
    let outputs: Vec<Output<'_>> = one.unwrap_or_else(|| graph.outputs().collect());
    outputs.into_iter().map(|output| (output.name().to_owned(), output.outlet)).collect()
}

/// What the layers that select boxes read as scores: those that suppress, or else the first that sort.
pub(super) fn seeds(model: &Model, outputs: &[(String, OutletId)]) -> Vec<Seed> {
    let graph = model.graph();
    let mut before = vec![false; graph.len()];
    for (_, outlet) in outputs {
        before[outlet.node.index()] = true;
    }
    for &id in graph.order().iter().rev().filter(|id| !graph.node(**id).outputs.is_empty()) {
        if before[id.index()] {
            for input in &graph.node(id).inputs {
                before[input.node.index()] = true;
            }
        }
    }
    let on_the_way = || graph.order().iter().copied().filter(|id| before[id.index()]);
    let suppressing = on_the_way().filter_map(|id| suppressed(graph, id)).next();
    if let Some(seed) = suppressing {
        return vec![seed];
    }
    let regions: Vec<Seed> = on_the_way().filter_map(|id| region_of_scale(graph, id)).collect();
    if !regions.is_empty() {
        return regions;
    }
    let mut sorted = vec![false; graph.len()];
    let mut seeds = Vec::new();
    for id in on_the_way() {
        let node = graph.node(id);
        let after = node.inputs.iter().any(|input| sorted[input.node.index()]);
        let sorts = BoxStage::of(&node.op.kind) == Some(BoxStage::Sorting);
        if sorts && !after {
            let input = node.inputs.first().copied();
            seeds.extend(input.map(|input| Seed {
                name: format!("what {} reads", node.place()),
                outlet: input,
                form: Form::Open,
            }));
        }
        sorted[id.index()] = sorts || after;
    }
    seeds
}

fn suppressed(graph: &Graph, id: NodeId) -> Option<Seed> {
    let node = graph.node(id);
    if BoxStage::of(&node.op.kind) != Some(BoxStage::Suppression) {
        return None;
    }
    let scores = *node.inputs.get(1)?;
    let form = match graph.fact(scores).rank() {
        _ if node.op.kind == OpKind::DetectionOutput => {
            let extent = |outlet: OutletId| graph.fact(outlet).shape.get(1).and_then(|dim| dim.fixed());
            let coordinates = extent(*node.inputs.first()?)?;
            Form::Flat { classes: extent(scores)?.checked_mul(4)?.checked_div(coordinates)? }
        }
        2 => Form::Class(0),
        _ => Form::Class(1),
    };
    Some(Seed { name: format!("what {} reads", node.place()), outlet: scores, form })
}

fn region_of_scale(graph: &Graph, id: NodeId) -> Option<Seed> {
    let node = graph.node(id);
    let number = |name| usize::try_from(node.op.integer(name)?).ok();
    if BoxStage::of(&node.op.kind) != Some(BoxStage::Decoding) {
        return None;
    }
    // Without softmax each scale has some of the anchors, which the mask lists.
    let anchors = match node.op.flag("do_softmax") {
        true => number("num")?,
        false => node.op.integers("mask")?.len(),
    };
    let coordinates = number("coords")?;
    let fields = coordinates.checked_add(number("classes")?)?.checked_add(1)?;
    let form = Form::Region { anchors, coordinates, fields };
    Some(Seed { name: format!("what {} reads", node.place()), outlet: *node.inputs.first()?, form })
}
