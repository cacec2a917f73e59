//! What is read of each value of the head, and how each operation makes just that.

use std::collections::BTreeMap;

use crate::analysis::Labels;
use crate::graph::{Node, NodeId, OpKind, OutletId};
use crate::ir::Dim;
use crate::model::Model;
use crate::ops::{Action, Selection, differs_along};

/// What of a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Demand {
    /// Nothing of it.
    #[default]
    Nothing,
    /// Entries of one axis.
    Rows(Rows),
    /// All of it.
    All,
}

/// Entries `start..end` of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) axis: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Demand {
    /// What is read where both are.
    pub(super) fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, demand) | (demand, Self::Nothing) => demand,
            (Self::Rows(a), Self::Rows(b)) if a.axis == b.axis => {
                Self::Rows(Rows { start: a.start.min(b.start), end: a.end.max(b.end), ..a })
            }
            _ => Self::All,
        }
    }
}

impl Rows {
    /// The same entries of another axis; all where that has none of its own.
    fn on(self, axis: Option<usize>, shape: &[Dim]) -> Demand {
        match axis {
            Some(axis) if shape.get(axis).is_some_and(|dim| !dim.is_one()) => {
                Demand::Rows(Rows { axis, ..self })
            }
            _ => Demand::All,
        }
    }
}

/// How the narrow version of an operation is made from the needed parts of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Make {
    /// The same operation.
    Clone,
    /// A Reshape to the narrow extents.
    Reshape,
    /// A Concat of those parts of which anything is read.
    Join { axis: usize },
    /// Outputs of a selection as slices of its input; `None` for those that nobody reads.
    Slices(Vec<Option<Slice>>),
}

/// Entries of an axis, which goes where there is only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) rows: Rows,
    pub(super) drops: bool,
}

/// What is to become of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is read of its outputs, as one.
    pub(super) demand: Demand,
    /// What that needs of each input.
    pub(super) needs: Vec<Demand>,
    /// How it is made.
    pub(super) make: Make,
}

/// The plan of each operation of the head.
#[derive(Debug)]
pub(super) struct Plans(BTreeMap<NodeId, Plan>);

impl Plans {
    /// Walks back from the logits, of which all is read, to the masked values.
    pub(super) fn new(
        model: &Model,
        labels: &Labels,
        head: &[NodeId],
        masked: &[OutletId],
        logits: OutletId,
    ) -> Self {
        let mut demands = Demands { model, labels, of: BTreeMap::from([(logits, Demand::All)]) };
        let mut plans = BTreeMap::new();
        for &id in head.iter().rev() {
            let plan = demands.plan(id).unwrap_or_else(|| {
                // It cannot be computed in part.
                let outputs = 0..model.node(id).outputs.len();
                demands.of.extend(outputs.map(|slot| (OutletId::new(id, slot), Demand::All)));
                demands.whole(id)
            });
            for (input, need) in model.node(id).inputs.iter().zip(&plan.needs) {
                if !masked.contains(input) {
                    let demand = demands.of.entry(*input).or_default();
                    *demand = demand.union(*need);
                }
            }
            plans.insert(id, plan);
        }
        Self(plans)
    }

    /// The plan of an operation of the head.
    pub(super) fn of(&self, id: NodeId) -> Option<&Plan> {
        self.0.get(&id)
    }
}

/// What is read of each value that was walked back to.
struct Demands<'a> {
    model: &'a Model,
    labels: &'a Labels,
    of: BTreeMap<OutletId, Demand>,
}

impl Demands<'_> {
    fn of(&self, outlet: OutletId) -> Demand {
        self.of.get(&outlet).copied().unwrap_or_default()
    }

    /// What of all outputs of a node is read, as one.
    fn of_node(&self, id: NodeId) -> Demand {
        let outputs = 0..self.model.node(id).outputs.len();
        outputs.fold(Demand::Nothing, |all, slot| all.union(self.of(OutletId::new(id, slot))))
    }

    fn shape(&self, outlet: OutletId) -> &[Dim] {
        &self.model.graph().fact(outlet).shape
    }

    /// The plan of a node; `None` where only a part of its result is read, but that cannot be computed without
    /// the rest.
    fn plan(&self, id: NodeId) -> Option<Plan> {
        let node = self.model.node(id);
        let demand = self.of_node(id);
        if demand == Demand::Nothing || node.inputs.is_empty() {
            let needs = vec![Demand::Nothing; node.inputs.len()];
            return Some(Plan { demand, needs, make: Make::Clone });
        }
        if let Action::Select(parts) = self.model.action(id)
            && let Some(plan) = self.slices(id, node, parts)
        {
            return Some(plan);
        }
        match demand {
            Demand::Rows(rows) => self.in_part(id, node, rows),
            _ => Some(self.whole(id)),
        }
    }

    /// The plan of a node of which all is read.
    fn whole(&self, id: NodeId) -> Plan {
        let node = self.model.node(id);
        let needs = vec![Demand::All; node.inputs.len()];
        Plan { demand: Demand::All, needs, make: self.made_alike(id, node) }
    }

    /// How a node is made that does to a part what it does to the whole.
    fn made_alike(&self, id: NodeId, node: &Node) -> Make {
        match self.model.action(id) {
            Action::Reshape if !matches!(node.op.kind, OpKind::Squeeze | OpKind::Unsqueeze) => Make::Reshape,
            _ => Make::Clone,
        }
    }

    /// The plan of a selection all of whose read outputs are tokens that stand before the grid's.
    fn slices(&self, id: NodeId, node: &Node, parts: &[Vec<Selection>]) -> Option<Plan> {
        let slices =
            parts.iter().enumerate().map(|(slot, selections)| match self.of(OutletId::new(id, slot)) {
                Demand::Nothing => Some(None),
                _ => self.slice(node, selections, slot).map(Some),
            });
        let slices = slices.collect::<Option<Vec<_>>>()?;
        let need = slices.iter().flatten().map(|slice| Demand::Rows(slice.rows));
        let mut needs = vec![Demand::All; node.inputs.len()];
        needs[0] = need.fold(Demand::Nothing, Demand::union);
        Some(Plan { demand: self.of_node(id), needs, make: Make::Slices(slices) })
    }

    /// Tokens that an output of a selection takes from its input, where all of them stand before the grid's.
    fn slice(&self, node: &Node, selections: &[Selection], slot: usize) -> Option<Slice> {
        let [Selection { axis, drops, .. }] = *selections else { return None };
        let selection = &selections[0];
        let axes = self.labels.get(*node.inputs.first()?)?;
        let start = selection.start.filter(|_| drops || selection.step == 1)?;
        let length = if drops { 1 } else { node.outputs[slot].fact.shape.get(axis)?.fixed()? };
        let end = start.checked_add(length)?;
        (end <= axes.0.get(axis)?.prefix).then_some(Slice { rows: Rows { axis, start, end }, drops })
    }

    /// The plan of a node of which some entries of an axis are read: one rule for each action.
    fn in_part(&self, id: NodeId, node: &Node, rows: Rows) -> Option<Plan> {
        let axis = rows.axis;
        let rank = node.outputs.first().map_or(0, |outlet| outlet.fact.rank());
        let mut needs = vec![Demand::All; node.inputs.len()];
        let mut make = self.made_alike(id, node);
        let first = self.shape(node.inputs[0]);
        match self.model.action(id) {
            Action::Elementwise(_) => {
                for (need, input) in needs.iter_mut().zip(&node.inputs) {
                    *need = self.aligned(rows, rank, *input);
                }
            }
            Action::Pointwise(_) => {
                let plain = |input: &OutletId| self.shape(*input).iter().all(|dim| dim.is_one());
                if differs_along(node, axis) && !node.inputs.iter().skip(1).all(plain) {
                    return None;
                }
                needs[0] = Demand::Rows(rows);
            }
            Action::Within { axes, .. } if !axes.contains(&axis) => needs[0] = Demand::Rows(rows),
            Action::Reduce { axes, keep_dims, .. } => {
                let mut kept = (0..first.len()).filter(|i| *keep_dims || !axes.contains(i));
                needs[0] = rows.on(kept.nth(axis).filter(|axis| !axes.contains(axis)), first);
            }
            Action::MatMul { transpose_a, transpose_b } => {
                self.of_product(node, rows, (*transpose_a, *transpose_b), &mut needs);
            }
            Action::Attention if axis + 1 < rank => {
                // Rows of the result are those of the queries and of the mask.
                let by_row = axis + 2 == rank;
                for (i, (need, input)) in needs.iter_mut().zip(&node.inputs).enumerate().take(4) {
                    if !by_row || i == 0 || i == 3 {
                        *need = self.aligned(rows, rank, *input);
                    }
                }
            }
            Action::Transpose { order } => needs[0] = rows.on(order.get(axis).copied(), first),
            Action::Reshape => needs[0] = self.of_reshape(id, node, rows),
            Action::Select(parts) => needs[0] = of_selection(parts, rows, first)?,
            Action::Concat { axis: joined } if *joined != axis => needs.fill(Demand::Rows(rows)),
            Action::Concat { .. } => {
                self.of_parts(node, rows, &mut needs);
                make = Make::Join { axis };
            }
            _ => {}
        }
        let narrow =
            matches!(make, Make::Join { .. }) || needs.iter().any(|need| matches!(need, Demand::Rows(_)));
        narrow.then_some(Plan { demand: Demand::Rows(rows), needs, make })
    }

    /// Rows of a result as those of an operand, whose axes broadcasting lines up from the right.
    fn aligned(&self, rows: Rows, rank: usize, input: OutletId) -> Demand {
        let shape = self.shape(input);
        rows.on((rows.axis + shape.len()).checked_sub(rank), shape)
    }

    fn of_product(&self, node: &Node, rows: Rows, transpose: (bool, bool), needs: &mut [Demand]) {
        let [a, b] = node.inputs[..] else { return };
        let rank = node.outputs[0].fact.rank();
        let (shape_a, shape_b) = (self.shape(a), self.shape(b));
        if shape_a.len() < 2 || shape_b.len() < 2 {
            return;
        }
        let back = |shape: &[Dim], places: usize| Some(shape.len() - places);
        if rows.axis + 2 == rank {
            needs[0] = rows.on(back(shape_a, if transpose.0 { 1 } else { 2 }), shape_a);
        } else if rows.axis + 1 == rank {
            needs[1] = rows.on(back(shape_b, if transpose.1 { 2 } else { 1 }), shape_b);
        } else {
            needs[0] = self.aligned(rows, rank, a);
            needs[1] = self.aligned(rows, rank, b);
        }
    }

    /// An axis that a Reshape leaves alone.
    fn of_reshape(&self, id: NodeId, node: &Node, rows: Rows) -> Demand {
        let out = self.labels.get(OutletId::new(id, 0)).map(|axes| &axes.0);
        let input = self.labels.get(node.inputs[0]).map(|axes| &axes.0);
        let Some((out, input)) = out.zip(input) else { return Demand::All };
        let own = &out[rows.axis];
        let mut same = (0..input.len()).filter(|i| input[*i] == *own);
        let alone = out.iter().filter(|other| *other == own).count() == 1;
        match (same.next(), same.next()) {
            (Some(from), None) if alone && own.positional() => {
                rows.on(Some(from), self.shape(node.inputs[0]))
            }
            _ => Demand::All,
        }
    }

    /// What of each part of a Concat along the narrow axis is read.
    fn of_parts(&self, node: &Node, rows: Rows, needs: &mut [Demand]) {
        let Rows { axis, start, end } = rows;
        let mut offset = Some(0usize);
        for (input, need) in node.inputs.iter().zip(needs) {
            let length = self.shape(*input)[axis].fixed();
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
                _ => Demand::Rows(Rows { axis, start: start.saturating_sub(from), end: end - from }),
            };
            offset = to;
        }
    }
}

/// What a selection needs of its input where it leaves the axis of the rows alone; `None` where one of several outputs
/// does not.
fn of_selection(parts: &[Vec<Selection>], rows: Rows, shape: &[Dim]) -> Option<Demand> {
    let [selections] = parts else {
        // A split along another axis.
        let other = parts.iter().flatten().all(|part| part.axis != rows.axis && !part.drops);
        return other.then_some(Demand::Rows(rows));
    };
    let dropped = |axis: &usize| selections.iter().any(|part| part.drops && part.axis == *axis);
    let mut kept = (0..shape.len()).filter(|axis| !dropped(axis));
    let from = kept.nth(rows.axis).filter(|from| selections.iter().all(|part| part.axis != *from));
    Some(rows.on(from, shape))
}
