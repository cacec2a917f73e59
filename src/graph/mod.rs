//! Typed view of a model's graph: nodes and what is known of them, data flow and cuts.

mod flow;
mod kind;
mod node;
mod output;
mod size;

pub use flow::Flow;
pub use kind::OpKind;
pub(crate) use node::constants;
pub use node::{Fact, Graph, Node, NodeId, Op, Outlet, OutletId};
pub use output::Output;
pub use size::Size;
pub(crate) use size::index;
