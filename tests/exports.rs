//! Models as exporters write them (`tests/exports.py`) are inserted into, and their maps are right.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{made_by, runtime};
use xai_insert::verify::{Outcome as Verdict, ShapeOverride, VerifyOptions, verify};
use xai_insert::{Destination, Error, Given, InputShape, Method, Model, Options, Outcome, insert, remove};

/// Inserts and verifies under a shape that the file leaves open; the method and the XML.
fn explained(path: &Path, given: &Given, shape: Option<Vec<usize>>) -> (Method, String) {
    let model = Model::read(path, None).unwrap().given(given).unwrap();
    let Outcome::Inserted(insertion) = insert(&model, &Options::default()).unwrap() else {
        panic!("{} is not inserted into", path.display())
    };
    let out = path.with_file_name("with_a_map.xml");
    insertion.write(&Destination::new(&out, &[path], true).unwrap()).unwrap();
    let shapes = shape.into_iter().map(|dims| ShapeOverride { name: None, dims }).collect();
    let report = verify(path, &out, &VerifyOptions { shapes, ..VerifyOptions::default() }).unwrap();
    assert_eq!(report.outcome, Verdict::Passed, "{}\n{report}", path.display());
    assert_eq!(report.saliency.outcome, Verdict::Passed, "{}", path.display());
    (insertion.report().method, String::from_utf8(insertion.xml().to_vec()).unwrap())
}

fn refused(path: &Path) -> String {
    let model = Model::read(path, None).unwrap();
    match insert(&model, &Options::default()) {
        Err(Error::Refused(refusal)) => refusal.to_string(),
        Ok(_) => panic!("{} is not refused", path.display()),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

#[test]
fn each_way_of_writing_is_understood() {
    if !runtime() {
        return;
    }
    let folder = made_by("exports.py");
    let open = || Some(vec![2, 3, 32, 48]);
    for (name, shape, method) in [
        ("tokens_first_of_any_shape", open(), Method::VitReciproCam),
        ("tokens_first_of_one_sample", None, Method::VitReciproCam),
        ("sums_of_products", None, Method::VitReciproCam),
        ("sums_of_products_of_keras", None, Method::VitReciproCam),
        // 4x6 patches make a window and a half; 5x7 have to be padded both ways.
        ("windows_of_any_shape", open(), Method::ReciproCam),
        ("windows_of_any_shape", Some(vec![1, 3, 40, 56]), Method::ReciproCam),
        ("read_in_steps", None, Method::ReciproCam),
        ("stacked_heads", None, Method::ReciproCam),
    ] {
        let path = folder.path().join(format!("{name}.xml"));
        assert_eq!(explained(&path, &Given::default(), shape).0, method, "{name}");
    }
}

#[test]
fn layers_that_are_written_otherwise_stay_in_the_file() {
    if !runtime() {
        return;
    }
    let folder = made_by("exports.py");
    let path = folder.path().join("sums_of_products.xml");
    let original = std::fs::read(&path).unwrap();
    let (_, xml) = explained(&path, &Given::default(), None);
    assert_eq!(xml.matches("type=\"Einsum\"").count(), 4, "the original's");
    let branch = Model::read(&path.with_file_name("with_a_map.xml"), None).unwrap();
    assert_eq!(remove(&branch).unwrap().0, original);
}

#[test]
fn patches_have_the_rows_that_are_said() {
    if !runtime() {
        return;
    }
    let folder = made_by("exports.py");
    let path = folder.path().join("patches_as_input.xml");
    let said = refused(&path);
    assert!(said.contains("`grid`"), "{said}");
    let given = Given { grid: Some((4, 6)), ..Given::default() };
    let model = Model::read(&path, None).unwrap().given(&given).unwrap();
    let Outcome::Inserted(insertion) = insert(&model, &Options::default()).unwrap() else { panic!() };
    assert!(insertion.report().to_string().contains("u8[?,7,4,6]"), "{}", insertion.report());
    let out = path.with_file_name("with_a_map.xml");
    insertion.write(&Destination::new(&out, &[&path], true).unwrap()).unwrap();
    let report = verify(&path, &out, &VerifyOptions::default()).unwrap();
    // Patches lie where the user knows; their maps are what they should be.
    assert_eq!(report.saliency.outcome, Verdict::Passed);
    assert_eq!(report.outputs.outcome, Verdict::Passed);
}

#[test]
fn a_size_that_the_file_leaves_open_is_given_or_kept() {
    if !runtime() {
        return;
    }
    let folder = made_by("exports.py");
    let path = folder.path().join("grid_by_size_alone.xml");
    let said = refused(&path);
    assert!(said.contains("`input_shape: image[?,3,224,224]`"), "{said}");
    let shapes = InputShape::parse_list("[1,3,224,224]").unwrap();
    for reshape in [false, true] {
        let given = Given { shapes: shapes.clone(), reshape, grid: None };
        let (method, xml) = explained(&path, &given, None);
        let shape = if reshape { "shape=\"1,3,224,224\"" } else { "shape=\"?,3,?,?\"" };
        assert!(method == Method::ReciproCam && xml.contains(shape), "{shape}");
    }
    let lacking = Given { reshape: true, ..Given::default() };
    assert!(Model::read(&path, None).unwrap().given(&lacking).is_err());
}
