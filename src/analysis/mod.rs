//! Finding logits and target, and what their axes mean. Every refusal has a typed reason.

mod axes;
mod block;
mod detector;
mod input;
mod labels;
mod logits;
mod regroup;
mod target;
mod task;
mod walk;

pub use crate::ops::Activation;
pub use crate::refusal::{Reason, Refusal};
pub use axes::{Atom, Axes, Axis, Role};
pub use block::{Block, blocks, normed};
pub use detector::{Boxes, ChannelMap, DetectorHeads, Scale, named};
pub(crate) use input::IMAGENET_MEAN;
pub use input::InputFacts;
pub use labels::Labels;
pub(crate) use logits::unknown_output;
pub use logits::{Dismissed, Logits};
pub(crate) use target::candidate;
pub use target::{Candidate, Layout, Positions, Target, candidates, layout};
pub use task::{Decision, Evidence, Task};
pub(crate) use walk::walk;
