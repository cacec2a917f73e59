//! Slice sinking: where only some tokens of a value are read, only those are computed.
//!
//! A classifier that reads the class token makes every other token dead behind the last attention. The
//! selection at the end is pushed up through whatever treats tokens one by one, to the queries of that
//! attention. The result is a second way to the logits, beside the first: operations on few tokens, which
//! start with slices of the original values. What of it a branch does not need is never emitted.

use std::collections::{BTreeMap, BTreeSet};

use super::head;
use crate::analysis::Labels;
use crate::graph::{Fact, Node, NodeId, OpKind, OutletId, Size};
use crate::ir::{Dim, Shape};
use crate::model::Model;
use crate::ops::{Action, Selection};
use crate::patch::Patch;
use crate::tasks::Logits;

/// What of a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Demand {
    /// Nothing of it.
    #[default]
    Nothing,
    /// Entries `start..end` of one axis.
    Rows { axis: usize, start: usize, end: usize },
    /// All of it.
    All,
}

impl Demand {
    fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, demand) | (demand, Self::Nothing) => demand,
            (Self::Rows { axis, start, end }, Self::Rows { axis: other, start: first, end: last })
                if axis == other =>
            {
                Self::Rows { axis, start: start.min(first), end: end.max(last) }
            }
            _ => Self::All,
        }
    }

    /// The same entries of another axis; all where that has none of its own.
    fn on(self, axis: Option<usize>, shape: &[Dim]) -> Self {
        match (self, axis) {
            (Self::Rows { start, end, .. }, Some(axis))
                if shape.get(axis).is_some_and(|dim| !dim.is_one()) =>
            {
                Self::Rows { axis, start, end }
            }
            (Self::Nothing, _) => Self::Nothing,
            _ => Self::All,
        }
    }
}

/// The model with the narrow way to the logits added, and the logits at its end. `None` where nothing can be
/// narrowed.
pub(crate) fn sink(
    model: &Model,
    labels: &Labels,
    masked: &[OutletId],
    logits: &Logits,
) -> Option<(Model, Logits)> {
    let nodes = head(model, masked, logits.outlet.node);
    let demands = Demands::new(model, labels, &nodes, masked, logits.outlet);
    let mut sinking = Sinking {
        model,
        demands,
        masked,
        inside: nodes.iter().copied().collect(),
        patch: Patch::new(model),
        narrow: BTreeMap::new(),
    };
    for id in nodes {
        sinking.node(id)?;
    }
    let (outlet, _) =
        sinking.narrow.get(&logits.outlet).copied().filter(|(outlet, _)| *outlet != logits.outlet)?;
    Some((sinking.patch.into_model(), Logits { outlet, ..logits.clone() }))
}

/// What is read of each value of the head.
struct Demands<'a> {
    model: &'a Model,
    labels: &'a Labels,
    of: BTreeMap<OutletId, Demand>,
}

impl<'a> Demands<'a> {
    fn new(
        model: &'a Model,
        labels: &'a Labels,
        head: &[NodeId],
        masked: &[OutletId],
        logits: OutletId,
    ) -> Self {
        let mut demands = Self { model, labels, of: BTreeMap::from([(logits, Demand::All)]) };
        for &id in head.iter().rev() {
            let outputs = (0..model.node(id).outputs.len()).map(|slot| OutletId::new(id, slot));
            if demands.needs(id).is_none() {
                // It cannot be computed in part.
                demands.of.extend(outputs.map(|outlet| (outlet, Demand::All)));
            }
            let needs = demands.needs(id).unwrap_or_default();
            for (input, need) in model.node(id).inputs.iter().zip(needs) {
                if !masked.contains(input) {
                    let demand = demands.of.entry(*input).or_default();
                    *demand = demand.union(need);
                }
            }
        }
        demands
    }

    fn of(&self, outlet: OutletId) -> Demand {
        self.of.get(&outlet).copied().unwrap_or_default()
    }

    /// What of all outputs of a node is read, as one.
    fn of_node(&self, id: NodeId) -> Demand {
        let outputs = 0..self.model.node(id).outputs.len();
        outputs.fold(Demand::Nothing, |all, slot| all.union(self.of(OutletId::new(id, slot))))
    }

    /// Tokens that an output of a pick takes from its input, where all of them stand before the grid's.
    fn picked(&self, node: &Node, picks: &[Selection], slot: usize) -> Option<Demand> {
        let [pick] = picks else { return None };
        let axes = self.labels.get(*node.inputs.first()?)?;
        let start = pick.start.filter(|_| pick.drops || pick.step == 1)?;
        let length = if pick.drops { 1 } else { node.outputs[slot].fact.shape.get(pick.axis)?.fixed()? };
        let end = start.checked_add(length)?;
        (end <= axes.0.get(pick.axis)?.prefix).then_some(Demand::Rows { axis: pick.axis, start, end })
    }

    /// What a node reads of its inputs; `None` where only a part of its result is read, but that cannot be
    /// computed without the rest.
    fn needs(&self, id: NodeId) -> Option<Vec<Demand>> {
        let node = self.model.node(id);
        let demand = self.of_node(id);
        let shape = |i: usize| &self.model.graph().fact(node.inputs[i]).shape;
        let rank = node.outputs.first().map_or(0, |outlet| outlet.fact.rank());
        let mut needs = vec![Demand::All; node.inputs.len()];
        if demand == Demand::Nothing || node.inputs.is_empty() {
            return Some(vec![Demand::Nothing; node.inputs.len()]);
        }
        let action = self.model.action(id);
        if let Action::Select(parts) = &action {
            let picked =
                parts.iter().enumerate().map(|(slot, picks)| match self.of(OutletId::new(id, slot)) {
                    Demand::Nothing => Some(Demand::Nothing),
                    _ => self.picked(node, picks, slot),
                });
            if let Some(picked) = picked.collect::<Option<Vec<_>>>() {
                needs[0] = picked.into_iter().fold(Demand::Nothing, Demand::union);
                return Some(needs);
            }
        }
        let Demand::Rows { axis, .. } = demand else { return Some(needs) };
        // An axis of the result as one of an operand, which broadcasting lines up from the right.
        let aligned = |i: usize, axis: usize| (axis + shape(i).len()).checked_sub(rank);
        match action {
            Action::Elementwise(_) => {
                for (i, need) in needs.iter_mut().enumerate() {
                    *need = demand.on(aligned(i, axis), shape(i));
                }
            }
            Action::Pointwise(_) => needs[0] = demand,
            Action::Within { axes, .. } if !axes.contains(&axis) => needs[0] = demand,
            Action::Reduce { axes, keep_dims, .. } => {
                let kept: Vec<usize> =
                    (0..shape(0).len()).filter(|i| *keep_dims || !axes.contains(i)).collect();
                let from = kept.get(axis).copied().filter(|axis| !axes.contains(axis));
                needs[0] = demand.on(from, shape(0));
            }
            Action::MatMul { transpose_a, transpose_b } if shape(0).len() > 1 && shape(1).len() > 1 => {
                let (a, b) = (shape(0).len(), shape(1).len());
                if axis + 2 == rank {
                    needs[0] = demand.on(Some(if *transpose_a { a - 1 } else { a - 2 }), shape(0));
                } else if axis + 1 == rank {
                    needs[1] = demand.on(Some(if *transpose_b { b - 2 } else { b - 1 }), shape(1));
                } else {
                    for (i, need) in needs.iter_mut().enumerate() {
                        *need = demand.on(aligned(i, axis), shape(i));
                    }
                }
            }
            Action::Attention if axis + 1 < rank => {
                // Rows of the result are those of the queries and of the mask.
                let by_row = axis + 2 == rank;
                for (i, need) in needs.iter_mut().enumerate().filter(|(i, _)| *i < 4) {
                    if !by_row || i == 0 || i == 3 {
                        *need = demand.on(aligned(i, axis), shape(i));
                    }
                }
            }
            Action::Transpose { order } => needs[0] = demand.on(order.get(axis).copied(), shape(0)),
            Action::Reshape => {
                let out = self.labels.get(OutletId::new(id, 0)).map(|axes| &axes.0);
                let input = self.labels.get(node.inputs[0]).map(|axes| &axes.0);
                if let Some((out, input)) = out.zip(input) {
                    let mut same = (0..input.len()).filter(|i| input[*i] == out[axis]);
                    let alone = out.iter().filter(|other| **other == out[axis]).count() == 1;
                    needs[0] = match (same.next(), same.next()) {
                        (Some(from), None) if alone && out[axis].positional() => {
                            demand.on(Some(from), shape(0))
                        }
                        _ => Demand::All,
                    };
                }
            }
            Action::Select(parts) => {
                let [picks] = &parts[..] else {
                    // A split along another axis.
                    let other = parts.iter().flatten().all(|pick| pick.axis != axis && !pick.drops);
                    needs[0] = if other { demand } else { Demand::All };
                    return other.then_some(needs);
                };
                let dropped: Vec<usize> =
                    picks.iter().filter(|pick| pick.drops).map(|pick| pick.axis).collect();
                let mut kept = (0..shape(0).len()).filter(|i| !dropped.contains(i));
                let from = kept.nth(axis).filter(|from| picks.iter().all(|pick| pick.axis != *from));
                needs[0] = demand.on(from, shape(0));
            }
            Action::Concat { axis: joined } if *joined != axis => needs.fill(demand),
            Action::Concat { .. } => {
                self.parts(node, demand, &mut needs);
                return Some(needs);
            }
            _ => {}
        }
        needs.iter().any(|need| matches!(need, Demand::Rows { .. })).then_some(needs)
    }

    /// What of each part of a Concat along the narrow axis is read.
    fn parts(&self, node: &Node, demand: Demand, needs: &mut [Demand]) {
        let Demand::Rows { axis, start, end } = demand else { return };
        let mut offset = Some(0usize);
        for (input, need) in node.inputs.iter().zip(needs) {
            let length = self.model.graph().fact(*input).shape[axis].fixed();
            let Some(from) = offset.filter(|from| *from < end) else {
                if offset.is_some() {
                    *need = Demand::Nothing;
                }
                continue;
            };
            let to = length.and_then(|length| from.checked_add(length));
            *need = match to {
                Some(to) if to <= start => Demand::Nothing,
                Some(to) if start <= from && to <= end => Demand::All,
                _ => Demand::Rows { axis, start: start.saturating_sub(from), end: end - from },
            };
            offset = to;
        }
    }
}

struct Sinking<'a> {
    model: &'a Model,
    demands: Demands<'a>,
    masked: &'a [OutletId],
    inside: BTreeSet<NodeId>,
    patch: Patch<'a>,
    /// The narrow version of each value of the head, and what of the original it holds; the original
    /// itself where all of it is read.
    narrow: BTreeMap<OutletId, (OutletId, Demand)>,
}

impl Sinking<'_> {
    /// Makes the narrow version of a node. `None` where a rule and its counterpart above disagree.
    fn node(&mut self, id: NodeId) -> Option<()> {
        let demand = self.demands.of_node(id);
        if demand == Demand::Nothing {
            return Some(());
        }
        let node = self.model.node(id);
        let needs = self.demands.needs(id)?;
        let slots = 0..node.outputs.len();
        let same = |slot| (OutletId::new(id, slot), (OutletId::new(id, slot), Demand::All));
        let original = |input: &OutletId| match self.narrow.get(input) {
            Some((narrow, whole)) => narrow == input && *whole == Demand::All,
            None => !self.inside.contains(&input.node) || self.masked.contains(input),
        };
        if demand == Demand::All && node.inputs.iter().all(original) {
            // A selection that stands here already included.
            self.narrow.extend(slots.map(same));
            return Some(());
        }
        let mut inputs = Vec::new();
        for (input, need) in node.inputs.iter().zip(&needs) {
            inputs.push(match need {
                Demand::Nothing => None,
                _ => Some(self.read(*input, *need)?),
            });
        }
        let action = self.model.action(id);
        if let (Action::Select(parts), Demand::Rows { start: first, .. }) = (&action, needs[0])
            && parts
                .iter()
                .flatten()
                .any(|pick| matches!(needs[0], Demand::Rows { axis, .. } if axis == pick.axis))
        {
            for (slot, picks) in parts.iter().enumerate() {
                if self.demands.of(OutletId::new(id, slot)) == Demand::Nothing {
                    continue;
                }
                let Demand::Rows { axis, start, end } = self.demands.picked(node, picks, slot)? else {
                    return None;
                };
                let rows = self.slice(&node.name, inputs[0]?, axis, start - first, end - first);
                let rows = if picks[0].drops { self.patch.squeeze(&node.name, rows, &[axis]) } else { rows };
                self.narrow.insert(OutletId::new(id, slot), (rows, Demand::All));
            }
            return Some(());
        }
        let facts: Vec<Fact> = node.outputs.iter().map(|outlet| narrowed(&outlet.fact, demand)).collect();
        let first = match (&action, demand) {
            (Action::Reshape, _) if !matches!(node.op.kind, OpKind::Squeeze | OpKind::Unsqueeze) => {
                let sizes = self.patch.sizes(OutletId::new(id, 0));
                let sizes: Vec<Size> = facts[0]
                    .shape
                    .iter()
                    .zip(sizes)
                    .map(|(dim, size)| dim.fixed().map_or(size, Size::Fixed))
                    .collect();
                self.patch.reshape(&node.name, inputs[0]?, &sizes)
            }
            (Action::Concat { axis }, Demand::Rows { axis: narrow, .. }) if *axis == narrow => {
                let parts: Vec<OutletId> = inputs.into_iter().flatten().collect();
                self.patch.concat(&node.name, &parts, *axis)
            }
            _ => {
                let inputs = inputs.into_iter().collect::<Option<Vec<_>>>()?;
                self.patch.add(&node.name, node.op.clone(), inputs, facts)
            }
        };
        for slot in slots {
            let narrow = OutletId::new(first.node, first.slot + slot);
            self.narrow.insert(OutletId::new(id, slot), (narrow, demand));
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
        match (whole, need) {
            (Demand::All, Demand::All) => Some(have),
            (Demand::All, Demand::Rows { axis, start, end }) => {
                let name = self.model.node(outlet.node).name.clone();
                Some(self.slice(&name, have, axis, start, end))
            }
            (Demand::Rows { axis, start, end }, Demand::Rows { axis: other, start: first, end: last })
                if axis == other && start <= first && last <= end =>
            {
                let name = self.model.node(outlet.node).name.clone();
                Some(self.slice(&name, have, axis, first - start, last - start))
            }
            _ => None,
        }
    }

    fn slice(&mut self, hint: &str, x: OutletId, axis: usize, start: usize, end: usize) -> OutletId {
        match self.patch.fact(x).shape[axis] {
            Dim::Fixed(extent) if start == 0 && end == extent => x,
            _ => self.patch.slice(&format!("{hint}/tokens"), x, axis, start, Some(end)),
        }
    }
}

fn narrowed(fact: &Fact, demand: Demand) -> Fact {
    let mut shape: Shape = fact.shape.clone();
    if let Demand::Rows { axis, start, end } = demand
        && let Some(dim) = shape.get_mut(axis)
    {
        *dim = Dim::Fixed(end - start);
    }
    Fact::new(fact.element, shape)
}
