//! The commands as functions: what a shell runs, and what the Python package installs.
//!
//! Each takes its name and arguments, reads files, prints, and returns the exit status. All else of this library
//! prints nothing, and knows no flags: `words` puts them into its messages.

// Documentation of arguments is their help text, where brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

mod branch;
mod explain;
mod insert;
mod process;
mod verify;
mod words;

pub use explain::command as explain;
pub use insert::command as insert;
pub use verify::command as verify;
