//! A sum over values that were stacked is their sum, and a mean over them is a part of that.
//!
//! `torch.stack(heads).mean(0)` joins values along an axis of extent 1, with a batch of 1 even along that of the batch, and
//! reduces over it.

use super::rewriter::Rewriter;
use crate::graph::{Node, NodeId, Op, OpKind, OutletId, SymInt};
use crate::ops::{Action, Reduction};

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    for (id, node) in rewriter.graph.nodes() {
        rewrite_one(rewriter, id, node);
    }
}

fn rewrite_one(rewriter: &mut Rewriter<'_>, id: NodeId, node: &Node) -> Option<()> {
    let Action::Reduce { reduction, axes, keep_dims } = rewriter.action(id) else { return None };
    if !matches!(reduction, Reduction::Sum | Reduction::Mean) {
        return None;
    }
    let joined = node.inputs.first()?.node;
    let (Action::Concat { axis }, [only]) = (rewriter.action(joined), &axes[..]) else { return None };
    let parts = &rewriter.graph.node(joined).inputs;
    let single = |part: &OutletId| rewriter.dims(*part).get(*axis) == Some(&SymInt::Number(1));
    if only != axis || !parts.iter().all(single) || parts.len() < 2 || parts.len() > MOST {
        return None;
    }
    let fact = rewriter.fact(parts[0]).clone();
    let share = match reduction {
        Reduction::Mean => Some(rewriter.float(&node.name, fact.element, 1.0 / parts.len() as f32)?),
        _ => None,
    };
    let arithmetic = |kind| Op::new(kind, "opset1").with("auto_broadcast", "numpy");
    let mut steps: Vec<(OpKind, OutletId)> = parts[1..].iter().map(|part| (OpKind::Add, *part)).collect();
    steps.extend(share.map(|share| (OpKind::Multiply, share)));
    let (last, mut value) = (steps.pop()?, parts[0]);
    for (kind, operand) in steps {
        value = rewriter.add(&node.name, arithmetic(kind), vec![value, operand], fact.clone());
    }
    let (kind, operand) = last;
    if *keep_dims {
        rewriter.replace(id, arithmetic(kind), vec![value, operand]);
        return Some(());
    }
    value = rewriter.add(&node.name, arithmetic(kind), vec![value, operand], fact);
    let axes = rewriter.integers(&format!("{}/axes", node.name), &[crate::graph::index(*axis)]);
    rewriter.replace(id, Op::new(OpKind::Squeeze, "opset1"), vec![value, axes]);
    Some(())
}

/// More values than this are no outputs of heads.
const MOST: usize = 64;
