//! Nodes, outlets and the graph that a document describes.

use std::collections::{BTreeMap, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};

use super::OpKind;
use crate::error::{Error, Result};
use crate::ir::{Document, ElementType, LayerElement, Shape, ShapeDisplay};
use crate::place::Place;

/// A node of a graph: an index into its nodes. Nodes of a patch count on from the graph's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

impl NodeId {
    /// Place among all nodes, counted from 0.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// One output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OutletId {
    /// The node.
    pub node: NodeId,
    /// Which of its outputs, counted from 0 in port order.
    pub slot: usize,
}

impl OutletId {
    /// The `slot`-th output of `node`.
    pub(crate) fn new(node: NodeId, slot: usize) -> Self {
        Self { node, slot }
    }
}

/// What is known of a tensor before inference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fact {
    /// Element type.
    pub element: ElementType,
    /// Dimensions.
    pub shape: Shape,
}

impl Fact {
    /// Pairs an element type with a shape.
    pub(crate) fn new(element: ElementType, shape: Shape) -> Self {
        Self { element, shape }
    }

    /// Number of dimensions.
    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.element, ShapeDisplay(&self.shape))
    }
}

/// An operation with its attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Op {
    /// What it is.
    pub kind: OpKind,
    /// The `type` in the file, where that is not the spelling of the kind.
    spelling: Option<Box<str>>,
    /// `version` of the layer (`opset1`).
    pub opset: String,
    /// Attributes of its `<data>`, in order.
    pub attributes: Vec<(String, String)>,
}

impl Op {
    /// An operation of an operation set, without attributes.
    pub(crate) fn new(kind: OpKind, opset: &str) -> Self {
        Self { kind, spelling: None, opset: opset.to_owned(), attributes: Vec::new() }
    }

    /// The operation of a layer.
    fn of(layer: &LayerElement) -> Self {
        let kind = OpKind::from(&*layer.kind);
        let spelling = (kind.name() != layer.kind).then(|| layer.kind.as_str().into());
        Self { kind, spelling, opset: layer.opset.clone(), attributes: layer.data.clone() }
    }

    /// The `type` that the IR gives it, spelled as in the file.
    pub(crate) fn type_name(&self) -> &str {
        self.spelling.as_deref().unwrap_or(self.kind.name())
    }

    /// With an attribute more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// With an attribute replaced, where it is there.
    #[must_use]
    pub(crate) fn replacing(mut self, name: &str, value: impl ToString) -> Self {
        for (key, text) in &mut self.attributes {
            if key == name {
                *text = value.to_string();
            }
        }
        self
    }

    /// An attribute's text.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// An attribute as a list of integers (`"1, 1"`); `None` where absent or no such list.
    pub(crate) fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let text = self.attribute(name)?;
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| text.parse().ok()).collect()
    }

    /// An attribute as one integer; `None` where absent or no integer.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.trim().parse().ok()
    }

    /// An attribute as a truth value, `false` where absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.attribute(name).map(str::trim), Some("true" | "1" | "True"))
    }
}

/// One output of a [`Node`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlet {
    /// Type and shape.
    pub fact: Fact,
    /// Port id in the file.
    pub port: u32,
    /// Tensor names.
    pub names: Vec<String>,
}

/// A layer, with its inputs resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Layer id in the file.
    pub layer: u64,
    /// Layer name.
    pub name: String,
    /// Operation.
    pub op: Op,
    /// Where each input comes from, in port order.
    pub inputs: Vec<OutletId>,
    /// Outputs in port order.
    pub outputs: Vec<Outlet>,
    /// Whether it carries a body (If, Loop, TensorIterator).
    pub has_body: bool,
    /// Names of the model output that a Result stands for, where the file gives it names of its own.
    pub output_names: Vec<String>,
    /// Contents of a Const that no file holds yet, little endian.
    pub contents: Option<Vec<u8>>,
}

impl Node {
    /// This node, for messages.
    pub(crate) fn place(&self) -> Place {
        Place { layer: self.name.clone(), kind: self.op.type_name().to_owned(), id: self.layer, port: None }
    }
}

/// The graph of a document.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    order: Vec<NodeId>,
    users: Vec<Vec<NodeId>>,
    in_file: usize,
}

impl Graph {
    /// Resolves a document's edges.
    ///
    /// # Errors
    /// [`Error::Xml`] with the edge's offset where it starts or ends nowhere or feeds an input that
    /// is fed already, [`Error::Layer`] where no edge leads to an input, or the graph has a cycle.
    pub(crate) fn new(document: &Document) -> Result<Self> {
        let layers = document.layers();
        let index: HashMap<u64, usize> = layers.iter().enumerate().map(|(i, layer)| (layer.id, i)).collect();
        let mut inputs: Vec<Vec<Option<OutletId>>> =
            layers.iter().map(|layer| vec![None; layer.inputs.len()]).collect();
        for edge in document.edges() {
            let fail = |what: String| Error::Xml {
                path: document.path().to_path_buf(),
                offset: edge.span.start,
                message: format!(
                    "edge from layer {} port {} to layer {} port {}: {what}",
                    edge.from.0, edge.from.1, edge.to.0, edge.to.1
                ),
            };
            let end = |(layer, port): (u64, u32), output: bool| {
                let &i = index.get(&layer).ok_or_else(|| fail(format!("there is no layer {layer}")))?;
                let ports = if output { &layers[i].outputs } else { &layers[i].inputs };
                let slot = ports.iter().position(|found| found.id == port).ok_or_else(|| {
                    let side = if output { "output" } else { "input" };
                    fail(format!("{} has no {side} port {port}", layers[i].place(None)))
                })?;
                Ok::<_, Error>((i, slot))
            };
            let (from, from_slot) = end(edge.from, true)?;
            let (to, to_slot) = end(edge.to, false)?;
            let input = &mut inputs[to][to_slot];
            if input.replace(OutletId::new(NodeId(from), from_slot)).is_some() {
                return Err(fail(format!("{} is fed twice", layers[to].place(Some(edge.to.1)))));
            }
        }
        let mut nodes = Vec::with_capacity(layers.len());
        for (layer, inputs) in layers.iter().zip(inputs) {
            nodes.push(node(layer, inputs)?);
        }
        let order = order(&nodes)?;
        let in_file = nodes.len();
        Ok(Self { users: users(&nodes), nodes, order, in_file })
    }

    /// This graph with other operations in the place of some, and nodes more, which may read each other in any order.
    ///
    /// # Errors
    /// [`Error::Layer`] where that makes a cycle.
    pub(crate) fn rewritten(
        &self,
        replaced: BTreeMap<NodeId, (Op, Vec<OutletId>)>,
        added: Vec<Node>,
    ) -> Result<Self> {
        let mut nodes = self.nodes.clone();
        nodes.extend(added);
        for (id, (op, inputs)) in replaced {
            (nodes[id.0].op, nodes[id.0].inputs) = (op, inputs);
        }
        // What was added stands in the order of its use.
        let in_order = order(&nodes)?;
        let mut place: Vec<usize> = (0..nodes.len()).collect();
        let late = || in_order.iter().filter(|id| id.0 >= self.in_file);
        for (at, id) in late().enumerate() {
            place[id.0] = self.in_file + at;
        }
        let mut sorted = nodes[..self.in_file].to_vec();
        sorted.extend(late().map(|id| nodes[id.0].clone()));
        for input in sorted.iter_mut().flat_map(|node| &mut node.inputs) {
            input.node = NodeId(place[input.node.0]);
        }
        let order = in_order.iter().map(|id| NodeId(place[id.0])).collect();
        Ok(Self { users: users(&sorted), nodes: sorted, order, in_file: self.in_file })
    }

    /// This graph with nodes more, each after what it reads.
    pub(crate) fn extended(&self, added: Vec<Node>) -> Self {
        let mut graph = self.clone();
        for node in added {
            let id = NodeId(graph.nodes.len());
            for input in &node.inputs {
                graph.users[input.node.0].push(id);
            }
            graph.nodes.push(node);
            graph.order.push(id);
            graph.users.push(Vec::new());
        }
        graph
    }

    /// Gives the outputs of a node dimensions that are known now; whether that changes any.
    pub(crate) fn refine(&mut self, id: NodeId, shapes: impl Iterator<Item = Shape>) -> bool {
        let mut changed = false;
        for (outlet, shape) in self.nodes[id.0].outputs.iter_mut().zip(shapes) {
            changed |= outlet.fact.shape != shape;
            outlet.fact.shape = shape;
        }
        changed
    }

    /// Number of nodes that stand in the file; those that follow were added in memory.
    pub(crate) fn in_file(&self) -> usize {
        self.in_file
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node of this graph.
    ///
    /// # Panics
    /// Where the id is that of a patch or of a larger graph; [`Finished::node`](super::Finished::node)
    /// and [`Patch::node`](super::Patch::node) take both.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// All nodes in file order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i), node))
    }

    /// All nodes, producers before consumers.
    pub(crate) fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// Nodes that read an output of `id`, in file order.
    pub(crate) fn users(&self, id: NodeId) -> &[NodeId] {
        &self.users[id.0]
    }

    /// What is known of an outlet.
    pub(crate) fn fact(&self, outlet: OutletId) -> &Fact {
        &self.nodes[outlet.node.0].outputs[outlet.slot].fact
    }

    /// The first output of the layer of that name, or the output that carries that tensor name.
    pub(crate) fn find(&self, name: &str) -> Option<OutletId> {
        let by_tensor = || {
            self.nodes().find_map(|(id, node)| {
                let slot = node.outputs.iter().position(|outlet| outlet.names.iter().any(|n| n == name))?;
                Some(OutletId::new(id, slot))
            })
        };
        let by_layer = self.nodes().find(|(_, node)| node.name == name && !node.outputs.is_empty());
        by_layer.map(|(id, _)| OutletId::new(id, 0)).or_else(by_tensor)
    }

    /// The model's outputs: what feeds its Results, in file order.
    pub(crate) fn results(&self) -> impl Iterator<Item = (NodeId, OutletId)> {
        self.nodes()
            .filter(|(_, node)| node.op.kind == OpKind::Result)
            .filter_map(|(id, node)| Some((id, *node.inputs.first()?)))
    }

    /// Names of a model output: its Result's own, or those of the tensor that feeds it.
    pub(crate) fn output_names(&self, result: NodeId, outlet: OutletId) -> &[String] {
        match &self.node(result).output_names[..] {
            [] => &self.node(outlet.node).outputs[outlet.slot].names,
            own => own,
        }
    }

    /// The model's inputs, in file order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(|(_, node)| node.op.kind == OpKind::Parameter)
    }

    /// Whether one inference changes what the next one gives.
    pub(crate) fn has_state(&self) -> bool {
        self.nodes().any(|(_, node)| node.op.kind == OpKind::ReadValue)
    }

    /// A name to show for an outlet: its layer, and the slot where there are several.
    pub(crate) fn label(&self, outlet: OutletId) -> String {
        let node = self.node(outlet.node);
        if node.outputs.len() > 1 { format!("{}:{}", node.name, outlet.slot) } else { node.name.clone() }
    }
}

/// The layers of a document whose contents are in the BIN.
pub(crate) fn constants(document: &Document) -> Vec<&LayerElement> {
    document.layers().iter().filter(|layer| OpKind::from(&*layer.kind) == OpKind::Const).collect()
}

fn node(layer: &LayerElement, inputs: Vec<Option<OutletId>>) -> Result<Node> {
    let mut resolved = Vec::with_capacity(inputs.len());
    for (input, port) in inputs.into_iter().zip(&layer.inputs) {
        resolved.push(input.ok_or_else(|| Error::Layer {
            place: layer.place(Some(port.id)),
            message: "no edge leads to this input".to_owned(),
        })?);
    }
    let outputs = layer.outputs.iter().map(|port| Outlet {
        fact: Fact::new(port.precision.unwrap_or(ElementType::Dynamic), port.dims.clone()),
        port: port.id,
        names: port.names.clone(),
    });
    Ok(Node {
        layer: layer.id,
        name: layer.name.clone(),
        op: Op::of(layer),
        inputs: resolved,
        outputs: outputs.collect(),
        has_body: layer.has_body,
        output_names: layer.output_names.clone(),
        contents: None,
    })
}

/// Of each node, those that read it, in the order of the nodes.
fn users(nodes: &[Node]) -> Vec<Vec<NodeId>> {
    let mut users = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            users[input.node.0].push(NodeId(i));
        }
    }
    users
}

fn order(nodes: &[Node]) -> Result<Vec<NodeId>> {
    let mut graph = DiGraph::<(), ()>::with_capacity(nodes.len(), nodes.len() * 2);
    let index: Vec<NodeIndex> = nodes.iter().map(|_| graph.add_node(())).collect();
    for (i, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            graph.add_edge(index[input.node.0], index[i], ());
        }
    }
    match petgraph::algo::toposort(&graph, None) {
        Ok(order) => Ok(order.into_iter().map(|i| NodeId(i.index())).collect()),
        Err(cycle) => Err(Error::Layer {
            place: nodes[cycle.node_id().index()].place(),
            message: "it depends on its own output: the graph has a cycle".to_owned(),
        }),
    }
}
