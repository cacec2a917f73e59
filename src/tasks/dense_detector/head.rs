//! The layer that makes a map of scores: a product with weights, with constants for each channel since.

use crate::graph::{Graph, OpKind, OutletId};

/// Bias, scale and the like between a convolution and what is read; a limit for graphs that are none.
const MAX_STEPS: usize = 8;
/// Operations that a constant may be computed by.
const MAX_CONSTANT: usize = 32;

/// What the convolution (or matrix product) reads that makes a value, where one does.
///
/// Between them only operations with constants that are the same at every position: a decoded box is
/// no score, because the grid was added to it.
pub(super) fn reads(graph: &Graph, outlet: OutletId) -> Option<OutletId> {
    let mut at = outlet;
    for _ in 0..MAX_STEPS {
        let node = graph.node(at.node);
        let first = *node.inputs.first()?;
        at = match &node.op.kind {
            _ if node.op.kind.is_convolution() => return Some(first),
            OpKind::MatMul | OpKind::Einsum if constant(graph, *node.inputs.get(1)?) => return Some(first),
            OpKind::Convert | OpKind::FakeQuantize | OpKind::Transpose => first,
            OpKind::Add | OpKind::Subtract | OpKind::Multiply => {
                let second = *node.inputs.get(1)?;
                let (data, parameter) =
                    if constant(graph, second) { (first, second) } else { (second, first) };
                let shape = &graph.fact(parameter).shape;
                let many = shape.iter().filter(|dim| !dim.is_one()).count();
                if !constant(graph, parameter) || many > 1 {
                    return None;
                }
                data
            }
            _ => return None,
        };
    }
    None
}

/// Whether a value is computed from constants alone, within a few steps (decompression, reshaping).
pub(super) fn constant(graph: &Graph, outlet: OutletId) -> bool {
    let mut open = vec![outlet.node];
    let mut seen = 0;
    while let Some(id) = open.pop() {
        let node = graph.node(id);
        seen += 1;
        if node.op.kind == OpKind::Const {
            continue;
        }
        if node.inputs.is_empty() || seen > MAX_CONSTANT {
            return false;
        }
        open.extend(node.inputs.iter().map(|input| input.node));
    }
    true
}
