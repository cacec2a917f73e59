//! Answers are read as whoever exported the model meant them (models of `tests/answers.py`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};

use common::explain::{CHELSEA, explain};
use common::{made_by, root, runtime};
use xai_insert::explain::{
    AnyMethod, BlackBox, Effort, ExplainOptions, Explainer, Explanation, Mode, Origin, OutputActivation,
    Photo, Preset, Quiet, Targets,
};
use xai_insert::verify::{Outcome as Verdict, Report, VerifyOptions, verify};
use xai_insert::{Destination, Model, Options, Outcome, insert};

/// The models, and the photo that they are asked about.
struct Asked {
    folder: tempfile::TempDir,
    photo: Photo,
}

impl Asked {
    fn new() -> Option<Self> {
        runtime().then(|| Self {
            folder: made_by("answers.py"),
            photo: Photo::read(&root().join(CHELSEA)).unwrap(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.xml"))
    }

    fn explained(&self, name: &str, options: &ExplainOptions) -> (Explainer, Explanation) {
        let mut explainer = Explainer::open(&self.path(name), options).unwrap();
        let found = explainer.explain(&self.photo, &Quiet).unwrap();
        (explainer, found)
    }
}

fn labels(found: &Explanation) -> Vec<&str> {
    found.targets.iter().map(|target| target.label.as_str()).collect()
}

fn varies(found: &Explanation) -> bool {
    found.targets.iter().all(|target| {
        let least = target.map.iter().copied().fold(f32::INFINITY, f32::min);
        target.map.iter().any(|value| *value > least)
    })
}

fn black_box(method: BlackBox) -> ExplainOptions {
    let mut options = ExplainOptions { effort: Effort::Speed, ..ExplainOptions::default() };
    (options.rise.masks, options.aise.iterations) = (Some(60), Some(5));
    options.choose(AnyMethod::BlackBox(method));
    options
}

#[test]
fn one_number_is_what_it_is_or_a_probability() {
    let Some(asked) = Asked::new() else { return };
    let plain = ExplainOptions::default();
    let (explainer, logit) = asked.explained("logit", &plain);
    assert_eq!(explainer.settings().activation, Some(OutputActivation::None));
    let number = logit.targets[0].score.unwrap();
    assert!(number < 0.0 && logit.note.is_none(), "{number}");
    let sigmoid = 1.0 / (1.0 + (-number).exp());
    for (name, label, expected) in
        [("squeezed", "class 0", number), ("probability", "class 0", sigmoid), ("yes_or_no", "yes", sigmoid)]
    {
        let (explainer, found) = asked.explained(name, &plain);
        assert_eq!((explainer.settings().mode, labels(&found)), ("white-box", vec![label]), "{name}");
        let score = found.targets[0].score.unwrap();
        assert!((score - expected).abs() < 1e-4, "{name}: {score} for {expected}");
        assert_eq!(found.targets[0].map, logit.targets[0].map, "{name}: they explain the same number");
    }
    // Of no and yes, the threshold says which of them is meant.
    let (explainer, no) = asked.explained("yes_or_no", &plain);
    assert_eq!(explainer.settings().threshold.unwrap().least, 0.5);
    assert!(no.note.unwrap().to_string().starts_with("the answer is 'no', as 'yes' has less than 0.5"));
    let lower = ExplainOptions { threshold: Some(0.01), ..ExplainOptions::default() };
    assert_eq!(asked.explained("yes_or_no", &lower).1.note, None);
    let wanted = ExplainOptions { targets: "no".parse().unwrap(), ..ExplainOptions::default() };
    let error = Explainer::open(&asked.path("yes_or_no"), &wanted).unwrap_err().to_string();
    assert!(error.starts_with("'no' is what is left where 'yes' is not"), "{error}");
    for method in [BlackBox::Rise, BlackBox::Aise] {
        for name in ["logit", "squeezed", "yes_or_no"] {
            let (_, found) = asked.explained(name, &black_box(method));
            assert!(varies(&found), "{method:?} of {name} is flat");
        }
    }
}

#[test]
fn model_info_says_what_is_predicted() {
    let Some(asked) = Asked::new() else { return };
    let (explainer, found) = asked.explained("multilabel", &ExplainOptions::default());
    let threshold = explainer.settings().threshold.unwrap();
    assert_eq!((threshold.least, threshold.source), (0.3, Origin::ModelInfo));
    assert_eq!(explainer.settings().activation, Some(OutputActivation::Sigmoid));
    assert_eq!(labels(&found), ["car", "cat"]);
    assert!(found.targets.iter().all(|target| target.score.unwrap() > 0.8));
    let options = ExplainOptions { threshold: Some(0.99), ..ExplainOptions::default() };
    let (_, found) = asked.explained("multilabel", &options);
    assert_eq!(labels(&found), ["car"]);
    assert!(found.note.unwrap().to_string().starts_with("no class has a score of 0.99 or more"));

    let (explainer, found) = asked.explained("hierarchical", &ExplainOptions::default());
    assert_eq!(explainer.settings().activation, Some(OutputActivation::Hierarchical));
    assert_eq!(labels(&found), ["cat", "white"]);
    assert!(found.targets.iter().all(|target| target.score.unwrap() > 0.9));
    // Heads give their best whatever the threshold, and the settings say so.
    let high = ExplainOptions { threshold: Some(0.999), ..ExplainOptions::default() };
    let (explainer, found) = asked.explained("hierarchical", &high);
    assert_eq!(labels(&found), ["cat", "white"]);
    assert!(explainer.settings().to_string().contains("head, whose best counts whatever its score"));
    let soft = ExplainOptions { activation: Some(OutputActivation::Softmax), ..ExplainOptions::default() };
    assert_eq!(labels(&asked.explained("hierarchical", &soft).1).len(), 1);
    let hierarchical = ExplainOptions { activation: Some(OutputActivation::Hierarchical), ..soft };
    let error = Explainer::open(&asked.path("logit"), &hierarchical).unwrap_err().to_string();
    assert!(error.contains("has no hierarchical_config"), "{error}");
}

#[test]
fn the_best_of_all_scores_are_scores() {
    let Some(asked) = Asked::new() else { return };
    let (_, five) = asked.explained("best_five", &ExplainOptions::default());
    for name in ["best_three", "best_five"] {
        let (explainer, found) = asked.explained(name, &ExplainOptions::default());
        assert_eq!((explainer.settings().mode, labels(&found)), ("white-box", vec!["class 1"]), "{name}");
        assert!((found.targets[0].score.unwrap() - five.targets[0].score.unwrap()).abs() < 1e-5);
        assert_eq!(found.targets[0].map, five.targets[0].map);
        let (_, boxed) = asked.explained(name, &black_box(BlackBox::Rise));
        assert!(varies(&boxed), "{name}");
        let (path, out) = (asked.path(name), asked.path("with_a_map"));
        verified(&path, &out);
    }
    let all = ExplainOptions { targets: Targets::All, ..ExplainOptions::default() };
    let (_, three) = asked.explained("best_three", &all);
    let scores: Vec<f32> = three.targets.iter().map(|target| target.score.unwrap()).collect();
    assert_eq!(scores.iter().filter(|score| **score > 0.0).count(), 3, "{scores:?}");
}

fn verified(path: &Path, out: &Path) -> Report {
    let model = Model::read(path, None).unwrap();
    let Ok(Outcome::Inserted(insertion)) = insert(&model, &Options::default()) else {
        panic!("{}", path.display())
    };
    insertion.write(&Destination::new(out, &[path], true).unwrap()).unwrap();
    let report = verify(path, out, &VerifyOptions::default()).unwrap();
    assert_eq!(report.outcome, Verdict::Passed, "{}\n{report}", path.display());
    assert_eq!(report.meaning.as_ref().unwrap().outcome, Verdict::Passed);
    report
}

#[test]
fn detectors_say_which_classes_they_see_and_where() {
    let Some(asked) = Asked::new() else { return };
    let (explainer, found) = asked.explained("ultralytics", &ExplainOptions::default());
    let settings = explainer.settings();
    assert_eq!(settings.preprocessing.reverse_channels_source, Origin::Ultralytics);
    assert!(!settings.preprocessing.reverse_channels && settings.mode == "white-box");
    // What comes out of the graph is what a reader of the model's output finds.
    let black = ExplainOptions { targets: Targets::Top(1), ..black_box(BlackBox::Aise) };
    let (_, boxed) = asked.explained("ultralytics", &black);
    let (ours, theirs) = (&found.targets[0], &boxed.targets[0]);
    assert_eq!((ours.class, ours.corners), (theirs.class, theirs.corners));
    assert!((ours.score.unwrap() - theirs.score.unwrap()).abs() < 1e-3);
    assert!(ours.corners.is_some() && found.best.len() == 3 && varies(&boxed));
    let options = ExplainOptions { threshold: Some(0.9), ..ExplainOptions::default() };
    let (_, nothing) = asked.explained("ultralytics", &options);
    let named = format!("no object with a score of 0.9 or more; the best: {} 0.", found.best[0].label);
    assert!(nothing.targets.is_empty() && nothing.note.unwrap().to_string().starts_with(&named));
}

#[test]
fn of_several_lists_of_scores_the_others_are_named() {
    let Some(asked) = Asked::new() else { return };
    let model = Model::read(&asked.path("two_lists"), None).unwrap();
    let Outcome::Inserted(insertion) = insert(&model, &Options::default()).unwrap() else { panic!() };
    let said = insertion.report().notes[0].to_string();
    assert_eq!(said, "several outputs can be explained; the others are 'colours' (choose with `output`)");
    let (explainer, _) = asked.explained("two_lists", &black_box(BlackBox::Aise));
    let said = explainer.settings().notes[0].to_string();
    assert_eq!(said, "several outputs hold scores; 'animals' is explained (choose with `output`)");
    let mut named = black_box(BlackBox::Aise);
    named.branch.output = Some("colours".to_owned());
    let (explainer, found) = asked.explained("two_lists", &named);
    assert_eq!((explainer.settings().explains.as_str(), found.best.len()), ("colours", 3));
}

#[test]
fn embeddings_are_no_class_scores_unless_they_are_named() {
    let Some(asked) = Asked::new() else { return };
    for name in ["embedding_by_operation", "embedding_by_its_length", "embedding_written_out"] {
        let path = asked.path(name);
        let model = Model::read(&path, None).unwrap();
        let error = insert(&model, &Options::default()).unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains("it is divided by its own length"),
            "{error}"
        );
        let named = Options { output: Some("embedding".to_owned()), ..Options::default() };
        let Outcome::Inserted(_) = insert(&model, &named).unwrap() else { panic!("{name}") };
        for mode in [Mode::Auto, Mode::BlackBox] {
            let options = ExplainOptions { mode, ..ExplainOptions::default() };
            let error = Explainer::open(&path, &options).unwrap_err();
            assert!(error.is_refusal(), "{name}: {error}");
            assert!(error.to_string().contains("as embeddings are"), "{name}: {error}");
        }
        let options = ExplainOptions { branch: named, ..ExplainOptions::default() };
        assert_eq!(Explainer::open(&path, &options).unwrap().settings().explains, "embedding");
    }
    let (explainer, _) = asked.explained("shares", &ExplainOptions::default());
    assert_eq!((explainer.settings().mode, explainer.settings().explains.as_str()), ("white-box", "shares"));
}

#[test]
fn what_only_scores_can_say_is_asked_before_settings_are_shown() {
    let Some(asked) = Asked::new() else { return };
    let mut explainer = Explainer::open(&asked.path("queries"), &black_box(BlackBox::Aise)).unwrap();
    assert!(!explainer.is_settled() && explainer.settings().activation.is_none());
    explainer.settle(&asked.photo).unwrap();
    assert!(explainer.is_settled());
    assert!(explainer.settings().to_string().contains("explains   logits (softmax is applied)"));
    let (status, out, err) =
        explain([asked.path("queries").to_str().unwrap(), CHELSEA, "--ascii", "--effort", "speed"]);
    assert!(status == 0 && out.contains("logits (softmax is applied)"), "{out}{err}");
    assert!(out.contains("(3 more with --mode white-box)"), "{out}");
}

#[test]
fn no_object_is_not_explained_unasked() {
    let Some(asked) = Asked::new() else { return };
    let (explainer, found) = asked.explained("background_first", &ExplainOptions::default());
    assert_eq!(explainer.settings().mode, "white-box");
    let said: Vec<String> = explainer.settings().notes.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|note| note.starts_with("'no object' has nearly all")), "{said:?}");
    assert!(found.targets.len() == 4 && !labels(&found).contains(&"no object"), "{:?}", labels(&found));
    assert_eq!(found.targets[0].label, "car");
    let asked_for = ExplainOptions { targets: "0".parse().unwrap(), ..ExplainOptions::default() };
    assert_eq!(asked.explained("background_first", &asked_for).1.targets[0].class, Some(0));
    let (explainer, found) = asked.explained("queries", &black_box(BlackBox::Aise));
    assert_eq!(explainer.settings().activation, Some(OutputActivation::Softmax));
    assert_eq!(labels(&found), ["dog"]);
}

/// Weight compression keeps one chain of weight, Convert, Subtract and Multiply for each reader; the branch has its own.
#[test]
fn compressed_weights_stay_as_they_are() {
    let Some(asked) = Asked::new() else { return };
    for name in ["compressed_u8", "compressed_u4", "compressed_i8", "compressed_i4"] {
        let report = verified(&asked.path(name), &asked.path("with_a_map"));
        let outputs = report.outputs.figures.unwrap();
        assert_eq!((outputs.identical, outputs.largest_difference), (outputs.values, 0.0), "{name}");
    }
}

#[test]
fn state_is_that_of_the_beginning_in_each_inference() {
    let Some(asked) = Asked::new() else { return };
    verified(&asked.path("stateful"), &asked.path("with_a_map"));
    let one_request = |mut options: ExplainOptions| {
        options.requests = Some(1);
        options
    };
    for options in
        [ExplainOptions::default(), one_request(black_box(BlackBox::Rise)), black_box(BlackBox::Aise)]
    {
        let (mut explainer, first) = asked.explained("stateful", &options);
        let again = explainer.explain(&asked.photo, &Quiet).unwrap();
        assert_eq!(first.targets[0].score, again.targets[0].score);
        assert_eq!(first.targets[0].map, again.targets[0].map);
        assert!(varies(&first));
        let mut several = options.clone();
        several.requests = Some(3);
        let (_, side_by_side) = asked.explained("stateful", &several);
        assert_eq!(first.targets[0].map, side_by_side.targets[0].map);
    }
}

#[test]
fn settings_without_effect_are_said() {
    let Some(asked) = Asked::new() else { return };
    let mut options = ExplainOptions { threshold: Some(0.2), ..ExplainOptions::default() };
    options.branch.saliency_size = (7, 7);
    options.branch.block = 2;
    options.rise.masks = Some(9);
    let said = |options: &ExplainOptions| -> Vec<String> {
        let explainer = Explainer::open(&asked.path("best_three"), options).unwrap();
        let notes = explainer.settings().notes.iter().map(ToString::to_string);
        let idle = notes.filter(|note| note.contains("has no effect"));
        idle.map(|note| note.split('`').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(said(&options), ["saliency_size", "block", "threshold", "masks"]);
    options.mode = Mode::BlackBox;
    assert_eq!(said(&options), ["threshold", "masks", "block", "saliency_size"]);
    options.black_box = Some(BlackBox::Rise);
    assert_eq!(said(&options), ["threshold", "block", "saliency_size"]);
    let plain = ExplainOptions::default();
    assert!(said(&plain).is_empty());
    assert!(plain.preprocess.preset != Some(Preset::None));
    let model = asked.path("best_three");
    let arguments = [model.to_str().unwrap(), CHELSEA, "--ascii", "--colours", "jet", "--no-caption"];
    let (status, out, _) = explain(arguments);
    assert!(status == 0 && out.contains("--colours has no effect: nothing is drawn"), "{out}");
}
