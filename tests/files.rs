//! What happens to files: bytes that must survive, outputs that must not be touched, failures that must leave
//! nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::ir::Ir;
use common::{copy_of, each, fixtures, insert, insert_command, listing, outcome, root, small};
use xai_insert::{Destination, Model, Options, Outcome};

const RESULT: [&str; 2] = ["out.bin", "out.xml"];

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Inserts with default options; `None` where the model is refused.
fn inserted(model: &Path, out: &Path) -> Option<()> {
    let (status, _, err) = insert([text(model), "-o", text(out)]);
    match status {
        0 => Some(()),
        1 => None,
        _ => panic!("{err}"),
    }
}

/// Inserts, takes the branch out again and compares with the bytes at `model`.
fn goes_in_and_out(model: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let (out, back) = (folder.path().join("out.xml"), folder.path().join("back.xml"));
    inserted(model, &out).expect("the model is accepted");
    let (status, _, err) = insert([text(&out), "--remove", "-o", text(&back)]);
    assert_eq!((status, &*err), (0, ""));
    assert!(read(&back) == read(model), "the XML differs");
    assert!(read(back.with_extension("bin")) == read(model.with_extension("bin")), "the BIN differs");
    assert_eq!(listing(folder.path()), ["back.bin", "back.xml", "out.bin", "out.xml"]);
}

#[test]
fn removal_restores_every_fixture_byte_for_byte() {
    let mut taken = 0;
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in fixtures() {
        let probe = folder.path().join(format!("{name}.xml"));
        if inserted(&root().join(&path), &probe).is_some() {
            goes_in_and_out(&root().join(&path));
            taken += 1;
        }
    }
    assert!(taken > 35, "only {taken} fixtures were accepted");
}

/// What was never a file gives the same files, and the same complaints.
#[test]
fn models_in_memory_are_written_like_models_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let (xml, bin) = (read(small("cnn_static")), read(small("cnn_static").with_extension("bin")));
    let model = Model::from_bytes(xml.clone(), bin.clone()).unwrap();
    let Ok(Outcome::Inserted(insertion)) = xai_insert::insert(&model, &Options::default()) else {
        panic!("the model is accepted")
    };
    let [ours, expected] = ["out.xml", "expected.xml"].map(|name| folder.path().join(name));
    insertion.write(&Destination::new(&ours, &[], false).unwrap()).unwrap();
    inserted(&small("cnn_static"), &expected).unwrap();
    assert!(read(&ours) == read(&expected), "XML");
    assert!(read(ours.with_extension("bin")) == read(expected.with_extension("bin")), "BIN");
    let written = Model::from_bytes(read(&ours), read(ours.with_extension("bin"))).unwrap();
    assert!(xai_insert::remove(&written).unwrap() == (xml.clone(), bin.len() as u64));

    let short = Model::from_bytes(xml, bin[..bin.len() - 1].to_vec()).unwrap_err().to_string();
    assert!(short.starts_with("<memory>") && short.contains("is this the BIN that belongs to the XML?"));
    let half = Model::from_bytes(b"<net".to_vec(), Vec::new()).unwrap_err().to_string();
    assert!(half.starts_with("<memory>, byte"), "{half}");
}

/// Changes a fixture's text, keeps its BIN, and returns the folder with `model.xml`.
fn variant(name: &str, change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = copy_of(name);
    let path = folder.path().join("model.xml");
    let old = fs::read_to_string(&path).unwrap();
    let new = change(old.clone());
    assert!(new != old, "the variant is the original");
    fs::write(path, new).unwrap();
    folder
}

fn without_rt_info(text: &str) -> String {
    let start = text.rfind("\t<rt_info>").unwrap();
    let end = text.rfind("</rt_info>").unwrap() + "</rt_info>\n".len();
    format!("{}{}", &text[..start], &text[end..])
}

#[test]
fn removal_restores_files_however_they_are_laid_out() {
    type Change = fn(String) -> String;
    let variants: [(&str, &str, Change); 9] = [
        ("no rt_info", "cnn_static", |t| without_rt_info(&t)),
        ("an empty rt_info", "cnn_static", |t| {
            without_rt_info(&t).replace("</net>", "\t<rt_info />\n</net>")
        }),
        ("an empty rt_info, no space", "cnn_static", |t| {
            without_rt_info(&t).replace("</net>", "<rt_info/></net>")
        }),
        ("an open and empty rt_info", "cnn_static", |t| {
            without_rt_info(&t).replace("</net>", "<rt_info></rt_info></net>")
        }),
        ("line ends of Windows", "cnn_static", |t| t.replace('\n', "\r\n")),
        ("line ends of Windows, no rt_info", "cnn_static", |t| without_rt_info(&t).replace('\n', "\r\n")),
        ("one line", "cnn_static", |t| t.replace(['\n', '\t'], "")),
        ("one line, no rt_info", "cnn_static", |t| without_rt_info(&t).replace(['\n', '\t'], "")),
        ("comments and a byte order mark", "cnn_static", |t| {
            let t = t.replace("</layers>", "<!-- </layers> --></layers>");
            format!("\u{feff}{}<!-- end -->", t.replace("</edges>", "<!-- a > b -->\n\t</edges>"))
        }),
    ];
    each(variants.map(|(what, name, change)| (what.to_owned(), (name, change))), |_, (name, change)| {
        goes_in_and_out(&variant(name, change).path().join("model.xml"));
    });
}

#[test]
fn an_ir_of_version_10_keeps_its_meta_data() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.xml");
    let original = fs::read_to_string(small("v10_mo")).unwrap();
    let at = original.find("<meta_data>").expect("the fixture has meta_data");
    inserted(&small("v10_mo"), &out).unwrap();
    let meta = &original[at..original.find("</meta_data>").unwrap()];
    assert!(fs::read_to_string(&out).unwrap().contains(meta));
    goes_in_and_out(&small("v10_mo"));
}

#[test]
fn what_another_tool_wrote_anew_is_not_restored_by_guess() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.xml");
    inserted(&small("cnn_static"), &out).unwrap();
    let changed = fs::read_to_string(&out).unwrap().replace("name=\"Model0\"", "name=\"renamed\"");
    let changed = changed.replacen("<net ", "<net  ", 1);
    fs::write(&out, changed).unwrap();
    let (status, _, err) = insert([text(&out), "--remove", "-o", text(&folder.path().join("back.xml"))]);
    assert_eq!(status, 2);
    assert!(err.contains("written anew by another tool"), "{err}");
    let (status, _, err) =
        insert([text(&small("cnn_static")), "--remove", "-o", text(&folder.path().join("back.xml"))]);
    assert_eq!(status, 2);
    assert!(err.contains("no branch added by xai-insert is recorded"), "{err}");
    assert_eq!(listing(folder.path()), RESULT);
}

#[test]
fn a_model_carries_one_branch() {
    let folder = tempfile::tempdir().unwrap();
    let (out, two) = (folder.path().join("out.xml"), folder.path().join("two.xml"));
    inserted(&small("cnn_static"), &out).unwrap();
    let (status, _, err) = insert([text(&out), "-o", text(&two), "--output-name", "another_map"]);
    assert_eq!(status, 2);
    assert!(err.contains("carries a branch already, with the output 'saliency_map'"), "{err}");
    assert_eq!(listing(folder.path()), RESULT);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let option_sets: [&[&str]; 3] =
        [&[], &["--lowering", "dense", "--feature-vector"], &["--targets", "top2", "--saliency-type", "f32"]];
    for name in ["cnn_dynamic_hw", "max_avg_head", "two_classifiers", "gap_vit", "swin_tiny_like"] {
        for options in option_sets {
            let folder = tempfile::tempdir().unwrap();
            let outs = ["a.xml", "b.xml"].map(|name| folder.path().join(name));
            for out in &outs {
                let (status, _, err) = insert([text(&small(name)), "-o", text(out)].iter().chain(options));
                assert_eq!(status, 0, "{name} {options:?}: {err}");
            }
            assert!(read(&outs[0]) == read(&outs[1]), "{name} {options:?}: XML");
            let bins = outs.map(|out| read(out.with_extension("bin")));
            assert!(bins[0] == bins[1], "{name} {options:?}: BIN");
        }
    }
}

#[test]
fn everything_of_the_original_survives_and_what_is_added_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.xml");
    each(fixtures(), |_, path| {
        let path = &root().join(path);
        for options in [&[][..], &["--lowering", "dense", "--feature-vector"]] {
            let first = [text(path), "-o", text(&out), "--overwrite"];
            let (status, _, err) = insert(first.iter().chain(options));
            match status {
                0 => check_added(path, &out),
                1 => {}
                _ => panic!("{err}"),
            }
        }
    });
}

fn check_added(original: &Path, out: &Path) {
    let (old, new) = (Ir::read(original), Ir::read(out));
    let (old_bin, new_bin) = (read(original.with_extension("bin")), read(out.with_extension("bin")));
    assert!(new_bin.starts_with(&old_bin), "the BIN's start changed");
    for (was, is) in old.layers.iter().zip(&new.layers) {
        assert_eq!(old.text[was.span.clone()], new.text[is.span.clone()], "layer {}", was.name);
    }
    for (was, is) in old.edges.iter().zip(&new.edges) {
        assert_eq!(old.text[was.clone()], new.text[is.clone()]);
    }
    let (added, edges) = (&new.layers[old.layers.len()..], &new.edges[old.edges.len()..]);
    assert!(!added.is_empty() && !edges.is_empty());
    // Models check ids themselves when they are read; names they do not.
    Model::read(out, None).unwrap();
    let mut names: Vec<&str> = old.layers.iter().map(|layer| layer.name.as_str()).collect();
    for layer in added {
        assert!(layer.name.starts_with("xai/"), "{}", layer.name);
        assert!(!names.contains(&layer.name.as_str()), "{} is taken", layer.name);
        names.push(&layer.name);
    }
    let mut bytes = Vec::new();
    for layer in added.iter().filter(|layer| layer.kind == "Const") {
        let number = |name: &str| -> usize {
            layer.data.iter().find(|(key, _)| key == name).unwrap().1.parse().unwrap()
        };
        let (offset, size) = (number("offset"), number("size"));
        if offset < old_bin.len() {
            // A weight of the original once more.
            let mut weights = old.layers.iter().filter(|was| was.kind == "Const");
            assert!(weights.any(|was| was.data == layer.data), "{} is no weight", layer.name);
            continue;
        }
        assert_eq!(offset % 64, 0, "{} is not aligned", layer.name);
        assert!(offset + size <= new_bin.len(), "{}", layer.name);
        let contents =
            (layer.data.clone().into_iter().take(2).collect::<Vec<_>>(), &new_bin[offset..offset + size]);
        assert!(!bytes.contains(&contents), "{} has a twin", layer.name);
        bytes.push(contents);
    }
    // Weights are shared with the original, never copied.
    assert!(new_bin.len() - old_bin.len() < 16 * 1024, "{} bytes", new_bin.len() - old_bin.len());
    let own = |name: &str| new.record.get(name).map(String::as_str);
    assert_eq!(own("output"), Some("saliency_map"));
    let of_method: &[&str] = match own("method") {
        Some("classprobabilitymap") => &["scale_1", "scale_1_layout", "scale_1_fields", "saliency_size"],
        _ => &["target", "layout", "grid", "logits"],
    };
    for name in [&["tool", "version", "method", "targets"], of_method].concat() {
        assert!(own(name).is_some(), "rt_info lacks {name}");
    }
    let last = added.iter().rfind(|layer| layer.kind == "Result").unwrap();
    assert_eq!(added.last().unwrap().name, last.name, "Results come last");
}

#[test]
fn a_model_that_has_the_output_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (out, again) = (folder.path().join("out.xml"), folder.path().join("again.xml"));
    inserted(&small("cnn_static"), &out).unwrap();
    let (status, said, err) = insert([text(&out), "-o", text(&again)]);
    assert_eq!((status, &*err), (0, ""));
    assert!(said.contains("has an output 'saliency_map' already; nothing written"), "{said}");
    assert_eq!(listing(folder.path()), RESULT);
    let (status, said, _) = insert([text(&out), "-o", text(&again), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, report["status"].as_str()), (0, Some("already_there")));
}

#[test]
fn the_input_is_never_the_output() {
    let folder = copy_of("cnn_static");
    let before = (read(folder.path().join("model.xml")), read(folder.path().join("model.bin")));
    let dotted = folder.path().join(".").join("model.xml");
    let through = folder.path().join("..").join(folder.path().file_name().unwrap()).join("model.xml");
    let mut aliases = vec![folder.path().join("model.xml"), dotted, through];
    #[cfg(unix)]
    {
        let [soft, hard] = ["soft.xml", "hard.xml"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("model.xml", &soft).unwrap();
        fs::hard_link(folder.path().join("model.xml"), &hard).unwrap();
        // The BIN alone is the input's.
        std::os::unix::fs::symlink("model.bin", folder.path().join("other.bin")).unwrap();
        aliases.extend([soft, hard, folder.path().join("other.xml")]);
    }
    let files = listing(folder.path());
    for alias in aliases {
        let model = folder.path().join("model.xml");
        let (status, _, err) = insert([text(&model), "-o", text(&alias), "--overwrite"]);
        assert_eq!(status, 2, "{}: {err}", alias.display());
        assert!(err.contains("is the input; choose another output"), "{err}");
    }
    let (status, _, err) =
        insert([text(&folder.path().join("model.xml")), "--out-dir", text(folder.path()), "--overwrite"]);
    assert_eq!(status, 2);
    assert!(err.contains("is the input"), "{err}");
    assert_eq!(listing(folder.path()), files);
    assert!(before == (read(folder.path().join("model.xml")), read(folder.path().join("model.bin"))));
}

#[test]
fn what_is_there_is_replaced_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.xml");
    for there in ["out.xml", "out.bin"] {
        fs::write(folder.path().join(there), "precious").unwrap();
        let (status, _, err) = insert([text(&small("cnn_static")), "-o", text(&out)]);
        assert_eq!(status, 2);
        assert!(err.contains("exists; use --overwrite to replace it"), "{err}");
        assert_eq!(listing(folder.path()), [there]);
        assert_eq!(read(folder.path().join(there)), b"precious");
        fs::remove_file(folder.path().join(there)).unwrap();
    }
    for there in RESULT {
        fs::write(folder.path().join(there), "old").unwrap();
    }
    let (status, _, err) = insert([text(&small("cnn_static")), "-o", text(&out), "--overwrite"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(listing(folder.path()), RESULT);
    Model::read(&out, None).unwrap();
}

#[test]
fn one_bad_model_of_several_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.xml");
    fs::write(&bad, "<net").unwrap();
    let out = folder.path().join("results");
    let models = [text(&small("cnn_static")).to_owned(), text(&bad).to_owned()];
    let more = [text(&small("mlp_only")).to_owned(), text(&small("bn_head")).to_owned()];
    let args = models.iter().chain(&more).map(String::as_str).chain(["--out-dir", text(&out), "--json"]);
    let (status, said, err) = insert(args);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("bad.xml") && err.contains("mlp_only"), "{err}");
    assert_eq!(listing(&out), ["bn_head.bin", "bn_head.xml", "cnn_static.bin", "cnn_static.xml"]);
    let reports: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = reports.iter().map(|report| report["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["inserted", "failed", "refused", "inserted"]);
    // A refusal alone is no failure.
    let (status, ..) =
        insert(more.iter().map(String::as_str).chain(["--out-dir", text(&out), "--overwrite"]));
    assert_eq!(status, 1);
}

#[test]
fn two_models_of_one_name_do_not_overwrite_each_other() {
    let (folder, out) = (copy_of("cnn_static"), tempfile::tempdir().unwrap());
    let other = copy_of("bn_head");
    let models = [folder.path().join("model.xml"), other.path().join("model.xml")];
    let (status, _, err) = insert([text(&models[0]), text(&models[1]), "--out-dir", text(out.path())]);
    assert_eq!(status, 2);
    assert!(err.contains("two models are called model.xml"), "{err}");
    assert!(listing(out.path()).is_empty());
}

#[test]
fn reports_write_nothing() {
    let folder = copy_of("cnn_static");
    let model = folder.path().join("model.xml");
    let out = folder.path().join("out.xml");
    for report in
        [&["--dry-run"][..], &["--list-targets"], &["--dry-run", "--json"], &["--dry-run", "--dump", "dot"]]
    {
        let (status, said, err) = insert([text(&model), "-o", text(&out)].iter().chain(report));
        assert_eq!(status, 0, "{err}");
        assert!(!said.is_empty());
        assert_eq!(listing(folder.path()), ["model.bin", "model.xml"], "{report:?}");
    }
    let (status, _, err) = insert([text(&model)]);
    assert_eq!(status, 2);
    assert!(err.contains("say where to write"), "{err}");
}

#[test]
fn places_that_cannot_be_written_to_are_named() {
    let folder = copy_of("cnn_static");
    let model = folder.path().join("model.xml");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fs::create_dir(folder.path().join("folder.xml")).unwrap();
    let files = listing(folder.path());
    let cases = [
        (file.join("out.xml"), "cannot write to the folder"),
        (folder.path().join("absent/out.xml"), "No such file or directory"),
        (folder.path().join("folder.xml"), "folder.xml is a folder"),
        (folder.path().join("out.txt"), "must end in .xml"),
        (folder.path().to_path_buf(), "must end in .xml"),
    ];
    for (out, wanted) in cases {
        let (status, _, err) = insert([text(&model), "-o", text(&out), "--overwrite"]);
        assert_eq!(status, 2, "{}", out.display());
        assert!(err.contains(wanted), "{}: {err}", out.display());
        assert_eq!(listing(folder.path()), files);
    }
    let (status, _, err) = insert([text(&model), "--out-dir", text(&file)]);
    assert_eq!(status, 2);
    assert!(err.contains("cannot create the folder"), "{err}");
}

/// A limit on the size of files stands in for a full disk: writing fails halfway.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = copy_of("swin_tiny_like");
    let model = folder.path().join("model.xml");
    let before = (read(&model), read(folder.path().join("model.bin")));
    let program = insert_command().get_program().to_owned();
    // Blocks have 512 or 1024 bytes: the first limit hits the BIN (74 kB), the second the XML (more than 235 kB).
    for (blocks, place) in [("4", "out.bin"), ("200", "out.xml")] {
        for existing in [false, true] {
            let out = tempfile::tempdir().unwrap();
            if existing {
                for name in RESULT {
                    fs::write(out.path().join(name), "old").unwrap();
                }
            }
            // Without the trap the kernel would end the process before it can clean up.
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let output = std::process::Command::new("sh")
                .args(["-c", &script, "sh"])
                .arg(&program)
                .args([text(&model), "-o", text(&out.path().join("out.xml")), "--overwrite"])
                .output()
                .unwrap();
            let (status, _, err) = outcome(&output);
            assert_eq!(status, 2, "{err}");
            assert!(err.contains("cannot write") && err.contains(place), "{err}");
            let left = listing(out.path());
            assert_eq!(left, if existing { RESULT.map(str::to_owned).to_vec() } else { Vec::new() });
            for name in left {
                assert_eq!(read(out.path().join(name)), b"old");
            }
        }
    }
    assert!(before == (read(&model), read(folder.path().join("model.bin"))));
}

/// Ctrl-C while the BIN is copied: nothing is left of it.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    let folder = copy_of("swin_tiny_like");
    let out = tempfile::tempdir().unwrap();
    // A hole of 16 GiB takes no room, and longer to copy than this test runs.
    let bin = fs::OpenOptions::new().append(true).open(folder.path().join("model.bin")).unwrap();
    bin.set_len(16 << 30).unwrap();
    let mut child = std::process::Command::new(insert_command().get_program())
        .arg(folder.path().join("model.xml"))
        .arg("-o")
        .arg(out.path().join("out.xml"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while listing(out.path()).is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let (status, text, err) = outcome(&child.wait_with_output().unwrap());
    // File systems that share blocks between files may be done before that.
    if kill.success() && status != 0 {
        assert_eq!((status, text.as_str(), err.as_str()), (130, "", "xai-insert: interrupted\n"));
        assert_eq!(listing(out.path()), Vec::<String>::new());
    }
}

/// `/dev/full` takes no byte: a report that cannot be printed is an error, a reader that left is none.
#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_printed_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(insert_command().get_program())
        .args([text(&small("cnn_static")), "--dry-run"])
        .stdout(full)
        .output()
        .unwrap();
    let (status, _, err) = outcome(&output);
    assert_eq!(status, 2);
    assert!(err.contains("No space left on device"), "{err}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let program = insert_command().get_program().to_owned();
    let output = std::process::Command::new("sh")
        .args(["-c", "{ \"$@\"; echo status $? >&2; } | true", "sh"])
        .arg(&program)
        .args([text(&small("swin_tiny_like")), "--dry-run", "--dump", "text", "--lowering", "dense"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err.trim(), "status 0");
}

#[test]
fn weights_may_stand_elsewhere() {
    let (folder, elsewhere) = (copy_of("cnn_static"), tempfile::tempdir().unwrap());
    let (model, out) = (folder.path().join("model.xml"), folder.path().join("out.xml"));
    let weights = elsewhere.path().join("weights.dat");
    fs::rename(folder.path().join("model.bin"), &weights).unwrap();
    let (status, _, err) = insert([text(&model), "-o", text(&out)]);
    assert_eq!(status, 2);
    assert!(err.contains("cannot read the weights") && err.contains("model.bin"), "{err}");
    let (status, _, err) = insert([text(&model), "-o", text(&out), "--weights", text(&weights)]);
    assert_eq!(status, 0, "{err}");
    assert!(read(folder.path().join("out.bin")).starts_with(&read(&weights)));
    assert_eq!(listing(folder.path()), ["model.xml", "out.bin", "out.xml"]);
}

/// Systems that check names take no such file.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(std::ffi::OsStr::from_bytes(b"folder\xff"));
    fs::create_dir(&folder).unwrap();
    let path = |name: &[u8]| folder.join(std::ffi::OsStr::from_bytes(name)).into_os_string();
    let (model, written, removed) = (path(b"m\xff.xml"), path(b"out\xff.xml"), path(b"back\xff.xml"));
    fs::copy(small("cnn_static"), &model).unwrap();
    fs::copy(small("cnn_static").with_extension("bin"), path(b"m\xff.bin")).unwrap();
    let flag = |name: &str| std::ffi::OsString::from(name);
    let json = flag("--json");
    let (absent, other) = (path(b"absent\xff.xml"), path(b"other\xff.xml"));
    let out = flag("-o");
    let runs = [
        (0, "inserted", vec![&json, &model, &out, &written]),
        (0, "already_there", vec![&json, &written, &out, &other]),
        (0, "removed", vec![&json, &written, &out, &removed]),
        (0, "listed", vec![&json, &model]),
        (2, "failed", vec![&json, &absent, &out, &other]),
    ];
    for (expected, name, mut args) in runs {
        let (remove, list) = (flag("--remove"), flag("--list-targets"));
        match name {
            "removed" => args.push(&remove),
            "listed" => args.push(&list),
            _ => {}
        }
        let (status, text, err) = insert(args);
        assert_eq!(status, expected, "{name}: {err}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["status"], name);
        assert!(report["model"].as_str().unwrap().ends_with("\u{fffd}.xml"), "{report}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 6);
}
