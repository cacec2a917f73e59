//! What the package `xai_insert` has from Rust; the rest of it is Python, in `python/xai_insert`.
//!
//! Options go through the parsers of the commands, so that names, values and messages are the same in Python and
//! on the command line, and a new option needs nothing here.

mod commands;
mod errors;
mod explain;
mod interruptible;
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
    use super::written::{Written, insert, list_targets, remove};

    use pyo3::prelude::*;

    /// Runs all checks; the report as JSON, and as text for people.
    ///
    /// `arguments` are those of `xai-verify`.
    #[pyfunction]
    fn verify(py: Python<'_>, arguments: Vec<String>) -> PyResult<(String, String)> {
        let arguments = super::commands::verify_arguments(arguments)?;
        let options = arguments.options().map_err(super::errors::anyhow)?;
        let interrupt = options.interrupt.clone();
        let report = super::interruptible::interruptible(
            py,
            || interrupt.set(),
            || xai_insert::verify::verify(&arguments.original, &arguments.model, &options),
        )?
        .map_err(super::errors::library)?;
        let json = serde_json::to_string(&report).map_err(|error| super::errors::anyhow(error.into()))?;
        Ok((json, report.to_string()))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
