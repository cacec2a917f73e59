//! An operation of the head, and what a rule makes of it.

use super::form::Form;
use super::why::Why;
use crate::graph::{Node, NodeId, OutletId};
use crate::ops::Action;

/// An operation of the head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) id: NodeId,
    pub(super) node: &'a Node,
    /// How it moves and mixes data.
    pub(super) action: &'a Action,
}

impl Operation<'_> {
    /// Its first output.
    pub(super) fn out(self) -> OutletId {
        self.output(0)
    }

    pub(super) fn output(self, slot: usize) -> OutletId {
        OutletId::new(self.id, slot)
    }

    /// All of its outputs.
    pub(super) fn outputs(self) -> impl Iterator<Item = OutletId> {
        (0..self.node.outputs.len()).map(move |slot| self.output(slot))
    }

    /// Its first input.
    pub(super) fn first(self) -> Result<OutletId, Why> {
        self.node.inputs.first().copied().ok_or(Why::NoInputs)
    }

    /// The two operands of a product.
    pub(super) fn operands(self) -> Result<[OutletId; 2], Why> {
        <[OutletId; 2]>::try_from(&self.node.inputs[..]).map_err(|_| Why::NotTwoOperands)
    }

    /// A name for a node that stands for `part` of it.
    pub(super) fn hint(self, part: &str) -> String {
        format!("{}/{part}", self.node.name)
    }
}

/// What a rule made of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    /// The forms of its outputs; of the first ones, where a rule speaks of fewer than there are.
    pub(super) forms: Vec<Form>,
    /// Whether the operation is linear in what is masked. Where it is not, a value under a weight between 0 and 1
    /// is no mean of what it is at those two.
    pub(super) linear: bool,
}

impl Applied {
    /// Of an operation that is linear in what is masked, or has no masked result.
    pub(super) fn linear(forms: Vec<Form>) -> Self {
        Self { forms, linear: true }
    }

    /// One result of an operation that is linear in what is masked, or not a masked one.
    pub(super) fn one(form: Form) -> Self {
        Self::linear(vec![form])
    }

    /// The same, of an operation that may be linear or not.
    pub(super) fn with_linear(self, linear: bool) -> Self {
        Self { linear, ..self }
    }
}
