//! The error type of the library.
//!
//! Every message says what is wrong, where it is (file and byte offset, layer and port) and,
//! where there is something to do about it, what that is.

use std::io;
use std::path::{Path, PathBuf};

use crate::message::Message;
use crate::place::Place;
use crate::refusal::Refusal;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between reading a model and having written another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    Usage(Message),

    /// The model is sound, but no method fits it; every reason is inside.
    #[error("{0}")]
    Refused(Box<Refusal>),

    /// A check of our own output failed. This is a defect of this tool, and nothing was written.
    #[error("internal check failed, nothing was written: {0}. Please report this with the model's XML")]
    Internal(String),

    /// The OpenVINO runtime is missing or refused something.
    #[error("{0}")]
    Runtime(Message),

    /// Whoever waited asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An I/O error with what was done to which file.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Error::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// A request that cannot be carried out, and why.
    pub fn usage(message: impl Into<Message>) -> Self {
        Error::Usage(message.into())
    }

    /// What OpenVINO refused.
    #[cfg(feature = "runtime")]
    pub(crate) fn runtime(message: impl Into<Message>) -> Self {
        Error::Runtime(message.into())
    }

    /// What there is to say, with the names of settings left to whoever says it.
    pub fn message(&self) -> Message {
        match self {
            Error::Usage(message) | Error::Runtime(message) => message.clone(),
            Error::Refused(refusal) => refusal.message(),
            other => other.to_string().into(),
        }
    }

    /// Whether this is a considered refusal of a sound model, as opposed to bad input.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Error::Refused(_))
    }
}
