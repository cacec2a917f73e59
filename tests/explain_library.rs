//! The library behind `xai-explain`: detectors, metrics, and what callers do themselves.
//!
//! `scripts/test` installs the runtime and lets these tests fail without it. By themselves they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::cell::Cell;

use common::explain::*;
use common::{runtime, small};
use ndarray::Array2;
use xai_insert::Error;
use xai_insert::explain::{
    BlackBox, ClassNames, Effort, ExplainOptions, Explainer, Photo, Prepared, PreprocessOptions, Quiet,
    ScoreFunction, Targets, Watch,
};

/// A detector whose boxes are not decoded: a class counts with the largest score of any box, whether its maps come
/// from a branch or not.
#[test]
fn scores_of_boxes_count_as_scores_of_classes() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 96, 64)).unwrap();
    for (name, mode) in [("det_ssd", "white-box"), ("det_detr", "black-box"), ("det_two_stage", "black-box")]
    {
        let options = ExplainOptions { effort: Effort::Speed, targets: Targets::Top(2), ..plain() };
        let mut explainer = Explainer::open(&small(name), &options).unwrap();
        assert_eq!((explainer.settings().mode, explainer.settings().explains.as_str()), (mode, "scores"));
        let found = explainer.explain(&photo, &Quiet).unwrap();
        let scores: Vec<f32> = found.targets.iter().map(|target| target.score.unwrap()).collect();
        assert_eq!(scores.len(), 2, "{name}");
        assert!(scores[0] >= scores[1] && scores.iter().all(|score| (0.0..=1.0).contains(score)), "{name}");
        assert!(found.best.len() == 5 && found.best[0].score.to_bits() == scores[0].to_bits(), "{name}");
        // By themselves, the classes are those whose score reaches the threshold.
        let explained = |threshold| {
            let options = ExplainOptions { threshold, targets: Targets::Predicted, ..options.clone() };
            Explainer::open(&small(name), &options).unwrap().explain(&photo, &Quiet)
        };
        let classes: Vec<_> =
            explained(Some(scores[1])).unwrap().targets.iter().map(|target| target.class).collect();
        assert_eq!(classes[..2], [found.targets[0].class, found.targets[1].class], "{name}");
        assert_eq!(
            classes.len(),
            found.best.iter().filter(|class| class.score >= scores[1]).count(),
            "{name}"
        );
        let nothing = explained(Some(scores[0] + 1e-3)).unwrap();
        let (best, note) = (found.best[0].class, nothing.note.unwrap().to_string());
        assert!(nothing.targets.is_empty(), "{name}");
        assert!(note.contains(&format!(" or more; the best: class {best} ")), "{name}: {note}");
        assert!(note.ends_with("; see `threshold`"), "{name}: {note}");
    }
}

/// Scores of boxes of one class look like scores of as many classes as there are boxes.
#[test]
fn scores_of_boxes_of_one_class_are_no_classes() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 96, 64)).unwrap();
    for (path, mode) in [(small("det_blazeface"), "white-box"), (model("faces"), "black-box")] {
        let options = ExplainOptions { effort: Effort::Speed, threshold: Some(0.01), ..plain() };
        let mut explainer = Explainer::open(&path, &options).unwrap();
        assert_eq!((explainer.settings().mode, explainer.settings().explains.as_str()), (mode, "scores"));
        let found = explainer.explain(&photo, &Quiet).unwrap();
        let classes: Vec<_> = found.targets.iter().map(|target| target.class).collect();
        assert_eq!((classes, found.best.len()), (vec![Some(0)], 1), "{mode}");
        if mode == "black-box" {
            assert!((found.targets[0].score.unwrap() - 1.0).abs() < 1e-4, "the larger of two");
            assert!(in_quarter(&found.targets[0].map) > 0.7, "{}", in_quarter(&found.targets[0].map));
        }
    }
}

#[test]
fn detectors_are_explained_box_by_box() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Twice the input's size: boxes come back in the photo's pixels.
    let photo = Photo::read(&white(folder.path(), 96, 64)).unwrap();
    for name in ["sevens", "scored", "apart"] {
        let options = ExplainOptions { effort: Effort::Speed, ..plain() };
        let mut explainer = Explainer::open(&model(name), &options).unwrap();
        let found = explainer.explain(&photo, &Quiet).unwrap();
        assert_eq!(found.targets.len(), 1, "{name}: padding is no object");
        let target = &found.targets[0];
        assert_eq!((target.class, target.corners), (Some(1), Some([0.0, 0.0, 48.0, 32.0])), "{name}");
        assert!((target.score.unwrap() - 1.0).abs() < 1e-4, "{name}");
        assert!(in_quarter(&target.map) > 0.7, "{name}: {}", in_quarter(&target.map));
    }
    let options = ExplainOptions { black_box: Some(BlackBox::Rise), ..plain() };
    assert!(matches!(Explainer::open(&model("sevens"), &options), Err(Error::Usage(_))));
}

/// What was opened and dropped keeps neither file descriptors nor maps of its BIN.
#[cfg(target_os = "linux")]
#[test]
fn models_that_are_done_with_are_closed() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("closed.xml");
    std::fs::copy(small("cnn_static"), &xml).unwrap();
    std::fs::copy(small("cnn_static").with_extension("bin"), xml.with_extension("bin")).unwrap();
    let options = ExplainOptions { black_box: Some(BlackBox::Aise), requests: Some(1), ..plain() };
    for _ in 0..10 {
        Explainer::open(&xml, &options).unwrap();
    }
    // Other tests run in the same process: only this model's files count.
    let bin = xml.with_extension("bin");
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let open =
        links.flatten().filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to == bin)).count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter(|line| line.ends_with("closed.bin")).count();
    assert_eq!((open, mapped), (0, 0));
}

/// White images are all ones, and the caller's scores are the model's own: maps are the same.
#[test]
fn callers_prepare_images_and_make_scores_themselves() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 48, 32)).unwrap();
    let options = ExplainOptions { black_box: Some(BlackBox::Rise), effort: Effort::Speed, ..plain() };
    let expected = Explainer::open(&model("quarter"), &options).unwrap().explain(&photo, &Quiet).unwrap();
    let preprocess = PreprocessOptions { by_caller: true, ..PreprocessOptions::default() };
    let scores = ScoreFunction::new(|outputs| {
        let &[("scores", scores)] = outputs else { return Err(Error::usage("other outputs")) };
        Ok(scores.to_array()?.iter().copied().collect())
    });
    let options = ExplainOptions { preprocess, score_function: Some(scores), ..options };
    let mut explainer = Explainer::open(&model("quarter"), &options).unwrap();
    let ones = Prepared { photo: photo.clone(), shape: vec![1, 3, 32, 48], values: vec![1.0; 3 * 32 * 48] };
    let found =
        explainer.explain_prepared(std::slice::from_ref(&ones), &Quiet).unwrap().pop().unwrap().unwrap();
    assert_eq!(found.targets[0].class, Some(0));
    assert_eq!(found.targets[0].map, expected.targets[0].map);
    explainer.aim(Targets::All, ClassNames::new(vec!["bright".to_owned(), "dark".to_owned()])).unwrap();
    let found =
        explainer.explain_prepared(std::slice::from_ref(&ones), &Quiet).unwrap().pop().unwrap().unwrap();
    let labels: Vec<&str> = found.targets.iter().map(|target| &*target.label).collect();
    assert_eq!(labels, ["bright", "dark"]);
    // What cannot be is refused, and changes nothing.
    explainer.aim(Targets::Top(3), ClassNames::default()).unwrap_err();
    assert_eq!(explainer.names().name(0), "bright");
    explainer.explain(&photo, &Quiet).unwrap_err();
    let flat = Prepared { shape: vec![1, 3, 48, 32], ..ones };
    explainer.explain_prepared(&[flat], &Quiet).unwrap_err();
    explainer.measure(&found, &found.targets[0], None, &Quiet).unwrap_err();
}

#[test]
fn whoever_waits_can_stop() {
    struct Impatient(Cell<usize>);
    impl Watch for Impatient {
        fn advance(&self, steps: usize) {
            self.0.set(self.0.get() + steps);
        }
        fn stopped(&self) -> bool {
            self.0.get() >= 20
        }
    }
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 48, 32)).unwrap();
    let options = ExplainOptions { black_box: Some(BlackBox::Rise), ..plain() };
    let mut explainer = Explainer::open(&model("quarter"), &options).unwrap();
    let watch = Impatient(Cell::new(0));
    assert!(matches!(explainer.explain(&photo, &watch), Err(Error::Interrupted)));
    assert!(watch.0.get() < 100, "5000 masks were asked for, {} run", watch.0.get());
}

/// With the right map, pixels of the quarter come first: the curves are those of arithmetic.
#[test]
fn insertion_and_deletion_are_those_of_the_definition() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 48, 32)).unwrap();
    let right = Array2::from_shape_fn((32, 48), |(y, x)| if y < 16 && x < 24 { 1.0 } else { 0.0 });
    let options =
        ExplainOptions { mode: xai_insert::explain::Mode::BlackBox, effort: Effort::Speed, ..plain() };
    let mut explainer = Explainer::open(&model("quarter"), &options).unwrap();
    let found = explainer.with_map(&photo, &right, &Quiet).unwrap();
    let metrics = explainer.measure(&found, &found.targets[0], None, &Quiet).unwrap();
    let score = |bright: f64| 1.0 / (1.0 + (4.0 - 8.0 * bright).exp());
    let curve = |inserts: bool| {
        let points = (0..=30u32).map(|step| {
            let kept = f64::from(step * 1536 / 30).min(384.0) / 384.0;
            score(if inserts { kept } else { 1.0 - kept })
        });
        let points: Vec<f64> = points.collect();
        (points.iter().sum::<f64>() - (points[0] + points[30]) / 2.0) / 30.0
    };
    assert!((metrics.insertion.unwrap() - curve(true)).abs() < 1e-4, "{metrics:?}");
    assert!((metrics.deletion.unwrap() - curve(false)).abs() < 1e-4, "{metrics:?}");
    // The quarter alone gives the same score, and it is a quarter.
    assert!(metrics.average_drop.unwrap() < 1e-4, "{metrics:?}");
    assert!((metrics.complexity.unwrap() - 0.25).abs() < 1e-6, "{metrics:?}");
    let parts = [metrics.coherency.unwrap(), 0.75, 1.0 - metrics.average_drop.unwrap()];
    let mean = 3.0 / parts.iter().map(|part| 1.0 / part).sum::<f64>();
    assert!((metrics.adcc.unwrap() - mean).abs() < 1e-6, "{metrics:?}");
}
