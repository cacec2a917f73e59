//! What the axes mean after a Reshape.

use std::collections::HashSet;

use super::axes::{Atom, Axes, Axis, Role};
use crate::ir::Dim;

/// Labels after a Reshape to `out`.
///
/// Elements keep their order, so the new axes take the atoms from the left, splitting one where
/// an extent asks for it. `None` where that does not work out.
pub(crate) fn regroup(input: &Axes, out: &[Dim]) -> Option<Axes> {
    let mut pieces: Vec<Piece> = Vec::new();
    for axis in input.0.iter().rev() {
        // What is not a plain product cannot be split.
        if axis.prefix > 0 {
            pieces.push(Piece { size: axis.extent(), axis: axis.clone() });
        } else {
            for atom in axis.atoms.iter().rev().filter(|atom| atom.role != Role::Other || !atom.size.is_one())
            {
                pieces.push(Piece { size: atom.size, axis: Axis { prefix: 0, atoms: vec![*atom] } });
            }
        }
    }
    let mut axes = deal(pieces, out, &mut HashSet::new())?;
    for axis in &mut axes {
        *axis = axis.clone().merged();
    }
    Some(Axes(axes))
}

#[derive(Debug, Clone)]
struct Piece {
    size: Dim,
    axis: Axis,
}

/// Where a deal got to: pieces left, the size of the next one, axes left.
type Progress = (usize, Option<Dim>, usize);

/// Deals pieces (next one last) to the axes of `out`; `dead` are states from which nothing worked out, so
/// that many unknown extents do not take exponential time.
fn deal(mut pieces: Vec<Piece>, out: &[Dim], dead: &mut HashSet<Progress>) -> Option<Vec<Axis>> {
    let Some((dim, rest)) = out.split_first() else { return pieces.is_empty().then(Vec::new) };
    let empty = Axis { prefix: 0, atoms: Vec::new() };
    let mut axis = empty;
    match dim {
        Dim::Fixed(size) => {
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
                    let outer =
                        Atom { size: Dim::Fixed(missing), stride: atom.stride.saturating_mul(inner), ..atom };
                    axis.atoms.push(outer);
                    let atom = Atom { size: Dim::Fixed(inner), ..atom };
                    pieces
                        .push(Piece { size: Dim::Fixed(inner), axis: Axis { prefix: 0, atoms: vec![atom] } });
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
        Dim::Dynamic => {
            // Take as few pieces as leave the rest a way to work out, the last one perhaps in part.
            while let Some(piece) = pieces.pop() {
                let parts = rest.first().and_then(|next| split(&piece, *next));
                let mut ways = vec![(piece, None)];
                ways.extend(parts.map(|(outer, inner)| (outer, Some(inner))));
                let before = axis.clone();
                for (taken, left) in ways {
                    axis = before.clone();
                    append(&mut axis, taken)?;
                    let mut pieces = pieces.clone();
                    pieces.extend(left);
                    let progress = (pieces.len(), pieces.last().map(|piece| piece.size), rest.len());
                    if dead.contains(&progress) {
                        continue;
                    }
                    if let Some(axes) = deal(pieces, rest, dead) {
                        return Some(std::iter::once(axis).chain(axes).collect());
                    }
                    dead.insert(progress);
                }
            }
            return None;
        }
    }
    if axis.atoms.is_empty() {
        axis = Axis::other(*dim);
    }
    let axes = deal(pieces, rest, dead)?;
    Some(std::iter::once(axis).chain(axes).collect())
}

/// A piece in two, the inner one of the extent `next`.
fn split(piece: &Piece, next: Dim) -> Option<(Piece, Piece)> {
    let (extent, inner) = (piece.size.fixed()?, next.fixed().filter(|inner| *inner > 1)?);
    let [atom] = piece.axis.atoms[..] else { return None };
    if piece.axis.prefix > 0 || atom.role == Role::Batch || extent <= inner || !extent.is_multiple_of(inner) {
        return None;
    }
    let part = |size: usize, stride: usize| {
        let atom = Atom { size: Dim::Fixed(size), stride, origin: None, ..atom };
        Piece { size: atom.size, axis: Axis { prefix: 0, atoms: vec![atom] } }
    };
    Some((part(extent / inner, atom.stride.saturating_mul(inner)), part(inner, atom.stride)))
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

    fn fixed(dims: &[usize]) -> Vec<Dim> {
        dims.iter().map(|dim| Dim::Fixed(*dim)).collect()
    }

    #[test]
    fn windows_are_put_together_again() {
        let cut = regroup(&map(Dim::Fixed(2), 14, 21, 8), &fixed(&[2, 2, 7, 3, 7, 8])).unwrap();
        assert_eq!(cut.to_string(), "N,H,H,W,W,C");
        let order = [0, 1, 3, 2, 4, 5];
        let windows = Axes(order.iter().map(|axis| cut.0[*axis].clone()).collect());
        let rows = regroup(&windows, &fixed(&[12, 49, 8])).unwrap();
        assert_eq!(rows.to_string(), "NHW,HW,C");
        let back = regroup(&rows, &fixed(&[2, 2, 3, 7, 7, 8])).unwrap();
        let back = Axes(order.iter().map(|axis| back.0[*axis].clone()).collect());
        let back = regroup(&back, &fixed(&[2, 14, 21, 8])).unwrap();
        assert_eq!(back, map(Dim::Fixed(2), 14, 21, 8));
    }

    #[test]
    fn tokens_split_into_their_own_grid() {
        let tokens =
            regroup(&map(Dim::Dynamic, 2, 8, 8), &[Dim::Dynamic, Dim::Fixed(16), Dim::Fixed(8)]).unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
        // 16 = 4 x 4 would be a wrong guess; the grid is 2 x 8.
        assert_eq!(tokens.0[1].atoms[0].size, Dim::Fixed(2));
        let back = regroup(&tokens, &[Dim::Dynamic, Dim::Fixed(2), Dim::Fixed(8), Dim::Fixed(8)]).unwrap();
        assert_eq!(back.to_string(), "N,H,W,C");
    }

    #[test]
    fn unknown_extents_find_their_place() {
        let mut axes = map(Dim::Dynamic, 1, 1, 8);
        axes.0[1].atoms[0].size = Dim::Dynamic;
        axes.0[2].atoms[0].size = Dim::Dynamic;
        let tokens = regroup(&axes, &[Dim::Dynamic, Dim::Dynamic, Dim::Fixed(8)]).unwrap();
        assert_eq!(tokens.to_string(), "N,HW,C");
    }

    #[test]
    fn an_unknown_extent_may_be_a_part_of_the_channels() {
        let mut axes = Axes(vec![Axis::of(Role::Batch, Dim::Dynamic), Axis::other(Dim::Fixed(15))]);
        axes.0.push(Axis::of(Role::Height, Dim::Dynamic));
        let out = [Dim::Dynamic, Dim::Dynamic, Dim::Fixed(5), Dim::Dynamic];
        let split = regroup(&axes, &out).unwrap();
        assert_eq!(split.to_string(), "N,C,C,H");
        assert_eq!(split.0[1].atoms[0].size, Dim::Fixed(3));
    }

    #[test]
    fn many_unknown_extents_take_no_exponential_time() {
        let axes = Axes((0..40).map(|_| Axis::other(Dim::Fixed(2))).collect());
        let mut out = vec![Dim::Dynamic; 40];
        out.push(Dim::Fixed(3));
        assert!(regroup(&axes, &out).is_none());
    }

    #[test]
    fn a_batch_of_one_goes_with_the_first_axis() {
        let axes = map(Dim::Fixed(1), 1, 1, 8);
        assert_eq!(regroup(&axes, &fixed(&[1, 8])).unwrap().to_string(), "N,HWC");
        assert_eq!(regroup(&axes, &fixed(&[8])).unwrap().to_string(), "NHWC");
        assert!(regroup(&axes, &fixed(&[3])).is_none());
    }
}
