//! The BIN: read on demand, never as a whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap};

use super::{Dim, ElementType, LayerElement};
use crate::error::{Error, Result};

/// The weights of an IR. Of a file only the pages that are asked for are read.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// No file, or one without a byte, which cannot be mapped.
    Nothing,
    File(Mmap),
    Memory(Vec<u8>),
}

impl Contents {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::File(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

impl Weights {
    /// Maps the BIN at `path` and checks that the contents of all `constants` lie inside it.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be opened (a model without constants needs none),
    /// [`Error::Weights`] where a Const reaches beyond its end.
    pub(crate) fn open(path: &Path, constants: &[&LayerElement]) -> Result<Self> {
        let file = match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && constants.is_empty() => {
                return Ok(Self { path: path.to_path_buf(), contents: Contents::Nothing });
            }
            other => other.map_err(|e| Error::io("read the weights", path, e))?,
        };
        let metadata = file.metadata().map_err(|e| Error::io("read the weights", path, e))?;
        if metadata.is_dir() {
            return Err(Error::usage(format!("{} is a folder; give the model's BIN file", path.display())));
        }
        let len = usize::try_from(metadata.len()).map_err(|_| Error::Weights {
            path: path.to_path_buf(),
            message: format!("{} bytes do not fit into this machine's memory", metadata.len()),
        })?;
        let contents = if len == 0 { Contents::Nothing } else { Contents::File(map(&file, path)?) };
        Self { path: path.to_path_buf(), contents }.checked(constants)
    }

    /// Weights that are in memory; `path` is used in messages.
    ///
    /// # Errors
    /// [`Error::Weights`] where a Const reaches beyond their end.
    pub(crate) fn from_bytes(path: &Path, bytes: Vec<u8>, constants: &[&LayerElement]) -> Result<Self> {
        Self { path: path.to_path_buf(), contents: Contents::Memory(bytes) }.checked(constants)
    }

    fn checked(self, constants: &[&LayerElement]) -> Result<Self> {
        for layer in constants {
            self.check(layer)?;
        }
        Ok(self)
    }

    /// All bytes, where they are no file's.
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Where the weights were read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the BIN in bytes.
    pub(crate) fn len(&self) -> usize {
        self.contents.bytes().len()
    }

    /// `size` bytes from `offset` on; `None` where they reach beyond the end.
    pub(crate) fn bytes(&self, offset: usize, size: usize) -> Option<&[u8]> {
        if size == 0 {
            return Some(&[]);
        }
        self.contents.bytes().get(offset..offset.checked_add(size)?)
    }

    fn check(&self, layer: &LayerElement) -> Result<()> {
        let fail = |message: String| {
            Err(Error::Weights {
                path: self.path.clone(),
                message: format!("{}: {message}", layer.place(None)),
            })
        };
        let range = const_range(layer)?;
        let Some(end) = range.offset.checked_add(range.size) else {
            return fail(format!("offset {} + size {} overflows", range.offset, range.size));
        };
        if end > self.len() {
            return fail(format!(
                "wants bytes {} to {end}, but the file has {}; is this the BIN that belongs to the XML?",
                range.offset,
                self.len()
            ));
        }
        // OpenVINO stores strings and sub-byte types with a header or padding of their own.
        let dense = range.element.bits().is_some_and(|bits| bits >= 8);
        match range.elements.and_then(|count| range.element.byte_size(count)) {
            // More is fine: a Const without elements is written with a byte nonetheless.
            Some(bytes) if dense && bytes > range.size => {
                fail(format!("size {} does not hold the {bytes} bytes of its shape", range.size))
            }
            None if dense => fail("its shape is too large".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Where a Const lies in the BIN.
pub(crate) struct ConstRange {
    pub(crate) element: ElementType,
    pub(crate) elements: Option<usize>,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// Reads `element_type`, `shape`, `offset` and `size` of a Const.
pub(crate) fn const_range(layer: &LayerElement) -> Result<ConstRange> {
    let fail = |message: String| Error::Layer { place: layer.place(None), message };
    let attribute = |name: &str| {
        let found = layer.data.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| fail(format!("a Const needs the attribute '{name}'")))
    };
    let number = |name: &str| {
        let text = attribute(name)?.trim();
        text.parse::<usize>().map_err(|_| fail(format!("{name}=\"{text}\" is no byte count")))
    };
    let element = attribute("element_type")?;
    let element = ElementType::from_attribute(element)
        .ok_or_else(|| fail(format!("unknown element type '{element}'")))?;
    let shape = attribute("shape")?;
    let mut elements = Some(1usize);
    for text in shape.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let dim = text.parse::<usize>().map_err(|_| fail(format!("shape=\"{shape}\" is no shape")))?;
        elements = elements.and_then(|count| count.checked_mul(dim));
    }
    let port = layer.outputs.first().map(|port| port.dims.iter().copied().fold(Dim::Fixed(1), Dim::times));
    if let (Some(Dim::Fixed(port)), Some(count)) = (port, elements)
        && port != count
    {
        return Err(fail(format!("shape=\"{shape}\" and the dims of its output port differ")));
    }
    Ok(ConstRange { element, elements, offset: number("offset")?, size: number("size")? })
}

#[allow(unsafe_code)]
fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: the map is read-only and private to this process. Another process that truncates
    // the file meanwhile can still make reads fault; no portable API rules that out.
    let map = unsafe { Mmap::map(file) }.map_err(|e| Error::io("map the weights", path, e))?;
    // Constants are read here and there, a few bytes each: read-ahead would only fill memory.
    let _ = map.advise(Advice::Random);
    Ok(map)
}
