//! What is done row by row to a value whose leading axes were joined is done to the axes themselves.
//!
//! `nn.MultiheadAttention` projects `[tokens, batch, channels]` as `[tokens * batch, channels]`; on that axis neither
//! tokens nor batch can be told. Between the Reshape that joins and the one that takes apart again, operations are written
//! on the separate axes.

use std::collections::{BTreeMap, BTreeSet};

use super::rewriter::Rewriter;
use crate::graph::{Fact, Node, NodeId, OpKind, OutletId, SymInt};
use crate::ir::Shape;
use crate::ops::Action;

pub(super) fn rewrite(rewriter: &mut Rewriter<'_>) {
    let joins: Vec<(NodeId, usize)> =
        rewriter.graph.nodes().filter_map(|(id, node)| Some((id, joined(rewriter, id, node)?))).collect();
    // Where each node stands among producers and consumers.
    let mut order = vec![0; rewriter.graph.len()];
    for (at, id) in rewriter.graph.order().iter().enumerate() {
        order[id.index()] = at;
    }
    for (id, count) in joins {
        let apart = Apart::new(rewriter, id, count);
        if !apart.ends.is_empty() {
            apart.write(rewriter, &order);
        }
    }
}

/// How many leading axes a Reshape joins to its first, where there are several longer than 1 or of unknown length.
fn joined(rewriter: &Rewriter<'_>, id: NodeId, node: &Node) -> Option<usize> {
    if node.op.kind != OpKind::Reshape {
        return None;
    }
    let (have, out) = (rewriter.dims(*node.inputs.first()?), rewriter.dims(OutletId::new(id, 0)));
    let (first, rest) = out.split_first()?;
    let one = SymInt::Number(1);
    let mut product = one.clone();
    for (i, dim) in have.iter().enumerate() {
        product = product.times(dim)?;
        // A batch of 1 counts as an axis that was joined.
        let next_is_one = have.get(i + 1) == Some(&one) && rest.first() != Some(&one);
        if product == *first && product != one && !next_is_one {
            let same = SymInt::product(&have[i + 1..])? == SymInt::product(rest)?;
            return (i > 0 && same && !rest.is_empty()).then_some(i + 1);
        }
    }
    None
}

/// A join, and all that is done until it is undone.
struct Apart {
    join: NodeId,
    /// The axes that were joined.
    lead: Shape,
    /// Operations on single rows, in order.
    rows: BTreeSet<NodeId>,
    /// Reshapes of their results.
    ends: BTreeSet<NodeId>,
}

impl Apart {
    fn new(rewriter: &Rewriter<'_>, join: NodeId, count: usize) -> Self {
        let graph = rewriter.graph;
        let have = rewriter.dims(graph.node(join).inputs[0]);
        let lead = have[..count].iter().map(SymInt::dim).collect();
        let mut found = Self { join, lead, rows: BTreeSet::new(), ends: BTreeSet::new() };
        let mut inside = BTreeSet::from([join]);
        let mut open = graph.users(join).to_vec();
        while let Some(id) = open.pop() {
            let node = graph.node(id);
            if inside.contains(&id) || found.ends.contains(&id) {
                continue;
            }
            if node.op.kind == OpKind::Reshape {
                if inside.contains(&node.inputs[0].node) && found.undone(rewriter, id, &have[..count]) {
                    found.ends.insert(id);
                }
            } else if found.by_rows(rewriter, id, &inside) {
                inside.insert(id);
                found.rows.insert(id);
                open.extend(graph.users(id));
            }
        }
        found
    }

    /// Whether a Reshape gives back axes that were joined, perhaps without those that are 1.
    fn undone(&self, rewriter: &Rewriter<'_>, id: NodeId, lead: &[SymInt]) -> bool {
        let node = rewriter.graph.node(id);
        let zeros = node.op.flag("special_zero")
            && node
                .inputs
                .get(1)
                .and_then(|target| rewriter.constants.integers(*target))
                .is_none_or(|target| target.contains(&0));
        let one = SymInt::Number(1);
        let many = |dims: &[SymInt]| dims.iter().filter(|dim| **dim != one).cloned().collect::<Vec<_>>();
        let (out, lead) = (many(rewriter.dims(OutletId::new(id, 0))), many(lead));
        let rank = rewriter.dims(OutletId::new(id, 0)).len();
        !zeros && rank > 1 + usize::from(rewriter.dims(node.inputs[0]).len() > 2) && out.starts_with(&lead)
    }

    /// Whether an operation treats rows one by one: the others of its operands know of no rows.
    fn by_rows(&self, rewriter: &Rewriter<'_>, id: NodeId, inside: &BTreeSet<NodeId>) -> bool {
        let node = rewriter.graph.node(id);
        if node.outputs.len() != 1 || node.outputs[0].fact.rank() < 2 {
            return false;
        }
        let own = |outlet: &OutletId| inside.contains(&outlet.node);
        let rank = node.outputs.first().map_or(0, |outlet| outlet.fact.rank());
        let one = SymInt::Number(1);
        let knows_none = |outlet: &OutletId| {
            let dims = rewriter.dims(*outlet);
            dims.len() < rank || dims.first() == Some(&one)
        };
        match &node.op.kind {
            OpKind::MatMul => {
                let plain = node.inputs.get(1).is_some_and(|b| !own(b) && rewriter.dims(*b).len() == 2);
                plain && !node.op.flag("transpose_a")
            }
            _ => match rewriter.action(id) {
                Action::Elementwise(_) => node.inputs.iter().all(|input| own(input) || knows_none(input)),
                Action::Pointwise(_) => node.inputs.len() == 1,
                _ => false,
            },
        }
    }

    /// Adds the operations on separate axes, and lets those that undo the join read them; `order` says which node comes
    /// before which.
    fn write(self, rewriter: &mut Rewriter<'_>, order: &[usize]) {
        let graph = rewriter.graph;
        let mut apart: BTreeMap<NodeId, OutletId> = BTreeMap::new();
        let mut rows: Vec<NodeId> = self.rows.into_iter().collect();
        rows.sort_by_key(|id| order[id.index()]);
        for id in std::iter::once(self.join).chain(rows) {
            let node = graph.node(id);
            let fact = &node.outputs[0].fact;
            let shape: Shape = self.lead.iter().chain(&fact.shape[1..]).copied().collect();
            let fact = Fact::new(fact.element, shape.clone());
            let outlet = if id == self.join {
                let pattern: Vec<i64> = (0..shape.len())
                    .map(|axis| if axis < self.lead.len() { 0 } else { shape[axis].as_i64() })
                    .collect();
                rewriter.reshape(&node.name, node.inputs[0], &pattern, shape)
            } else {
                let inputs =
                    node.inputs.iter().map(|input| apart.get(&input.node).copied().unwrap_or(*input));
                let inputs = inputs.collect();
                rewriter.add(&node.name, node.op.clone(), inputs, fact)
            };
            apart.insert(id, outlet);
        }
        for id in self.ends {
            let node = graph.node(id);
            let inputs = std::iter::once(apart[&node.inputs[0].node]).chain(node.inputs[1..].iter().copied());
            let inputs = inputs.collect();
            rewriter.replace(id, node.op.clone(), inputs);
        }
    }
}
