//! From raw scores to what people look at.

use super::{SaliencyType, Wish};
use crate::graph::{OutletId, Patch};
use crate::ir::ElementType;

/// Scales over `axes`: `255 (s - min) / (max - min + 1e-12)`, truncated for u8.
///
/// The division comes first: x / x is 1, so that the largest value is 255 wherever a plugin divides exactly. Without scaling, scores as they are.
pub(super) fn scale(patch: &mut Patch<'_>, wish: &Wish<'_>, scores: OutletId, axes: &[usize]) -> OutletId {
    // Half precision knows no 1e-12.
    let scores = patch.convert("scores/f32", scores, ElementType::F32);
    if !wish.scaling {
        return scores;
    }
    let least = patch.reduce("scale/min", "ReduceMin", scores, axes, true);
    let most = patch.reduce("scale/max", "ReduceMax", scores, axes, true);
    let range = patch.binary("scale/range", "Subtract", most, least);
    let tiny = patch.float("scale/epsilon", ElementType::F32, 1e-12);
    let range = patch.binary("scale/range", "Add", range, tiny);
    let steps = patch.float("scale/steps", ElementType::F32, 255.0);
    let above = patch.binary("scale/above", "Subtract", scores, least);
    let part = patch.binary("scale/part", "Divide", above, range);
    let scaled = patch.binary("scale", "Multiply", part, steps);
    match wish.saliency_type {
        SaliencyType::U8 => patch.convert("scale/u8", scaled, ElementType::U8),
        SaliencyType::F32 => scaled,
    }
}
