//! A model as read: document, weights, graph, and what each of its nodes does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::canonical::canonical;
use crate::error::Result;
use crate::given::Given;
use crate::graph::{Graph, Node, NodeId, OutletId, constants};
use crate::ir::{Document, InputShape, Record, Shape, Weights, key};
use crate::ops::{Action, Constants, Extents, Move, Passage, Semantics, describe, moved};

/// An OpenVINO IR, read and checked.
#[derive(Debug, Clone)]
pub struct Model {
    document: Arc<Document>,
    weights: Arc<Weights>,
    /// What the user said of its inputs, by their names.
    given: Given,
    /// As the file has it.
    written: Arc<Graph>,
    /// In one way of writing, with what was added in memory.
    graph: Graph,
    /// Of each node, by its index.
    semantics: Vec<Semantics>,
    /// Of each outlet.
    extents: Extents,
}

impl Model {
    /// Reads the IR whose XML is at `xml`; its BIN is `weights`, or the file of the same name.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where a file cannot be read, [`Error::Xml`](crate::Error::Xml),
    /// [`Error::Layer`](crate::Error::Layer) and [`Error::Weights`](crate::Error::Weights) where it is no sound IR.
    pub fn read(xml: &Path, weights: Option<&Path>) -> Result<Self> {
        let document = Document::read(xml)?;
        let bin = weights.map_or_else(|| xml.with_extension("bin"), PathBuf::from);
        let weights = Weights::open(&bin, &constants(&document))?;
        Self::of(document, weights)
    }

    /// Takes an IR that is in memory: its XML, and its BIN (empty where it has no weights).
    ///
    /// # Errors
    /// As [`Model::read`], except that no file can be missing; messages name the place `<memory>`.
    pub fn from_bytes(xml: Vec<u8>, bin: Vec<u8>) -> Result<Self> {
        let place = Path::new("<memory>");
        let document = Document::parse(place, xml)?;
        let weights = Weights::from_bytes(place, bin, &constants(&document))?;
        Self::of(document, weights)
    }

    fn of(document: Document, weights: Weights) -> Result<Self> {
        let written = Graph::new(&document)?;
        let (graph, semantics, extents) = canonical(written.clone(), &weights)?;
        let (document, weights, written) = (Arc::new(document), Arc::new(weights), Arc::new(written));
        Ok(Self { document, weights, given: Given::default(), written, graph, semantics, extents })
    }

    /// This model with what the user says of its inputs: read under shapes that the file leaves open, or given them.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) where there is no such input, or it cannot have that shape.
    pub fn given(self, given: &Given) -> Result<Self> {
        given.check()?;
        let shapes = given.resolved(&self.written)?;
        let named = |(id, shape): &(NodeId, Shape)| InputShape {
            name: Some(self.written.node(*id).name.clone()),
            dims: shape.iter().map(|dim| dim.fixed()).collect(),
        };
        let named = Given { shapes: shapes.iter().map(named).collect(), ..given.clone() };
        let (document, written) = match given.reshape {
            true => {
                let layers: Vec<_> = shapes.iter().map(|(id, shape)| (id.index(), shape.clone())).collect();
                let document = self.document.reshaped(&layers)?;
                let written = Graph::new(&document)?;
                (Arc::new(document), Arc::new(written))
            }
            false => (self.document, self.written),
        };
        let mut graph = Graph::clone(&written);
        for (id, shape) in shapes {
            graph.refine(id, std::iter::once(shape));
        }
        let (graph, semantics, extents) = canonical(graph, &self.weights)?;
        Ok(Self { document, weights: self.weights, given: named, written, graph, semantics, extents })
    }

    /// What the user said of its inputs.
    pub(crate) fn told(&self) -> &Given {
        &self.given
    }

    /// This model with nodes more in its graph, each after what it reads.
    pub(crate) fn extended(&self, added: Vec<Node>) -> Self {
        let (document, weights) = (Arc::clone(&self.document), Arc::clone(&self.weights));
        let (written, given) = (Arc::clone(&self.written), self.given.clone());
        let mut graph = self.graph.extended(added);
        let (mut semantics, mut extents) = (self.semantics.clone(), self.extents.clone());
        describe(&mut graph, &weights, &mut extents, &mut semantics);
        Self { document, weights, given, written, graph, semantics, extents }
    }

    /// The files that it was read from: XML and BIN.
    pub fn files(&self) -> [&Path; 2] {
        [self.document.path(), self.weights.path()]
    }

    /// Bytes of the BIN.
    pub fn bin_len(&self) -> usize {
        self.weights.len()
    }

    /// The XML.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// The BIN.
    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The graph as the file has it, of which the other one is a way of writing: for whoever must not rely on that.
    #[cfg(feature = "runtime")]
    pub(crate) fn written(&self) -> &Graph {
        &self.written
    }

    /// The graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The node that stands behind an id of the graph.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// Records an outlet: its layer's name, its slot, and where several layers have that name the layer's id.
    pub(crate) fn record(&self, outlet: OutletId, key: &str, record: &mut Record) {
        let node = self.node(outlet.node);
        record.add(key, &node.name);
        record.add(key::slot_of(key), outlet.slot);
        if self.graph.nodes().filter(|(_, other)| other.name == node.name).nth(1).is_some() {
            record.add(key::id_of(key), node.layer);
        }
    }

    /// How a node moves and mixes data.
    pub(crate) fn action(&self, id: NodeId) -> &Action {
        &self.semantics[id.index()].action
    }

    /// What scores may do at a node on their way to an output.
    pub(crate) fn passage(&self, id: NodeId) -> Passage {
        self.semantics[id.index()].passage
    }

    /// Whether a node's action is not known only because the shapes that the file declares contradict its operation.
    pub(crate) fn contradicted(&self, id: NodeId) -> bool {
        self.semantics[id.index()].contradicted
    }

    fn known(&self) -> Constants<'_> {
        Constants::new(&self.graph, &self.weights, &self.extents.of)
    }

    /// Symbolic extents.
    pub(crate) fn extents(&self) -> &Extents {
        &self.extents
    }

    /// How a window, padding, resampling or reversal moves elements along an axis; `None` where nothing tells.
    pub(crate) fn moved(&self, node: &Node, axis: usize) -> Option<Move> {
        moved(self.known(), node, axis)
    }

    /// The integers that an outlet holds, where they can be told before inference: constants, known
    /// shapes, and what is computed from them.
    ///
    /// `None` where they depend on an input, are no integers or far too many to be a shape.
    pub(crate) fn integers(&self, outlet: OutletId) -> Option<Vec<i64>> {
        self.known().integers(outlet)
    }

    /// The numbers of a constant, row-major, whatever its type; `None` where there are too many to be anything but
    /// data.
    pub(crate) fn numbers(&self, outlet: OutletId) -> Option<Vec<f64>> {
        self.known().numbers(outlet)
    }
}
