//! What rules read and write while a head is evaluated.

use super::form::Form;
use super::mask::Mask;
use super::memory::{Memory, MemoryKey};
use super::operation::Operation;
use super::questions::View;
use super::values::Values;
use crate::analysis::{Labels, Target};
use crate::graph::{NodeId, OutletId};
use crate::model::Model;
use crate::patch::Patch;

/// The patch that is being built, and what is known of the values of the head.
#[derive(Debug)]
pub(super) struct Context<'p, 'm> {
    pub(super) patch: &'p mut Patch<'m>,
    pub(super) labels: &'p Labels,
    pub(super) target: &'p Target,
    pub(super) mask: Mask,
    pub(super) values: Values,
    pub(super) memory: Memory,
}

impl<'m> Context<'_, 'm> {
    /// The same, for questions.
    pub(super) fn view(&self) -> View<'_> {
        View {
            model: self.model(),
            patch: self.patch,
            labels: self.labels,
            target: self.target,
            mask: self.mask,
            values: &self.values,
        }
    }

    /// The model that is being patched.
    pub(super) fn model(&self) -> &'m Model {
        self.patch.model()
    }

    /// An operation of the model.
    pub(super) fn operation(&self, id: NodeId) -> Operation<'m> {
        let model = self.model();
        Operation { id, node: model.node(id), action: model.action(id) }
    }

    /// The form of a value, by value: rules go on to add nodes.
    pub(super) fn form(&self, outlet: OutletId) -> Option<Form> {
        self.values.form(outlet).cloned()
    }

    /// The name of the operation that makes a value, for a node that stands for `part` of it.
    pub(super) fn hint(&self, outlet: OutletId, part: &str) -> String {
        format!("{}/{part}", self.model().node(outlet.node).name)
    }

    /// Clones an operation whose operands are others than in the original.
    pub(super) fn replace(&mut self, op: Operation<'_>) {
        let node = op.node;
        if !node.inputs.iter().any(|input| self.values.replaced.contains_key(input)) {
            return;
        }
        let inputs = node.inputs.iter().map(|input| self.view().unblanked(*input)).collect();
        let cloned = self.clone_alike(&node.name, op, inputs);
        self.values.replaced.extend(op.outputs().zip(cloned));
    }

    /// Clones an operation on other operands of the same shapes; returns the outputs.
    pub(super) fn clone_alike(
        &mut self,
        hint: &str,
        op: Operation<'_>,
        inputs: Vec<OutletId>,
    ) -> Vec<OutletId> {
        let facts = op.node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
        let first = self.patch.add(hint, op.node.op.clone(), inputs, facts);
        (0..op.node.outputs.len()).map(|slot| OutletId::new(first.node, slot)).collect()
    }

    /// Counts the copies of a value.
    pub(super) fn count_copies(&mut self, outlet: OutletId) {
        let bytes = self.view().copies_bytes(outlet);
        self.memory.count(MemoryKey::Value(outlet), bytes);
    }
}
