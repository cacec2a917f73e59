//! What the axes of values mean, the one walk from an output to its scores, cuts, and attention blocks.

mod axes;
mod block;
#[cfg(feature = "runtime")]
mod input;
mod labels;
mod place;
mod placement;
mod regroup;
mod target;
mod walk;

pub(crate) use axes::{Atom, Axes, Axis, Role};
pub(crate) use block::{Block, blocks, normed};
#[cfg(feature = "runtime")]
pub(crate) use input::{IMAGENET_MEAN, InputFacts};
pub(crate) use labels::Labels;
pub(crate) use place::Place;
pub(crate) use placement::{Placement, Turn};
pub(crate) use regroup::regroup;
pub(crate) use target::{Candidate, Layout, Target};
pub(crate) use target::{Positions, Way, beside, candidate, candidates, layout, sources, unknown_layer};
#[cfg(feature = "explain")]
pub(crate) use walk::Step;
pub(crate) use walk::walk;
