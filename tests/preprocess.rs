//! How photos are fed: the graph goes before `model_info`, and `xai-verify` does as `xai-explain` does.
//!
//! `scripts/test` installs the runtime and lets these tests fail without it. By themselves they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::explain::{CHELSEA, explain};
use common::{copy_of, insert, outcome, root, runtime};
use serde_json::Value;

/// What an export left behind that was made before the preprocessing went into the graph.
const STALE: &str = r#"<model_info><layout value="NCHW"/><mean_values value="123.675 116.28 103.53"/>
<scale_values value="58.395 57.12 57.375"/><reverse_input_channels value="YES"/><model_type value="Classification"/>
</model_info>"#;

/// A copy of a fixture with a `model_info` of its own.
fn with_info(name: &str, info: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = copy_of(name);
    let path = folder.path().join("model.xml");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.rfind("</rt_info>").expect("the fixture's net has an rt_info");
    fs::write(&path, format!("{}{info}{}", &text[..at], &text[at..])).unwrap();
    (folder, path)
}

/// Settings and targets of the photo, as `xai-explain` prints them.
fn explained(path: &Path, more: &[&str]) -> (Value, Value) {
    let args = [&[path.to_str().unwrap(), CHELSEA, "--json", "--targets", "top2"], more].concat();
    let (status, out, err) = explain(args);
    assert_eq!((status, err.as_str()), (0, ""));
    let mut lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let settings = lines.next().unwrap()["settings"].take();
    (settings, lines.next().unwrap()["targets"].take())
}

/// The inputs of a model and its branch, as `xai-verify` was fed.
fn verified(path: &Path) -> Value {
    let made = path.with_file_name("made.xml");
    let (status, _, err) = insert([path, Path::new("-o"), &made]);
    assert_eq!(status, 0, "{err}");
    let mut command = assert_cmd::Command::cargo_bin("xai-verify").unwrap();
    command.current_dir(root()).args([path, &made]).args(["--image", CHELSEA, "--json"]);
    let (status, out, err) = outcome(&command.output().unwrap());
    assert_eq!(status, 0, "{out}{err}");
    serde_json::from_str::<Value>(&out).unwrap()["inputs"].take()
}

/// With numbers in single precision, which programs write in more or fewer digits.
fn single(value: &Value) -> Value {
    match value {
        #[allow(clippy::cast_possible_truncation)]
        Value::Number(number) => (number.as_f64().unwrap() as f32).to_string().into(),
        Value::Array(values) => values.iter().map(single).collect(),
        Value::Object(entries) => entries.iter().map(|(name, value)| (name.clone(), single(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_the_graph_does_is_not_done_again() {
    if !runtime() {
        return;
    }
    let (_one, plain) = with_info("cnn_preprocess", "");
    let (_other, stale) = with_info("cnn_preprocess", STALE);
    let (settings, targets) = explained(&plain, &[]);
    let (stale_settings, stale_targets) = explained(&stale, &[]);
    assert_eq!(targets, stale_targets);
    for settings in [settings, stale_settings] {
        assert_eq!(settings["input"]["channels_last"], true);
        assert_eq!(settings["input"]["layout_source"], "graph");
        let done = &settings["preprocessing"];
        assert_eq!((&done["source"], &done["mean"][0]), (&"graph".into(), &0.0.into()));
        assert_eq!(
            (&done["reverse_channels"], &done["reverse_channels_source"]),
            (&false.into(), &"graph".into())
        );
    }
    let input = &verified(&stale)[0];
    assert_eq!(single(&input["preprocessing"]), single(&explained(&stale, &[]).0["preprocessing"]));
}

#[test]
fn options_go_before_everything() {
    if !runtime() {
        return;
    }
    let (_folder, path) = with_info("cnn_preprocess", STALE);
    let (settings, _) =
        explained(&path, &["--mean", "1,2,3", "--reverse-input-channels", "--resize", "crop"]);
    let done = &settings["preprocessing"];
    for source in ["source", "reverse_channels_source", "resize_source"] {
        assert_eq!(done[source], "options", "{source}");
    }
    assert_eq!(done["mean"], serde_json::json!([1.0, 2.0, 3.0]));
}

#[test]
fn verification_is_fed_as_an_explanation_is() {
    if !runtime() {
        return;
    }
    for info in [
        r#"<model_info><resize_type value="fit_to_window_letterbox"/><pad_value value="114"/></model_info>"#,
        r#"<model_info><embedded_processing value="True"/><mean_values value="1 2 3"/></model_info>"#,
        r#"<model_info><mean_values value="1 2 3"/><reverse_input_channels value="YES"/></model_info>"#,
        "",
    ] {
        let (_folder, path) = with_info("cnn_static", info);
        let (settings, _) = explained(&path, &[]);
        assert_eq!(
            single(&verified(&path)[0]["preprocessing"]),
            single(&settings["preprocessing"]),
            "{info}"
        );
    }
}

#[test]
fn where_each_part_comes_from_is_printed() {
    if !runtime() {
        return;
    }
    let lines = |name: &str, info: &str| {
        let (_folder, path) = with_info(name, info);
        let (status, out, err) = explain([path.to_str().unwrap(), CHELSEA, "--ascii"]);
        assert_eq!(status, 0, "{err}");
        let of = |name: &str| out.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        (of("input"), of("preprocess"))
    };
    let (input, done) = lines("cnn_preprocess", STALE);
    assert!(input.ends_with("N,H,W,C (in the graph)"), "{input}");
    let text =
        "resize standard (assumed), red first (in the graph), no mean and scale (in the graph already)";
    assert_eq!(done, text);
    let (_, done) = lines("cnn_static", r#"<model_info><resize_type value="crop"/></model_info>"#);
    assert!(
        done.starts_with("resize crop (from the model's model_info), red first (assumed), (pixel"),
        "{done}"
    );
    assert!(done.ends_with("(assumed: the model does not say; see --preset, --mean and --scale)"), "{done}");
}
