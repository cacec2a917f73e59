//! Single-stage detectors: class scores at each position of one or several maps.
//!
//! Looked for from the scores backwards (`find.rs`): from what suppresses or sorts boxes, or from the outputs
//! (`tail.rs`), over what only moves them (`trace.rs`), to convolutions (`head.rs`). `select.rs` and `pairs.rs` say
//! which of the channels are classes, `map.rs` what a map is, `named.rs` takes heads that the user names.

mod find;
mod head;
mod map;
mod maps;
mod named;
mod pairs;
mod select;
mod tail;
mod trace;

pub(crate) use map::ChannelMap;
#[cfg(feature = "explain")]
pub(crate) use maps::BesideBoxes;
pub(crate) use maps::{Scale, ScoreMaps};

use super::outputs::Outputs;
use super::{Evidence, Found, Looked, Room, Strength, Subject, SubjectKind, Task};
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::message::{Message, Setting, message};
use crate::ops::BoxStage;
use maps::Boxes;
use named::named;
use tail::first;

/// The room of dense detectors.
pub(super) struct DenseDetector;

impl Room for DenseDetector {
    fn task(&self) -> Task {
        Task::Detection
    }

    fn subject(&self) -> SubjectKind {
        SubjectKind::Maps
    }

    fn evidence(&self, looked: &Looked<'_>, strength: Strength) -> Option<Evidence> {
        match strength {
            Strength::Operation => handles_boxes(looked),
            Strength::Outputs => holds_boxes(looked),
            Strength::Output => None,
        }
    }

    fn asked_for(&self, looked: &Looked<'_>) -> Option<Message> {
        match looked.anchors {
            Some(_) => Some(Setting::Anchors.into()),
            None => (looked.layers.len() > 1).then(|| message!["several ", Setting::TargetLayers]),
        }
    }

    fn find(&self, looked: &Looked<'_>) -> Result<Found> {
        let graph = looked.model.graph();
        if let Some(wanted) = looked.output
            && graph.output(wanted).is_none()
        {
            return Err(graph.unknown_output(wanted));
        }
        let found = ScoreMaps::find(looked.model, looked.labels, looked.output);
        let maps = match (looked.layers, looked.anchors) {
            ([], Some(_)) => {
                return Err(Error::usage(message![
                    Setting::Anchors,
                    " goes with the ",
                    Setting::TargetLayers,
                    " of a detector, one number for each; leave it out for other models"
                ]));
            }
            ([], None) => found,
            (layers, anchors) => {
                let named = named(looked.model, looked.labels, layers, anchors, found.as_ref().ok())?;
                named.map_err(|reason| vec![reason])
            }
        };
        Ok(match maps {
            Err(dismissed) => Found { subjects: Vec::new(), dismissed, notes: Vec::new() },
            Ok(maps) => {
                let mut notes: Vec<Message> = maps.notes.iter().map(|note| note.as_str().into()).collect();
                if maps.classes == 1 {
                    let note = "a single class: its map is the sigmoid of the scores, as a softmax over one class is \
                                constant";
                    notes.push(note.into());
                }
                Found { subjects: vec![Subject::Maps(maps)], dismissed: Vec::new(), notes }
            }
        })
    }
}

/// A layer that only detectors have.
fn handles_boxes(looked: &Looked<'_>) -> Option<Evidence> {
    let graph = looked.model.graph();
    let layer = |does, id: NodeId| Evidence::Layer { does, layer: graph.node(id).place().to_string() };
    let stages = [
        (BoxStage::Region, "looks at proposed regions"),
        (BoxStage::Suppression, "suppresses overlapping boxes"),
        (BoxStage::Decoding, "decodes boxes"),
    ];
    if let Some(found) = stages.iter().find_map(|(stage, does)| Some(layer(*does, first(graph, *stage)?))) {
        return Some(found);
    }
    // Others sort as well: what is sorted has to come from maps.
    let sorts = first(graph, BoxStage::Sorting).filter(|_| Outputs::of(graph).have_boxes())?;
    ScoreMaps::find(looked.model, looked.labels, None).ok()?;
    Some(layer("sorts the scores of positions", sorts))
}

/// Outputs that hold boxes and scores.
fn holds_boxes(looked: &Looked<'_>) -> Option<Evidence> {
    let found = ScoreMaps::find(looked.model, looked.labels, looked.output);
    let outputs = Outputs::of(looked.model.graph());
    match (found, outputs.pair()) {
        (Ok(ScoreMaps { boxes: Boxes::Together, explains, .. }), _) => {
            Some(Evidence::Together { output: explains })
        }
        (Ok(ScoreMaps { boxes: Boxes::Beside(boxes), explains, .. }), _) => {
            Some(Evidence::BoxesAndScores { boxes, scores: explains })
        }
        (_, pair) => pair.map(|(boxes, scores)| {
            let name = |output| outputs.name(output).to_owned();
            Evidence::BoxesAndScores { boxes: name(boxes), scores: name(scores) }
        }),
    }
}
