//! How data flows from the inputs to an output: dependence, paths and cuts.

use petgraph::algo::dominators;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{Graph, NodeId, OpKind, OutletId};

/// Data flow from some sources to one sink.
///
/// `ShapeOf` ends a path: what is computed from a shape decides how data is arranged, but carries
/// none of it.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    depends: Vec<bool>,
    on_path: Vec<bool>,
    cuts: Vec<NodeId>,
}

impl Flow {
    /// Follows data from `sources` to `sink`.
    pub(crate) fn new(graph: &Graph, sources: &[NodeId], sink: NodeId) -> Self {
        let depends = depends(graph, sources);
        let mut on_path = vec![false; graph.len()];
        if depends[sink.0] {
            on_path[sink.0] = true;
            for &id in graph.order().iter().rev() {
                if on_path[id.0] {
                    for input in &graph.node(id).inputs {
                        on_path[input.node.0] |= depends[input.node.0];
                    }
                }
            }
        }
        let cuts = cuts(graph, &on_path, sources, sink);
        Self { depends, on_path, cuts }
    }

    /// Whether any data of the sources arrives at `id`.
    pub(crate) fn depends(&self, id: NodeId) -> bool {
        self.depends[id.0]
    }

    /// Whether `id` lies on a path from a source to the sink.
    pub(crate) fn on_path(&self, id: NodeId) -> bool {
        self.on_path[id.0]
    }

    /// Length of the longest path from a source to each node (by index); 0 off the paths.
    pub(crate) fn depths(&self, graph: &Graph) -> Vec<usize> {
        let mut depths = vec![0; graph.len()];
        for &id in graph.order().iter().filter(|id| self.on_path(**id)) {
            let before = graph.node(id).inputs.iter().map(|input| depths[input.node.0]).max();
            depths[id.0] = before.unwrap_or(0) + 1;
        }
        depths
    }

    /// Marks (by index) what depends on the data of one outlet, and not on its node's others.
    pub(crate) fn after(graph: &Graph, outlet: OutletId) -> Vec<bool> {
        let mut depends = vec![false; graph.len()];
        for &id in graph.order() {
            let node = graph.node(id);
            let reads = |input: &OutletId| *input == outlet || depends[input.node.0];
            if node.op.kind != OpKind::ShapeOf && node.inputs.iter().any(reads) {
                depends[id.0] = true;
            }
        }
        depends
    }

    /// Nodes that every path from a source to the sink passes, from the sink back.
    ///
    /// These are the dominators of the sink, seen from a virtual node before all sources.
    pub(crate) fn cuts(&self) -> &[NodeId] {
        &self.cuts
    }
}

/// Marks what depends on the data of `sources`.
fn depends(graph: &Graph, sources: &[NodeId]) -> Vec<bool> {
    let mut depends = vec![false; graph.len()];
    for source in sources {
        depends[source.0] = true;
    }
    for &id in graph.order() {
        let node = graph.node(id);
        if node.op.kind != OpKind::ShapeOf && node.inputs.iter().any(|input| depends[input.node.0]) {
            depends[id.0] = true;
        }
    }
    depends
}

fn cuts(graph: &Graph, on_path: &[bool], sources: &[NodeId], sink: NodeId) -> Vec<NodeId> {
    if !on_path[sink.0] {
        return Vec::new();
    }
    let mut flow = DiGraph::<Option<NodeId>, ()>::new();
    let root = flow.add_node(None);
    let index: Vec<Option<NodeIndex>> =
        (0..graph.len()).map(|i| on_path[i].then(|| flow.add_node(Some(NodeId(i))))).collect();
    for (id, node) in graph.nodes() {
        let Some(to) = index[id.0] else { continue };
        if sources.contains(&id) {
            flow.add_edge(root, to, ());
        }
        for input in &node.inputs {
            if let Some(from) = index[input.node.0] {
                flow.add_edge(from, to, ());
            }
        }
    }
    let Some(sink) = index[sink.0] else { return Vec::new() };
    let dominators = dominators::simple_fast(&flow, root);
    dominators.dominators(sink).into_iter().flatten().filter_map(|i| flow[i]).collect()
}
