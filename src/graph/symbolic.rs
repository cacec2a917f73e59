//! Symbolic integers: extents that are known only at inference, as polynomials of symbols.
//!
//! A symbol stands for a dimension and has its origin: the tensor and axis where it can be read, or the quotient that it
//! is. Sums, products and quotients of extents are kept in one normal form, so that two extents are equal wherever
//! their polynomials are: `(h / 16) * (w / 16)` that a model computes from a shape is the number of patches that a
//! convolution with that stride makes.

use std::collections::{BTreeMap, HashMap};

use super::OutletId;
use crate::ir::Dim;

/// Extents are short sums; one that has more terms is not followed.
const MAX_TERMS: usize = 32;

/// Stands for a dimension; an index into [`Symbols`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Symbol(usize);

/// An extent, or another integer that is computed from extents.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SymInt {
    /// A number.
    Number(i64),
    /// A sum that is no number: products of symbols in ascending order (none for the constant), and how often each
    /// counts, never 0.
    Sum(Vec<(Vec<Symbol>, i64)>),
}

impl From<usize> for SymInt {
    fn from(value: usize) -> Self {
        Self::Number(super::index(value))
    }
}

impl SymInt {
    /// A symbol alone.
    pub(crate) fn of(symbol: Symbol) -> Self {
        Self::Sum(vec![(vec![symbol], 1)])
    }

    /// The number, where it is one.
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Sum(_) => None,
        }
    }

    /// The number, where it is one that a dimension can have.
    pub(crate) fn fixed(&self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// As a dimension.
    pub(crate) fn dim(&self) -> Dim {
        self.fixed().map_or(Dim::Dynamic, Dim::Fixed)
    }

    fn terms(&self) -> Vec<(Vec<Symbol>, i64)> {
        match self {
            Self::Number(0) => Vec::new(),
            Self::Number(number) => vec![(Vec::new(), *number)],
            Self::Sum(terms) => terms.clone(),
        }
    }

    fn from_terms(terms: impl IntoIterator<Item = (Vec<Symbol>, i64)>) -> Option<Self> {
        let mut sum: BTreeMap<Vec<Symbol>, i64> = BTreeMap::new();
        for (symbols, count) in terms {
            let entry = sum.entry(symbols).or_default();
            *entry = entry.checked_add(count)?;
        }
        sum.retain(|_, count| *count != 0);
        let constant = sum.get(&Vec::new()).copied().unwrap_or(0);
        match sum.len() {
            0 => Some(Self::Number(0)),
            1 if constant != 0 => Some(Self::Number(constant)),
            count => (count <= MAX_TERMS).then(|| Self::Sum(sum.into_iter().collect())),
        }
    }

    /// `self + other`; `None` where it is too large, as of all that follow.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        Self::from_terms(self.terms().into_iter().chain(other.terms()))
    }

    /// `self - other`.
    pub(crate) fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.times(&Self::Number(-1))?)
    }

    /// `self * other`.
    pub(crate) fn times(&self, other: &Self) -> Option<Self> {
        if let (Self::Number(a), Self::Number(b)) = (self, other) {
            return a.checked_mul(*b).map(Self::Number);
        }
        let (a, b) = (self.terms(), other.terms());
        if a.len().saturating_mul(b.len()) > MAX_TERMS * MAX_TERMS {
            return None;
        }
        let mut terms = Vec::new();
        for (left, count) in &a {
            for (right, times) in &b {
                let mut symbols = [left.as_slice(), right].concat();
                symbols.sort_unstable();
                terms.push((symbols, count.checked_mul(*times)?));
            }
        }
        Self::from_terms(terms)
    }

    /// The product of several.
    pub(crate) fn product<'a>(factors: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        factors.into_iter().try_fold(Self::Number(1), |product, factor| product.times(factor))
    }

    /// The extent that `other` has to be multiplied with to give this one, where there is one.
    pub(crate) fn divided(&self, other: &Self) -> Option<Self> {
        let divisor = other.terms();
        let (lead, by) = divisor.last()?.clone();
        let (mut rest, mut quotient) = (self.clone(), Self::Number(0));
        for _ in 0..MAX_TERMS {
            let terms = rest.terms();
            let Some((symbols, count)) = terms.last() else { return Some(quotient) };
            if count.checked_rem(by)? != 0 {
                return None;
            }
            let factor = Self::from_terms([(without(symbols, &lead)?, count / by)])?;
            quotient = quotient.plus(&factor)?;
            rest = rest.minus(&factor.times(other)?)?;
        }
        None
    }
}

/// The symbols that are left of a product divided by another.
fn without(symbols: &[Symbol], gone: &[Symbol]) -> Option<Vec<Symbol>> {
    let mut left = symbols.to_vec();
    for symbol in gone {
        left.remove(left.iter().position(|other| other == symbol)?);
    }
    Some(left)
}

/// A quotient in what divides without a rest, and what is left to be divided where that is no number: of two ways to write
/// it one is left.
fn parts(extent: &SymInt, by: i64) -> Option<(SymInt, Option<SymInt>)> {
    if by <= 0 {
        return None;
    }
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    for (symbols, count) in extent.terms() {
        whole.push((symbols.clone(), count.div_euclid(by)));
        rest.push((symbols, count.rem_euclid(by)));
    }
    // What is left of a number is less than the divisor.
    let rest = SymInt::from_terms(rest)?;
    Some((SymInt::from_terms(whole)?, Some(rest).filter(|rest| rest.number().is_none())))
}

/// Where a symbol comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// A dimension that is what it is: of an input, or of what a window makes.
    Dimension(OutletId, usize),
    /// A dimension of which nothing tells how it follows from others.
    Unknown(OutletId, usize),
    /// An extent divided by a number, rounded down.
    Quotient(SymInt, i64),
}

/// All symbols of a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Symbols {
    origins: Vec<Origin>,
    quotients: HashMap<(SymInt, i64), Symbol>,
    /// Products of symbols that have to be numbers, or no input is right.
    noted: BTreeMap<Vec<Symbol>, i64>,
}

impl Symbols {
    fn add(&mut self, origin: Origin) -> Symbol {
        self.origins.push(origin);
        Symbol(self.origins.len() - 1)
    }

    /// A new symbol for a dimension that follows from no other.
    pub(crate) fn dimension(&mut self, outlet: OutletId, axis: usize) -> SymInt {
        SymInt::of(self.add(Origin::Dimension(outlet, axis)))
    }

    /// A new symbol for a dimension of which nothing tells how it follows from others.
    pub(crate) fn unknown(&mut self, outlet: OutletId, axis: usize) -> SymInt {
        SymInt::of(self.add(Origin::Unknown(outlet, axis)))
    }

    /// `extent / by`, rounded down as Python does.
    pub(crate) fn quotient(&mut self, extent: &SymInt, by: i64) -> Option<SymInt> {
        let (whole, rest) = parts(extent, by)?;
        let Some(key) = rest.map(|rest| (rest, by)) else { return Some(whole) };
        let symbol = match self.quotients.get(&key) {
            Some(symbol) => *symbol,
            None => {
                let symbol = self.add(Origin::Quotient(key.0.clone(), by));
                self.quotients.insert(key, symbol);
                symbol
            }
        };
        whole.plus(&SymInt::of(symbol))
    }

    /// The same, where it came up before.
    pub(crate) fn known_quotient(&self, extent: &SymInt, by: i64) -> Option<SymInt> {
        let (whole, rest) = parts(extent, by)?;
        match rest {
            None => Some(whole),
            Some(rest) => whole.plus(&SymInt::of(*self.quotients.get(&(rest, by))?)),
        }
    }

    /// Notes that an extent has to be `number`: in a sum of one product and a number, that tells the product.
    pub(crate) fn note(&mut self, extent: &SymInt, number: i64) {
        let terms = extent.terms();
        let (symbols, count, rest) = match &terms[..] {
            [(symbols, count)] if !symbols.is_empty() => (symbols, count, 0),
            [(none, rest), (symbols, count)] if none.is_empty() => (symbols, count, *rest),
            _ => return,
        };
        let Some(product) = number.checked_sub(rest).filter(|product| product.checked_rem(*count) == Some(0))
        else {
            return;
        };
        self.noted.entry(symbols.clone()).or_insert(product / count);
    }

    /// An extent with numbers for the products of which they are noted.
    pub(crate) fn with_noted(&self, extent: &SymInt) -> SymInt {
        let known = |(symbols, count): (Vec<Symbol>, i64)| {
            let found =
                self.noted.iter().find_map(|(product, number)| Some((without(&symbols, product)?, number)));
            found.map_or((symbols.clone(), count), |(rest, number)| (rest, count.saturating_mul(*number)))
        };
        SymInt::from_terms(extent.terms().into_iter().map(known)).unwrap_or_else(|| extent.clone())
    }

    /// Whether it is an extent, so that it cannot be negative: a sum of products of dimensions.
    pub(crate) fn is_extent(&self, sum: &SymInt) -> bool {
        sum.terms().iter().all(|(symbols, count)| {
            let of = |symbol: &Symbol| match &self.origins[symbol.0] {
                Origin::Dimension(..) | Origin::Unknown(..) => true,
                Origin::Quotient(of, _) => of.terms().iter().all(|(_, count)| *count >= 0),
            };
            *count > 0 && symbols.iter().all(of)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;

    fn symbols() -> (Symbols, SymInt, SymInt) {
        let mut symbols = Symbols::default();
        let image = OutletId::new(NodeId(0), 0);
        let (h, w) = (symbols.dimension(image, 2), symbols.dimension(image, 3));
        (symbols, h, w)
    }

    fn number(value: i64) -> SymInt {
        SymInt::Number(value)
    }

    #[test]
    fn patches_are_counted_alike_in_both_ways() {
        let (mut symbols, h, w) = symbols();
        // A convolution of 16 with stride 16 against a quotient that the model computes.
        let by_window = |symbols: &mut Symbols, extent: &SymInt| {
            symbols.quotient(&extent.plus(&number(-16)).unwrap(), 16).unwrap().plus(&number(1)).unwrap()
        };
        let rows = by_window(&mut symbols, &h);
        assert_eq!(rows, symbols.quotient(&h, 16).unwrap());
        let columns = by_window(&mut symbols, &w);
        assert_eq!(rows.times(&columns), columns.times(&rows));
        assert_ne!(rows, columns);
    }

    #[test]
    fn what_is_padded_to_windows_divides_by_them() {
        let (mut symbols, h, _) = symbols();
        // h + (7 - h % 7) % 7, as Swin pads.
        let remainder = |symbols: &mut Symbols, extent: &SymInt| {
            let whole = symbols.quotient(extent, 7).unwrap().times(&number(7)).unwrap();
            extent.minus(&whole).unwrap()
        };
        let missing = number(7).minus(&remainder(&mut symbols, &h)).unwrap();
        let padded = h.plus(&remainder(&mut symbols, &missing)).unwrap();
        let windows = symbols.quotient(&padded, 7).unwrap();
        assert_eq!(windows.times(&number(7)), Some(padded.clone()));
        assert_eq!(padded.divided(&number(7)), Some(windows));
    }

    #[test]
    fn products_are_taken_apart_again() {
        let (_, h, w) = symbols();
        let tokens = h.times(&w).unwrap().plus(&number(1)).unwrap();
        let all = tokens.times(&h).unwrap().times(&number(96)).unwrap();
        assert_eq!(all.divided(&tokens), h.times(&number(96)));
        assert_eq!(all.divided(&number(96)), tokens.times(&h));
        assert_eq!(all.divided(&w), None);
        assert_eq!(all.divided(&number(5)), None);
        assert_eq!(h.divided(&number(0)), None);
        assert_eq!(number(12).divided(&number(4)), Some(number(3)));
    }

    #[test]
    fn numbers_are_numbers_whatever_they_are_made_of() {
        let (mut symbols, h, w) = symbols();
        assert_eq!(h.minus(&h), Some(number(0)));
        assert_eq!(h.plus(&number(3)).unwrap().minus(&h), Some(number(3)));
        assert_eq!(symbols.quotient(&number(-7), 2), Some(number(-4)));
        assert_eq!(symbols.quotient(&h, 0), None);
        assert_eq!(number(i64::MAX).plus(&number(1)), None);
        assert_eq!(number(5).fixed(), Some(5));
        assert_eq!(number(-5).fixed(), None);
        let mut long = h.clone();
        for _ in 0..MAX_TERMS {
            match long.times(&h.plus(&w).unwrap()) {
                Some(longer) => long = longer,
                None => return,
            }
        }
        panic!("a sum without end");
    }

    #[test]
    fn products_that_have_to_be_numbers_are_noted() {
        let (mut symbols, h, w) = symbols();
        let tokens = h.times(&w).unwrap();
        // Embeddings of 196 positions and a class token are added.
        symbols.note(&tokens.plus(&number(1)).unwrap(), 197);
        assert_eq!(symbols.with_noted(&tokens), number(196));
        assert_eq!(
            symbols.with_noted(&tokens.times(&h).unwrap().plus(&w).unwrap()),
            h.times(&number(196)).unwrap().plus(&w).unwrap()
        );
        assert_eq!(symbols.with_noted(&h), h);
        symbols.note(&h.plus(&w).unwrap(), 28);
        assert_eq!(symbols.with_noted(&w), w);
    }
}
