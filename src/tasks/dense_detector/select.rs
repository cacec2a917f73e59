//! Which of the channels that an output is made of are class scores.

use std::collections::BTreeMap;
use std::ops::Range;

use super::map::ChannelMap;
use super::maps::Scale;
use super::trace::Piece;
use crate::refusal::Reason;

/// Coordinates of a box.
pub(super) const BOX: usize = 4;

/// The same channels of every scale.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Which channels of the value that was followed back.
    pub(super) at: Range<usize>,
    pub(super) pieces: Vec<Piece>,
}

impl Segment {
    fn all(&self, holds: impl Fn(&Piece) -> bool) -> bool {
        self.pieces.iter().all(holds)
    }

    /// Whether every scale is a map.
    pub(super) fn maps(&self) -> bool {
        self.all(|piece| piece.map.is_ok())
    }

    /// Whether convolutions made it, on every scale.
    pub(super) fn head(&self) -> bool {
        self.maps() && self.all(|piece| piece.head)
    }

    /// Whether the model makes scores of it: applies an activation, or multiplies it by objectness.
    pub(super) fn activated(&self) -> bool {
        let activated = |piece: &Piece| piece.map.as_ref().is_ok_and(|map| map.activation.is_some());
        self.all(|piece| piece.factor.is_some() || activated(piece))
    }

    /// Number of channels.
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }
}

/// Groups pieces by the channels that they are.
pub(super) fn segments(pieces: Vec<Piece>) -> Vec<Segment> {
    let mut found: BTreeMap<(usize, usize), Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        found.entry((piece.at.start, piece.at.end)).or_default().push(piece);
    }
    found.into_iter().map(|((start, end), pieces)| Segment { at: start..end, pieces }).collect()
}

/// The class scores of a value, scale by scale.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    pub(super) scales: Vec<Scale>,
    /// Which channels of the value that was followed back.
    pub(super) at: Range<usize>,
    pub(super) notes: Vec<String>,
}

/// Chooses among segments.
///
/// Boxes are what is computed from more than one convolution's channels (the grid was added, the exponential
/// taken), or what no activation was applied to where one was to others. Of what is left, the first and what follows
/// without a gap: a single channel before others is objectness, and behind them stands what else is known of a box
/// (visibility of key points). `alone` says that there is no other output that could hold boxes.
pub(super) fn choose(found: &[Segment], alone: bool) -> Result<Classes, Reason> {
    let mut left: Vec<&Segment> = found.iter().filter(|segment| segment.maps()).collect();
    let (mut notes, mut objectness) = (Vec::new(), None);
    if left.is_empty() {
        let reasons = found.iter().rev().flat_map(|segment| &segment.pieces);
        let reason = reasons.filter_map(|piece| piece.map.as_ref().err()).next();
        return Err(reason.cloned().unwrap_or(Reason::NotFollowed));
    }
    narrow(&mut left, Segment::head);
    narrow(&mut left, Segment::activated);
    if left.len() > 1 && left[0].at.start == 0 && left[0].len().is_multiple_of(BOX) {
        left.remove(0);
    }
    let mut end = left.first().map_or(0, |segment| segment.at.start);
    left.retain(|segment| {
        let follows = segment.at.start == end;
        end = if follows { segment.at.end } else { end };
        follows
    });
    if left.len() > 1 {
        let last = left.len() - 1;
        objectness = left[..last].iter().copied().rfind(|segment| segment.len() == 1);
        let mut place = 0;
        left.retain(|segment| {
            place += 1;
            segment.len() > 1 || place > last
        });
        if objectness.is_some() {
            notes.push(BESIDE.to_owned());
        }
    }
    let [chosen] = left[..] else {
        let channels =
            left.iter().map(|segment| format!("channels {}..{}", segment.at.start, segment.at.end)).collect();
        return Err(Reason::SeveralScores { channels });
    };
    behind_boxes(found, chosen)?;
    let mut scales = scales_of(chosen)?;
    let joint =
        |scale: &Scale| scale.scores.channels.start > 0 && scale.scores.channels.end == scale.scores.fields;
    let whole = |scale: &Scale| scale.scores.channels == (0..scale.scores.fields);
    let free = scales.iter().all(|scale| scale.objectness.is_none());
    let skip = if free && chosen.at.start >= BOX && chosen.len() > 1 && scales.iter().all(joint) {
        // One convolution for boxes and scores: objectness stands between them (YOLOv3 to v7).
        1
    } else if free && alone && chosen.at.start == 0 && chosen.len() > BOX + 1 && scales.iter().all(whole) {
        BOX + 1
    } else {
        0
    };
    if skip > 0 {
        for scale in &mut scales {
            scale.scores.channels.start += skip;
            let first = scale.scores.channels.start;
            scale.left_to_readers = Some(ChannelMap { channels: first - 1..first, ..scale.scores.clone() });
        }
        notes.push(BESIDE.to_owned());
    }
    if let Some(objectness) = objectness {
        beside(&mut scales, objectness);
    }
    Ok(Classes { scales, at: chosen.at.start + skip..chosen.at.end, notes })
}

/// Notes objectness that stands beside the scores of each scale, where it has as many.
fn beside(scales: &mut [Scale], objectness: &Segment) {
    let found = scales_of(objectness).unwrap_or_default();
    let fits = |(scale, other): (&Scale, &Scale)| {
        (scale.scores.anchors, scale.scores.grid()) == (other.scores.anchors, other.scores.grid())
    };
    if found.len() == scales.len() && scales.iter().zip(&found).all(fits) {
        for (scale, other) in scales.iter_mut().zip(found) {
            scale.left_to_readers = Some(other.scores);
        }
    }
}

/// Whether a box is all that stands before the class scores, but for objectness.
///
/// Else there is something that could not be followed, which may well be the classes.
fn behind_boxes(found: &[Segment], chosen: &Segment) -> Result<(), Reason> {
    let before: Vec<&Segment> = found.iter().filter(|segment| segment.at.end <= chosen.at.start).collect();
    let objectness = before.last().filter(|segment| segment.len() == 1 && segment.maps());
    let columns = chosen.at.start - objectness.map_or(0, |segment| segment.len());
    // Raw boxes may be distributions over distances.
    let raw = || before[..].iter().all(|segment| segment.head()) && columns.is_multiple_of(BOX);
    if columns <= BOX || raw() {
        return Ok(());
    }
    let lost = before.iter().rev().find(|segment| !segment.head()).or(before.last());
    let layer =
        lost.and_then(|segment| segment.pieces.first()).map_or_else(String::new, |piece| piece.layer.clone());
    let columns = format!("{}..{}", chosen.at.start, chosen.at.end);
    Err(Reason::NotBehindBoxes { columns, before: chosen.at.start, layer })
}

const BESIDE: &str = "the model hands out objectness beside the class scores and does not multiply them: \
                      neither does the map";

/// Keeps what has a property, where anything has.
fn narrow(left: &mut Vec<&Segment>, holds: impl Fn(&Segment) -> bool) {
    if left.iter().any(|segment| holds(segment)) {
        left.retain(|segment| holds(segment));
    }
}

/// The scales of a segment, in the model's order, each once.
pub(super) fn scales_of(segment: &Segment) -> Result<Vec<Scale>, Reason> {
    let mut scales: Vec<Scale> = Vec::new();
    for piece in &segment.pieces {
        let map = |piece: &Piece| -> Result<ChannelMap, Reason> { piece.map.clone() };
        let scores = map(piece)?;
        let objectness = piece.factor.as_deref().map(map).transpose()?;
        if let Some(other) = &objectness
            && (other.anchors != scores.anchors
                || other.grid() != scores.grid()
                || other.channels.len() != 1
                || scores.anchor_axes() > 1
                || other.anchor_axes() > 1)
        {
            return Err(Reason::FactorsDoNotFit { layer: format!("channels {:?}", segment.at) });
        }
        let scale = Scale { scores, objectness, left_to_readers: None };
        if !scales.contains(&scale) {
            scales.push(scale);
        }
    }
    Ok(scales)
}

/// An output with the channels that it is made of.
pub(super) struct Followed {
    pub(super) name: String,
    pub(super) segments: Vec<Segment>,
}

impl Followed {
    /// Number of channels.
    pub(super) fn width(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// The channels, where they are of one kind.
    pub(super) fn only(&self) -> Option<&Segment> {
        let [only] = &self.segments[..] else { return None };
        Some(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Atom, Axes, Axis, Role};
    use crate::graph::{NodeId, OutletId};
    use crate::ir::Dim;
    use crate::ops::Activation;

    /// Channels `at` of an output, which are `channels` of a map of so many fields.
    fn piece(
        at: Range<usize>,
        channels: Range<usize>,
        fields: usize,
        activation: Option<Activation>,
    ) -> Piece {
        let axis = |role, size| Axis { prefix: 0, atoms: vec![Atom::new(role, Dim::Fixed(size))] };
        let axes = [(Role::Batch, 1), (Role::Class, fields), (Role::Height, 4), (Role::Width, 6)];
        let map = ChannelMap {
            outlet: OutletId::new(NodeId(at.start), 0),
            axes: Axes(axes.map(|(role, size)| axis(role, size)).to_vec()),
            anchors: 1,
            fields,
            channels,
            activation,
        };
        Piece { at, layer: "scores".to_owned(), map: Ok(map), head: true, factor: None }
    }

    fn chosen(pieces: Vec<Piece>, alone: bool) -> Result<(Range<usize>, bool), Reason> {
        let classes = choose(&segments(pieces), alone)?;
        Ok((classes.scales[0].scores.channels.clone(), !classes.notes.is_empty()))
    }

    const SIGMOID: Option<Activation> = Some(Activation::Sigmoid);

    fn decoded(at: Range<usize>) -> Piece {
        Piece { map: Err(Reason::Constant), head: false, ..piece(at, 0..1, 1, None) }
    }

    #[test]
    fn one_channel_before_the_classes_is_objectness() {
        let boxes = piece(0..4, 0..4, 4, None);
        let yolox = vec![boxes, piece(4..5, 0..1, 1, SIGMOID), piece(5..85, 0..80, 80, SIGMOID)];
        assert_eq!(chosen(yolox, true), Ok((0..80, true)));
        // A single class is the last of two.
        let single = vec![decoded(0..4), piece(4..5, 0..1, 1, SIGMOID), piece(5..6, 0..1, 1, SIGMOID)];
        let classes = choose(&segments(single), true).unwrap();
        assert_eq!(classes.scales[0].scores.outlet, OutletId::new(NodeId(5), 0));
    }

    #[test]
    fn what_else_is_known_of_a_box_is_no_class() {
        // One class, and three key points with their visibility.
        let seen = |at: usize| piece(at..at + 1, at - 5..at - 4, 9, SIGMOID);
        let pose = vec![
            decoded(0..4),
            piece(4..5, 0..1, 1, SIGMOID),
            decoded(5..7),
            seen(7),
            decoded(8..10),
            seen(10),
        ];
        let classes = choose(&segments(pose), true).unwrap();
        assert_eq!(classes.scales[0].scores.outlet, OutletId::new(NodeId(4), 0));
        // Mask coefficients behind classes that cannot be followed.
        let masks = vec![decoded(0..4), decoded(4..9), piece(9..15, 0..6, 6, None)];
        let refused = chosen(masks, true).unwrap_err();
        assert!(matches!(refused, Reason::NotBehindBoxes { before: 9, .. }), "{refused:?}");
    }

    #[test]
    fn one_convolution_for_all_has_objectness_between_boxes_and_classes() {
        let yolov5 = vec![decoded(0..4), piece(4..85, 4..85, 85, SIGMOID)];
        assert_eq!(chosen(yolov5, true), Ok((5..85, true)));
        // With convolutions of their own all channels are classes.
        let yolov8 = vec![decoded(0..4), piece(4..84, 0..80, 80, SIGMOID)];
        assert_eq!(chosen(yolov8, true), Ok((0..80, false)));
        // Nothing decoded, nothing beside: boxes are in there.
        assert_eq!(chosen(vec![piece(0..85, 0..85, 85, None)], true), Ok((5..85, true)));
        assert_eq!(chosen(vec![piece(0..85, 0..85, 85, None)], false), Ok((0..85, false)));
    }

    #[test]
    fn without_activations_a_multiple_of_four_comes_first_as_boxes() {
        let raw = || vec![piece(0..64, 0..64, 64, None), piece(64..84, 0..20, 20, None)];
        assert_eq!(chosen(raw(), true), Ok((0..20, false)));
        let three = vec![piece(0..3, 0..3, 3, None), piece(3..5, 0..2, 2, None), piece(5..9, 0..4, 4, None)];
        assert!(matches!(chosen(three, true), Err(Reason::SeveralScores { .. })));
    }

    #[test]
    fn what_was_never_a_map_says_why() {
        assert_eq!(chosen(vec![decoded(0..4)], true), Err(Reason::Constant));
    }
}
