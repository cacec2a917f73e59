//! ReciproCAM (arXiv 2209.14074): `S[n,c,i,j]` is the logit of class c when of all positions of the
//! target only (i, j) is kept.

use super::scaling::scale;
use super::{Branch, Wish};
use crate::analysis::Reason;
use crate::forward::{Evaluated, MaskedHead, Order, evaluate};
use crate::graph::OutletId;
use crate::patch::Patch;

/// Builds `[N, classes, h, w]`.
pub(super) fn build(patch: &mut Patch<'_>, wish: &Wish<'_>) -> Result<Branch, Reason> {
    let layout = &wish.target.layout;
    if layout.prefix() > 0 {
        return Err(Reason::ClassToken { prefix: layout.prefix() });
    }
    masked_logits(patch, wish)
}

/// The logits under all masks of a wish, scaled: `[N, classes, h, w]`.
pub(super) fn masked_logits(patch: &mut Patch<'_>, wish: &Wish<'_>) -> Result<Branch, Reason> {
    let head = MaskedHead {
        labels: wish.labels,
        target: wish.target,
        logits: wish.logits,
        mask: wish.mask,
        strategy: wish.strategy,
        budget: wish.budget,
    };
    let Evaluated { scores, steps, dense_bytes } = evaluate(patch, &head, wish.classes)?;
    // Scaled and converted before the axes move: a byte is cheaper to move than a float.
    let scaled = scale(patch, wish.encoding, scores.outlet, scores.positions());
    let saliency = lay_out(patch, wish, scaled, scores.order);
    Ok(Branch { saliency, steps, dense_bytes })
}

fn lay_out(patch: &mut Patch<'_>, wish: &Wish<'_>, scores: OutletId, order: Order) -> OutletId {
    let (h, w) = wish.target.layout.grid.clone();
    let moved = match order {
        Order::Map => return scores,
        Order::ClassesFirst => scores,
        Order::PositionsFirst => patch.transpose(&format!("{}/nck", wish.name), scores, &[0, 2, 1]),
    };
    let sizes = patch.sizes(moved);
    patch.reshape(wish.name, moved, &[sizes[0].clone(), sizes[1].clone(), h, w])
}
