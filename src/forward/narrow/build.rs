//! Making the narrow versions of operations, as they were planned.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Demand, Make, Plan, Plans, Rows, Slice};
use crate::graph::{Fact, Node, NodeId, OutletId, Size};
use crate::ir::Dim;
use crate::model::Model;
use crate::patch::Patch;

/// The model with the narrow way added, and where that ends; `None` where nothing is narrower than it was.
pub(super) fn build(
    model: &Model,
    plans: &Plans,
    head: &[NodeId],
    masked: &[OutletId],
    logits: OutletId,
) -> Option<(Model, OutletId)> {
    let inside = head.iter().copied().collect();
    let mut builder = Builder { model, masked, inside, patch: Patch::new(model), narrow: BTreeMap::new() };
    for &id in head {
        builder.node(id, plans.of(id)?)?;
    }
    let (outlet, _) = builder.narrow.get(&logits).copied().filter(|(outlet, _)| *outlet != logits)?;
    Some((builder.patch.into_model(), outlet))
}

struct Builder<'a> {
    model: &'a Model,
    masked: &'a [OutletId],
    inside: BTreeSet<NodeId>,
    patch: Patch<'a>,
    /// The narrow version of each value of the head, and what of the original it holds; the original
    /// itself where all of it is read.
    narrow: BTreeMap<OutletId, (OutletId, Demand)>,
}

impl Builder<'_> {
    /// Makes the narrow version of a node. `None` where it needs what is not there.
    fn node(&mut self, id: NodeId, plan: &Plan) -> Option<()> {
        if plan.demand == Demand::Nothing {
            return Some(());
        }
        let node = self.model.node(id);
        let slots = 0..node.outputs.len();
        if plan.demand == Demand::All && node.inputs.iter().all(|input| self.untouched(*input)) {
            // A selection that stands here already included.
            let outlets = slots.map(|slot| OutletId::new(id, slot));
            self.narrow.extend(outlets.map(|outlet| (outlet, (outlet, Demand::All))));
            return Some(());
        }
        let mut inputs = Vec::new();
        for (input, need) in node.inputs.iter().zip(&plan.needs) {
            inputs.push(match need {
                Demand::Nothing => None,
                _ => Some(self.read(*input, *need)?),
            });
        }
        let facts: Vec<Fact> =
            node.outputs.iter().map(|outlet| narrowed(&outlet.fact, plan.demand)).collect();
        let first = match &plan.make {
            Make::Slices(slices) => return self.slices(id, node, slices, inputs[0]?, plan.needs[0]),
            Make::Reshape => {
                let sizes = self.patch.sizes(OutletId::new(id, 0));
                let dims = facts[0].shape.iter().zip(sizes);
                let sizes: Vec<Size> =
                    dims.map(|(dim, size)| dim.fixed().map_or(size, Size::Fixed)).collect();
                self.patch.reshape(&node.name, inputs[0]?, &sizes)
            }
            Make::Join { axis } => {
                let parts: Vec<OutletId> = inputs.into_iter().flatten().collect();
                self.patch.concat(&node.name, &parts, *axis)
            }
            Make::Clone => {
                let inputs = inputs.into_iter().collect::<Option<Vec<_>>>()?;
                self.patch.add(&node.name, node.op.clone(), inputs, facts)
            }
        };
        for slot in slots {
            let narrow = OutletId::new(first.node, first.slot + slot);
            self.narrow.insert(OutletId::new(id, slot), (narrow, plan.demand));
        }
        Some(())
    }

    /// Whether a value is read as it is in the original.
    fn untouched(&self, outlet: OutletId) -> bool {
        match self.narrow.get(&outlet) {
            Some((narrow, whole)) => *narrow == outlet && *whole == Demand::All,
            None => !self.inside.contains(&outlet.node) || self.masked.contains(&outlet),
        }
    }

    /// The outputs of a selection, from `have`, which holds what they `need` together.
    fn slices(
        &mut self,
        id: NodeId,
        node: &Node,
        slices: &[Option<Slice>],
        have: OutletId,
        need: Demand,
    ) -> Option<()> {
        let Demand::Rows(Rows { start: first, .. }) = need else { return None };
        for (slot, slice) in slices.iter().enumerate() {
            let Some(Slice { rows: Rows { axis, start, end }, drops }) = *slice else { continue };
            let rows = self.slice(&node.name, have, Rows { axis, start: start - first, end: end - first });
            let rows = if drops { self.patch.squeeze(&node.name, rows, &[axis]) } else { rows };
            self.narrow.insert(OutletId::new(id, slot), (rows, Demand::All));
        }
        Some(())
    }

    /// The needed entries of a value, from its narrow version.
    fn read(&mut self, outlet: OutletId, need: Demand) -> Option<OutletId> {
        let (have, whole) = match self.narrow.get(&outlet) {
            Some(narrow) => *narrow,
            None if self.inside.contains(&outlet.node) && !self.masked.contains(&outlet) => return None,
            None => (outlet, Demand::All),
        };
        let name = self.model.node(outlet.node).name.as_str();
        match (whole, need) {
            (Demand::All, Demand::All) => Some(have),
            (Demand::All, Demand::Rows(rows)) => Some(self.slice(name, have, rows)),
            (Demand::Rows(Rows { axis, start, end }), Demand::Rows(rows))
                if axis == rows.axis && start <= rows.start && rows.end <= end =>
            {
                let rows = Rows { axis, start: rows.start - start, end: rows.end - start };
                Some(self.slice(name, have, rows))
            }
            _ => None,
        }
    }

    fn slice(&mut self, hint: &str, x: OutletId, rows: Rows) -> OutletId {
        let Rows { axis, start, end } = rows;
        match self.patch.fact(x).shape[axis] {
            Dim::Fixed(extent) if start == 0 && end == extent => x,
            _ => self.patch.slice(&format!("{hint}/tokens"), x, axis, start, Some(end)),
        }
    }
}

fn narrowed(fact: &Fact, demand: Demand) -> Fact {
    let mut shape = fact.shape.clone();
    if let Demand::Rows(Rows { axis, start, end }) = demand
        && let Some(dim) = shape.get_mut(axis)
    {
        *dim = Dim::Fixed(end - start);
    }
    Fact::new(fact.element, shape)
}
