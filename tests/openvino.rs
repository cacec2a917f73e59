//! Branches on OpenVINO: every map equals that of the definition, in both lowerings, for every fixture and every
//! option that changes numbers; and what added layers declare is what OpenVINO infers.
//!
//! `scripts/test` installs the runtime and lets these tests fail without it. By themselves they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{each, fixtures, outcome, python, root, runtime, shapes_agree, small};
use xai_insert::verify::{Outcome as Verdict, VerifyOptions, verify};
use xai_insert::{
    Classes, Destination, Error, Insertion, Kernel, Listed, Method, Model, Options, Outcome, SaliencyType,
    Strategy, insert,
};

/// Fixtures with an operation that OpenVINO does not know.
const DO_NOT_LOAD: [&str; 2] = ["unknown_op", "unknown_op_head"];

/// One fixture of each kind of head, for options that act behind the head.
const KINDS: [&str; 13] = [
    "attention_pool",
    "cnn_batch4",
    "cnn_conv_classifier",
    "cnn_dynamic_hw",
    "cnn_int8",
    "cnn_one_class",
    "cnn_two_outputs",
    "gap_vit_dynamic",
    "max_avg_head",
    "nhwc_head_dynamic",
    "swin_tiny_like",
    "two_classifiers",
    "vgg_flatten",
];

const BOTH: [Strategy; 2] = [Strategy::Auto, Strategy::Dense];

/// Inserts into fixtures, in lowerings, with options that may depend on the number of classes; verifies
/// each, and compares declared with inferred shapes. `least` of them must accept the options.
fn agree(
    wanted: impl Fn(&str) -> bool,
    lowerings: &[Strategy],
    least: usize,
    options: impl Fn(usize) -> Options,
) {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let accepted = std::cell::Cell::new(0);
    // Detectors have no head to lower; tests/detectors.rs is theirs.
    let wanted = |name: &str| wanted(name) && !DO_NOT_LOAD.contains(&name) && !name.starts_with("det_");
    each(fixtures().into_iter().filter(|(name, _)| wanted(name)), |name, path| {
        let model = Model::read(&root().join(path), None).unwrap();
        let classes = match insert(&model, &Options::default()) {
            Ok(Outcome::Inserted(insertion)) => insertion.report().classes.unwrap_or(1),
            _ => 1,
        };
        for &strategy in lowerings {
            let options = Options { strategy, ..options(classes) };
            let insertion = match insert(&model, &options) {
                Ok(Outcome::Inserted(insertion)) => insertion,
                Err(Error::Refused(_)) => continue,
                other => panic!("{other:?}"),
            };
            verified(&insertion, &model, &folder.path().join(format!("{name}_{strategy:?}.xml")));
            accepted.set(accepted.get() + 1);
        }
    });
    let accepted = accepted.get();
    assert!(accepted >= lowerings.len() * least, "only {accepted} insertions were possible");
    shapes_agree(folder.path());
}

fn every_fixture_agrees(options: impl Fn(usize) -> Options) {
    agree(|_| true, &BOTH, 38, options);
}

fn every_kind_agrees(options: impl Fn(usize) -> Options) {
    agree(|name| KINDS.contains(&name), &BOTH, KINDS.len(), options);
}

const BEHIND_CONTROL_FLOW: [&str; 3] = ["with_if", "with_loop", "with_tensor_iterator"];

fn verified(insertion: &Insertion<'_>, model: &Model, out: &Path) {
    let [original, _] = model.files();
    insertion.write(&Destination::new(out, &[original], false).unwrap()).unwrap();
    let report = verify(original, out, &VerifyOptions::default()).unwrap();
    let name = out.file_stem().unwrap().to_str().unwrap();
    let shown = || format!("{name}\n{report}\n{}", insertion.report());
    // Where control flow stands between the input and the map, nothing is known of places.
    if BEHIND_CONTROL_FLOW.iter().any(|model| name.starts_with(model)) {
        assert_eq!(
            (report.outcome, report.place.outcome),
            (Verdict::NotChecked, Verdict::NotChecked),
            "{}",
            shown()
        );
        assert_eq!(report.saliency.outcome, Verdict::Passed, "{}", shown());
        return;
    }
    assert_eq!(report.outcome, Verdict::Passed, "{}", shown());
}

fn listed(classes: usize) -> Classes {
    // Not in order, so that an order by chance is noticed.
    Classes::Listed(if classes > 3 { vec![3, 1] } else { vec![0] })
}

const FLOAT: SaliencyType = SaliencyType::F32;

#[test]
fn default_options() {
    every_fixture_agrees(|_| Options::default());
}

#[test]
fn scores_as_they_are() {
    let options = |_| Options { scaling: false, saliency_type: FLOAT, ..Options::default() };
    agree(|_| true, &[Strategy::Auto], 38, options);
    // Without a base there is nothing to add to literal copies, and they take longest.
    agree(|name| KINDS.contains(&name), &[Strategy::Dense], KINDS.len(), options);
}

#[test]
fn scaled_to_float() {
    every_kind_agrees(|_| Options { saliency_type: FLOAT, ..Options::default() });
}

#[test]
fn best_classes() {
    every_kind_agrees(|classes| Options {
        classes: Classes::Top(classes.clamp(1, 3)),
        scaling: false,
        saliency_type: FLOAT,
        ..Options::default()
    });
}

#[test]
fn listed_classes() {
    every_kind_agrees(|classes| Options { classes: listed(classes), ..Options::default() });
}

#[test]
fn activation_map_and_feature_vector() {
    every_kind_agrees(|_| Options {
        method: Some(Method::ActivationMap),
        feature_vector: true,
        ..Options::default()
    });
}

#[test]
fn feature_vector_beside_listed_classes() {
    every_kind_agrees(|classes| Options {
        classes: listed(classes),
        feature_vector: true,
        scaling: false,
        saliency_type: FLOAT,
        ..Options::default()
    });
}

/// Transformers whose tokens are all read behind the masks: of those that the masks blank one is evaluated.
#[test]
fn distinct_tokens() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["gap_vit", "gap_vit_dynamic", "token_and_mean", "vit_mean_of_all", "vit_qk_norm"];
    let more = [
        "attention_pool_dynamic",
        "token_batch2",
        "token_folded_heads",
        "token_onnx11_dynamic",
        "vit_res_post_norm",
    ];
    for name in names.into_iter().chain(more) {
        let model = Model::read(&small(name), None).unwrap();
        // With one block and a single position, gap_vit has as many distinct tokens as heads.
        let cases = [(1, Kernel::Single, true), (2, Kernel::Gaussian, true), (2, Kernel::Gaussian, false)];
        for (block, kernel, class_token) in cases {
            let options = Options {
                method: Some(Method::VitReciproCam),
                block,
                kernel,
                class_token,
                scaling: false,
                saliency_type: FLOAT,
                ..Options::default()
            };
            let Outcome::Inserted(insertion) = insert(&model, &options).unwrap() else { panic!("{name}") };
            let distinct = insertion.report().lowering.form.map(|form| form.name()) == Some("Distinct");
            assert!(distinct || block == 1, "{name}");
            let out = format!("{name}_{block}_{}_{class_token}.xml", kernel.name());
            verified(&insertion, &model, &folder.path().join(out));
        }
    }
    shapes_agree(folder.path());
}

/// Class tokens that are blanked as well: what is computed with them is another value than in the original.
#[test]
fn blanked_class_tokens() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["eva_token", "token_folded_heads", "token_scale_query", "token_onnx11_dynamic", "vit_qk_norm"];
    for name in names {
        let model = Model::read(&small(name), None).unwrap();
        for kernel in [Kernel::Gaussian, Kernel::Single] {
            let options = Options { kernel, class_token: false, ..Options::default() };
            let Outcome::Inserted(insertion) = insert(&model, &options).unwrap() else { panic!("{name}") };
            let out = format!("{name}_{}.xml", kernel.name());
            verified(&insertion, &model, &folder.path().join(out));
        }
    }
    shapes_agree(folder.path());
}

/// Other targets than the one that is found, farther up: more of the model is the head then.
///
/// Of quantized models all, as what is left out of the head is left out of copies too.
#[test]
fn any_target_layer() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["cnn_static", "cnn_batch4", "nhwc_head_dynamic", "poolformer", "swin_tiny_like", "token_int8"];
    let mut accepted = 0;
    for name in names {
        let model = Model::read(&small(name), None).unwrap();
        let base = Options { scaling: false, saliency_type: FLOAT, ..Options::default() };
        let Listed::Targets(candidates) = xai_insert::list_targets(&model, &base).unwrap() else {
            panic!("{name} is taken for a detector");
        };
        let fitting = candidates.iter().filter(|candidate| candidate.layout.is_some());
        let all = name.ends_with("int8");
        for (i, candidate) in fitting.enumerate().filter(|(i, _)| all || i % 3 == 1) {
            let options = Options { target_layers: vec![candidate.layer.clone()], ..base.clone() };
            match insert(&model, &options) {
                // The definition runs the head once for each mask.
                Ok(Outcome::Inserted(insertion))
                    if insertion.report().subject.masks().is_none_or(|k| k > 200) => {}
                Ok(Outcome::Inserted(insertion)) => {
                    verified(&insertion, &model, &folder.path().join(format!("{name}_{i}.xml")));
                    accepted += 1;
                }
                Err(Error::Refused(refusal)) => eprintln!("{name}, {}: {refusal}", candidate.layer),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(accepted > 10, "only {accepted} insertions were possible");
    shapes_agree(folder.path());
}

/// The model with trained weights, its photo, and the two programs as a user runs them.
#[test]
fn the_command_line_tools_agree() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.xml");
    let model = "fixtures/mobilenet_v2/mobilenet_v2.xml";
    let (status, _, err) = common::insert([model, "-o", out.to_str().unwrap(), "--targets", "top5"]);
    assert_eq!(status, 0, "{err}");
    let mut command = assert_cmd::Command::cargo_bin("xai-verify").unwrap();
    let image = ["--image", "fixtures/mobilenet_v2/chelsea.png"];
    command.current_dir(root()).args([model, out.to_str().unwrap(), "--json"]).args(image);
    let (status, said, err) = outcome(&command.output().unwrap());
    assert_eq!(status, 0, "{said}{err}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["outcome"], "passed");
    shapes_agree(folder.path());
}

/// Heads that are legal but unusual, made by `tests/heads.py`: a rule that is nearly right fails here.
#[test]
fn unusual_heads() {
    if !runtime() {
        return;
    }
    let folder = common::made_by("heads.py");
    let branches = tempfile::tempdir().unwrap();
    let names: Vec<String> =
        common::listing(folder.path()).into_iter().filter(|n| n.ends_with(".xml")).collect();
    assert!(names.len() > 20, "heads are missing");
    for name in names {
        let model = Model::read(&folder.path().join(&name), None).unwrap();
        for strategy in [Strategy::Auto, Strategy::Dense] {
            for classes in [Classes::All, Classes::Listed(vec![3, 1]), Classes::Top(2)] {
                let label = format!("{}_{strategy:?}_{classes:?}.xml", name.trim_end_matches(".xml"));
                let options = Options {
                    target_layers: vec!["features".to_owned()],
                    scaling: false,
                    saliency_type: FLOAT,
                    strategy,
                    classes,
                    ..Options::default()
                };
                match insert(&model, &options) {
                    Ok(Outcome::Inserted(insertion)) => {
                        verified(&insertion, &model, &branches.path().join(label));
                    }
                    other => panic!("{label}: {other:?}"),
                }
            }
        }
    }
    shapes_agree(branches.path());
}

/// Transformers that went wrong once, each for a kind, made by `tests/tokens.py`: their maps are right, and not a bit of
/// the original's answer changes.
#[test]
fn transformers_that_went_wrong_once() {
    if !runtime() {
        return;
    }
    let folder = common::made_by("tokens.py");
    let names: Vec<String> =
        common::listing(folder.path()).into_iter().filter(|name| name.ends_with(".xml")).collect();
    assert_eq!(names.len(), 7);
    let branches = tempfile::tempdir().unwrap();
    for name in names {
        let model = Model::read(&folder.path().join(&name), None).unwrap();
        for block in [1, 2] {
            for strategy in [Strategy::Auto, Strategy::Dense] {
                // Grids of an image's usual size have many positions, and no block.
                if name.starts_with("grid_of_any_size") && (block, strategy) != (1, Strategy::Auto) {
                    continue;
                }
                let options = Options { block, strategy, ..Options::default() };
                match insert(&model, &options) {
                    Ok(Outcome::Inserted(insertion)) => {
                        let out = branches.path().join(format!("{block}_{strategy:?}_{name}"));
                        verified(&insertion, &model, &out);
                    }
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    }
}

/// Maps and feature vectors of a target whose batch is its last axis (`batch_last` of `tests/tokens.py`).
#[test]
fn images_on_the_last_axis_are_kept_apart() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made =
        Command::new(python()).arg(root().join("tests/tokens.py")).arg(folder.path()).status().unwrap();
    assert!(made.success());
    let model = Model::read(&folder.path().join("batch_last.xml"), None).unwrap();
    for method in [Method::ActivationMap, Method::VitReciproCam] {
        let options = Options {
            method: Some(method),
            target_layers: vec!["turned".to_owned()],
            feature_vector: true,
            ..Options::default()
        };
        match insert(&model, &options) {
            Ok(Outcome::Inserted(insertion)) => {
                assert!(insertion.report().to_string().contains("C,1+HW,N"));
                verified(&insertion, &model, &folder.path().join(format!("{method:?}.xml")));
            }
            _ => panic!("{method:?}"),
        }
    }
}

/// Targets inside of an attention or of what is computed in integers, which were wrong once.
#[test]
fn parts_of_an_attention_are_masked_each_for_itself() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layer = |block: usize, part: &str| format!("__module.blocks.{block}.attn.{part}/aten::linear/Add");
    let mut cases = vec![
        ("token_int8", "__module.blocks.1.norm1/aten::layer_norm/Multiply_1".to_owned()),
        ("resnet_int8", "__module.1/aten::relu/Relu/fq_output_0".to_owned()),
        ("cait_token", "__module.blocks_token_only.0.attn.k/aten::linear/Add".to_owned()),
        ("cait_token", "__module.blocks_token_only.1.attn.v/aten::linear/MatMul".to_owned()),
    ];
    for name in ["token_and_mean", "token_folded_heads", "token_folded_heads_fused"] {
        cases.extend(["key", "value"].map(|part| (name, layer(1, part))));
    }
    for (name, target) in cases {
        let model = Model::read(&common::small(name), None).unwrap();
        let options = Options { target_layers: vec![target.clone()], ..Options::default() };
        match insert(&model, &options) {
            Ok(Outcome::Inserted(insertion)) => {
                let out = folder.path().join(format!("{name}_{}.xml", target.replace(['/', ':'], "_")));
                verified(&insertion, &model, &out);
            }
            other => panic!("{name} {target}: {other:?}"),
        }
    }
    let model = Model::read(&common::small("resnet_int8"), None).unwrap();
    let target_layers = vec!["__module.1/aten::add/Add".to_owned()];
    let refused = insert(&model, &Options { target_layers, ..Options::default() }).unwrap_err().to_string();
    assert!(refused.contains("computed in integers together with what follows it"), "{refused}");
    assert!(refused.contains("`target_layers: __module.1/aten::relu/Relu/fq_output_0`"), "{refused}");
}

/// Names that several layers share, or with white space that XML would fold: the record says which layer is meant.
#[test]
fn layers_of_any_name_are_found_again() {
    if !runtime() {
        return;
    }
    let target = "__module.trunk.2.2/aten::relu/Relu";
    for (from, to) in [
        ("__module.trunk.1.2/aten::relu/Relu", target),
        (target, "a&#9;tab and a&#10;line"),
        (target, "&lt;&quot;&amp;&apos;&gt;"),
    ] {
        let folder = common::copy_of("cnn_static");
        let path = folder.path().join("model.xml");
        let text = std::fs::read_to_string(&path).unwrap();
        let renamed = text.replace(&format!("name=\"{from}\""), &format!("name=\"{to}\""));
        assert_ne!(text, renamed);
        std::fs::write(&path, renamed).unwrap();
        let model = Model::read(&path, None).unwrap();
        match insert(&model, &Options::default()) {
            Ok(Outcome::Inserted(insertion)) => verified(&insertion, &model, &folder.path().join("out.xml")),
            other => panic!("{to}: {other:?}"),
        }
    }
}
