//! Transfer rules of the per-position form: a "fully convolutional" head.
//!
//! The value is `[N,C,h,w]` where the original is a vector of C channels. What multiplies channels is a 1x1
//! convolution here; what rearranges axes of extent 1 is nothing at all.

use super::{Form, Lowering, Why};
use crate::graph::{Fact, Node, NodeId, OpKind, OutletId, Size};
use crate::ops::{Action, Extent, Reduction, Window, WindowKind};

impl Lowering<'_, '_> {
    pub(super) fn position_node(
        &mut self,
        id: NodeId,
        node: &Node,
        action: &Action,
    ) -> Result<Vec<Form>, Why> {
        let Some(&first) = node.inputs.first() else { return Err("it has no inputs".to_owned()) };
        let (_, channel) = self.vector(OutletId::new(id, 0))?;
        let value = match action {
            Action::Elementwise(_) => self.position_elementwise(id, node)?,
            Action::Pointwise(_) => {
                self.only_first(node)?;
                let x = self.at_positions(first)?;
                let inputs = std::iter::once(x).chain(node.inputs.iter().skip(1).copied());
                self.plain_parameters(node)?;
                self.position_clone(node, inputs.collect(), x)
            }
            Action::Within { axes, .. } if matches!(node.op.kind, OpKind::SoftMax | OpKind::LogSoftmax) => {
                if axes[..] != [channel] {
                    return Err("it works along an axis of extent 1".to_owned());
                }
                let x = self.at_positions(first)?;
                let fact = self.patch.fact(x).clone();
                self.patch.add(&node.name, node.op.clone().replacing("axis", 1), vec![x], vec![fact])
            }
            Action::Reduce { reduction: Reduction::Other, .. } => {
                return Err("no rule for this reduction on values per position".to_owned());
            }
            Action::Reduce { axes, .. } => {
                let shape = &self.patch.fact(first).shape;
                if !axes.iter().all(|axis| shape[*axis].is_one()) {
                    return Err("it reduces over channels".to_owned());
                }
                self.at_positions(first)?
            }
            Action::Transpose { .. } | Action::Reshape => {
                self.only_first(node)?;
                self.at_positions(first)?
            }
            Action::Concat { axis } => {
                if *axis != channel {
                    return Err("it joins along another axis than the channels".to_owned());
                }
                let parts: Vec<OutletId> =
                    node.inputs.iter().map(|input| self.at_positions(*input)).collect::<Result<_, _>>()?;
                self.patch.concat(&node.name, &parts, 1)
            }
            Action::Window(Window { kind, extent }) => self.position_window(node, first, *kind, *extent)?,
            Action::MatMul { transpose_a, transpose_b } => {
                self.position_matmul(node, first, *transpose_a, *transpose_b)?
            }
            Action::Within { .. } => {
                return Err("a norm over channels is faster with channels last".to_owned());
            }
            _ => return Err("no rule for this operation on values per position".to_owned()),
        };
        Ok(vec![Form::PerPosition(value)])
    }

    /// Axes of batch and channels where every other axis has extent 1.
    pub(super) fn vector(&self, outlet: OutletId) -> Result<(usize, usize), Why> {
        let axes = self.labels.get(outlet).ok_or("which of its axes is the batch is lost here")?;
        let batch = axes.batch().filter(|axis| axes.0[*axis].atoms.len() == 1);
        let batch = batch.ok_or("the batch shares an axis with something else here")?;
        let shape = &self.patch.fact(outlet).shape;
        let others: Vec<usize> = (0..shape.len()).filter(|axis| *axis != batch).collect();
        let many: Vec<usize> = others.iter().copied().filter(|axis| !shape[*axis].is_one()).collect();
        match (&many[..], &others[..]) {
            ([channel], _) | ([], [channel, ..]) => Ok((batch, *channel)),
            _ => Err("its result is more than a vector of channels".to_owned()),
        }
    }

    pub(super) fn at_positions(&self, outlet: OutletId) -> Result<OutletId, Why> {
        match self.form(outlet) {
            Some(Form::PerPosition(value)) => Ok(*value),
            _ => Err("an operand does not depend on the mask".to_owned()),
        }
    }

    fn position_clone(&mut self, node: &Node, inputs: Vec<OutletId>, like: OutletId) -> OutletId {
        let fact = Fact::new(node.outputs[0].fact.element, self.patch.fact(like).shape.clone());
        self.patch.add(&node.name, node.op.clone(), inputs, vec![fact])
    }

    fn position_elementwise(&mut self, id: NodeId, node: &Node) -> Result<OutletId, Why> {
        let (batch, channel) = self.vector(OutletId::new(id, 0))?;
        let rank = node.outputs[0].fact.rank();
        let mut inputs = Vec::new();
        for input in &node.inputs {
            inputs.push(match self.form(*input) {
                Some(Form::PerPosition(value)) => {
                    if self.vector(*input)? != (batch, channel) || self.patch.fact(*input).rank() != rank {
                        return Err("its operands have their channels on different axes".to_owned());
                    }
                    *value
                }
                _ => self.beside_positions(&node.name, *input, rank, batch, channel)?,
            });
        }
        let element = node.outputs[0].fact.element;
        Ok(self.patch.elementwise(&node.name, node.op.clone(), inputs, element))
    }

    /// A value that does not depend on the mask, laid out to broadcast against `[N,C,h,w]`.
    fn beside_positions(
        &mut self,
        hint: &str,
        outlet: OutletId,
        rank: usize,
        batch: usize,
        channel: usize,
    ) -> Result<OutletId, Why> {
        let fact = self.patch.fact(outlet);
        if fact.shape.iter().all(|dim| dim.is_one()) && fact.rank() <= 4 {
            return Ok(outlet);
        }
        let sizes = self.patch.sizes(outlet);
        let along = |axis: usize| {
            (axis + sizes.len())
                .checked_sub(rank)
                .and_then(|axis| sizes.get(axis).cloned())
                .unwrap_or(Size::Fixed(1))
        };
        for axis in (0..rank).filter(|axis| *axis != batch && *axis != channel) {
            if along(axis) != Size::Fixed(1) {
                return Err("its other operand has more axes than channels".to_owned());
            }
        }
        if channel < batch && along(batch) != Size::Fixed(1) {
            return Err("its other operand has the channels before the batch".to_owned());
        }
        let target = [along(batch), along(channel), Size::Fixed(1), Size::Fixed(1)];
        Ok(self.patch.reshape(&format!("{hint}/operand"), outlet, &target))
    }

    fn position_window(
        &mut self,
        node: &Node,
        first: OutletId,
        kind: WindowKind,
        extent: Extent,
    ) -> Result<OutletId, Why> {
        self.only_first(node)?;
        let (_, channel) = self.vector(first)?;
        let x = self.at_positions(first)?;
        match (kind, extent) {
            // Pooling over a map of one position.
            (WindowKind::Pool(_), Extent::Point | Extent::Whole) => Ok(x),
            (_, Extent::Point | Extent::Whole) if channel == 1 && node.outputs[0].fact.rank() == 4 => {
                let mut fact = self.patch.fact(x).clone();
                fact.shape[1] = node.outputs[0].fact.shape[1];
                // A stride means nothing on one position, but here it would skip some.
                let op = node.op.clone().replacing("strides", "1, 1").replacing("dilations", "1, 1");
                Ok(self.patch.add(&node.name, op, vec![x, node.inputs[1]], vec![fact]))
            }
            _ => Err("its kernel is larger than one position".to_owned()),
        }
    }

    /// A matrix product over channels as a 1x1 convolution.
    fn position_matmul(&mut self, node: &Node, first: OutletId, ta: bool, tb: bool) -> Result<OutletId, Why> {
        self.only_first(node)?;
        let weight = node.inputs[1];
        let rank = self.patch.fact(first).rank();
        let (_, channel) = self.vector(first)?;
        if self.patch.fact(weight).rank() != 2 || rank < 2 || ta || channel != rank - 1 {
            return Err("it is no product of channels with one matrix".to_owned());
        }
        let x = self.at_positions(first)?;
        let hint = format!("{}/weight", node.name);
        let order = if tb { [0, 1] } else { [1, 0] };
        let weight = self.patch.transpose(&hint, weight, &order);
        let mut sizes = self.patch.sizes(weight);
        sizes.extend([Size::Fixed(1), Size::Fixed(1)]);
        let weight = self.patch.reshape(&hint, weight, &sizes);
        Ok(self.patch.pointwise_convolution(&node.name, x, weight))
    }
}
