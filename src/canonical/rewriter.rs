//! Changing a graph in memory: nodes in another operation, and nodes more.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::graph::{Fact, Graph, Node, NodeId, Op, OpKind, Outlet, OutletId, SymInt, index};
use crate::ir::{Dim, ElementType, Shape};
use crate::ops::{Action, Constants, Extents, Semantics};

/// A graph with the changes that a rewrite makes.
pub(super) struct Rewriter<'a> {
    pub(super) graph: &'a Graph,
    pub(super) constants: Constants<'a>,
    semantics: &'a [Semantics],
    extents: &'a Extents,
    replaced: BTreeMap<NodeId, (Op, Vec<OutletId>)>,
    added: Vec<Node>,
    names: HashSet<String>,
    /// Constants that were added, each once.
    constants_added: HashMap<(Fact, Vec<u8>), OutletId>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        constants: Constants<'a>,
        semantics: &'a [Semantics],
        extents: &'a Extents,
    ) -> Self {
        let (replaced, added, names) = (BTreeMap::new(), Vec::new(), HashSet::new());
        let earlier = graph.nodes().skip(graph.in_file()).filter_map(|(id, node)| {
            let fact = node.outputs.first()?.fact.clone();
            Some(((fact, node.contents.clone()?), OutletId::new(id, 0)))
        });
        let constants_added = earlier.collect();
        Self { graph, constants, semantics, extents, replaced, added, names, constants_added }
    }

    /// The rewritten graph; `None` where nothing changed.
    ///
    /// # Errors
    /// As [`Graph::rewritten`].
    pub(super) fn finish(self) -> Result<Option<Graph>> {
        if self.replaced.is_empty() {
            return Ok(None);
        }
        self.graph.rewritten(self.replaced, self.added).map(Some)
    }

    /// What a node does.
    pub(super) fn action(&self, id: NodeId) -> &'a Action {
        &self.semantics[id.index()].action
    }

    /// The extents of an outlet of the graph.
    pub(super) fn dims(&self, outlet: OutletId) -> &'a [SymInt] {
        self.extents.dims(outlet).unwrap_or_default()
    }

    /// Type and shape of an outlet, of the graph or added.
    pub(super) fn fact(&self, outlet: OutletId) -> &Fact {
        match outlet.node.index().checked_sub(self.graph.len()) {
            Some(added) => &self.added[added].outputs[outlet.slot].fact,
            None => self.graph.fact(outlet),
        }
    }

    /// Makes a node another operation with the same results.
    pub(super) fn replace(&mut self, id: NodeId, op: Op, inputs: Vec<OutletId>) {
        self.replaced.insert(id, (op, inputs));
    }

    /// Adds a node with one output; its name starts with `xai/`, as all names do that a branch brings.
    pub(super) fn add(&mut self, name: &str, op: Op, inputs: Vec<OutletId>, fact: Fact) -> OutletId {
        self.add_node(name, op, inputs, fact, None)
    }

    fn add_node(
        &mut self,
        name: &str,
        op: Op,
        inputs: Vec<OutletId>,
        fact: Fact,
        contents: Option<Vec<u8>>,
    ) -> OutletId {
        if self.names.is_empty() {
            self.names = self.graph.nodes().map(|(_, node)| node.name.clone()).collect();
        }
        let base = format!("xai/{}", name.trim_start_matches("xai/"));
        let mut name = base.clone();
        for count in 1.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("{base}_{count}");
        }
        // Ports count on from the inputs.
        let port = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
        self.added.push(Node {
            layer: 0,
            name,
            op,
            inputs,
            outputs: vec![Outlet { fact, port, names: Vec::new() }],
            has_body: false,
            output_names: Vec::new(),
            contents,
        });
        OutletId::new(NodeId(self.graph.len() + self.added.len() - 1), 0)
    }

    fn constant(&mut self, name: &str, fact: Fact, contents: Vec<u8>) -> OutletId {
        let key = (fact, contents);
        if let Some(there) = self.constants_added.get(&key) {
            return *there;
        }
        let (fact, contents) = key.clone();
        let op = Op::new(OpKind::Const, "opset1");
        let outlet = self.add_node(name, op, Vec::new(), fact, Some(contents));
        self.constants_added.insert(key, outlet);
        outlet
    }

    /// A list of integers.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> OutletId {
        let fact = Fact::new(ElementType::I64, vec![Dim::Fixed(values.len())]);
        let contents = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, fact, contents)
    }

    /// A number; `None` of a type that it cannot be written in.
    pub(super) fn float(&mut self, name: &str, element: ElementType, value: f32) -> Option<OutletId> {
        let contents = match element {
            ElementType::F32 => value.to_le_bytes().to_vec(),
            ElementType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
            ElementType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
            _ => return None,
        };
        let fact = Fact::new(element, Shape::new());
        Some(self.constant(name, fact, contents))
    }

    /// `Transpose`; nothing where that changes nothing.
    pub(super) fn transpose(&mut self, name: &str, x: OutletId, order: &[usize]) -> OutletId {
        if order.iter().enumerate().all(|(i, axis)| i == *axis) {
            return x;
        }
        let fact = self.fact(x);
        let fact = Fact::new(fact.element, order.iter().map(|axis| fact.shape[*axis]).collect());
        let inputs = self.transposition(name, x, order);
        self.add(name, Op::new(OpKind::Transpose, "opset1"), inputs, fact)
    }

    /// The inputs of a Transpose.
    pub(super) fn transposition(&mut self, name: &str, x: OutletId, order: &[usize]) -> Vec<OutletId> {
        let order: Vec<i64> = order.iter().map(|axis| index(*axis)).collect();
        vec![x, self.integers(&format!("{name}/order"), &order)]
    }

    /// `Reshape` to a pattern in which 0 leaves an extent as it is, and -1 is what is left over.
    pub(super) fn reshape(&mut self, name: &str, x: OutletId, pattern: &[i64], shape: Shape) -> OutletId {
        let fact = Fact::new(self.fact(x).element, shape);
        let (op, inputs) = self.reshaping(name, x, pattern);
        self.add(name, op, inputs, fact)
    }

    /// Such a Reshape and its inputs.
    pub(super) fn reshaping(&mut self, name: &str, x: OutletId, pattern: &[i64]) -> (Op, Vec<OutletId>) {
        let op = Op::new(OpKind::Reshape, "opset1").with("special_zero", true);
        (op, vec![x, self.integers(&format!("{name}/shape"), pattern)])
    }
}
