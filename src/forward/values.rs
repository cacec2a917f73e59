//! What is known so far of the values of a head.

use std::collections::BTreeMap;

use super::form::Form;
use crate::graph::OutletId;

/// What stands for the values of a head.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Forms of the values that depend on the mask.
    pub(super) forms: BTreeMap<OutletId, Form>,
    /// Copies that were made of values in cheaper forms.
    pub(super) copies: BTreeMap<OutletId, OutletId>,
    /// What stands for a value of the original, under all masks or where a mask keeps it: blanked class tokens, and
    /// what was computed with them.
    pub(super) replaced: BTreeMap<OutletId, OutletId>,
    /// Masked values whose operation is left out, and what that reads.
    pub(super) left_out: BTreeMap<OutletId, OutletId>,
    /// Masked values that are not linear in the masks: what they are at each partial weight, in the order of
    /// [`Mask::partial_weights`](super::mask::Mask::partial_weights).
    pub(super) at_weights: BTreeMap<OutletId, Vec<OutletId>>,
}

impl Values {
    /// The form of a value; `None` where it does not depend on the mask.
    pub(super) fn form(&self, outlet: OutletId) -> Option<&Form> {
        self.forms.get(&outlet)
    }
}
