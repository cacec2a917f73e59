//! Building beside a model: nodes that are appended to its graph at once.
//!
//! A [`Patch`] only appends; [`Patch::finish`] checks it and makes it [`Finished`], which alone can be emitted.
//! [`quirks`] has what plugins of the runtime force.

mod build;
mod check;
mod dump;
mod emit;
mod quirks;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::Result;
use crate::graph::{Fact, Graph, Node, NodeId, Op, OpKind, Outlet, OutletId};
use crate::ir::ElementType;
use crate::model::Model;

pub use dump::Dump;

use check::check;

/// Layer names that a patch adds start with this.
const NAME_PREFIX: &str = "xai/";

/// Nodes that are being added to a model's graph.
///
/// Equal nodes are made once: asking for the same operation on the same inputs again returns the
/// outlet that is there. Constants likewise, so that few bytes are added to the BIN.
#[derive(Debug)]
pub(crate) struct Patch<'m> {
    model: &'m Model,
    nodes: Vec<Node>,
    known: HashMap<Recipe, NodeId>,
    names: HashSet<String>,
    suffixes: HashMap<String, usize>,
    /// Whether the model is quantized.
    quantized: bool,
}

/// What a node is made of: equal recipes give one node.
type Recipe = (Op, Vec<OutletId>, Vec<Fact>, Option<Vec<u8>>);

fn recipe(node: &Node) -> Recipe {
    let facts = node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
    (node.op.clone(), node.inputs.clone(), facts, node.contents.clone())
}

/// A patch with its outputs, reduced to what they need and put in order.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Added nodes, producers before consumers, Results last.
    pub nodes: Vec<(NodeId, Node)>,
    /// Contents of the added constants.
    pub constants: BTreeMap<NodeId, Vec<u8>>,
    /// Name, outlet and fact of each added output.
    pub outputs: Vec<(String, OutletId, Fact)>,
}

impl<'m> Patch<'m> {
    /// An empty patch on a model; nodes that were added to the model in memory are part of it.
    pub(crate) fn new(model: &'m Model) -> Self {
        let graph = model.graph();
        let names = graph.nodes().map(|(_, node)| node.name.clone()).collect();
        let added = || graph.nodes().skip(graph.in_file());
        let known = added().map(|(id, node)| (recipe(node), id)).collect();
        let nodes = added().map(|(_, node)| node.clone()).collect();
        let quantized = graph.nodes().any(|(_, node)| node.op.kind == OpKind::FakeQuantize);
        Self { model, nodes, known, names, suffixes: HashMap::new(), quantized }
    }

    /// The model with the nodes of this patch in its graph, for looking at both as one.
    pub(crate) fn into_model(self) -> Model {
        let graph = self.graph();
        let already = graph.len() - graph.in_file();
        self.model.extended(self.nodes[already..].to_vec())
    }

    /// The model that is being patched.
    pub(crate) fn model(&self) -> &'m Model {
        self.model
    }

    /// The graph that is being patched.
    pub(crate) fn graph(&self) -> &'m Graph {
        self.model.graph()
    }

    /// A node of the graph or of the patch.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        match id.0.checked_sub(self.graph().in_file()) {
            Some(added) => &self.nodes[added],
            None => self.graph().node(id),
        }
    }

    /// What is known of an outlet of the graph or of the patch.
    pub(crate) fn fact(&self, outlet: OutletId) -> &Fact {
        &self.node(outlet.node).outputs[outlet.slot].fact
    }

    /// Adds a node named `xai/<hint>`, made unique; returns its first output.
    ///
    /// `outputs` are the types and shapes that OpenVINO will infer; they are written to the file as given.
    pub(crate) fn add(&mut self, hint: &str, op: Op, inputs: Vec<OutletId>, outputs: Vec<Fact>) -> OutletId {
        if let Some(swapped) = self.swapped(hint, &op, &inputs) {
            return swapped;
        }
        let own = |input| {
            let input = self.own_weight(input);
            self.own_product(input)
        };
        let mut inputs: Vec<OutletId> = inputs.into_iter().map(own).collect();
        self.no_constant_product(hint, &op, &mut inputs);
        self.add_with(hint, op, inputs, outputs, None)
    }

    /// Adds a constant from its little-endian bytes, as many as `fact` asks for.
    pub(crate) fn constant(&mut self, hint: &str, fact: Fact, bytes: Vec<u8>) -> OutletId {
        self.add_with(hint, Op::new(OpKind::Const, "opset1"), Vec::new(), vec![fact], Some(bytes))
    }

    /// Gives `outlet` a Result; the tensor's name is `name`.
    fn add_result(&mut self, name: &str, outlet: OutletId) -> NodeId {
        let node = &mut self.nodes[outlet.node.0 - self.model.graph().in_file()];
        node.outputs[outlet.slot].names.push(name.to_owned());
        let layer = self.unique(&format!("{name}/result"));
        self.push(Node {
            layer: 0,
            name: layer,
            op: Op::new(OpKind::Result, "opset1"),
            inputs: vec![outlet],
            outputs: Vec::new(),
            has_body: false,
            output_names: Vec::new(),
            contents: None,
        })
    }

    fn add_with(
        &mut self,
        hint: &str,
        op: Op,
        inputs: Vec<OutletId>,
        facts: Vec<Fact>,
        contents: Option<Vec<u8>>,
    ) -> OutletId {
        let key = (op, inputs, facts, contents);
        if let Some(&id) = self.known.get(&key) {
            return OutletId::new(id, 0);
        }
        let (op, inputs, facts, contents) = key.clone();
        let ports = inputs.len();
        let outputs = facts.into_iter().enumerate().map(|(slot, fact)| Outlet {
            fact,
            port: u32::try_from(ports + slot).unwrap_or(u32::MAX),
            names: Vec::new(),
        });
        let node = Node {
            layer: 0,
            name: self.unique(hint),
            op,
            inputs,
            outputs: outputs.collect(),
            has_body: false,
            output_names: Vec::new(),
            contents,
        };
        let id = self.push(node);
        self.known.insert(key, id);
        OutletId::new(id, 0)
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.graph().in_file() + self.nodes.len() - 1)
    }

    fn unique(&mut self, hint: &str) -> String {
        let hint = hint.strip_prefix(NAME_PREFIX).unwrap_or(hint);
        let base = format!("{NAME_PREFIX}{hint}");
        let mut name = base.clone();
        while !self.names.insert(name.clone()) {
            let next = self.suffixes.entry(base.clone()).or_insert(0);
            *next += 1;
            name = format!("{base}_{next}");
        }
        name
    }

    /// Closes the patch: `outputs` get Results in this order, and whatever they do not need goes.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] where the result is not sound.
    pub(crate) fn finish(mut self, outputs: &[(String, OutletId)]) -> Result<Finished> {
        let first = self.graph().in_file();
        let mut keep = vec![false; self.nodes.len()];
        let mut results = Vec::new();
        let mut named = Vec::new();
        for (name, outlet) in outputs {
            // An output needs a port of ours to carry its name; an original port keeps its own.
            let taken = |patch: &Self, outlet: OutletId| {
                outlet.node.0 < first || !patch.node(outlet.node).outputs[outlet.slot].names.is_empty()
            };
            let outlet = if taken(&self, *outlet) {
                let fact = self.fact(*outlet).clone();
                let op = Op::new(OpKind::Convert, "opset1").with("destination_type", fact.element);
                self.add(name, op, vec![*outlet], vec![fact])
            } else {
                *outlet
            };
            keep.resize(self.nodes.len(), false);
            results.push((name.clone(), outlet));
            named.push((name.clone(), outlet, self.fact(outlet).clone()));
            mark(&self.nodes, first, outlet.node, &mut keep);
        }
        let mut nodes = Vec::new();
        let mut layer = self.graph().nodes().map(|(_, node)| node.layer).max().map_or(0, |id| id + 1);
        let result_ids: Vec<NodeId> =
            results.iter().map(|(name, outlet)| self.add_result(name, *outlet)).collect();
        keep.resize(self.nodes.len(), false);
        for id in &result_ids {
            keep[id.0 - first] = true;
        }
        let mut constants = BTreeMap::new();
        for (i, mut node) in self.nodes.into_iter().enumerate() {
            if keep[i] {
                node.layer = layer;
                layer += 1;
                if let Some(contents) = node.contents.take() {
                    constants.insert(NodeId(first + i), contents);
                }
                nodes.push((NodeId(first + i), node));
            }
        }
        let finished = Finished { nodes, constants, outputs: named };
        check(self.model.graph(), &finished)?;
        Ok(finished)
    }

    /// Bytes of elements of `element` type that hold `values`, little endian.
    fn float_bytes(element: ElementType, values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|&value| match element {
                ElementType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
                ElementType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
                ElementType::F64 => f64::from(value).to_le_bytes().to_vec(),
                ElementType::F32 => value.to_le_bytes().to_vec(),
                // Whole numbers, little endian, in as many bytes as the type has; a boolean is 0 or 1.
                #[allow(clippy::cast_possible_truncation)]
                other => {
                    let bytes = other.bits().map_or(4, |bits| bits.div_ceil(8));
                    (value as i64).to_le_bytes()[..bytes.min(8)].to_vec()
                }
            })
            .collect()
    }
}

fn mark(nodes: &[Node], first: usize, from: NodeId, keep: &mut [bool]) {
    let mut stack = vec![from];
    while let Some(id) = stack.pop() {
        let Some(added) = id.0.checked_sub(first) else { continue };
        if !std::mem::replace(&mut keep[added], true) {
            stack.extend(nodes[added].inputs.iter().map(|input| input.node));
        }
    }
}
