//! Finding logits and target, and what their axes mean. Every refusal has a typed reason.

mod axes;
mod labels;
mod logits;
mod refusal;
mod regroup;
mod target;

pub use axes::{Atom, Axes, Axis, Role};
pub use labels::Labels;
pub use logits::{Dismissed, Logits};
pub use refusal::{Reason, Refusal};
pub use target::{Candidate, Layout, Positions, Target, candidates, layout};
