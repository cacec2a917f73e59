//! Narrowing the head: where only some tokens of a value are read, only those are computed.
//!
//! A classifier that reads the class token makes every other token dead behind the last attention. The
//! selection at the end is pushed up through whatever treats tokens one by one, to the queries of that
//! attention. The result is a second way to the logits, beside the first: operations on few tokens, which
//! start with slices of the original values. What of it a branch does not need is never emitted.
//!
//! One walk back from the logits plans each operation (`plan.rs`): what is read of its result, what it needs of its
//! inputs for that, and how its narrow version is made. One walk forward makes them (`build.rs`).

mod build;
mod plan;

use super::head::between;
use crate::analysis::Labels;
use crate::graph::OutletId;
use crate::model::Model;
use crate::tasks::Logits;
use build::build;
use plan::Plans;

/// A model with the narrow way to its logits added.
#[derive(Debug)]
pub(crate) struct Narrowed {
    /// The model, with the nodes of the narrow way in its graph.
    pub(crate) model: Model,
    /// Its labels.
    pub(crate) labels: Labels,
    /// The logits at the end of the narrow way.
    pub(crate) logits: Logits,
}

/// Narrows what lies between masked values and the logits. `None` where nothing can be narrowed.
pub(crate) fn narrow(
    model: &Model,
    labels: &Labels,
    masked: &[OutletId],
    logits: &Logits,
) -> Option<Narrowed> {
    let head = between(model, masked, logits.outlet.node);
    let plans = Plans::new(model, labels, &head, masked, logits.outlet);
    let (model, outlet) = build(model, &plans, &head, masked, logits.outlet)?;
    let labels = labels.extended(&model);
    Some(Narrowed { model, labels, logits: Logits { outlet, ..logits.clone() } })
}
