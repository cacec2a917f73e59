//! Classifiers: one list of class scores for each image.
//!
//! `logits.rs` goes from outputs back to the scores, `rows.rs` tells those of images from those of other inputs, and
//! `embedding.rs` lists of scores from lists of other numbers.

mod embedding;
mod logits;
mod rows;

pub(crate) use embedding::is_embedding;
pub(crate) use logits::Logits;

use super::outputs::Outputs;
use super::{Evidence, Found, Looked, Room, Strength, Subject, SubjectKind, Task};
use crate::error::{Error, Result};
use crate::message::{Message, Setting, message};

/// The room of classifiers.
pub(super) struct Classifier;

impl Room for Classifier {
    fn task(&self) -> Task {
        Task::Classification
    }

    fn subject(&self) -> SubjectKind {
        SubjectKind::Scores
    }

    fn evidence(&self, looked: &Looked<'_>, strength: Strength) -> Option<Evidence> {
        match strength {
            Strength::Output => {
                // One score for each box is a list of scores too, but none of classes.
                let outputs = Outputs::of(looked.model.graph());
                let beside = outputs.pair().map(|(_, scores)| outputs.name(scores));
                // A name that is no output's is reported by whoever looks it up next.
                let (found, _) = Logits::find(looked.model, looked.labels, looked.output).ok()?;
                let logits = found.into_iter().find(|logits| Some(&*logits.output) != beside)?;
                Some(Evidence::ClassScores { output: logits.output, classes: logits.classes.fixed() })
            }
            Strength::Operation | Strength::Outputs => None,
        }
    }

    fn asked_for(&self, _: &Looked<'_>) -> Option<Message> {
        None
    }

    fn find(&self, looked: &Looked<'_>) -> Result<Found> {
        if looked.layers.len() > 1 {
            return Err(Error::usage(message![
                "several ",
                Setting::TargetLayers,
                " are the scales of a detector; a classifier has one target"
            ]));
        }
        if looked.anchors.is_some() {
            return Err(Error::usage(message![Setting::Anchors, " is for detectors"]));
        }
        let (found, dismissed) = Logits::find(looked.model, looked.labels, looked.output)?;
        let mut notes = Vec::new();
        if let [_, others @ ..] = &found[..]
            && !others.is_empty()
        {
            let others: Vec<&str> = others.iter().map(|logits| logits.output.as_str()).collect();
            notes.push(message![
                format!(
                    "several outputs can be explained; the others are '{}' (choose with ",
                    others.join("', '")
                ),
                Setting::Output,
                ")"
            ]);
        }
        Ok(Found { subjects: found.into_iter().map(Subject::Scores).collect(), dismissed, notes })
    }
}
