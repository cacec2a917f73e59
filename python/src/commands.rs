//! The commands themselves: the sources of the binaries, so that `pip` installs what `cargo` does.
//! Files that several of them share are modules of each, as they are in the binaries.

use std::ffi::OsString;

use clap::Parser as _;
use pyo3::prelude::*;

use crate::errors::UsageError;

pub(crate) use explain_command::args::Args as ExplainArgs;
pub(crate) use insert_command::row;

#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../../src/bin/xai-explain.rs"]
mod explain_command;

#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../../src/bin/xai-insert.rs"]
mod insert_command;

#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../../src/bin/xai-verify.rs"]
mod verify_command;

/// Runs a command on its name and arguments; returns its exit status.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    let name = arguments.first().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "xai-explain" => Ok(py.detach(|| explain_command::command(arguments))),
        "xai-insert" => Ok(py.detach(|| insert_command::command(arguments))),
        "xai-verify" => Ok(py.detach(|| verify_command::command(arguments))),
        _ => Err(UsageError::new_err(format!("there is no command {name:?}"))),
    }
}

/// Options of `xai-insert`, from all that follows its name.
pub(crate) fn insert_options(arguments: Vec<String>) -> PyResult<xai_insert::Options> {
    // Nothing is written by the parser's leave: Python does that in a step of its own.
    let given = ["xai-insert", "--dry-run", "model"].map(str::to_owned).into_iter().chain(arguments);
    let parsed = insert_command::Args::try_parse_from(given).map_err(usage)?;
    parsed.check().map_err(crate::errors::anyhow)?;
    Ok(parsed.options())
}

/// Arguments of `xai-explain`, from all that follows its name but model and photos.
pub(crate) fn explain_arguments(arguments: Vec<String>) -> PyResult<ExplainArgs> {
    // Results go back to Python, which for the command's checks is a report.
    let given = ["xai-explain", "--json", "model", "photo"].map(str::to_owned).into_iter().chain(arguments);
    let parsed = ExplainArgs::try_parse_from(given).map_err(usage)?;
    parsed.check().map_err(crate::errors::anyhow)?;
    Ok(parsed)
}

/// Arguments of `xai-verify`, from all that follows its name.
pub(crate) fn verify_arguments(arguments: Vec<String>) -> PyResult<verify_command::Arguments> {
    let given = std::iter::once("xai-verify".to_owned()).chain(arguments);
    verify_command::Arguments::try_parse_from(given).map_err(usage)
}

fn usage(error: clap::Error) -> PyErr {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // How to call the command is of no use in Python.
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|part| text.find(part)).min();
    UsageError::new_err(text[..end.unwrap_or(text.len())].trim().to_owned())
}
