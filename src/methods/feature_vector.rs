//! The `feature_vector` output that Model API reads.

use super::{Request, in_order, without_prefix};
use crate::analysis::{Positions, Target};
use crate::graph::{OpKind, OutletId};
use crate::ir::ElementType;
use crate::patch::Patch;
use crate::refusal::Reason;
use crate::tasks::{ScoreMaps, Subject};

/// The features' mean over positions, `[N, C]`, in single precision.
///
/// # Errors
/// [`Reason::NoFeatures`] where nothing is known of the features.
pub(crate) fn feature_vector(
    patch: &mut Patch<'_>,
    request: &Request<'_>,
    name: &str,
) -> Result<OutletId, Reason> {
    match (request.masked, request.subject) {
        (Some((target, _)), _) => Ok(of_target(patch, target, name)),
        (None, Subject::Maps(maps)) => of_maps(patch, maps, name).ok_or_else(|| {
            let layer = maps.scales.first().map(|scale| patch.graph().label(scale.scores.outlet));
            Reason::NoFeatures { layer: layer.unwrap_or_default() }
        }),
        (None, Subject::Scores(logits)) => {
            Err(Reason::NoFeatures { layer: patch.graph().label(logits.outlet) })
        }
    }
}

/// The target's mean over positions.
fn of_target(patch: &mut Patch<'_>, target: &Target, name: &str) -> OutletId {
    let layout = &target.layout;
    let features = without_prefix(patch, target);
    let axes = match layout.positions {
        Positions::Map { height, width } => vec![height, width],
        Positions::Tokens { axis, .. } => vec![axis],
    };
    let sizes = patch.sizes(features);
    let mean = patch.reduce(name, OpKind::ReduceMean, features, &axes, true);
    let mean = in_order(patch, name, mean, &[layout.batch, layout.channel]);
    let vector = patch.reshape(name, mean, &[sizes[layout.batch].clone(), sizes[layout.channel].clone()]);
    patch.convert(name, vector, ElementType::F32)
}

/// The means over positions of what the class layer of each scale reads, side by side: `[N, sum of C]`.
///
/// `None` where a layer of a scale reads no map `[N, C, h, w]`.
fn of_maps(patch: &mut Patch<'_>, heads: &ScoreMaps, name: &str) -> Option<OutletId> {
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
