//! What can go wrong between this process and OpenVINO.

use std::path::PathBuf;

use crate::error::Error;
use crate::message::{Message, Setting, message};

/// A failure of the OpenVINO runtime, or the lack of one.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No OpenVINO library was found anywhere.
    #[error("{}", self.message())]
    NotFound {
        /// The places that were searched, in order.
        searched: Vec<Message>,
    },

    /// A library or folder that was asked for holds no OpenVINO.
    #[error("{}", self.message())]
    NotALibrary {
        /// Who asked for it: a setting or an environment variable.
        origin: Message,
        /// What was asked for.
        path: PathBuf,
        /// File name that was looked for.
        wanted: String,
    },

    /// The library is there, but cannot be used.
    #[error("{} cannot be used as OpenVINO runtime: {message}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader or the version check said.
        message: String,
    },

    /// A call into OpenVINO failed.
    #[error("OpenVINO cannot {action}: {message}")]
    Call {
        /// What was being done, as a verb phrase.
        action: String,
        /// What OpenVINO said.
        message: String,
    },

    /// Something that cannot be handed to OpenVINO as it is.
    #[error("{0}")]
    Argument(String),

    /// Whoever waited asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RuntimeError {
    /// What there is to say, with the names of settings left to whoever says it.
    pub fn message(&self) -> Message {
        match self {
            Self::NotFound { searched } => {
                let mut places = Message::from("no OpenVINO runtime found; looked in ");
                for (i, place) in searched.iter().enumerate() {
                    places = places.with(if i == 0 { "" } else { ", " }).with(place.clone());
                }
                places.with(message![
                    ". Install one (`pip install openvino` in a virtual environment, or an archive or package \
                     from openvino.ai) and, where it is not found by itself, name its library or folder with ",
                    Setting::Library,
                    " or the environment variable OPENVINO_LIB"
                ])
            }
            Self::NotALibrary { origin, path, wanted } => {
                origin.clone().with(format!(": no OpenVINO C library (`{wanted}`) at {}", path.display()))
            }
            other => other.to_string().into(),
        }
    }

    /// Turns an error of the bindings into one that says what was being done.
    pub(super) fn call<E: std::fmt::Display>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |error| RuntimeError::Call { action, message: first_lines(&error.to_string()) }
    }
}

impl From<RuntimeError> for Error {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Interrupted => Error::Interrupted,
            error => Error::runtime(error.message()),
        }
    }
}

/// OpenVINO nests its exceptions and names its own source files line by line; the reasons are on
/// the lines that are not such names.
fn first_lines(text: &str) -> String {
    let reasons = text.lines().map(|line| match line.split_once("Exception from ") {
        Some((before, _)) => before.trim(),
        None => line.trim(),
    });
    let reasons = reasons.filter(|line| !line.is_empty() && !line.starts_with("[ GENERAL_ERROR ]:"));
    let kept: Vec<&str> = reasons.take(4).collect();
    if kept.is_empty() { text.trim().to_owned() } else { kept.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_kept_and_the_call_stack_is_not() {
        let text = "general error: Exception from src/inference/src/core.cpp:92:\n\
                    Exception from src/inference/src/dev/core_impl.cpp:1:\n\nUnable to read the model\n";
        let error = RuntimeError::call("read the model")(text);
        let shown = error.to_string();
        assert_eq!(shown, "OpenVINO cannot read the model: general error: Unable to read the model");
    }
}
