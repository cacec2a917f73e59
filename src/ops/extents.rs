//! What is known of shapes, and of tensors that hold shapes: symbolic extents of each outlet.

use crate::graph::{OutletId, SymInt, Symbols};
use crate::ir::Dim;

/// Elements of an integer tensor, row-major; `None` for those of which nothing is known.
pub(crate) type Elements = Vec<Option<SymInt>>;

/// What is known of an outlet before inference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Its dimensions.
    pub(crate) dims: Vec<SymInt>,
    /// Its elements, where it holds few integers that are computed from constants and shapes.
    pub(crate) elements: Option<Elements>,
}

/// Symbolic extents of a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extents {
    /// The symbols that they are made of.
    pub(crate) symbols: Symbols,
    /// By node and slot.
    pub(crate) of: Vec<Vec<Known>>,
}

impl Extents {
    /// The dimensions of an outlet; `None` for one that is not of this graph.
    pub(crate) fn dims(&self, outlet: OutletId) -> Option<&[SymInt]> {
        Some(&self.of.get(outlet.node.index())?.get(outlet.slot)?.dims)
    }

    /// The extent of something that can be read at `origin`, where it is not known now.
    pub(crate) fn of_atom(&self, size: Dim, origin: Option<(OutletId, usize)>) -> Option<SymInt> {
        match (size, origin) {
            (Dim::Fixed(size), _) => Some(SymInt::from(size)),
            (Dim::Dynamic, Some((outlet, axis))) => self.dims(outlet)?.get(axis).cloned(),
            (Dim::Dynamic, None) => None,
        }
    }
}
