//! A model as read: document, weights and graph together.

mod fold;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::graph::{Graph, Node, NodeId, OutletId};
use crate::ir::{Document, ElementType, Weights};

/// An OpenVINO IR, read and checked.
#[derive(Debug)]
pub struct Model {
    document: Arc<Document>,
    weights: Arc<Weights>,
    graph: Graph,
}

/// Integer constants longer than this are data, not axes or shapes.
pub(crate) const MAX_INTEGERS: usize = 4096;

impl Model {
    /// Reads the IR whose XML is at `xml`; its BIN is `weights`, or the file of the same name.
    ///
    /// # Errors
    /// Whatever [`Document::read`], [`Weights::open`] and [`Graph::new`] find wrong.
    pub fn read(xml: &Path, weights: Option<&Path>) -> Result<Self> {
        let document = Document::read(xml)?;
        let bin = weights.map_or_else(|| xml.with_extension("bin"), PathBuf::from);
        let weights = Weights::open(&bin, &document)?;
        let graph = Graph::new(&document)?;
        Ok(Self { document: Arc::new(document), weights: Arc::new(weights), graph })
    }

    /// Takes an IR that is in memory: its XML, and its BIN (empty where it has no weights).
    ///
    /// # Errors
    /// As [`Model::read`], except that no file can be missing; messages name the place `<memory>`.
    pub fn from_bytes(xml: Vec<u8>, bin: Vec<u8>) -> Result<Self> {
        let place = Path::new("<memory>");
        let document = Document::parse(place, xml)?;
        let weights = Weights::from_bytes(place, bin, &document)?;
        let graph = Graph::new(&document)?;
        Ok(Self { document: Arc::new(document), weights: Arc::new(weights), graph })
    }

    /// This model with another graph in place of its own.
    pub(crate) fn with_graph(&self, graph: Graph) -> Self {
        Self { document: Arc::clone(&self.document), weights: Arc::clone(&self.weights), graph }
    }

    /// The XML.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The BIN.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The node that stands behind an id of the original graph.
    pub fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// The node that an outlet's numbers come from, behind conversions and shape-only operations.
    fn source(&self, outlet: OutletId) -> &Node {
        let mut node = self.node(outlet.node);
        while let ("Convert" | "Reshape" | "Squeeze" | "Unsqueeze", Some(input)) =
            (node.op.kind.as_str(), node.inputs.first())
        {
            node = self.node(input.node);
        }
        node
    }

    /// The integers that an outlet holds, where they can be told before inference: constants, known
    /// shapes, and what is computed from them.
    ///
    /// `None` where they depend on an input, are no integers or far too many to be a shape.
    pub fn integers(&self, outlet: OutletId) -> Option<Vec<i64>> {
        fold::integers(self, outlet)
    }

    /// The single number of a constant scalar, whatever its type.
    pub fn scalar(&self, outlet: OutletId) -> Option<f64> {
        let node = self.source(outlet);
        match node.op.kind.as_str() {
            "Const" => {
                let bytes = self.const_bytes(node)?;
                Some(match (node.outputs.first()?.fact.element, bytes.len()) {
                    (ElementType::F32, 4) => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
                    (ElementType::F64, 8) => f64::from_le_bytes(bytes.try_into().ok()?),
                    (ElementType::F16, 2) => f64::from(half::f16::from_le_bytes(bytes.try_into().ok()?)),
                    (ElementType::BF16, 2) => f64::from(half::bf16::from_le_bytes(bytes.try_into().ok()?)),
                    _ => {
                        let [value] = self.constant(node)?[..] else { return None };
                        #[allow(clippy::cast_precision_loss)]
                        return Some(value as f64);
                    }
                })
            }
            _ => None,
        }
    }

    fn const_bytes<'a>(&'a self, node: &'a Node) -> Option<&'a [u8]> {
        if let Some(contents) = &node.contents {
            return Some(contents);
        }
        let number = |name| node.op.attribute(name)?.trim().parse::<usize>().ok();
        self.weights.bytes(number("offset")?, number("size")?)
    }

    /// The integers of a Const.
    pub(crate) fn constant(&self, node: &Node) -> Option<Vec<i64>> {
        macro_rules! read {
            ($bytes:expr, $type:ty) => {
                $bytes
                    .chunks_exact(size_of::<$type>())
                    .map(|chunk| i64::try_from(<$type>::from_le_bytes(chunk.try_into().ok()?)).ok())
                    .collect()
            };
        }
        let element = node.outputs.first()?.fact.element;
        let bytes = self.const_bytes(node)?;
        if bytes.len() > MAX_INTEGERS * 8 {
            return None;
        }
        match element {
            ElementType::I64 => read!(bytes, i64),
            ElementType::I32 => read!(bytes, i32),
            ElementType::I16 => read!(bytes, i16),
            ElementType::I8 => read!(bytes, i8),
            ElementType::U64 => read!(bytes, u64),
            ElementType::U32 => read!(bytes, u32),
            ElementType::U16 => read!(bytes, u16),
            ElementType::U8 => read!(bytes, u8),
            _ => None,
        }
    }
}
