//! What the package `xai_insert` has from Rust; the rest of it is Python, in `python/xai_insert`.
//!
//! Keywords are read into the options of the library, by the readers that the command line has too.

mod commands;
mod errors;
mod explain;
mod interruptible;
mod keywords;
mod options;
mod verify;
mod words;
mod written;

use pyo3::prelude::*;

/// The native part of `xai_insert`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::commands::run_command;
    #[pymodule_export]
    use super::explain::{Explained, Explainer, read_labels, read_photo};
    #[pymodule_export]
    use super::verify::verify;
    #[pymodule_export]
    use super::words::settings;
    #[pymodule_export]
    use super::written::{Written, insert, list_targets, remove};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
