//! ViTReciproCAM (arXiv 2310.02588): `S[n,c,i,j]` is the logit of class c when of the input of an attention
//! block, and of what its first norm makes of it, only the positions around (i, j) are kept.
//!
//! The norm is not computed anew from the masked input. Tokens before the grid's stay as they are.

use super::reciprocam::masked_logits;
use super::{Branch, Request};
use crate::analysis::Target;
use crate::forward::Mask;
use crate::patch::Patch;
use crate::refusal::Reason;
use crate::tasks::Logits;

/// Builds `[N, classes, h, w]`.
pub(super) fn build(
    patch: &mut Patch<'_>,
    request: &Request<'_>,
    logits: &Logits,
    target: &Target,
    mask: Mask,
) -> Result<Branch, Reason> {
    masked_logits(patch, request, logits, target, mask)
}
