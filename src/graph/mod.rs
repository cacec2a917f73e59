//! Typed view of a model's graph: nodes and what is known of them, data flow and cuts.

mod flow;
mod kind;
mod node;
mod output;
mod size;
mod symbolic;

pub(crate) use flow::Flow;
pub(crate) use kind::OpKind;
pub(crate) use node::constants;
pub(crate) use node::{Fact, Graph, Node, NodeId, Op, Outlet, OutletId};
pub(crate) use output::Output;
pub(crate) use size::Size;
pub(crate) use size::index;
pub(crate) use symbolic::{SymInt, Symbols};
