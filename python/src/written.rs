//! Insertion, and models that are ready to be written.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use xai_insert::{Destination, Model, Outcome, PendingFile};

use crate::errors::{json, library};
use crate::interruptible::interruptible;
use crate::options::insert_options;
use crate::words::keyword;

/// A new IR in memory: XML, and what the BIN consists of.
#[pyclass(frozen, module = "xai_insert._native")]
#[derive(Debug)]
pub(crate) struct Written {
    xml: Vec<u8>,
    /// BIN of the model that was read; its start is the start of the new one.
    source: PathBuf,
    prefix: u64,
    tail: Vec<u8>,
    /// The XML that was read.
    original: PathBuf,
    /// Report for programs, as JSON.
    #[pyo3(get)]
    report: String,
    /// Report for people.
    #[pyo3(get)]
    text: String,
    /// The added graph, as text and for Graphviz.
    #[pyo3(get)]
    dump: (String, String),
}

#[pymethods]
impl Written {
    /// The new XML.
    fn xml<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.xml)
    }

    /// The new BIN.
    fn bin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.assemble()).map_err(library)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes the XML, and the BIN beside it; both or neither.
    #[pyo3(signature = (path, overwrite, source=None))]
    fn write(&self, py: Python<'_>, path: PathBuf, overwrite: bool, source: Option<Vec<u8>>) -> PyResult<()> {
        let write = || {
            let inputs: [&Path; 2] = [&self.original, &self.source];
            let destination = Destination::new(&path, &inputs, overwrite)?;
            let bin = match &source {
                Some(bytes) => PendingFile { source: None, prefix: 0, tail: bytes },
                None => PendingFile { source: Some(&self.source), prefix: self.prefix, tail: &self.tail },
            };
            destination.write(&self.xml, bin)
        };
        py.detach(write).map_err(library)
    }
}

impl Written {
    fn assemble(&self) -> xai_insert::Result<Vec<u8>> {
        let failed = |error| xai_insert::Error::io("read the weights", &self.source, error);
        let mut bytes =
            if self.prefix == 0 { Vec::new() } else { std::fs::read(&self.source).map_err(failed)? };
        let Some(rest) = usize::try_from(self.prefix).ok().filter(|prefix| *prefix <= bytes.len()) else {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        };
        bytes.truncate(rest);
        bytes.extend_from_slice(&self.tail);
        Ok(bytes)
    }
}

/// Inserts a branch into the IR at `path`, in memory.
///
/// `None` where the model has such an output already.
#[pyfunction]
#[pyo3(signature = (path, weights, options))]
pub(crate) fn insert(
    py: Python<'_>,
    path: PathBuf,
    weights: Option<PathBuf>,
    options: &Bound<'_, PyDict>,
) -> PyResult<Option<Written>> {
    let (options, given) = insert_options(options)?;
    let work = || {
        let model = Model::read(&path, weights.as_deref())?.given(&given)?;
        let insertion = match xai_insert::insert(&model, &options)? {
            Outcome::AlreadyThere { .. } => return Ok(None),
            Outcome::Inserted(insertion) => insertion,
        };
        let report = insertion.report().clone().in_words(keyword);
        let text = report.to_string();
        let report =
            serde_json::to_string(&report).map_err(|error| xai_insert::Error::Internal(error.to_string()))?;
        Ok(Some(Written {
            xml: insertion.xml().to_vec(),
            source: model.files()[1].to_path_buf(),
            prefix: model.bin_len() as u64,
            tail: insertion.bin_tail().to_vec(),
            original: path.clone(),
            report,
            text,
            dump: (insertion.dump().text().to_string(), insertion.dump().dot().to_string()),
        }))
    };
    // A branch is built in a fraction of a second; what an interrupt saves is the writing.
    interruptible(py, || {}, work)?.map_err(library)
}

/// Takes the branch out of the IR at `path`, in memory.
#[pyfunction]
#[pyo3(signature = (path, weights=None))]
pub(crate) fn remove(py: Python<'_>, path: PathBuf, weights: Option<PathBuf>) -> PyResult<Written> {
    let work = || {
        let model = Model::read(&path, weights.as_deref())?;
        let (xml, prefix) = xai_insert::remove(&model)?;
        let report = serde_json::json!({ "status": "removed", "bin_bytes": prefix });
        let source = model.files()[1].to_path_buf();
        Ok(Written {
            xml,
            source,
            prefix,
            tail: Vec::new(),
            original: path.clone(),
            report: report.to_string(),
            text: "branch removed".to_owned(),
            dump: (String::new(), String::new()),
        })
    };
    py.detach(work).map_err(library)
}

/// Values that could be the target, as JSON; the fields are those of `xai-insert --list-targets --json`.
#[pyfunction]
#[pyo3(signature = (path, weights, options))]
pub(crate) fn list_targets(
    py: Python<'_>,
    path: PathBuf,
    weights: Option<PathBuf>,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let (options, given) = insert_options(options)?;
    let work = || {
        let model = Model::read(&path, weights.as_deref())?.given(&given)?;
        Ok(xai_insert::list_targets(&model, &options)?.in_words(keyword))
    };
    let listed = py.detach(work).map_err(library)?;
    serde_json::to_string(&listed).map_err(|error| json(&error))
}
