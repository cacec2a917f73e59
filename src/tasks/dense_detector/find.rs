//! Looking for the maps that a detector's class scores come from. See [`ScoreMaps::find`].

use super::maps::{BesideBoxes, Boxes, Scale, ScoreMaps};
use super::pairs::{Pairs, pairs};
use super::select::{BOX, Classes, Followed, Segment, choose, segments};
use super::tail::{self, Seed, first};
use super::trace::Tracer;
use crate::analysis::Labels;
use crate::graph::{Graph, OutletId};
use crate::model::Model;
use crate::ops::BoxStage;
use crate::refusal::Reason;

impl ScoreMaps {
    /// Finds the heads of a model, or of its output `wanted`.
    ///
    /// Tried in turn: what a non-maximum suppression reads, what the first sorting of scores reads, the
    /// outputs themselves. Where boxes are suppressed by scores that cannot be followed, a map among the outputs is
    /// something else (mask prototypes).
    ///
    /// # Errors
    /// What was looked at, and a [`Reason`] for each.
    pub(crate) fn find(
        model: &Model,
        labels: &Labels,
        wanted: Option<&str>,
    ) -> Result<Self, Vec<(String, Reason)>> {
        let graph = model.graph();
        if let Some(layer) = first(graph, BoxStage::Region) {
            let place = graph.node(layer).place();
            return Err(vec![("the model".to_owned(), Reason::TwoStage { place })]);
        }
        let mut reasons = Vec::new();
        let mut search = Search { model, labels, reasons: &mut reasons };
        let outputs = tail::outputs(graph, wanted);
        let seeds = tail::seeds(model, &outputs);
        let found = match wanted {
            Some(_) => {
                if let Some(reason) = holds_boxes(model, labels, &outputs) {
                    return Err(vec![reason]);
                }
                search.outputs(&outputs, false).or_else(|| search.seeds(seeds))
            }
            None => {
                let suppressed = seeds.iter().any(Seed::is_suppressed);
                search.seeds(seeds).or_else(|| search.outputs(&outputs, suppressed))
            }
        };
        found.ok_or(reasons)
    }
}

/// Why an output that was asked for holds no scores: it is where the boxes are whose scores another one holds.
fn holds_boxes(model: &Model, labels: &Labels, wanted: &[(String, OutletId)]) -> Option<(String, Reason)> {
    let [(name, _)] = wanted else { return None };
    let found = ScoreMaps::find(model, labels, None).ok()?;
    let boxes = matches!(&found.boxes, Boxes::Beside(boxes) if boxes == name);
    boxes.then(|| (format!("output '{name}'"), Reason::HoldsBoxes { scores: found.explains }))
}

/// Where an output has scores beside boxes, if something was computed of the first four columns.
fn beside_decoded(output: &Followed, classes: &Classes) -> Option<BesideBoxes> {
    let of_box = |segment: &&Segment| segment.at.start < BOX;
    let decoded = output.segments.iter().filter(of_box).all(|segment| !segment.head());
    let objectness = classes.scales.iter().any(|scale| scale.left_to_readers.is_some());
    (decoded && classes.at.start >= BOX).then(|| BesideBoxes {
        output: output.name.clone(),
        columns: output.width(),
        classes: classes.at.clone(),
        objectness: (objectness && classes.at.start > BOX).then(|| classes.at.start - 1),
    })
}

struct Search<'a> {
    model: &'a Model,
    labels: &'a Labels,
    reasons: &'a mut Vec<(String, Reason)>,
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
    fn seeds(&mut self, seeds: Vec<Seed>) -> Option<ScoreMaps> {
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
    ) -> Option<ScoreMaps> {
        match ScoreMaps::new(explains.clone(), scales, boxes, notes) {
            Ok(heads) => Some(heads),
            Err(reason) => {
                self.reasons.push((explains, reason));
                None
            }
        }
    }

    /// The class scores among the outputs; only together with boxes where those are suppressed by scores that were
    /// not found.
    fn outputs(&mut self, outputs: &[(String, OutletId)], suppressed: bool) -> Option<ScoreMaps> {
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
            None if suppressed => Vec::new(),
            None => self.scores_beside_boxes(&found),
        };
        if chosen.is_empty() {
            for output in &found {
                let reason = choose(&output.segments, false).err().unwrap_or(Reason::NotFollowed);
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
        let mut beside_boxes = None;
        for output in chosen {
            match choose(&output.segments, alone) {
                Ok(classes) => {
                    beside_boxes = beside_decoded(output, &classes);
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
        let heads = self.heads(names.join(", "), scales, boxes, notes)?;
        Some(ScoreMaps { beside_boxes, ..heads })
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
