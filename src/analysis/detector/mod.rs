//! The heads of a single-stage detector: for each scale the map that its class scores come from.
//!
//! Looked for from the scores backwards: from what suppresses or sorts boxes, or from the outputs. See
//! [`DetectorHeads::find`].

mod head;
mod map;
mod named;
mod pairs;
mod select;
mod tail;
mod trace;

pub use map::ChannelMap;
pub use named::named;
pub(super) use tail::{first, has_boxes, pair};

use super::{Labels, Reason};
use crate::graph::{Graph, OutletId};
use crate::model::Model;
use crate::ops::BoxStage;
use pairs::{Pairs, pairs};
use select::{Segment, choose, segments};
use tail::Seed;
use trace::Tracer;

/// Where the class scores of a detector are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectorHeads {
    /// What is explained: an output, or what a layer that selects boxes reads.
    pub explains: String,
    /// One entry for each scale, in the order in which the model joins them.
    pub scales: Vec<Scale>,
    /// Number of classes, a background class included.
    pub classes: usize,
    /// Where the boxes are that the scores belong to.
    pub boxes: Boxes,
    /// Things worth knowing about how they were read.
    pub notes: Vec<String>,
}

/// Where a detector hands out boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boxes {
    /// In the output of the scores.
    Together,
    /// In an output of their own.
    Beside(String),
    /// Not known: a layer that selects boxes was found, or there are none.
    Unknown,
}

/// The class scores of one scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Scores of each class, before any activation.
    pub scores: ChannelMap,
    /// What the model multiplies them by, both activated.
    pub objectness: Option<ChannelMap>,
}

impl DetectorHeads {
    /// Finds the heads of a model, or of its output `wanted`.
    ///
    /// Tried in turn: what a non-maximum suppression reads, what the first sorting of scores reads, the
    /// outputs themselves.
    ///
    /// # Errors
    /// What was looked at, and a [`Reason`] for each.
    pub fn find(model: &Model, labels: &Labels, wanted: Option<&str>) -> Result<Self, Vec<(String, Reason)>> {
        let graph = model.graph();
        if let Some(layer) = first(graph, BoxStage::Region) {
            let place = graph.node(layer).place();
            return Err(vec![("the model".to_owned(), Reason::TwoStage { place })]);
        }
        let mut reasons = Vec::new();
        let mut search = Search { model, labels, reasons: &mut reasons };
        let outputs = tail::outputs(graph, wanted);
        let found = match wanted {
            Some(_) => search.outputs(&outputs).or_else(|| search.seeds(tail::seeds(model, &outputs))),
            None => search.seeds(tail::seeds(model, &outputs)).or_else(|| search.outputs(&outputs)),
        };
        found.ok_or(reasons)
    }

    /// What the class layer of each scale reads, each value once, where convolutions or matrix products make
    /// the scores.
    pub fn features(&self, graph: &Graph) -> Option<Vec<OutletId>> {
        let mut found = Vec::new();
        for scale in &self.scales {
            let features = head::reads(graph, scale.scores.outlet)?;
            if !found.contains(&features) {
                found.push(features);
            }
        }
        Some(found)
    }

    fn new(explains: String, scales: Vec<Scale>, boxes: Boxes, notes: Vec<String>) -> Result<Self, Reason> {
        let mut counts: Vec<usize> = scales.iter().map(|scale| scale.scores.channels.len()).collect();
        counts.dedup();
        match counts[..] {
            [classes] => Ok(Self { explains, scales, classes, boxes, notes }),
            _ => Err(Reason::ClassesDiffer { counts }),
        }
    }
}

struct Search<'a> {
    model: &'a Model,
    labels: &'a Labels,
    reasons: &'a mut Vec<(String, Reason)>,
}

/// An output with the channels that it is made of.
struct Followed {
    name: String,
    segments: Vec<Segment>,
}

impl Followed {
    /// Number of channels.
    fn width(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// The channels, where they are of one kind.
    fn only(&self) -> Option<&Segment> {
        let [only] = &self.segments[..] else { return None };
        Some(only)
    }
}

impl Search<'_> {
    fn graph(&self) -> &Graph {
        self.model.graph()
    }

    /// Follows a value back, with each axis in turn as that of the classes.
    ///
    /// Right is the one with which at least some of its channels come from maps.
    fn follow(&self, seed: &Seed) -> Vec<Segment> {
        let mut failed = Vec::new();
        for point in seed.points(self.model, self.labels) {
            let found = segments(Tracer::new(self.model, self.labels).trace(point));
            if found.iter().any(Segment::maps) {
                return found;
            }
            if failed.is_empty() {
                failed = found;
            }
        }
        failed
    }

    /// The class scores that layers which select boxes read. Several read one scale each.
    fn seeds(&mut self, seeds: Vec<Seed>) -> Option<DetectorHeads> {
        let mut scales = Vec::new();
        let mut notes: Vec<String> = Vec::new();
        let mut explains = None;
        for seed in seeds {
            let found = self.follow(&seed);
            match choose(&found, false) {
                Ok(classes) => {
                    explains.get_or_insert_with(|| seed.name.clone());
                    notes.extend(classes.notes);
                    scales.extend(
                        classes
                            .scales
                            .into_iter()
                            .filter(|scale| !scales.contains(scale))
                            .collect::<Vec<_>>(),
                    );
                }
                Err(reason) => self.reasons.push((seed.name, reason)),
            }
        }
        notes.dedup();
        self.heads(explains?, scales, Boxes::Unknown, notes)
    }

    fn heads(
        &mut self,
        explains: String,
        scales: Vec<Scale>,
        boxes: Boxes,
        notes: Vec<String>,
    ) -> Option<DetectorHeads> {
        match DetectorHeads::new(explains.clone(), scales, boxes, notes) {
            Ok(heads) => Some(heads),
            Err(reason) => {
                self.reasons.push((explains, reason));
                None
            }
        }
    }

    /// The class scores among the outputs.
    fn outputs(&mut self, outputs: &[(String, OutletId)]) -> Option<DetectorHeads> {
        let mut found = Vec::new();
        for (name, outlet) in outputs {
            let fact = self.graph().fact(*outlet);
            if fact.rank() < 3 {
                let reason = Reason::NoPositions { fact: fact.to_string() };
                self.reasons.push((format!("output '{name}'"), reason));
                continue;
            }
            let segments = self.follow(&Seed::output(name.clone(), *outlet));
            found.push(Followed { name: name.clone(), segments });
        }
        if outputs.iter().all(|(_, outlet)| self.graph().fact(*outlet).rank() == 4) {
            match pairs(&found) {
                Some(Ok(Pairs { scales, scores, boxes })) => {
                    return self.heads(scores, scales, Boxes::Beside(boxes), Vec::new());
                }
                Some(Err(reason)) => {
                    self.reasons.push(("the outputs".to_owned(), reason));
                    return None;
                }
                None => {}
            }
        }
        // One output of boxes and scores together; decoded boxes alone are made of several parts as well.
        let scored = |output: &&Followed| output.segments.iter().any(Segment::head);
        let together = found.iter().filter(|output| output.segments.len() > 1).find(scored);
        let alone = found.len() == 1;
        let chosen: Vec<&Followed> = match together {
            Some(output) => vec![output],
            None => self.scores_beside_boxes(&found),
        };
        if chosen.is_empty() {
            for output in &found {
                let reason = choose(&output.segments, false).err().unwrap_or(Reason::Constant);
                self.reasons.push((format!("output '{}'", output.name), reason));
            }
            return None;
        }
        let wide = |output: &&Followed| output.width() >= 4;
        let other = |output: &&Followed| chosen.iter().all(|chosen| chosen.name != output.name);
        let boxes = match (together, found.iter().filter(other).find(wide)) {
            (Some(output), _) if output.segments[0].len() >= 2 => Boxes::Together,
            (None, Some(output)) => Boxes::Beside(output.name.clone()),
            _ => Boxes::Unknown,
        };
        let (mut scales, mut notes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for output in chosen {
            match choose(&output.segments, alone) {
                Ok(classes) => {
                    names.push(output.name.clone());
                    scales.extend(classes.scales);
                    notes.extend(classes.notes);
                }
                Err(reason) => {
                    self.reasons.push((format!("output '{}'", output.name), reason));
                    return None;
                }
            }
        }
        notes.dedup();
        self.heads(names.join(", "), scales, boxes, notes)
    }

    /// Outputs that hold class scores, where boxes are outputs of their own.
    fn scores_beside_boxes<'f>(&self, found: &'f [Followed]) -> Vec<&'f Followed> {
        let is = |output: &Followed, holds: &dyn Fn(&Segment) -> bool| output.only().is_some_and(holds);
        let mut left: Vec<&Followed> = found.iter().filter(|output| is(output, &Segment::maps)).collect();
        let mut narrow = |holds: &dyn Fn(&Segment) -> bool| {
            if left.iter().any(|output| is(output, holds)) {
                left.retain(|output| is(output, holds));
            }
        };
        narrow(&Segment::head);
        narrow(&Segment::activated);
        // Boxes have four coordinates; where no output has that many, they come with keypoints.
        if found.iter().any(|output| output.width() == 4) {
            narrow(&|segment| segment.len() != 4);
            narrow(&|segment| segment.len() > 1);
        } else {
            narrow(&|segment| segment.len() == 1);
        }
        // Boxes are no scores: rather none than these, where the scores could not be followed back.
        let lost = |output: &Followed| !is(output, &Segment::maps) && output.width() != 4;
        if left.first().is_some_and(|output| output.width() == 4) && found.iter().any(lost) {
            return Vec::new();
        }
        match left.first().map(|output| output.width()) {
            Some(first) => left.into_iter().filter(|output| output.width() == first).collect(),
            None => left,
        }
    }
}
