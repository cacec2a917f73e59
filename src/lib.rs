//! Saliency maps for vision models in OpenVINO IR: where a model looked, from within the model.
//!
//! Three things, each a program as well ([`cli`]):
//!
//! - [`insert()`] adds an output `saliency_map` to a model. The branch that computes it runs within the same inference;
//!   every byte of the original survives, and [`remove`] takes the branch out again.
//! - [`verify`] checks a model with a branch against the original and the method's definition.
//! - [`explain`] makes maps and pictures of photos, by a branch or as a black box.
//!
//! # Insert
//!
//! ```no_run
//! use std::path::Path;
//! use xai_insert::{Destination, Model, Options, Outcome, insert};
//!
//! # fn main() -> xai_insert::Result<()> {
//! let model = Model::read(Path::new("model.xml"), None)?;
//! if let Outcome::Inserted(insertion) = insert(&model, &Options::default())? {
//!     println!("{}", insertion.report());
//!     insertion.write(&Destination::new(Path::new("model_xai.xml"), &model.files(), false)?)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Verify
//!
//! ```no_run
//! # #[cfg(feature = "runtime")]
//! # fn main() -> xai_insert::Result<()> {
//! use std::path::Path;
//! use xai_insert::verify::{Outcome, VerifyOptions, verify};
//!
//! let report = verify(Path::new("model.xml"), Path::new("model_xai.xml"), &VerifyOptions::default())?;
//! println!("{report}");
//! assert_eq!(report.outcome, Outcome::Passed);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "runtime"))]
//! # fn main() {}
//! ```
//!
//! # Explain
//!
//! ```no_run
//! # #[cfg(feature = "explain")]
//! # fn main() -> xai_insert::Result<()> {
//! use std::path::Path;
//! use xai_insert::explain::{ExplainOptions, Explainer, Photo, Quiet};
//!
//! let mut explainer = Explainer::open(Path::new("model.xml"), &ExplainOptions::default())?;
//! let explanation = explainer.explain(&Photo::read(Path::new("photo.jpg"))?, &Quiet)?;
//! for target in &explanation.targets {
//!     println!("{}: {:?}", target.title(), target.map.dim());
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "explain"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! `runtime` ([`verify`]) and `explain` ([`explain`], and `runtime`) are on by default. OpenVINO is loaded when it is
//! needed, and nothing of it to build. Without either this is
//! [`insert()`] with its program.
//!
//! # Errors and messages
//!
//! All functions fail with [`Error`], which says what is wrong, where, and what to do. Messages name what can be set by
//! the fields of options; [`Message::spoken`] and the `in_words` of reports put in other [`Words`], as the command line
//! does with its flags.
//!
//! Enumerations and reports may grow, and are `#[non_exhaustive]`; options are not, so that
//! `Options { method, ..Options::default() }` works, and get no field without a default.
//!
//! How it works is in `docs/how-it-works.md`, and what lives where in `docs/architecture.md`.

// What a build without explanations leaves aside is known to be used by one with them.
#![cfg_attr(
    not(feature = "explain"),
    allow(dead_code, unreachable_pub, unused_imports, clippy::wrong_self_convention)
)]

mod analysis;
mod build;
mod canonical;
pub mod cli;
mod error;
#[cfg(feature = "explain")]
pub mod explain;
mod forward;
mod given;
mod graph;
mod insert;
mod insertion;
mod interrupt;
mod ir;
mod listing;
mod message;
mod methods;
mod model;
mod ops;
#[doc(hidden)]
pub mod options;
mod patch;
mod place;
mod plan;
#[cfg(feature = "runtime")]
mod preprocess;
mod refusal;
pub mod report;
#[cfg(feature = "runtime")]
mod runtime;
mod tasks;
#[cfg(feature = "runtime")]
pub mod verify;

pub use error::{Error, Result};
pub use forward::{Kernel, Quantized, Strategy};
pub use given::Given;
pub use insert::{insert, list_targets};
pub use insertion::{Insertion, Outcome, remove};
pub use interrupt::Interrupt;
pub use ir::{Classes, Destination, InputShape, PendingFile};
pub use listing::{CandidateReport, Listed};
pub use message::{Message, Setting, Words};
pub use methods::{Method, SaliencyType};
pub use model::Model;
pub use options::{FEATURE_VECTOR, Options, SALIENCY_MAP, SALIENCY_SIZE};
pub use patch::Dump;
pub use place::Place;
pub use refusal::{Reason, Refusal};
pub use report::Report;
#[cfg(feature = "runtime")]
pub use runtime::{Precision, RuntimeError, RuntimeOptions};
pub use tasks::Task;
