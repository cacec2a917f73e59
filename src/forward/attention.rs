//! Attention over masked keys and values.
//!
//! With queries that no mask touches, a score is `M_kt a_t + b`: a from the original pass, b the same for all
//! keys, which Softmax does not see. Then `P_k = softmax_t(M_kt a_t)` is one row for each mask and query, and
//! the result is `(P_k * M_k) (V - r) + r`, with r what stands where a value is blanked: rows of P sum to 1.
//! Neither keys nor values are ever copied. (arXiv 2310.02588 copies both.)

use super::{Form, Lowering, Why};
use crate::graph::{Fact, Node, NodeId, Op, OpKind, OutletId, Size};
use crate::ops::Action;

impl Lowering<'_, '_> {
    /// Whether a node is the Softmax of an attention whose keys are masked.
    pub(super) fn softmax_over_positions(&self, scores: OutletId, node: &Node, axes: &[usize]) -> bool {
        let positions = self.positions(scores);
        matches!(node.op.kind, OpKind::SoftMax) && positions.is_ok_and(|positions| positions == axes)
    }

    /// The weights of an attention under all masks.
    pub(super) fn attention_weights(
        &mut self,
        id: NodeId,
        node: &Node,
        scores: OutletId,
    ) -> Result<Vec<Form>, Why> {
        let rest = self.rest(scores).filter(|_| self.spread(scores).is_ok_and(|spread| spread.positions));
        let copies = match rest {
            Some(_) => self.dense(scores)?,
            None => self.copies_above_rest(scores)?,
        };
        let fact = Fact::new(node.outputs[0].fact.element, self.patch.fact(copies).shape.clone());
        let weights = self.patch.add(&node.name, node.op.clone(), vec![copies], vec![fact]);
        self.account(OutletId::new(id, 0));
        Ok(vec![Form::Dense(weights)])
    }

    /// Copies of attention weights times masked values.
    pub(super) fn weighted_values(
        &mut self,
        id: NodeId,
        node: &Node,
        action: &Action,
    ) -> Result<Vec<Form>, Why> {
        let (Action::MatMul { transpose_a: false, transpose_b }, [weights, values]) =
            (action, &node.inputs[..])
        else {
            return Err("it is no product of weights with values".to_owned());
        };
        let Some(Form::Dense(copies)) = self.form(*weights).cloned() else {
            return Err("its weights are masked positions".to_owned());
        };
        let rank = self.patch.fact(*values).rank();
        let (keys, batch) = (if *transpose_b { rank - 1 } else { rank - 2 }, self.batch(*weights)?);
        let fits = self.patch.fact(*weights).rank() == rank && self.positions(*values)? == [keys];
        if !fits || rank < 3 || batch != 0 || self.batch(*values)? != 0 {
            return Err("its values have their positions on another axis than the keys".to_owned());
        }
        // [N·K·g, .., P, T] to [N·g, .., K, P, T], with g groups that share the axis of the batch.
        let (samples, groups) = self.batch_and_groups(*weights)?;
        let hint = format!("{}/weights", node.name);
        let sizes = self.original_sizes(*weights);
        let mut split = vec![samples.clone(), self.k(), groups.clone()];
        split.extend_from_slice(&sizes[1..]);
        let mut order: Vec<usize> = [0, 2].into_iter().chain(3..rank).chain([1, rank, rank + 1]).collect();
        if groups == Size::Fixed(1) {
            split.remove(2);
            order = std::iter::once(0).chain(2..rank - 1).chain([1, rank - 1, rank]).collect();
        }
        let copies = self.patch.reshape(&hint, copies, &split);
        let mut by_query = self.patch.transpose(&hint, copies, &order);
        if groups != Size::Fixed(1) {
            let mut joined = vec![Size::product([samples, groups])];
            joined.extend_from_slice(&sizes[1..rank - 2]);
            joined.push(self.k());
            joined.extend_from_slice(&sizes[rank - 2..]);
            by_query = self.patch.reshape(&hint, by_query, &joined);
        }
        self.attend(id, node, by_query, *values, *transpose_b)
    }

    /// `ScaledDotProductAttention` (opset13) of queries that no mask touches.
    pub(super) fn attention(&mut self, id: NodeId, node: &Node) -> Result<Vec<Form>, Why> {
        let [queries, keys, values, ref parameters @ ..] = node.inputs[..] else {
            return Err("it has not three operands".to_owned());
        };
        if self.form(queries).is_some() {
            return Err("its queries are masked as well as its keys".to_owned());
        }
        let shared = |outlet: &OutletId| self.form(*outlet).is_none();
        if !parameters.iter().all(shared) || node.op.flag("causal") {
            return Err("its attention mask is more than an addition".to_owned());
        }
        let rank = self.patch.fact(keys).rank();
        if rank < 3
            || self.patch.fact(queries).rank() != rank
            || self.patch.fact(values).rank() != rank
            || self.positions(keys)? != [rank - 2]
            || self.positions(values)? != [rank - 2]
            || self.batch(keys)? != 0
            || self.batch(values)? != 0
        {
            return Err("its keys and values have their positions on other axes than the tokens'".to_owned());
        }
        let hint = node.name.clone();
        let element = node.outputs[0].fact.element;
        let queries = self.same(queries);
        let scale = match parameters.get(1) {
            Some(scale) => self.same(*scale),
            None => {
                let width = self.patch.fact(queries).shape[rank - 1].fixed();
                let width = width.ok_or("the width of its heads is not known")?;
                #[allow(clippy::cast_precision_loss)]
                self.patch.float(&format!("{hint}/scale"), element, 1.0 / (width as f32).sqrt())
            }
        };
        let scaled = self.patch.binary(&format!("{hint}/queries"), OpKind::Multiply, queries, scale);
        let scores = format!("{hint}/scores");
        let (mut blank, mut beside) = (None, None);
        if let Some(super::Background::Value(_)) = self.rest(keys) {
            let (rest, spread) = self.full_rest(keys)?;
            let rest = self.patch.matmul(&scores, scaled, rest, (false, true));
            blank = Some(rest);
            beside = spread.positions.then_some(rest);
        }
        // [N, .., 1, P, T] beside masks [K, 1, T].
        let masks = self.key_masks(keys, element)?;
        let mut logits = self.weighed(&scores, keys, masks, |this, keys| {
            let above = this.patch.matmul(&scores, scaled, keys, (false, true));
            let above = match blank {
                Some(blank) => this.patch.binary(&scores, OpKind::Subtract, above, blank),
                None => above,
            };
            this.patch.unsqueeze(&scores, above, &[rank - 2])
        });
        if let Some(beside) = beside {
            let beside = self.patch.unsqueeze(&scores, beside, &[rank - 2]);
            logits = self.patch.binary(&scores, OpKind::Add, logits, beside);
        }
        if let Some(bias) = parameters.first() {
            let fact = self.patch.fact(*bias).clone();
            let plain = fact.shape.iter().all(|dim| dim.is_one());
            if fact.element != element {
                return Err("its attention mask is more than an addition".to_owned());
            }
            if !plain {
                let bias = self.same(*bias);
                let bias = match fact.rank() {
                    0..2 => bias,
                    rank => self.patch.unsqueeze(&format!("{hint}/bias"), bias, &[rank - 2]),
                };
                logits = self.patch.binary(&scores, OpKind::Add, logits, bias);
            }
        }
        let fact = self.patch.fact(logits).clone();
        let op = Op::new(OpKind::SoftMax, "opset8").with("axis", -1);
        let weights = self.patch.add(&format!("{hint}/weights"), op, vec![logits], vec![fact]);
        self.account_tensor(OutletId::new(id, usize::MAX), weights, Some(1));
        self.attend(id, node, weights, values, false)
    }

    /// Weights `[N, .., K, P, T]` and masked values to one row of results for each mask and query.
    fn attend(
        &mut self,
        id: NodeId,
        node: &Node,
        weights: OutletId,
        values: OutletId,
        transposed: bool,
    ) -> Result<Vec<Form>, Why> {
        let (rest, spread) = self.full_rest(values)?;
        if spread.positions {
            return Err("what stands where a value is blanked differs between positions".to_owned());
        }
        if self.bent(values) {
            return Err("its values are not linear in the masks".to_owned());
        }
        let hint = node.name.clone();
        let element = self.patch.fact(weights).element;
        let masks = self.key_masks(values, element)?;
        let kept = self.patch.binary(&format!("{hint}/kept"), OpKind::Multiply, weights, masks);
        let sizes = self.patch.sizes(kept);
        let rank = sizes.len();
        let out = OutletId::new(id, 0);
        let (samples, groups) = self.batch_and_groups(out)?;
        let (queries, keys) = (sizes[rank - 2].clone(), sizes[rank - 1].clone());
        let mut rows = sizes[..rank - 3].to_vec();
        rows.extend([Size::product([self.k(), queries.clone()]), keys]);
        if let first @ Size::Of(..) = &mut rows[0] {
            *first = Size::product([samples.clone(), groups.clone()]);
        }
        let kept = self.patch.reshape(&format!("{hint}/kept"), kept, &rows);
        let above = self.above_rest(values);
        let mut result = self.patch.matmul(&hint, kept, above, (false, transposed));
        if self.rest(values) != Some(super::Background::Zero) {
            let rest = if transposed {
                let order: Vec<usize> = (0..rank - 3).chain([rank - 2, rank - 3]).collect();
                self.patch.transpose(&format!("{hint}/rest"), rest, &order)
            } else {
                rest
            };
            result = self.patch.binary(&format!("{hint}/blank"), OpKind::Add, result, rest);
        }
        // [N·g, .., K·P, d] to [N·K·g, .., P, d].
        let channels = self.patch.sizes(result).pop().unwrap_or(Size::Fixed(1));
        let mut split = rows[..rank - 3].to_vec();
        split.extend([self.k(), queries, channels]);
        if groups != Size::Fixed(1) {
            split.splice(..1, [samples, groups]);
        }
        let result = self.patch.reshape(&hint, result, &split);
        let last = split.len() - 1;
        let order: Vec<usize> =
            [0, last - 2].into_iter().chain(1..last - 2).chain([last - 1, last]).collect();
        let result = self.patch.transpose(&hint, result, &order);
        let sizes = self.dense_sizes(out)?;
        Ok(vec![Form::Dense(self.patch.reshape(&hint, result, &sizes))])
    }

    /// The masks as `[K, 1, T]`, to stand beside `[.., K, P, T]`.
    fn key_masks(&mut self, like: OutletId, element: crate::ir::ElementType) -> Result<OutletId, Why> {
        if !element.is_float() {
            return Err("its elements are no real numbers, which a mask could weigh".to_owned());
        }
        let masks = self.masks(self.prefix(like), element);
        Ok(self.patch.unsqueeze("masks/keys", masks, &[1]))
    }
}
