//! Typed view of a model's graph, and the one way to change it: a [`Patch`].

mod build;
mod check;
mod dump;
mod emit;
mod flow;
mod node;
mod patch;

pub use build::Size;
pub(crate) use build::index;
pub use dump::Dump;
pub use flow::Flow;
pub use node::{Fact, Graph, Node, NodeId, Op, Outlet, OutletId};
pub use patch::{Finished, Patch};
