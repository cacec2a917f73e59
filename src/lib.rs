//! Adds a saliency map output to vision models in OpenVINO IR.
//!
//! ```no_run
//! use std::path::Path;
//! use xai_insert::{Destination, Model, Options, Outcome, insert};
//!
//! # fn main() -> xai_insert::Result<()> {
//! let input = Path::new("model.xml");
//! let model = Model::read(input, None)?;
//! if let Outcome::Inserted(insertion) = insert(&model, &Options::default())? {
//!     println!("{}", insertion.report());
//!     let inputs = [input, model.weights().path()];
//!     insertion.write(&Destination::new(Path::new("model_xai.xml"), &inputs, false)?)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Data flows one way: [`ir`] reads, [`graph`] gives the typed view, [`analysis`] finds logits and
//! target, [`methods`] build a branch with the help of [`forward`] and [`ops`], and the patch is spliced
//! into the original bytes. See `docs/architecture.md`.

pub mod analysis;
mod build;
pub mod cli;
pub mod error;
#[cfg(feature = "explain")]
pub mod explain;
pub mod forward;
pub mod graph;
mod insert;
mod insertion;
mod interrupt;
pub mod ir;
mod listing;
mod message;
pub mod methods;
mod model;
pub mod ops;
pub mod options;
mod patch;
mod place;
mod plan;
#[cfg(feature = "runtime")]
mod preprocess;
mod refusal;
pub mod report;
#[cfg(feature = "runtime")]
pub mod runtime;
mod tasks;
#[cfg(feature = "runtime")]
pub mod verify;

pub use error::{Error, Result};
pub use forward::{Kernel, Strategy};
pub use insert::{insert, list_targets};
pub use insertion::{Insertion, Outcome, remove};
pub use interrupt::Interrupt;
pub use ir::{Classes, Destination, PendingFile};
pub use listing::{CandidateReport, Listed};
pub use message::{Message, Setting, Words};
pub use methods::{Method, SaliencyType};
pub use model::Model;
pub use options::{FEATURE_VECTOR, Options, SALIENCY_MAP, SALIENCY_SIZE};
pub use place::Place;
pub use refusal::{Reason, Refusal};
pub use report::Report;
pub use tasks::Task;
