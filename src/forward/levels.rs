//! Functions that are not linear, under weighted masks.
//!
//! A Gaussian mask has few different weights. Behind a norm or an activation `f(M v + (1 - M) rest)` is no
//! longer linear in M, but it is known: one tensor for each weight, as large as the original, in place of K.

use super::{Background, Form, Lowering, Why};
use crate::graph::{Node, NodeId, OpKind, OutletId};

/// The weights of a mask between 0, which is the rest, and 1, which is the original.
const WEIGHTS: [f32; 3] = [1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0];

impl Lowering<'_, '_> {
    /// Notes that the function which is being lowered is not linear.
    pub(super) fn bends(&mut self) {
        self.bent = true;
    }

    /// Checks that the masks are 0 and 1.
    pub(super) fn binary_masks(&self) -> Result<(), Why> {
        match self.mask.binary() {
            true => Ok(()),
            false => Err("masks with weights other than 0 and 1 are not pooled".to_owned()),
        }
    }

    /// Works out what becomes of each weight in a node whose result is not linear in it.
    pub(super) fn bend(&mut self, id: NodeId, node: &Node, forms: &[Form]) {
        let bent = std::mem::take(&mut self.bent);
        let before = node.inputs.iter().any(|input| self.levels.contains_key(input));
        let kept = forms.iter().all(|form| matches!(form, Form::OneHot { .. }));
        if self.mask.binary() || !kept || !(bent || before) {
            return;
        }
        let mut firsts = Vec::new();
        for i in 0..WEIGHTS.len() {
            let inputs = node.inputs.iter().map(|input| self.at_weight(*input, i)).collect();
            let facts = node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
            firsts.push(self.patch.add(&format!("{}/weight", node.name), node.op.clone(), inputs, facts));
        }
        for slot in 0..node.outputs.len() {
            let levels = firsts.iter().map(|first| OutletId::new(first.node, first.slot + slot)).collect();
            self.levels.insert(OutletId::new(id, slot), levels);
        }
    }

    /// A value where the mask has the i-th weight.
    fn at_weight(&mut self, outlet: OutletId, i: usize) -> OutletId {
        if let Some(levels) = self.levels.get(&outlet) {
            return levels[i];
        }
        let Some(rest) = self.rest(outlet) else { return self.same(outlet) };
        let hint = format!("{}/weight", self.node(outlet).name);
        let above = self.above_rest(outlet);
        let weight = self.patch.float(&hint, self.patch.fact(outlet).element, WEIGHTS[i]);
        let value = self.patch.binary(&hint, OpKind::Multiply, above, weight);
        match rest {
            Background::Zero => value,
            Background::Value(rest) => self.patch.binary(&hint, OpKind::Add, value, rest),
        }
    }

    /// Whether a value is not linear in the masks.
    pub(super) fn bent(&self, outlet: OutletId) -> bool {
        self.levels.contains_key(&outlet)
    }

    /// `M_k * (v - rest)`, or what stands for it where v is not linear in the masks. `part` makes of a tensor like
    /// v what is to be weighed, less its rest; `masks` broadcast with that.
    pub(super) fn weighed(
        &mut self,
        hint: &str,
        outlet: OutletId,
        masks: OutletId,
        mut part: impl FnMut(&mut Self, OutletId) -> OutletId,
    ) -> OutletId {
        let Some(levels) = self.levels.get(&outlet).cloned() else {
            let above = part(self, self.hot(outlet));
            return self.patch.binary(hint, OpKind::Multiply, above, masks);
        };
        let whole = (self.prefix(outlet) > 0 && self.mask.class_token).then_some((1.0, self.hot(outlet)));
        let mut sum = None;
        for (weight, value) in WEIGHTS.into_iter().zip(levels).chain(whole) {
            let element = self.patch.fact(masks).element;
            let weight = self.patch.float("masks/weight", element, weight);
            let here = self.patch.binary("masks/weight", OpKind::Equal, masks, weight);
            let here = self.patch.convert("masks/weight", here, element);
            let above = part(self, value);
            let kept = self.patch.binary(hint, OpKind::Multiply, above, here);
            sum = Some(match sum {
                None => kept,
                Some(sum) => self.patch.binary(hint, OpKind::Add, sum, kept),
            });
        }
        sum.unwrap_or(outlet)
    }

    /// A tensor like `outlet` less its rest.
    pub(super) fn less_rest(&mut self, outlet: OutletId, value: OutletId) -> OutletId {
        match self.rest(outlet) {
            Some(Background::Value(rest)) => {
                let hint = format!("{}/above_rest", self.node(outlet).name);
                self.patch.binary(&hint, OpKind::Subtract, value, rest)
            }
            _ => value,
        }
    }
}
