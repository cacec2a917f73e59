//! The one walk from a value back to the scores that it was made of.
//!
//! What may be passed is said by [`Passage`] alone. Whoever walks decides where to stop earlier, and what each step
//! means: logits end before the last activation, a detector's tail where classes have an axis.

use crate::graph::OutletId;
use crate::model::Model;
use crate::ops::{Passage, source};

/// An operation that scores passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its result.
    pub(crate) result: OutletId,
    /// What it did to the scores.
    pub(crate) passage: Passage,
    /// The scores before it.
    pub(crate) source: OutletId,
}

/// The operations that lie between a value and what made the scores in it, the last first.
pub(crate) fn walk(model: &Model, from: OutletId) -> impl Iterator<Item = Step> + '_ {
    let mut at = from;
    std::iter::from_fn(move || {
        let passage = model.passage(at.node);
        if passage == Passage::Stop {
            return None;
        }
        // What stands in memory alone is no layer that could be named.
        let source =
            source(model.node(at.node)).filter(|from| from.node.index() < model.graph().in_file())?;
        let step = Step { result: at, passage, source };
        at = step.source;
        Some(step)
    })
}
