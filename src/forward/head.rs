//! The head of a model: what lies between masked values and the logits.

use std::collections::BTreeSet;

use crate::graph::{Flow, NodeId, OutletId};
use crate::model::Model;

/// Nodes between masked values and the logits, in order of evaluation.
pub(super) fn between(model: &Model, masked: &[OutletId], logits: NodeId) -> Vec<NodeId> {
    let graph = model.graph();
    let after: Vec<Vec<bool>> = masked.iter().map(|outlet| Flow::after(graph, *outlet)).collect();
    let mut needed = BTreeSet::from([logits]);
    for &id in graph.order().iter().rev() {
        if needed.contains(&id) {
            let inputs = graph.node(id).inputs.iter().filter(|input| !masked.contains(input));
            needed.extend(inputs.map(|input| input.node));
        }
    }
    let inside = |id: &NodeId| needed.contains(id) && after.iter().any(|after| after[id.0]);
    graph.order().iter().copied().filter(inside).collect()
}
