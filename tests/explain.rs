//! `xai-explain` on models whose answers are known, and on the trained classifier.
//!
//! `scripts/test` installs the runtime and lets these tests fail without it. By themselves they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::explain::*;
use common::{listing, root, runtime, small};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};
use serde_json::Value;
use xai_insert::explain::{
    BlackBox, Effort, ExplainOptions, Explainer, Mode, OutputActivation, Photo, Quiet, Targets, read_map,
};
use xai_insert::{Message, SaliencyType};

#[test]
fn the_cat_is_found_on_the_cat() {
    if !runtime() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let (status, text, err) =
        explain([MOBILENET, CHELSEA, "-o", folder, "--raw", "--targets", "top2", "--ascii"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(text.contains("method     ReciproCAM, white-box"), "{text}");
    assert!(text.contains("mean") || text.contains("(pixel - [123.675"), "{text}");
    let expected = [
        "chelsea.json",
        "chelsea_Egyptian_cat.npy",
        "chelsea_Egyptian_cat_heatmap.png",
        "chelsea_Egyptian_cat_overlay.png",
        "chelsea_tiger_cat.npy",
        "chelsea_tiger_cat_heatmap.png",
        "chelsea_tiger_cat_overlay.png",
        "index.html",
    ];
    assert_eq!(listing(out.path()), expected);
    let overlay = image::open(out.path().join("chelsea_Egyptian_cat_overlay.png")).unwrap();
    assert_eq!((overlay.width(), overlay.height()), (451, 300));
    let figures: Value =
        serde_json::from_slice(&std::fs::read(out.path().join("chelsea.json")).unwrap()).unwrap();
    assert_eq!(figures["best"][0]["label"], "Egyptian cat");
    assert_eq!(figures["targets"][0]["class"], 285);
    let score = figures["targets"][0]["score"].as_f64().unwrap();
    assert!((0.6..0.9).contains(&score), "{score}");
    // Nose and mouth of the cat are below the middle.
    let map = read_map(&out.path().join("chelsea_Egyptian_cat.npy")).unwrap();
    let ((row, column), _) = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    assert_eq!(map.dim(), (7, 7));
    assert!((3..7).contains(&row) && (2..6).contains(&column), "({row}, {column})");
    // A second run needs leave to replace the files; a model read in memory leaves none.
    let (status, _, err) = explain([MOBILENET, CHELSEA, "-o", folder]);
    assert!(status == 2 && err.contains("--overwrite"), "{err}");
    assert_eq!(explain([MOBILENET, CHELSEA, "-o", folder, "--overwrite"]).0, 0);
}

#[test]
fn a_map_of_the_best_classes_is_told_apart() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("m.xml");
    let (source, out) = (small("cnn_static"), written.to_str().unwrap());
    assert_eq!(common::insert([source.to_str().unwrap(), "-o", out, "--targets", "top2"]).0, 0);
    let photo = Photo::read(&root().join(CHELSEA)).unwrap();
    let open = |path: &Path, targets: &str| {
        let targets = targets.parse::<Targets>().unwrap();
        let mut options = ExplainOptions { targets, ..ExplainOptions::default() };
        options.branch.saliency_type = SaliencyType::U8;
        Explainer::open(path, &options).unwrap()
    };
    let whole = open(&source, "top3").explain(&photo, &Quiet).unwrap();
    let second = whole.targets[1].class.unwrap().to_string();
    let found = open(&written, &second).explain(&photo, &Quiet).unwrap();
    assert!(found.targets[0].map.iter().zip(&whole.targets[1].map).all(|(a, b)| (a - b).abs() <= 1.0));
    let third = whole.targets[2].class.unwrap().to_string();
    let error = open(&written, &third).explain(&photo, &Quiet).unwrap_err().to_string();
    assert!(error.contains("2 maps"), "{error}");
}

#[test]
fn black_boxes_are_seen_through() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 48, 32)).unwrap();
    for method in [BlackBox::Rise, BlackBox::Aise] {
        let options = ExplainOptions { black_box: Some(method), effort: Effort::Speed, ..plain() };
        let mut explainer = Explainer::open(&model("quarter"), &options).unwrap();
        let found = explainer.explain(&photo, &Quiet).unwrap();
        let target = &found.targets[0];
        assert_eq!(target.class, Some(0));
        // softmax(8, 4)
        assert!((target.score.unwrap() - 0.982_014).abs() < 1e-4, "{method:?}");
        assert!(in_quarter(&target.map) > 0.8, "{method:?}: {}", in_quarter(&target.map));
    }
}

/// Systems that check names take no such file.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    if !runtime() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(std::ffi::OsStr::from_bytes(b"folder\xff"));
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &[u8]| folder.join(std::ffi::OsStr::from_bytes(name));
    let (xml, photo, out) = (path(b"m\xff.xml"), path(b"p\xff.png"), path(b"out\xff"));
    std::fs::copy(small("cnn_static"), &xml).unwrap();
    std::fs::copy(small("cnn_static").with_extension("bin"), path(b"m\xff.bin")).unwrap();
    std::fs::copy(white(place.path(), 48, 32), &photo).unwrap();
    let args = [
        xml,
        photo,
        "-o".into(),
        out.clone(),
        "--json".into(),
        "--raw".into(),
        "--targets".into(),
        "0".into(),
    ];
    let (status, text, err) = explain(args);
    assert_eq!((status, err.as_str()), (0, ""));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0]["settings"]["model"].as_str().unwrap().ends_with("m\u{fffd}.xml"), "{text}");
    assert!(lines[1]["photo"].as_str().unwrap().ends_with("p\u{fffd}.png"), "{text}");
    assert_eq!(listing(&out).len(), 5, "{:?}", listing(&out));
}

#[test]
fn the_same_seed_gives_the_same_map_with_any_number_of_requests() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let photo = Photo::read(&white(folder.path(), 48, 32)).unwrap();
    let map = |black_box, requests, seed| {
        let mut options = ExplainOptions {
            black_box: Some(black_box),
            effort: Effort::Speed,
            requests: Some(requests),
            ..plain()
        };
        options.rise.seed = seed;
        let mut explainer = Explainer::open(&model("quarter"), &options).unwrap();
        explainer.explain(&photo, &Quiet).unwrap().targets.remove(0).map
    };
    for method in [BlackBox::Rise, BlackBox::Aise] {
        let one = map(method, 1, 3);
        for requests in [1, 2, 5] {
            assert_eq!(one, map(method, requests, 3), "{method:?}, {requests} requests");
        }
    }
    assert_ne!(map(BlackBox::Rise, 2, 3), map(BlackBox::Rise, 2, 4));
}

/// An ONNX model, byte by byte: mean of each channel, then softmax. Message fields are (number, content).
fn onnx() -> Vec<u8> {
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }
    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }
    let node = |input: &str, output: &str, op: &str| {
        field(1, &[field(1, input.as_bytes()), field(2, output.as_bytes()), field(4, op.as_bytes())].concat())
    };
    let value = |place: u8, name: &str, dims: &[u8]| {
        let shape: Vec<u8> = dims.iter().flat_map(|dim| field(1, &number(1, *dim))).collect();
        let tensor = [number(1, 1), field(2, &shape)].concat();
        field(place, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
    };
    let graph = [
        node("image", "pooled", "GlobalAveragePool"),
        node("pooled", "flat", "Flatten"),
        node("flat", "scores", "Softmax"),
        field(2, b"means"),
        value(11, "image", &[1, 3, 8, 8]),
        value(12, "scores", &[1, 3]),
    ];
    let opset = field(8, &[field(1, b""), number(2, 13)].concat());
    let graph = graph.concat();
    let length = [u8::try_from(graph.len() % 128).unwrap() | 128, u8::try_from(graph.len() / 128).unwrap()];
    [number(1, 8), vec![7 << 3 | 2], length.to_vec(), graph, opset].concat()
}

#[test]
fn other_files_are_converted_or_black_boxes() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("means.onnx");
    std::fs::write(&path, onnx()).unwrap();
    let photo = folder.path().join("red.png");
    RgbImage::from_pixel(8, 8, Rgb([255, 0, 0])).save(&photo).unwrap();
    let e = 1f32.exp();
    for mode in [Mode::Auto, Mode::BlackBox] {
        let options = ExplainOptions { mode, effort: Effort::Speed, ..plain() };
        let mut explainer = Explainer::open(&path, &options).unwrap();
        let expected = if mode == Mode::Auto { "white-box" } else { "black-box" };
        assert_eq!((explainer.settings().mode, explainer.settings().model.as_path()), (expected, &*path));
        let found = explainer.explain(&Photo::read(&photo).unwrap(), &Quiet).unwrap();
        let converted =
            |note: &Message| note.to_string().contains("means.onnx was converted to OpenVINO IR by ");
        assert_eq!(explainer.settings().notes.iter().any(converted), mode == Mode::Auto);
        // The values are scores already, and are not put through softmax a second time.
        assert_eq!(explainer.settings().activation, Some(OutputActivation::None));
        assert!((found.targets[0].score.unwrap() - e / (e + 2.0)).abs() < 1e-4);
        assert_eq!(found.targets[0].class, Some(0));
    }
    let args = [path.to_str().unwrap(), photo.to_str().unwrap(), "--json"];
    let (status, _, err) = explain([&args[..], &["--weights", "means.bin"]].concat());
    assert!(
        status == 2 && err.contains("means.bin is named as the BIN of an OpenVINO IR (.xml), and "),
        "{err}"
    );
    // What is none of these is said to be none.
    std::fs::write(&path, b"ONNX").unwrap();
    let (status, _, err) =
        explain([path.to_str().unwrap(), photo.to_str().unwrap(), "--json", "--mode", "white-box"]);
    assert!(status == 2 && err.contains("cannot read") && err.contains("means.onnx"), "{err}");
    let (status, _, err) = common::insert([path.to_str().unwrap(), "--dry-run"]);
    assert!(status == 2 && err.contains("is ONNX, no OpenVINO IR; convert it first: `ovc "), "{err}");
}

#[test]
fn a_model_without_a_branch_goes_on_as_a_black_box() {
    if !runtime() {
        return;
    }
    let args = ["fixtures/small/mlp_only.xml", CHELSEA, "--json", "--effort", "speed"];
    let (status, out, err) = explain(args);
    if err.contains("does not take an image") {
        assert_eq!(status, 2);
        return;
    }
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("black-box mode, because there is no ReciproCAM"), "{out}");
    let (status, _, err) = explain([&args[..], &["--mode", "white-box"]].concat());
    assert!(status == 1 && err.contains("no ReciproCAM"), "{err}");
}

#[test]
fn pictures_of_all_kinds_are_explained_and_what_is_none_is_named() {
    if !runtime() {
        return;
    }
    let (photos, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let save = |name: &str, picture: DynamicImage| picture.save(photos.path().join(name)).unwrap();
    save("a_grey.png", GrayImage::from_fn(30, 20, |x, _| Luma([byte(x * 8)])).into());
    save("b_alpha.png", ImageBuffer::from_pixel(20, 30, Rgba([9u8, 99, 200, 128])).into());
    save("c_deep.png", ImageBuffer::from_pixel(20, 30, Rgb([9u16, 999, 60000])).into());
    save("d_colour.jpg", RgbImage::from_pixel(64, 48, Rgb([9, 99, 200])).into());
    save("e_palette.gif", RgbImage::from_pixel(12, 12, Rgb([9, 99, 200])).into());
    std::fs::write(photos.path().join("f_broken.png"), b"no image").unwrap();
    std::fs::write(photos.path().join("readme.txt"), b"left alone").unwrap();
    let (folder, nothing) = (photos.path().to_str().unwrap(), "nothing/here.jpg");
    let source = small("cnn_batch4");
    let args = [source.to_str().unwrap(), folder, nothing, CHELSEA, "-o", out.path().to_str().unwrap()];
    let (status, text, err) = explain(args);
    assert_eq!(status, 2);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert!(lines[0].contains(nothing) && lines[1].contains("f_broken.png"), "{err}");
    assert_eq!(text.matches(" -> ").count(), 6, "{text}");
    let overlays = listing(out.path()).into_iter().filter(|name| name.ends_with("_overlay.png")).count();
    assert_eq!(overlays, 6);
    let page = std::fs::read_to_string(out.path().join("index.html")).unwrap();
    assert_eq!(page.matches("<article").count(), 6);
    for outside in ["http:", "https:", "src=\"/", "@import", "url("] {
        assert!(!page.contains(outside), "the page is not self-contained: {outside}");
    }
}

/// Of models that are made here; `tests/cases/explain` has others.
#[test]
fn more_classes_than_anybody_looks_at_are_not_explained_unasked() {
    if !runtime() {
        return;
    }
    // A sigmoid of what a softmax was trained for: hundreds of classes count.
    let options = ExplainOptions { activation: Some(OutputActivation::Sigmoid), ..plain() };
    let photo = Photo::read(&root().join(CHELSEA)).unwrap();
    let mut explainer = Explainer::open(&root().join(MOBILENET), &options).unwrap();
    let found = explainer.explain(&photo, &Quiet).unwrap();
    let note = found.note.unwrap().to_string();
    assert!(
        found.targets.len() == 25 && note.contains("classes have a score of 0.5 or more; the best 25"),
        "{note}"
    );
    let count = note.split(' ').next().unwrap();
    assert!(note.ends_with(&format!("see `threshold` and `targets: top{count}`")), "{note}");
}

#[test]
fn a_folder_that_stays_empty_is_gone_again() {
    if !runtime() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("pictures");
    let out = out.to_str().unwrap();
    for (model, more) in [
        (MOBILENET, &["--targets", "unicorn"][..]),
        (MOBILENET, &["--targets", "pred,3"]),
        ("fixtures/small/segmentation.xml", &[]),
    ] {
        let (status, _, err) = explain([&[model, CHELSEA, "-o", out], more].concat());
        assert!(status != 0 && !Path::new(out).exists(), "{model} {more:?}: {err}");
    }
    let (status, _, err) = explain(["fixtures/small/segmentation.xml", CHELSEA, "-o", out]);
    assert!(status == 1 && err.contains("has height and width; models for segmentation"), "{err}");
    // What is advised works: a black box would not.
    let (status, _, white) =
        explain(["fixtures/small/segmentation.xml", CHELSEA, "-o", out, "--mode", "white-box"]);
    assert!(status == 1 && !white.contains("--mode"), "{white}");
    assert!(
        err.contains(
            "no output holds class scores [N, classes] or boxes, as a black box needs: 'scores' f32"
        ),
        "{err}"
    );
}

#[test]
fn bad_input_is_one_clear_line_and_status_2() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "one\ntwo\nthree\n").unwrap();
    let labels = labels.to_str().unwrap();
    let cases: [(&str, &[&str], &str); 3] = [
        ("vector", &[], "does not take an image"),
        ("nan", &[], "NaN"),
        ("quarter", &["--labels", labels], "3 labels, but the model has 2 classes"),
    ];
    for (name, options, expected) in cases {
        let path = model(name);
        let (status, _, err) = explain([&[path.to_str().unwrap(), CHELSEA, "--json"], options].concat());
        assert_eq!(status, 2, "{name} {options:?}: {err}");
        assert!(err.contains(expected), "{name} {options:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{name} {options:?}: {err}");
    }
}

/// Ctrl-C while the second photo is at work: the first one's pictures stay, and nothing half done.
#[cfg(unix)]
#[test]
fn an_interrupted_run_keeps_what_is_finished() {
    use std::io::BufRead as _;
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (white(folder.path(), 48, 32), white(folder.path(), 49, 32));
    let out = folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_xai-explain"))
        .args([model("quarter"), first, second, PathBuf::from("-o"), out.clone()])
        .args(["--method", "rise", "--masks", "3000", "--preset", "none"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains(" -> ")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let names = listing(&out);
    assert_eq!(names.iter().filter(|name| name.ends_with(".png")).count(), 2, "{names:?}");
    assert!(names.contains(&"index.html".to_owned()) && names.len() == 3, "{names:?}");
}
