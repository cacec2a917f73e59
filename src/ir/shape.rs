//! Shapes, in which a dimension may be unknown until inference.

use std::fmt;

/// One dimension of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dim {
    /// Known when the model is read.
    Fixed(usize),
    /// Known only at inference; `-1` in the IR.
    Dynamic,
}

impl Dim {
    /// The value, where known.
    pub(crate) fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(value) => Some(value),
            Dim::Dynamic => None,
        }
    }

    /// Whether the dimension is known to be 1.
    pub(crate) fn is_one(self) -> bool {
        self == Dim::Fixed(1)
    }

    /// Product of two dimensions; unknown as soon as one is, and on overflow.
    pub(crate) fn times(self, other: Dim) -> Dim {
        match (self, other) {
            (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_mul(b).map_or(Dim::Dynamic, Dim::Fixed),
            _ => Dim::Dynamic,
        }
    }

    /// As a number of a shape tensor: `-1` where unknown.
    pub(crate) fn as_i64(self) -> i64 {
        match self {
            Dim::Fixed(value) => i64::try_from(value).unwrap_or(i64::MAX),
            Dim::Dynamic => -1,
        }
    }
}

impl From<usize> for Dim {
    fn from(value: usize) -> Self {
        Dim::Fixed(value)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(value) => write!(f, "{value}"),
            Dim::Dynamic => f.write_str("?"),
        }
    }
}

/// Elements of a tensor; no machine holds as many, and few such numbers add up without overflow.
const MAX_ELEMENTS: usize = 1 << 48;

/// Whether no machine can hold a tensor of that shape, even with unknown extents of 1.
pub(crate) fn is_absurd(shape: &[Dim]) -> bool {
    // An extent of 0 must not hide another that is absurd.
    let mut extents = shape.iter().filter_map(|dim| dim.fixed()).map(|extent| extent.max(1));
    let elements = extents.try_fold(1usize, |elements, extent| elements.checked_mul(extent));
    elements.is_none_or(|elements| elements > MAX_ELEMENTS)
}

/// The dimensions of a tensor, outermost first.
pub(crate) type Shape = Vec<Dim>;

/// Displays a shape as `[1,3,?,224]`.
pub(crate) struct ShapeDisplay<'a>(pub &'a [Dim]);

impl fmt::Display for ShapeDisplay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// Resolves an axis that counts from the end where negative; `None` where there is no such axis.
pub(crate) fn resolve_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank_i = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank_i)? } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}
