//! The dense form: K copies as rows of the batch, masks innermost.
//!
//! Operations are cloned on the copies. Where the original says how large its batch is (in a Reshape,
//! in a constant), the clone has to say N·K instead; where the batch is, the labels tell.

use super::{Background, Form, Lowering, Why};
use crate::analysis::Role;
use crate::graph::{Fact, Node, NodeId, Op, OpKind, OutletId, Size};
use crate::ir::{Dim, ElementType, Shape};
use crate::ops::{Action, Selection};

impl Lowering<'_, '_> {
    /// Clones a node on copies of its inputs.
    pub(super) fn dense_node(
        &mut self,
        id: NodeId,
        node: &Node,
        action: &Action,
    ) -> Result<Vec<OutletId>, Why> {
        if node.has_body {
            return Err("control flow inside the head is not supported".to_owned());
        }
        if *action == Action::Opaque && self.model().contradicted(id) {
            return Err("the shapes that the file declares for it contradict each other".to_owned());
        }
        if matches!(action, Action::Opaque | Action::ShapeOf | Action::Unfold { .. }) {
            return Err(format!("how {} treats the batch is not known", node.op.type_name()));
        }
        let mut batches = Vec::new();
        for slot in 0..node.outputs.len() {
            batches.push(self.batch_axis(OutletId::new(id, slot))?);
        }
        let batch = batches.first().copied().unwrap_or(0);
        let first = *node.inputs.first().ok_or("it has no inputs")?;
        match action {
            Action::Elementwise(_) => {
                let rank = node.outputs[0].fact.rank();
                let mut inputs = Vec::new();
                for input in &node.inputs {
                    inputs.push(match self.form(*input) {
                        Some(_) => self.aligned(*input, rank, batch)?,
                        None => self.beside_copies(*input, rank, batch, OutletId::new(id, 0))?,
                    });
                }
                self.dense_clone(id, node, inputs)
            }
            Action::Pointwise(_) => self.dense_first(id, node),
            Action::Within { axes, .. } | Action::Resample { axes } => {
                self.not_batch(first, axes)?;
                self.dense_first(id, node)
            }
            Action::Reduce { axes, .. } => {
                self.not_batch(first, axes)?;
                self.dense_first(id, node)
            }
            Action::Window(_) if batch == 0 => self.dense_first(id, node),
            Action::Window(_) => Err("its batch is not the first axis".to_owned()),
            Action::MatMul { .. } => self.dense_matmul(id, node, batch),
            Action::Attention => {
                let mut inputs = Vec::new();
                for input in &node.inputs {
                    let whole = self.patch.fact(*input).rank() == node.outputs[0].fact.rank();
                    inputs.push(match self.form(*input) {
                        Some(_) if !whole || self.batch_axis(*input)? != batch => {
                            return Err("its operands have the batch on different axes".to_owned());
                        }
                        Some(_) => self.dense(*input)?,
                        None if whole => self.repeated(*input, batch, OutletId::new(id, 0))?,
                        None => self.same(*input),
                    });
                }
                self.dense_clone(id, node, inputs)
            }
            Action::Transpose { .. } => self.dense_first(id, node),
            Action::Reshape => {
                self.only_first(node)?;
                let x = self.dense(first)?;
                let sizes = self.dense_sizes(OutletId::new(id, 0))?;
                Ok(vec![self.patch.reshape(&node.name, x, &sizes)])
            }
            Action::Select(parts) => {
                for picks in parts {
                    self.not_batch(first, &picks.iter().map(|pick| pick.axis).collect::<Vec<_>>())?;
                }
                self.only_first(node)?;
                let x = self.dense(first)?;
                self.pick(node, parts, x, |this, slot| {
                    let sizes = this.dense_sizes(OutletId::new(id, slot))?;
                    Ok(sizes.iter().map(Size::dim).collect())
                })
            }
            Action::Concat { axis } => {
                if *axis == batch {
                    return Err("it joins along the batch".to_owned());
                }
                let mut inputs = Vec::new();
                for input in &node.inputs {
                    inputs.push(match self.form(*input) {
                        Some(_) if self.batch_axis(*input)? != batch => {
                            return Err("its operands have the batch on different axes".to_owned());
                        }
                        Some(_) => self.dense(*input)?,
                        None => self.repeated(*input, batch, OutletId::new(id, 0))?,
                    });
                }
                self.dense_clone(id, node, inputs)
            }
            Action::ShapeOf | Action::Opaque | Action::Unfold { .. } => {
                Err("how it treats the batch is not known".to_owned())
            }
        }
    }

    /// Copies of an operand, made to broadcast with the batch on axis `batch` of `rank`.
    ///
    /// With a batch of 1 the original may line it up with any axis; N·K rows have to go where the rows are.
    fn aligned(&mut self, outlet: OutletId, rank: usize, batch: usize) -> Result<OutletId, Why> {
        let own = self.batch_axis(outlet)?;
        let copies = self.dense(outlet)?;
        let shape = self.patch.fact(outlet).shape.clone();
        let shift = rank - shape.len();
        if own + shift == batch {
            return Ok(copies);
        }
        let differ = || Err("its operands have the batch on different axes".to_owned());
        if !shape[own].is_one() {
            return differ();
        }
        // Other extents keep their places; none may stand where the rows go, or change sides with them.
        let mut sizes = vec![Size::Fixed(1); rank];
        for (axis, size) in self.original_sizes(outlet).into_iter().enumerate() {
            if axis == own || shape[axis].is_one() {
                continue;
            }
            if axis + shift == batch || (axis < own) != (axis + shift < batch) {
                return differ();
            }
            sizes[axis + shift] = size;
        }
        sizes[batch] = self.k();
        let hint = format!("{}/aligned", self.node(outlet).name);
        Ok(self.patch.reshape(&hint, copies, &sizes))
    }

    /// A value as copies, made where they are not there yet.
    pub(super) fn dense(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        if let Some(copies) = self.copies.get(&outlet) {
            return Ok(*copies);
        }
        let copies = match self.form(outlet).cloned() {
            Some(Form::Dense(copies)) => return Ok(copies),
            Some(Form::PerPosition(value)) => {
                // The vectors of all masks, as rows.
                let hint = format!("{}/rows", self.node(outlet).name);
                let (batch, channel) = self.vector(outlet)?;
                let order = if batch < channel { [0, 2, 3, 1] } else { [1, 0, 2, 3] };
                let value = self.patch.transpose(&hint, value, &order);
                let sizes = self.dense_sizes(outlet)?;
                self.patch.reshape(&hint, value, &sizes)
            }
            Some(Form::OneHot { background: rest }) => match self.masked_copies(outlet, rest) {
                Ok(copies) => copies,
                // Where this value's own positions cannot be masked, its operation runs on copies.
                Err(why) => self.produced_copies(outlet).map_err(|_| why)?,
            },
            Some(Form::Distinct(_)) => self.produced_copies(outlet)?,
            None => return Err("an operand does not depend on the mask".to_owned()),
        };
        self.copies.insert(outlet, copies);
        self.account(outlet);
        Ok(copies)
    }

    /// Copies made by evaluating the operation behind a one-hot value on copies of its inputs.
    fn produced_copies(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        if self.target.masked().contains(&outlet) {
            return Err("the target itself cannot be copied".to_owned());
        }
        let node = self.node(outlet);
        let outputs = self.dense_node(outlet.node, node, self.model().action(outlet.node))?;
        outputs.get(outlet.slot).copied().ok_or_else(|| "it has no such output".to_owned())
    }

    /// `M_k * v + (1 - M_k) * rest` for every k.
    fn masked_copies(&mut self, outlet: OutletId, rest: Background) -> Result<OutletId, Why> {
        let hint = format!("{}/mosaic", self.node(outlet).name);
        let masks = self.masks_beside(outlet)?;
        let Background::Value(rest) = rest else { return self.copies_above_rest(outlet) };
        let rest = match self.patch.fact(rest).rank() == self.patch.fact(outlet).rank() {
            true => self.patch.unsqueeze(&hint, rest, &[1]),
            false => rest,
        };
        let value = if self.mask.binary() {
            let map = self.patch.unsqueeze(&hint, self.hot(outlet), &[1]);
            let masks = self.patch.convert("masks", masks, ElementType::Boolean);
            self.patch.select(&hint, masks, map, rest)
        } else {
            let kept = self.kept(&hint, outlet, masks);
            self.patch.binary(&hint, OpKind::Add, kept, rest)
        };
        self.masks_with_batch(&hint, outlet, value)
    }

    /// `M_k * (v - rest)` for every k.
    pub(super) fn copies_above_rest(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        let hint = format!("{}/mosaic", self.node(outlet).name);
        let masks = self.masks_beside(outlet)?;
        let kept = self.kept(&hint, outlet, masks);
        self.masks_with_batch(&hint, outlet, kept)
    }

    /// `[N·g, K, ..]` as copies `[N·K·g, ..]`, with g groups that share the axis of the batch.
    fn masks_with_batch(&mut self, hint: &str, outlet: OutletId, value: OutletId) -> Result<OutletId, Why> {
        let (samples, groups) = self.batch_and_groups(outlet)?;
        let mut value = value;
        if groups != Size::Fixed(1) {
            let mut sizes = self.patch.sizes(value);
            sizes.splice(..1, [samples, groups]);
            value = self.patch.reshape(hint, value, &sizes);
            let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..sizes.len()).collect();
            value = self.patch.transpose(hint, value, &order);
        }
        let sizes = self.dense_sizes(outlet)?;
        Ok(self.patch.reshape(hint, value, &sizes))
    }

    fn kept(&mut self, hint: &str, outlet: OutletId, masks: OutletId) -> OutletId {
        self.weighed(hint, outlet, masks, |this, value| {
            let above = this.less_rest(outlet, value);
            this.patch.unsqueeze(hint, above, &[1])
        })
    }

    /// The masks `[K, ..]`, laid along the positions of a value `[N, 1, ..]`.
    fn masks_beside(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        let node = self.node(outlet);
        let axes = self.labels.get(outlet).ok_or("which of its axes are height and width is lost here")?;
        let batch = self.batch_axis(outlet)?;
        let in_order = axes.0.iter().flat_map(|axis| axis.atoms.iter()).map(|atom| atom.role);
        let in_order: Vec<Role> =
            in_order.filter(|role| matches!(role, Role::Height | Role::Width)).collect();
        let prefix = axes.0.iter().map(|axis| axis.prefix).max().unwrap_or(0);
        let tokens = axes.positional().len() == 1;
        let plain = !axes.0[batch].positional() && (prefix == 0 || tokens);
        if !plain || in_order != [Role::Height, Role::Width] {
            return Err("its positions are not rows and columns in order".to_owned());
        }
        let (h, w) = self.target.layout.grid.clone();
        // One extent for each atom of a positional axis: 1 x K masks, laid along the map's axes.
        let mut mask_sizes = vec![self.k()];
        for (i, axis) in axes.0.iter().enumerate() {
            if i == batch {
                continue;
            }
            let part = axis.atoms.iter().map(|atom| match atom.role {
                Role::Height => h.clone(),
                Role::Width => w.clone(),
                _ => Size::Fixed(1),
            });
            if axis.positional()
                && axis.atoms.iter().any(|atom| !matches!(atom.role, Role::Height | Role::Width))
            {
                return Err("positions share an axis with something else".to_owned());
            }
            mask_sizes.push(if axis.prefix > 0 {
                self.original_sizes(outlet)[i].clone()
            } else {
                Size::product(part)
            });
        }
        // The masks' axis takes the place after the batch.
        if batch != 0 {
            return Err("the batch is not its first axis".to_owned());
        }
        let element = node.outputs[outlet.slot].fact.element;
        if !element.is_float() {
            return Err("its elements are no real numbers, which a mask could weigh".to_owned());
        }
        let masks = self.masks(prefix, element);
        Ok(self.patch.reshape("masks", masks, &mask_sizes))
    }

    /// The masks, `[K, prefix + K]`.
    pub(super) fn masks(&mut self, prefix: usize, element: ElementType) -> OutletId {
        self.mask.weights(self.patch, &self.target.layout.grid, prefix, element)
    }

    /// The extents of a value's copies: the original's, with N·K for N.
    pub(super) fn dense_sizes(&self, outlet: OutletId) -> Result<Vec<Size>, Why> {
        let batch = self.batch_axis(outlet)?;
        let mut sizes = self.original_sizes(outlet);
        sizes[batch] = Size::product([sizes[batch].clone(), self.k()]);
        Ok(sizes)
    }

    fn dense_fact(&self, outlet: OutletId) -> Result<Fact, Why> {
        let shape: Shape = self.dense_sizes(outlet)?.iter().map(Size::dim).collect();
        Ok(Fact::new(self.patch.fact(outlet).element, shape))
    }

    fn batch_axis(&self, outlet: OutletId) -> Result<usize, Why> {
        let axes = self.labels.get(outlet).ok_or("which of its axes is the batch is lost here")?;
        axes.batch().ok_or_else(|| "which of its axes is the batch is lost here".to_owned())
    }

    fn not_batch(&self, outlet: OutletId, axes: &[usize]) -> Result<(), Why> {
        match axes.contains(&self.batch_axis(outlet)?) {
            true => Err("it works along the batch".to_owned()),
            false => Ok(()),
        }
    }

    fn dense_first(&mut self, id: NodeId, node: &Node) -> Result<Vec<OutletId>, Why> {
        self.only_first(node)?;
        let mut inputs = node.inputs.clone();
        inputs[0] = self.dense(inputs[0])?;
        self.dense_clone(id, node, inputs)
    }

    fn dense_clone(&mut self, id: NodeId, node: &Node, inputs: Vec<OutletId>) -> Result<Vec<OutletId>, Why> {
        let facts = (0..node.outputs.len()).map(|slot| self.dense_fact(OutletId::new(id, slot)));
        let facts = facts.collect::<Result<Vec<_>, _>>()?;
        let cloned = self.patch.add(&node.name, node.op.clone(), inputs, facts);
        Ok((0..node.outputs.len()).map(|slot| OutletId::new(cloned.node, slot)).collect())
    }

    fn dense_matmul(&mut self, id: NodeId, node: &Node, batch: usize) -> Result<Vec<OutletId>, Why> {
        let rank = node.outputs[0].fact.rank();
        let mut inputs = Vec::new();
        for (i, input) in node.inputs.iter().enumerate() {
            let whole = self.patch.fact(*input).rank();
            inputs.push(match self.form(*input) {
                Some(_) => {
                    let at = self.batch_axis(*input)?;
                    let transposed = node.op.flag(if i == 0 { "transpose_a" } else { "transpose_b" });
                    let back = if (i == 0) == transposed { 2 } else { 1 };
                    if whole < 2 || at + back == whole {
                        return Err("it multiplies along the batch".to_owned());
                    }
                    // Leading axes line up from the right; a row or column stays what it is.
                    let kept = if i == 0 { rank - 2 } else { rank - 1 };
                    let lands = if at + 2 < whole { at + rank - whole } else { kept };
                    if lands != batch {
                        return Err("its operands have the batch on different axes".to_owned());
                    }
                    self.dense(*input)?
                }
                // An operand without a batch serves all copies; one with a batch is repeated.
                None if batch + 2 < rank + usize::from(whole < rank) && whole == rank => {
                    self.beside_copies(*input, rank, batch, OutletId::new(id, 0))?
                }
                None => self.same(*input),
            });
        }
        self.dense_clone(id, node, inputs)
    }

    /// An operand that is the same for all masks, made to broadcast against N·K rows.
    pub(super) fn beside_copies(
        &mut self,
        outlet: OutletId,
        rank: usize,
        batch: usize,
        like: OutletId,
    ) -> Result<OutletId, Why> {
        let have = self.patch.fact(outlet).rank();
        match (batch + have).checked_sub(rank) {
            Some(axis) if !self.patch.fact(outlet).shape[axis].is_one() => self.repeated(outlet, axis, like),
            _ => Ok(self.same(outlet)),
        }
    }

    /// Repeats a value K times along its batch, each sample by itself.
    fn repeated(&mut self, outlet: OutletId, axis: usize, like: OutletId) -> Result<OutletId, Why> {
        let fact = self.patch.fact(outlet).clone();
        let value = self.same(outlet);
        let hint = format!("{}/repeated", self.node(outlet).name);
        // How the copies' axis is composed: what is outside the batch, the batch, what is inside.
        let batch = self.batch_axis(like)?;
        let atoms = self.labels.get(like).map(|axes| axes.0[batch].atoms.clone()).unwrap_or_default();
        let at = atoms.iter().position(|atom| atom.role == Role::Batch).ok_or("the batch is lost here")?;
        let extent = |atoms: &[crate::analysis::Atom]| {
            let sizes = atoms.iter().map(crate::analysis::Atom::extent).collect::<Option<Vec<_>>>();
            sizes.map(Size::product).ok_or_else(|| "an extent beside the batch is not known".to_owned())
        };
        let (outer, inner) = (extent(&atoms[..at])?, extent(&atoms[at + 1..])?);
        let sizes = self.patch.sizes(outlet);
        let k = self.k();
        let one = Size::Fixed(1);
        if sizes[axis] == one {
            // The same for every row.
            let rows = match atoms[at].size {
                Dim::Fixed(n) => Size::product([outer, Size::Fixed(n), inner]),
                Dim::Dynamic => self.original_sizes(like)[batch].clone(),
            };
            let mut repeats = vec![one; sizes.len()];
            repeats[axis] = Size::product([rows, k]);
            return Ok(self.patch.tile(&hint, value, &repeats));
        }
        // [.., outer, N, 1, inner, ..] repeated K times in the place of the 1.
        let samples = match (fact.shape[axis], outer.dim().times(inner.dim())) {
            (Dim::Fixed(all), Dim::Fixed(others)) if others > 0 => Size::Fixed(all / others),
            _ if outer == one && inner == one => sizes[axis].clone(),
            _ => return Err("an operand's batch cannot be told from its other extents".to_owned()),
        };
        let split = |k: Size| [outer.clone(), samples.clone(), k, inner.clone()];
        let around = |middle: &[Size]| -> Vec<Size> {
            sizes[..axis].iter().chain(middle).chain(&sizes[axis + 1..]).cloned().collect()
        };
        let value = self.patch.reshape(&hint, value, &around(&split(Size::Fixed(1))));
        let mut repeats = vec![Size::Fixed(1); sizes.len() + 3];
        repeats[axis + 2] = k.clone();
        let value = self.patch.tile(&hint, value, &repeats);
        let all = Size::product(split(k));
        Ok(self.patch.reshape(&hint, value, &around(&[all])))
    }

    /// Clones a pick on `x`, whose batch may be larger than the original's.
    pub(super) fn pick(
        &mut self,
        node: &Node,
        parts: &[Vec<Selection>],
        x: OutletId,
        shape: impl Fn(&Self, usize) -> Result<Shape, Why>,
    ) -> Result<Vec<OutletId>, Why> {
        let facts = (0..node.outputs.len())
            .map(|slot| Ok(Fact::new(node.outputs[slot].fact.element, shape(self, slot)?)))
            .collect::<Result<Vec<_>, Why>>()?;
        if !matches!(node.op.kind, OpKind::Slice | OpKind::StridedSlice) {
            let mut inputs = node.inputs.clone();
            inputs[0] = x;
            let cloned = self.patch.add(&node.name, node.op.clone(), inputs, facts);
            return Ok((0..node.outputs.len()).map(|slot| OutletId::new(cloned.node, slot)).collect());
        }
        // The original may spell out the whole batch; written anew, only what is cut is named.
        let rank = self.patch.fact(x).rank();
        let picks = parts.first().map_or(&[][..], Vec::as_slice);
        let mut begin = vec![0i64; rank];
        let mut end = vec![0i64; rank];
        let mut stride = vec![1i64; rank];
        let (mut begin_mask, mut end_mask, mut shrink) = (vec![1; rank], vec![1; rank], vec![0; rank]);
        let mut extents = node.outputs[0].fact.shape.iter();
        for axis in 0..rank {
            let Some(pick) = picks.iter().find(|pick| pick.axis == axis) else {
                extents.next();
                continue;
            };
            let start = pick.start.ok_or("where its slice starts is not known")?;
            let integer = |value: usize| i64::try_from(value).map_err(|_| "its slice is too long".to_owned());
            (begin[axis], begin_mask[axis], stride[axis]) = (integer(start)?, 0, integer(pick.step)?);
            if pick.drops {
                (end[axis], end_mask[axis], shrink[axis]) = (integer(start.saturating_add(1))?, 0, 1);
                continue;
            }
            let extent = extents.next().copied().unwrap_or(Dim::Dynamic);
            if !pick.to_end {
                let length = extent.fixed().ok_or("where its slice ends is not known")?;
                let last = length.saturating_sub(1).saturating_mul(pick.step).saturating_add(start);
                (end[axis], end_mask[axis]) = (integer(last.saturating_add(1))?, 0);
            }
        }
        let list = |values: &[i32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let zeros = list(&vec![0; rank]);
        let op = Op::new(OpKind::StridedSlice, "opset1")
            .with("begin_mask", list(&begin_mask))
            .with("end_mask", list(&end_mask))
            .with("new_axis_mask", &zeros)
            .with("shrink_axis_mask", list(&shrink))
            .with("ellipsis_mask", zeros);
        let begin = self.patch.integers(&format!("{}/begin", node.name), &begin);
        let end = self.patch.integers(&format!("{}/end", node.name), &end);
        let stride = self.patch.integers(&format!("{}/stride", node.name), &stride);
        Ok(vec![self.patch.add(&node.name, op, vec![x, begin, end, stride], facts)])
    }
}
