//! Structure of a finished patch, checked before anything is written; in release builds too.

use std::collections::HashSet;

use super::Finished;
use crate::error::{Error, Result};
use crate::graph::{Graph, OpKind, OutletId};
use crate::ir::{ShapeDisplay, is_absurd};

/// Checks that ids and names are unique, that every input exists and precedes its reader, and that no
/// shape is absurd.
pub(super) fn check(graph: &Graph, patch: &Finished) -> Result<()> {
    let in_file = || graph.nodes().take(graph.in_file());
    let mut layers: HashSet<u64> = in_file().map(|(_, node)| node.layer).collect();
    let mut names: HashSet<&str> = in_file().map(|(_, node)| node.name.as_str()).collect();
    let mut outlets: HashSet<OutletId> = HashSet::new();
    for (id, node) in in_file() {
        outlets.extend((0..node.outputs.len()).map(|slot| OutletId::new(id, slot)));
    }
    for (id, node) in &patch.nodes {
        let fail = |what: &str| Err(Error::Internal(format!("added layer '{}' {what}", node.name)));
        if !layers.insert(node.layer) {
            return fail("has an id that is taken");
        }
        if !names.insert(&node.name) {
            return fail("has a name that is taken");
        }
        if node.inputs.iter().any(|input| !outlets.contains(input)) {
            return fail("reads what does not exist before it");
        }
        if let Some(outlet) = node.outputs.iter().find(|outlet| is_absurd(&outlet.fact.shape)) {
            let message = format!(
                "added layer '{}' would have dims {}, which no machine can hold",
                node.name,
                ShapeDisplay(&outlet.fact.shape)
            );
            return Err(Error::usage(message));
        }
        let ports: HashSet<u32> = node.outputs.iter().map(|outlet| outlet.port).collect();
        if ports.len() != node.outputs.len() {
            return fail("has two ports of one id");
        }
        if node.op.kind == OpKind::Const {
            let fact = &node.outputs[0].fact;
            let count = fact.shape.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.fixed()?));
            let size = count.and_then(|count| fact.element.byte_size(count));
            // Contents of its own, or bytes that the original has.
            let original = || node.op.attribute("size").and_then(|size| size.parse().ok());
            if size != patch.constants.get(id).map(Vec::len).or_else(original) {
                return fail("has contents that do not match its shape");
            }
        }
        outlets.extend((0..node.outputs.len()).map(|slot| OutletId::new(*id, slot)));
    }
    Ok(())
}
