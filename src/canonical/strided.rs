//! A Gather of all elements of a tensor that was made one list is a Reshape, or a Transpose.
//!
//! `as_strided` of PyTorch's exporters says in which steps a tensor is read; front ends make a list of it, and gather from
//! that.

use super::rewriter::Rewriter;
use crate::graph::{Node, NodeId, Op, OpKind};
use crate::ir::Dim;

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    let graph = rewriter.graph;
    for (id, node) in graph.nodes().filter(|(_, node)| node.op.kind == OpKind::Gather) {
        rewrite_one(rewriter, id, node);
    }
}

fn rewrite_one(rewriter: &mut Rewriter<'_>, id: NodeId, node: &Node) -> Option<()> {
    let [list, indices, _] = node.inputs[..] else { return None };
    let flat = rewriter.graph.node(list.node);
    if flat.op.kind != OpKind::Reshape || rewriter.fact(list).rank() != 1 {
        return None;
    }
    let x = *flat.inputs.first()?;
    let numbers = rewriter.constants.all_integers(indices)?;
    let out = extents(&rewriter.fact(indices).shape)?;
    let strides = strides(&out, &numbers)?;
    let have = extents_of_one(&rewriter.fact(x).shape)?;
    if have.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent)) != Some(numbers.len()) {
        return None;
    }
    // In the order in which the axes of the result are steps of the list, the outermost first.
    let mut order: Vec<usize> = (0..out.len()).filter(|axis| out[*axis] != 1).collect();
    order.sort_by_key(|axis| std::cmp::Reverse(strides[*axis]));
    let contiguous = order
        .iter()
        .rev()
        .try_fold(1, |step, axis| (strides[*axis] == step).then(|| step.checked_mul(out[*axis])).flatten());
    contiguous?;
    let in_place = order.windows(2).all(|pair| pair[0] < pair[1]);
    let target = |axes: &[usize]| {
        axes.iter().map(|axis| i64::try_from(out[*axis])).collect::<Result<Vec<_>, _>>().ok()
    };
    let all: Vec<usize> = (0..out.len()).collect();
    if in_place {
        let (op, inputs) = rewriter.reshaping(&node.name, x, &target(&all)?);
        rewriter.replace(id, op, inputs);
        return Some(());
    }
    // As it lies in the list, and then in the order of the result.
    let ones: Vec<usize> = all.iter().copied().filter(|axis| out[*axis] == 1).collect();
    let lying: Vec<usize> = ones.into_iter().chain(order).collect();
    let shape = lying.iter().map(|axis| Dim::Fixed(out[*axis])).collect();
    let laid = rewriter.reshape(&node.name, x, &target(&lying)?, shape);
    let back: Vec<usize> =
        all.iter().map(|axis| lying.iter().position(|other| other == axis)).collect::<Option<_>>()?;
    let inputs = rewriter.transposition(&node.name, laid, &back);
    rewriter.replace(id, Op::new(OpKind::Transpose, "opset1"), inputs);
    Some(())
}

fn extents(shape: &[Dim]) -> Option<Vec<usize>> {
    shape.iter().map(|dim| dim.fixed()).collect()
}

/// Extents of what is read; an unknown batch is one sample, because the list ends with that.
fn extents_of_one(shape: &[Dim]) -> Option<Vec<usize>> {
    let known =
        |(axis, dim): (usize, &Dim)| if axis == 0 { Some(dim.fixed().unwrap_or(1)) } else { dim.fixed() };
    shape.iter().enumerate().map(known).collect()
}

/// The steps with which indices run along each axis; `None` where they do not run evenly.
fn strides(shape: &[usize], indices: &[i64]) -> Option<Vec<usize>> {
    let mut steps = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis].checked_mul(shape[axis])?;
    }
    let count = shape.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent));
    let at = |place: usize| usize::try_from(*indices.get(place)?).ok();
    if count != Some(indices.len()) || at(0)? != 0 {
        return None;
    }
    let strides = (0..shape.len()).map(|axis| if shape[axis] > 1 { at(steps[axis]) } else { Some(0) });
    let strides: Vec<usize> = strides.collect::<Option<_>>()?;
    let even = (0..indices.len()).all(|place| {
        let part = |axis: usize| (place / steps[axis] % shape[axis]).checked_mul(strides[axis]);
        let expected = (0..shape.len()).try_fold(0usize, |sum, axis| sum.checked_add(part(axis)?));
        expected.is_some() && at(place) == expected
    });
    even.then_some(strides)
}

#[cfg(test)]
mod tests {
    use super::strides;

    #[test]
    fn even_steps_are_found() {
        assert_eq!(strides(&[1, 4, 1], &[0, 1, 2, 3]), Some(vec![0, 1, 0]));
        assert_eq!(strides(&[2, 3], &[0, 2, 4, 1, 3, 5]), Some(vec![1, 2]));
        assert_eq!(strides(&[2, 2], &[0, 1, 2, 4]), None);
        assert_eq!(strides(&[2], &[1, 0]), None);
        assert_eq!(strides(&[0], &[]), None);
    }
}
