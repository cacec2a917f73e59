//! From a finished patch to the XML and the bytes that are appended to a model.

use std::fmt::Write as _;

use super::Finished;
use crate::graph::{Fact, Graph, Node, NodeId};
use crate::ir::{Splice, escape};

/// Constants start at multiples of this, as plugins like to map them.
const ALIGNMENT: usize = 64;

impl Finished {
    /// The layers and edges as XML, and what is to be appended to a BIN of `bin_bytes` bytes: constants,
    /// each at a multiple of 64 bytes from the BIN's start.
    pub(crate) fn emit(&self, graph: &Graph, bin_bytes: usize) -> (Splice, Vec<u8>) {
        let mut splice = Splice::default();
        let mut tail = Vec::new();
        for (id, node) in &self.nodes {
            self.layer(graph, *id, node, bin_bytes, &mut splice.layers, &mut tail);
            for (port, input) in node.inputs.iter().enumerate() {
                let from = self.node(graph, input.node);
                let _ = write!(
                    splice.edges,
                    "\n\t\t<edge from-layer=\"{}\" from-port=\"{}\" to-layer=\"{}\" to-port=\"{port}\" />",
                    from.layer, from.outputs[input.slot].port, node.layer
                );
            }
        }
        (splice, tail)
    }

    /// A node of the graph or of this patch.
    pub(crate) fn node<'a>(&'a self, graph: &'a Graph, id: NodeId) -> &'a Node {
        match self.nodes.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(i) => &self.nodes[i].1,
            Err(_) => graph.node(id),
        }
    }

    fn layer(
        &self,
        graph: &Graph,
        id: NodeId,
        node: &Node,
        bin_bytes: usize,
        out: &mut String,
        tail: &mut Vec<u8>,
    ) {
        let op = &node.op;
        let _ = write!(
            out,
            "\n\t\t<layer id=\"{}\" name=\"{}\" type=\"{}\" version=\"{}\">",
            node.layer,
            escape(&node.name),
            escape(op.type_name()),
            escape(&op.opset)
        );
        if let Some(bytes) = self.constants.get(&id) {
            while !(bin_bytes + tail.len()).is_multiple_of(ALIGNMENT) {
                tail.push(0);
            }
            let fact = &node.outputs[0].fact;
            let shape: Vec<String> = fact.shape.iter().map(ToString::to_string).collect();
            let _ = write!(
                out,
                "\n\t\t\t<data element_type=\"{}\" shape=\"{}\" offset=\"{}\" size=\"{}\" />",
                fact.element,
                shape.join(", "),
                bin_bytes + tail.len(),
                bytes.len()
            );
            tail.extend_from_slice(bytes);
        } else if !op.attributes.is_empty() {
            out.push_str("\n\t\t\t<data");
            for (name, value) in &op.attributes {
                let _ = write!(out, " {name}=\"{}\"", escape(value));
            }
            out.push_str(" />");
        }
        if !node.inputs.is_empty() {
            out.push_str("\n\t\t\t<input>");
            for (port, input) in node.inputs.iter().enumerate() {
                let fact = &self.node(graph, input.node).outputs[input.slot].fact;
                port_element(out, port, fact, &[]);
            }
            out.push_str("\n\t\t\t</input>");
        }
        if !node.outputs.is_empty() {
            out.push_str("\n\t\t\t<output>");
            for outlet in &node.outputs {
                port_element(out, outlet.port as usize, &outlet.fact, &outlet.names);
            }
            out.push_str("\n\t\t\t</output>");
        }
        out.push_str("\n\t\t</layer>");
    }
}

fn port_element(out: &mut String, port: usize, fact: &Fact, names: &[String]) {
    let _ = write!(out, "\n\t\t\t\t<port id=\"{port}\" precision=\"{}\"", fact.element.as_precision());
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| name.replace(',', "\\,")).collect();
        let _ = write!(out, " names=\"{}\"", escape(&names.join(",")));
    }
    if fact.shape.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for dim in &fact.shape {
        let _ = write!(out, "\n\t\t\t\t\t<dim>{}</dim>", dim.as_i64());
    }
    out.push_str("\n\t\t\t\t</port>");
}
