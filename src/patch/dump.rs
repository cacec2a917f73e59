//! An added graph in a form for people: text or Graphviz dot, the same for the same input.

use std::fmt::{self, Write as _};

use super::Finished;
use crate::graph::{Graph, NodeId, OpKind, OutletId};
use crate::ir::ElementType;

/// Shows the nodes of a patch. What stems from the original model is quoted (`"conv1"`).
#[derive(Debug, Clone, Copy)]
pub struct Dump<'a> {
    /// The original graph.
    pub(crate) graph: &'a Graph,
    /// What is added to it.
    pub(crate) patch: &'a Finished,
}

impl Dump<'_> {
    /// One line a node: name, operation with attributes, inputs, outputs; constants in line.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (id, node) in &self.patch.nodes {
            if self.patch.constants.contains_key(id) {
                continue;
            }
            let inputs: Vec<String> = node.inputs.iter().map(|input| self.name(*input)).collect();
            if node.op.kind == OpKind::Result {
                let names = node.inputs.iter().map(|input| {
                    let node = self.patch.node(self.graph, input.node);
                    node.outputs[input.slot].names.join(",")
                });
                let _ =
                    writeln!(out, "output {} = {}", names.collect::<Vec<_>>().join(","), inputs.join(", "));
                continue;
            }
            let facts: Vec<String> = node.outputs.iter().map(|outlet| outlet.fact.to_string()).collect();
            let _ = writeln!(
                out,
                "{} = {}{}({}) -> {}",
                node.name,
                node.op.type_name(),
                Attributes(*id, self),
                inputs.join(", "),
                facts.join(", ")
            );
        }
        out
    }

    /// A digraph in Graphviz' language: the original's outlets as boxes, added nodes as ellipses.
    pub fn dot(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut out = String::from("digraph xai {\n  rankdir=TB;\n");
        let mut originals: Vec<NodeId> = Vec::new();
        let mut edges = String::new();
        for (id, node) in &self.patch.nodes {
            if self.patch.constants.contains_key(id) {
                continue;
            }
            let facts: Vec<String> = node.outputs.iter().map(|outlet| outlet.fact.to_string()).collect();
            let _ = writeln!(
                out,
                "  {} [label={}];",
                quote(&node.name),
                quote(&format!("{}\n{}\n{}", node.op.type_name(), node.name, facts.join(" ")))
                    .replace('\n', "\\n")
            );
            for input in &node.inputs {
                let from = self.patch.node(self.graph, input.node);
                if self.patch.constants.contains_key(&input.node) {
                    continue;
                }
                if input.node.0 < self.graph.len() && !originals.contains(&input.node) {
                    originals.push(input.node);
                }
                let fact = &from.outputs[input.slot].fact;
                let _ = writeln!(
                    edges,
                    "  {} -> {} [label={}];",
                    quote(&from.name),
                    quote(&node.name),
                    quote(&fact.to_string())
                );
            }
        }
        for id in originals {
            let node = self.graph.node(id);
            let label = format!("{}\n{}", node.op.type_name(), node.name);
            let _ = writeln!(
                out,
                "  {} [shape=box,label={}];",
                quote(&node.name),
                quote(&label).replace('\n', "\\n")
            );
        }
        out.push_str(&edges);
        out.push_str("}\n");
        out
    }

    fn name(&self, outlet: OutletId) -> String {
        let node = self.patch.node(self.graph, outlet.node);
        if let Some(bytes) = self.patch.constants.get(&outlet.node) {
            let fact = &node.outputs[0].fact;
            return match values(fact.element, bytes) {
                Some(values) => format!("{}{{{values}}}", fact.element),
                None => format!("{}{{{} bytes}}", fact, bytes.len()),
            };
        }
        let slot = if node.outputs.len() > 1 { format!(":{}", outlet.slot) } else { String::new() };
        if outlet.node.0 < self.graph.len() {
            format!("\"{}\"{slot}", node.name)
        } else {
            format!("{}{slot}", node.name)
        }
    }
}

/// Attributes as `{axis=1, keep_dims=true}`; nothing where there are none.
struct Attributes<'a>(NodeId, &'a Dump<'a>);

impl fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = &self.1.patch.node(self.1.graph, self.0).op;
        if op.attributes.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = op.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(f, "{{{}}}", list.join(", "))
    }
}

fn values(element: ElementType, bytes: &[u8]) -> Option<String> {
    const MOST: usize = 8;
    let each: Vec<String> = match element {
        ElementType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b).to_string()).collect(),
        ElementType::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).to_string()).collect(),
        ElementType::F16 => {
            bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_string()).collect()
        }
        _ => return None,
    };
    (each.len() <= MOST).then(|| each.join(", "))
}
