//! What the axes mean after a Reshape.
//!
//! Elements keep their order, so the new axes take the factors of the old ones from the left, splitting one where an extent
//! asks for it. Where extents have symbols, axes whose products are equal are told apart first; what is left is searched.

use std::collections::HashSet;

use super::axes::{Atom, Axes, Axis, Role};
use crate::graph::SymInt;
use crate::ir::Dim;
use crate::ops::Extents;

/// Labels after a Reshape from `have` to `out`, whose extents have symbols. `None` where that does not work out.
pub(crate) fn regroup_by_symbols(
    input: &Axes,
    have: &[SymInt],
    out: &[SymInt],
    extents: &Extents,
) -> Option<Axes> {
    let noted = |dims: &[SymInt]| dims.iter().map(|dim| extents.symbols.with_noted(dim)).collect::<Vec<_>>();
    let (have, out) = (&noted(have)[..], &noted(out)[..]);
    let (mut axes, one) = (Vec::new(), SymInt::Number(1));
    for (from, to) in groups(have, out, extents)? {
        match (&input.0[from.clone()], &out[to.clone()]) {
            // It is what it was, whatever it is made of.
            ([axis], [_]) => axes.push(axis.clone()),
            // The same with ones around it.
            ([axis], after) if after.iter().filter(|dim| **dim != one).count() == 1 => {
                let ones = |dim| if dim == &one { Axis::other(Dim::Fixed(1)) } else { axis.clone() };
                axes.extend(after.iter().map(ones));
            }
            (axes_before, after) => {
                let pieces = measured(axes_before, &have[from], extents)?;
                axes.extend(regroup_part(pieces, after, extents)?);
            }
        }
    }
    Some(Axes(axes))
}

type Group = (std::ops::Range<usize>, std::ops::Range<usize>);

/// Runs of axes before and after with the same product, as short as they can be.
fn groups(have: &[SymInt], out: &[SymInt], extents: &Extents) -> Option<Vec<Group>> {
    let times = |a: &SymInt, b: &SymInt| Some(extents.symbols.with_noted(&a.times(b)?));
    let (mut found, mut from, mut to): (Vec<Group>, _, _) = (Vec::new(), 0, 0);
    while from < have.len() && to < out.len() {
        let (first, begin) = (from, to);
        let (mut before, mut after) = (have[from].clone(), out[to].clone());
        (from, to) = (from + 1, to + 1);
        while before != after {
            if let Some(SymInt::Number(by)) = out.get(to)
                && extents.symbols.known_quotient(&before, *by).as_ref() == Some(&after)
            {
                // Elements are as many before as after, so that nothing is left over.
                after = before.clone();
                to += 1;
            } else if after.divided(&before).is_some() {
                before = times(&before, have.get(from)?)?;
                from += 1;
            } else if before.divided(&after).is_some() || before.number().is_some() {
                // A number may be a product of which the factors are not known.
                after = times(&after, out.get(to)?)?;
                to += 1;
            } else if after.number().is_some() {
                before = times(&before, have.get(from)?)?;
                from += 1;
            } else {
                return None;
            }
        }
        found.push((first..from, begin..to));
    }
    // What is left over can only be ones.
    let one = |dim: &SymInt| *dim == SymInt::Number(1);
    if !have[from..].iter().all(one) || !out[to..].iter().all(one) {
        return None;
    }
    let last = found.last_mut()?;
    (last.0.end, last.1.end) = (have.len(), out.len());
    Some(found)
}

/// What axes are made of, with extents, the outermost first. That of an axis of one factor is what the value has there,
/// whatever the factor had where it came from: a model may count positions in another way.
fn measured(axes: &[Axis], have: &[SymInt], extents: &Extents) -> Option<Vec<(Piece, SymInt)>> {
    let of_axis = |(axis, dim): (&Axis, &SymInt)| {
        let pieces = pieces(std::slice::from_ref(axis)).into_iter().rev();
        let lone = axis.prefix > 0 || axis.only().is_some();
        let measured = |piece: Piece| {
            let extent = if lone { dim.clone() } else { piece.extent(extents)? };
            Some((piece, extent))
        };
        pieces.map(measured).collect::<Option<Vec<_>>>()
    };
    Some(axes.iter().zip(have).map(of_axis).collect::<Option<Vec<_>>>()?.concat())
}

/// The factors of some axes dealt to others of the same product.
fn regroup_part(pieces: Vec<(Piece, SymInt)>, to: &[SymInt], extents: &Extents) -> Option<Vec<Axis>> {
    let mut pieces = pieces.into_iter().peekable();
    let mut axes = Vec::new();
    let mut left: Option<(Atom, SymInt)> = None;
    for (at, dim) in to.iter().enumerate() {
        let mut axis = Axis { prefix: 0, atoms: Vec::new() };
        let mut missing = dim.clone();
        let one = SymInt::Number(1);
        while missing != one {
            let (piece, extent) = match left.take() {
                Some((atom, extent)) => (Piece::of(atom), extent),
                None => pieces.next()?,
            };
            if let Some(rest) = missing.divided(&extent) {
                missing = rest;
                append(&mut axis, piece)?;
                continue;
            }
            // The outer part of it is wanted here, and the inner one next.
            let inner = match to.get(at + 1) {
                Some(SymInt::Number(by))
                    if extents.symbols.known_quotient(&extent, *by).as_ref() == Some(&missing) =>
                {
                    SymInt::Number(*by)
                }
                _ => extent.divided(&missing)?,
            };
            let (outer, atom) = piece.cut(missing.dim(), inner.fixed()?)?;
            axis.atoms.push(outer);
            left = Some((atom, inner));
            missing = one.clone();
        }
        if axis.atoms.is_empty() {
            let unit = pieces.next_if(|(piece, _)| left.is_none() && piece.size.is_one());
            axis = unit.map_or_else(|| Axis::other(Dim::Fixed(1)), |(piece, _)| piece.axis);
        }
        axes.push(axis.merged());
    }
    let rest_is_one = pieces.all(|(piece, _)| piece.size.is_one());
    (left.is_none() && rest_is_one).then_some(axes)
}

/// Labels after a Reshape from `have` to `out`, of whose extents some are numbers and of the others nothing is known.
pub(crate) fn regroup(input: &Axes, have: &[Dim], out: &[Dim]) -> Option<Axes> {
    let mut pieces = Vec::new();
    for (axis, dim) in input.0.iter().zip(have).rev() {
        match axis.prefix {
            0 => pieces.extend(self::pieces(std::slice::from_ref(axis))),
            // Its extent may be known where those of its factors are not.
            _ => pieces.push(Piece { size: *dim, axis: axis.clone() }),
        }
    }
    // Where samples share an axis with positions that nobody has counted, nothing tells one from the other.
    let open = |axis: &&Axis| axis.has(Role::Batch) && axis.positional() && axis.extent() == Dim::Dynamic;
    if input
        .0
        .iter()
        .find(open)
        .is_some_and(|axis| axis.atoms.iter().any(|atom| atom.role.positional() && atom.size == Dim::Dynamic))
    {
        return None;
    }
    let dealt = |numbers| Deal { numbers, dead: HashSet::new() }.deal(pieces.clone(), out);
    let mut axes = dealt(Numbers::OfNumbers).or_else(|| {
        dealt(Numbers::OfAnything).filter(|axes| axes.iter().zip(out).all(|(axis, dim)| !of_one(axis, *dim)))
    })?;
    for axis in &mut axes {
        *axis = axis.clone().merged();
    }
    Some(Axes(axes))
}

/// Whether rows or columns of an axis that nobody has counted would be one alone: the rest of it is as long as it is.
fn of_one(axis: &Axis, dim: Dim) -> bool {
    let mut known = axis.atoms.iter().filter_map(|atom| atom.size.fixed());
    let known = known.try_fold(1usize, |product, size| product.checked_mul(size));
    let open = axis.atoms.iter().any(|atom| atom.role.positional() && atom.size == Dim::Dynamic);
    open && dim.fixed().is_some() && dim.fixed() == known
}

/// What axes are made of, the innermost first.
fn pieces(axes: &[Axis]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for axis in axes.iter().rev() {
        // What is not a plain product cannot be split.
        if axis.prefix > 0 {
            pieces.push(Piece { size: axis.extent(), axis: axis.clone() });
        } else {
            let many = |atom: &&Atom| atom.role != Role::Other || !atom.size.is_one();
            pieces.extend(axis.atoms.iter().rev().filter(many).map(|atom| Piece::of(*atom)));
        }
    }
    pieces
}

#[derive(Debug, Clone)]
struct Piece {
    size: Dim,
    axis: Axis,
}

impl Piece {
    fn of(atom: Atom) -> Self {
        Self { size: atom.size, axis: Axis { prefix: 0, atoms: vec![atom] } }
    }

    /// Its extent with symbols.
    fn extent(&self, extents: &Extents) -> Option<SymInt> {
        let factors = self.axis.atoms.iter().map(|atom| extents.of_atom(atom.size, atom.origin));
        let product = SymInt::product(&factors.collect::<Option<Vec<_>>>()?)?;
        product.plus(&SymInt::from(self.axis.prefix))
    }

    /// It in two, the outer part of the extent `outer`, the inner one `inner` long.
    fn cut(&self, outer: Dim, inner: usize) -> Option<(Atom, Atom)> {
        let atom = *self.axis.only()?;
        if atom.role == Role::Batch || inner == 0 {
            return None;
        }
        let stride = atom.stride.saturating_mul(inner);
        let outer = Atom { size: outer, stride, origin: None, ..atom };
        Some((outer, Atom { size: Dim::Fixed(inner), origin: None, ..atom }))
    }
}

/// Where a deal got to: pieces left, the size of the next one, axes left.
type Progress = (usize, Option<Dim>, usize);

/// What an extent that is a number may be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Extents that are numbers.
    OfNumbers,
    /// Unknown ones as well: a model that was traced with an image of one size, and written for any.
    OfAnything,
}

struct Deal {
    numbers: Numbers,
    /// States from which nothing worked out, so that many unknown extents do not take exponential time.
    dead: HashSet<Progress>,
}

impl Deal {
    /// Deals pieces (next one last) to the axes of `out`.
    fn deal(&mut self, mut pieces: Vec<Piece>, out: &[Dim]) -> Option<Vec<Axis>> {
        let Some((dim, rest)) = out.split_first() else { return pieces.is_empty().then(Vec::new) };
        let empty = Axis { prefix: 0, atoms: Vec::new() };
        let mut axis = empty;
        let open = self.numbers == Numbers::OfAnything
            && pieces.last().is_some_and(|piece| piece.size.fixed().is_none());
        match dim {
            Dim::Fixed(size) if !open => {
                let mut missing = *size;
                if missing == 1 && pieces.last().is_some_and(|piece| piece.size.is_one()) {
                    append(&mut axis, pieces.pop()?)?;
                }
                while missing > 1 {
                    let piece = pieces.pop()?;
                    let extent = piece.size.fixed().filter(|extent| *extent > 0)?;
                    if missing.is_multiple_of(extent) {
                        missing /= extent;
                        append(&mut axis, piece)?;
                    } else if extent.is_multiple_of(missing) && piece.axis.prefix == 0 {
                        let atom = *piece.axis.atoms.first()?;
                        if atom.role == Role::Batch {
                            return None;
                        }
                        let inner = extent / missing;
                        let outer = Atom {
                            size: Dim::Fixed(missing),
                            stride: atom.stride.saturating_mul(inner),
                            ..atom
                        };
                        axis.atoms.push(outer);
                        let atom = Atom { size: Dim::Fixed(inner), ..atom };
                        pieces.push(Piece {
                            size: Dim::Fixed(inner),
                            axis: Axis { prefix: 0, atoms: vec![atom] },
                        });
                        missing = 1;
                    } else {
                        return None;
                    }
                }
                if rest.is_empty() {
                    while pieces.last().is_some_and(|piece| piece.size.is_one()) {
                        append(&mut axis, pieces.pop()?)?;
                    }
                }
            }
            Dim::Dynamic | Dim::Fixed(_) => {
                let batch = |piece: &Piece| piece.axis.has(Role::Batch);
                // Of what is not known, only the batch may be 1: rows and columns would be no map.
                if dim.is_one() && !pieces.last().is_some_and(batch) {
                    let axes = self.deal(pieces, rest)?;
                    return Some(std::iter::once(Axis::other(*dim)).chain(axes).collect());
                }
                // Take as few pieces as leave the rest a way to work out, the last one perhaps in part.
                while let Some(piece) = pieces.pop() {
                    let parts =
                        rest.first().filter(|_| *dim == Dim::Dynamic).and_then(|next| split(&piece, *next));
                    let mut ways = vec![(piece, None)];
                    ways.extend(parts.map(|(outer, inner)| (outer, Some(inner))));
                    let before = axis.clone();
                    for (taken, left) in ways {
                        axis = before.clone();
                        append(&mut axis, taken)?;
                        let mut pieces = pieces.clone();
                        pieces.extend(left);
                        let progress = (pieces.len(), pieces.last().map(|piece| piece.size), rest.len());
                        if self.dead.contains(&progress) {
                            continue;
                        }
                        if let Some(axes) = self.deal(pieces, rest) {
                            return Some(std::iter::once(axis).chain(axes).collect());
                        }
                        self.dead.insert(progress);
                    }
                }
                return None;
            }
        }
        if axis.atoms.is_empty() {
            axis = Axis::other(*dim);
        }
        let axes = self.deal(pieces, rest)?;
        Some(std::iter::once(axis).chain(axes).collect())
    }
}

/// A piece in two, the inner one of the extent `next`.
fn split(piece: &Piece, next: Dim) -> Option<(Piece, Piece)> {
    let (extent, inner) = (piece.size.fixed()?, next.fixed().filter(|inner| *inner > 1)?);
    if extent <= inner || !extent.is_multiple_of(inner) {
        return None;
    }
    let outer = Dim::Fixed(extent / inner);
    let (outer, inner) = piece.cut(outer, inner)?;
    Some((Piece::of(outer), Piece::of(inner)))
}

fn append(axis: &mut Axis, piece: Piece) -> Option<()> {
    if piece.axis.prefix > 0 {
        if !axis.atoms.is_empty() {
            return None;
        }
        axis.prefix = piece.axis.prefix;
    } else if axis.prefix > 0 {
        return None;
    }
    axis.atoms.extend(piece.axis.atoms);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(n: Dim, h: usize, w: usize, c: usize) -> Axes {
        Axes(vec![
            Axis::of(Role::Batch, n),
            Axis::of(Role::Height, Dim::Fixed(h)),
            Axis::of(Role::Width, Dim::Fixed(w)),
            Axis::other(Dim::Fixed(c)),
        ])
    }

    fn regroup_known(axes: &Axes, out: &[Dim]) -> Option<Axes> {
        let have: Vec<Dim> = axes.0.iter().map(Axis::extent).collect();
        regroup(axes, &have, out)
    }

    fn fixed(dims: &[usize]) -> Vec<Dim> {
        dims.iter().map(|dim| Dim::Fixed(*dim)).collect()
    }

    #[test]
    fn windows_are_put_together_again() {
        let cut = regroup_known(&map(Dim::Fixed(2), 14, 21, 8), &fixed(&[2, 2, 7, 3, 7, 8])).unwrap();
        assert_eq!(cut.to_string(), "N,H,H,W,W,C");
        let order = [0, 1, 3, 2, 4, 5];
        let windows = Axes(order.iter().map(|axis| cut.0[*axis].clone()).collect());
        let rows = regroup_known(&windows, &fixed(&[12, 49, 8])).unwrap();
        assert_eq!(rows.to_string(), "NHW,HW,C");
        let back = regroup_known(&rows, &fixed(&[2, 2, 3, 7, 7, 8])).unwrap();
        let back = Axes(order.iter().map(|axis| back.0[*axis].clone()).collect());
        let back = regroup_known(&back, &fixed(&[2, 14, 21, 8])).unwrap();
        assert_eq!(back, map(Dim::Fixed(2), 14, 21, 8));
    }

    #[test]
    fn tokens_split_into_their_own_grid() {
        let tokens =
            regroup_known(&map(Dim::Dynamic, 2, 8, 8), &[Dim::Dynamic, Dim::Fixed(16), Dim::Fixed(8)])
                .unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
        // 16 = 4 x 4 would be a wrong guess; the grid is 2 x 8.
        assert_eq!(tokens.0[1].atoms[0].size, Dim::Fixed(2));
        let back =
            regroup_known(&tokens, &[Dim::Dynamic, Dim::Fixed(2), Dim::Fixed(8), Dim::Fixed(8)]).unwrap();
        assert_eq!(back.to_string(), "N,H,W,C");
    }

    #[test]
    fn unknown_extents_find_their_place() {
        let mut axes = map(Dim::Dynamic, 1, 1, 8);
        axes.0[1].atoms[0].size = Dim::Dynamic;
        axes.0[2].atoms[0].size = Dim::Dynamic;
        let tokens = regroup_known(&axes, &[Dim::Dynamic, Dim::Dynamic, Dim::Fixed(8)]).unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
    }

    #[test]
    fn an_unknown_extent_may_be_a_part_of_the_channels() {
        let mut axes = Axes(vec![Axis::of(Role::Batch, Dim::Dynamic), Axis::other(Dim::Fixed(15))]);
        axes.0.push(Axis::of(Role::Height, Dim::Dynamic));
        let out = [Dim::Dynamic, Dim::Dynamic, Dim::Fixed(5), Dim::Dynamic];
        let split = regroup_known(&axes, &out).unwrap();
        assert_eq!(split.to_string(), "N,C,C,H");
        assert_eq!(split.0[1].atoms[0].size, Dim::Fixed(3));
    }

    #[test]
    fn many_unknown_extents_take_no_exponential_time() {
        let axes = Axes((0..40).map(|_| Axis::other(Dim::Fixed(2))).collect());
        let mut out = vec![Dim::Dynamic; 40];
        out.push(Dim::Fixed(3));
        assert!(regroup_known(&axes, &out).is_none());
    }

    #[test]
    fn a_batch_of_one_goes_with_the_first_axis() {
        let axes = map(Dim::Fixed(1), 1, 1, 8);
        assert_eq!(regroup_known(&axes, &fixed(&[1, 8])).unwrap().to_string(), "N,HWC");
        assert_eq!(regroup_known(&axes, &fixed(&[8])).unwrap().to_string(), "NHWC");
        assert!(regroup_known(&axes, &fixed(&[3])).is_none());
    }
}
