//! The library's errors as Python's exceptions, which `xai_insert/errors.py` defines.

use pyo3::prelude::*;
use xai_insert::Error;

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

/// The exception that stands for an error of the library, with the words of the commands.
pub(crate) fn library(error: Error) -> PyErr {
    let message = with_sources(&error);
    match error {
        Error::Io { .. } => FileError::new_err(message),
        Error::Xml { .. } | Error::Layer { .. } | Error::Weights { .. } => ModelError::new_err(message),
        Error::Usage(_) => UsageError::new_err(message),
        Error::Refused(refusal) => {
            let reasons: Vec<(String, String)> = refusal
                .reasons
                .iter()
                .map(|(subject, reason)| (subject.clone(), reason.to_string()))
                .collect();
            RefusedError::new_err((message, reasons))
        }
        Error::Internal(_) => InternalError::new_err(message),
        Error::Runtime(_) => OpenVinoError::new_err(message),
        Error::Interrupted => pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
    }
}

/// The same for what the commands say themselves.
pub(crate) fn anyhow(error: anyhow::Error) -> PyErr {
    match error.downcast::<Error>() {
        Ok(error) => library(error),
        Err(error) => UsageError::new_err(format!("{error:#}")),
    }
}

fn with_sources(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}
