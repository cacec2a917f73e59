//! How what a model says is read from its outputs.

use super::black_box::{Detection, detections};
use super::engine::ImageOutputs;
use super::names::ClassNames;
use super::scores::{ClassScores, OutputActivation, Raw};
use crate::error::Result;
use crate::preprocess::ImageInput;
use crate::tasks::BoxForm;

/// Reads what a model says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reader {
    /// Class scores.
    Classes(ClassScores),
    /// Boxes of a detector.
    Boxes(BoxForm),
    /// None of these; only classes that the user names can be explained.
    Nothing,
}

/// What a model says of an image.
#[derive(Debug, Clone)]
pub(super) enum Findings {
    /// Scores as the model gives them.
    Raw(Raw),
    /// A score for each class.
    Scores(Vec<f32>),
    /// Objects.
    Objects(Vec<Detection>),
    /// Nothing that can be read.
    Nothing,
}

impl Reader {
    /// The outputs that it reads, in the order in which it takes them.
    pub(super) fn outputs(&self) -> Vec<usize> {
        match self {
            Self::Classes(scores) => scores.outputs(),
            Self::Boxes(form) => form.outputs(),
            Self::Nothing => Vec::new(),
        }
    }

    /// What is read, for people.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Classes(scores) => &scores.name,
            Self::Boxes(_) => "boxes",
            Self::Nothing => "",
        }
    }

    /// Number of classes, where it is known.
    pub(super) fn classes(&self) -> Option<usize> {
        match self {
            Self::Classes(scores) => scores.classes,
            Self::Boxes(_) | Self::Nothing => None,
        }
    }

    /// What turns scores into probabilities, where that is known.
    pub(super) fn activation(&self) -> Option<OutputActivation> {
        match self {
            Self::Classes(scores) => scores.activation,
            Self::Boxes(_) => Some(OutputActivation::None),
            Self::Nothing => None,
        }
    }

    /// Whether it is known what scores are, before any were seen.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::Classes(scores) => scores.is_settled(),
            Self::Boxes(_) | Self::Nothing => true,
        }
    }

    /// Checks names of so many classes; of boxes, the one that means no object may have none.
    ///
    /// # Errors
    /// Those of [`ClassNames::check`].
    pub(super) fn check_names(&self, names: &ClassNames, classes: usize) -> Result<()> {
        match self {
            Self::Classes(scores) if scores.per_box() && names.len() + 1 == classes => Ok(()),
            _ => names.check(classes),
        }
    }

    /// Whether it depends on a threshold what a model predicts.
    pub(super) fn uses_threshold(&self) -> bool {
        match self {
            Self::Classes(scores) => scores.uses_threshold(),
            Self::Boxes(_) => true,
            Self::Nothing => false,
        }
    }

    /// Reads one image's outputs, of which its own begin at `place`; scores are as the model gives them.
    ///
    /// # Errors
    /// Those of [`ClassScores::raw`] and [`detections`].
    pub(super) fn read(
        &self,
        outputs: &ImageOutputs<'_>,
        place: usize,
        input: &ImageInput,
    ) -> Result<Findings> {
        Ok(match self {
            Self::Classes(scores) => Findings::Raw(scores.raw(outputs, place)?),
            Self::Boxes(form) => {
                Findings::Objects(detections(*form, outputs.tensors.get(place..).unwrap_or(&[]), input)?)
            }
            Self::Nothing => Findings::Nothing,
        })
    }
}
