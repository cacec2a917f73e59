//! What README.md and `docs/` say, against what the programs print.
//!
//! After an intended change: `XAI_BLESS=1 cargo test --test docs` writes options and outputs anew; then read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use common::explain::{CHELSEA, MOBILENET};
use common::{outcome, root, runtime};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAMS: [&str; 3] = ["xai-insert", "xai-verify", "xai-explain"];

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// README.md, CONTRIBUTING.md and the pages of `docs/`.
fn pages() -> Vec<String> {
    let mut found = vec!["CONTRIBUTING.md".to_owned(), "README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            found.push(format!("docs/{name}"));
        }
    }
    found.sort();
    found
}

/// Held from the reading of a page to its writing, as several tests bless the same.
static PAGES: Mutex<()> = Mutex::new(());

/// The page says what it should say; where the user asks for it, it is made to.
fn settle(page: &str, now: &str, wanted: &str) {
    if now == wanted {
        return;
    }
    assert!(
        std::env::var_os("XAI_BLESS").is_some(),
        "{page} is out of date; `XAI_BLESS=1 cargo test --test docs` writes it anew:\n{}",
        differences(now, wanted)
    );
    fs::write(root().join(page), wanted).unwrap();
}

fn differences(now: &str, wanted: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (now.lines().collect(), wanted.lines().collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let shown = |lines: &[&str], sign| {
        lines.iter().skip(same).take(6).fold(String::new(), |text, line| text + &format!("{sign} {line}\n"))
    };
    format!("line {}\n{}{}", same + 1, shown(&old, '-'), shown(&new, '+'))
}

fn program(name: &str, folder: &Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin(name).unwrap();
    // The width at which help is wrapped where there is no terminal.
    command.current_dir(folder).env("COLUMNS", "100");
    // The programs look for `.venv` above the folder that they run in, and that may be a temporary one.
    let environment = root().join(".venv");
    if environment.exists() && std::env::var_os("VIRTUAL_ENV").is_none() {
        command.env("VIRTUAL_ENV", environment);
    }
    command
}

#[test]
fn options_are_those_that_help_prints() {
    let page = "docs/cli.md";
    let _held = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let now = read(page);
    let mut wanted = now.clone();
    for name in PROGRAMS {
        let (status, help, _) = outcome(&program(name, root()).arg("--help").output().unwrap());
        assert_eq!(status, 0);
        // Blank lines of help texts are made of spaces, which editors take away.
        let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let start = format!("<!-- options of {name} -->\n");
        let from = wanted.find(&start).unwrap_or_else(|| panic!("{page} has no {start}")) + start.len();
        let length = wanted[from..].find("<!-- end -->").expect("every block of options ends");
        wanted.replace_range(from..from + length, &format!("\n```text\n{}\n```\n\n", help.join("\n")));
    }
    settle(page, &now, &wanted);
}

#[test]
fn readme_is_read_in_a_minute() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "{} lines; the rest belongs into docs/", readme.lines().count());
    // What a page is there for can be reached from the README.
    for page in pages().iter().filter(|page| page.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({page}")), "README.md has no link to {page}");
    }
}

/// A page without its fenced and indented code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let kept = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The anchor that a heading gets: letters, digits and hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(&fs::read_to_string(page).unwrap());
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = String::new();
    for page in pages() {
        let text = prose(&read(&page));
        let here = root().join(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let images = text.split("src=\"").skip(1).filter_map(|rest| rest.split_once('"'));
        for (link, _) in links.chain(images) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            if !path.exists() || (!heading.is_empty() && !anchors(&path).contains(heading)) {
                writeln!(wrong, "{page}: {link}").unwrap();
            }
        }
    }
    assert_eq!(wrong, "");
}

/// A line as it is on any machine: figures that were measured, and the runtime's version, stand open.
fn settled(line: &str) -> String {
    if line.starts_with("runtime") {
        return line.split(' ').next().unwrap_or_default().to_owned();
    }
    let measured = ["outputs", "saliency", "cost"].iter().any(|start| line.starts_with(start));
    if !measured && !line.contains(".png") {
        return line.to_owned();
    }
    let number = |word: &&str| word.trim_end_matches([',', '%', ')']).parse::<f64>().is_ok();
    let words = line.split(' ').map(|word| if number(&word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Puts what a command names of the fixtures where it looks for it.
fn lay_out(folder: &Path, file: &str) {
    let from = root().join(file);
    fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
    fs::copy(&from, folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    if file.ends_with(".xml") {
        fs::copy(from.with_extension("bin"), folder.join(file).with_extension("bin")).unwrap();
    }
}

/// What a command of ours prints, run in a folder that has the fixtures that it names.
fn printed(folder: &Path, words: &[&str]) -> Vec<String> {
    for file in words.iter().filter(|word| word.starts_with("fixtures/")) {
        lay_out(folder, file);
    }
    let output = program(words[0], folder).args(&words[1..]).output().unwrap();
    let (_, out, err) = outcome(&output);
    format!("{out}{err}").lines().map(str::to_owned).collect()
}

/// Blocks of ```console are sessions: `$ command`, and what it prints. Those of a page share a folder.
#[test]
fn commands_print_what_pages_show() {
    let has_runtime = runtime();
    let _held = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ran = 0;
    for page in pages() {
        let folder = tempfile::tempdir().unwrap();
        let now = read(&page);
        let lines: Vec<&str> = now.lines().collect();
        let mut wanted: Vec<String> = Vec::new();
        let mut at = 0;
        let mut session = false;
        while let Some(line) = lines.get(at) {
            at += 1;
            wanted.push((*line).to_owned());
            session = if line.starts_with("```") { *line == "```console" } else { session };
            let words: Vec<&str> = line.split_whitespace().collect();
            let ours = words.len() > 1 && words[0] == "$" && PROGRAMS.contains(&words[1]);
            if !session || !ours || (words[1] != "xai-insert" && !has_runtime) {
                continue;
            }
            let rest = &lines[at..];
            let shown =
                rest.iter().take_while(|line| !line.starts_with("```") && !line.starts_with("$ ")).count();
            let found = printed(folder.path(), &words[1..]);
            let same = found.len() == shown && found.iter().zip(rest).all(|(a, b)| settled(a) == settled(b));
            match same {
                true => wanted.extend(rest[..shown].iter().map(|line| (*line).to_owned())),
                false => wanted.extend(found),
            }
            at += shown;
            ran += 1;
        }
        settle(&page, &now, &(wanted.join("\n") + "\n"));
    }
    assert!(ran >= if has_runtime { 4 } else { 2 }, "{ran} commands ran");
}

/// What a page has in backticks.
fn names_in(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                keys(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// Names of all fields that `printed` has, whole or line by line.
fn fields(printed: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match serde_json::from_str(printed) {
        Ok(value) => keys(&value, &mut found),
        Err(_) => printed.lines().for_each(|line| keys(&serde_json::from_str(line).unwrap(), &mut found)),
    }
    found
}

/// Entries of the section `xai`, those of all scales under the name of the first.
fn entries(xml: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(xml).unwrap();
    let (_, section) = text.split_once("<xai>").unwrap();
    let (section, _) = section.split_once("</xai>").unwrap();
    let names = section.split('<').skip(1).filter_map(|entry| entry.split_whitespace().next());
    let first = |part| if str::parse::<u32>(part).is_ok() { "1" } else { part };
    names.map(|name| name.split('_').map(first).collect::<Vec<_>>().join("_")).collect()
}

/// First columns of the tables below each heading of the second level.
fn first_columns(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.to_owned();
        }
        if let Some(cell) = line.strip_prefix("| ").and_then(|row| row.split(" | ").next()) {
            found.entry(section.clone()).or_default().extend(names_in(cell));
        }
    }
    found
}

struct Runs {
    folder: TempDir,
}

impl Runs {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fields<S: AsRef<std::ffi::OsStr>>(&self, name: &str, args: &[S]) -> BTreeSet<String> {
        let output = program(name, root()).args(args).arg("--json").output().unwrap();
        fields(&outcome(&output).1)
    }
}

fn assert_documented(section: &str, described: &BTreeSet<String>, found: &BTreeSet<String>) {
    let missing: Vec<_> = found.difference(described).collect();
    let gone: Vec<_> = described.difference(found).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "{section}: not described {missing:?}, not there {gone:?}"
    );
}

/// Every field that is there is in `docs/json.md`, and every field in its tables is there.
#[test]
fn fields_of_insertion_are_described() {
    let described = first_columns(&read("docs/json.md"));
    let runs = Runs { folder: tempfile::tempdir().unwrap() };
    let (mut found, mut recorded) = (BTreeSet::new(), BTreeSet::new());
    let written = [
        ("cnn_static", "--method=auto"),
        ("vit_cls", "--feature-vector"),
        ("cnn_dynamic_hw", "--method=auto"),
        ("det_yolov5_product", "--feature-vector"),
        ("cnn_int8", "--method=auto"),
    ];
    for (name, option) in written {
        let out = runs.path(name).with_extension("xml");
        let model = format!("fixtures/small/{name}.xml");
        found.extend(runs.fields("xai-insert", &[&*model, option, "-o", out.to_str().unwrap()]));
        recorded.extend(entries(&out));
        found.extend(runs.fields("xai-insert", &[out.to_str().unwrap(), "--dry-run"]));
        found.extend(runs.fields("xai-insert", &[out.to_str().unwrap(), "--dry-run", "--remove"]));
    }
    for name in ["vgg_flatten", "vit_cls", "crossvit_token", "det_yolov5_product", "segmentation"] {
        let model = format!("fixtures/small/{name}.xml");
        found.extend(runs.fields("xai-insert", &[&*model, "--list-targets"]));
        found.extend(runs.fields("xai-insert", &[&*model, "--dry-run", "--lowering", "dense"]));
    }
    assert_documented("xai-insert --json", &described["xai-insert --json"], &found);
    assert_documented("The record", &described["The record"], &recorded);
}

#[test]
fn fields_of_checks_are_described() {
    if !runtime() {
        return;
    }
    let described = first_columns(&read("docs/json.md"));
    let runs = Runs { folder: tempfile::tempdir().unwrap() };
    let mut found = BTreeSet::new();
    for name in ["vit_cls", "det_ssd"] {
        let (model, out) = (format!("fixtures/small/{name}.xml"), runs.path("out.xml"));
        let out = out.to_str().unwrap();
        runs.fields("xai-insert", &[&*model, "--feature-vector", "--overwrite", "-o", out]);
        found.extend(runs.fields("xai-verify", &[&*model, out, "--bench", "--precision", "both"]));
    }
    // A CPU that computes in nothing but single precision has no second map to hold against the first.
    let of_drift = ["correlation", "equal_peaks", "mean_difference"].map(str::to_owned);
    if !of_drift.iter().any(|field| found.contains(field)) {
        found.extend(of_drift);
    }
    assert_documented("xai-verify --json", &described["xai-verify --json"], &found);
}

#[test]
fn fields_of_explanations_are_described() {
    if !runtime() {
        return;
    }
    let described = first_columns(&read("docs/json.md"));
    let runs = Runs { folder: tempfile::tempdir().unwrap() };
    let boxes = runs.path("boxes.json");
    fs::write(
        &boxes,
        r#"{"images": [{"id": 1, "file_name": "chelsea.png"}], "categories": [{"id": 1, "name": "Egyptian cat"}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": [50, 50, 300, 200]}]}"#,
    )
    .unwrap();
    let (folder, boxes) = (runs.path("out"), boxes.to_str().unwrap().to_owned());
    let measured = ["--targets", "top2", "--metrics", "--boxes", &*boxes];
    let drawn = ["-o", folder.to_str().unwrap(), "--raw"];
    let mut found = runs.fields("xai-explain", &[&[MOBILENET, CHELSEA], &measured[..], &drawn].concat());
    let text = fs::read_to_string(folder.join("chelsea.json")).unwrap();
    found.extend(fields(&text));
    let rise = ["fixtures/small/cnn_static.xml", CHELSEA, "--method=rise", "--masks=10"];
    found.extend(runs.fields("xai-explain", &rise));
    let none = ["fixtures/small/cnn_static.xml", CHELSEA, "--activation=sigmoid", "--threshold=1"];
    found.extend(runs.fields("xai-explain", &none));
    let detector = ["fixtures/small/det_ssd_labels.xml", CHELSEA, "--mode=black-box", "--iterations=2"];
    found.extend(runs.fields("xai-explain", &detector));
    assert_documented("xai-explain --json", &described["xai-explain --json"], &found);
}
