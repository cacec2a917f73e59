//! Attention blocks: where each starts, and what its first norm makes of it.
//!
//! An attention is a product of weights that a Softmax made with values that positions of the grid
//! supply. From the values the way leads back over their projection to the block's first norm, and
//! over that to the block's input: what the residual path carries past the attention.

use super::{Labels, Role, Way};
use crate::graph::{Flow, Graph, NodeId, OutletId};
use crate::model::Model;
use crate::ops::{Action, Activation, Passage};

/// An attention block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What enters it.
    pub input: OutletId,
    /// The attention's result.
    pub attention: OutletId,
}

/// Steps from an attention's operand to what made it; a limit for graphs that are no transformers.
const MAX_STEPS: usize = 64;

/// The attention blocks on the way to the logits, the last first. Attentions that read the same input in
/// parallel are one block.
pub(crate) fn blocks(model: &Model, labels: &Labels, way: Way<'_>) -> Vec<Block> {
    let graph = model.graph();
    let search = Attentions::new(model, labels, way);
    let depths = search.flow.depths(graph);
    let mut found: Vec<(OutletId, OutletId)> = Vec::new();
    for &id in graph.order().iter().filter(|id| search.flow.on_path(**id)) {
        if let Some(values) = search.values(id) {
            found.push((OutletId::new(id, 0), values));
        }
    }
    found.sort_by_key(|(attention, _)| std::cmp::Reverse(depths[attention.node.index()]));
    let mut blocks: Vec<Block> = Vec::new();
    for (attention, values) in found {
        let input = search.projected(values).map(|projected| search.input(projected, attention));
        let in_file = |input: &OutletId| input.node.index() < graph.in_file();
        if let Some(input) =
            input.filter(|input| in_file(input) && blocks.iter().all(|block| block.input != *input))
        {
            blocks.push(Block { input, attention });
        }
    }
    blocks
}

/// What norms make of a value before anything else does: `LN1(x)` of a pre-norm block; several of
/// parallel blocks, none where the norm comes after the attention.
pub(crate) fn normed(model: &Model, labels: &Labels, way: Way<'_>, input: OutletId) -> Vec<OutletId> {
    let graph = model.graph();
    let search = Attentions::new(model, labels, way);
    // By node: not reached, reached without a norm on the way, with one.
    let mut reached: Vec<Option<bool>> = vec![None; graph.len()];
    let mut inside = Vec::new();
    for &id in graph.order().iter().filter(|id| search.flow.on_path(**id)) {
        let data = search.data(id);
        let from =
            |outlet: &OutletId| if *outlet == input { Some(false) } else { reached[outlet.node.index()] };
        let Some(before) = data.iter().map(from).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
        else {
            continue;
        };
        let Some(norm) = search.norm_like(id) else { continue };
        reached[id.index()] = Some(norm || before.contains(&true));
        inside.push(id);
    }
    let ends = inside.iter().filter(|id| {
        let outside = |user: &NodeId| search.flow.on_path(*user) && reached[user.index()].is_none();
        reached[id.index()] == Some(true) && graph.users(**id).iter().any(outside)
    });
    ends.map(|id| OutletId::new(*id, 0)).collect()
}

struct Attentions<'a> {
    model: &'a Model,
    labels: &'a Labels,
    sources: &'a [NodeId],
    flow: Flow,
}

impl<'a> Attentions<'a> {
    fn new(model: &'a Model, labels: &'a Labels, way: Way<'a>) -> Self {
        let flow = Flow::new(model.graph(), way.from, way.to.node);
        Self { model, labels, sources: way.from, flow }
    }

    fn graph(&self) -> &'a Graph {
        self.model.graph()
    }

    /// Inputs of a node that depend on the model's inputs.
    fn data(&self, id: NodeId) -> Vec<OutletId> {
        let inputs = self.graph().node(id).inputs.iter().copied();
        inputs.filter(|input| self.flow.depends(input.node)).collect()
    }

    /// The values of an attention, where a node is one.
    fn values(&self, id: NodeId) -> Option<OutletId> {
        let node = self.graph().node(id);
        match self.model.action(id) {
            Action::Attention => node.inputs.get(2).copied(),
            Action::MatMul { transpose_a, transpose_b } => {
                let [a, b] = node.inputs[..] else { return None };
                let is = |weights: OutletId, values: OutletId, axis: usize| {
                    self.flow.depends(values.node)
                        && self.positional(values, self.graph().fact(values).rank().checked_sub(axis))
                        && self.softmax(weights)
                };
                if is(a, b, if *transpose_b { 1 } else { 2 }) {
                    Some(b)
                } else if is(b, a, if *transpose_a { 2 } else { 1 }) {
                    Some(a)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    fn positional(&self, outlet: OutletId, axis: Option<usize>) -> bool {
        let axes = self.labels.get(outlet);
        axis.zip(axes).is_some_and(|(axis, axes)| axes.0[axis].positional())
    }

    /// Whether a Softmax made a value, perhaps scaled, rearranged or mixed over heads since.
    fn softmax(&self, mut at: OutletId) -> bool {
        for _ in 0..MAX_STEPS {
            if self.model.passage(at.node) == Passage::Activation(Activation::Softmax) {
                return true;
            }
            let [only] = self.data(at.node)[..] else { return false };
            at = only;
        }
        false
    }

    /// What was projected to an attention's values: the data of the nearest product.
    fn projected(&self, mut at: OutletId) -> Option<OutletId> {
        for _ in 0..MAX_STEPS {
            let data = self.data(at.node);
            match (self.model.action(at.node), &data[..]) {
                (Action::MatMul { .. } | Action::Window(_), [only]) => return Some(*only),
                (Action::Within { .. }, _) => return Some(at),
                (_, [only]) => at = *only,
                (_, []) => return None,
                _ => return Some(at),
            }
        }
        None
    }

    /// The input of the block whose attention projects `projected`: that itself where the residual path
    /// starts there, or what its norm was computed from.
    fn input(&self, projected: OutletId, attention: OutletId) -> OutletId {
        let graph = self.graph();
        let to_here = Flow::new(graph, self.sources, projected.node);
        let after = Flow::after(graph, attention);
        let mut at = projected;
        // The cuts start with the value itself.
        for &cut in to_here.cuts().iter().skip(1) {
            if self.bypasses(at, &after) {
                break;
            }
            match self.norm_between(cut, at) {
                Some(before) => at = before,
                None => break,
            }
        }
        at
    }

    /// Whether a value is added to what depends on the attention without being worked on first.
    fn bypasses(&self, from: OutletId, after: &[bool]) -> bool {
        let graph = self.graph();
        let mut open = vec![from];
        let mut steps = 0;
        while let Some(at) = open.pop() {
            steps += 1;
            let readers = graph
                .users(at.node)
                .iter()
                .filter(|user| self.flow.on_path(**user) && graph.node(**user).inputs.contains(&at));
            for &user in readers {
                let joins = after[user.index()];
                match self.model.action(user) {
                    Action::Elementwise(_) if joins => return true,
                    Action::Elementwise(_) if self.data(user).len() > 1 => {}
                    Action::Elementwise(_)
                    | Action::Transpose { .. }
                    | Action::Reshape
                    | Action::Select(_)
                    | Action::Concat { .. }
                        if !joins && steps < MAX_STEPS =>
                    {
                        let outputs = graph.node(user).outputs.len();
                        open.extend((0..outputs).map(|slot| OutletId::new(user, slot)));
                    }
                    _ => {}
                }
            }
        }
        false
    }

    /// The outlet of `cut` where nothing but a norm stands between it and `at`.
    fn norm_between(&self, cut: NodeId, at: OutletId) -> Option<OutletId> {
        let mut before = None;
        let mut open = vec![at.node];
        let mut seen = vec![at.node];
        while let Some(id) = open.pop() {
            self.norm_like(id)?;
            for input in self.data(id) {
                if input.node == cut {
                    if before.is_some_and(|before| before != input) {
                        return None;
                    }
                    before = Some(input);
                } else if !seen.contains(&input.node) {
                    if seen.len() == MAX_STEPS {
                        return None;
                    }
                    seen.push(input.node);
                    open.push(input.node);
                }
            }
        }
        before
    }

    /// Whether an operation can be part of a norm, which treats positions one by one; `Some(true)` where it
    /// mixes channels, as one operation of every norm does.
    fn norm_like(&self, id: NodeId) -> Option<bool> {
        let node = self.graph().node(id);
        match self.model.action(id) {
            Action::Elementwise(_) | Action::Pointwise(_) | Action::Transpose { .. } | Action::Reshape => {
                Some(false)
            }
            Action::Within { axes, .. } | Action::Reduce { axes, .. } => {
                let labels = self.labels.get(*node.inputs.first()?)?;
                let channels = |axis: &usize| {
                    let axis = &labels.0[*axis];
                    !axis.positional() && !axis.has(Role::Batch)
                };
                (axes.iter().all(channels) && !matches!(self.model.passage(id), Passage::Activation(_)))
                    .then_some(true)
            }
            _ => None,
        }
    }
}
