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
