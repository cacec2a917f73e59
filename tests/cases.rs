//! Command lines and what they print: `tests/cases/**/*.toml`, a file for each, run by `trycmd`.
//!
//! A case names the program and its arguments (paths are relative to the root of the repository), the exit status
//! where it is not 0, and all of standard output and standard error; what is long stands in `.stdout` beside it.
//! `[..]` stands for anything within a line, `[VERSION]` for the version. A backslash is read as a slash, for the
//! sake of paths on Windows; JSON that has any is kept by `tests/snapshots.rs`.
//!
//! After an intended change `TRYCMD=overwrite cargo test --test cases`, then read the diff. A new case needs
//! `bin.name`, `args`, `stdout = ""` and `stderr = ""` first; the same command fills in what is printed.
//! Cases by a part of the file's name: `cargo test --test cases -- command_lines trycmd=no_layer`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{root, runtime};
use trycmd::TestCases;

fn cases() -> TestCases {
    let cases = TestCases::new();
    cases
        .register_bin("xai-insert", Path::new(env!("CARGO_BIN_EXE_xai-insert")))
        .register_bin("xai-explain", Path::new(env!("CARGO_BIN_EXE_xai-explain")))
        .register_bin("xai-verify", Path::new(env!("CARGO_BIN_EXE_xai-verify")))
        // The width of the terminal must not matter here.
        .env("COLUMNS", "100")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .unwrap();
    cases
}

#[test]
fn command_lines() {
    cases().case("tests/cases/*/*/*.toml").skip("tests/cases/*/runtime/*.toml");
}

#[test]
fn command_lines_that_need_the_runtime() {
    if runtime() {
        cases().case("tests/cases/*/runtime/*.toml");
    }
}

/// The harness compares what a case states and skips programs that it does not know, so that a case with a slip
/// would pass whatever is printed.
#[test]
fn every_case_states_all_that_is_printed() {
    let mut count = 0;
    for path in files_below(&root().join("tests/cases")) {
        let shown = path.display();
        let kind = path.extension().and_then(|extension| extension.to_str());
        if let Some("stdout" | "stderr") = kind {
            assert!(path.with_extension("toml").exists(), "{shown} belongs to no case");
        }
        if kind != Some("toml") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).unwrap();
        let stated = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        let program = path.strip_prefix(root().join("tests/cases")).unwrap().iter().next().unwrap();
        let program = format!("bin.name = \"xai-{}\"", program.display());
        assert!(text.lines().any(|line| line == program), "{shown}: '{program}' is missing");
        assert_eq!(stated("args = "), 1, "{shown}: 'args' is missing");
        assert_eq!(stated("status"), stated("status.code = "), "{shown}: give the status as a number");
        for stream in ["stdout", "stderr"] {
            let beside = usize::from(path.with_extension(stream).exists());
            assert_eq!(stated(&format!("{stream} = ")) + beside, 1, "{shown}: give '{stream}' once");
        }
    }
    assert!(count > 100, "cases are missing");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
