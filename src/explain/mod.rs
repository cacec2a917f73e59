//! From a photo to a picture of what the model looked at.
//!
//! [`Explainer::open`] takes a model and chooses a procedure: white box, where a branch is inserted in memory and gives
//! the maps within the same inference, or black box, where parts of the photo are hidden and scores watched.
//! [`Explainer::explain`] does a photo; [`picture`] draws, [`Folder`] keeps, [`metrics`] judges.
//!
//! ```no_run
//! use std::path::Path;
//! use xai_insert::explain::{ExplainOptions, Explainer, Photo, Quiet};
//!
//! # fn main() -> xai_insert::Result<()> {
//! let mut explainer = Explainer::open(Path::new("model.xml"), &ExplainOptions::default())?;
//! let photo = Photo::read(Path::new("photo.jpg"))?;
//! let explanation = explainer.explain(&photo, &Quiet)?;
//! for target in &explanation.targets {
//!     println!("{} {:?}: {:?}", target.label, target.score, target.map.dim());
//! }
//! # Ok(())
//! # }
//! ```

mod agreement;
mod black_box;
mod engine;
mod explainer;
mod file;
mod gallery;
mod idle;
mod maps;
pub mod metrics;
mod names;
mod open;
#[doc(hidden)]
pub mod options;
mod output;
pub mod picture;
mod procedure;
mod reader;
mod scores;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;

use serde::Serialize;

use crate::ir::ModelInfo;
use crate::message::{Message, Words};

pub use black_box::{AiseOptions, Detection, Effort, RiseDivisor, RiseMasks, RiseOptions};
pub use explainer::{Explainer, Explanation, Prediction, Prepared, Target};
pub(crate) use gallery::Gallery;
pub use names::{ClassNames, Targets, Wanted};
pub use options::{AnyMethod, BlackBox, ExplainOptions, Mode};
pub use output::{Files, Folder, read_map};
pub use scores::{OutputActivation, ScoreFunction};
pub use watch::{Quiet, Watch};

pub use crate::ir::{ElementType, ImageLayout as Layout, Resize};
pub(crate) use crate::preprocess::photos;
pub use crate::preprocess::{
    Geometry, ImageInput, Lay, Origin, Photo, PreprocessOptions, Preprocessing, Preset,
};
pub use crate::runtime::Tensor;

/// The score from which a class or an object counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// The score.
    pub least: f32,
    /// Where it was taken from.
    pub source: Origin,
}

impl Threshold {
    /// As the caller says, else as the model does, else one half.
    fn settle(option: Option<f32>, info: &ModelInfo) -> Self {
        match (option, info.confidence_threshold) {
            (Some(least), _) => Self { least, source: Origin::Options },
            (None, Some(least)) => Self { least, source: Origin::ModelInfo },
            (None, None) => Self { least: 0.5, source: Origin::Assumed },
        }
    }
}

/// What is applied, with nothing left open; for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Settings {
    /// The model.
    #[serde(serialize_with = "crate::place::lossy")]
    pub model: PathBuf,
    /// `white-box` or `black-box`.
    pub mode: &'static str,
    /// Name of the method.
    pub method: String,
    /// The output that is explained.
    pub explains: String,
    /// What is applied to it; absent where the first scores decide.
    pub activation: Option<OutputActivation>,
    /// The score from which a class or an object counts, where that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The model's input.
    pub input: ImageInput,
    /// What is done to photos.
    pub preprocessing: Preprocessing,
    /// Work of a black-box method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// RISE's masks.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub masks: Option<RiseMasks>,
    /// AISE's windows for each kernel width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<usize>,
    /// Inferences at the same time.
    pub requests: usize,
    /// Version and device.
    pub runtime: String,
    /// Other things worth knowing.
    pub notes: Vec<Message>,
}

impl Settings {
    /// The settings with options called by somebody's names.
    #[must_use]
    pub fn in_words(mut self, words: Words) -> Self {
        self.preprocessing = self.preprocessing.in_words(words);
        for note in &mut self.notes {
            *note = note.in_words(words);
        }
        self
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "method     {}, {}", self.method, self.mode)?;
        if let Some(effort) = self.effort {
            let effort = format!("{effort:?}").to_lowercase();
            write!(f, "effort     {effort}")?;
            if let Some(RiseMasks { masks, cells, probability, seed, .. }) = self.masks {
                write!(
                    f,
                    ": {masks} masks of {cells}x{cells} cells, each kept with {probability}, seed {seed}"
                )?;
            }
            if let Some(windows) = self.iterations {
                write!(f, ": {windows} windows for each kernel width")?;
            }
            writeln!(f)?;
        }
        if !self.explains.is_empty() {
            let scores = match self.activation {
                Some(OutputActivation::Softmax) => "softmax is applied",
                Some(OutputActivation::Sigmoid) => "sigmoid is applied",
                Some(OutputActivation::Hierarchical) => {
                    "softmax within each head, whose best counts whatever its score; sigmoid for other classes"
                }
                Some(OutputActivation::None) => "scores as they are",
                None => {
                    "softmax, or sigmoid where boxes have scores, is applied unless the values are scores already"
                }
            };
            writeln!(f, "explains   {} ({scores})", self.explains)?;
        }
        if let Some(Threshold { least, source }) = self.threshold {
            writeln!(f, "threshold  {least}{}", source.shown())?;
        }
        writeln!(f, "input      {}", self.input)?;
        writeln!(f, "preprocess {}", self.preprocessing)?;
        write!(f, "runtime    {}, {} at a time", self.runtime, self.requests)?;
        for note in &self.notes {
            write!(f, "\nnote       {note}")?;
        }
        Ok(())
    }
}
