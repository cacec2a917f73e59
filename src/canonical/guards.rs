//! Guards against what is no number: `Select(IsNaN(x), constant, x)` is x, wherever x is a number.
//!
//! PyTorch's exporter to ONNX (`dynamo=True`) writes one behind each Softmax of an attention. Readers of a guard read what
//! it guards.

use super::rewriter::Rewriter;
use crate::graph::{Graph, Node, OpKind, OutletId};

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    let graph = rewriter.graph;
    let guarded: Vec<Option<OutletId>> = graph.nodes().map(|(_, node)| guarded(graph, node)).collect();
    for (id, node) in graph.nodes().filter(|(_, node)| node.op.kind != OpKind::Result) {
        if node.inputs.iter().any(|input| guarded[input.node.index()].is_some()) {
            let inputs = node.inputs.iter().map(|input| guarded[input.node.index()].unwrap_or(*input));
            rewriter.replace(id, node.op.clone(), inputs.collect());
        }
    }
}

/// What a node guards, where it does nothing else.
fn guarded(graph: &Graph, node: &Node) -> Option<OutletId> {
    let (OpKind::Select, [condition, instead, value]) = (&node.op.kind, &node.inputs[..]) else {
        return None;
    };
    let condition = graph.node(condition.node);
    let guards = condition.op.kind == OpKind::IsNaN && condition.inputs == [*value];
    let constant = graph.node(instead.node).op.kind == OpKind::Const;
    (guards && constant && node.outputs.first()?.fact == *graph.fact(*value)).then_some(*value)
}
