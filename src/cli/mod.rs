//! The commands as functions: what a shell runs, and what the Python package installs.
//!
//! Each takes its name and arguments, reads files, prints, and returns the exit status. All else of this library
//! prints nothing, and knows no flags: `words` puts them into its messages.

// Documentation of arguments is their help text, where brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

mod branch;
#[cfg(feature = "explain")]
mod explain;
mod insert;
mod process;
#[cfg(feature = "runtime")]
mod verify;
mod words;

#[cfg(feature = "explain")]
pub use explain::command as explain;
pub use insert::command as insert;
#[cfg(feature = "runtime")]
pub use verify::command as verify;
