//! Messages that name what a caller can set, without knowing how that caller sets it.
//!
//! The library calls a setting by its field (`target_layers`), the command line by its flag (`--target-layer`),
//! Python by its keyword (`target_layer=`). A [`Message`] keeps settings apart from its text, so that each of them
//! can put in its own [`Words`].

use std::fmt;

use serde::{Serialize, Serializer};
use strum::VariantArray;

/// Something that a caller can set or call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, VariantArray)]
#[non_exhaustive]
pub enum Setting {
    /// What turns an output into scores.
    Activation,
    /// Anchors of each target layer.
    Anchors,
    /// Explaining a model as a black box.
    BlackBox,
    /// Which attention block's input is masked.
    Block,
    /// Cells along each side of RISE's masks.
    Cells,
    /// Classes that get a map.
    Classes,
    /// Whether tokens before the grid's are kept.
    ClassToken,
    /// What RISE divides its sums by.
    Divisor,
    /// How much work black boxes do.
    Effort,
    /// The name of the feature vector.
    FeatureVectorName,
    /// An image to run on.
    Image,
    /// The input that is looked at.
    Input,
    /// Rows and columns of patches that are an input.
    Grid,
    /// Shapes of inputs under which a model is read.
    InputShape,
    /// Size of the input where the model leaves it open.
    InputSize,
    /// Positions that AISE tries for each kernel width.
    Iterations,
    /// What a mask keeps around its position.
    Kernel,
    /// Names of classes.
    Labels,
    /// Order of the input's axes.
    Layout,
    /// Where OpenVINO's library is.
    Library,
    /// Listing what could be a target.
    ListTargets,
    /// Number of RISE's masks.
    Masks,
    /// What is subtracted from pixels.
    Mean,
    /// Most memory of copied activations.
    MemoryBudget,
    /// The saliency method.
    Method,
    /// Whether the model is looked into.
    Mode,
    /// The output that is explained.
    Output,
    /// The name of the saliency output.
    OutputName,
    /// Whether files that are there are replaced.
    Overwrite,
    /// A known normalisation.
    Preset,
    /// Probability that a cell of RISE's masks is kept.
    Probability,
    /// Whether the quantization of activations is a part of the head.
    Quantized,
    /// Taking a branch out again.
    Remove,
    /// Giving the file the shapes of inputs under which it is read.
    Reshape,
    /// How a photo gets the input's size.
    Resize,
    /// Height and width of a detector's maps.
    SaliencySize,
    /// Element type of the maps.
    SaliencyType,
    /// What pixels are divided by.
    Scale,
    /// Whether maps are scaled to 0..255.
    Scaling,
    /// Seed of random inputs.
    Seed,
    /// Shapes of dynamic inputs.
    Shapes,
    /// How the head is evaluated.
    Strategy,
    /// Layers that are masked, or hold class maps.
    TargetLayers,
    /// Classes that are explained.
    Targets,
    /// What the model does.
    Task,
    /// Score from which a box counts.
    Threshold,
}

impl Setting {
    /// All of them.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name that the library gives it: a field, or a function.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Anchors => "anchors",
            Self::BlackBox => "explain",
            Self::Block => "block",
            Self::Cells => "cells",
            Self::Classes => "classes",
            Self::ClassToken => "class_token",
            Self::Divisor => "divisor",
            Self::Effort => "effort",
            Self::FeatureVectorName => "feature_vector_name",
            Self::Grid => "grid",
            Self::Image => "image",
            Self::Input => "input",
            Self::InputShape => "input_shape",
            Self::InputSize => "size",
            Self::Iterations => "iterations",
            Self::Kernel => "kernel",
            Self::Labels => "labels",
            Self::Layout => "layout",
            Self::Library => "library",
            Self::ListTargets => "list_targets",
            Self::Masks => "masks",
            Self::Mean => "mean",
            Self::MemoryBudget => "memory_budget",
            Self::Method => "method",
            Self::Mode => "mode",
            Self::Output => "output",
            Self::OutputName => "output_name",
            Self::Overwrite => "overwrite",
            Self::Preset => "preset",
            Self::Probability => "probability",
            Self::Quantized => "quantized",
            Self::Remove => "remove",
            Self::Reshape => "reshape",
            Self::Resize => "resize",
            Self::SaliencySize => "saliency_size",
            Self::SaliencyType => "saliency_type",
            Self::Scale => "scale",
            Self::Scaling => "scaling",
            Self::Seed => "seed",
            Self::Shapes => "shapes",
            Self::Strategy => "strategy",
            Self::TargetLayers => "target_layers",
            Self::Targets => "targets",
            Self::Task => "task",
            Self::Threshold => "threshold",
        }
    }

    /// The setting with a value: "use `method: vitreciprocam`".
    pub(crate) fn to(self, value: impl fmt::Display) -> Part {
        Part::Setting(self, Some(value.to_string()))
    }
}

/// How somebody calls settings: the text for a setting, with a value where one is given.
pub type Words = fn(Setting, Option<&str>) -> String;

/// The library's own words: the names of fields and functions.
fn own(setting: Setting, value: Option<&str>) -> String {
    match value {
        None => format!("`{}`", setting.name()),
        Some(value) => format!("`{}: {value}`", setting.name()),
    }
}

/// A piece of a [`Message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Words that are the same for all.
    Text(String),
    /// A setting, perhaps with the value that it has or should have.
    Setting(Setting, Option<String>),
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Setting> for Part {
    fn from(setting: Setting) -> Self {
        Self::Setting(setting, None)
    }
}

/// A text for people in which settings are told apart from words.
///
/// Displayed and serialised, it calls them by the library's names; [`Message::spoken`] by others.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Message(Vec<Part>);

impl Message {
    pub(crate) fn new<const N: usize>(parts: [Part; N]) -> Self {
        Self(parts.into())
    }

    /// The text in somebody's words.
    pub fn spoken(&self, words: Words) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Setting(setting, value) => words(*setting, value.as_deref()),
        };
        self.0.iter().map(part).collect()
    }

    /// The message with its settings called by somebody's names, for good.
    #[must_use]
    pub fn in_words(&self, words: Words) -> Self {
        self.spoken(words).into()
    }

    /// With more at its end.
    pub(crate) fn with(mut self, more: impl Into<Message>) -> Self {
        self.0.extend(more.into().0);
        self
    }
}

/// A [`Message`] from texts and settings in a row.
macro_rules! message {
    ($($part:expr),+ $(,)?) => {
        $crate::message::Message::new([$($crate::message::Part::from($part)),+])
    };
}
pub(crate) use message;

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self(vec![text.into()])
    }
}

impl From<Setting> for Message {
    fn from(setting: Setting) -> Self {
        Self(vec![setting.into()])
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(vec![text.into()])
    }
}

/// Its text, as `main` shows an error that it returns.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spoken(own))
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_called_as_whoever_reads_calls_them() {
        let message = message!["choose with ", Setting::Output, " or ", Setting::Method.to("rise"), "!"];
        assert_eq!(message.to_string(), "choose with `output` or `method: rise`!");
        let flags: Words = |setting, value| format!("--{} {}", setting.name(), value.unwrap_or("X"));
        assert_eq!(message.spoken(flags), "choose with --output X or --method rise!");
        assert_eq!(message.in_words(flags).to_string(), message.spoken(flags));
    }

    #[test]
    fn every_setting_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Setting::ALL.iter().map(|setting| setting.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Setting::ALL.len());
    }
}
