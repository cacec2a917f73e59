//! ActivationMap: the mean of the target over its channels.

use super::scaling::scale;
use super::{Branch, Request, without_prefix};
use crate::analysis::Target;
use crate::graph::OpKind;
use crate::patch::Patch;

/// Builds `[N, h, w]`, scaled image by image.
pub(super) fn build(patch: &mut Patch<'_>, request: &Request<'_>, target: &Target) -> Branch {
    let layout = &target.layout;
    let features = without_prefix(patch, target);
    let sizes = patch.sizes(features);
    let mean = patch.reduce("activations", OpKind::ReduceMean, features, &[layout.channel], true);
    let (h, w) = layout.grid.clone();
    let map = patch.reshape("activations", mean, &[sizes[layout.batch].clone(), h, w]);
    let saliency = scale(patch, request.encoding, map, &[1, 2]);
    Branch { saliency, steps: Vec::new(), dense_bytes: None }
}
