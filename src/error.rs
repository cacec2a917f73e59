//! The error type of the library.
//!
//! Every message says what is wrong, where it is (file and byte offset, layer and port) and,
//! where there is something to do about it, what that is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::analysis::Refusal;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between reading a model and having written another.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb phrase: `read`, `write`, …
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The XML is not an IR, or is damaged.
    #[error("{}, byte {offset}: {message}", path.display())]
    Xml {
        /// The XML file.
        path: PathBuf,
        /// Offset of the offending byte from the start of the file.
        offset: usize,
        /// What is wrong there.
        message: String,
    },

    /// The XML is well formed, but what it says of a layer makes no sense.
    #[error("{place}: {message}")]
    Layer {
        /// The layer, and the port where one is concerned.
        place: Place,
        /// What is wrong there.
        message: String,
    },

    /// The BIN does not hold what the XML says it holds.
    #[error("{}: {message}", path.display())]
    Weights {
        /// The BIN file.
        path: PathBuf,
        /// What is wrong, with layer name and byte offsets.
        message: String,
    },

    /// The request itself cannot be carried out: contradictory or unknown options.
    #[error("{0}")]
    Usage(String),

    /// The model is sound, but no method fits it; every reason is inside.
    #[error("{0}")]
    Refused(Box<Refusal>),

    /// A check of our own output failed. This is a defect of this tool, and nothing was written.
    #[error("internal check failed, nothing was written: {0}. Please report this with the model's XML")]
    Internal(String),

    /// The OpenVINO runtime is missing or refused something.
    #[error("{0}")]
    Runtime(String),

    /// Whoever waited asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A layer of the IR, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the layer.
    pub layer: String,
    /// Its operation (`Convolution`, …).
    pub kind: String,
    /// Its id in the file.
    pub id: u64,
    /// The port, where one is concerned.
    pub port: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer '{}' ({}, id {})", self.layer, self.kind, self.id)?;
        match self.port {
            Some(port) => write!(f, ", port {port}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// An I/O error with what was done to which file.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Error::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// Whether this is a considered refusal of a sound model, as opposed to bad input.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Refused(_))
    }
}

/// Displays a number of bytes as people read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        match self.0 {
            bytes @ 0..1024 => write!(f, "{bytes} B"),
            bytes @ 1024..1_048_576 => write!(f, "{:.1} KiB", bytes as f64 / 1024.0),
            bytes @ 1_048_576..1_073_741_824 => write!(f, "{:.1} MiB", bytes as f64 / 1_048_576.0),
            bytes => write!(f, "{:.1} GiB", bytes as f64 / 1_073_741_824.0),
        }
    }
}
