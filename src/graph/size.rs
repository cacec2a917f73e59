//! Extents that may be known only at inference.

use super::OutletId;
use crate::ir::Dim;

/// An extent that is known now, or will be read off a tensor's shape during inference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Size {
    /// Known now.
    Fixed(usize),
    /// Dimension `axis` of a tensor.
    Of(OutletId, usize),
    /// Product of several.
    Product(Vec<Size>),
}

impl Size {
    /// The extent as a dimension.
    pub(crate) fn dim(&self) -> Dim {
        match self {
            Size::Fixed(value) => Dim::Fixed(*value),
            Size::Of(..) => Dim::Dynamic,
            Size::Product(factors) => factors.iter().map(Size::dim).fold(Dim::Fixed(1), Dim::times),
        }
    }

    /// Product of extents, reduced to a number where all are known.
    pub(crate) fn product(factors: impl IntoIterator<Item = Size>) -> Size {
        let mut known = 1usize;
        let mut open = Vec::new();
        for factor in factors {
            match factor {
                Size::Fixed(value) => known = known.saturating_mul(value),
                Size::Product(inner) => open.extend(inner),
                of @ Size::Of(..) => open.push(of),
            }
        }
        if open.is_empty() {
            return Size::Fixed(known);
        }
        if known != 1 {
            open.push(Size::Fixed(known));
        }
        match open.pop() {
            Some(only) if open.is_empty() => only,
            Some(last) => {
                open.push(last);
                Size::Product(open)
            }
            None => Size::Fixed(known),
        }
    }
}

/// An extent or axis as the integer that the IR wants.
pub(crate) fn index(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;

    #[test]
    fn products_of_extents_keep_what_is_unknown() {
        let unknown = || Size::Of(OutletId::new(NodeId(0), 0), 2);
        assert_eq!(Size::product([Size::Fixed(3), Size::Fixed(4)]), Size::Fixed(12));
        assert_eq!(Size::product([Size::Fixed(1), unknown()]), unknown());
        let mixed = Size::product([Size::Fixed(2), unknown(), Size::Fixed(3)]);
        assert_eq!(mixed, Size::Product(vec![unknown(), Size::Fixed(6)]));
        assert_eq!(mixed.dim(), Dim::Dynamic);
        assert_eq!(Size::product([]), Size::Fixed(1));
    }
}
