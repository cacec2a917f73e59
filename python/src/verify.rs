//! Checks of models with a branch.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{json, library};
use crate::interruptible::interruptible;
use crate::options::verify_options;
use crate::words::keyword;

/// Runs all checks; the report as JSON, and as text for people.
#[pyfunction]
pub(crate) fn verify(
    py: Python<'_>,
    original: PathBuf,
    model: PathBuf,
    options: &Bound<'_, PyDict>,
) -> PyResult<(String, String)> {
    let options = verify_options(options)?;
    let work = || xai_insert::verify::verify(&original, &model, &options);
    let report = interruptible(py, || options.interrupt.set(), work)?.map_err(library)?.in_words(keyword);
    Ok((serde_json::to_string(&report).map_err(|error| json(&error))?, report.to_string()))
}
