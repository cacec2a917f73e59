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
const ORIGINAL: &str = include_str!("cases/verify/models/mean.xml");

/// With one position kept, the mean over four is that position divided by four.
const WITH_BRANCH: &str = include_str!("cases/verify/models/mean_branch.xml");

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
    let (code, out, _) = Files::new(WITH_BRANCH, 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 2, "{out}");
    assert!(out.contains("structure   ok: 5 layers, 4 edges and 16 bytes of weights compared"), "{out}");
    assert!(out.contains("added 3 layers, 3 edges, 4 bytes of weights"), "{out}");
    assert!(out.contains("outputs     not checked"), "{out}");
}

#[test]
fn a_damaged_original_is_found_without_a_runtime() {
    let damaged = WITH_BRANCH.replace("keep_dims=\"false\"", "keep_dims=\"true\"");
    let (code, out, _) = Files::new(&damaged, 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("layer 'logits' (ReduceMean, id 3) was changed"), "{out}");
}

#[test]
fn a_model_that_is_no_ir_is_wrong_and_one_without_a_record_cannot_be_checked() {
    let truncated = &WITH_BRANCH[..2000];
    let (code, out, _) = Files::new(truncated, 0.25).verify_without_runtime(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("structure   FAILED") && out.contains("byte 1998"), "{out}");

    let (code, out, error) = Files::new(ORIGINAL, 0.25).verify_without_runtime(&[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("no section 'xai'"), "{error}");
}

#[test]
fn the_report_for_programs_is_json() {
    let (code, out, _) = Files::new(WITH_BRANCH, 0.25).verify_without_runtime(&["--json", "--bench"]);
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
    let files = Files::new(WITH_BRANCH, 0.25);
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
    let (code, out, _) = Files::new(WITH_BRANCH, 0.26).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("structure   ok") && out.contains("outputs     ok"), "{out}");
    assert!(out.contains("saliency    FAILED: 8 maps"), "{out}");

    let typed = WITH_BRANCH.replace("saliency_type value=\"f32\"", "saliency_type value=\"f16\"");
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
        let (code, out, _) = Files::new(&WITH_BRANCH.replace(from, to), 0.25).verify(&[]);
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
    let model = WITH_BRANCH.replace("method value=\"reciprocam\"", "method value=\"activationmap\"");
    let (code, out, _) = Files::new(&model, 0.25).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("and should be f32[2, 2, 2]"), "{out}");
    // The best class of each image is not both in their order.
    let model = WITH_BRANCH.replace("targets value=\"all\"", "targets value=\"top1\"");
    let (code, out, _) = Files::new(&model, 0.25).verify(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("and should be f32[2, 1, 2, 2]"), "{out}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_check_says_nothing_but_that() {
    let files = Files::new(WITH_BRANCH, 0.25);
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

/// A branch on a fixture, inserted as a user does it.
fn inserted(name: &str, options: &[&str]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (common::small(name), folder.path().join("out.xml"));
    let mut arguments = vec![model.to_str().unwrap(), "-o", out.to_str().unwrap()];
    arguments.extend(options);
    let (status, said, error) = common::insert(&arguments);
    assert_eq!(status, 0, "{said}{error}");
    (folder, model, out)
}

#[test]
fn virtual_devices_compute_in_single_precision() {
    if !common::runtime() {
        return;
    }
    let (_folder, model, out) = inserted("gap_vit", &[]);
    for device in ["AUTO", "AUTO:CPU", "HETERO:CPU", "MULTI:CPU", "BATCH:CPU"] {
        let (code, said, error) = run(&[&model, &out], &["--device", device, "--samples", "1"]);
        assert_eq!(code, 0, "{device}: {said}{error}");
    }
}

#[test]
fn maps_are_looked_at_as_the_device_likes_them() {
    if !common::runtime() {
        return;
    }
    let (_folder, model, out) = inserted("gap_vit", &[]);
    let report = |precision| {
        let (code, said, error) = run(&[&model, &out], &["--precision", precision, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        // Where a CPU has nothing but single precision there is nothing to compare.
        let expected = match report["precision"]["outcome"].as_str().unwrap() {
            "not_checked" if precision == "default" => 2,
            "skipped" if precision == "both" => 0,
            outcome => i32::from(outcome != "passed"),
        };
        assert_eq!(code, expected, "{said}{error}");
        report
    };
    let both = report("both");
    assert_eq!(
        (&both["saliency"]["outcome"], &both["meaning"]["outcome"]),
        (&"passed".into(), &"passed".into())
    );
    let alone = report("default");
    assert_eq!(
        (&alone["saliency"]["outcome"], &alone["place"]["outcome"]),
        (&"skipped".into(), &"skipped".into())
    );
    assert_eq!(both["precision"]["equal_peaks"], alone["precision"]["equal_peaks"]);
}

/// A grid of more positions than anybody wants to wait for: some of them, scaled or not, and a wrong one among them.
#[test]
fn some_positions_are_enough_to_find_a_wrong_map() {
    if !common::runtime() {
        return;
    }
    let (_folder, model, out) = inserted("gap_vit", &["--targets", "0,1"]);
    let check = |model: &Path, out: &Path, positions: &str| {
        let (code, said, error) = run(&[model, out], &["--positions", positions, "--samples", "1", "--json"]);
        (code, serde_json::from_str::<serde_json::Value>(&said).unwrap_or(said.into()), error)
    };
    let (code, report, error) = check(&model, &out, "10");
    assert_eq!(
        (code, &report["saliency"]["positions"]),
        (0, &serde_json::json!([10, 24])),
        "{report}{error}"
    );
    assert_eq!(report["saliency"]["values"], 20);
    let (code, report, _) = check(&model, &out, "24");
    assert_eq!((code, &report["saliency"]["positions"]), (0, &serde_json::json!([24, 24])), "{report}");
    let (code, _, error) = check(&model, &out, "7");
    assert!(code == 2 && error.contains("compare 8 or more"), "{error}");
    let spoiled =
        fs::read_to_string(&out).unwrap().replace("<targets value=\"0,1\"", "<targets value=\"1,0\"");
    fs::write(&out, spoiled).unwrap();
    let (code, report, error) = check(&model, &out, "10");
    assert_eq!((code, &report["saliency"]["outcome"]), (1, &"failed".into()), "{report}{error}");
}

/// Branch and record agree, and are of the wrong thing: what positions say of boxes or centres in place of classes.
#[test]
fn what_is_no_class_score_is_not_taken_for_one() {
    if !common::runtime() {
        return;
    }
    for (name, part, reason) in [
        ("det_retinanet", "box", "output 1 has 5 scores for each box, and the maps are of 12 classes"),
        ("det_fcos", "center", "output 1 has 5 scores for each box, and the maps are of 1 classes"),
    ] {
        let layer = format!("__module.{part}/aten::_convolution/Add");
        let coarse = format!("{layer}_1");
        let (_folder, model, out) = inserted(name, &["--target-layer", &layer, "--target-layer", &coarse]);
        let (code, said, _) = run(&[&model, &out], &["--samples", "1"]);
        assert_eq!(code, 1, "{name}: {said}");
        let caught = said.contains("saliency    ok") && said.contains("meaning     FAILED");
        assert!(caught && said.contains(reason), "{said}");
    }
}

/// OpenVINO writes keys that are no XML names as `<info name="…">`; there may be several.
#[test]
fn keys_that_are_no_names_are_compared_by_value() {
    let folder = common::copy_of("cnn_static");
    let path = folder.path().join("model.xml");
    let text = fs::read_to_string(&path).unwrap();
    let keys = r#"<rt_info><info name="my key" value="plain"/><info name="other key" value="2"/>"#;
    let changed = text.replacen("<rt_info>\n\t\t<", &format!("{keys}\n\t\t<"), 1);
    assert_ne!(text, changed);
    fs::write(&path, changed).unwrap();
    let out = folder.path().join("out.xml");
    let (status, said, error) = common::insert([path.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert_eq!(status, 0, "{said}{error}");
    let structure = |model: &Path| {
        let empty = folder.path().to_str().unwrap();
        let (_, said, _) = run(&[&path, model], &["--json", "--openvino-lib", empty]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["structure"].clone()
    };
    assert_eq!(structure(&out)["outcome"], "passed");
    let spoiled = fs::read_to_string(&out).unwrap().replace("other key\" value=\"2", "other key\" value=\"3");
    fs::write(&out, spoiled).unwrap();
    let found = structure(&out);
    assert_eq!(found["outcome"], "failed");
    assert!(found["problems"][0].as_str().unwrap().contains("'other key'"), "{found}");
}

/// What another tool wrote anew has no bytes to compare; its maps are checked all the same.
#[test]
fn a_file_that_was_written_anew_is_checked_by_what_it_does() {
    if !common::runtime() {
        return;
    }
    for name in ["cnn_static", "vit_cls", "det_yolov8"] {
        let (folder, model, out) = inserted(name, &[]);
        let again = folder.path().join("again.xml");
        let code =
            "import openvino as ov, sys; ov.save_model(ov.Core().read_model(sys.argv[1]), sys.argv[2])";
        let saved = std::process::Command::new(common::python())
            .args(["-c", code])
            .args([&out, &again])
            .status()
            .unwrap();
        assert!(saved.success());
        let (code, said, error) = run(&[&model, &again], &["--samples", "1"]);
        assert_eq!(code, 0, "{said}{error}");
        assert!(said.contains("structure   skipped") && said.contains("saliency    ok"), "{said}");
        // Other weights are found all the same, by the answers.
        let weights = again.with_extension("bin");
        let mut bytes = fs::read(&weights).unwrap();
        let half = bytes.len() / 2;
        bytes[..half].fill(0x3c);
        fs::write(&weights, bytes).unwrap();
        let (code, said, error) = run(&[&model, &again], &["--samples", "1"]);
        assert_eq!(code, 1, "{said}{error}");
    }
}
