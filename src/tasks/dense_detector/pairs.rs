//! Raw maps as outputs: for each scale one of scores and one of boxes, before anything is rearranged.

use super::map::ChannelMap;
use super::maps::Scale;
use super::select::{Followed, Segment};
use crate::analysis::{Atom, Axis, Role};
use crate::ir::Dim;
use crate::refusal::Reason;

/// Coordinates of a box.
const BOX: usize = 4;

/// Raw maps told apart.
pub(super) struct Pairs {
    pub(super) scales: Vec<Scale>,
    /// The outputs of the scores.
    pub(super) scores: String,
    /// The first output of boxes.
    pub(super) boxes: String,
}

/// Tells scores from boxes among raw maps. Boxes have four channels for each anchor, so
/// their number tells that of the anchors.
///
/// `None` where outputs are no such maps of two scales or more.
pub(super) fn pairs(found: &[Followed]) -> Option<Result<Pairs, Reason>> {
    // By grid, in the order of the outputs.
    let mut scales: Vec<(&ChannelMap, Vec<(&Followed, &ChannelMap)>)> = Vec::new();
    for output in found {
        let [segment] = &output.segments[..] else { return None };
        let map = raw(segment)?;
        match scales.iter_mut().find(|(first, _)| first.grid() == map.grid()) {
            Some((_, maps)) => maps.push((output, map)),
            None => scales.push((map, vec![(output, map)])),
        }
    }
    let count = scales.first()?.1.len();
    let known = scales.iter().all(|(map, _)| map.grid().iter().all(|side| *side != Dim::Dynamic));
    if scales.len() < 2 || count < 2 || !known || scales.iter().any(|(_, maps)| maps.len() != count) {
        return None;
    }
    let mut fitting: Vec<(usize, usize, usize)> = Vec::new();
    for (boxes, scores) in (0..count).flat_map(|boxes| (0..count).map(move |scores| (boxes, scores))) {
        let classes = |maps: &[(&Followed, &ChannelMap)]| {
            let (coordinates, channels) = (maps[boxes].1.fields, maps[scores].1.fields);
            let anchors = coordinates.is_multiple_of(BOX).then_some(coordinates / BOX)?;
            channels.is_multiple_of(anchors).then(|| channels / anchors)
        };
        let mut all: Vec<Option<usize>> = scales.iter().map(|(_, maps)| classes(maps)).collect();
        all.dedup();
        if let (true, [Some(classes)]) = (boxes != scores, &all[..]) {
            fitting.push((*classes, scores, boxes));
        }
    }
    let activated = |scores: usize| scales[0].1[scores].1.activation.is_some();
    if fitting.iter().any(|(_, scores, _)| activated(*scores)) {
        fitting.retain(|(_, scores, _)| activated(*scores));
    }
    // Beside the same boxes, the fewer channels are centerness.
    let &(classes, scores, boxes) = fitting.iter().max()?;
    if fitting.iter().any(|(_, _, other)| *other != boxes) {
        let channels = fitting.iter().map(|(_, scores, _)| scales[0].1[*scores].0.name.clone()).collect();
        return Some(Err(Reason::SeveralScores { channels }));
    }
    let scale = |maps: &[(&Followed, &ChannelMap)]| {
        let mut map = maps[scores].1.clone();
        (map.anchors, map.fields, map.channels) = (map.fields / classes, classes, 0..classes);
        let atom = |role, size| Atom::new(role, Dim::Fixed(size));
        let atoms = vec![atom(Role::Other, map.anchors), atom(Role::Class, classes)];
        for axis in map.axes.0.iter_mut().filter(|axis| axis.has(Role::Class)) {
            *axis = Axis { prefix: 0, atoms: atoms.clone() };
        }
        Scale { scores: map, objectness: None, left_to_readers: None }
    };
    let names: Vec<&str> = scales.iter().map(|(_, maps)| maps[scores].0.name.as_str()).collect();
    let boxes = scales[0].1[boxes].0.name.clone();
    let scales = scales.iter().map(|(_, maps)| scale(maps)).collect();
    Some(Ok(Pairs { scales, scores: names.join(", "), boxes }))
}

/// A whole map whose channels are not told apart yet.
fn raw(segment: &Segment) -> Option<&ChannelMap> {
    let [piece] = &segment.pieces[..] else { return None };
    let map = piece.map.as_ref().ok().filter(|_| piece.factor.is_none())?;
    (map.anchors == 1 && map.fields > 0 && map.channels == (0..map.fields)).then_some(map)
}
