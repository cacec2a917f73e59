//! Check: what was explained is what the model answers.
//!
//! That a map equals its definition at the recorded scores says nothing of these: they may be probabilities, one branch
//! of several, or mask coefficients. So they are held against the original's own outputs.

mod boxes;
mod classes;

use serde::Serialize;

use crate::message::Message;

pub(super) use boxes::{Listed, of_maps};
pub(super) use classes::{Scored, of_scores, probabilities_behind};

/// How the explained scores go with the model's answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MeaningFigures {
    /// The output that they were held against, counted from 0; absent where there is none.
    pub output: Option<usize>,
    /// Scores that were compared.
    pub scores: usize,
    /// Those that contradict the output.
    pub contradicting: usize,
}

/// What was found, or why nothing could be.
#[derive(Debug)]
pub(super) enum Found {
    /// It was looked at.
    Judged(Vec<Message>, MeaningFigures),
    /// It could not be.
    Not(Message),
}
