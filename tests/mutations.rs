//! Damaged copies of sound models: whatever is wrong with them, the answer is a result or an error, soon,
//! and never a panic.
//!
//! Longer runs: `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=1 cargo test --test mutations`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{FileFailurePersistence, RngSeed};
use xai_insert::graph::Graph;
use xai_insert::ir::{Document, Splice};
use xai_insert::{Classes, Method, Model, Options, Outcome, SaliencyType, Strategy as Forms, insert};

/// One of each kind of head.
const FIXTURES: [&str; 14] = [
    "cnn_static",
    "cnn_dynamic_hw",
    "vgg_flatten",
    "nhwc_head_dynamic",
    "max_avg_head",
    "mobilenetv3_head",
    "gap_vit",
    "attention_pool_dynamic",
    "cnn_int8",
    "swin_tiny_like",
    "det_ssd",
    "det_retinanet_dynamic",
    "det_yolov5",
    "det_yolox_nms",
];

/// Numbers that are often forgotten.
const EXTREMES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "7",
    "64",
    "4096",
    "2147483647",
    "281474976710656",
    "9223372036854775807",
    "18446744073709551615",
];

/// Operations that are given to layers with inputs.
const KINDS: [&str; 33] = [
    "Add",
    "Multiply",
    "Divide",
    "Power",
    "Select",
    "FakeQuantize",
    "ReLU",
    "Gelu",
    "PRelu",
    "Clamp",
    "Convert",
    "ReduceMean",
    "ReduceMax",
    "ReduceSum",
    "AvgPool",
    "MaxPool",
    "Convolution",
    "GroupConvolution",
    "MatMul",
    "ScaledDotProductAttention",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Concat",
    "Split",
    "VariadicSplit",
    "Slice",
    "StridedSlice",
    "Gather",
    "Pad",
    "Softmax",
    "MVN",
    "Broadcast",
];

/// XML and BIN of each of [`FIXTURES`].
static SOURCES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let read = |name: &&str| {
        let path = common::small(name);
        (fs::read_to_string(&path).unwrap(), fs::read(path.with_extension("bin")).unwrap())
    };
    FIXTURES.iter().map(read).collect()
});

#[derive(Debug, Clone)]
enum Mutation {
    /// Bytes, without regard for what they mean.
    Byte(Index, u8),
    Delete(Index, usize),
    Repeat(Index, usize),
    /// A byte of the BIN: axes, shapes and slices are in there.
    Weight(Index, u8),
    /// A constant's first integer.
    Integer(Index, i64),
    /// A number anywhere.
    Number(Index, &'static str),
    Dim(Index, &'static str),
    DimMore(Index),
    DimLess(Index),
    /// An attribute's value becomes another one's.
    Attribute(Index, Index),
    /// A layer's operation becomes another one.
    Kind(Index, &'static str),
    /// A number among the options of an operation.
    Option(Index, &'static str),
    LayerLess(Index),
    EdgeLess(Index),
    /// An edge starts where another does, or ends there.
    EdgeFrom(Index, Index),
    EdgeTo(Index, Index),
}

fn extreme() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&EXTREMES[..])
}

/// Damage to the file; most of it is noticed when the file is read.
fn damage() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(a, b)| Mutation::Byte(a, b)),
        (at(), 1usize..400).prop_map(|(a, n)| Mutation::Delete(a, n)),
        (at(), 1usize..400).prop_map(|(a, n)| Mutation::Repeat(a, n)),
        (at(), any::<u8>()).prop_map(|(a, b)| Mutation::Weight(a, b)),
        (at(), extreme()).prop_map(|(a, n)| Mutation::Number(a, n)),
        (at(), at()).prop_map(|(a, b)| Mutation::Attribute(a, b)),
        at().prop_map(Mutation::LayerLess),
        at().prop_map(Mutation::EdgeLess),
        (at(), at()).prop_map(|(a, b)| Mutation::EdgeTo(a, b)),
    ]
}

/// Changes after which most files can be read, but what they say makes no sense.
fn nonsense() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), -4i64..9).prop_map(|(a, n)| Mutation::Integer(a, n)),
        1 => (at(), prop::sample::select(&[i64::MIN, i64::MAX, 1 << 40][..]))
            .prop_map(|(a, n)| Mutation::Integer(a, n)),
        3 => (at(), extreme()).prop_map(|(a, n)| Mutation::Dim(a, n)),
        2 => at().prop_map(Mutation::DimMore),
        2 => at().prop_map(Mutation::DimLess),
        3 => (at(), prop::sample::select(&KINDS[..])).prop_map(|(a, kind)| Mutation::Kind(a, kind)),
        2 => (at(), extreme()).prop_map(|(a, n)| Mutation::Option(a, n)),
        2 => (at(), at()).prop_map(|(a, b)| Mutation::EdgeFrom(a, b)),
    ]
}

/// Where `start…end` occurs, without the two. Half of the time it is one of the last places: the head is there.
fn find(text: &str, start: &str, end: &str, at: &Index) -> Option<std::ops::Range<usize>> {
    let places: Vec<usize> = text.match_indices(start).map(|(i, _)| i + start.len()).collect();
    let count = places.len();
    let place = at.index((2 * count).max(1));
    let start =
        *places.get(if place < count { place } else { count.checked_sub(1 + (place - count) / 8)? })?;
    Some(start..start + text.get(start..)?.find(end)?)
}

fn replaced(text: &str, range: Option<std::ops::Range<usize>>, with: &str) -> Option<String> {
    let range = range?;
    Some(format!("{}{with}{}", text.get(..range.start)?, text.get(range.end..)?))
}

/// Copies the part that one index finds over the one that another finds.
fn copied(text: &str, start: &str, end: &str, to: &Index, from: &Index) -> Option<String> {
    let from = text.get(find(text, start, end, from)?)?;
    replaced(text, find(text, start, end, to), from)
}

fn mutate(xml: &mut Vec<u8>, bin: &mut [u8], mutation: &Mutation) {
    if xml.is_empty() {
        return;
    }
    let (length, text) = (xml.len(), String::from_utf8_lossy(xml).into_owned());
    let text = text.as_str();
    let dim = |at| find(text, "<dim>", "</dim>", at);
    let changed = match mutation {
        Mutation::Byte(at, byte) => return xml[at.index(length)] = *byte,
        Mutation::Delete(at, n) => {
            let at = at.index(length);
            return drop(xml.drain(at..(at + n).min(length)));
        }
        Mutation::Repeat(at, n) => {
            let at = at.index(length);
            let part = xml[at..(at + n).min(length)].to_vec();
            return drop(xml.splice(at..at, part));
        }
        Mutation::Weight(at, byte) => {
            let at = at.index(bin.len());
            return bin[at] = *byte;
        }
        Mutation::Integer(at, value) => {
            let consts = find(text, "<data element_type=\"i64\"", "/>", at);
            let offset = consts
                .and_then(|range| text[range].split("offset=\"").nth(1)?.split('"').next()?.parse().ok());
            if let Some(bytes) = offset.and_then(|offset: usize| bin.get_mut(offset..offset.checked_add(8)?))
            {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            return;
        }
        Mutation::Number(at, number) => {
            let digits = |c: char| c.is_ascii_digit();
            let starts: Vec<usize> = text
                .char_indices()
                .zip(std::iter::once(' ').chain(text.chars()))
                .filter(|((_, c), before)| digits(*c) && !digits(*before))
                .map(|((i, _), _)| i)
                .collect();
            let start = starts.get(at.index(starts.len().max(1))).copied();
            let range = start.map(|i| i..i + text[i..].find(|c| !digits(c)).unwrap_or(text.len() - i));
            replaced(text, range, number)
        }
        Mutation::Dim(at, number) => replaced(text, dim(at), number),
        Mutation::DimMore(at) => dim(at).and_then(|r| replaced(text, Some(r.start..r.start), "3</dim><dim>")),
        Mutation::DimLess(at) => dim(at).and_then(|r| replaced(text, Some(r.start - 5..r.end + 6), "")),
        Mutation::Attribute(to, from) => copied(text, "=\"", "\"", to, from),
        Mutation::Kind(at, kind) => {
            let range = find(text, " type=\"", "\"", at);
            let range = range.filter(|r| !["Const", "Parameter", "Result"].contains(&&text[r.clone()]));
            replaced(text, range, kind)
        }
        Mutation::Option(at, number) => {
            let data = find(text, "<data ", "/>", at).filter(|r| !text[r.clone()].contains("offset="));
            let digits = data.and_then(|r| {
                let start = r.start + text[r.clone()].find(|c: char| c.is_ascii_digit())?;
                Some(start..start + text[start..].find(|c: char| !c.is_ascii_digit())?)
            });
            replaced(text, digits, number)
        }
        Mutation::LayerLess(at) => find(text, "<layer ", "</layer>", at)
            .and_then(|r| replaced(text, Some(r.start - 7..r.end + 8), "")),
        Mutation::EdgeLess(at) => {
            find(text, "<edge ", "/>", at).and_then(|r| replaced(text, Some(r.start - 6..r.end + 2), ""))
        }
        Mutation::EdgeFrom(to, from) => copied(text, "<edge ", " to-layer", to, from),
        Mutation::EdgeTo(to, from) => copied(text, " to-layer=", "/>", to, from),
    };
    if let Some(changed) = changed {
        *xml = changed.into_bytes();
    }
}

fn options(choice: usize, layer: Option<String>) -> Options {
    let mut options = Options { target_layers: layer.into_iter().collect(), ..Options::default() };
    match choice {
        0 => {}
        1 => options.strategy = Forms::Dense,
        2 => (options.strategy, options.memory_budget) = (Forms::Dense, u64::MAX),
        3 => options.classes = Classes::Top(2),
        4 => (options.classes, options.strategy) = (Classes::Top(2), Forms::Dense),
        5 => options.classes = Classes::Listed(vec![2, 0, 2]),
        6 => options.classes = Classes::Top(usize::MAX),
        7 => (options.method, options.feature_vector) = (Some(Method::ActivationMap), true),
        8 => (options.method, options.feature_vector) = (Some(Method::ClassProbabilityMap), true),
        _ => (options.scaling, options.saliency_type) = (false, SaliencyType::F32),
    }
    options
}

/// Runs everything that reads a model; what is inserted must be sound and must come out again.
fn run(folder: &Path, xml: &[u8], bin: &[u8], choice: usize, layer: Option<Index>) {
    let path = folder.join("model.xml");
    fs::write(&path, xml).unwrap();
    fs::write(folder.join("model.bin"), bin).unwrap();
    let Ok(model) = Model::read(&path, None) else { return };
    let names: Vec<String> = model.graph().nodes().map(|(_, node)| node.name.clone()).collect();
    let layer = layer.filter(|_| !names.is_empty()).map(|at| at.get(&names).clone());
    let options = options(choice, layer);
    let _ = xai_insert::list_targets(&model, &options);
    if let Ok(Outcome::Inserted(insertion)) = insert(&model, &options) {
        let document = Document::parse(&path, insertion.xml().to_vec()).expect("the result is XML");
        Graph::new(&document).expect("the result is a graph");
        let (restored, bytes) = Splice::remove(&document).expect("the branch comes out again");
        assert!(restored == xml && bytes == bin.len(), "removal gives something else");
        assert!(!insertion.dump().text().is_empty() && !insertion.dump().dot().is_empty());
        assert!(!insertion.report().to_string().is_empty());
    }
}

fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    };
    // The same cases in every run, unless asked for others: a change is to blame for its own failures only.
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(20_260_401);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

fn check(fixture: usize, mutations: &[Mutation], choice: usize, layer: Option<Index>) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let (xml, bin) = &SOURCES[fixture];
    let (mut xml, mut bin) = (xml.clone().into_bytes(), bin.clone());
    for mutation in mutations {
        mutate(&mut xml, &mut bin, mutation);
    }
    let started = Instant::now();
    run(folder.path(), &xml, &bin, choice, layer);
    started.elapsed()
}

proptest! {
    #![proptest_config(config(500))]
    #[test]
    fn damaged_files_never_panic(
        fixture in 0..FIXTURES.len(),
        mutations in prop::collection::vec(damage(), 1..5),
        choice in 0usize..10,
    ) {
        let time = check(fixture, &mutations, choice, None);
        prop_assert!(time < Duration::from_secs(10), "it took {:?}", time);
    }
}

proptest! {
    #![proptest_config(config(2000))]
    #[test]
    fn models_that_make_no_sense_never_panic(
        fixture in 0..FIXTURES.len(),
        mutations in prop::collection::vec(nonsense(), 1..5),
        choice in 0usize..10,
        layer in prop::option::weighted(0.3, any::<Index>()),
    ) {
        let time = check(fixture, &mutations, choice, layer);
        prop_assert!(time < Duration::from_secs(10), "it took {:?}", time);
    }
}
