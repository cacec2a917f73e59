//! From raw scores to what people look at.

use super::SaliencyType;
use crate::graph::{OpKind, OutletId};
use crate::ir::ElementType;
use crate::patch::Patch;

/// How maps are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Whether each is scaled to 0..255.
    pub(crate) scaling: bool,
    /// Their element type.
    pub(crate) saliency_type: SaliencyType,
}

/// Scales over `axes`: `255 (s - min) / (max - min + 1e-12)`, truncated for u8.
///
/// The division comes first: x / x is 1, so that the largest value is 255 wherever a plugin divides exactly. Without scaling, scores as they are.
pub(super) fn scale(patch: &mut Patch<'_>, encoding: Encoding, scores: OutletId, axes: &[usize]) -> OutletId {
    // Half precision knows no 1e-12.
    let scores = patch.convert("scores/f32", scores, ElementType::F32);
    if !encoding.scaling {
        return scores;
    }
    let least = patch.reduce("scale/min", OpKind::ReduceMin, scores, axes, true);
    let most = patch.reduce("scale/max", OpKind::ReduceMax, scores, axes, true);
    let range = patch.binary("scale/range", OpKind::Subtract, most, least);
    let tiny = patch.float("scale/epsilon", ElementType::F32, 1e-12);
    let range = patch.binary("scale/range", OpKind::Add, range, tiny);
    let steps = patch.float("scale/steps", ElementType::F32, 255.0);
    let above = patch.binary("scale/above", OpKind::Subtract, scores, least);
    let part = patch.binary("scale/part", OpKind::Divide, above, range);
    let scaled = patch.binary("scale", OpKind::Multiply, part, steps);
    match encoding.saliency_type {
        SaliencyType::U8 => patch.convert("scale/u8", scaled, ElementType::U8),
        SaliencyType::F32 => scaled,
    }
}
