//! Detectors: class maps of the heads that are found or named.

use crate::analysis::{ChannelMap, Decision, DetectorHeads, Labels, Reason, Refusal, named, unknown_output};
use crate::error::{Error, Result};
use crate::insert::{FEATURE_VECTOR, Insertion, Options, Outcome, check_classes};
use crate::ir::Dim;
use crate::message::{Message, Setting, message};
use crate::methods::{ClassMaps, Method, class_maps, feature_vector_of_heads};
use crate::model::Model;
use crate::patch::{Finished, Patch};
use crate::report::{AddedReport, HeadReport, LoweringReport, OutputReport, Report, TensorReport};

/// Adds the maps of a detector's classes to a model, in memory.
///
/// # Errors
/// As [`crate::insert()`].
pub(crate) fn insert<'m>(
    model: &'m Model,
    options: &Options,
    labels: &Labels,
    decision: &Decision,
    mut notes: Vec<Message>,
) -> Result<Outcome<'m>> {
    let (height, width) = options.saliency_size;
    if height == 0 || width == 0 {
        return Err(Error::usage(format!("a saliency map of {height}x{width} has no positions")));
    }
    let heads = heads(model, options, labels)?;
    check_classes(&options.classes, Dim::Fixed(heads.classes))?;
    let mut patch = Patch::new(model);
    let wish = ClassMaps {
        heads: &heads,
        size: options.saliency_size,
        classes: &options.classes,
        encoding: options.encoding(),
    };
    let mut outputs = vec![(options.output_name.clone(), class_maps(&mut patch, &wish))];
    if options.feature_vector {
        let vector = feature_vector_of_heads(&mut patch, &heads, FEATURE_VECTOR).ok_or_else(|| {
            let layer = heads.scales.first().map(|scale| model.graph().label(scale.scores.outlet));
            let reason = Reason::NoFeatures { layer: layer.unwrap_or_default() };
            refusal("feature vector", vec![(heads.explains.clone(), reason)])
        })?;
        outputs.push((FEATURE_VECTOR.to_owned(), vector));
    }
    let patch = patch.finish(&outputs)?;
    notes.extend(heads.notes.iter().map(|note| note.as_str().into()));
    if heads.classes == 1 {
        let note =
            "a single class: its map is the sigmoid of the scores, as a softmax over one class is constant";
        notes.push(note.into());
    }
    let report = report(model, options, decision, &heads, &patch, notes);
    let record = record(model, options, &heads, &report.targets);
    Ok(Outcome::Inserted(Box::new(Insertion::new(model, patch, report, record))))
}

/// The heads that are named, or those that are found.
pub(crate) fn heads(model: &Model, options: &Options, labels: &Labels) -> Result<DetectorHeads> {
    let title = Method::ClassProbabilityMap.title();
    if let Some(wanted) = &options.output
        && model.graph().output(wanted).is_none()
    {
        return Err(unknown_output(model.graph(), wanted));
    }
    let found = DetectorHeads::find(model, labels, options.output.as_deref());
    if options.target_layers.is_empty() {
        if options.anchors.is_some() {
            return Err(Error::usage(message![
                Setting::Anchors,
                " goes with ",
                Setting::TargetLayers,
                ", one number for each"
            ]));
        }
        return found.map_err(|reasons| refusal(title, reasons));
    }
    let (layers, anchors) = (&options.target_layers, options.anchors.as_deref());
    named(model, labels, layers, anchors, found.as_ref().ok())?.map_err(|reason| refusal(title, vec![reason]))
}

fn refusal(wanted: &str, reasons: Vec<(String, Reason)>) -> Error {
    Error::Refused(Box::new(Refusal { wanted: wanted.to_owned(), reasons }))
}

fn report(
    model: &Model,
    options: &Options,
    decision: &Decision,
    heads: &DetectorHeads,
    patch: &Finished,
    notes: Vec<Message>,
) -> Report {
    Report {
        task: decision.into(),
        method: Method::ClassProbabilityMap,
        mask: None,
        explains: heads.explains.clone(),
        logits: None,
        target: None,
        heads: heads.scales.iter().map(|scale| HeadReport::new(model.graph(), scale)).collect(),
        masks: None,
        classes: Some(heads.classes),
        targets: options.targets(),
        lowering: LoweringReport {
            requested: options.strategy,
            form: None,
            dense_bytes: None,
            steps: Vec::new(),
        },
        scaling: options.scaling,
        saliency_type: options.saliency_type,
        outputs: patch
            .outputs
            .iter()
            .map(|(name, _, fact)| OutputReport { name: name.clone(), tensor: TensorReport::new(fact) })
            .collect(),
        added: AddedReport { layers: patch.nodes.len(), xml_bytes: 0, bin_bytes: 0 },
        notes,
    }
}

/// What is recorded in the model itself: all that the definition needs.
fn record(model: &Model, options: &Options, heads: &DetectorHeads, targets: &str) -> Vec<(String, String)> {
    let mut record = options.record(Method::ClassProbabilityMap, targets);
    let mut add = |name: String, value: String| record.push((name, value));
    add("saliency_size".to_owned(), format!("{}x{}", options.saliency_size.0, options.saliency_size.1));
    for (i, scale) in heads.scales.iter().enumerate() {
        let mut channels = |name: String, map: &ChannelMap| {
            add(format!("{name}_slot"), map.outlet.slot.to_string());
            add(format!("{name}_layout"), map.to_string());
            add(format!("{name}_fields"), format!("{}..{}", map.channels.start, map.channels.end));
            let grid = map.grid().map(|dim| dim.to_string());
            add(format!("{name}_grid"), grid.join("x"));
            if let Some(activation) = map.activation.filter(|_| scale.objectness.is_some()) {
                add(format!("{name}_activation"), activation.name().to_owned());
            }
            add(name, model.node(map.outlet.node).name.clone());
        };
        channels(format!("scale_{}", i + 1), &scale.scores);
        if let Some(objectness) = &scale.objectness {
            channels(format!("objectness_{}", i + 1), objectness);
        }
    }
    if options.feature_vector {
        for (i, features) in heads.features(model.graph()).into_iter().flatten().enumerate() {
            add(format!("features_{}", i + 1), model.node(features.node).name.clone());
            add(format!("features_{}_slot", i + 1), features.slot.to_string());
        }
        add("feature_vector".to_owned(), FEATURE_VECTOR.to_owned());
    }
    record
}
