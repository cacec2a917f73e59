//! What plugins of the runtime force upon a patch.

use super::Patch;
use crate::graph::{Node, NodeId, OpKind, OutletId};

impl Patch<'_> {
    /// A weight that a product of the original reads through a Convert, such as one in half precision, through one
    /// of the patch's own, from a Const over the same bytes.
    ///
    /// OpenVINO's CPU plugin keeps such weights small and drops the Convert, unless something else reads it too. Then
    /// it is computed when the model is compiled, once for all streams, and other streams may read it half done: on
    /// 2026.4.1, with two streams, maps were wrong in up to every second compilation. Another Convert of the same
    /// Const would be merged with it, and the original's product computed in another way. Copies of a MatMul leave
    /// their Convert to be dropped.
    pub(super) fn own_weight(&mut self, outlet: OutletId) -> OutletId {
        let graph = self.graph();
        if outlet.node.0 >= graph.in_file() {
            return outlet;
        }
        let product = |id: &NodeId| {
            let op = &graph.node(*id).op;
            op.kind == OpKind::MatMul || op.kind.is_convolution()
        };
        let node = graph.node(outlet.node);
        let ([stored], OpKind::Convert) = (&node.inputs[..], &node.op.kind) else { return outlet };
        let stored = graph.node(stored.node);
        if stored.op.kind != OpKind::Const || !graph.users(outlet.node).iter().any(product) {
            return outlet;
        }
        let facts = |node: &Node| node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
        // Its attributes name the original's bytes.
        let weight = self.add_with(&stored.name, stored.op.clone(), Vec::new(), facts(stored), None);
        self.add_with(&node.name, node.op.clone(), vec![weight], facts(node), None)
    }
}
