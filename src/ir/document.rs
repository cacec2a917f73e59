//! An IR's XML: the bytes as they are, and what stands where in them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{ElementType, RtInfo, Shape};

use crate::place::Place;

/// The XML of an IR: its bytes, its layers and edges, and the places where additions go.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) version: u32,
    pub(super) layers: Vec<LayerElement>,
    pub(super) edges: Vec<EdgeElement>,
    pub(super) rt_info: RtInfo,
    pub(super) sections: Sections,
}

/// Byte ranges of the net's sections.
#[derive(Debug, Clone, Default)]
pub(super) struct Sections {
    pub(super) layers: Range<usize>,
    pub(super) edges: Range<usize>,
    pub(super) rt_info: Option<Range<usize>>,
    /// Span of each direct child of the net's `<rt_info>`.
    pub(super) rt_info_children: Vec<Range<usize>>,
    /// Offset of `</net>`.
    pub(super) net_end: usize,
}

/// A `<layer>` of the net itself; layers inside control-flow bodies are part of their owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerElement {
    /// `id` attribute, unique in the net.
    pub id: u64,
    /// `name` attribute.
    pub name: String,
    /// `type` attribute: the operation.
    pub kind: String,
    /// `version` attribute: the operation set (`opset1`); old files may lack it.
    pub opset: String,
    /// Attributes of `<data>` in file order.
    pub data: Vec<(String, String)>,
    /// Input ports in file order.
    pub inputs: Vec<PortElement>,
    /// Output ports in file order.
    pub outputs: Vec<PortElement>,
    /// Whether the layer carries a body (If, Loop, TensorIterator).
    pub has_body: bool,
    /// `output_names` attribute of a Result: newer runtimes name the output by it.
    pub output_names: Vec<String>,
    /// Whether its `<rt_info>` has the attribute `preprocessing`: OpenVINO's PrePostProcessor made it of a mean or a
    /// scale, or folded one into it.
    pub preprocessing: bool,
    /// Bytes of the whole element.
    pub span: Range<usize>,
}

impl LayerElement {
    /// This layer, for messages.
    pub(crate) fn place(&self, port: Option<u32>) -> Place {
        Place { layer: self.name.clone(), kind: self.kind.clone(), id: self.id, port }
    }
}

/// A `<port>` of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortElement {
    /// `id` attribute, unique in the layer.
    pub id: u32,
    /// `precision` attribute; inputs of old files lack it.
    pub precision: Option<ElementType>,
    /// Tensor names.
    pub names: Vec<String>,
    /// Dimensions as the file declares them.
    pub dims: Shape,
    /// The attribute `layout` of its `<rt_info>` (`[N,H,W,C]`), as PrePostProcessor and converters leave it.
    pub layout: Option<String>,
}

/// An `<edge>` of the net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EdgeElement {
    /// Layer id and port id where the tensor comes from.
    pub from: (u64, u32),
    /// Layer id and port id where it goes.
    pub to: (u64, u32),
    /// Bytes of the whole element.
    pub span: Range<usize>,
}

impl Document {
    /// Where the document was read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The XML exactly as read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// IR version: 10 or 11.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Layers of the net in file order.
    pub(crate) fn layers(&self) -> &[LayerElement] {
        &self.layers
    }

    /// Edges of the net in file order.
    pub(crate) fn edges(&self) -> &[EdgeElement] {
        &self.edges
    }

    /// The net's `<rt_info>`; empty where the file has none.
    pub(crate) fn rt_info(&self) -> &RtInfo {
        &self.rt_info
    }
}
