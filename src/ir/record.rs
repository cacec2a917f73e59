//! The record of a branch: the section `xai` in the net's `<rt_info>`.
//!
//! `xai-insert` writes it, `xai-verify` and `xai-explain` read it, and they share nothing else about it than this
//! file: the keys and how values are spelled.

use std::fmt;
use std::str::FromStr;

use super::RtInfo;
use crate::error::{Error, Result};

/// Name of the section.
pub(crate) const SECTION: &str = "xai";

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $key:ident = $name:literal,)+) => {
        $($(#[doc = $doc])+ pub(crate) const $key: &str = $name;)+

        /// All keys, in the order in which they are written.
        #[cfg(test)]
        pub(super) const KEYS: &[&str] = &[$($name),+];
    };
}

/// Keys of entries. Those that hold a layer have its output slot beside them, see [`slot_of`], and [`id_of`]; those of several
/// values are numbered from 1, see [`numbered`].
pub(crate) mod key {
    keys! {
        /// The program that wrote it.
        TOOL = "tool",
        /// Its version.
        VERSION = "version",
        /// Name of the method.
        METHOD = "method",
        /// Classes that have a map, see [`Classes`](super::Classes).
        TARGETS = "targets",
        /// Whether each map is scaled to 0..255.
        SCALING = "scaling",
        /// Element type of the maps.
        SALIENCY_TYPE = "saliency_type",
        /// Tensor name of the maps.
        OUTPUT = "output",
        /// The layer whose positions are masked.
        TARGET = "target",
        /// Meaning of its axes.
        LAYOUT = "layout",
        /// Height and width of its grid, `?` where known only at inference.
        GRID = "grid",
        /// A layer whose extent is the grid's height, where that is known only at inference.
        GRID_HEIGHT = "grid_height",
        /// A layer whose extent is its width.
        GRID_WIDTH = "grid_width",
        /// Shapes of inputs under which the model was read, where the file leaves them open.
        INPUT_SHAPE = "input_shape",
        /// Whether the file was given these shapes.
        RESHAPED = "reshaped",
        /// The input that rows and columns lie in.
        INPUT = "input",
        /// Where the rows of the target's grid lie in it, see [`Course`](crate::ir::Course).
        ROWS = "rows",
        /// Where its columns do.
        COLUMNS = "columns",
        /// The layer that makes the logits.
        LOGITS = "logits",
        /// What a mask keeps around its position.
        MASK = "mask",
        /// Whether tokens before the grid's are kept.
        CLASS_TOKEN = "class_token",
        /// Which attention block's input is masked, counted from the end.
        BLOCK = "block",
        /// Numbered: layers that are masked like the target.
        MASKED = "masked",
        /// Height and width of a detector's maps.
        SALIENCY_SIZE = "saliency_size",
        /// Numbered: the layer with the class scores of a scale.
        SCALE = "scale",
        /// Numbered: what they are multiplied by.
        OBJECTNESS = "objectness",
        /// Numbered: what the class layers read.
        FEATURES = "features",
        /// Tensor name of the feature vector.
        FEATURE_VECTOR = "feature_vector",
        /// `smooth` where the quantization of activations is left out of the head.
        QUANTIZED = "quantized",
        /// The dearest form that was needed.
        LOWERING = "lowering",
        /// Bytes of the layers that were added.
        LAYERS_BYTES = "layers_bytes",
        /// Bytes of the edges that were added.
        EDGES_BYTES = "edges_bytes",
        /// The original's `<rt_info>`: `section`, `none`, or the text of an empty element.
        RT_INFO_WAS = "rt_info_was",
        /// Size of the original BIN.
        BIN_BYTES = "bin_bytes",
        /// SHA-256 of the original XML.
        XML_SHA256 = "xml_sha256",
    }

    /// The i-th of several, counted from 1.
    pub(crate) fn numbered(key: &str, i: usize) -> String {
        format!("{key}_{i}")
    }

    /// Which of a layer's outputs is meant, counted from 0.
    pub(crate) fn slot_of(layer: &str) -> String {
        format!("{layer}_slot")
    }

    /// A layer's id in the file, where others have the same name.
    pub(crate) fn id_of(layer: &str) -> String {
        format!("{layer}_id")
    }

    /// Which axis of a layer's output is meant.
    pub(crate) fn axis_of(layer: &str) -> String {
        format!("{layer}_axis")
    }

    /// Meaning of the axes of a layer's output.
    pub(crate) fn layout_of(layer: &str) -> String {
        format!("{layer}_layout")
    }

    /// Which fields of each anchor are meant, `start..end`.
    pub(crate) fn fields_of(layer: &str) -> String {
        format!("{layer}_fields")
    }

    /// Height and width of a layer's map.
    pub(crate) fn grid_of(layer: &str) -> String {
        format!("{layer}_grid")
    }

    /// Where the rows of a layer's map lie in the input.
    pub(crate) fn rows_of(layer: &str) -> String {
        format!("{layer}_rows")
    }

    /// Where its columns do.
    pub(crate) fn columns_of(layer: &str) -> String {
        format!("{layer}_columns")
    }

    /// What the model applies to scores before it multiplies them.
    pub(crate) fn activation_of(layer: &str) -> String {
        format!("{layer}_activation")
    }
}

/// Entries in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record(Vec<(String, String)>);

impl Record {
    /// Adds an entry.
    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl fmt::Display) {
        self.0.push((key.into(), value.to_string()));
    }

    /// All entries: key and value.
    pub(crate) fn entries(&self) -> &[(String, String)] {
        &self.0
    }
}

/// The section of a model's `rt_info`, if it has one.
pub(crate) fn section(rt_info: &RtInfo) -> Option<&RtInfo> {
    rt_info.child(SECTION)
}

/// Classes that get a map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Classes {
    /// All of them, in order: `all`.
    #[default]
    All,
    /// The k classes with the highest scores of each image, best first: `top5`.
    Top(usize),
    /// These, in this order: `281,282`.
    Listed(Vec<usize>),
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Top(count) => write!(f, "top{count}"),
            Self::Listed(list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                f.write_str(&list.join(","))
            }
        }
    }
}

impl FromStr for Classes {
    type Err = Error;

    /// Reads `all`, `topK` or indices separated by commas.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::usage("give all, topK (such as top5) or class indices separated by commas");
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(count) = text.strip_prefix("top") {
            return match count.parse() {
                Ok(count @ 1..) => Ok(Self::Top(count)),
                _ => Err(wrong()),
            };
        }
        let list: std::result::Result<Vec<usize>, _> =
            text.split(',').map(|class| class.trim().parse()).collect();
        list.map(Self::Listed).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_as_they_are_written() {
        for classes in [Classes::All, Classes::Top(5), Classes::Listed(vec![281, 3])] {
            assert_eq!(classes.to_string().parse::<Classes>().unwrap(), classes);
        }
        for wrong in ["", "top0", "topx", "1,,2", "-1"] {
            wrong.parse::<Classes>().unwrap_err();
        }
    }

    #[test]
    fn no_key_can_be_taken_for_another() {
        let mut keys = key::KEYS.to_vec();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), key::KEYS.len());
        // Suffixes of numbered keys and slots are told from keys of their own.
        for key in keys {
            assert!(
                !key.ends_with("_slot")
                    && !key.ends_with(|c: char| c.is_ascii_digit() && key != "xml_sha256"),
                "{key}"
            );
        }
    }
}
