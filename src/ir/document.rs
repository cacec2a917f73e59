//! An IR's XML: the bytes as they are, and what stands where in them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{ElementType, RtInfo, Shape};
use crate::error::{Error, Result};

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
    /// This document with other shapes of some layers, which are inputs; each is given by its place among the layers.
    ///
    /// # Errors
    /// [`Error::Layer`] where the file does not say the shape of one where inputs say it.
    pub(crate) fn reshaped(&self, shapes: &[(usize, Shape)]) -> Result<Self> {
        let mut bytes = self.bytes.clone();
        let mut shapes: Vec<&(usize, Shape)> = shapes.iter().collect();
        // From the end on, so that earlier places stay where they are.
        shapes.sort_by_key(|(at, _)| std::cmp::Reverse(self.layers[*at].span.start));
        for (at, shape) in shapes {
            let layer = &self.layers[*at];
            let text = String::from_utf8_lossy(&bytes[layer.span.clone()]).into_owned();
            let text = with_shape(&text, shape).ok_or_else(|| Error::Layer {
                place: layer.place(None),
                message: "its shape is not written as that of an input".to_owned(),
            })?;
            bytes.splice(layer.span.clone(), text.into_bytes());
        }
        Self::parse(&self.path, bytes)
    }

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

/// An element of an input with another shape: in the attribute `shape` of its `<data>`, and in the dims of its port.
fn with_shape(layer: &str, shape: &Shape) -> Option<String> {
    let data = layer.find("<data")?;
    let attribute = data + layer[data..].find(" shape=")? + " shape=".len();
    let quote = layer[attribute..].chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let (from, to) = (attribute + 1, attribute + 1 + layer[attribute + 1..].find(quote)?);
    let listed = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (mut text, mut rest) = (format!("{}{listed}", &layer[..from]), &layer[to..]);
    let mut dims = shape.iter();
    while let Some((before, after)) = rest.split_once("<dim>") {
        let (_, after) = after.split_once("</dim>")?;
        text.push_str(&format!("{before}<dim>{}</dim>", dims.next()?.as_i64()));
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Dim;

    #[test]
    fn inputs_are_reshaped_in_both_places() {
        let layer = r#"<layer id="0" name="x" type="Parameter"><data shape="?,3,?" element_type="f32" /><output><port id="0"><dim>-1</dim><dim>3</dim><dim>-1</dim></port></output></layer>"#;
        let shape = vec![Dim::Dynamic, Dim::Fixed(3), Dim::Fixed(224)];
        let text = with_shape(layer, &shape).unwrap();
        assert!(
            text.contains(r#"shape="?,3,224""#) && text.contains("<dim>-1</dim><dim>3</dim><dim>224</dim>"),
            "{text}"
        );
        assert_eq!(with_shape("<layer/>", &shape), None);
        assert_eq!(with_shape(layer, &vec![Dim::Fixed(1)]), None, "another rank");
    }
}
