//! Detectors: what is found in each fixture, the options that are theirs, and on OpenVINO that every map is that of
//! the definition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{each, fixtures, root, runtime, small};
use insta::{Settings, assert_snapshot};
use xai_insert::verify::{Outcome as Verdict, VerifyOptions, verify};
use xai_insert::{
    Classes, Destination, Error, Insertion, Model, Options, Outcome, SaliencyType, Task, insert,
};

/// Fixtures that are detectors, but for those that have to be refused.
fn detectors() -> impl Iterator<Item = (String, String)> {
    let refused = |name: &str| ["det_detr", "det_two_stage"].contains(&name);
    fixtures().into_iter().filter(move |(name, _)| name.starts_with("det_") && !refused(name))
}

fn inserted<'m>(model: &'m Model, options: &Options) -> Box<Insertion<'m>> {
    match insert(model, options) {
        Ok(Outcome::Inserted(insertion)) => insertion,
        other => panic!("{other:?}"),
    }
}

/// Scales, anchors, channels and objectness of every fixture, and why it is taken for a detector.
#[test]
fn what_is_found() {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        each(detectors(), |name, path| {
            let model = Model::read(&root().join(path), None).unwrap();
            let text = inserted(&model, &Options::default()).report().to_string();
            let found: Vec<&str> = text.lines().filter(|line| !line.starts_with("added")).collect();
            assert_snapshot!(format!("found_{name}"), found.join("\n"));
        });
    });
}

/// A classifier stays one, and says why.
#[test]
fn classifiers_are_no_detectors() {
    for name in ["cnn_static", "cnn_two_outputs", "two_classifiers", "vit_cls", "crossvit_token"] {
        let model = Model::read(&small(name), None).unwrap();
        let insertion = inserted(&model, &Options::default());
        let task = &insertion.report().task;
        assert_eq!(task.name, Task::Classification, "{name}");
        assert!(task.why.to_string().contains("lists scores of"), "{name}: {}", task.why);
    }
}

fn agree(options: impl Fn(usize) -> Options) {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (name, path) in detectors() {
        let model = Model::read(&root().join(path), None).unwrap();
        let classes = inserted(&model, &Options::default()).report().classes.unwrap();
        verified(&inserted(&model, &options(classes)), &model, &folder.path().join(format!("{name}.xml")));
        count += 1;
    }
    assert!(count >= 15, "fixtures are missing");
    common::shapes_agree(folder.path());
}

fn verified(insertion: &Insertion<'_>, model: &Model, out: &Path) {
    let [original, _] = model.files();
    insertion.write(&Destination::new(out, &[original], false).unwrap()).unwrap();
    let report = verify(original, out, &VerifyOptions::default()).unwrap();
    assert_eq!(report.outcome, Verdict::Passed, "{}\n{report}\n{}", out.display(), insertion.report());
}

const FLOAT: SaliencyType = SaliencyType::F32;

#[test]
fn another_size_with_feature_vector() {
    // 8x12 is the grid of the first scale: nothing is resized there.
    agree(|_| Options { saliency_size: (8, 12), feature_vector: true, ..Options::default() });
}

#[test]
fn best_classes_unscaled() {
    agree(|classes| Options {
        classes: Classes::Top(classes.min(2)),
        scaling: false,
        saliency_type: FLOAT,
        ..Options::default()
    });
}

#[test]
fn listed_classes() {
    let listed = |classes: usize| if classes > 3 { vec![3, 1] } else { vec![0] };
    agree(|classes| Options {
        classes: Classes::Listed(listed(classes)),
        saliency_size: (5, 31),
        ..Options::default()
    });
}

/// An output goes by the name of its tensor, of the layer that makes it, and of its Result.
#[test]
fn an_output_has_three_names() {
    let names = [
        ("det_yolox", ["detections", "aten::permute/Transpose", "Result_727"]),
        ("cnn_softmax", ["logits", "__module.activation/aten::softmax/Softmax", "Result_217"]),
    ];
    for (name, [tensor, layer, result]) in names {
        let model = Model::read(&small(name), None).unwrap();
        let explained = |output: &str| {
            let options = Options { output: Some(output.to_owned()), ..Options::default() };
            inserted(&model, &options).report().subject.explains().to_owned()
        };
        assert_eq!(explained(tensor), tensor);
        assert_eq!(explained(layer), tensor, "{name}: the layer '{layer}'");
        assert_eq!(explained(result), tensor, "{name}: the Result '{result}'");
    }
}

/// Probabilities are not what is explained, also where a Clamp to 0..1 stands behind the Softmax.
#[test]
fn bounded_probabilities_lead_to_their_logits() {
    let added = |name: &str| {
        let model = Model::read(&small(name), None).unwrap();
        let text = inserted(&model, &Options::default()).dump().text();
        // The converter numbers constants, and there are more of them with a Clamp.
        let parts =
            text.split("\"Constant_").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        parts.collect::<Vec<_>>().join("\"Constant_")
    };
    assert_eq!(added("cnn_softmax_clamp"), added("cnn_softmax"));
}

/// Named layers are class maps as they are: what the head found for them is used, or the anchors that are given.
#[test]
fn named_layers() {
    let layers = |insertion: &Insertion<'_>| -> Vec<String> {
        insertion.report().subject.heads().iter().map(|head| head.scores.layer.clone()).collect()
    };
    let model = Model::read(&small("det_ssd"), None).unwrap();
    let found = inserted(&model, &Options::default());
    let target_layers = layers(&found);
    let named = inserted(&model, &Options { target_layers: target_layers.clone(), ..Options::default() });
    assert_eq!(named.dump().text(), found.dump().text());
    let anchors = Some(vec![3, 6, 6]);
    let counted =
        inserted(&model, &Options { target_layers: target_layers.clone(), anchors, ..Options::default() });
    assert_eq!(counted.dump().text(), found.dump().text());
    // The convolutions themselves, before their biases.
    let before: Vec<String> =
        target_layers.iter().map(|layer| layer.replace("/Add", "/Convolution")).collect();
    let unbiased = inserted(&model, &Options { target_layers: before, ..Options::default() });
    assert_eq!(unbiased.report().subject.heads()[1].scores.anchors, 6);
    // One convolution for everything: its head says which fields are classes.
    let model = Model::read(&small("det_yolov5"), None).unwrap();
    let target_layers = layers(&inserted(&model, &Options::default()));
    let named = inserted(&model, &Options { target_layers, ..Options::default() });
    assert_eq!(named.report().subject.heads()[0].scores.channels, [5, 10]);
    // Objectness is no part of what was named.
    let model = Model::read(&small("det_fcos"), None).unwrap();
    let found = inserted(&model, &Options::default());
    assert!(found.report().subject.heads()[0].objectness.is_some());
    let named = inserted(&model, &Options { target_layers: layers(&found), ..Options::default() });
    assert!(named.report().subject.heads()[0].objectness.is_none());
}

/// With one scale of the size asked for there is no resampling: the maps are the softmax of the best anchors.
#[test]
fn a_detector_of_one_scale_needs_no_resampling() {
    let model = Model::read(&small("det_centernet"), None).unwrap();
    let text =
        inserted(&model, &Options { saliency_size: (8, 12), ..Options::default() }).dump().text().to_string();
    assert!(text.contains("SoftMax") && !text.contains("Interpolate"), "{text}");
}

/// What `tests/cases` cannot show: what the command line does not let through, and the library's own words.
#[test]
fn options_that_contradict_each_other() {
    let classifier = Some(Task::Classification);
    let cases = [
        ("det_ssd", "no positions", Options { saliency_size: (0, 23), ..Options::default() }),
        (
            "det_ssd",
            "goes with the `target_layers` of a detector",
            Options { anchors: Some(vec![3]), ..Options::default() },
        ),
        (
            "cnn_static",
            "`anchors` is for detectors",
            Options { task: classifier, anchors: Some(vec![1]), ..Options::default() },
        ),
    ];
    for (name, wanted, options) in cases {
        let model = Model::read(&small(name), None).unwrap();
        let error = insert(&model, &options).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{wanted}: {error}");
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
}
