//! Bad input: exit status 2, a message that names layer, port or byte, nothing written, and no panic.
//!
//! `tests/malformed/*.xml` are small files with a comment that says what is wrong; what would be too large for
//! a file is made here. The BIN of all of them is 64 bytes of zeros.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{each, insert, listing, root};
use insta::{Settings, assert_snapshot};

/// A small sound model; the tests below damage it.
const SOUND: &str = r#"<net name="m" version="11"><layers>
<layer id="0" name="image" type="Parameter" version="opset1"><output><port id="0" precision="FP32"><dim>1</dim><dim>3</dim></port></output></layer>
<layer id="1" name="result" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>1</dim><dim>3</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0" /></edges></net>"#;

/// Runs on `model`; returns the message, in which the folder of the model is `DIR`.
fn complaint(model: &Path, more: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let result = out.path().join("out.xml");
    let started = Instant::now();
    let args = [model.to_str().unwrap(), "-o", result.to_str().unwrap()];
    let (status, said, err) = insert(args.iter().chain(more));
    assert_eq!((status, &*said), (2, ""), "{err}");
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    assert_eq!(listing(out.path()), Vec::<String>::new(), "something was written");
    let err = err.replace(out.path().to_str().unwrap(), "OUT");
    err.replace(model.parent().unwrap().to_str().unwrap(), "DIR")
}

fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// A folder with `model.xml` and, where given, `model.bin`.
fn model(xml: &[u8], bin: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.xml"), xml).unwrap();
    if let Some(bin) = bin {
        fs::write(folder.path().join("model.bin"), bin).unwrap();
    }
    folder
}

#[test]
fn the_sound_model_is_no_bad_input() {
    let folder = model(SOUND.as_bytes(), None);
    let (status, _, err) = insert([folder.path().join("model.xml").to_str().unwrap(), "--dry-run"]);
    // Nothing in it has height and width: a refusal.
    assert_eq!(status, 1, "{err}");
}

#[test]
fn malformed_files() {
    let mut files: Vec<_> = fs::read_dir(root().join("tests/malformed"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    assert!(files.len() > 40, "files are missing");
    let cases = files.iter().map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
    settings().bind(|| {
        each(cases, |name, path| {
            let bytes = fs::read(path).unwrap();
            assert!(bytes.starts_with(b"<!--"), "say in a comment what is wrong");
            let folder = model(&bytes, Some(&[0; 64]));
            assert_snapshot!(format!("malformed_{name}"), complaint(&folder.path().join("model.xml"), &[]));
        });
    });
}

#[test]
fn files_that_are_no_text() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(SOUND.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let sound = SOUND.as_bytes();
    let latin: Vec<u8> = SOUND.replace("image", "im\u{e4}ge").chars().map(|c| c as u8).collect();
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty", Vec::new()),
        ("zeros", vec![0; 4096]),
        ("zeros_inside", SOUND.replace("image", "im\0\0age").into_bytes()),
        ("zeros_between_tags", SOUND.replace("<edges>", "\0<edges\0>").into_bytes()),
        ("utf16", utf16),
        ("latin1", latin),
        ("binary", (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("half", sound[..sound.len() / 2].to_vec()),
    ];
    settings().bind(|| {
        each(cases.map(|(name, bytes)| (name.to_owned(), bytes)), |name, bytes| {
            let folder = model(bytes, None);
            assert_snapshot!(format!("bytes_{name}"), complaint(&folder.path().join("model.xml"), &[]));
        });
    });
}

#[test]
fn things_that_are_no_files() {
    settings().bind(|| {
        let folder = model(SOUND.as_bytes(), None);
        fs::create_dir(folder.path().join("folder.xml")).unwrap();
        assert_snapshot!("path_folder", complaint(&folder.path().join("folder.xml"), &[]));
        assert_snapshot!("path_absent", complaint(&folder.path().join("absent.xml"), &[]));
        assert_snapshot!("path_below_a_file", complaint(&folder.path().join("model.xml/model.xml"), &[]));
        let weights = folder.path().join("folder.xml");
        let more = ["--weights", weights.to_str().unwrap()];
        assert_snapshot!("path_weights_folder", complaint(&folder.path().join("model.xml"), &more));
    });
}

#[test]
fn weights_that_do_not_belong_to_the_model() {
    let xml = fs::read(common::small("cnn_static")).unwrap();
    let bin = fs::read(common::small("cnn_static").with_extension("bin")).unwrap();
    settings().bind(|| {
        for (name, bin) in
            [("missing", None), ("empty", Some(&[][..])), ("short", Some(&bin[..bin.len() - 1]))]
        {
            let folder = model(&xml, bin);
            assert_snapshot!(format!("weights_{name}"), complaint(&folder.path().join("model.xml"), &[]));
        }
    });
}

/// What stands in for the contents of a layer or section.
fn with_inside_net(inside: &str) -> String {
    SOUND.replace("</edges></net>", &format!("</edges>{inside}</net>"))
}

#[test]
fn a_million_nested_tags() {
    let nested = "<a>".repeat(1_000_000);
    let closed = format!("{nested}{}", "</a>".repeat(1_000_000));
    let bodies = "<layer><body>".repeat(500_000);
    let cases = [
        ("in_the_net", with_inside_net(&nested)),
        ("in_the_net_and_closed", with_inside_net(&closed)),
        ("in_rt_info", with_inside_net(&format!("<rt_info>{nested}"))),
        ("in_a_layer", SOUND.replace("<output>", &format!("{nested}<output>"))),
        ("in_a_body", SOUND.replace("<output>", &format!("<body>{bodies}<output>"))),
        ("in_a_port", SOUND.replacen("<dim>", &format!("{nested}<dim>"), 1)),
        ("in_a_dim", SOUND.replacen("<dim>", &format!("<dim>{nested}"), 1)),
        ("in_the_edges", SOUND.replace("</edges>", &format!("{nested}</edges>"))),
        ("at_the_start", format!("{nested}{SOUND}")),
    ];
    settings().bind(|| {
        each(cases.map(|(name, text)| (name.to_owned(), text)), |name, text| {
            let folder = model(text.as_bytes(), None);
            assert_snapshot!(format!("nested_{name}"), complaint(&folder.path().join("model.xml"), &[]));
        });
    });
}

/// Many of something are no mistake, but must not take forever, or the stack.
#[test]
fn large_numbers_of_things_end() {
    let layer = |id: usize, kind: &str| {
        format!(
            "<layer id=\"{id}\" name=\"l{id}\" type=\"{kind}\" version=\"opset1\"><input><port id=\"0\"><dim>1</dim>\
             <dim>3</dim></port></input><output><port id=\"1\" precision=\"FP32\"><dim>1</dim><dim>3</dim></port></output></layer>"
        )
    };
    let chain = |kind: &str, count: usize| {
        let layers: String = (2..2 + count).map(|id| layer(id, kind)).collect();
        let edges: String = (2..2 + count)
            .map(|id| {
                let (from, port) = if id == 2 { (0, 0) } else { (id - 1, 1) };
                format!("<edge from-layer=\"{from}\" from-port=\"{port}\" to-layer=\"{id}\" to-port=\"0\" />")
            })
            .collect();
        let last = format!("<edge from-layer=\"{}\" from-port=\"1\" to-layer=\"1\"", count + 1);
        SOUND
            .replace("<edge from-layer=\"0\" from-port=\"0\" to-layer=\"1\"", &format!("{edges}{last}"))
            .replace("</layers>", &format!("{layers}</layers>"))
    };
    let ports: String = (1..50_000).map(|id| format!("<port id=\"{id}\" precision=\"FP32\" />")).collect();
    let names: String = (0..200_000).map(|i| format!("n{i},")).collect();
    let cases = [
        ("operations in a row", chain("ReLU", 50_000)),
        ("conversions in a row", chain("Convert", 50_000)),
        ("reshapes in a row", chain("Reshape", 50_000)),
        ("outputs of one layer", SOUND.replacen("</port>", &format!("</port>{ports}"), 1)),
        ("names of one tensor", SOUND.replacen("<port ", &format!("<port names=\"{names}\" "), 1)),
        (
            "attributes",
            SOUND.replacen(
                "<output>",
                &format!(
                    "<data {} /><output>",
                    (0..50_000).map(|i| format!("a{i}=\"0\" ")).collect::<String>()
                ),
                1,
            ),
        ),
    ];
    each(cases.map(|(name, text)| (name.to_owned(), text)), |name, text| {
        let folder = model(text.as_bytes(), None);
        let started = Instant::now();
        let (status, _, err) = insert([folder.path().join("model.xml").to_str().unwrap(), "--dry-run"]);
        assert_eq!(status, 1, "{}", &err[..err.len().min(300)]);
        let limit = Duration::from_secs(20);
        assert!(started.elapsed() < limit, "{name}: {:?}", started.elapsed());
    });
}

/// Puts `count` layers of `kind` between the output of layer `from` and where it is read, each reading the one before
/// it at all of its `inputs`.
fn in_between(
    xml: &str,
    from: &str,
    port: &str,
    shape: &[usize],
    kind: &str,
    inputs: usize,
    count: usize,
) -> String {
    let old = format!("from-layer=\"{from}\" from-port=\"{port}\"");
    assert_eq!(xml.matches(&old).count(), 1, "the output is read once");
    let dims: String = shape.iter().map(|dim| format!("<dim>{dim}</dim>")).collect();
    let precision = if shape.len() == 1 { "I64" } else { "FP32" };
    let (mut layers, mut edges) = (String::new(), String::new());
    for i in 0..count {
        let ports: String = (0..inputs).map(|port| format!("<port id=\"{port}\">{dims}</port>")).collect();
        layers.push_str(&format!(
            "<layer id=\"{}\" name=\"between{i}\" type=\"{kind}\" version=\"opset1\"><input>{ports}</input><output>\
             <port id=\"9\" precision=\"{precision}\">{dims}</port></output></layer>",
            1000 + i
        ));
        for port in 0..inputs {
            let source = match i {
                0 => old.clone(),
                _ => format!("from-layer=\"{}\" from-port=\"9\"", 999 + i),
            };
            edges.push_str(&format!("<edge {source} to-layer=\"{}\" to-port=\"{port}\" />", 1000 + i));
        }
    }
    let last = format!("from-layer=\"{}\" from-port=\"9\"", 999 + count);
    let xml = xml.replace(&old, &last).replace("\t</layers>", &format!("{layers}\t</layers>"));
    xml.replace("\t</edges>", &format!("{edges}\t</edges>"))
}

/// What is read twice, and that again and again, must not be evaluated twice, and that again and again.
#[test]
fn sharing_does_not_multiply_work() {
    let xml = fs::read_to_string(common::small("cnn_static")).unwrap();
    let bin = fs::read(common::small("cnn_static").with_extension("bin")).unwrap();
    let logits = |kind, inputs, count| in_between(&xml, "29", "2", &[1, 5], kind, inputs, count);
    let axes = |kind, inputs, count| in_between(&xml, "22", "0", &[2], kind, inputs, count);
    let cases = [
        ("a row behind the logits", logits("ReLU", 1, 10_000)),
        ("doublings behind the logits", logits("Add", 2, 60)),
        ("a row before the axes", axes("Convert", 1, 10_000)),
        ("doublings before the axes", axes("Add", 2, 60)),
        ("joins before the axes", axes("Concat", 2, 60)),
    ];
    each(cases.map(|(name, text)| (name.to_owned(), text)), |name, text| {
        for more in [&[][..], &["--targets", "top2"], &["--targets", "top2", "--lowering", "dense"]] {
            let folder = model(text.as_bytes(), Some(&bin));
            let started = Instant::now();
            let path = folder.path().join("model.xml");
            let (status, _, err) = insert([path.to_str().unwrap(), "--dry-run"].iter().chain(more));
            assert!(status < 2, "{err}");
            assert!(started.elapsed() < Duration::from_secs(20), "{name} {more:?}: {:?}", started.elapsed());
        }
    });
}
