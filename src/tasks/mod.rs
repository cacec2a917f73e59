//! What is explained: a room for each task, behind one interface.
//!
//! A [`Room`] recognises models of its task, finds what of them can be explained, and hands it out as a [`Subject`]:
//! *what* is explained, apart from *how*. A task never asks which method is wanted, and a method never asks which
//! task it serves; both speak of subjects. To add a task is to add a room, and its line in [`ROOMS`].
//!
//! What can be said of outputs without a graph is in `outputs.rs`, and rooms ask it as well; `answer.rs` tells whoever
//! runs a model where it says what it sees.

#[cfg(feature = "explain")]
mod answer;
mod classifier;
mod decision;
mod dense_detector;
mod outputs;
mod subject;

use crate::analysis::Labels;
use crate::error::Result;
use crate::message::Message;
use crate::model::Model;
use crate::refusal::Reason;

#[cfg(feature = "explain")]
pub(crate) use answer::{Answer, Ending, Question, ScoreOutput, ranks};
pub(crate) use classifier::{Logits, is_embedding};

pub use decision::Task;
pub(crate) use decision::{Asked, Decision, Evidence, Strength};
#[cfg(feature = "explain")]
pub(crate) use dense_detector::BesideBoxes;
pub(crate) use dense_detector::{ChannelMap, Scale, ScoreMaps};
#[cfg(feature = "explain")]
pub(crate) use outputs::{BoxForm, Outputs, Signature};
pub(crate) use subject::{Subject, SubjectKind};

/// A model with what is known of its axes, and what of it the caller named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked<'a> {
    pub(crate) model: &'a Model,
    pub(crate) labels: &'a Labels,
    /// The output to explain.
    pub(crate) output: Option<&'a str>,
    /// Layers that are the target, or hold class maps.
    pub(crate) layers: &'a [String],
    /// Anchors of each of them.
    pub(crate) anchors: Option<&'a [usize]>,
}

/// What can be explained of a model.
#[derive(Debug)]
pub(crate) struct Found {
    /// The likeliest first.
    pub(crate) subjects: Vec<Subject>,
    /// What was looked at besides, and why it cannot be explained.
    pub(crate) dismissed: Vec<(String, Reason)>,
    /// Things worth knowing.
    pub(crate) notes: Vec<Message>,
}

/// A task: how models of it are recognised, and what of them can be explained.
pub(crate) trait Room: Sync {
    /// Which task it is.
    fn task(&self) -> Task;

    /// What kind of subject its models have.
    fn subject(&self) -> SubjectKind;

    /// What speaks for this task with that strength, if anything does.
    fn evidence(&self, looked: &Looked<'_>, strength: Strength) -> Option<Evidence>;

    /// What the caller named that only makes sense for this task, if anything.
    fn asked_for(&self, looked: &Looked<'_>) -> Option<Message>;

    /// What can be explained of a model that is taken for one of this task.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) where the caller named what is not there or makes no sense for the task.
    fn find(&self, looked: &Looked<'_>) -> Result<Found>;
}

/// All rooms. Of evidence that is equally strong, that of the first counts.
static ROOMS: [&dyn Room; 2] = [&dense_detector::DenseDetector, &classifier::Classifier];

impl Task {
    /// Its room.
    pub(crate) fn room(self) -> &'static dyn Room {
        match self {
            Self::Classification => &classifier::Classifier,
            Self::Detection => &dense_detector::DenseDetector,
        }
    }
}
