//! Whether the shapes that a file declares agree with an operation.
//!
//! OpenVINO infers shapes anew and never reads those of the file, so nothing else notices that they
//! are wrong. Whoever relies on an [`Action`] may index shapes by its axes.

use super::{Action, Constants, Selection, WindowKind};
use crate::graph::{Fact, Node};
use crate::ir::Dim;

/// Whether the declared shapes of a node's inputs and outputs are such as `action` can have.
pub(super) fn agrees(constants: Constants<'_>, node: &Node, action: &Action) -> bool {
    if matches!(action, Action::ShapeOf | Action::Opaque) {
        return true;
    }
    let inputs: Vec<&Fact> = node.inputs.iter().map(|input| constants.fact(*input)).collect();
    let (Some(first), Some(out)) = (inputs.first(), node.outputs.first().map(|outlet| &outlet.fact)) else {
        return false;
    };
    let rank = first.rank();
    let single = node.outputs.len() == 1;
    let within =
        |axes: &[usize]| axes.iter().enumerate().all(|(i, axis)| *axis < rank && !axes[..i].contains(axis));
    match action {
        Action::Elementwise(_) => {
            single
                && inputs.iter().map(|fact| fact.rank()).max() == Some(out.rank())
                && inputs.iter().all(|fact| broadcasts(&fact.shape, &out.shape))
        }
        Action::Pointwise(_) => single && alike(&first.shape, &out.shape),
        Action::Within { axes, .. } => single && alike(&first.shape, &out.shape) && within(axes),
        Action::Reduce { axes, keep_dims, .. } => {
            let gone = if *keep_dims { 0 } else { axes.len() };
            single && within(axes) && out.rank() + gone == rank
        }
        Action::Window(window) => {
            let weight = match window.kind {
                WindowKind::Convolution => Some(rank),
                WindowKind::GroupConvolution => Some(rank + 1),
                WindowKind::Pool(_) => None,
            };
            rank >= 3
                && node.outputs.iter().all(|outlet| outlet.fact.rank() == rank)
                && weight.is_none_or(|weight| inputs.get(1).is_some_and(|fact| fact.rank() == weight))
        }
        Action::MatMul { .. } => {
            let [a, b] = inputs[..] else { return false };
            let (a, b) = (a.rank(), b.rank());
            // A vector takes part as a matrix of one row or column, which goes again.
            let vectors = usize::from(a == 1) + usize::from(b == 1);
            single && a > 0 && b > 0 && out.rank() == a.max(b).max(2) - vectors
        }
        Action::Einsum(equation) => {
            let named = |letters: &[char], fact: &Fact| fact.rank() == letters.len();
            single
                && inputs.len() == equation.operands.len()
                && named(&equation.result, out)
                && inputs.iter().zip(&equation.operands).all(|(fact, letters)| named(letters, fact))
        }
        Action::Attention => {
            single && inputs.len() >= 3 && out.rank() >= 2 && inputs[..3].iter().all(|fact| fact.rank() >= 2)
        }
        Action::Transpose { order } => single && order.len() == rank && out.rank() == rank,
        Action::Reshape => single && same_count(&first.shape, &out.shape),
        Action::Select(parts) => {
            let fits = |picks: &[Selection], fact: &Fact| {
                let axes: Vec<usize> = picks.iter().map(|pick| pick.axis).collect();
                within(&axes) && fact.rank() + picks.iter().filter(|pick| pick.drops).count() == rank
            };
            parts.len() == node.outputs.len()
                && parts.iter().zip(&node.outputs).all(|(picks, outlet)| fits(picks, &outlet.fact))
        }
        Action::Unfold { axis, .. } => single && *axis < rank && out.rank() == rank + 1,
        Action::Concat { axis } => {
            single && *axis < out.rank() && inputs.iter().all(|fact| fact.rank() == out.rank())
        }
        Action::Resample { .. } => single && out.rank() == rank,
        Action::ShapeOf | Action::Opaque => true,
    }
}

fn agree(a: Dim, b: Dim) -> bool {
    a == b || a == Dim::Dynamic || b == Dim::Dynamic
}

fn alike(a: &[Dim], b: &[Dim]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agree(*a, *b))
}

fn broadcasts(from: &[Dim], to: &[Dim]) -> bool {
    from.len() <= to.len() && from.iter().rev().zip(to.iter().rev()).all(|(a, b)| a.is_one() || agree(*a, *b))
}

fn same_count(a: &[Dim], b: &[Dim]) -> bool {
    let count = |shape: &[Dim]| shape.iter().copied().fold(Dim::Fixed(1), Dim::times);
    agree(count(a), count(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(list: &[usize]) -> Vec<Dim> {
        // 0 stands for an unknown extent.
        list.iter().map(|dim| if *dim == 0 { Dim::Dynamic } else { Dim::Fixed(*dim) }).collect()
    }

    #[test]
    fn broadcasting_aligns_last_axes() {
        assert!(broadcasts(&dims(&[5]), &dims(&[2, 5])));
        assert!(broadcasts(&dims(&[2, 1]), &dims(&[2, 5])));
        assert!(broadcasts(&dims(&[0, 5]), &dims(&[2, 5])));
        assert!(!broadcasts(&dims(&[2]), &dims(&[2, 5])));
        assert!(!broadcasts(&dims(&[1, 2, 5]), &dims(&[2, 5])));
    }

    #[test]
    fn unknown_extents_agree_with_all() {
        assert!(alike(&dims(&[0, 5]), &dims(&[3, 5])));
        assert!(!alike(&dims(&[2, 5]), &dims(&[3, 5])));
        assert!(same_count(&dims(&[0, 5]), &dims(&[7])));
        assert!(!same_count(&dims(&[2, 5]), &dims(&[5])));
    }
}
