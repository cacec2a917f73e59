//! `xai-verify` on small models written by hand, whose maps are known without any compiler.
//!
//! Tests that need OpenVINO are skipped without one, and say so; under `scripts/test` they fail.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// Logits are the means of two channels over 2x2 positions; the BIN holds the axes 2 and 3.
const ORIGINAL: &str = r#"<?xml version="1.0"?>
<net name="mean" version="11">
	<layers>
		<layer id="0" name="image" type="Parameter" version="opset1">
			<data shape="?,2,2,2" element_type="f32"/>
			<output><port id="0" precision="FP32" names="image"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></output>
		</layer>
		<layer id="1" name="features" type="Abs" version="opset1">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></input>
			<output><port id="1" precision="FP32"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></output>
		</layer>
		<layer id="2" name="axes" type="Const" version="opset1">
			<data element_type="i64" shape="2" offset="0" size="16"/>
			<output><port id="0" precision="I64"><dim>2</dim></port></output>
		</layer>
		<layer id="3" name="logits" type="ReduceMean" version="opset1">
			<data keep_dims="false"/>
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port><port id="1" precision="I64"><dim>2</dim></port></input>
			<output><port id="2" precision="FP32" names="logits"><dim>-1</dim><dim>2</dim></port></output>
		</layer>
		<layer id="4" name="out" type="Result" version="opset1">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim></port></input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
		<edge from-layer="1" from-port="1" to-layer="3" to-port="0"/>
		<edge from-layer="2" from-port="0" to-layer="3" to-port="1"/>
		<edge from-layer="3" from-port="2" to-layer="4" to-port="0"/>
	</edges>
</net>
"#;

/// With one position kept, the mean over four is that position divided by four.
const LAYERS: &str = r#"		<layer id="5" name="quarter" type="Const" version="opset1">
			<data element_type="f32" shape="" offset="16" size="4"/>
			<output><port id="0" precision="FP32"/></output>
		</layer>
		<layer id="6" name="map" type="Multiply" version="opset1">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port><port id="1" precision="FP32"/></input>
			<output><port id="2" precision="FP32" names="saliency_map"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></output>
		</layer>
		<layer id="7" name="map_out" type="Result" version="opset1">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim><dim>2</dim><dim>2</dim></port></input>
		</layer>
	</layers>"#;
const EDGES: &str = r#"		<edge from-layer="1" from-port="1" to-layer="6" to-port="0"/>
		<edge from-layer="5" from-port="0" to-layer="6" to-port="1"/>
		<edge from-layer="6" from-port="2" to-layer="7" to-port="0"/>
	</edges>"#;
const RECORD: &str = r#"	<rt_info>
		<xai>
			<tool value="xai-insert"/>
			<version value="0.1.0"/>
			<method value="reciprocam"/>
			<target value="features"/>
			<target_slot value="0"/>
			<layout value="N,C,H,W"/>
			<grid value="2x2"/>
			<logits value="logits"/>
			<logits_slot value="0"/>
			<targets value="all"/>
			<scaling value="false"/>
			<saliency_type value="f32"/>
			<output value="saliency_map"/>
		</xai>
	</rt_info>
</net>"#;

fn with_branch() -> String {
    let text = ORIGINAL.replace("\t</layers>", LAYERS).replace("\t</edges>", EDGES);
    text.replace("</net>", RECORD)
}

/// Writes both models, the second with `factor` in the place of a quarter.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(model: &str, factor: f32) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let mut weights: Vec<u8> = [2i64, 3].iter().flat_map(|axis| axis.to_le_bytes()).collect();
        fs::write(files.path("original.xml"), ORIGINAL).unwrap();
        fs::write(files.path("original.bin"), &weights).unwrap();
        weights.extend(factor.to_le_bytes());
        fs::write(files.path("model.xml"), model).unwrap();
        fs::write(files.path("model.bin"), &weights).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn verify(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&[&self.path("original.xml"), &self.path("model.xml")], arguments)
    }

    /// Runs where OpenVINO surely is not.
    fn verify_without_runtime(&self, arguments: &[&str]) -> (i32, String, String) {
        let empty = self.path("empty");
        fs::create_dir_all(&empty).unwrap();
        let mut all = vec!["--openvino-lib", empty.to_str().unwrap()];
        all.extend(arguments);
        self.verify(&all)
    }
}

fn run(models: &[&Path], arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::cargo_bin("xai-verify").unwrap().args(models).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn the_structure_is_checked_without_a_runtime() {
    let (code, out, _) = Files::new(&with_branch(), 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("structure   ok: 5 layers, 4 edges and 16 bytes of weights compared"), "{out}");
    assert!(out.contains("added 3 layers, 3 edges, 4 bytes of weights"), "{out}");
    assert!(out.contains("outputs     not checked"), "{out}");
}

#[test]
fn a_damaged_original_is_found_without_a_runtime() {
    let damaged = with_branch().replace("keep_dims=\"false\"", "keep_dims=\"true\"");
    let (code, out, _) = Files::new(&damaged, 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("layer 'logits' (ReduceMean, id 3) was changed"), "{out}");
}

#[test]
fn a_model_that_is_no_ir_is_wrong_and_one_without_a_record_cannot_be_checked() {
    let truncated = &with_branch()[..2000];
    let (code, out, _) = Files::new(truncated, 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("structure   FAILED") && out.contains("byte 1998"), "{out}");

    let (code, out, error) = Files::new(ORIGINAL, 0.25).verify_without_runtime(&[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("no section 'xai'"), "{error}");
}

#[test]
fn files_and_options_that_make_no_sense_end_with_2() {
    let files = Files::new(&with_branch(), 0.25);
    let missing = files.path("missing.xml");
    let (code, _, error) = run(&[&missing, &files.path("model.xml")], &[]);
    assert_eq!(code, 2);
    assert!(error.contains("missing.xml"), "{error}");
    for arguments in [
        &["--shape", "[2,3,2,2]"][..],
        &["--shape", "other[2,2,2,2]"],
        &["--shape", "nonsense"],
        &["--samples", "0"],
        &["--image", "missing.png"],
        &["--image", "a.png", "--seed", "1"],
    ] {
        let (code, out, error) = files.verify(arguments);
        assert_eq!(code, 2, "{arguments:?} {out}");
        assert!(!error.is_empty());
    }
}

#[test]
fn the_report_for_programs_is_json() {
    let (code, out, _) = Files::new(&with_branch(), 0.25).verify_without_runtime(&["--json", "--bench"]);
    assert_eq!(code, 2);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["outcome"], "not_checked");
    assert_eq!(report["record"]["method"], "reciprocam");
    assert_eq!(report["structure"]["outcome"], "passed");
    assert_eq!(report["structure"]["added_layers"], 3);
    for check in ["outputs", "saliency", "cost"] {
        assert_eq!(report[check]["outcome"], "not_checked", "{check}");
        assert!(report[check]["problems"][0].is_string(), "{check}");
    }
}

#[test]
fn a_right_map_passes() {
    if !common::runtime() {
        return;
    }
    let files = Files::new(&with_branch(), 0.25);
    let (code, out, error) = files.verify(&["--json", "--bench", "--samples", "3"]);
    assert_eq!(code, 0, "{out}{error}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["inputs"][0]["shape"], serde_json::json!([2, 2, 2, 2]));
    assert_eq!(report["outputs"]["identical"], 12);
    assert_eq!(report["saliency"]["maps"], 12);
    assert_eq!(report["saliency"]["differing"], 0);
    assert!(report["cost"]["ratio"].as_f64().unwrap() > 0.0);
    let (code, out, _) = files.verify(&["--shape", "image[5,2,2,2]", "--samples", "1"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("f32 [5, 2, 2, 2] chosen for [?,2,2,2]"), "{out}");
}

#[test]
fn a_wrong_map_fails() {
    if !common::runtime() {
        return;
    }
    let (code, out, _) = Files::new(&with_branch(), 0.26).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("structure   ok") && out.contains("outputs     ok"), "{out}");
    assert!(out.contains("saliency    FAILED: 8 maps"), "{out}");

    let typed = with_branch().replace("saliency_type value=\"f32\"", "saliency_type value=\"f16\"");
    let (code, out, _) = Files::new(&typed, 0.25).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("'saliency_map' is f32[2, 2, 2, 2], and should be f16[2, 2, 2, 2]"), "{out}");
}

#[test]
fn what_is_not_known_is_not_called_right() {
    if !common::runtime() {
        return;
    }
    for (from, to, reason) in [
        ("method value=\"reciprocam\"", "method value=\"gradcam\"", "method 'gradcam' is not known"),
        ("grid value=\"2x2\"", "grid value=\"2x3\"", "a grid of 2x3 is recorded"),
        ("target value=\"features\"", "target value=\"other\"", "target 'other' is no layer"),
        ("logits value=\"logits\"", "logits value=\"image\"", "do not depend on the target"),
    ] {
        let (code, out, _) = Files::new(&with_branch().replace(from, to), 0.25).verify(&[]);
        assert_eq!(code, 2, "{out}");
        assert!(out.contains("saliency    not checked") && out.contains(reason), "{out}");
    }
}

#[test]
fn other_definitions_are_known_too() {
    if !common::runtime() {
        return;
    }
    // A quarter of the features is not their mean over two channels.
    let model = with_branch().replace("method value=\"reciprocam\"", "method value=\"activationmap\"");
    let (code, out, _) = Files::new(&model, 0.25).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("and should be f32[2, 2, 2]"), "{out}");
    // The best class of each image is not both in their order.
    let model = with_branch().replace("targets value=\"all\"", "targets value=\"top1\"");
    let (code, out, _) = Files::new(&model, 0.25).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("and should be f32[2, 1, 2, 2]"), "{out}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_check_says_nothing_but_that() {
    let files = Files::new(&with_branch(), 0.25);
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_xai-verify"))
        .args([files.path("original.xml"), files.path("model.xml")])
        // More than any machine is done with when the signal comes.
        .args(["--samples", "4000000000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).unwrap();
    assert!(kill.status.success());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!((&stdout[..], &stderr[..]), (&b""[..], &b"xai-verify: interrupted\n"[..]));
}
