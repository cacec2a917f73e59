//! Settings by the names of Python's keywords and functions.

use pyo3::prelude::*;
use xai_insert::{Error, Setting};

/// A setting as Python calls it.
pub(crate) fn keyword(setting: Setting, value: Option<&str>) -> String {
    let name = match setting {
        Setting::BlackBox => return "`explain()`".to_owned(),
        Setting::ListTargets => return "`list_targets()`".to_owned(),
        Setting::Remove => return "`remove_xai()`".to_owned(),
        Setting::Overwrite => return "`overwrite=True`".to_owned(),
        Setting::ClassToken => return "`class_token=False`".to_owned(),
        Setting::Scaling => return "`scaling=False`".to_owned(),
        Setting::Anchors => "num_anchors",
        Setting::Classes => "targets",
        Setting::InputSize => "input_size",
        Setting::Kernel => "mask",
        Setting::Library => "openvino_lib",
        Setting::Shapes => "shape",
        Setting::Strategy => "lowering",
        Setting::TargetLayers => "target_layer",
        other => other.name(),
    };
    match value {
        None => format!("`{name}`"),
        Some(value) if value.parse::<f64>().is_ok() => format!("`{name}={value}`"),
        Some(value) => format!("`{name}='{value}'`"),
    }
}

/// An error with all of its causes, in the words of Python.
pub(crate) fn said(error: &Error) -> String {
    let mut message = error.message().spoken(keyword);
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}

/// All settings by their names in Rust, with what messages call them here.
#[pyfunction]
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    Setting::ALL.iter().map(|setting| (setting.name(), keyword(*setting, None))).collect()
}
