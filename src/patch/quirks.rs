//! What plugins of the runtime force upon a patch.

use super::Patch;
use crate::graph::{NodeId, Op, OpKind, OutletId, Size};
use crate::ir::Dim;

/// Nodes that make a weight of what is stored: a Const, a zero point and a scale, each with a Convert, and a Reshape.
const LONGEST_CHAIN: usize = 12;

/// Operations that are computed with a convolution in one pass, at most.
const LONGEST_FUSION: usize = 32;

/// Whether an operation is computed with the convolution or product before it, in one pass.
fn is_fused(kind: &OpKind) -> bool {
    use OpKind::{
        Add, Clamp, Divide, Elu, Gelu, HSigmoid, HSwish, Mish, Multiply, PRelu, Relu, Sigmoid, Subtract,
        Swish, Tanh,
    };
    matches!(
        kind,
        Add | Clamp
            | Divide
            | Elu
            | Gelu
            | HSigmoid
            | HSwish
            | Mish
            | Multiply
            | PRelu
            | Relu
            | Sigmoid
            | Subtract
            | Swish
            | Tanh
    )
}

impl Patch<'_> {
    /// A weight that a product of the original reads through a Convert, such as one in half precision, or through all
    /// that makes numbers of compressed ones, through a chain of the patch's own, from Consts over the same bytes.
    ///
    /// OpenVINO's CPU plugin keeps such weights small and drops the Convert, or folds what a product is multiplied by
    /// into them, unless something else reads them too. A Convert that it does not drop is computed when the model is
    /// compiled, once for all streams, and other streams may read it half done: on 2026.4.1, with two streams, maps were
    /// wrong in up to every second compilation. Compressed weights were read otherwise by the original (0.7 % of its
    /// outputs), and the last bits of products with a scale behind them changed. Another Convert of the same Const would
    /// be merged with it.
    ///
    /// In quantized models every constant is read so: biases that two operations share changed the original's outputs by
    /// 0.5 %.
    pub(super) fn own_weight(&mut self, outlet: OutletId) -> OutletId {
        let graph = self.graph();
        let product = |id: &NodeId| {
            let op = &graph.node(*id).op;
            op.kind == OpKind::MatMul || op.kind.is_convolution()
        };
        if outlet.node.0 >= graph.in_file() {
            return outlet;
        }
        let of_product = || {
            let stored = graph.node(outlet.node).op.kind == OpKind::Const;
            !stored && graph.users(outlet.node).iter().any(product)
        };
        let quantized = self.quantized && graph.fact(outlet).element.is_float();
        if !quantized && !of_product() {
            return outlet;
        }
        match self.decompresses(outlet.node, &mut { LONGEST_CHAIN }) {
            true => self.copy_of(outlet),
            false => outlet,
        }
    }

    /// A product that the original scales by a constant, computed once more.
    ///
    /// OpenVINO folds such a scale (LayerScale) into the weights, unless something else reads the product: then the last
    /// bits of the original's outputs are others.
    pub(super) fn own_product(&mut self, outlet: OutletId) -> OutletId {
        let graph = self.graph();
        if outlet.node.0 >= graph.in_file() || !self.is_scaled(outlet.node) {
            return outlet;
        }
        let node = graph.node(outlet.node);
        let product = node.op.kind == OpKind::MatMul || node.op.kind.is_convolution();
        let biased = |input: &OutletId| {
            let kind = &graph.node(input.node).op.kind;
            (*kind == OpKind::MatMul || kind.is_convolution()) && self.is_scaled(input.node)
        };
        let with_bias = node.op.kind == OpKind::Add && node.inputs.iter().any(biased);
        if !product && !with_bias {
            return outlet;
        }
        let (name, op, inputs) = (node.name.clone(), node.op.clone(), node.inputs.clone());
        let facts = node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
        let inputs = inputs.into_iter().enumerate().map(|(i, input)| {
            match product && i == 1 && self.is_constant(input) {
                true => self.copy_of(input),
                false => self.own_product(input),
            }
        });
        let inputs = inputs.collect();
        OutletId::new(self.add_with(&name, op, inputs, facts, None).node, outlet.slot)
    }

    /// A constant operand of an elementwise operation whose result has `rank` axes, in another shape that broadcasts alike.
    ///
    /// OpenVINO makes one of equal constants, and folds a scale into the weights of a product only where nothing else
    /// reads it: where a branch scales by the same constant, the last bits of the original's outputs are others.
    pub(crate) fn apart(&mut self, hint: &str, constant: OutletId, rank: usize) -> OutletId {
        let shape = &self.fact(constant).shape;
        let one_number = shape.iter().all(|dim| dim.is_one());
        if one_number || !self.is_constant(constant) {
            return constant;
        }
        let (own, leading) = (shape.len(), shape.first().is_some_and(|dim| dim.is_one()));
        let mut sizes = self.sizes(constant);
        if leading {
            sizes.remove(0);
        } else if own < rank {
            sizes.insert(0, Size::Fixed(1));
        }
        self.reshape(hint, constant, &sizes)
    }

    /// Whether all that is read of a value is scaled by a constant, perhaps after a constant was added.
    fn is_scaled(&self, id: NodeId) -> bool {
        let [user] = self.graph().users(id) else { return false };
        let node = self.graph().node(*user);
        let by_constant = node.inputs.len() == 2
            && node.inputs.iter().any(|input| input.node != id && self.is_constant(*input));
        match node.op.kind {
            OpKind::Multiply => by_constant,
            OpKind::Add => by_constant && self.is_scaled(*user),
            _ => false,
        }
    }

    /// Whether a value is made of constants by what decompresses weights, in `left` operations at most.
    fn decompresses(&self, id: NodeId, left: &mut usize) -> bool {
        let node = self.graph().node(id);
        let step = matches!(
            node.op.kind,
            OpKind::Const
                | OpKind::Convert
                | OpKind::Subtract
                | OpKind::Multiply
                | OpKind::Reshape
                | OpKind::Transpose
        );
        *left = left.saturating_sub(1);
        step && *left > 0 && node.inputs.iter().all(|input| self.decompresses(input.node, left))
    }

    /// A copy of what makes a value, down to its constants.
    fn copy_of(&mut self, outlet: OutletId) -> OutletId {
        let node = self.graph().node(outlet.node);
        let (name, op) = (node.name.clone(), node.op.clone());
        let facts = node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
        let inputs = node.inputs.clone().into_iter().map(|input| self.copy_of(input)).collect();
        // Attributes of a Const name the original's bytes.
        let copied = self.add_with(&name, op, inputs, facts, None);
        OutletId::new(copied.node, outlet.slot)
    }

    /// Of each sample of `[N,C,…]` the entries that are its own: `indices` is `[N,k]`.
    ///
    /// By GatherND. Gather with `batch_dims` reads beside the values where CPUs have AVX2 and no AVX-512, N is 1 and
    /// less than eight values follow the axis: on 2026.4.1 wrong numbers or a segmentation fault.
    pub(crate) fn gather_of_each(&mut self, hint: &str, x: OutletId, indices: OutletId) -> OutletId {
        let count = self.fact(indices).shape[1];
        let tuples = self.unsqueeze(&format!("{hint}/indices"), indices, &[2]);
        let mut fact = self.fact(x).clone();
        fact.shape[1] = count;
        let op = Op::new(OpKind::GatherNd, "opset8").with("batch_dims", 1);
        self.add(hint, op, vec![x, tuples], vec![fact])
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

    /// A value of the original that the patch reads, or one of `others`, in the middle of what is computed in integers,
    /// with the FakeQuantize behind it.
    ///
    /// OpenVINO's CPU plugin computes a quantized convolution, the sum of it with another branch, and the activation
    /// in one pass, and rounds once. Where something else reads a value in between, it computes that in floats: on
    /// 2026.4.1, outputs of the original changed by 0.5 %.
    pub(crate) fn read_in_integers(&self, others: &[OutletId]) -> Option<(OutletId, OutletId)> {
        if !self.quantized {
            return None;
        }
        let in_file = self.graph().in_file();
        let read = self.nodes.iter().flat_map(|node| &node.inputs).filter(|input| input.node.0 < in_file);
        others.iter().chain(read).copied().find_map(|outlet| {
            let mut sum = self.is_sum(outlet.node) || self.follows_sum(outlet.node);
            let mut at = outlet.node;
            // The path on to where the result is rounded: all of it read by nothing else.
            for _ in 0..LONGEST_FUSION {
                let [next] = self.graph().users(at) else { return None };
                let kind = &self.graph().node(*next).op.kind;
                match (kind, sum) {
                    (OpKind::FakeQuantize, true) => return Some((outlet, OutletId::new(*next, 0))),
                    (OpKind::FakeQuantize, false) => {}
                    (kind, _) if is_fused(kind) => {}
                    _ => return None,
                }
                sum |= self.is_sum(*next);
                at = *next;
            }
            None
        })
    }

    /// Whether a node adds two values of which a convolution makes one.
    fn is_sum(&self, id: NodeId) -> bool {
        let node = self.graph().node(id);
        let data = |input: &&OutletId| !self.is_constant(**input);
        let made = |input: &OutletId| {
            let mut at = input.node;
            for _ in 0..LONGEST_FUSION {
                let node = self.graph().node(at);
                if node.op.kind.is_convolution() {
                    return true;
                }
                let inside = is_fused(&node.op.kind) || node.op.kind == OpKind::FakeQuantize;
                match (inside, node.inputs.first()) {
                    (true, Some(before)) => at = before.node,
                    _ => return false,
                }
            }
            false
        };
        node.op.kind == OpKind::Add
            && node.inputs.iter().filter(data).count() == 2
            && node.inputs.iter().any(made)
    }

    /// Whether a value is made of such a sum by what is computed with it.
    fn follows_sum(&self, id: NodeId) -> bool {
        let mut at = id;
        for _ in 0..LONGEST_FUSION {
            let node = self.graph().node(at);
            match node.inputs.first() {
                Some(before) if is_fused(&node.op.kind) => at = before.node,
                _ => return false,
            }
            if self.is_sum(at) {
                return true;
            }
        }
        false
    }

    /// Sees to it that the plugin does not take a product of a constant with quantized weights apart.
    ///
    /// OpenVINO's CPU plugin cannot compile a graph with such a product where the result is quantized again (2026.4.1, in
    /// single precision). So zero is added to the constant that it cannot see to be zero: the lesser of 0 and a magnitude.
    pub(super) fn no_constant_product(&mut self, hint: &str, op: &Op, inputs: &mut [OutletId]) {
        let product = op.kind == OpKind::MatMul || op.kind.is_convolution();
        let [data, weights, ..] = *inputs else { return };
        let stored = |patch: &Self| patch.node(weights.node).op.kind == OpKind::Const;
        if !self.quantized
            || !product
            || stored(self)
            || !self.is_constant(data)
            || !self.is_constant(weights)
        {
            return;
        }
        let Some((input, _)) = self.graph().parameters().next() else { return };
        inputs[0] = self.as_data(&format!("{hint}/data"), data, OutletId::new(input, 0));
    }

    /// A constant that is not to be known before inference; `data` is any value that is made at inference.
    fn as_data(&mut self, hint: &str, constant: OutletId, data: OutletId) -> OutletId {
        let (element, rank) = (self.fact(constant).element, self.fact(data).rank());
        let mut one = data;
        for axis in 0..rank {
            one = self.slice(&format!("{hint}/any"), one, axis, 0, Some(1));
        }
        let one = self.reshape(&format!("{hint}/any"), one, &[Size::Fixed(1)]);
        let one = self.convert(&format!("{hint}/any"), one, element);
        let magnitude = self.unary(&format!("{hint}/any"), OpKind::Abs, one);
        let zero = self.float(&format!("{hint}/zero"), element, 0.0);
        let zero = self.binary(&format!("{hint}/zero"), OpKind::Minimum, magnitude, zero);
        self.binary(hint, OpKind::Add, constant, zero)
    }

    /// Whether a value depends on no input.
    fn is_constant(&self, outlet: OutletId) -> bool {
        let (mut open, mut seen) = (vec![outlet.node], std::collections::BTreeSet::new());
        while let Some(id) = open.pop() {
            let node = self.node(id);
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
