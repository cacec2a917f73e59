//! ActivationMap: the mean of the target over its channels.

use super::scaling::scale;
use super::{Branch, Request, in_order, without_prefix};
use crate::analysis::{Positions, Target};
use crate::graph::OpKind;
use crate::patch::Patch;

/// Builds `[N, h, w]`, scaled image by image.
pub(super) fn build(patch: &mut Patch<'_>, request: &Request<'_>, target: &Target) -> Branch {
    let layout = &target.layout;
    let features = without_prefix(patch, target);
    let sizes = patch.sizes(features);
    let mean = patch.reduce("activations", OpKind::ReduceMean, features, &[layout.channel], true);
    let (h, w) = layout.grid.clone();
    let axes = match layout.positions {
        Positions::Map { height, width } => vec![layout.batch, height, width],
        Positions::Tokens { axis, .. } => vec![layout.batch, axis],
    };
    let mean = in_order(patch, "activations", mean, &axes);
    let map = patch.reshape("activations", mean, &[sizes[layout.batch].clone(), h, w]);
    let saliency = scale(patch, request.encoding, map, &[1, 2]);
    Branch { saliency, steps: Vec::new(), quantized: None, dense_bytes: None }
}
