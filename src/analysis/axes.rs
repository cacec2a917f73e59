//! What each axis of each tensor means: batch, height, width, tokens, or something else.
//!
//! An axis is a product of *atoms*, outermost first: the token axis of a ViT is height × width, the
//! first axis of windowed attention is batch × window row × window column. Reshape splits and
//! merges atoms, Transpose moves them; a part of the height remembers its stride, so that cutting
//! a map into windows and putting it together again ends in a height. Where an operation tells
//! nothing, the labels come back with the next residual addition.

use std::fmt;

use super::place::Place;
use crate::graph::{OutletId, Size};
use crate::ir::Dim;
use crate::ops::Selection;

/// What an atom runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Samples.
    Batch,
    /// Rows of the grid.
    Height,
    /// Columns of the grid.
    Width,
    /// Classes, where a detector's scores are followed back to the maps that they come from.
    Class,
    /// Channels, heads, or anything else.
    Other,
}

impl Role {
    /// Whether it runs over the grid.
    pub(crate) fn positional(self) -> bool {
        matches!(self, Self::Height | Self::Width)
    }
}

/// A factor of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Atom {
    /// What it runs over.
    pub role: Role,
    /// Its extent.
    pub size: Dim,
    /// For rows and columns: distance between neighbours, in units of the grid.
    pub stride: usize,
    /// Where an unknown extent can be read.
    pub origin: Option<(OutletId, usize)>,
    /// Where grid units lie in an input.
    pub place: Place,
}

impl Atom {
    pub(crate) fn new(role: Role, size: Dim) -> Self {
        Self { role, size, stride: 1, origin: None, place: Place::Unknown }
    }

    /// The extent, as something that can be emitted; `None` where nothing tells it.
    pub(crate) fn extent(&self) -> Option<Size> {
        match (self.size, self.origin) {
            (Dim::Fixed(size), _) => Some(Size::Fixed(size)),
            (Dim::Dynamic, Some((outlet, axis))) => Some(Size::Of(outlet, axis)),
            _ => None,
        }
    }
}

/// One axis of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Class, distillation or register tokens before the grid's.
    pub prefix: usize,
    /// Factors, outermost first; their product is the extent less the prefix.
    pub atoms: Vec<Atom>,
}

impl Axis {
    pub(crate) fn of(role: Role, size: Dim) -> Self {
        Self { prefix: 0, atoms: vec![Atom::new(role, size)] }
    }

    pub(crate) fn other(size: Dim) -> Self {
        Self::of(Role::Other, size)
    }

    /// Whether any of its atoms has that role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.atoms.iter().any(|atom| atom.role == role)
    }

    /// Whether all of its atoms have that role, and nothing precedes them.
    pub(crate) fn is(&self, role: Role) -> bool {
        self.prefix == 0 && self.atoms.iter().all(|atom| atom.role == role)
    }

    /// Whether it carries grid positions.
    pub(crate) fn positional(&self) -> bool {
        self.has(Role::Height) || self.has(Role::Width)
    }

    /// Its extent, prefix included.
    pub(crate) fn extent(&self) -> Dim {
        let product = self.atoms.iter().map(|atom| atom.size).fold(Dim::Fixed(1), Dim::times);
        product.fixed().and_then(|size| size.checked_add(self.prefix)).map_or(Dim::Dynamic, Dim::Fixed)
    }

    /// An axis whose extent changes while its meaning stays.
    pub(crate) fn resized(&self, dim: Option<Dim>) -> Self {
        let dim = dim.unwrap_or(Dim::Dynamic);
        match &self.atoms[..] {
            [atom] if self.prefix == 0 => {
                let atom = Atom { size: dim, origin: None, place: Place::Unknown, ..*atom };
                Axis { prefix: 0, atoms: vec![atom] }
            }
            _ => Self::other(dim),
        }
    }

    /// The part of an axis that a pick takes; `dim` is its extent.
    pub(crate) fn part(&self, pick: &Selection, dim: Dim) -> Self {
        if pick.step == 1 && pick.to_end && pick.start.is_some_and(|start| start <= self.prefix) {
            return Axis { prefix: self.prefix - pick.start.unwrap_or(0), atoms: self.atoms.clone() };
        }
        match &self.atoms[..] {
            [atom] if self.prefix == 0 && pick.step > 0 && atom.role != Role::Batch => Axis {
                prefix: 0,
                atoms: vec![Atom {
                    size: dim,
                    stride: atom.stride.saturating_mul(pick.step),
                    origin: None,
                    place: pick
                        .start
                        .map_or(Place::Unknown, |start| atom.place.from(start.saturating_mul(atom.stride))),
                    ..*atom
                }],
            },
            _ => Self::other(dim),
        }
    }

    /// Its only atom, where nothing precedes it.
    pub(crate) fn only(&self) -> Option<&Atom> {
        match &self.atoms[..] {
            [atom] if self.prefix == 0 => Some(atom),
            _ => None,
        }
    }

    /// How far what is on it reaches along rows or columns of the grid, in grid units.
    pub(crate) fn reach(&self, role: Role) -> usize {
        let own = self.atoms.iter().filter(|atom| atom.role == role);
        let reach = |atom: &Atom| Some(atom.size.fixed()?.saturating_sub(1).saturating_mul(atom.stride));
        own.filter_map(reach).fold(0, usize::saturating_add)
    }

    /// With what `gone` carried of rows and columns mixed into each position of this one.
    pub(crate) fn with_mixed(mut self, gone: &Axis) -> Self {
        for atom in self.atoms.iter_mut().filter(|atom| atom.role.positional()) {
            atom.place = atom.place.widened(gone.reach(atom.role));
        }
        self
    }

    /// Joined with another operand's axis, element by element.
    pub(crate) fn met(mut self, other: &Axis) -> Self {
        if self.atoms.len() == other.atoms.len() && self.prefix == other.prefix {
            for (own, other) in self.atoms.iter_mut().zip(&other.atoms) {
                if own.role == other.role && own.size == other.size && own.stride == other.stride {
                    own.place = own.place.met(other.place);
                }
            }
        }
        self
    }

    /// The two axes that cutting into patches makes of one: the offset inside a patch, and the patch.
    pub(crate) fn unfolded(&self, dilation: usize, stride: usize, inner: Dim, outer: Dim) -> (Self, Self) {
        match &self.atoms[..] {
            [atom] if self.prefix == 0 && atom.role != Role::Batch => {
                let part = |size: Dim, step: usize| Axis {
                    prefix: 0,
                    atoms: vec![Atom {
                        size,
                        stride: atom.stride.saturating_mul(step),
                        origin: None,
                        ..*atom
                    }],
                };
                (part(inner, dilation), part(outer, stride))
            }
            _ => (Self::other(inner), Self::other(outer)),
        }
    }

    pub(crate) fn merged(mut self) -> Self {
        let mut atoms: Vec<Atom> = Vec::with_capacity(self.atoms.len());
        for atom in self.atoms.drain(..) {
            if let Some(last) = atoms.last_mut()
                && last.role == atom.role
                && let Dim::Fixed(inner) = atom.size
            {
                let known = last.size.fixed().is_some();
                let joins = match atom.role {
                    Role::Other => known,
                    Role::Batch => false,
                    _ => atom.stride.checked_mul(inner) == Some(last.stride),
                };
                let size = last.size.times(atom.size);
                if joins && (!known || size != Dim::Dynamic) {
                    let place =
                        if last.role.positional() { last.place.met(atom.place) } else { Place::Unknown };
                    *last = Atom { size, place, origin: None, ..atom };
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
pub(crate) struct Axes(pub Vec<Axis>);

impl Axes {
    /// The axis that carries the batch, perhaps with something else (windows, in windowed attention).
    pub(crate) fn batch(&self) -> Option<usize> {
        self.0.iter().position(|axis| axis.has(Role::Batch))
    }

    /// Axes that carry grid positions.
    pub(crate) fn positional(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|axis| self.0[*axis].positional()).collect()
    }
}

impl fmt::Display for Axis {
    /// Its factors: `HW`, `1+HW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix > 0 {
            write!(f, "{}+", self.prefix)?;
        }
        for atom in &self.atoms {
            f.write_str(match atom.role {
                Role::Batch => "N",
                Role::Height => "H",
                Role::Width => "W",
                Role::Class => "K",
                Role::Other => "C",
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for Axes {
    /// One entry for each axis: `N,C,H,W`, `N,1+HW,C`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, axis) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            axis.fmt(f)?;
        }
        Ok(())
    }
}
