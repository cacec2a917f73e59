//! From a file or from memory to a document.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::{Document, parse};
use crate::error::{Error, Result};

/// An XML beyond this size is no graph; refusing it early keeps memory bounded.
const MAX_XML_BYTES: u64 = 1 << 30;

/// What a file is by its extension where it is a model, but no IR; and how to make one of it.
fn other_format(path: &Path) -> Option<(&'static str, String)> {
    let extension = path.extension()?.to_str()?.to_lowercase();
    let (shown, made) = (path.display(), path.with_extension("xml"));
    let made = made.file_name().unwrap_or_default().display();
    let with_ovc = format!(
        "convert it first: `ovc {shown}`, of `pip install openvino`, writes {made} to the current folder"
    );
    Some(match &*extension {
        "onnx" => ("ONNX", with_ovc),
        "tflite" => ("TensorFlow Lite", with_ovc),
        "pb" => ("TensorFlow", with_ovc),
        "pdmodel" => ("PaddlePaddle", with_ovc),
        "pt" | "pth" | "pt2" | "safetensors" => (
            "PyTorch",
            "convert it first: openvino.convert_model, then openvino.save_model, in Python".to_owned(),
        ),
        "h5" | "keras" => {
            ("Keras", "convert it first: model.export to a folder of TensorFlow, then ovc on that".to_owned())
        }
        "png" | "jpg" | "jpeg" | "bmp" | "webp" | "tif" | "tiff" | "gif" => {
            ("a picture", "give the model's XML".to_owned())
        }
        "bin" => ("the weights of a model", "give the XML beside it".to_owned()),
        _ => return None,
    })
}

impl Document {
    /// Reads and parses the XML at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::Xml`] with the byte offset where it is
    /// no IR of version 10 or 11, [`Error::Layer`] where a layer contradicts itself.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        if let Some((format, how)) = other_format(path) {
            let shown = path.display();
            return Err(Error::usage(format!("{shown} is {format}, no OpenVINO IR; {how}")));
        }
        let metadata = file.metadata().map_err(|e| Error::io("read", path, e))?;
        if metadata.is_dir() {
            let message = format!("{} is a folder; give the model's XML file", path.display());
            return Err(Error::usage(message));
        }
        if metadata.len() > MAX_XML_BYTES {
            let message =
                format!("{} has {} bytes, too many for an IR's XML", path.display(), metadata.len());
            return Err(Error::usage(message));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
        Self::parse(path, bytes)
    }

    /// Parses XML that is already in memory; `path` is used in messages.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        parse::parse(path, bytes)
    }
}
