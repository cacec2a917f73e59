//! Takes a model apart: the whole of it with more outputs, and its head as a model of its own.
//!
//! Deliberately shares nothing with the analysis and the lowerings of the compiler, so that no
//! mistake can hide by being made twice: layers are copied as bytes, and what a head needs is
//! found here anew.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::graph::{Graph, Node, NodeId, OpKind, OutletId};
use crate::ir::{Dim, Document, ElementType, Shape};
use crate::runtime::Tensor;

/// A head: everything between masked values and the logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// What it reads: the masked values first, the target before others, then values that bypass them.
    pub(super) inputs: Vec<OutletId>,
    /// What it computes.
    pub(super) output: OutletId,
    /// Whether quantization of what depends on a masked value is left out.
    pub(super) smooth: bool,
    /// Whether each node carries data of a masked value.
    of_target: Vec<bool>,
    /// Whether each node of the graph is part of it.
    inside: Vec<bool>,
}

/// Type and shape of a head's input.
pub(super) type Signature = (ElementType, Shape);

/// What a head is to take for `tensor`, which the model declares as `declared`.
///
/// What the model leaves open stays open: the head is to be compiled as it is in the model, and not
/// as another one in which the compiler knows more. So does what the file has wrong, which
/// OpenVINO ignores.
pub(super) fn signature(declared: &[Dim], tensor: &Tensor) -> Signature {
    let dims = tensor.shape().iter().enumerate().map(|(axis, &dim)| match declared.get(axis) {
        Some(Dim::Fixed(value)) if *value == dim => Dim::Fixed(dim),
        _ => Dim::Dynamic,
    });
    (tensor.element(), dims.collect())
}

impl Head {
    /// Goes back from `logits` until a masked value, constants, or values that no masked one has a part in.
    /// So what turns one masked value into another is left out.
    ///
    /// Computations on shapes stay inside, back to the tensor whose shape they start from: so they
    /// are constant in the head, as they are in the model.
    ///
    /// # Errors
    /// A message where the logits do not depend on a masked value.
    pub(super) fn new(graph: &Graph, masked: &[OutletId], logits: OutletId) -> Result<Self, String> {
        let of_target = carriers(graph, |input| masked.contains(&input));
        let of_inputs = carriers(graph, |input| is_parameter(graph, input.node));
        if !of_target[logits.node.0] {
            let labels: Vec<String> = masked.iter().map(|outlet| graph.label(*outlet)).collect();
            return Err(format!(
                "the logits '{}' do not depend on the target '{}'",
                graph.label(logits),
                labels.join("', '")
            ));
        }
        let inside = vec![false; graph.len()];
        let carried = of_target.clone();
        let mut head =
            Self { inputs: masked.to_vec(), output: logits, smooth: false, of_target: carried, inside };
        let mut open = vec![logits.node];
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut head.inside[id.0], true) {
                continue;
            }
            for &input in &graph.node(id).inputs {
                let bypass =
                    !of_target[input.node.0] && (of_inputs[input.node.0] || is_parameter(graph, input.node));
                if masked.contains(&input) {
                    continue;
                } else if !bypass {
                    open.push(input.node);
                } else if !head.inputs.contains(&input) {
                    head.inputs.push(input);
                }
            }
        }
        // The order in which they were found depends on a stack; that in the file is easier to follow.
        head.inputs[masked.len()..].sort();
        Ok(head)
    }

    /// Whether it quantizes activations.
    pub(super) fn quantizes(&self, graph: &Graph) -> bool {
        let quantized = |(id, node): (NodeId, &Node)| {
            self.inside[id.0] && self.of_target[id.0] && node.op.kind == OpKind::FakeQuantize
        };
        graph.nodes().any(quantized)
    }

    /// What is read in the place of a value: of quantized data of a masked value, where that is left out, the data.
    fn read(&self, graph: &Graph, outlet: OutletId) -> OutletId {
        let mut at = outlet;
        while self.smooth && self.of_target[at.node.0] && !self.inputs.contains(&at) {
            let node = graph.node(at.node);
            match (&node.op.kind, node.inputs.first()) {
                (OpKind::FakeQuantize, Some(data)) => at = *data,
                _ => break,
            }
        }
        at
    }

    /// The head's XML: inputs and output as here, inputs with the given types and shapes.
    pub(super) fn emit(&self, document: &Document, graph: &Graph, signatures: &[Signature]) -> String {
        let mut net = Net::new(document);
        let mut sources = HashMap::new();
        for (&input, (element, shape)) in self.inputs.iter().zip(signatures) {
            sources.insert(input, net.parameter(*element, shape));
        }
        for (id, _) in graph.nodes().filter(|(id, _)| self.inside[id.0]) {
            net.keep(document, id);
        }
        for (id, node) in graph.nodes().filter(|(id, _)| self.inside[id.0]) {
            for (slot, &input) in node.inputs.iter().enumerate() {
                let to = (node.layer, document.layers()[id.0].inputs[slot].id);
                let input = self.read(graph, input);
                let from = sources.get(&input).copied().unwrap_or_else(|| port_of(graph, input));
                net.edge(from, to);
            }
        }
        net.result(port_of(graph, self.read(graph, self.output)));
        net.finish(document, "head")
    }
}

/// The original with more outputs, which come after its own.
pub(super) fn tap(document: &Document, graph: &Graph, outlets: &[OutletId]) -> String {
    let mut net = Net::new(document);
    for (id, _) in graph.nodes() {
        net.keep(document, id);
    }
    for edge in document.edges() {
        net.edge(edge.from, edge.to);
    }
    for &outlet in outlets {
        net.result(port_of(graph, outlet));
    }
    net.finish(document, "tap")
}

/// Marks nodes that data of a source arrives at; the shape of a tensor carries none of its data.
fn carriers(graph: &Graph, is_source: impl Fn(OutletId) -> bool) -> Vec<bool> {
    let mut carries = vec![false; graph.len()];
    for &id in graph.order() {
        let node = graph.node(id);
        carries[id.0] = node.op.kind != OpKind::ShapeOf
            && node.inputs.iter().any(|&input| carries[input.node.0] || is_source(input));
    }
    carries
}

pub(super) fn is_parameter(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).op.kind == OpKind::Parameter
}

/// Layer id and port id of an outlet.
fn port_of(graph: &Graph, outlet: OutletId) -> (u64, u32) {
    let node = graph.node(outlet.node);
    (node.layer, node.outputs[outlet.slot].port)
}

/// XML in the making.
struct Net {
    layers: String,
    edges: String,
    next: u64,
}

impl Net {
    fn new(document: &Document) -> Self {
        let last = document.layers().iter().map(|layer| layer.id).max().unwrap_or(0);
        Self { layers: String::new(), edges: String::new(), next: last.saturating_add(1) }
    }

    fn id(&mut self) -> u64 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }

    fn keep(&mut self, document: &Document, id: NodeId) {
        let span = document.layers()[id.0].span.clone();
        // The document was checked to be UTF-8, and spans start and end at tags.
        self.layers.push_str(&String::from_utf8_lossy(&document.bytes()[span]));
        self.layers.push('\n');
    }

    fn edge(&mut self, from: (u64, u32), to: (u64, u32)) {
        let _ = writeln!(
            self.edges,
            r#"<edge from-layer="{}" from-port="{}" to-layer="{}" to-port="{}"/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    fn parameter(&mut self, element: ElementType, shape: &[Dim]) -> (u64, u32) {
        let id = self.id();
        let dims: Vec<String> = shape.iter().map(|dim| dim.as_i64().to_string()).collect();
        let ports: String = dims.iter().map(|dim| format!("<dim>{dim}</dim>")).collect();
        let _ = writeln!(
            self.layers,
            concat!(
                r#"<layer id="{id}" name="xai_verify_{id}" type="Parameter" version="opset1">"#,
                r#"<data shape="{shape}" element_type="{element}"/>"#,
                r#"<output><port id="0" precision="{precision}" names="xai_verify_{id}">{ports}</port></output></layer>"#
            ),
            id = id,
            shape = dims.join(","),
            element = element.as_attribute(),
            precision = element.as_precision(),
            ports = ports
        );
        (id, 0)
    }

    fn result(&mut self, from: (u64, u32)) {
        let id = self.id();
        let _ = writeln!(
            self.layers,
            r#"<layer id="{id}" name="xai_verify_{id}" type="Result" version="opset1"><input><port id="0"/></input></layer>"#
        );
        self.edge(from, (id, 0));
    }

    fn finish(self, document: &Document, name: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<net name=\"xai_verify_{name}\" version=\"{}\">\n<layers>\n{}</layers>\n<edges>\n{}</edges>\n</net>\n",
            document.version(),
            self.layers,
            self.edges
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `(name, type, inputs)`; a layer's id is its index, its only output is port 9.
    fn model(layers: &[(&str, &str, &[usize])]) -> (Document, Graph) {
        let (mut text, mut edges) = (String::new(), String::new());
        for (id, (name, kind, inputs)) in layers.iter().enumerate() {
            let _ = write!(text, r#"<layer id="{id}" name="{name}" type="{kind}" version="opset1"><input>"#);
            for (port, from) in inputs.iter().enumerate() {
                let _ = write!(text, r#"<port id="{port}"/>"#);
                let _ = write!(
                    edges,
                    r#"<edge from-layer="{from}" from-port="9" to-layer="{id}" to-port="{port}"/>"#
                );
            }
            text.push_str("</input><output>");
            if *kind != "Result" {
                text.push_str(r#"<port id="9" precision="FP32"><dim>1</dim></port>"#);
            }
            text.push_str("</output></layer>");
        }
        let text =
            format!(r#"<net name="n" version="11"><layers>{text}</layers><edges>{edges}</edges></net>"#);
        let document = Document::parse(Path::new("m.xml"), text.into_bytes()).unwrap();
        let graph = Graph::new(&document).unwrap();
        (document, graph)
    }

    fn outlet(graph: &Graph, name: &str) -> OutletId {
        graph.find(name).unwrap()
    }

    fn names(graph: &Graph, outlets: &[OutletId]) -> Vec<String> {
        outlets.iter().map(|outlet| graph.label(*outlet)).collect()
    }

    const MODEL: &[(&str, &str, &[usize])] = &[
        ("image", "Parameter", &[]),
        ("vector", "Parameter", &[]),
        ("trunk", "Convolution", &[0]),
        ("target", "ReLU", &[2]),
        ("side", "Sigmoid", &[2]),
        ("weight", "Const", &[]),
        ("scaled", "Multiply", &[3, 5]),
        ("gated", "Multiply", &[6, 4]),
        ("shape", "ShapeOf", &[2]),
        ("own_shape", "ShapeOf", &[6]),
        ("joined_shape", "Concat", &[8, 9]),
        ("flat", "Reshape", &[7, 10]),
        ("logits", "Concat", &[11, 1]),
        ("probabilities", "SoftMax", &[12]),
        ("out", "Result", &[13]),
    ];

    #[test]
    fn a_head_ends_at_the_target_and_at_what_bypasses_it() {
        let (document, graph) = model(MODEL);
        let head = Head::new(&graph, &[outlet(&graph, "target")], outlet(&graph, "logits")).unwrap();
        assert_eq!(names(&graph, &head.inputs), ["target", "vector", "trunk", "side"]);
        let signatures = vec![(ElementType::F32, vec![Dim::Dynamic, Dim::Fixed(2)]); 4];
        let text = head.emit(&document, &graph, &signatures);
        let parsed = Document::parse(Path::new("head.xml"), text.into_bytes()).unwrap();
        let cut = Graph::new(&parsed).unwrap();
        let inside: Vec<&str> = cut.nodes().map(|(_, node)| node.name.as_str()).collect();
        for name in ["weight", "scaled", "gated", "shape", "own_shape", "joined_shape", "flat", "logits"] {
            assert!(inside.contains(&name), "{name} in {inside:?}");
        }
        for name in ["image", "trunk", "target", "side", "probabilities", "out"] {
            assert!(!inside.contains(&name), "{name} in {inside:?}");
        }
        assert_eq!(cut.parameters().count(), 4);
        assert_eq!(cut.parameters().next().unwrap().1.op.attribute("shape"), Some("-1,2"));
        let results: Vec<String> = cut.results().map(|(_, outlet)| cut.label(outlet)).collect();
        assert_eq!(results, ["logits"]);
    }

    #[test]
    fn a_head_without_the_target_is_refused() {
        let (_, graph) = model(MODEL);
        let error = Head::new(&graph, &[outlet(&graph, "logits")], outlet(&graph, "side")).unwrap_err();
        assert_eq!(error, "the logits 'side' do not depend on the target 'logits'");
        // A shape carries no data.
        Head::new(&graph, &[outlet(&graph, "target")], outlet(&graph, "own_shape")).unwrap_err();
    }

    #[test]
    fn what_is_open_in_the_model_stays_open_in_the_head() {
        let tensor = Tensor::new(ElementType::F16, vec![2, 3, 4], vec![0; 48]).unwrap();
        let declared = [Dim::Dynamic, Dim::Fixed(3), Dim::Fixed(5)];
        let (element, shape) = signature(&declared, &tensor);
        assert_eq!(element, ElementType::F16);
        assert_eq!(shape, [Dim::Dynamic, Dim::Fixed(3), Dim::Dynamic]);
    }

    #[test]
    fn a_tapped_model_keeps_its_outputs_first() {
        let (document, graph) = model(MODEL);
        let taps = [outlet(&graph, "logits"), outlet(&graph, "target")];
        let text = tap(&document, &graph, &taps);
        let parsed = Document::parse(Path::new("tap.xml"), text.into_bytes()).unwrap();
        let tapped = Graph::new(&parsed).unwrap();
        let results: Vec<String> = tapped.results().map(|(_, outlet)| tapped.label(outlet)).collect();
        assert_eq!(results, ["probabilities", "logits", "target"]);
    }
}
