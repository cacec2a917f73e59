//! What plugins of the runtime force upon a patch.

use super::Patch;
use crate::graph::{Node, NodeId, Op, OpKind, OutletId, Size};
use crate::ir::Dim;

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

    /// What `Transpose` makes of `[N, a, a, d]` when it swaps the middle axes, by a Gather.
    ///
    /// OpenVINO's CPU plugin takes an attention together with such transpositions into one kernel, and mistakes one
    /// axis for the other where there are as many heads as tokens: on 2026.4.1, two class tokens of two heads gave maps
    /// that were off by 164 of 255. Whatever else read a value in between gave the right ones. A Gather stays outside
    /// of that kernel.
    pub(super) fn swapped(&mut self, hint: &str, op: &Op, inputs: &[OutletId]) -> Option<OutletId> {
        let (OpKind::Transpose, [x, order]) = (&op.kind, inputs) else { return None };
        let [_, Dim::Fixed(rows), Dim::Fixed(columns), _] = self.fact(*x).shape[..] else { return None };
        if rows != columns || rows < 2 || self.integers_of(*order)? != [0, 2, 1, 3] {
            return None;
        }
        let sizes = self.sizes(*x);
        let [outer, _, _, inner] = &sizes[..] else { return None };
        let place = |i: usize| i64::try_from(i % rows * rows + i / rows).ok();
        let places: Vec<i64> = (0..rows * rows).map(place).collect::<Option<_>>()?;
        let joined = self.reshape(hint, *x, &[outer.clone(), Size::Fixed(rows * rows), inner.clone()]);
        let places = self.integers(&format!("{hint}/places"), &places);
        let swapped = self.gather(hint, joined, places, 1);
        Some(self.reshape(hint, swapped, &sizes))
    }

    /// A constant that is not to be known before inference; `data` is any value that is made at inference.
    ///
    /// Of quantized constants that meet quantized weights in a product, whose result is quantized again, OpenVINO's CPU
    /// plugin cannot compile the graph (2026.4.1, in single precision). So zero is added that it cannot see to be zero:
    /// the lesser of 0 and a magnitude.
    pub(crate) fn as_data(&mut self, hint: &str, constant: OutletId, data: OutletId) -> OutletId {
        let (element, rank) = (self.fact(constant).element, self.fact(data).rank());
        let mut one = data;
        for axis in 0..rank {
            one = self.slice(&format!("{hint}/any"), one, axis, 0, Some(1));
        }
        let one = self.reshape(&format!("{hint}/any"), one, &[Size::Fixed(1)]);
        let magnitude = self.unary(&format!("{hint}/any"), OpKind::Abs, one);
        let magnitude = self.convert(&format!("{hint}/any"), magnitude, element);
        let zero = self.float(&format!("{hint}/zero"), element, 0.0);
        let zero = self.binary(&format!("{hint}/zero"), OpKind::Minimum, magnitude, zero);
        self.binary(hint, OpKind::Add, constant, zero)
    }

    /// Whether a value depends on no input.
    pub(crate) fn is_constant(&self, outlet: OutletId) -> bool {
        let (mut open, mut seen) = (vec![outlet.node], std::collections::BTreeSet::new());
        while let Some(id) = open.pop() {
            let node = match id.0.checked_sub(self.graph().in_file()) {
                None => self.graph().node(id),
                Some(own) => match self.nodes.get(own) {
                    Some(node) => node,
                    None => return false,
                },
            };
            if node.op.kind == OpKind::Parameter || node.has_body {
                return false;
            }
            open.extend(node.inputs.iter().map(|input| input.node).filter(|id| seen.insert(*id)));
        }
        true
    }

    /// The integers of a constant, of the model or of the patch.
    fn integers_of(&self, outlet: OutletId) -> Option<Vec<i64>> {
        let Some(own) = outlet.node.0.checked_sub(self.graph().in_file()) else {
            return self.model().integers(outlet);
        };
        let bytes = self.nodes.get(own)?.contents.as_deref()?;
        let read = |chunk: &[u8]| chunk.try_into().ok().map(i64::from_le_bytes);
        bytes.chunks(8).map(read).collect()
    }
}
