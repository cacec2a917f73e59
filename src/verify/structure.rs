//! Check 1, without a runtime: the original is still there, byte for byte.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use super::check::Check;
use crate::error::{Error, Result};
use crate::graph::{Graph, OpKind, constants};
use crate::ir::{Document, LayerElement, SECTION, Weights, is_as_written};

/// What was compared, and what was added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StructureFigures {
    /// Layers of the original.
    pub layers: usize,
    /// Edges of the original.
    pub edges: usize,
    /// Size of the original's BIN in bytes.
    pub weight_bytes: u64,
    /// Layers that were added.
    pub added_layers: usize,
    /// Edges that were added.
    pub added_edges: usize,
    /// Bytes that were added to the BIN.
    pub added_weight_bytes: u64,
    /// Bytes that were added to the XML.
    pub added_xml_bytes: i64,
}

/// More than this many problems of one kind say nothing new.
pub(super) const SHOWN: usize = 5;

/// Compares the bytes of two IRs.
///
/// # Errors
/// [`Error::Io`] where a BIN cannot be read.
pub(super) fn check(
    original: (&Document, &Path),
    model: (&Document, &Path),
) -> Result<Check<StructureFigures>> {
    let mut problems = Vec::new();
    let ((old, old_bin), (new, new_bin)) = (original, model);
    if !is_as_written(new) {
        return Ok(Check::skipped(
            "the file was written anew by another tool since the branch was added: bytes are not comparable",
        ));
    }
    layers(old, new, &mut problems);
    edges(old, new, &mut problems);
    outputs(old, new, &mut problems);
    record(old, new, &mut problems);
    match Graph::new(new).and_then(|_| Weights::open(new_bin, &constants(new))) {
        Ok(_) => {}
        Err(e @ Error::Io { .. }) => return Err(e),
        Err(e) => problems.push(e.to_string()),
    }
    let bins = prefix(old_bin, new_bin)?;
    if let Some(at) = bins.differ_at {
        problems.push(format!(
            "byte {at} of the original's weights is {} in {}",
            if at >= bins.new { "missing" } else { "another" },
            new_bin.display()
        ));
    }
    let size = |document: &Document| i64::try_from(document.bytes().len()).unwrap_or(i64::MAX);
    let figures = StructureFigures {
        layers: old.layers().len(),
        edges: old.edges().len(),
        weight_bytes: bins.old,
        added_layers: new.layers().len().saturating_sub(old.layers().len()),
        added_edges: new.edges().len().saturating_sub(old.edges().len()),
        added_weight_bytes: bins.new.saturating_sub(bins.old),
        added_xml_bytes: size(new) - size(old),
    };
    Ok(Check::judged(problems, figures))
}

fn layers(old: &Document, new: &Document, problems: &mut Vec<String>) {
    let elements = |document: &Document| -> Vec<(u64, String, Range<usize>)> {
        let layers = document.layers().iter();
        layers.map(|layer| (layer.id, layer.place(None).to_string(), layer.span.clone())).collect()
    };
    kept(old, new, &elements(old), &elements(new), problems);
    let ids: HashSet<u64> = old.layers().iter().map(|layer| layer.id).collect();
    let mut names: HashSet<&str> = old.layers().iter().map(|layer| layer.name.as_str()).collect();
    let mut found = Vec::new();
    for layer in new.layers().iter().filter(|layer| !ids.contains(&layer.id)) {
        if !names.insert(&layer.name) {
            found.push(format!("the name of the added {} is taken", layer.place(None)));
        }
        if OpKind::from(&*layer.kind) == OpKind::Parameter {
            found.push(format!("the added {} is a model input", layer.place(None)));
        }
    }
    shown(found, problems);
}

fn edges(old: &Document, new: &Document, problems: &mut Vec<String>) {
    // An input has one edge, so where it leads to is the identity of an edge.
    let elements = |document: &Document| -> Vec<((u64, u32), String, Range<usize>)> {
        let edges = document.edges().iter();
        edges
            .map(|edge| {
                let ((from, from_port), (to, to_port)) = (edge.from, edge.to);
                let shown = format!("edge from layer {from} port {from_port} to layer {to} port {to_port}");
                (edge.to, shown, edge.span.clone())
            })
            .collect()
    };
    kept(old, new, &elements(old), &elements(new), problems);
    let ids: HashSet<u64> = old.layers().iter().map(|layer| layer.id).collect();
    let inputs: HashSet<(u64, u32)> = old.edges().iter().map(|edge| edge.to).collect();
    let added = new.edges().iter().filter(|edge| !inputs.contains(&edge.to) && ids.contains(&edge.to.0));
    shown(
        added
            .map(|edge| {
                format!("an added edge leads to layer {} of the original, port {}", edge.to.0, edge.to.1)
            })
            .collect(),
        problems,
    );
}

/// Every element of `old` is in `new` with the same bytes, and in the same order.
fn kept<K: std::hash::Hash + Eq + Copy>(
    old_document: &Document,
    new_document: &Document,
    old: &[(K, String, Range<usize>)],
    new: &[(K, String, Range<usize>)],
    problems: &mut Vec<String>,
) {
    let places: HashMap<K, usize> = new.iter().enumerate().map(|(i, (key, ..))| (*key, i)).collect();
    let mut found = Vec::new();
    let mut last = None;
    for (key, shown, span) in old {
        let Some(&place) = places.get(key) else {
            found.push(format!("{shown} is missing"));
            continue;
        };
        if old_document.bytes().get(span.clone()) != new_document.bytes().get(new[place].2.clone()) {
            found.push(format!("{shown} was changed"));
        }
        if last.is_some_and(|last| place < last) {
            found.push(format!("{shown} was moved"));
        }
        last = Some(place);
    }
    shown(found, problems);
}

fn shown(mut found: Vec<String>, problems: &mut Vec<String>) {
    let rest = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    problems.append(&mut found);
    if rest > 0 {
        problems.push(format!("and {rest} more of this kind"));
    }
}

/// Results become outputs in file order, so the original's have to be the first.
fn outputs(old: &Document, new: &Document, problems: &mut Vec<String>) {
    let results = |document: &Document| -> Vec<u64> {
        let is_result = |layer: &&LayerElement| OpKind::from(&*layer.kind) == OpKind::Result;
        document.layers().iter().filter(is_result).map(|layer| layer.id).collect()
    };
    let (old, new) = (results(old), results(new));
    if !new.starts_with(&old) {
        problems.push("the original's outputs are no longer the first ones, in their order".to_owned());
    } else if new.len() == old.len() {
        problems.push("no output was added".to_owned());
    }
}

/// What the original says of itself (labels, preprocessing) is still there.
fn record(old: &Document, new: &Document, problems: &mut Vec<String>) {
    for entry in old.rt_info().children.iter().filter(|entry| entry.name != SECTION) {
        if new.rt_info().child(&entry.name) != Some(entry) {
            problems.push(format!("'{}' in the net's rt_info is missing or was changed", entry.name));
        }
    }
}

struct Prefix {
    old: u64,
    new: u64,
    differ_at: Option<u64>,
}

/// Whether one file starts with another, read piece by piece: a BIN may not fit into memory.
fn prefix(old: &Path, new: &Path) -> Result<Prefix> {
    let open = |path: &Path| match File::open(path) {
        Ok(file) => {
            let size = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
            Ok(Some((file, size)))
        }
        // A model without constants needs no BIN; one that does was refused when it was read.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    };
    let (old_file, new_file) = (open(old)?, open(new)?);
    let size = |file: &Option<(File, u64)>| file.as_ref().map_or(0, |(_, size)| *size);
    let mut found = Prefix { old: size(&old_file), new: size(&new_file), differ_at: None };
    let (Some((mut a, _)), Some((mut b, _))) = (old_file, new_file) else {
        found.differ_at = (found.old > 0).then_some(0);
        return Ok(found);
    };
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0u64;
    loop {
        let read = fill(&mut a, &mut left).map_err(|e| Error::io("read", old, e))?;
        let other = fill(&mut b, &mut right[..read]).map_err(|e| Error::io("read", new, e))?;
        let same = left[..other].iter().zip(&right[..other]).take_while(|(a, b)| a == b).count();
        at += same as u64;
        if same < read {
            found.differ_at = Some(at);
            return Ok(found);
        }
        if read < left.len() {
            return Ok(found);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const OLD: &str = r#"<net name="n" version="11"><layers>
<layer id="0" name="in" type="Parameter" version="opset1"><data shape="1" element_type="f32"/><output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="1" name="relu" type="ReLU" version="opset1"><input><port id="0"/></input><output><port id="1" precision="FP32"><dim>1</dim></port></output></layer>
<layer id="2" name="out" type="Result" version="opset1"><input><port id="0"/></input></layer>
</layers><edges>
<edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/>
</edges><rt_info><model_info><labels value="a b"/></model_info></rt_info></net>"#;

    const LAYERS: &str = r#"<layer id="3" name="map" type="Result" version="opset1"><input><port id="0"/></input></layer>
</layers>"#;
    const EDGES: &str = r#"<edge from-layer="1" from-port="1" to-layer="3" to-port="0"/></edges>"#;

    fn added() -> String {
        OLD.replace("</layers>", LAYERS).replace("</edges>", EDGES)
    }

    fn problems(new: &str, bins: (&[u8], &[u8])) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (old_bin, new_bin) = (folder.path().join("old.bin"), folder.path().join("new.bin"));
        fs::write(&old_bin, bins.0).unwrap();
        fs::write(&new_bin, bins.1).unwrap();
        let parse = |text: &str| Document::parse(Path::new("m.xml"), text.as_bytes().to_vec()).unwrap();
        let (old, new) = (parse(OLD), parse(new));
        let found = check((&old, &old_bin), (&new, &new_bin)).unwrap();
        found.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_addition_is_no_problem() {
        assert_eq!(problems(&added(), (b"abc", b"abcd")), "");
        assert_eq!(problems(&added(), (b"", b"")), "");
    }

    #[test]
    fn every_change_of_the_original_is_found() {
        let swapped = {
            let mut lines: Vec<&str> = OLD.lines().collect();
            lines.swap(1, 2);
            lines.join("\n").replace("</layers>", LAYERS).replace("</edges>", EDGES)
        };
        for (new, expected) in [
            (OLD.to_owned(), "no output was added"),
            (added().replace("ReLU", "Sigmoid"), "layer 'relu' (ReLU, id 1) was changed"),
            (added().replace("<port id=\"0\"/>", "<port id=\"0\" />"), "'relu' (ReLU, id 1) was changed"),
            (swapped, "'relu' (ReLU, id 1) was moved"),
            (added().replace("name=\"map\"", "name=\"relu\""), "the name of the added layer 'relu'"),
            (added().replace("a b", "a c"), "'model_info' in the net's rt_info"),
            (
                added().replace(
                    "from-layer=\"0\" from-port=\"0\" to-layer=\"1\"",
                    "from-layer=\"0\"  from-port=\"0\" to-layer=\"1\"",
                ),
                "edge from layer 0 port 0 to layer 1 port 0 was changed",
            ),
            (
                added().replace(
                    "from-layer=\"1\" from-port=\"1\" to-layer=\"3\"",
                    "from-layer=\"9\" from-port=\"1\" to-layer=\"3\"",
                ),
                "there is no layer 9",
            ),
            (
                added()
                    .replace("id=\"2\" name=\"out\"", "id=\"4\" name=\"out\"")
                    .replace("to-layer=\"2\"", "to-layer=\"4\""),
                "'out' (Result, id 2) is missing",
            ),
        ] {
            let found = problems(&new, (b"", b""));
            assert!(found.contains(expected), "wanted {expected:?}, found {found:?}");
        }
    }

    #[test]
    fn results_keep_their_order() {
        let result = LAYERS.strip_suffix("\n</layers>").unwrap();
        let first = OLD.replace("<layers>\n", &format!("<layers>\n{result}\n")).replace("</edges>", EDGES);
        let found = problems(&first, (b"", b""));
        assert_eq!(found, "the original's outputs are no longer the first ones, in their order");
    }

    #[test]
    fn weights_are_compared_to_the_last_byte() {
        assert!(problems(&added(), (b"abc", b"ab")).contains("byte 2 of the original's weights is missing"));
        assert!(
            problems(&added(), (b"abc", b"abd!")).contains("byte 2 of the original's weights is another")
        );
        let long = vec![7u8; (1 << 20) + 3];
        let mut other = long.clone();
        other.push(1);
        assert_eq!(problems(&added(), (&long, &other)), "");
        other[(1 << 20) + 1] = 8;
        assert!(problems(&added(), (&long, &other)).contains("byte 1048577"));
    }

    #[test]
    fn many_problems_of_a_kind_are_summed_up() {
        let mut problems = Vec::new();
        shown((0..9).map(|i| i.to_string()).collect(), &mut problems);
        assert_eq!(problems.len(), SHOWN + 1);
        assert_eq!(problems[SHOWN], "and 4 more of this kind");
    }
}
