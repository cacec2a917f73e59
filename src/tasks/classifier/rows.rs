//! Whose rows scores have, where a model compares what it makes of several inputs.
//!
//! A product of features of images and of texts is `[images, texts]` one way round and `[texts, images]` the other.

use crate::graph::{Flow, Graph, NodeId, OutletId};
use crate::ir::Dim;
use crate::model::Model;
use crate::ops::Action;

/// Axes of an input that may be a picture.
const PICTURE: usize = 4;
/// Operations between a product and the scores; nothing real comes near this.
const MAX_STEPS: usize = 64;

/// The input whose entries are the rows of scores, where the pictures, along their axis `batch` or not, are their columns.
pub(super) fn of_another(model: &Model, scores: OutletId, batch: usize, class: usize) -> Option<String> {
    let graph = model.graph();
    let inputs: Vec<(NodeId, bool)> = graph
        .parameters()
        .map(|(id, node)| (id, node.outputs.first().is_some_and(|port| port.fact.rank() == PICTURE)))
        .collect();
    if inputs.len() < 2 {
        return None;
    }
    if batch != 0 {
        let (input, _) = inputs.iter().find(|(_, picture)| !picture)?;
        return Some(graph.label(OutletId::new(*input, 0)));
    }
    // Of an axis: whether pictures are behind it, and the first input that is.
    let behind = |axis: usize| {
        let at = made_at(model, scores, axis);
        let takes_part = |id: NodeId| Flow::after(graph, OutletId::new(id, 0))[at.node.index()];
        let found: Vec<&(NodeId, bool)> = inputs.iter().filter(|(id, _)| takes_part(*id)).collect();
        (found.iter().any(|(_, picture)| *picture), found.first().map(|(id, _)| *id))
    };
    match (behind(batch), behind(class)) {
        ((false, Some(input)), (true, _)) => Some(graph.label(OutletId::new(input, 0))),
        _ => None,
    }
}

/// The operand of a product, or another value, in which an axis of `outlet` comes to be.
fn made_at(model: &Model, outlet: OutletId, axis: usize) -> OutletId {
    let (mut at, mut axis) = (outlet, axis);
    for _ in 0..MAX_STEPS {
        match before(model, at, axis) {
            Some(source) => (at, axis) = source,
            None => break,
        }
    }
    at
}

/// One step back along an axis.
fn before(model: &Model, at: OutletId, axis: usize) -> Option<(OutletId, usize)> {
    let graph = model.graph();
    let node = graph.node(at.node);
    let first = *node.inputs.first()?;
    let shape = &graph.fact(at).shape;
    match model.action(at.node) {
        Action::MatMul { transpose_a, transpose_b } => {
            let from_end = shape.len().checked_sub(axis)?;
            let (operand, swapped) = match from_end {
                1 => (*node.inputs.get(1)?, *transpose_b),
                2 => (first, *transpose_a),
                _ => return None,
            };
            let rank = graph.fact(operand).rank();
            let place = if swapped { 3 - from_end } else { from_end };
            Some((operand, rank.checked_sub(place).filter(|_| rank >= 2)?))
        }
        Action::Transpose { order } => Some((first, *order.get(axis)?)),
        Action::Reshape => Some((first, same_extent(graph, first, shape, axis)?)),
        Action::Pointwise(_) | Action::Within { .. } => Some((first, axis)),
        Action::Elementwise(_) => {
            let varies = |outlet: &&OutletId| graph.fact(**outlet).shape == *shape;
            Some((*node.inputs.iter().find(varies)?, axis))
        }
        _ => None,
    }
}

/// The axis of a value that only one of its extents can have become; or the one of extent 1 that is left.
fn same_extent(graph: &Graph, source: OutletId, shape: &[Dim], axis: usize) -> Option<usize> {
    let before = &graph.fact(source).shape;
    let many = |shape: &[Dim]| shape.iter().filter(|dim| !dim.is_one()).count();
    if before.len() != 2 || shape.len() != 2 || many(before) != 1 || many(shape) != 1 {
        return None;
    }
    let one = shape[axis].is_one();
    before.iter().position(|dim| dim.is_one() == one)
}
