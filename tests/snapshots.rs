//! Snapshots of the added graph of every fixture, and of reports for programs, spread out.
//!
//! What other command lines print is in `tests/cases`. After an intended change: `INSTA_UPDATE=always cargo test --test snapshots`, then read the diff.
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
