//! Which task is a model made for?

use serde::Serialize;
use strum::VariantArray;

use super::{Looked, ROOMS, SubjectKind};
use crate::error::{Error, Result};
use crate::message::{Message, Setting, message};

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// One list of class scores for each image.
    Classification,
    /// Boxes with class scores.
    Detection,
}

impl Task {
    /// The name by which the task is chosen and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Detection => "detection",
        }
    }
}

/// A task, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The task.
    pub(crate) task: Task,
    /// Why.
    pub(crate) evidence: Evidence,
}

/// How surely something speaks for a task, the strongest first.
///
/// What handles boxes comes before lists of scores, because a detector may end in one as well; lists of scores come
/// before mere pairs of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strength {
    /// An operation that no other task has.
    Operation,
    /// An output that holds what the task gives.
    Output,
    /// Several outputs that fit together, or one that could be taken for them.
    Outputs,
}

impl Strength {
    const ALL: [Self; 3] = [Self::Operation, Self::Output, Self::Outputs];
}

/// Why a model is taken for one of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The user said so.
    Asked {
        /// With which setting.
        by: Message,
    },
    /// A layer looks at regions, suppresses boxes or sorts the scores of positions.
    Layer {
        /// What it does, as a verb phrase.
        does: &'static str,
        /// Which one.
        layer: String,
    },
    /// An output lists class scores.
    ClassScores {
        /// Its name.
        output: String,
        /// Number of classes, where known.
        classes: Option<usize>,
    },
    /// Boxes and scores are outputs.
    BoxesAndScores {
        /// The output of the boxes.
        boxes: String,
        /// The output of the scores.
        scores: String,
    },
    /// One output holds boxes and scores.
    Together {
        /// Its name.
        output: String,
    },
    /// Nothing speaks for a detector.
    NoBoxes,
}

impl Evidence {
    /// What there is to say, with the names of settings left to whoever says it.
    pub(crate) fn message(&self) -> Message {
        match self {
            Self::Asked { by } => message!["asked for by "].with(by.clone()),
            Self::Layer { does, layer } => format!("{layer} {does}").into(),
            Self::ClassScores { output, classes: Some(classes) } => {
                format!("output '{output}' lists scores of {classes} classes").into()
            }
            Self::ClassScores { output, classes: None } => {
                format!("output '{output}' lists class scores").into()
            }
            Self::BoxesAndScores { boxes, scores } => {
                format!("outputs '{boxes}' and '{scores}' hold boxes and scores").into()
            }
            Self::Together { output } => format!("output '{output}' holds boxes and class scores").into(),
            Self::NoBoxes => "no output holds boxes".into(),
        }
    }
}

/// What a caller says about the task: the task itself, or a method with the subject that it needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) task: Option<Task>,
    pub(crate) method: Option<(&'a str, SubjectKind)>,
}

impl Decision {
    /// What the model is taken for: as asked, as the method asks, or as what it holds says.
    ///
    /// # Errors
    /// [`Error::Usage`] where the caller contradicts itself.
    pub(crate) fn new(looked: &Looked<'_>, asked: Asked<'_>) -> Result<Self> {
        let decided = |task: Task, by: Message| Self { task, evidence: Evidence::Asked { by } };
        let of_method = |kind: SubjectKind| {
            ROOMS.iter().find(|room| room.subject() == kind).map_or(Task::Classification, |room| room.task())
        };
        Ok(match (asked.task, asked.method) {
            (Some(task), Some((method, kind))) if task.room().subject() != kind => {
                let tasks = format!(" is for {}, not for {}", of_method(kind).name(), task.name());
                return Err(Error::usage(message![Setting::Method.to(method), tasks]));
            }
            (Some(task), _) => decided(task, Setting::Task.into()),
            (None, Some((_, kind))) => decided(of_method(kind), Setting::Method.into()),
            (None, None) => {
                let named = ROOMS.iter().find_map(|room| Some(decided(room.task(), room.asked_for(looked)?)));
                named.unwrap_or_else(|| Self::of_model(looked))
            }
        })
    }

    /// Decides from what the model holds: the strongest evidence counts. Where nothing speaks for any task, it is looked
    /// at as a classifier, which then says of each output why it lists no scores.
    fn of_model(looked: &Looked<'_>) -> Self {
        for strength in Strength::ALL {
            for room in ROOMS {
                if let Some(evidence) = room.evidence(looked, strength) {
                    return Self { task: room.task(), evidence };
                }
            }
        }
        Self { task: Task::Classification, evidence: Evidence::NoBoxes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_asked_for_evidence() {
        for task in Task::VARIANTS {
            assert_eq!(ROOMS.iter().filter(|room| room.task() == *task).count(), 1, "{task:?}");
            assert_eq!(task.room().task(), *task);
        }
    }
}
