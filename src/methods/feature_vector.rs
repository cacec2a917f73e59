//! The `feature_vector` output that Model API reads.

use super::without_prefix;
use crate::analysis::{DetectorHeads, Positions, Target};
use crate::graph::{OpKind, OutletId};
use crate::ir::ElementType;
use crate::patch::Patch;

/// The target's mean over positions, `[N, C]`, in single precision.
pub(crate) fn feature_vector(patch: &mut Patch<'_>, target: &Target, name: &str) -> OutletId {
    let layout = &target.layout;
    let features = without_prefix(patch, target);
    let axes = match layout.positions {
        Positions::Map { height, width } => vec![height, width],
        Positions::Tokens { axis, .. } => vec![axis],
    };
    let sizes = patch.sizes(features);
    let mean = patch.reduce(name, OpKind::ReduceMean, features, &axes, true);
    let vector = patch.reshape(name, mean, &[sizes[layout.batch].clone(), sizes[layout.channel].clone()]);
    patch.convert(name, vector, ElementType::F32)
}

/// The means over positions of what the class layer of each scale reads, side by side: `[N, sum of C]`.
///
/// `None` where a layer of a scale reads no map `[N, C, h, w]`.
pub(crate) fn feature_vector_of_heads(
    patch: &mut Patch<'_>,
    heads: &DetectorHeads,
    name: &str,
) -> Option<OutletId> {
    let mut means = Vec::new();
    for features in heads.features(patch.graph())? {
        if patch.fact(features).rank() != 4 {
            return None;
        }
        let features = patch.convert(name, features, ElementType::F32);
        let mean = patch.reduce(name, OpKind::ReduceMean, features, &[2, 3], false);
        means.push(mean);
    }
    Some(patch.concat(name, &means, 1))
}
