//! ActivationMap: the mean of the target over its channels.

use super::scaling::scale;
use super::{Branch, Wish, without_prefix};
use crate::graph::OpKind;
use crate::patch::Patch;

/// Builds `[N, h, w]`, scaled image by image.
pub(super) fn build(patch: &mut Patch<'_>, wish: &Wish<'_>) -> Branch {
    let layout = &wish.target.layout;
    let features = without_prefix(patch, wish.target);
    let sizes = patch.sizes(features);
    let mean = patch.reduce("activations", OpKind::ReduceMean, features, &[layout.channel], true);
    let (h, w) = layout.grid.clone();
    let map = patch.reshape("activations", mean, &[sizes[layout.batch].clone(), h, w]);
    let saliency = scale(patch, wish.encoding, map, &[1, 2]);
    Branch { saliency, steps: Vec::new(), dense_bytes: None }
}
