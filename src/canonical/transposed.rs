//! A Reshape that only moves axes of extent 1 is a Transpose.
//!
//! With a batch of 1, exporters write `[1,197,96]` to `[197,1,96]`, or back, as a Reshape. As a Transpose it says which axis
//! is the batch, and stays right for more rows.

use super::rewriter::Rewriter;
use crate::graph::{Op, OpKind, OutletId, SymInt};

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    let graph = rewriter.graph;
    for (id, node) in graph.nodes().filter(|(_, node)| node.op.kind == OpKind::Reshape) {
        let Some(x) = node.inputs.first().copied() else { continue };
        if let Some(order) = order(rewriter.dims(x), rewriter.dims(OutletId::new(id, 0))) {
            let inputs = rewriter.transposition(&node.name, x, &order);
            rewriter.replace(id, Op::new(OpKind::Transpose, "opset1"), inputs);
        }
    }
}

/// The order of axes that makes `to` of `from`: ones to ones, others to others, in the order in which they stand. `None`
/// where that is no order, or changes nothing.
fn order(from: &[SymInt], to: &[SymInt]) -> Option<Vec<usize>> {
    let one = SymInt::Number(1);
    let places = |dims: &[SymInt], ones: bool| {
        (0..dims.len()).filter(|axis| (dims[*axis] == one) == ones).collect::<Vec<_>>()
    };
    let alike = from.len() == to.len()
        && from != to
        && from.iter().filter(|dim| **dim != one).eq(to.iter().filter(|dim| **dim != one));
    if !alike {
        return None;
    }
    let mut order = vec![0; to.len()];
    for ones in [true, false] {
        for (axis, own) in places(to, ones).into_iter().zip(places(from, ones)) {
            order[axis] = own;
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_move_and_nothing_else() {
        let dims = |list: &[i64]| list.iter().copied().map(SymInt::Number).collect::<Vec<_>>();
        let order = |from: &[i64], to: &[i64]| order(&dims(from), &dims(to));
        assert_eq!(order(&[1, 197, 96], &[197, 1, 96]), Some(vec![1, 0, 2]));
        assert_eq!(order(&[1, 64, 1, 1], &[1, 1, 1, 64]), Some(vec![0, 2, 3, 1]));
        assert_eq!(order(&[1, 197, 96], &[1, 197, 96]), None);
        assert_eq!(order(&[2, 3, 1], &[3, 2, 1]), None);
        assert_eq!(order(&[1, 6], &[6]), None);
    }
}
