//! Keywords of a call: Python's values, read as options are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use xai_insert::Result as Found;

use crate::errors::UsageError;
use crate::words::said;

/// Values by keyword; those that are `None` are left out, and each is taken once.
#[derive(Debug)]
pub(crate) struct Keywords<'py>(BTreeMap<String, Bound<'py, PyAny>>);

impl<'py> Keywords<'py> {
    pub(crate) fn new(given: &Bound<'py, PyDict>) -> PyResult<Self> {
        let mut keywords = BTreeMap::new();
        for (name, value) in given {
            if !value.is_none() {
                keywords.insert(name.extract()?, value);
            }
        }
        Ok(Self(keywords))
    }

    /// Whether a value was given and not yet taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A value of which `read` understands the text.
    pub(crate) fn value<T>(&mut self, name: &str, read: impl Fn(&str) -> Found<T>) -> PyResult<Option<T>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        one(name, &value, &read).map(Some)
    }

    /// A list, or one value in its place; texts are split at commas where `split` is on.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        split: bool,
        read: impl Fn(&str) -> Found<T>,
    ) -> PyResult<Option<Vec<T>>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        if let Ok(text) = value.cast::<PyString>() {
            let text = text.to_str()?;
            let parts = if split { text.split(',').collect() } else { vec![text] };
            let read = parts.into_iter().map(|part| read(part).map_err(|error| wrong(name, &error, &value)));
            return read.collect::<PyResult<_>>().map(Some);
        }
        match several(&value)? {
            Some(values) => values.iter().map(|value| one(name, value, &read)).collect::<PyResult<_>>(),
            None => Ok(vec![one(name, &value, &read)?]),
        }
        .map(Some)
    }

    /// Two numbers, or the text that stands for them with `between` in the middle.
    pub(crate) fn pair<T>(
        &mut self,
        name: &str,
        between: &str,
        read: impl Fn(&str) -> Found<T>,
    ) -> PyResult<Option<T>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        if value.is_instance_of::<PyString>() {
            return one(name, &value, &read).map(Some);
        }
        match several(&value)?.as_deref() {
            Some([first, second]) => {
                let text = [text(first)?, between.to_owned(), text(second)?].concat();
                read(&text).map(Some).map_err(|error| wrong(name, &error, &value))
            }
            _ => Err(UsageError::new_err(format!("{name} takes two numbers, not {}", shown(&value)))),
        }
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> PyResult<Option<bool>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        if let Ok(flag) = value.extract() {
            return Ok(Some(flag));
        }
        match text(&value)?.to_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(UsageError::new_err(format!("{name} takes True or False, not {}", shown(&value)))),
        }
    }

    /// A path.
    pub(crate) fn path(&mut self, name: &str) -> PyResult<Option<PathBuf>> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let path = value.extract();
        path.map(Some).map_err(|_| UsageError::new_err(format!("{name} takes a path, not {}", shown(&value))))
    }

    /// Raises where two are given that exclude each other.
    pub(crate) fn exclude(&self, name: &str, others: &[&str]) -> PyResult<()> {
        match others.iter().find(|other| self.has(name) && self.has(other)) {
            Some(other) => Err(UsageError::new_err(format!("{name} and {other} cannot both be given"))),
            None => Ok(()),
        }
    }

    /// Raises where something was given that nobody has taken.
    pub(crate) fn done(self) -> PyResult<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.0.keys().map(|name| format!("'{name}'")).collect();
        Err(PyTypeError::new_err(format!("there is no option {}", names.join(", "))))
    }
}

fn one<T>(name: &str, value: &Bound<'_, PyAny>, read: impl Fn(&str) -> Found<T>) -> PyResult<T> {
    read(&text(value)?).map_err(|error| wrong(name, &error, value))
}

fn wrong(name: &str, error: &xai_insert::Error, value: &Bound<'_, PyAny>) -> PyErr {
    UsageError::new_err(format!("{name}: {}, not {}", said(error), shown(value)))
}

fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "this".to_owned(), |text| text.to_string())
}

/// The text of a value; members of enumerations, also of `openvino_xai`'s, stand for their values.
fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let member = value.py().import("enum")?.getattr("Enum")?;
    let value = if value.is_instance(&member)? { value.getattr("value")? } else { value.clone() };
    Ok(value.str()?.to_str()?.to_owned())
}

/// The values of what can be iterated over, texts and bytes aside.
fn several<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Ok(None);
    }
    match value.try_iter() {
        Ok(values) => values.collect::<PyResult<_>>().map(Some),
        Err(_) => Ok(None),
    }
}
