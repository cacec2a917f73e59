//! Adds a saliency map output to vision models in OpenVINO IR.
pub mod analysis;
pub mod error;
pub mod graph;
pub mod ir;
pub mod model;
pub mod runtime;
pub mod verify;

pub use error::{Error, Result};
pub use model::Model;
