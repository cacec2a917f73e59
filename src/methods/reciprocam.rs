//! ReciproCAM (arXiv 2209.14074): `S[n,c,i,j]` is the logit of class c when of all positions of the
//! target only (i, j) is kept.

use super::scaling::scale;
use super::{Branch, Request};
use crate::analysis::Target;
use crate::forward::{Evaluated, Mask, MaskedHead, Order, evaluate};
use crate::graph::OutletId;
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
    let layout = &target.layout;
    if layout.prefix() > 0 {
        return Err(Reason::ClassToken { prefix: layout.prefix() });
    }
    masked_logits(patch, request, logits, target, mask)
}

/// The logits under all masks, scaled: `[N, classes, h, w]`.
pub(super) fn masked_logits(
    patch: &mut Patch<'_>,
    request: &Request<'_>,
    logits: &Logits,
    target: &Target,
    mask: Mask,
) -> Result<Branch, Reason> {
    let (labels, strategy, budget) = (request.labels, request.strategy, request.budget);
    let head = MaskedHead { labels, target, logits, mask, strategy, budget };
    let Evaluated { scores, steps, dense_bytes } = evaluate(patch, &head, request.classes)?;
    // Scaled and converted before the axes move: a byte is cheaper to move than a float.
    let scaled = scale(patch, request.encoding, scores.outlet, scores.positions());
    let saliency = lay_out(patch, request.name, target, scaled, scores.order);
    Ok(Branch { saliency, steps, dense_bytes })
}

fn lay_out(patch: &mut Patch<'_>, name: &str, target: &Target, scores: OutletId, order: Order) -> OutletId {
    let (h, w) = target.layout.grid.clone();
    let moved = match order {
        Order::Map => return scores,
        Order::ClassesFirst => scores,
        Order::PositionsFirst => patch.transpose(&format!("{}/nck", name), scores, &[0, 2, 1]),
    };
    let sizes = patch.sizes(moved);
    patch.reshape(name, moved, &[sizes[0].clone(), sizes[1].clone(), h, w])
}
