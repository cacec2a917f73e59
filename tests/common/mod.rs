//! What the integration tests share.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod explain;
pub mod ir;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use xai_insert::RuntimeOptions;
use xai_insert::verify::openvino;

/// The root of the repository; tests name files relative to it, so that messages are the same anywhere.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name and path (relative to the root) of every fixture, by name.
pub fn fixtures() -> Vec<(String, String)> {
    let mut found = vec![("mobilenet_v2".to_owned(), "fixtures/mobilenet_v2/mobilenet_v2.xml".to_owned())];
    for entry in fs::read_dir(root().join("fixtures/small")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name.clone(), format!("fixtures/small/{name}.xml")));
        }
    }
    found.sort();
    assert!(found.len() > 40, "fixtures are missing");
    found
}

pub fn small(name: &str) -> PathBuf {
    root().join(format!("fixtures/small/{name}.xml"))
}

/// `xai-insert`, run from the root of the repository.
pub fn insert_command() -> Command {
    let mut command = Command::cargo_bin("xai-insert").unwrap();
    command.current_dir(root());
    command
}

/// Runs `xai-insert`; returns exit status, standard output and standard error.
pub fn insert<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> (i32, String, String) {
    outcome(&insert_command().args(args).output().unwrap())
}

pub fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    let status = output.status.code().expect("the tool was not killed");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked at"), "a panic: {err}");
    (status, out, err)
}

/// Names of what is in a folder, sorted.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A copy of a fixture as `model.xml` and `model.bin` in a new folder.
pub fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["xml", "bin"] {
        fs::copy(small(name).with_extension(kind), folder.path().join(format!("model.{kind}"))).unwrap();
    }
    folder
}

/// Runs every case and reports all that fail, not just the first.
pub fn each<T>(cases: impl IntoIterator<Item = (String, T)>, check: impl Fn(&str, &T)) {
    let mut failed = Vec::new();
    for (name, case) in cases {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&name, &case)));
        if checked.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed for: {}", failed.join(", "));
}

/// Whether there is a runtime. Where one is asked for, it has to be there.
pub fn runtime() -> bool {
    let asked_for = ["XAI_REQUIRE_OPENVINO", "CI"].iter().any(|name| std::env::var_os(name).is_some());
    match openvino(&RuntimeOptions::default()) {
        Ok(_) => true,
        Err(e) => {
            assert!(!asked_for, "{e}");
            eprintln!("skipped: {e}");
            false
        }
    }
}

/// The Python of `.venv`, which has OpenVINO as well.
pub fn python() -> PathBuf {
    let path = root().join(if cfg!(windows) { ".venv/Scripts/python.exe" } else { ".venv/bin/python" });
    assert!(path.exists(), "{} is missing; scripts/test makes it", path.display());
    path
}

/// A folder of the small models that a script of this folder writes.
pub fn made_by(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = root().join("tests").join(script);
    let output = std::process::Command::new(python()).arg(path).arg(folder.path()).output().unwrap();
    let (status, out, err) = outcome(&output);
    assert_eq!(status, 0, "{out}{err}");
    folder
}

/// What added layers of all models in a folder declare is what OpenVINO infers.
pub fn shapes_agree(folder: &Path) {
    let mut command = std::process::Command::new(python());
    let output = command.arg(root().join("tests/infer_dims.py")).arg(folder).output().unwrap();
    let (status, out, err) = outcome(&output);
    assert_eq!(status, 0, "{out}{err}");
}
