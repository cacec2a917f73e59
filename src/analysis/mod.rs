//! Finding logits and target, and what their axes mean. Every refusal has a typed reason.

mod axes;
mod block;
mod labels;
mod logits;
mod refusal;
mod regroup;
mod target;

pub use axes::{Atom, Axes, Axis, Role};
pub use block::{Block, blocks, normed};
pub use labels::Labels;
pub use logits::{Dismissed, Logits};
pub use refusal::{Reason, Refusal};
pub(crate) use target::candidate;
pub use target::{Candidate, Layout, Positions, Target, candidates, layout};
