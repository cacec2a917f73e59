//! Classifier or detector?

use serde::Serialize;

use super::detector::{first, has_boxes, pair};
use super::{Boxes, DetectorHeads, Labels, Logits};
use crate::graph::NodeId;
use crate::message::{Message, message};
use crate::model::Model;
use crate::ops::BoxStage;

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
pub struct Decision {
    /// The task.
    pub task: Task,
    /// Why.
    pub evidence: Evidence,
}

/// Why a model is taken for a classifier or a detector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
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

impl Decision {
    /// Decides from the outputs and from what leads to them. `wanted` is the output to explain, where one was
    /// named.
    ///
    /// What handles boxes comes first, because a detector may end in a list of scores as well; class scores come
    /// before mere pairs of outputs.
    pub fn new(model: &Model, labels: &Labels, wanted: Option<&str>) -> Self {
        let graph = model.graph();
        let decided = |task, evidence| Self { task, evidence };
        let layer = |does, id: NodeId| Evidence::Layer { does, layer: graph.node(id).place().to_string() };
        if let Some(id) = first(graph, BoxStage::Region) {
            return decided(Task::Detection, layer("looks at proposed regions", id));
        }
        if let Some(id) = first(graph, BoxStage::Suppression) {
            return decided(Task::Detection, layer("suppresses overlapping boxes", id));
        }
        if let Some(id) = first(graph, BoxStage::Decoding) {
            return decided(Task::Detection, layer("decodes boxes", id));
        }
        if let Some(id) = first(graph, BoxStage::Sorting)
            .filter(|_| has_boxes(graph) && DetectorHeads::find(model, labels, None).is_ok())
        {
            return decided(Task::Detection, layer("sorts the scores of positions", id));
        }
        let pair = pair(graph);
        // One score for each box is a list of scores too, but none of classes.
        let beside_boxes = |output: &String| pair.as_ref().is_some_and(|(_, scores)| scores == output);
        // A name that is no output's is reported by whoever looks it up next.
        if let Ok((found, _)) = Logits::find(model, labels, wanted)
            && let Some(logits) = found.iter().find(|logits| !beside_boxes(&logits.output))
        {
            let (output, classes) = (logits.output.clone(), logits.classes.fixed());
            return decided(Task::Classification, Evidence::ClassScores { output, classes });
        }
        let found = DetectorHeads::find(model, labels, wanted);
        let evidence = match (found, pair) {
            (Ok(DetectorHeads { boxes: Boxes::Together, explains, .. }), _) => {
                Evidence::Together { output: explains }
            }
            (Ok(DetectorHeads { boxes: Boxes::Beside(boxes), explains, .. }), _) => {
                Evidence::BoxesAndScores { boxes, scores: explains }
            }
            (_, Some((boxes, scores))) => Evidence::BoxesAndScores { boxes, scores },
            _ => return decided(Task::Classification, Evidence::NoBoxes),
        };
        decided(Task::Detection, evidence)
    }
}

impl Evidence {
    /// What there is to say, with the names of settings left to whoever says it.
    pub fn message(&self) -> Message {
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
