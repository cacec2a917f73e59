//! Where a detector's scores end: in what suppresses or sorts boxes, or in outputs.

use super::trace::Point;
use crate::analysis::{Atom, Axis, Labels, Role, walk};
use crate::graph::{Graph, NodeId, OpKind, OutletId, Output};
use crate::ir::Dim;
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

    /// Where to begin to follow it, the likeliest first.
    pub(super) fn points(&self, model: &Model, labels: &Labels) -> Vec<Point> {
        let graph = model.graph();
        let (outlet, form) = match self.form {
            Form::Open => unflattened(model, self.outlet),
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
        if step.passage == Passage::Select
            && let Action::Reduce { reduction: Reduction::Max, axes, .. } = model.action(at.node)
            && let [axis] = axes[..]
        {
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
