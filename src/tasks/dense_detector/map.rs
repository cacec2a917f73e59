//! Where the scores of one scale are: a convolution's channels, read as anchors times fields.

use std::fmt;
use std::ops::Range;

use super::head;
use crate::analysis::{Atom, Axes, Axis, Labels, Placement, Role};
use crate::graph::{Graph, OutletId, Size};
use crate::ir::{Dim, Record, key};
use crate::model::Model;
use crate::ops::Activation;
use crate::refusal::Reason;

/// Channels of a map `[N, anchors * fields, h, w]`, or of the same in another order of axes.
///
/// A field is what one anchor says of one position: a class score, a coordinate, objectness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelMap {
    /// The tensor.
    pub outlet: OutletId,
    /// Its axes: atoms of the roles batch, height, width, [`Role::Class`] for the fields (once) and
    /// [`Role::Other`] for anchors.
    pub axes: Axes,
    /// Anchors at each position.
    pub anchors: usize,
    /// Fields of each anchor.
    pub fields: usize,
    /// Which of the fields are meant.
    pub channels: Range<usize>,
    /// What the model applies to them, and has not applied yet.
    pub activation: Option<Activation>,
}

impl ChannelMap {
    /// Reads a tensor as a map of scores, with the structure that following the scores back gave its axes.
    ///
    /// # Errors
    /// A [`Reason`] where it has no height and width, or they and the structure contradict each other.
    pub(super) fn new(
        graph: &Graph,
        labels: &Labels,
        outlet: OutletId,
        traced: &Axes,
        channels: Range<usize>,
    ) -> Result<Self, Reason> {
        let fact = graph.fact(outlet);
        let never_a_map = || Reason::NeverAMap { layer: graph.label(outlet), fact: fact.to_string() };
        let positions = positions(graph, labels, outlet, traced).ok_or_else(never_a_map)?;
        let mut axes = Vec::with_capacity(fact.rank());
        for (i, found) in positions.into_iter().enumerate() {
            let of_channels = || {
                let atoms = traced.0.get(i).map(|axis| axis.atoms.clone()).unwrap_or_default();
                let known = |role| matches!(role, Role::Class | Role::Other);
                atoms.into_iter().filter(|atom| known(atom.role)).collect::<Vec<_>>()
            };
            axes.push(match found {
                Some(axis) => axis,
                None => Axis { prefix: 0, atoms: of_channels() },
            });
        }
        let fields = traced.0.iter().flat_map(|axis| &axis.atoms).find(|atom| atom.role == Role::Class);
        let fields = *fields.ok_or_else(never_a_map)?;
        let is_class = |axis: &Axis| axis.has(Role::Class);
        if !axes.iter().any(is_class) {
            // A single class may have gone with any axis; it belongs to the one of the channels.
            let channels = axes.iter_mut().zip(&fact.shape).find(|(axis, _)| axis.is(Role::Other));
            let (axis, dim) = channels.filter(|_| fields.size.is_one()).ok_or_else(never_a_map)?;
            *axis = Axis { atoms: vec![Atom::new(Role::Other, *dim), fields], prefix: 0 };
        }
        for (axis, dim) in axes.iter().zip(&fact.shape) {
            let contradicts = axis.atoms.is_empty() && !dim.is_one();
            if contradicts || (dim.fixed().is_some() && axis.extent() != *dim) {
                return Err(never_a_map());
            }
        }
        let atoms = || axes.iter().flat_map(|axis| &axis.atoms);
        let count = |role| atoms().filter(|atom| atom.role == role).count();
        let single =
            [Role::Batch, Role::Height, Role::Width, Role::Class].iter().all(|role| count(*role) == 1);
        let anchors = atoms().filter(|atom| atom.role == Role::Other).map(|atom| atom.size);
        let anchors = anchors.fold(Dim::Fixed(1), Dim::times);
        let (Dim::Fixed(anchors), Dim::Fixed(fields)) = (anchors, fields.size) else {
            return Err(Reason::UnknownClasses { layer: graph.label(outlet), fact: fact.to_string() });
        };
        if !single || channels.end > fields || channels.is_empty() {
            return Err(never_a_map());
        }
        Ok(Self { outlet, axes: Axes(axes), anchors, fields, channels, activation: None })
    }

    /// Records the layer, its axes, and what of it is meant; with `activated`, also what the model applies to it.
    pub(super) fn record(&self, model: &Model, name: &str, activated: bool, record: &mut Record) {
        model.record(self.outlet, name, record);
        record.add(key::layout_of(name), self);
        record.add(key::fields_of(name), format!("{}..{}", self.channels.start, self.channels.end));
        let grid = self.grid().map(|dim| dim.to_string());
        record.add(key::grid_of(name), grid.join("x"));
        if let Some(activation) = self.activation.filter(|_| activated) {
            record.add(key::activation_of(name), activation.name());
        }
    }

    /// Where positions lie in an input, where that is known.
    pub(crate) fn placement(&self) -> Option<Placement> {
        let atom = |role| self.axes.0.iter().flat_map(|axis| &axis.atoms).find(|atom| atom.role == role);
        Placement::of(atom(Role::Height)?, atom(Role::Width)?)
    }

    /// Height and width.
    pub(crate) fn grid(&self) -> [Dim; 2] {
        [Role::Height, Role::Width].map(|role| {
            let mut atoms = self.axes.0.iter().flat_map(|axis| &axis.atoms);
            atoms.find(|atom| atom.role == role).map_or(Dim::Dynamic, |atom| atom.size)
        })
    }

    /// Number of axes in [`ChannelMap::atoms`] that are anchors.
    pub(super) fn anchor_axes(&self) -> usize {
        self.atoms().iter().filter(|(role, _)| *role == Role::Other).count()
    }

    /// Every atom as an axis of its own, with its extent; anchors of extent 1 are left out.
    pub(crate) fn atoms(&self) -> Vec<(Role, Size)> {
        let mut atoms = Vec::new();
        for (i, axis) in self.axes.0.iter().enumerate() {
            let alone = axis.atoms.len() == 1;
            for atom in &axis.atoms {
                let size = match (atom.size, atom.extent()) {
                    (Dim::Fixed(size), _) => Size::Fixed(size),
                    (Dim::Dynamic, _) if alone => Size::Of(self.outlet, i),
                    (Dim::Dynamic, Some(size)) => size,
                    (Dim::Dynamic, None) => Size::Of(self.outlet, i),
                };
                if atom.role != Role::Other || size != Size::Fixed(1) {
                    atoms.push((atom.role, size));
                }
            }
        }
        atoms
    }
}

impl fmt::Display for ChannelMap {
    /// One entry for each axis, with anchors `A` and fields `K` counted: `N,A3*K24,H,W`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, axis) in self.axes.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let atoms = axis.atoms.iter().filter(|atom| atom.role != Role::Other || !atom.size.is_one());
            let mut some = false;
            for atom in atoms {
                f.write_str(if some { "*" } else { "" })?;
                some = true;
                match atom.role {
                    Role::Batch => f.write_str("N")?,
                    Role::Height => f.write_str("H")?,
                    Role::Width => f.write_str("W")?,
                    Role::Class => write!(f, "K{}", atom.size)?,
                    Role::Other => write!(f, "A{}", atom.size)?,
                }
            }
            if !some {
                f.write_str("A1")?;
            }
        }
        Ok(())
    }
}

/// For each axis what it is, where it is the batch's or carries positions.
fn positions(graph: &Graph, labels: &Labels, outlet: OutletId, traced: &Axes) -> Option<Vec<Option<Axis>>> {
    let shape = &graph.fact(outlet).shape;
    let known = labels.get(outlet)?;
    let of_positions = |axis: &Axis| {
        axis.prefix == 0 && axis.positional() && axis.atoms.iter().all(|atom| is_position(atom.role))
    };
    let plain = |axis: &Axis| (axis.is(Role::Batch) || of_positions(axis)).then(|| axis.clone());
    let mut axes: Vec<Option<Axis>> = known.0.iter().map(plain).collect();
    if !known.0.iter().any(Axis::positional) {
        // Of a grid of one position nothing tells which axes it has, but that it is a map of rank 4.
        let of_class = traced.0.iter().position(|axis| axis.has(Role::Class));
        let rest: Vec<usize> = (1..shape.len()).filter(|axis| Some(*axis) != of_class).collect();
        let [rows, columns] = rest[..] else { return None };
        if !shape[rows].is_one() || !shape[columns].is_one() || !is_window(graph, outlet) {
            return None;
        }
        for (axis, role) in [(rows, Role::Height), (columns, Role::Width)] {
            axes[axis] = Some(Axis::of(role, Dim::Fixed(1)));
        }
    }
    Some(axes)
}

fn is_position(role: Role) -> bool {
    matches!(role, Role::Height | Role::Width)
}

/// Whether a convolution makes a value, perhaps with constants added since.
fn is_window(graph: &Graph, outlet: OutletId) -> bool {
    head::reads(graph, outlet).is_some()
}
