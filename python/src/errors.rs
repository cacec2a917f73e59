//! The library's errors as Python's exceptions, which `xai_insert/errors.py` defines.

use pyo3::prelude::*;
use xai_insert::Error;

use crate::words::{keyword, said};

// `import_exception!` makes public types.
mod classes {
    #![allow(missing_docs, unreachable_pub)]
    pyo3::import_exception!(xai_insert.errors, FileError);
    pyo3::import_exception!(xai_insert.errors, ModelError);
    pyo3::import_exception!(xai_insert.errors, UsageError);
    pyo3::import_exception!(xai_insert.errors, RefusedError);
    pyo3::import_exception!(xai_insert.errors, InternalError);
    pyo3::import_exception!(xai_insert.errors, OpenVinoError);
}
pub(crate) use classes::UsageError;
use classes::{FileError, InternalError, ModelError, OpenVinoError, RefusedError};

/// The exception that stands for an error of the library, with Python's words for what can be set.
pub(crate) fn library(error: Error) -> PyErr {
    let message = said(&error);
    match error {
        Error::Io { .. } => FileError::new_err(message),
        Error::Xml { .. } | Error::Layer { .. } | Error::Weights { .. } => ModelError::new_err(message),
        Error::Usage(_) => UsageError::new_err(message),
        Error::Refused(refusal) => {
            let reasons: Vec<(String, String)> = refusal
                .reasons
                .iter()
                .map(|(subject, reason)| (subject.clone(), reason.message().spoken(keyword)))
                .collect();
            RefusedError::new_err((message, reasons))
        }
        Error::Runtime(_) => OpenVinoError::new_err(message),
        Error::Interrupted => pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
        // What nobody has given a class yet.
        _ => InternalError::new_err(message),
    }
}

/// What cannot be written as JSON.
pub(crate) fn json(error: &serde_json::Error) -> PyErr {
    InternalError::new_err(error.to_string())
}
