//! What is explained, apart from how.

use super::{Logits, ScoreMaps};
use crate::analysis::Placement;
use crate::ir::{Dim, Record, key};
use crate::model::Model;

/// What a map explains. Every kind can give class scores `[N, classes]`: maps the largest over positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A list of class scores `[N, classes]` for each image.
    Scores(Logits),
    /// A class score at each position of one or several maps.
    Maps(ScoreMaps),
}

/// Kinds of subjects, which methods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    /// [`Subject::Scores`].
    Scores,
    /// [`Subject::Maps`].
    Maps,
}

impl Subject {
    /// What people call it: an output, or what a layer that selects boxes reads.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Scores(logits) => &logits.output,
            Self::Maps(maps) => &maps.explains,
        }
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> Dim {
        match self {
            Self::Scores(logits) => logits.classes,
            Self::Maps(maps) => Dim::Fixed(maps.classes),
        }
    }

    /// Where positions of its own lie in an input, where it has any and that is known.
    pub(crate) fn placement(&self) -> Option<Placement> {
        match self {
            Self::Scores(_) => None,
            Self::Maps(maps) => maps.placement(),
        }
    }

    /// Records all that the definition of its maps needs, the features of a method aside.
    pub(crate) fn record(&self, model: &Model, record: &mut Record) {
        match self {
            Self::Scores(logits) => {
                model.record(logits.outlet, key::LOGITS, record);
            }
            Self::Maps(maps) => maps.record(model, record),
        }
    }

    /// Records which features belong to it, where it says that itself.
    pub(crate) fn record_features(&self, model: &Model, record: &mut Record) {
        let Self::Maps(maps) = self else { return };
        for (i, features) in maps.features(model.graph()).into_iter().flatten().enumerate() {
            let name = key::numbered(key::FEATURES, i + 1);
            model.record(features, &name, record);
        }
    }
}
