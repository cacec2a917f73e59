//! What is explained are class scores, whatever else lies beside them (models of `tests/scores.py`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{made_by, runtime};
use xai_insert::verify::{Outcome as Verdict, VerifyOptions, verify};
use xai_insert::{Destination, Error, Model, Options, Outcome, Task, insert};

/// Inserts and verifies, by meaning too; what is said of it.
fn explained(path: &Path, options: &Options) -> String {
    let model = Model::read(path, None).unwrap();
    match insert(&model, options) {
        Ok(Outcome::Inserted(insertion)) => {
            let out = path.with_file_name("with_a_map.xml");
            insertion.write(&Destination::new(&out, &[path], true).unwrap()).unwrap();
            let report = verify(path, &out, &VerifyOptions::default()).unwrap();
            assert_eq!(report.outcome, Verdict::Passed, "{}\n{report}", path.display());
            assert_eq!(report.meaning.unwrap().outcome, Verdict::Passed);
            insertion.report().to_string()
        }
        Ok(_) => panic!("{} is not inserted into", path.display()),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn refused(path: &Path, options: &Options) -> String {
    let model = Model::read(path, None).unwrap();
    match insert(&model, options) {
        Err(Error::Refused(refusal)) => refusal.to_string(),
        Ok(_) => panic!("{} is not refused", path.display()),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

#[test]
fn what_else_is_known_of_boxes_is_no_class() {
    if !runtime() {
        return;
    }
    let folder = made_by("scores.py");
    let path = |name: &str| folder.path().join(format!("{name}.xml"));
    for (name, classes) in
        [("pose_of_one_class", 1), ("masks_of_texts", 5), ("prototypes_beside_suppression", 5)]
    {
        let said = explained(&path(name), &Options::default());
        assert!(said.contains(&format!("u8[1,{classes},23,23]")), "{name}: {said}");
        assert_eq!(said.matches("\nscale ").count(), 2, "{name}: {said}");
    }
    let detection = Options { task: Some(Task::Detection), ..Options::default() };
    let said = refused(&path("masks_behind_unknown"), &detection);
    assert!(said.contains("before columns 9..15 there are 9"), "{said}");
    let said = refused(&path("prototypes_beside_unknown_suppression"), &Options::default());
    assert!(said.contains("they never were a map"), "{said}");
}

#[test]
fn rows_are_those_of_images() {
    if !runtime() {
        return;
    }
    let folder = made_by("scores.py");
    for name in ["images_and_texts", "texts_and_images"] {
        let path = folder.path().join(format!("{name}.xml"));
        let said = explained(&path, &Options::default());
        assert!(said.contains("explains logits_per_image") && said.contains("u8[1,3,8,12]"), "{said}");
    }
    let path = folder.path().join("texts_and_images.xml");
    let options = Options { output: Some("logits_per_text".to_owned()), ..Options::default() };
    let said = refused(&path, &options);
    assert!(said.contains("a row for each of 'ids', and none for each image"), "{said}");
}
