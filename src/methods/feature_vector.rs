//! The `feature_vector` output that Model API reads.

use super::without_prefix;
use crate::analysis::{Positions, Target};
use crate::graph::{OutletId, Patch};
use crate::ir::ElementType;

/// The target's mean over positions, `[N, C]`, in single precision.
pub(crate) fn feature_vector(patch: &mut Patch<'_>, target: &Target, name: &str) -> OutletId {
    let layout = &target.layout;
    let features = without_prefix(patch, target);
    let axes = match layout.positions {
        Positions::Map { height, width } => vec![height, width],
        Positions::Tokens { axis, .. } => vec![axis],
    };
    let sizes = patch.sizes(features);
    let mean = patch.reduce(name, "ReduceMean", features, &axes, true);
    let vector = patch.reshape(name, mean, &[sizes[layout.batch].clone(), sizes[layout.channel].clone()]);
    patch.convert(name, vector, ElementType::F32)
}
