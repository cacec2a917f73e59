//! The target layer: the last value with height and width that everything passes.

use std::fmt;

use super::{Axes, Labels, Place, Placement, Role};
use crate::error::{Error, Result};
use crate::graph::{Fact, Flow, Graph, NodeId, OpKind, OutletId, Size};
use crate::message::{Setting, message};
use crate::model::Model;
use crate::refusal::Reason;

/// Where a feature map keeps its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positions {
    /// Height and width are axes.
    Map {
        /// Axis of the rows.
        height: usize,
        /// Axis of the columns.
        width: usize,
    },
    /// Positions are tokens on one axis, row by row.
    Tokens {
        /// The axis.
        axis: usize,
        /// Tokens before the grid's.
        prefix: usize,
    },
}

/// The axes of a feature map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Axis of the batch.
    pub batch: usize,
    /// Axis of the channels; any further axis has extent 1.
    pub channel: usize,
    /// Axes of the positions.
    pub positions: Positions,
    /// Height and width.
    pub grid: (Size, Size),
    /// Where positions lie in an input, where that is known.
    pub placement: Option<Placement>,
    axes: Axes,
}

impl Layout {
    /// Tokens that belong to no position.
    pub(crate) fn prefix(&self) -> usize {
        match self.positions {
            Positions::Map { .. } => 0,
            Positions::Tokens { prefix, .. } => prefix,
        }
    }

    /// Number of positions K.
    pub(crate) fn count(&self) -> Size {
        Size::product([self.grid.0.clone(), self.grid.1.clone()])
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of several axes that are nothing else, one has the channels.
        for (i, axis) in self.axes.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if i != self.channel && axis.is(Role::Other) {
                write!(f, "{comma}1")?;
            } else {
                write!(f, "{comma}{axis}")?;
            }
        }
        Ok(())
    }
}

/// A feature map whose positions are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The tensor.
    pub outlet: OutletId,
    /// What its axes are.
    pub layout: Layout,
    /// What norms make of it, where that is masked too instead of being computed from the masked value.
    pub normed: Vec<(OutletId, Layout)>,
}

impl Target {
    /// All values that are masked.
    pub(crate) fn masked(&self) -> Vec<OutletId> {
        std::iter::once(self.outlet).chain(self.normed.iter().map(|(outlet, _)| *outlet)).collect()
    }
}

/// A value that was considered as target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The tensor.
    pub outlet: OutletId,
    /// Its layer's name.
    pub layer: String,
    /// Its layer's operation.
    pub op: String,
    /// Its type and shape.
    pub fact: Fact,
    /// Whether every path from the inputs to the logits passes it.
    pub cut: bool,
    /// What its axes are, or why it cannot be a target.
    pub layout: std::result::Result<Layout, Reason>,
}

/// Values that could be targets, the best first: cuts from the logits back. Where the last spatial cut
/// leaves most of the model behind it, or there is none, deeper spatial values come before it, the
/// deepest first; what bypasses them does not depend on the mask.
///
/// `wanted` names one by layer or tensor name instead.
///
/// # Errors
/// [`Error::Usage`] where there is no layer of that name.
pub(crate) fn candidates(
    model: &Model,
    labels: &Labels,
    way: Way<'_>,
    wanted: Option<&str>,
) -> Result<Vec<Candidate>> {
    let (graph, scores) = (model.graph(), way.to);
    let flow = Flow::new(graph, way.from, scores.node);
    if let Some(name) = wanted {
        let outlet = graph.find(name).ok_or_else(|| unknown_layer(graph, name))?;
        let cut = flow.cuts().contains(&outlet.node);
        let mut found = candidate(graph, labels, outlet, cut);
        if !flow.on_path(outlet.node) || outlet.node == scores.node {
            found.layout = Err(Reason::NotOnPath);
        }
        return Ok(vec![found]);
    }
    // What stands in memory alone has no name by which it could be found again.
    let outlets = |id: NodeId| match id.index() < graph.in_file() {
        true => read_outlets(graph, &flow, id, scores),
        false => Vec::new(),
    };
    let mut found: Vec<Candidate> = Vec::new();
    for &id in flow.cuts() {
        found.extend(outlets(id).into_iter().map(|outlet| candidate(graph, labels, outlet, true)));
    }
    let last = found.iter().position(|candidate| candidate.layout.is_ok());
    if last.is_none_or(|last| leaves_most(graph, &flow, found[last].outlet)) {
        let depths = flow.depths(graph);
        let floor = last.map_or(0, |last| depths[found[last].outlet.node.index()]);
        let all = graph.order().iter().filter(|id| flow.on_path(**id)).flat_map(|id| outlets(*id));
        let others = all.map(|outlet| candidate(graph, labels, outlet, false));
        let deeper = |other: &Candidate| other.layout.is_ok() && depths[other.outlet.node.index()] > floor;
        let mut others: Vec<Candidate> = others.filter(deeper).collect();
        others.sort_by_key(|other| std::cmp::Reverse(depths[other.outlet.node.index()]));
        let at = last.unwrap_or(found.len());
        found.splice(at..at, others);
    }
    Ok(found)
}

/// Whether more than half of the operations stand behind a value: then it says little of what is looked at.
fn leaves_most(graph: &Graph, flow: &Flow, outlet: OutletId) -> bool {
    let after = Flow::after(graph, outlet);
    let on_path = || graph.nodes().filter(|(id, _)| flow.on_path(*id));
    2 * on_path().filter(|(id, _)| after[id.index()]).count() > on_path().count()
}

/// Where the branches end that pass beside a target: maps that neither lead to it nor depend on it, and lead to no other
/// such map. None pass beside a cut.
pub(crate) fn beside(model: &Model, labels: &Labels, way: Way<'_>, target: OutletId) -> Vec<Candidate> {
    let graph = model.graph();
    let flow = Flow::new(graph, way.from, way.to.node);
    if flow.cuts().contains(&target.node) {
        return Vec::new();
    }
    let (before, after) = (Flow::new(graph, way.from, target.node), Flow::after(graph, target));
    let apart = |id: &NodeId| flow.on_path(*id) && !before.on_path(*id) && !after[id.index()];
    let mut found: Vec<Candidate> = Vec::new();
    for &id in graph.order().iter().filter(|id| id.index() < graph.in_file() && apart(id)) {
        let outlets = read_outlets(graph, &flow, id, way.to).into_iter();
        let maps =
            outlets.map(|outlet| candidate(graph, labels, outlet, false)).filter(|map| map.layout.is_ok());
        for map in maps {
            found.retain(|earlier| !Flow::after(graph, earlier.outlet)[map.outlet.node.index()]);
            found.push(map);
        }
    }
    found
}

/// The way on which something is looked for: from inputs to scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// Inputs, see [`sources`].
    pub from: &'a [NodeId],
    /// Scores.
    pub to: OutletId,
}

/// The inputs that are looked from: the one that is wanted, by layer or tensor name, or all images.
///
/// Images are tensors of rank 3 and more; where there are any, other inputs are side information.
///
/// # Errors
/// [`Error::Usage`] where there is no input of that name.
pub(crate) fn sources(graph: &Graph, wanted: Option<&str>) -> Result<Vec<NodeId>> {
    let all: Vec<NodeId> = graph.parameters().map(|(id, _)| id).collect();
    if let Some(wanted) = wanted {
        let found = graph.find(wanted).map(|outlet| outlet.node).filter(|id| all.contains(id));
        let names: Vec<&str> = all.iter().map(|id| graph.node(*id).name.as_str()).collect();
        let missing = || Error::usage(format!("no input '{wanted}'; the model has '{}'", names.join("', '")));
        return Ok(vec![found.ok_or_else(missing)?]);
    }
    let pictures = graph.parameters().filter(|(_, node)| node.outputs.iter().any(|o| o.fact.rank() >= 3));
    let pictures: Vec<NodeId> = pictures.map(|(id, _)| id).collect();
    Ok(if pictures.is_empty() { all } else { pictures })
}

/// The outputs of a node that lead on along the flow.
fn read_outlets(graph: &Graph, flow: &Flow, id: NodeId, sink: OutletId) -> Vec<OutletId> {
    let outputs = (0..graph.node(id).outputs.len()).map(|slot| OutletId::new(id, slot));
    let read = |outlet: &OutletId| {
        *outlet == sink
            || graph
                .users(id)
                .iter()
                .any(|user| flow.on_path(*user) && graph.node(*user).inputs.contains(outlet))
    };
    outputs.filter(read).collect()
}

/// A value as a candidate; `cut` says whether all paths pass it.
pub(crate) fn candidate(graph: &Graph, labels: &Labels, outlet: OutletId, cut: bool) -> Candidate {
    let node = graph.node(outlet.node);
    let fact = graph.fact(outlet);
    Candidate {
        outlet,
        layer: node.name.clone(),
        op: node.op.type_name().to_owned(),
        fact: fact.clone(),
        cut,
        layout: layout(labels.get(outlet), fact),
    }
}

/// Reads a tensor as a feature map.
///
/// # Errors
/// A [`Reason`] where it does not have one batch, one channel and one pair of grid axes, in this order of rows before columns.
pub(crate) fn layout(axes: Option<&Axes>, fact: &Fact) -> std::result::Result<Layout, Reason> {
    let not_a_map = || Reason::NotAMap { axes: axes.map(ToString::to_string), fact: fact.to_string() };
    let axes = axes.ok_or_else(not_a_map)?;
    if !fact.element.is_float() {
        return Err(Reason::NotFloat { fact: fact.to_string() });
    }
    let batch = axes.batch().filter(|axis| axes.0[*axis].atoms.len() == 1).ok_or_else(not_a_map)?;
    let with = |role| {
        let atoms =
            axes.0.iter().enumerate().flat_map(|(i, axis)| axis.atoms.iter().map(move |atom| (i, atom)));
        let found: Vec<_> = atoms.filter(|(_, atom)| atom.role == role).collect();
        if let [only] = found[..] { Some(only) } else { None }
    };
    let ((rows, height), (columns, width)) =
        with(Role::Height).zip(with(Role::Width)).ok_or_else(not_a_map)?;
    let positions = if rows == columns {
        let axis = &axes.0[rows];
        if axis.atoms.len() != 2 || axis.atoms[0].role != Role::Height {
            return Err(not_a_map());
        }
        Positions::Tokens { axis: rows, prefix: axis.prefix }
    } else if rows < columns && axes.0[rows].is(Role::Height) && axes.0[columns].is(Role::Width) {
        Positions::Map { height: rows, width: columns }
    } else {
        return Err(not_a_map());
    };
    let others: Vec<usize> =
        (0..fact.rank()).filter(|axis| *axis != batch && *axis != rows && *axis != columns).collect();
    let many: Vec<usize> = others.iter().copied().filter(|axis| !fact.shape[*axis].is_one()).collect();
    let channel = match (&many[..], &others[..]) {
        ([channel], _) | ([], [channel, ..]) => *channel,
        _ => return Err(not_a_map()),
    };
    if height.size.is_one() && width.size.is_one() {
        return Err(not_a_map());
    }
    if [height, width].iter().any(|atom| atom.place == Place::Contradictory) {
        return Err(Reason::PlacesContradict);
    }
    let grid = height.extent().zip(width.extent()).ok_or(Reason::UnknownGrid)?;
    Ok(Layout {
        batch,
        channel,
        positions,
        grid,
        placement: Placement::of(height, width),
        axes: axes.clone(),
    })
}

/// The error for a layer that is not there, with the names that come closest.
pub(crate) fn unknown_layer(graph: &Graph, name: &str) -> Error {
    let lower = name.to_lowercase();
    let mut near: Vec<&str> = graph
        .nodes()
        .filter(|(_, node)| node.op.kind != OpKind::Const && node.name.to_lowercase().contains(&lower))
        .map(|(_, node)| node.name.as_str())
        .collect();
    near.truncate(3);
    let hint = if near.is_empty() {
        message![Setting::ListTargets, " shows what there is"]
    } else {
        format!("did you mean '{}'?", near.join("', '")).into()
    };
    Error::usage(message![format!("no layer '{name}' in the model; ")].with(hint))
}
