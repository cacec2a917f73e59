//! What could be explained, for people who choose and for programs.

use serde::Serialize;

use crate::analysis::Candidate;
use crate::graph::Graph;
use crate::message::{Message, Words};
use crate::report::{HeadReport, PlaceReport, TensorReport};

/// What could be explained; in JSON the list of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Listed {
    /// Of a classifier: all values that were considered as target, the best first.
    Targets(Vec<CandidateReport>),
    /// Of a detector: the class map of each scale.
    Heads(Vec<HeadReport>),
}

impl Listed {
    /// The list with settings called by somebody's names.
    #[must_use]
    pub fn in_words(mut self, words: Words) -> Self {
        if let Self::Targets(candidates) = &mut self {
            for candidate in candidates {
                candidate.reason = candidate.reason.as_ref().map(|reason| reason.in_words(words));
            }
        }
        self
    }
}

/// A value of a classifier that was considered as target. The field names are stable: scripts read the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CandidateReport {
    /// Layer name.
    pub layer: String,
    /// Operation.
    pub op: String,
    /// Its element type and dimensions.
    pub tensor: TensorReport,
    /// Whether every path from the inputs to the logits passes it.
    pub cut: bool,
    /// Whether it is the one that is taken.
    pub taken: bool,
    /// Meaning of each axis, `N,C,H,W`; absent where it is no feature map.
    pub layout: Option<String>,
    /// Where its positions lie in the input; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceReport>,
    /// Tokens that stand before those of the grid.
    pub class_tokens: usize,
    /// Why it cannot be a target; absent where it can.
    pub reason: Option<Message>,
}

impl CandidateReport {
    pub(crate) fn new(graph: &Graph, candidate: &Candidate, taken: bool) -> Self {
        let layout = candidate.layout.as_ref();
        Self {
            layer: candidate.layer.clone(),
            op: candidate.op.clone(),
            tensor: TensorReport::new(&candidate.fact),
            cut: candidate.cut,
            taken,
            layout: layout.ok().map(ToString::to_string),
            place: layout.ok().and_then(|layout| Some(PlaceReport::new(graph, layout.placement.as_ref()?))),
            class_tokens: layout.map_or(0, |layout| layout.prefix()),
            reason: layout.err().map(|reason| reason.message()),
        }
    }
}
