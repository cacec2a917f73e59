//! What the file of a model is: an IR, one that is converted to an IR, or one that only the runtime can read.

use std::path::{Path, PathBuf};

use super::{ExplainOptions, Mode};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::model::Model;
use crate::runtime::Converted;

/// A model's file, and what is known of its graph.
pub(super) struct ModelFile {
    path: PathBuf,
    /// The IR that was made of it.
    converted: Option<Converted>,
    /// Its graph, or why it is not looked into.
    pub(super) ir: Result<Model>,
}

impl ModelFile {
    /// Looks at the file at `path`. What is no IR is converted by the converter that belongs to `library`, where its
    /// graph is wanted; where that fails, the runtime reads what is there.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Weights`] where a file is not there or not whole, [`Error::Usage`] where weights are
    /// named of a file that has its own.
    pub(super) fn new(path: &Path, library: &Path, options: &ExplainOptions) -> Result<Self> {
        let own = |ir, converted| Self { path: path.to_path_buf(), converted, ir };
        if is_ir(path) {
            return match Model::read(path, options.weights.as_deref()) {
                // Files that are not there are no reason to try anything else.
                Err(error @ (Error::Io { .. } | Error::Weights { .. })) => Err(error),
                ir => Ok(own(ir, None)),
            };
        }
        std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let shown = path.display();
        if let Some(weights) = &options.weights {
            let weights = weights.display();
            let whose = format!(
                "{weights} is named as the BIN of an OpenVINO IR (.xml), and {shown} is none: leave it out"
            );
            return Err(Error::usage(whose));
        }
        let looked_into = options.mode != Mode::BlackBox && options.black_box.is_none();
        if !looked_into {
            let none = format!("{shown} is no OpenVINO IR, and nobody asked for its graph");
            return Ok(own(Err(Error::usage(none)), None));
        }
        Ok(match Converted::new(path, library) {
            Ok(converted) => own(Model::read(&converted.xml(), None), Some(converted)),
            Err(why) => own(Err(Error::usage(format!("{shown} is no OpenVINO IR, and {why}"))), None),
        })
    }

    /// The file that is looked into: of what was converted, the IR.
    pub(super) fn ir_path(&self) -> PathBuf {
        self.converted.as_ref().map_or_else(|| self.path.clone(), Converted::xml)
    }

    /// What there is to say of it.
    pub(super) fn note(&self) -> Option<Message> {
        let converter = self.converted.as_ref()?.converter.display();
        Some(format!("{} was converted to OpenVINO IR by {converter}", self.path.display()).into())
    }
}

fn is_ir(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
}
