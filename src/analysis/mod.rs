//! Finding logits and target, and what their axes mean. Every refusal has a typed reason.

mod axes;
mod logits;
mod refusal;
mod target;

pub use axes::{Atom, Axes, Axis, Labels, Role};
pub use logits::{Dismissed, Logits};
pub use refusal::{Reason, Refusal};
pub use target::{Candidate, Layout, Positions, Target, candidates, layout};
