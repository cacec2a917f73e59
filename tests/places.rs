//! Maps lie over what they are of, wherever a model has moved its input (models of `tests/places.py`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]
#![cfg(feature = "explain")]

mod common;

use std::path::{Path, PathBuf};

use common::{each, made_by, runtime};
use xai_insert::explain::{ExplainOptions, Explainer, Photo, Prepared, Quiet, Targets};
use xai_insert::verify::{Outcome as Verdict, VerifyOptions, verify};
use xai_insert::{Destination, Error, Model, Options, Outcome, Report, insert};

/// Height and width of the input, and the rows and columns of it that are white.
const SIZE: (usize, usize) = (48, 96);
const WHITE: (std::ops::Range<usize>, std::ops::Range<usize>) = (8..16, 72..92);

fn inserted(path: &Path, options: &Options) -> Report {
    let model = Model::read(path, None).unwrap();
    match insert(&model, options).unwrap() {
        Outcome::Inserted(insertion) => {
            let out = path.with_file_name("with_a_map.xml");
            insertion.write(&Destination::new(&out, &[path], true).unwrap()).unwrap();
            let report = verify(path, &out, &VerifyOptions::default()).unwrap();
            assert_eq!(report.outcome, Verdict::Passed, "{}\n{report}", path.display());
            assert!(report.place.figures.as_ref().unwrap().share > 0.95, "{report}");
            insertion.report().clone()
        }
        other => panic!("{other:?}"),
    }
}

/// Where the largest value of the map over the photo is, in the middle of all that are as large.
fn peak(path: &Path, options: ExplainOptions) -> (usize, usize) {
    let photo = path.with_extension("png");
    let white = |x: u32, y: u32| WHITE.0.contains(&(y as usize)) && WHITE.1.contains(&(x as usize));
    let pixel = |x, y| image::Rgb([if white(x, y) { 255u8 } else { 0 }; 3]);
    image::RgbImage::from_fn(SIZE.1 as u32, SIZE.0 as u32, pixel).save(&photo).unwrap();
    let mut explainer = Explainer::open(path, &options).unwrap();
    let input = explainer.settings().input.clone();
    let shape = input.shape();
    let last = input.channels_last;
    let white = |i: usize| {
        let (row, column) =
            if last { (i / 3 / SIZE.1, i / 3 % SIZE.1) } else { (i / SIZE.1 % SIZE.0, i % SIZE.1) };
        if WHITE.0.contains(&row) && WHITE.1.contains(&column) { if last { 255.0 } else { 1.0 } } else { 0.0 }
    };
    let values = (0..shape.iter().product()).map(white).collect();
    let prepared = Prepared { photo: Photo::read(&photo).unwrap(), shape: shape.to_vec(), values };
    let explanation = explainer.explain_prepared(&[prepared], &Quiet).unwrap().pop().unwrap().unwrap();
    let target = explanation.targets.iter().find(|target| target.class == Some(0)).unwrap();
    let map = explanation.over_photo(&target.map);
    assert_eq!(map.dim(), SIZE);
    let most = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let peaks: Vec<_> =
        map.indexed_iter().filter(|(_, value)| **value > most - 0.5).map(|(at, _)| at).collect();
    peaks[peaks.len() / 2]
}

#[test]
fn maps_lie_over_what_they_are_of() {
    if !runtime() {
        return;
    }
    let folder = made_by("places.py");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    paths.sort();
    assert!(paths.len() > 15);
    each(
        paths.into_iter().map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)),
        |name, path| {
            inserted(path, &Options::default());
            if name == "two_images" {
                // Pictures are made of models with one input.
                return;
            }
            let mut options = ExplainOptions::default();
            options.preprocess.by_caller = true;
            options.preprocess.size = Some(SIZE);
            options.targets = Targets::All;
            let (row, column) = peak(path, options);
            assert!(WHITE.0.contains(&row) && WHITE.1.contains(&column), "{name}: ({row}, {column})");
        },
    );
}

fn notes(report: &Report) -> String {
    report.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn branches_are_told_and_can_be_chosen() {
    if !runtime() {
        return;
    }
    let folder = made_by("places.py");
    let path = |name: &str| folder.path().join(name).with_extension("xml");
    let target = |report: &Report| match &report.subject {
        xai_insert::report::SubjectReport::Scores(scores) => scores.target.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    // One of two branches: said, and the other one by its name.
    let report = inserted(&path("with_its_mirror_image"), &Options::default());
    let taken = target(&report);
    let [other] = &taken.beside[..] else { panic!("{taken:?}") };
    assert!(notes(&report).contains(&format!("others pass beside it and end at '{other}'")), "{report}");
    let options = Options { target_layers: vec![other.clone()], ..Options::default() };
    let chosen = target(&inserted(&path("with_its_mirror_image"), &options));
    let mirrored = [taken.place.unwrap().reversed[1], chosen.place.unwrap().reversed[1]];
    assert!(mirrored.contains(&true) && mirrored.contains(&false), "{mirrored:?}");

    // Where both are joined already, a position has no place: the map is of a branch before.
    let report = inserted(&path("joined_with_its_mirror_image"), &Options::default());
    assert!(notes(&report).contains("runs along the image in different directions"), "{report}");
    let back = inserted(&path("mirrored_back"), &Options::default());
    assert!(back.notes.is_empty() && target(&back).cut, "{back}");

    // Two images: each by its name.
    for input in ["left", "right"] {
        let options = Options { input: Some(input.to_owned()), ..Options::default() };
        let report = inserted(&path("two_images"), &options);
        assert_eq!(target(&report).place.unwrap().input.as_deref(), Some(input), "{report}");
    }
    let model = Model::read(&path("two_images"), None).unwrap();
    let wrong = insert(&model, &Options { input: Some("middle".to_owned()), ..Options::default() });
    let Err(Error::Usage(message)) = wrong else { panic!("{wrong:?}") };
    assert_eq!(message.to_string(), "no input 'middle'; the model has 'left', 'right'");
}
