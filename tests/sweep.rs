//! Every layer of every fixture as a target, and every attention block: a map is right, or refused.
//!
//! By itself this takes a part of them, the same each time; `XAI_SWEEP=all cargo test --release --test sweep` takes all.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{fixtures, root, runtime};
use xai_insert::verify::{Outcome as Verdict, ShapeOverride, VerifyOptions, verify};
use xai_insert::{Destination, Error, Insertion, Method, Model, Options, Outcome, Strategy, insert};

/// Of so many targets that can be had, one is tried.
const EACH: usize = 23;

/// Threads that fixtures are divided among, the same way each time.
const WORKERS: usize = 2;

/// Names of all layers that compute something, in the order of the file.
fn layers(xml: &str) -> Vec<String> {
    let attribute = |layer: &str, name: &str| {
        let (_, after) = layer.split_once(&format!(" {name}=\"")).unwrap();
        after.split_once('"').unwrap().0.to_owned()
    };
    let layers = xml.split("<layer ").skip(1);
    let computes = |layer: &&str| !["Const", "Result", "ShapeOf"].contains(&&*attribute(layer, "type"));
    layers.filter(computes).map(|layer| attribute(&format!(" {layer}"), "name")).collect()
}

/// What is tried of a model: its layers by name, and its blocks by number.
fn tried(xml: &str) -> Vec<(String, Options)> {
    // Copies of early layers would fill the machine.
    let plain = Options { memory_budget: 32 << 20, ..Options::default() };
    let mut all: Vec<(String, Options)> = layers(xml)
        .into_iter()
        .map(|layer| (layer.clone(), Options { target_layers: vec![layer], ..plain.clone() }))
        .collect();
    for block in 1..4 {
        let options = Options { block, method: Some(Method::VitReciproCam), ..plain.clone() };
        all.push((format!("block {block}"), options.clone()));
        all.push((format!("block {block}, no class token"), Options { class_token: false, ..options }));
    }
    all
}

/// What became of the targets of some fixtures.
#[derive(Default)]
struct Swept {
    inserted: usize,
    outcomes: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Swept {
    fn add(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// Tries all targets of a fixture, and verifies all that can be had, or each of so many.
    fn sweep(&mut self, name: &str, path: &Path, out: &Path, each: usize) {
        let model = Model::read(path, None).unwrap();
        for (target, options) in tried(&std::fs::read_to_string(path).unwrap()) {
            let insertion = match insert(&model, &options) {
                Ok(Outcome::Inserted(insertion)) => insertion,
                Err(Error::Refused(_) | Error::Usage(_)) => {
                    self.add("refused");
                    continue;
                }
                other => panic!("{target}: {other:?}"),
            };
            self.inserted += 1;
            if !self.inserted.is_multiple_of(each) {
                continue;
            }
            let write = |insertion: &Insertion<'_>| {
                insertion.write(&Destination::new(out, &[path], true).unwrap()).unwrap();
            };
            write(&insertion);
            let mut checks = VerifyOptions { samples: 1, ..VerifyOptions::default() };
            if name.ends_with("dynamic_hw") {
                // As many positions as other fixtures have.
                checks.shapes = vec![ShapeOverride { name: None, dims: vec![1, 3, 32, 48] }];
            }
            let report = verify(path, out, &checks).unwrap();
            self.add("verified");
            // The image itself, or what is flat, is no target that a check can say much of.
            let judged = [report.structure.outcome, report.outputs.outcome, report.saliency.outcome];
            if judged.contains(&Verdict::Failed) || report.outputs.outcome != Verdict::Passed {
                let dense = Options { strategy: Strategy::Dense, ..options };
                let other = match insert(&model, &dense) {
                    Ok(Outcome::Inserted(insertion)) => {
                        write(&insertion);
                        format!("{}", verify(path, out, &checks).unwrap().outcome)
                    }
                    _ => "refused".to_owned(),
                };
                self.wrong.push(format!("{name}, {target} (dense: {other})\n{report}"));
            }
        }
    }
}

#[test]
fn every_target_is_right_or_refused() {
    if !runtime() {
        return;
    }
    let all = std::env::var("XAI_SWEEP").is_ok_and(|value| value == "all");
    let folder = tempfile::tempdir().unwrap();
    // Detectors have no head under masks, what OpenVINO cannot load cannot be checked, and the model with trained weights
    // has thousands of positions in its early layers, which are those of the small ones.
    let left_out = ["det_", "unknown_op", "mobilenet_v2"];
    let wanted = |name: &str| !left_out.iter().any(|start| name.starts_with(start));
    let fixtures: Vec<_> = fixtures().into_iter().filter(|(name, _)| wanted(name)).collect();
    let swept = |worker: usize| {
        let mut swept = Swept::default();
        let out = folder.path().join(format!("with_a_map_{worker}.xml"));
        for (name, path) in fixtures.iter().skip(worker).step_by(WORKERS) {
            swept.sweep(name, &root().join(path), &out, if all { 1 } else { EACH });
        }
        swept
    };
    let swept: Vec<Swept> = std::thread::scope(|scope| {
        let swept = &swept;
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || swept(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for Swept { inserted, outcomes, .. } in &swept {
        eprintln!("{inserted} targets can be had; {outcomes:?}");
    }
    let wrong: Vec<&str> = swept.iter().flat_map(|swept| &swept.wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(swept.iter().all(|swept| swept.outcomes["verified"] > 25), "too few targets");
}
