//! The commands themselves, so that `pip` installs what `cargo` does.

use std::ffi::OsString;

use pyo3::prelude::*;
use xai_insert::cli;

use crate::errors::UsageError;

/// Runs a command on its name and arguments; returns its exit status.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    let name = arguments.first().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "xai-explain" => Ok(py.detach(|| cli::explain(arguments))),
        "xai-insert" => Ok(py.detach(|| cli::insert(arguments))),
        "xai-verify" => Ok(py.detach(|| cli::verify(arguments))),
        _ => Err(UsageError::new_err(format!("there is no command {name:?}"))),
    }
}
