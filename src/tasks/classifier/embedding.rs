//! Embeddings: lists of numbers of which none is a class's score.
//!
//! A value that is divided by its own length is compared with others of its kind, by their product; each of its numbers
//! alone says nothing. So image encoders end (CLIP, SigLIP, DINO's heads, face recognition).

use crate::analysis::walk;
use crate::graph::{OpKind, OutletId};
use crate::model::Model;
use crate::ops::Passage;

/// Operations between a length and its root at most: bounds, shapes, types.
const STEPS: usize = 8;

/// Whether a value is divided by its own length (Euclidean norm), perhaps scaled by a constant afterwards.
pub(crate) fn is_embedding(model: &Model, outlet: OutletId) -> bool {
    let mut at = outlet;
    for _ in 0..STEPS {
        let moved = |passage| matches!(passage, Passage::Same | Passage::Reorder);
        at = walk(model, at).take_while(|step| moved(step.passage)).last().map_or(at, |step| step.source);
        let node = model.node(at.node);
        if node.op.kind == OpKind::NormalizeL2 {
            return true;
        }
        let (OpKind::Divide | OpKind::Multiply, [first, second]) = (&node.op.kind, &node.inputs[..]) else {
            return false;
        };
        let one = |value: OutletId, other: OutletId| length_of(model, other) == Some(unmoved(model, value));
        if one(*first, *second) || (node.op.kind == OpKind::Multiply && one(*second, *first)) {
            return true;
        }
        match [is_constant(model, *first), is_constant(model, *second)] {
            [false, true] => at = *first,
            [true, false] => at = *second,
            _ => return false,
        }
    }
    false
}

fn is_constant(model: &Model, outlet: OutletId) -> bool {
    // Weights of half precision are converted.
    model.node(unmoved(model, outlet).node).op.kind == OpKind::Const
}

/// A value before conversions of its type.
fn unmoved(model: &Model, outlet: OutletId) -> OutletId {
    let before = |outlet: &OutletId| {
        let node = model.node(outlet.node);
        let same = matches!(node.op.kind, OpKind::Convert | OpKind::Identity);
        node.inputs.first().copied().filter(|_| same)
    };
    std::iter::successors(Some(outlet), before).last().unwrap_or(outlet)
}

/// The value whose length another one is, or the reciprocal of that.
fn length_of(model: &Model, outlet: OutletId) -> Option<OutletId> {
    let mut at = outlet;
    for _ in 0..STEPS {
        let node = model.node(at.node);
        let input = |place: usize| node.inputs.get(place).copied();
        at = match node.op.kind {
            OpKind::ReduceL2 => return Some(unmoved(model, input(0)?)),
            OpKind::ReduceSum => return squared(model, input(0)?),
            OpKind::Sqrt
            | OpKind::Power
            | OpKind::Reshape
            | OpKind::Squeeze
            | OpKind::Unsqueeze
            | OpKind::Broadcast
            | OpKind::Convert
            | OpKind::Clamp => input(0)?,
            // A bound that keeps from dividing by zero, or one divided by it.
            OpKind::Maximum | OpKind::Add | OpKind::Divide => {
                let mut data = node.inputs.iter().filter(|input| !is_constant(model, **input));
                match (data.next(), data.next()) {
                    (Some(input), None) => *input,
                    _ => return None,
                }
            }
            _ => return None,
        };
    }
    None
}

/// The value whose square another one is.
fn squared(model: &Model, outlet: OutletId) -> Option<OutletId> {
    let node = model.node(unmoved(model, outlet).node);
    match (&node.op.kind, &node.inputs[..]) {
        (OpKind::Multiply, [first, second]) if first == second => Some(unmoved(model, *first)),
        (OpKind::Power, [base, exponent]) => {
            (model.numbers(*exponent)? == [2.0]).then(|| unmoved(model, *base))
        }
        _ => None,
    }
}
