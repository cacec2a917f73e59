//! Heads that the user names layer by layer.

use super::head;
use super::map::ChannelMap;
use super::maps::{Boxes, Scale, ScoreMaps};
use crate::analysis::{Atom, Axes, Axis, Labels, Role, unknown_layer};
use crate::error::{Error, Result};
use crate::graph::{Graph, OpKind, OutletId};
use crate::ir::Dim;
use crate::message::{Setting, message};
use crate::model::Model;
use crate::refusal::Reason;

/// The maps of named layers, taken as class scores as they are.
///
/// Where `found` heads come from one of them, with nothing but a bias since, its anchors and class channels are
/// those of the head; elsewhere `anchors` says how many there are, 1 without it, and all channels are classes.
///
/// # Errors
/// [`Error::Usage`] where a layer is not there or the numbers do not fit; the inner error where it is no map.
pub(super) fn named(
    model: &Model,
    labels: &Labels,
    layers: &[String],
    anchors: Option<&[usize]>,
    found: Option<&ScoreMaps>,
) -> Result<std::result::Result<ScoreMaps, (String, Reason)>> {
    let graph = model.graph();
    if let Some(anchors) = anchors
        && anchors.len() != layers.len()
    {
        let counts = format!(" has {} entries for {} target layers", anchors.len(), layers.len());
        return Err(Error::usage(message![Setting::Anchors, counts]));
    }
    let mut scales = Vec::with_capacity(layers.len());
    for (i, layer) in layers.iter().enumerate() {
        let outlet = graph.find(layer).ok_or_else(|| unknown_layer(graph, layer))?;
        let of_head = || found?.scales.iter().find(|scale| comes_from(graph, scale.scores.outlet, outlet));
        let count = anchors.and_then(|anchors| anchors.get(i).copied());
        let map = match (count, of_head()) {
            (None, Some(scale)) => Ok(ChannelMap { outlet, activation: None, ..scale.scores.clone() }),
            (count, _) => match whole(graph, labels, outlet, count.unwrap_or(1)) {
                Err(None) => {
                    let why = format!(
                        ": '{layer}' {} has no channels for {} anchors",
                        graph.fact(outlet),
                        count.unwrap_or(1)
                    );
                    return Err(Error::usage(message![Setting::Anchors, why]));
                }
                Err(Some(reason)) => Err(reason),
                Ok(map) => Ok(map),
            },
        };
        match map {
            Ok(scores) => scales.push(Scale { scores, objectness: None, left_to_readers: None }),
            Err(reason) => return Ok(Err((format!("target '{layer}'"), reason))),
        }
    }
    let explains = found.map_or_else(|| "the named layers".to_owned(), |found| found.explains.clone());
    let heads = ScoreMaps::new(explains, scales, Boxes::Unknown, Vec::new());
    Ok(heads.map_err(|reason| ("the target layers".to_owned(), reason)))
}

/// Whether a map is `outlet`, perhaps with constants for each channel added since.
fn comes_from(graph: &Graph, map: OutletId, outlet: OutletId) -> bool {
    let mut at = map;
    while at != outlet {
        let node = graph.node(at.node);
        let data = node.inputs.iter().find(|input| !head::constant(graph, **input));
        match (&node.op.kind, data) {
            (
                OpKind::Add | OpKind::Subtract | OpKind::Multiply | OpKind::FakeQuantize | OpKind::Convert,
                Some(data),
            ) if head::reads(graph, at).is_some() => {
                at = *data;
            }
            _ => return false,
        }
    }
    true
}

/// A map all of whose channels are classes; `Err(None)` where the anchors do not divide them.
fn whole(
    graph: &Graph,
    labels: &Labels,
    outlet: OutletId,
    anchors: usize,
) -> std::result::Result<ChannelMap, Option<Reason>> {
    let fact = graph.fact(outlet);
    let never_a_map = || Reason::NeverAMap { layer: graph.label(outlet), fact: fact.to_string() };
    let known = labels.get(outlet).ok_or_else(never_a_map)?;
    let mut axes = known.clone();
    // Of a grid of one position the labels know nothing; its channels come second, as convolutions have them.
    let channels = match known.0.iter().any(Axis::positional) {
        true => (0..fact.rank()).find(|axis| known.0[*axis].is(Role::Other)),
        false => Some(1),
    };
    let channels = channels.filter(|axis| *axis < fact.rank()).ok_or_else(never_a_map)?;
    let Dim::Fixed(count) = fact.shape[channels] else {
        return Err(Some(Reason::UnknownClasses { layer: graph.label(outlet), fact: fact.to_string() }));
    };
    if anchors == 0 || count == 0 || !count.is_multiple_of(anchors) {
        return Err(None);
    }
    let fields = count / anchors;
    let atom = |role, size| Atom::new(role, Dim::Fixed(size));
    axes.0[channels] = Axis { prefix: 0, atoms: vec![atom(Role::Other, anchors), atom(Role::Class, fields)] };
    Ok(ChannelMap::new(graph, labels, outlet, &Axes(axes.0), 0..fields)?)
}
