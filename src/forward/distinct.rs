//! One row for each token that differs: what a transformer's later layers need where all tokens are read.
//!
//! Under one mask, all tokens that it blanks are equal, and stay so through an attention: same query,
//! same keys. So of each of K copies only the tokens before the grid's, those that the mask keeps, and one that
//! stands for all others are evaluated. Where tokens meet, each counts as often as there are such:
//! `softmax(s + log m)` over keys, and a weighted mean. What tells positions apart from the start, a relative
//! position bias or a rotary embedding of a biased query, loses the form.

use super::{Background, Distinct, Form, Kernel, Lowering, Why};
use crate::graph::{Fact, Node, NodeId, OpKind, OutletId, Size, index};
use crate::ir::{Dim, Shape};
use crate::ops::{Action, Reduction, Selection};

/// Far below any score: its exponential is 0 in half precision as well.
const NEVER: f32 = -1e4;

/// What of a grid a mask keeps, for each mask.
struct Kept {
    /// Positions `[K, kept]`; any position where there is none.
    places: Vec<usize>,
    /// Their weights, 0 where there is none.
    weights: Vec<f32>,
    /// Positions for each mask.
    each: usize,
}

impl Lowering<'_, '_> {
    /// Evaluates a node on distinct tokens.
    pub(super) fn distinct_node(
        &mut self,
        id: NodeId,
        node: &Node,
        action: &Action,
    ) -> Result<Vec<Form>, Why> {
        let first = *node.inputs.first().ok_or("it has no inputs")?;
        match action {
            Action::Elementwise(_) => self.distinct_elementwise(id, node),
            Action::Attention => self.distinct_attention(id, node),
            Action::MatMul { transpose_a, transpose_b } => {
                self.distinct_matmul(id, node, *transpose_a, *transpose_b)
            }
            Action::Pointwise(_) => {
                let x = self.distinct(first)?;
                self.distinct_first(id, node, x)
            }
            Action::Within { axes, .. } => {
                let mut x = self.distinct(first)?;
                match axes.iter().filter(|axis| x.axes.contains(axis)).count() {
                    0 => {}
                    _ if axes.len() == 1 && matches!(node.op.kind, OpKind::SoftMax) => {
                        x.outlet = self.with_counts(node, first, &x, axes[0])?;
                    }
                    _ => return Err("it works along the tokens".to_owned()),
                }
                self.distinct_first(id, node, x)
            }
            Action::Reduce { reduction, axes, keep_dims } => {
                let x = self.distinct(first)?;
                match axes.iter().filter(|axis| x.axes.contains(axis)).count() {
                    0 => {
                        let gone: &[usize] = if *keep_dims { &[] } else { axes };
                        let moved =
                            x.axes.iter().map(|axis| axis - gone.iter().filter(|gone| *gone < axis).count());
                        self.distinct_first(id, node, Distinct { axes: moved.collect(), ..x })
                    }
                    1 if x.axes.len() == 1 => self.distinct_pool(id, node, first, &x, *reduction, axes),
                    _ => Err("it works along the tokens of an attention".to_owned()),
                }
            }
            Action::Transpose { order } => {
                let mut x = self.distinct(first)?;
                let moved = |axis: &usize| order.iter().position(|from| from == axis);
                x.axes = x.axes.iter().map(moved).collect::<Option<_>>().ok_or("an axis of it is lost")?;
                self.distinct_first(id, node, x)
            }
            Action::Reshape => self.distinct_reshape(id, node, first),
            Action::Select(parts) => self.distinct_pick(id, node, first, parts),
            Action::Concat { axis } => {
                self.distinct_axes(&node.inputs, *axis)?;
                let mut parts = Vec::new();
                for input in &node.inputs {
                    parts.push(self.distinct(*input)?);
                }
                let axes = parts[0].axes.clone();
                let inputs = parts.into_iter().map(|part| part.outlet).collect();
                self.distinct_clone(id, node, inputs, &axes)
            }
            _ => Err("no rule for this operation on distinct tokens".to_owned()),
        }
    }

    /// Whether all operands of a node that depend on the mask are masked tokens, few of which differ.
    pub(super) fn few_distinct(&self, node: &Node) -> bool {
        let mut masked = node.inputs.iter().filter(|input| self.form(**input).is_some()).peekable();
        let few = |outlet: &OutletId| {
            let tokens = self.k().dim().fixed().map(|k| k + self.prefix(*outlet));
            matches!(self.form(*outlet), Some(Form::OneHot { .. }))
                && tokens.is_some_and(|tokens| 2 * self.distinct_count(*outlet) <= tokens)
        };
        masked.peek().is_some() && masked.all(few)
    }

    /// Rows that stand for all tokens of a value.
    fn distinct_count(&self, outlet: OutletId) -> usize {
        self.prefix(outlet) + self.kept_each() + 1
    }

    fn kept_each(&self) -> usize {
        match self.mask.kernel {
            Kernel::Single => 1,
            Kernel::Gaussian => 9,
        }
    }

    /// What each mask keeps, where the grid is known.
    fn kept_tokens(&self) -> Result<Kept, Why> {
        let (h, w) = (self.target.layout.grid.0.dim().fixed(), self.target.layout.grid.1.dim().fixed());
        let (h, w) = h.zip(w).ok_or("the grid is known only at inference")?;
        let kernel: Vec<(usize, usize, f32)> = match self.mask.kernel {
            Kernel::Single => vec![(1, 1, 1.0)],
            Kernel::Gaussian => {
                let side = [1.0, 2.0, 1.0];
                (0..9).map(|i| (i / 3, i % 3, side[i / 3] * side[i % 3] / 16.0)).collect()
            }
        };
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        for position in 0..h * w {
            for (down, right, weight) in &kernel {
                let row = (position / w + down).checked_sub(1).filter(|row| *row < h);
                let column = (position % w + right).checked_sub(1).filter(|column| *column < w);
                let place = row.zip(column).map(|(row, column)| row * w + column);
                places.push(place.unwrap_or(position));
                weights.push(if place.is_some() { *weight } else { 0.0 });
            }
        }
        Ok(Kept { places, weights, each: kernel.len() })
    }

    /// How many tokens each row stands for, `[K, rows]`.
    fn counts(&self, prefix: usize) -> Result<Vec<f32>, Why> {
        let kept = self.kept_tokens()?;
        let mut counts = Vec::new();
        for weights in kept.weights.chunks(kept.each) {
            let there = weights.iter().filter(|weight| **weight > 0.0).count();
            let others = (kept.places.len() / kept.each).saturating_sub(there);
            counts.extend(std::iter::repeat_n(1.0, prefix));
            counts.extend(weights.iter().map(|weight| if *weight > 0.0 { 1.0 } else { 0.0 }));
            #[allow(clippy::cast_precision_loss)]
            counts.push(others as f32);
        }
        Ok(counts)
    }

    /// A `[K, rows]` constant as `[N·K, 1, .., rows, .., 1]`, to stand beside copies of a value whose tokens are on
    /// `axis`.
    fn beside_rows(
        &mut self,
        hint: &str,
        like: OutletId,
        values: &[f32],
        axis: usize,
    ) -> Result<OutletId, Why> {
        let (element, rank) = (self.patch.fact(like).element, self.patch.fact(like).rank());
        let k = self.k().dim().fixed().ok_or("the grid is known only at inference")?;
        let rows = values.len() / k.max(1);
        let (samples, groups) = self.batch_and_groups(like)?;
        let shape = vec![Dim::Fixed(1), Dim::Fixed(k), Dim::Fixed(1), Dim::Fixed(rows)];
        let constant = self.patch.floats(hint, Fact::new(element, shape), values);
        let one = Size::Fixed(1);
        let all = match samples == one && groups == one {
            true => constant,
            false => {
                let sizes = [samples.clone(), Size::Fixed(k), groups.clone(), Size::Fixed(rows)];
                self.patch.broadcast_to(hint, constant, &sizes)
            }
        };
        let mut sizes = vec![one; rank];
        sizes[self.batch(like)?] = Size::product([samples, Size::Fixed(k), groups]);
        sizes[axis] = Size::Fixed(rows);
        Ok(self.patch.reshape(hint, all, &sizes))
    }

    /// A value as distinct tokens, made where they are not there yet.
    fn distinct(&mut self, outlet: OutletId) -> Result<Distinct, Why> {
        if let Some(Form::Distinct(distinct)) = self.form(outlet) {
            return Ok(distinct.clone());
        }
        let Some(Form::OneHot { background: rest }) = self.form(outlet).cloned() else {
            return Err("an operand has lost its tokens already".to_owned());
        };
        let axes = self.positions(outlet)?;
        let ([axis], 0) = (&axes[..], self.batch(outlet)?) else {
            return Err("its positions are no tokens".to_owned());
        };
        let (axis, element) = (*axis, self.patch.fact(outlet).element);
        let spread = self.spread(outlet)?;
        if spread.positions || !element.is_float() {
            return Err("what a mask blanks differs between positions".to_owned());
        }
        let (prefix, kept) = (self.prefix(outlet), self.kept_tokens()?);
        let hint = format!("{}/distinct", self.node(outlet).name);
        let k = self.k();
        let (samples, groups) = self.batch_and_groups(outlet)?;
        // Tokens that the masks keep, [N, K, kept, ..]; all others are zero above the rest.
        let places: Vec<i64> = kept.places.iter().map(|place| index(place + prefix)).collect();
        let places = self.patch.integers("distinct/places", &places);
        let grid = [k.clone(), Size::Fixed(kept.each)];
        let places = self.patch.reshape("distinct/places", places, &grid);
        let above = self.above_rest(outlet);
        let above = self.tokens_first(&hint, above, axis, &samples, &groups);
        let mut shape: Shape = vec![Dim::Fixed(1); self.patch.fact(above).rank()];
        (shape[0], shape[1]) = (k.dim(), Dim::Fixed(kept.each));
        let weights = self.patch.floats("distinct/weights", Fact::new(element, shape), &kept.weights);
        let near = self.weighed(&hint, outlet, weights, |this, value| {
            let above = this.less_rest(outlet, value);
            let above = this.tokens_first(&hint, above, axis, &samples, &groups);
            this.patch.gather(&hint, above, places, 1)
        });
        let mut sizes = self.patch.sizes(near);
        (sizes[0], sizes[2]) = (samples.clone(), Size::Fixed(1));
        let zero = self.patch.float("zero", element, 0.0);
        let far = self.patch.broadcast_to(&hint, zero, &sizes);
        let mut parts = vec![near, far];
        if prefix > 0 {
            sizes[2] = Size::Fixed(prefix);
            let tokens = if self.mask.class_token {
                let tokens = self.patch.slice(&hint, above, 1, 0, Some(prefix));
                self.patch.unsqueeze(&hint, tokens, &[1])
            } else {
                zero
            };
            parts.insert(0, self.patch.broadcast_to(&hint, tokens, &sizes));
        }
        let mut rows = self.patch.concat(&hint, &parts, 2);
        if let Background::Value(_) = rest {
            let (rest, _) = self.full_rest(outlet)?;
            let rest = self.tokens_first(&hint, rest, axis, &samples, &groups);
            let rest = self.patch.unsqueeze(&hint, rest, &[1]);
            rows = self.patch.binary(&hint, OpKind::Add, rows, rest);
        }
        // [N, K, rows, g, ..] to [N·K, rows, g, ..], the tokens back to their axis, and g to the batch's.
        let mut sizes = self.patch.sizes(rows);
        sizes.splice(..2, [Size::product([samples, k])]);
        let rows = self.patch.reshape(&hint, rows, &sizes);
        let back = if groups == Size::Fixed(1) { axis } else { axis + 1 };
        let order: Vec<usize> =
            std::iter::once(0).chain(2..=back).chain([1]).chain(back + 1..sizes.len()).collect();
        let rows = self.patch.transpose(&hint, rows, &order);
        let sizes = self.distinct_sizes(outlet, &[axis])?;
        let rows = self.patch.reshape(&hint, rows, &sizes);
        Ok(Distinct { outlet: rows, axes: vec![axis] })
    }

    /// `[N·g, .., tokens, ..]` as `[N, tokens, g, ..]`, without g where that is 1.
    ///
    /// With masks and tokens beside the batch, what follows is the usual order of axes: heads move before the tokens
    /// in a Transpose of four. OpenVINO's CPU plugin (2026.4) gets another order wrong where heads are as many as
    /// tokens.
    fn tokens_first(
        &mut self,
        hint: &str,
        value: OutletId,
        axis: usize,
        samples: &Size,
        groups: &Size,
    ) -> OutletId {
        let (mut value, mut axis) = (value, axis);
        if *groups != Size::Fixed(1) {
            let mut sizes = self.patch.sizes(value);
            let split = match sizes[0] {
                Size::Fixed(1) => [Size::Fixed(1), Size::Fixed(1)],
                _ => [samples.clone(), groups.clone()],
            };
            sizes.splice(..1, split);
            value = self.patch.reshape(hint, value, &sizes);
            axis += 1;
        }
        let rank = self.patch.fact(value).rank();
        let order: Vec<usize> = [0, axis].into_iter().chain((1..rank).filter(|i| *i != axis)).collect();
        self.patch.transpose(hint, value, &order)
    }

    /// Extents of a value's copies with distinct tokens on `axes`.
    fn distinct_sizes(&self, outlet: OutletId, axes: &[usize]) -> Result<Vec<Size>, Why> {
        let mut sizes = self.dense_sizes(outlet)?;
        for axis in axes {
            // An attention's keys have no label of their own; they are as many as its queries.
            let tokens =
                self.patch.fact(outlet).shape[*axis].fixed().ok_or("the number of tokens is not known")?;
            let k = self.k().dim().fixed().ok_or("the grid is known only at inference")?;
            let prefix = tokens.checked_sub(k).ok_or("an axis of it does not run over the tokens")?;
            sizes[*axis] = Size::Fixed(prefix + self.kept_each() + 1);
        }
        Ok(sizes)
    }

    fn distinct_clone(
        &mut self,
        id: NodeId,
        node: &Node,
        inputs: Vec<OutletId>,
        axes: &[usize],
    ) -> Result<Vec<Form>, Why> {
        let mut facts = Vec::new();
        for (slot, outlet) in node.outputs.iter().enumerate() {
            let sizes = self.distinct_sizes(OutletId::new(id, slot), axes)?;
            facts.push(Fact::new(outlet.fact.element, sizes.iter().map(Size::dim).collect()));
        }
        let first = self.patch.add(&node.name, node.op.clone(), inputs, facts);
        let outlets = (0..node.outputs.len()).map(|slot| OutletId::new(first.node, first.slot + slot));
        Ok(outlets.map(|outlet| as_form(outlet, axes)).collect())
    }

    /// Clones a node that has one input that depends on the mask.
    fn distinct_first(&mut self, id: NodeId, node: &Node, x: Distinct) -> Result<Vec<Form>, Why> {
        self.only_first(node)?;
        let mut inputs: Vec<OutletId> = node.inputs.iter().map(|input| self.same(*input)).collect();
        inputs[0] = x.outlet;
        self.distinct_clone(id, node, inputs, &x.axes)
    }

    /// Checks that operands have their tokens on the same axes, and none on `other`.
    fn distinct_axes(&mut self, inputs: &[OutletId], other: usize) -> Result<(), Why> {
        let mut known: Option<Vec<usize>> = None;
        for input in inputs {
            let axes = self.distinct(*input)?.axes;
            if axes.contains(&other) || known.as_ref().is_some_and(|known| *known != axes) {
                return Err("it joins tokens".to_owned());
            }
            known = Some(axes);
        }
        Ok(())
    }

    fn distinct_elementwise(&mut self, id: NodeId, node: &Node) -> Result<Vec<Form>, Why> {
        let (out, rank) = (OutletId::new(id, 0), node.outputs[0].fact.rank());
        let batch = self.batch(out)?;
        let mut axes: Option<Vec<usize>> = None;
        for input in &node.inputs {
            if self.form(*input).is_none() {
                continue;
            }
            let own = self.distinct(*input)?;
            let shift = rank - self.patch.fact(*input).rank();
            let own_batch = self.batch(*input)? + shift;
            let own: Vec<usize> = own.axes.iter().map(|axis| axis + shift).collect();
            if own_batch != batch || axes.as_ref().is_some_and(|axes| *axes != own) {
                return Err("its operands have their tokens on different axes".to_owned());
            }
            axes = Some(own);
        }
        let axes = axes.ok_or("none of its operands depends on the mask")?;
        let mut inputs = Vec::new();
        for input in &node.inputs {
            if self.form(*input).is_some() {
                inputs.push(self.distinct(*input)?.outlet);
                continue;
            }
            let shape = &self.patch.fact(*input).shape;
            let along = |axis: &usize| {
                (axis + shape.len()).checked_sub(rank).is_some_and(|axis| !shape[axis].is_one())
            };
            if axes.iter().any(along) {
                return Err("its other operand tells tokens apart".to_owned());
            }
            inputs.push(self.beside_copies(*input, rank, batch, out)?);
        }
        self.distinct_clone(id, node, inputs, &axes)
    }

    fn distinct_reshape(&mut self, id: NodeId, node: &Node, first: OutletId) -> Result<Vec<Form>, Why> {
        self.only_first(node)?;
        let x = self.distinct(first)?;
        let ([axis], out) = (&x.axes[..], OutletId::new(id, 0)) else {
            return Err("it rearranges the scores of an attention".to_owned());
        };
        let labels = self.labels.get(first).zip(self.labels.get(out));
        let (from, to) = labels.ok_or("which of its axes are tokens is lost here")?;
        let same = |i: &usize| to.0[*i].positional() && to.0[*i] == from.0[*axis];
        let to: Vec<usize> = (0..to.0.len()).filter(same).collect();
        if to.len() != 1 {
            return Err("it splits or joins tokens".to_owned());
        }
        let sizes = self.distinct_sizes(out, &to)?;
        let outlet = self.patch.reshape(&node.name, x.outlet, &sizes);
        Ok(vec![as_form(outlet, &to)])
    }

    fn distinct_pick(
        &mut self,
        id: NodeId,
        node: &Node,
        first: OutletId,
        parts: &[Vec<Selection>],
    ) -> Result<Vec<Form>, Why> {
        self.only_first(node)?;
        let x = self.distinct(first)?;
        let prefix = self.prefix(first);
        let mut axes = x.axes.clone();
        for pick in parts.iter().flatten() {
            if pick.axis == self.batch(first)? {
                return Err("it works along the batch".to_owned());
            }
            if !x.axes.contains(&pick.axis) {
                continue;
            }
            let [picks] = parts else { return Err("it splits tokens".to_owned()) };
            let start = pick.start.filter(|start| *start <= prefix && (pick.step == 1 || pick.drops));
            let length = if pick.drops { Some(1) } else { node.outputs[0].fact.shape[pick.axis].fixed() };
            let (Some(start), Some(length), [_], [_]) = (start, length, &picks[..], &x.axes[..]) else {
                return Err("it takes a part of the tokens".to_owned());
            };
            if !pick.to_end && start + length > prefix {
                return Err("it takes a part of the tokens".to_owned());
            }
            let end = (!pick.to_end).then_some(start + length);
            let rows = self.patch.slice(&node.name, x.outlet, pick.axis, start, end);
            if pick.to_end {
                return Ok(vec![as_form(rows, &axes)]);
            }
            let rows = if pick.drops { self.patch.squeeze(&node.name, rows, &[pick.axis]) } else { rows };
            return Ok(vec![Form::Dense(rows)]);
        }
        let dropped = parts.first().into_iter().flatten().filter(|pick| pick.drops);
        let dropped: Vec<usize> = dropped.map(|pick| pick.axis).collect();
        for axis in &mut axes {
            *axis -= dropped.iter().filter(|dropped| *dropped < axis).count();
        }
        let outlets = self.pick(node, parts, x.outlet, |this, slot| {
            let sizes = this.distinct_sizes(OutletId::new(id, slot), &axes)?;
            Ok(sizes.iter().map(Size::dim).collect())
        })?;
        Ok(outlets.into_iter().map(|outlet| as_form(outlet, &axes)).collect())
    }

    fn distinct_matmul(&mut self, id: NodeId, node: &Node, ta: bool, tb: bool) -> Result<Vec<Form>, Why> {
        let [a, b] = node.inputs[..] else { return Err("it has not two operands".to_owned()) };
        let rank = node.outputs[0].fact.rank();
        let (rank_a, rank_b) = (self.patch.fact(a).rank(), self.patch.fact(b).rank());
        let contracted_a = if ta { rank_a.wrapping_sub(2) } else { rank_a.wrapping_sub(1) };
        let contracted_b = if tb { rank_b.wrapping_sub(1) } else { rank_b.wrapping_sub(2) };
        if rank_a < 2 || rank_b < 2 {
            return Err("an operand has less than two axes".to_owned());
        }
        if self.form(b).is_none() {
            let x = self.distinct(a)?;
            if x.axes.contains(&contracted_a) || rank_a != rank || rank_b > 2 || ta {
                return Err("it multiplies along tokens".to_owned());
            }
            let inputs = vec![x.outlet, self.same(b)];
            return self.distinct_clone(id, node, inputs, &x.axes);
        }
        if rank_a != rank || rank_b != rank || ta {
            return Err("it multiplies along tokens".to_owned());
        }
        let (a, b) = (self.distinct_or_rows(a)?, self.distinct(b)?);
        // Keys or values: scores take their tokens as columns, results take them away.
        let over_tokens = b.axes == [contracted_b] && a.axes.last() == Some(&contracted_a);
        let scores = !b.axes.contains(&contracted_b) && !a.axes.contains(&contracted_a);
        let mut axes: Vec<usize> = a.axes.iter().copied().filter(|axis| *axis != contracted_a).collect();
        match (over_tokens, scores) {
            (true, _) => {}
            (_, true) if b.axes.len() == 1 => axes.push(rank - 1),
            _ => return Err("it multiplies along tokens".to_owned()),
        }
        self.distinct_clone(id, node, vec![a.outlet, b.outlet], &axes)
    }

    /// Distinct tokens, or copies of what has no tokens.
    fn distinct_or_rows(&mut self, outlet: OutletId) -> Result<Distinct, Why> {
        match self.form(outlet).cloned() {
            Some(Form::Dense(rows)) if !self.positional(outlet) && self.batch(outlet)? == 0 => {
                Ok(Distinct { outlet: rows, axes: Vec::new() })
            }
            _ => self.distinct(outlet),
        }
    }

    fn distinct_attention(&mut self, id: NodeId, node: &Node) -> Result<Vec<Form>, Why> {
        let [queries, keys, values, ref parameters @ ..] = node.inputs[..] else {
            return Err("it has not three operands".to_owned());
        };
        let plain = |outlet: &OutletId| self.patch.fact(*outlet).shape.iter().all(|dim| dim.is_one());
        if !parameters.iter().all(plain) || node.op.flag("causal") {
            return Err("its attention mask tells tokens apart".to_owned());
        }
        let rank = self.patch.fact(keys).rank();
        let q = self.distinct_or_rows(queries)?;
        let (k, v) = (self.distinct(keys)?, self.distinct(values)?);
        if rank < 3
            || k.axes != [rank - 2]
            || v.axes != [rank - 2]
            || q.axes.iter().any(|axis| *axis != rank - 2)
        {
            return Err("its tokens are on other axes".to_owned());
        }
        let counts = self.log_counts(self.prefix(keys))?;
        let mut bias = self.beside_rows("distinct/log_counts", keys, &counts, rank - 1)?;
        // OpenVINO 2023.3 does not broadcast a mask over queries.
        if let Some(rows @ 2..) = self.patch.fact(q.outlet).shape[rank - 2].fixed() {
            let mut shape = vec![Dim::Fixed(1); rank];
            shape[rank - 2] = Dim::Fixed(rows);
            let fact = Fact::new(self.patch.fact(bias).element, shape);
            let zeros = self.patch.floats("distinct/every_query", fact, &vec![0.0; rows]);
            bias = self.patch.binary("distinct/log_counts", OpKind::Add, bias, zeros);
        }
        let mut inputs = vec![q.outlet, k.outlet, v.outlet, bias];
        inputs.extend(parameters.get(1).map(|scale| self.same(*scale)));
        self.distinct_clone(id, node, inputs, &q.axes)
    }

    fn log_counts(&self, prefix: usize) -> Result<Vec<f32>, Why> {
        let counts = self.counts(prefix)?;
        Ok(counts.into_iter().map(|count| if count > 0.0 { count.ln() } else { NEVER }).collect())
    }

    /// Scores with the logarithm of how many keys each stands for.
    fn with_counts(
        &mut self,
        node: &Node,
        scores: OutletId,
        x: &Distinct,
        axis: usize,
    ) -> Result<OutletId, Why> {
        let tokens = self.patch.fact(scores).shape[axis].fixed().zip(self.k().dim().fixed());
        let (tokens, k) = tokens.ok_or("the number of tokens is not known")?;
        let counts = self.log_counts(tokens.saturating_sub(k))?;
        let bias = self.beside_rows("distinct/log_counts", scores, &counts, axis)?;
        Ok(self.patch.binary(&format!("{}/counted", node.name), OpKind::Add, x.outlet, bias))
    }

    /// Pooling over all tokens.
    fn distinct_pool(
        &mut self,
        id: NodeId,
        node: &Node,
        first: OutletId,
        x: &Distinct,
        reduction: Reduction,
        axes: &[usize],
    ) -> Result<Vec<Form>, Why> {
        let shape = &self.patch.fact(first).shape;
        let axis = x.axes[0];
        if axes.iter().any(|other| *other != axis && !shape[*other].is_one()) {
            return Err("it pools over more than the tokens".to_owned());
        }
        let counts = self.counts(self.prefix(first))?;
        let rows = self.distinct_count(first);
        let total: f32 = counts[..rows].iter().sum();
        let (kind, factor) = match reduction {
            Reduction::Mean => (OpKind::ReduceSum, 1.0 / total),
            Reduction::Sum => (OpKind::ReduceSum, 1.0),
            _ => return Err("no rule for this reduction of distinct tokens".to_owned()),
        };
        let weights: Vec<f32> = counts.iter().map(|count| count * factor).collect();
        let weights = self.beside_rows("distinct/counts", first, &weights, axis)?;
        let weighed =
            self.patch.binary(&format!("{}/counted", node.name), OpKind::Multiply, x.outlet, weights);
        let pooled = self.patch.reduce(&node.name, kind, weighed, &[axis], true);
        let sizes = self.dense_sizes(OutletId::new(id, 0))?;
        Ok(vec![Form::Dense(self.patch.reshape(&node.name, pooled, &sizes))])
    }
}

fn as_form(outlet: OutletId, axes: &[usize]) -> Form {
    match axes {
        [] => Form::Dense(outlet),
        _ => Form::Distinct(Distinct { outlet, axes: axes.to_vec() }),
    }
}
