//! ReciproCAM (arXiv 2209.14074): `S[n,c,i,j]` is the logit of class c when of all positions of the
//! target only (i, j) is kept.

use super::scaling::scale;
use super::{Branch, Request};
use crate::analysis::Target;
use crate::forward::{Evaluated, Mask, MaskedHead, Order, evaluate};
use crate::graph::{OpKind, OutletId};
use crate::ir::ElementType;
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
    let quantized = request.quantized;
    let head = MaskedHead { labels, target, logits, mask, strategy, quantized, budget };
    let Evaluated { scores, steps, quantized, dense_bytes } = evaluate(patch, &head, request.classes)?;
    // Scaling only knows differences. Without it they are completed in single precision.
    let values = match scores.base.filter(|_| !request.encoding.scaling) {
        Some(base) => {
            let parts = [scores.outlet, base].map(|part| patch.convert("scores/f32", part, ElementType::F32));
            patch.binary("scores/whole", OpKind::Add, parts[0], parts[1])
        }
        None => scores.outlet,
    };
    // Scaled and converted before the axes move: a byte is cheaper to move than a float.
    let scaled = scale(patch, request.encoding, values, scores.positions());
    let saliency = lay_out(patch, request.name, target, scaled, scores.order);
    Ok(Branch { saliency, steps, quantized, dense_bytes })
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
