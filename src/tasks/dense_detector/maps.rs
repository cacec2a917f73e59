//! Maps of class scores, scale by scale.

use std::ops::Range;

use super::{ChannelMap, head};
use crate::analysis::Placement;
use crate::graph::{Graph, OutletId};
use crate::ir::{Dim, Record, key};
use crate::model::Model;
use crate::refusal::Reason;

/// Where the class scores of a detector are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScoreMaps {
    /// What is explained: an output, or what a layer that selects boxes reads.
    pub explains: String,
    /// One entry for each scale, in the order in which the model joins them.
    pub scales: Vec<Scale>,
    /// Number of classes, a background class included.
    pub classes: usize,
    /// Where the boxes are that the scores belong to.
    pub boxes: Boxes,
    /// Where an output has the scores beside boxes that are decoded, where it does.
    pub beside_boxes: Option<BesideBoxes>,
    /// Things worth knowing about how they were read.
    pub notes: Vec<String>,
}

/// Where a detector hands out boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Boxes {
    /// In the output of the scores.
    Together,
    /// In an output of their own.
    Beside(String),
    /// Not known: a layer that selects boxes was found, or there are none.
    Unknown,
}

/// Columns of an output `[N, columns, candidates]` or `[N, candidates, columns]`, of which the first four are a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BesideBoxes {
    /// The output's name.
    pub output: String,
    /// Number of columns.
    pub columns: usize,
    /// Those of the class scores.
    pub classes: Range<usize>,
    /// The one that class scores are to be multiplied by, where the model has not done that.
    pub objectness: Option<usize>,
}

/// The class scores of one scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Scores of each class, before any activation.
    pub scores: ChannelMap,
    /// What the model multiplies them by, both activated.
    pub objectness: Option<ChannelMap>,
    /// Objectness that the model hands out beside them: whoever reads its answer multiplies.
    pub left_to_readers: Option<ChannelMap>,
}

impl ScoreMaps {
    /// What the class layer of each scale reads, each value once, where convolutions or matrix products make
    /// the scores.
    pub(crate) fn features(&self, graph: &Graph) -> Option<Vec<OutletId>> {
        let mut found = Vec::new();
        for scale in &self.scales {
            let features = head::reads(graph, scale.scores.outlet)?;
            if !found.contains(&features) {
                found.push(features);
            }
        }
        Some(found)
    }

    pub(super) fn new(
        explains: String,
        scales: Vec<Scale>,
        boxes: Boxes,
        notes: Vec<String>,
    ) -> Result<Self, Reason> {
        let mut counts: Vec<usize> = scales.iter().map(|scale| scale.scores.channels.len()).collect();
        counts.dedup();
        match counts[..] {
            [classes] => Ok(Self { explains, scales, classes, boxes, beside_boxes: None, notes }),
            _ => Err(Reason::ClassesDiffer { counts }),
        }
    }

    /// Whether there are boxes that the scores belong to.
    pub(crate) fn has_boxes(&self) -> bool {
        self.boxes != Boxes::Unknown
    }

    /// Where the first scale lies in an input, where all are known and lie alike; those of one position lie anyhow.
    pub(crate) fn placement(&self) -> Option<Placement> {
        let many = |scale: &&Scale| scale.scores.grid() != [Dim::Fixed(1); 2];
        let placements: Option<Vec<Placement>> =
            self.scales.iter().filter(many).map(|scale| scale.scores.placement()).collect();
        let placements = placements?;
        let first = *placements.first()?;
        let alike = |other: &Placement| other.input == first.input && other.turn() == first.turn();
        placements.iter().all(alike).then_some(first)
    }

    /// Records the layers of the scales.
    pub(in crate::tasks) fn record(&self, model: &Model, record: &mut Record) {
        let placement = self.placement();
        if let Some(input) = placement.and_then(|placement| placement.input) {
            record.add(key::INPUT, &model.node(input).name);
        }
        for (i, scale) in self.scales.iter().enumerate() {
            let (name, activated) = (key::numbered(key::SCALE, i + 1), scale.objectness.is_some());
            scale.scores.record(model, &name, activated, record);
            if let (Some(_), Some(own)) = (placement, scale.scores.placement()) {
                own.record(key::rows_of(&name), key::columns_of(&name), record);
            }
            if let Some(objectness) = &scale.objectness {
                objectness.record(model, &key::numbered(key::OBJECTNESS, i + 1), activated, record);
            }
        }
    }
}
