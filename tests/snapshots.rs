//! Snapshots of what people read: added graphs, reports, help and refusals.
//!
//! After an intended change: `INSTA_UPDATE=always cargo test --test snapshots`, then read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{each, fixtures, insert};
use insta::{Settings, assert_snapshot};

/// Output of a run that writes nothing: status unless 0, standard output, standard error.
fn shown(args: &[&str]) -> String {
    let (status, out, err) = insert(args);
    match status {
        0 => {
            assert_eq!(err, "");
            out
        }
        _ => format!("{out}{err}exit status {status}\n"),
    }
}

fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(&regex_of(env!("CARGO_PKG_VERSION")), "[version]");
    // What is recorded in the XML grows and shrinks with the tool's version.
    settings.add_filter(r#""xml_bytes": \d+"#, r#""xml_bytes": [bytes]"#);
    settings.add_filter(r"\S+ KiB of XML", "[size] of XML");
    settings
}

fn regex_of(text: &str) -> String {
    text.replace('.', r"\.")
}

/// The added graph in the cheapest form, or the refusal with all its reasons.
#[test]
fn added_graphs() {
    settings().bind(|| {
        each(fixtures(), |name, path| {
            assert_snapshot!(format!("graph_{name}"), shown(&[path, "--dry-run", "--dump", "text"]));
        });
    });
}

/// The oracle of all other forms, on one fixture of each kind of head.
#[test]
fn added_graphs_of_the_dense_lowering() {
    settings().bind(|| {
        for name in ["cnn_static", "cnn_dynamic_hw", "vgg_flatten", "gap_vit_dynamic", "attention_pool"] {
            let path = format!("fixtures/small/{name}.xml");
            let args = [&path, "--dry-run", "--dump", "text", "--lowering", "dense"];
            assert_snapshot!(format!("dense_{name}"), shown(&args));
        }
    });
}

/// Options that change the graph.
#[test]
fn added_graphs_under_options() {
    let cases: [(&str, &str, &[&str]); 9] = [
        ("top2", "cnn_dynamic_batch", &["--targets", "top2"]),
        ("listed", "cnn_conv_classifier", &["--targets", "3,1"]),
        ("listed_dense", "cnn_static", &["--targets", "3,1", "--lowering", "dense"]),
        ("unscaled", "cnn_static", &["--no-scaling", "--saliency-type", "f32"]),
        ("activationmap", "nhwc_head_dynamic", &["--method", "activationmap"]),
        ("feature_vector", "gap_vit", &["--feature-vector", "--output-name", "map"]),
        ("all_tokens", "gap_vit_dynamic", &["--method", "vitreciprocam", "--block", "2"]),
        ("target", "cnn_static", &["--target-layer", "__module.trunk.1.2/aten::relu/Relu"]),
        ("output", "cnn_two_outputs", &["--output", "embedding"]),
    ];
    settings().bind(|| {
        each(
            cases.map(|(what, name, options)| (what.to_owned(), (name, options))),
            |what, (name, options)| {
                let path = format!("fixtures/small/{name}.xml");
                let args = [&[&*path, "--dry-run", "--dump", "text"], *options].concat();
                assert_snapshot!(format!("option_{what}"), shown(&args));
            },
        );
    });
}

#[test]
fn added_graph_for_graphviz() {
    settings().bind(|| {
        let args = ["fixtures/small/cnn_softmax.xml", "--dry-run", "--dump", "dot"];
        assert_snapshot!("dot_cnn_softmax", shown(&args));
    });
}

/// As [`shown`], with each line of JSON spread out.
fn shown_json(args: &[&str]) -> String {
    let spread = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value) => format!("{value:#}\n"),
        Err(_) => format!("{line}\n"),
    };
    shown(args).lines().map(spread).collect()
}

#[test]
fn reports_for_programs() {
    settings().bind(|| {
        for name in ["cnn_dynamic_batch", "gap_vit", "late_conv_head", "swin_tiny_like", "mlp_only"] {
            let path = format!("fixtures/small/{name}.xml");
            assert_snapshot!(format!("json_{name}"), shown_json(&[&path, "--dry-run", "--json"]));
        }
        let args = ["fixtures/small/bn_head.xml", "fixtures/small/segmentation.xml", "--dry-run", "--json"];
        assert_snapshot!("json_of_two_models", shown_json(&args));
        let args = ["fixtures/small/mlp_only.xml", "--list-targets", "--json"];
        assert_snapshot!("json_list_targets", shown_json(&args));
    });
}

#[test]
fn reports_for_people() {
    settings().bind(|| {
        for name in
            ["cnn_static", "cnn_two_outputs", "cnn_dynamic_hw", "attention_pool", "timm_test_convnext"]
        {
            let path = format!("fixtures/small/{name}.xml");
            assert_snapshot!(format!("report_{name}"), shown(&[&path, "--dry-run"]));
        }
    });
}

#[test]
fn lists_of_targets() {
    settings().bind(|| {
        for name in ["cnn_static", "conv_after_branch", "vit_cls", "mlp_only"] {
            let path = format!("fixtures/small/{name}.xml");
            assert_snapshot!(format!("targets_{name}"), shown(&[&path, "--list-targets"]));
        }
    });
}

#[test]
fn help() {
    settings().bind(|| {
        // The width of the terminal must not matter here.
        let text = |flag: &str| {
            let output = common::insert_command().env("COLUMNS", "100").arg(flag).output().unwrap();
            common::outcome(&output).1
        };
        assert_snapshot!("help", text("--help"));
        assert_snapshot!("help_short", text("-h"));
        assert_snapshot!("version", text("--version"));
    });
}

/// Refusals that fixtures do not show by themselves (those are among the added graphs): exit status 1.
#[test]
fn refusals() {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("budget", "cnn_static", &["--lowering", "dense", "--memory-budget", "1KiB"]),
        ("not_a_map", "cnn_static", &["--target-layer", "aten::mean/ReduceMean"]),
        ("not_on_path", "cnn_two_outputs", &["--output", "logits", "--target-layer", "embedding"]),
        ("not_float", "cnn_preprocess", &["--target-layer", "image"]),
        ("one_of_two_outputs", "segmentation", &["--output", "scores"]),
    ];
    settings().bind(|| {
        each(
            cases.map(|(what, name, options)| (what.to_owned(), (name, options))),
            |what, (name, options)| {
                let path = format!("fixtures/small/{name}.xml");
                let text = shown(&[&[&*path, "--dry-run"], *options].concat());
                assert!(text.ends_with("exit status 1\n"), "{text}");
                assert_snapshot!(format!("refusal_{what}"), text);
            },
        );
    });
}

/// Options that contradict the model or each other: exit status 2.
#[test]
fn wrong_options() {
    let cases: [(&str, &[&str]); 15] = [
        ("no_layer", &["--target-layer", "relu"]),
        ("no_layer_near", &["--target-layer", "nothing like it"]),
        ("no_output", &["--output", "nothing"]),
        ("class_out_of_range", &["--targets", "1,5"]),
        ("top_out_of_range", &["--targets", "top6"]),
        ("targets", &["--targets", "best"]),
        ("targets_top0", &["--targets", "top0"]),
        ("size", &["--memory-budget", "20 parsecs"]),
        ("size_overflows", &["--memory-budget", "18446744073709551615KiB"]),
        ("unscaled_u8", &["--no-scaling"]),
        ("output_name", &["--output-name", ""]),
        ("output_name_of_a_tensor", &["--output-name", "image"]),
        ("output_name_twice", &["--output-name", "feature_vector", "--feature-vector"]),
        ("unknown", &["--no-such-option"]),
        ("contradiction", &["--json", "--dump", "text"]),
    ];
    settings().bind(|| {
        each(cases.map(|(what, options)| (what.to_owned(), options)), |what, options| {
            let text = shown(&[&["fixtures/small/cnn_static.xml", "--dry-run"], *options].concat());
            assert!(text.ends_with("exit status 2\n"), "{text}");
            assert_snapshot!(format!("wrong_{what}"), text);
        });
    });
}
