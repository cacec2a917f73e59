//! Why a method does not fit a model, as values.

use std::fmt;

use crate::error::{Bytes, Place};

/// A refusal: everything that was looked at, and why each of it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for (`ReciproCAM`).
    pub wanted: String,
    /// What was looked at, and what spoke against it.
    pub reasons: Vec<(String, Reason)>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} for this model", self.wanted)?;
        for (subject, reason) in &self.reasons {
            write!(f, "\n  {subject}: {reason}")?;
        }
        Ok(())
    }
}

/// Where to turn to with detectors whose scores are no maps.
const BLACK_BOX: &str = "explain it as a black box, with xai-explain";

/// One reason why something cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The model has no outputs at all.
    NoOutput,
    /// An output is not `[N, classes]`.
    NotLogits {
        /// Its type and shape.
        fact: String,
    },
    /// No data of any input arrives at the output.
    Constant,
    /// Nothing on the way to the output has height and width.
    NothingSpatial {
        /// How many values were looked at.
        looked: usize,
    },
    /// A value does not have one batch, one channel and one pair of height and width axes.
    NotAMap {
        /// What its axes are, where known.
        axes: Option<String>,
        /// Its type and shape.
        fact: String,
    },
    /// Height and width of tokens can be told neither now nor at inference.
    UnknownGrid,
    /// The value does not hold real numbers.
    NotFloat {
        /// Its type and shape.
        fact: String,
    },
    /// The value does not reach the output.
    NotOnPath,
    /// No attention works on positions.
    NoAttention,
    /// Tokens before the grid's are among those of the target.
    ClassToken {
        /// How many.
        prefix: usize,
    },
    /// Boxes are scored region by region, by a second stage.
    TwoStage {
        /// The first layer that looks at regions.
        place: Place,
    },
    /// A detector's scores were made without height and width.
    NeverAMap {
        /// The layer that they were followed back to.
        layer: String,
        /// Its type and shape.
        fact: String,
    },
    /// An output has no axis of positions beside that of the classes.
    NoPositions {
        /// Its type and shape.
        fact: String,
    },
    /// The number of class channels is not known.
    UnknownClasses {
        /// The map.
        layer: String,
        /// Its type and shape.
        fact: String,
    },
    /// What class scores are multiplied by is not there for each scale and anchor.
    FactorsDoNotFit {
        /// The product.
        layer: String,
    },
    /// Several outputs, or groups of channels of one, could be the class scores.
    SeveralScores {
        /// Which.
        channels: Vec<String>,
    },
    /// Scales have different numbers of classes.
    ClassesDiffer {
        /// How many each has.
        counts: Vec<usize>,
    },
    /// What the class layers read is no map `[N,C,h,w]`.
    NoFeatures {
        /// The class map of the first scale.
        layer: String,
    },
    /// The method explains detectors, and needs their heads.
    NoHeads,
    /// An operation cannot be evaluated on a mosaic, in any form.
    Operation {
        /// Where.
        place: Place,
        /// Why not.
        why: String,
    },
    /// The dense branch would need too much memory.
    Budget {
        /// Bytes of activations that would be alive at once.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
        /// The layer where the lazy forms were lost.
        place: Place,
        /// Why they were lost there.
        why: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOutput => f.write_str("the model has no outputs"),
            Self::NotLogits { fact } => write!(f, "{fact} is no list of class scores [N, classes]"),
            Self::Constant => f.write_str("it does not depend on any input"),
            Self::NothingSpatial { looked } => write!(
                f,
                "none of the {looked} values that all paths from the inputs pass has height and width; \
                 xai-insert --list-targets shows them, --target-layer chooses another"
            ),
            Self::NotAMap { axes, fact } => {
                write!(f, "{fact} is no feature map")?;
                match axes {
                    Some(axes) => write!(f, " (its axes: {axes})"),
                    None => f.write_str(" (what its axes mean is not known)"),
                }
            }
            Self::UnknownGrid => f.write_str("the height and width of its token grid are not known"),
            Self::NotFloat { fact } => write!(f, "{fact} holds no real numbers"),
            Self::NotOnPath => f.write_str("it is the logits themselves, or does not reach them"),
            Self::NoAttention => {
                f.write_str("no attention on the way to it works on the positions of a grid")
            }
            Self::ClassToken { prefix } => write!(
                f,
                "its tokens start with {prefix} that belong to no position (class token); \
                 a one-hot mask would blank what the classifier reads; use --method vitreciprocam"
            ),
            Self::TwoStage { place } => write!(
                f,
                "{place} looks at regions that a first stage proposed, so that class scores are no maps of the \
                 image; {BLACK_BOX}"
            ),
            Self::NeverAMap { layer, fact } => write!(
                f,
                "its scores come from '{layer}' {fact}, which has no height and width: they never were a map; \
                 {BLACK_BOX}"
            ),
            Self::NoPositions { fact } => {
                write!(f, "{fact} has no axis of boxes beside one of classes, as scores of a detector have")
            }
            Self::UnknownClasses { layer, fact } => {
                write!(f, "the number of class channels of '{layer}' {fact} is not known")
            }
            Self::FactorsDoNotFit { layer } => write!(
                f,
                "what the class scores are multiplied by at '{layer}' does not match their scales and anchors; \
                 name the class maps with --target-layer"
            ),
            Self::SeveralScores { channels } => write!(
                f,
                "which of {} are class scores cannot be told; name the class maps with --target-layer",
                channels.join(", ")
            ),
            Self::ClassesDiffer { counts } => {
                let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
                write!(f, "its scales have different numbers of classes: {}", counts.join(", "))
            }
            Self::NoFeatures { layer } => {
                write!(f, "'{layer}' and its like are not made by convolutions of feature maps [N,C,h,w]")
            }
            Self::NoHeads => f.write_str("class maps explain detectors; use --task detection"),
            Self::Operation { place, why } => write!(f, "{place}: {why}"),
            Self::Budget { needed, budget, place, why } => write!(
                f,
                "the dense branch needs {} of activations and --memory-budget allows {}; \
                 the cheaper forms are lost at {place}: {why}",
                Bytes(*needed),
                Bytes(*budget)
            ),
        }
    }
}
