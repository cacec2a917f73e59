//! The targets: each takes any bytes, and panics where something is wrong.

use std::fs;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use xai_insert::verify::{Outcome as Verdict, VerifyOptions, verify};
use xai_insert::{
    Classes, Insertion, Method, Model, Options, Outcome, RuntimeOptions, SaliencyType, Strategy,
    insert as insert_branch, list_targets, remove,
};

use super::mutation::{At, Mutation, mutate};
use super::sources::{SOURCES, Source, root};

/// A target's name, what it runs, and inputs to begin with, each under a name.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<(String, Vec<u8>)>);

/// All targets.
pub const TARGETS: [Target; 4] = [
    ("parse", parse, documents),
    ("splice_and_remove", splice_and_remove, sound_models),
    ("insert", insert, cases),
    ("record", record, records),
];

/// Reads an XML beside a BIN of zeros.
pub fn parse(data: &[u8]) {
    if let Ok(model) = Model::from_bytes(data.to_vec(), vec![0; 1 << 16]) {
        // Whatever stands in there, no branch of ours does.
        assert!(remove(&model).is_err());
    }
}

fn documents() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> =
        SOURCES.iter().map(|source| (source.name.to_owned(), source.xml.clone())).collect();
    let malformed = fs::read_dir(root().join("tests/malformed")).unwrap();
    let mut malformed: Vec<_> = malformed.map(|entry| entry.unwrap().path()).collect();
    malformed.sort();
    for path in malformed {
        found.push((path.file_stem().unwrap().display().to_string(), fs::read(path).unwrap()));
    }
    found
}

/// A byte that chooses the BIN, and an XML: what is spliced in comes out again, whatever the XML looks like.
pub fn splice_and_remove(data: &[u8]) {
    let Some((first, xml)) = data.split_first() else { return };
    let bin = &Source::of(*first).bin;
    let Ok(model) = Model::from_bytes(xml.to_vec(), bin.clone()) else { return };
    if let Ok(Outcome::Inserted(insertion)) = insert_branch(&model, &Options::default()) {
        comes_out_again(&insertion, xml, bin);
    }
}

fn sound_models() -> Vec<(String, Vec<u8>)> {
    let input = |(i, source): (u8, &Source)| (source.name.to_owned(), [&[i], &*source.xml].concat());
    (0..).zip(SOURCES.iter()).map(input).collect()
}

fn comes_out_again(insertion: &Insertion<'_>, xml: &[u8], bin: &[u8]) {
    let whole = [bin, insertion.bin_tail()].concat();
    let model = Model::from_bytes(insertion.xml().to_vec(), whole).expect("the result is a model");
    let (restored, bytes) = remove(&model).expect("the branch comes out again");
    assert!(restored == xml && bytes == bin.len() as u64, "removal gives something else");
}

/// A fixture with changes, and options.
#[derive(Debug, Clone, Arbitrary)]
pub struct Case {
    pub fixture: u8,
    /// Which options.
    pub choice: u8,
    /// A layer that is named as the target.
    pub layer: Option<At>,
    pub mutations: Vec<Mutation>,
}

impl Case {
    /// Runs everything that reads a model; what is inserted must be sound and must come out again.
    pub fn run(&self) {
        let source = Source::of(self.fixture);
        let (mut xml, mut bin) = (source.xml.clone(), source.bin.clone());
        for mutation in &self.mutations {
            mutate(&mut xml, &mut bin, mutation);
        }
        let Ok(model) = Model::from_bytes(xml.clone(), bin.clone()) else { return };
        let options = self.options(&String::from_utf8_lossy(&xml));
        let _ = list_targets(&model, &options);
        if let Ok(Outcome::Inserted(insertion)) = insert_branch(&model, &options) {
            comes_out_again(&insertion, &xml, &bin);
            assert!(!insertion.dump().text().is_empty() && !insertion.dump().dot().is_empty());
            assert!(!insertion.report().to_string().is_empty());
        }
    }

    fn options(&self, xml: &str) -> Options {
        let names = xml
            .split("<layer ")
            .skip(1)
            .filter_map(|layer| layer.split(" name=\"").nth(1)?.split('"').next());
        let names: Vec<&str> = names.collect();
        let layer = self.layer.filter(|_| !names.is_empty()).map(|at| names[at.index(names.len())]);
        let mut options =
            Options { target_layers: layer.map(str::to_owned).into_iter().collect(), ..Options::default() };
        match self.choice % CHOICES {
            0 => {}
            1 => options.strategy = Strategy::Dense,
            2 => (options.strategy, options.memory_budget) = (Strategy::Dense, u64::MAX),
            3 => options.classes = Classes::Top(2),
            4 => (options.classes, options.strategy) = (Classes::Top(2), Strategy::Dense),
            5 => options.classes = Classes::Listed(vec![2, 0, 2]),
            6 => options.classes = Classes::Top(usize::MAX),
            7 => (options.method, options.feature_vector) = (Some(Method::ActivationMap), true),
            8 => (options.method, options.feature_vector) = (Some(Method::ClassProbabilityMap), true),
            _ => (options.scaling, options.saliency_type) = (false, SaliencyType::F32),
        }
        options
    }
}

/// How many sets of options there are.
pub const CHOICES: u8 = 10;

/// A [`Case`], as bytes.
pub fn insert(data: &[u8]) {
    if let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) {
        case.run();
    }
}

/// Every fixture under all options without a change, where what is missing of the bytes counts as zeros; and with
/// some changes, so that the fuzzer begins with inputs that are long enough for them.
fn cases() -> Vec<(String, Vec<u8>)> {
    let sources = || (0u8..).zip(SOURCES.iter());
    let sound = sources().flat_map(|(i, source)| {
        (0..CHOICES).map(move |choice| (format!("{}_{choice}", source.name), vec![i, choice]))
    });
    let changed = sources().map(|(i, source)| {
        let changes = (0..96u8).map(|k| k.wrapping_mul(37).wrapping_add(i.wrapping_mul(101)));
        (format!("{}_changed", source.name), [i, i % CHOICES].into_iter().chain(changes).collect())
    });
    sound.chain(changed).collect()
}

/// What is recorded lies between the two.
const SECTION: [&str; 2] = ["<xai>", "</xai>"];

/// A fixture with its branch: XML before the record's entries, the entries, XML behind them, and the BIN.
struct Recorded {
    xml: [Vec<u8>; 3],
    bin: Vec<u8>,
}

static RECORDED: LazyLock<Vec<Recorded>> = LazyLock::new(|| {
    let recorded = |source: &Source| {
        let model = Model::from_bytes(source.xml.clone(), source.bin.clone()).unwrap();
        let Ok(Outcome::Inserted(insertion)) = insert_branch(&model, &Options::default()) else {
            panic!("{} is not accepted", source.name);
        };
        let text = std::str::from_utf8(insertion.xml()).unwrap();
        let (before, rest) = text.rsplit_once(SECTION[0]).unwrap();
        let (entries, after) = rest.split_once(SECTION[1]).unwrap();
        let xml = [format!("{before}{}", SECTION[0]), entries.to_owned(), format!("{}{after}", SECTION[1])];
        Recorded { xml: xml.map(String::into_bytes), bin: [&*source.bin, insertion.bin_tail()].concat() }
    };
    SOURCES.iter().map(recorded).collect()
});

/// A byte that chooses the model, and what stands in its record: read back by `verify`, which finds no runtime and
/// so never passes anything.
pub fn record(data: &[u8]) {
    let Some((first, entries)) = data.split_first() else { return };
    let (source, recorded) = (Source::of(*first), &RECORDED[usize::from(*first) % RECORDED.len()]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.xml");
    let [before, _, after] = &recorded.xml;
    fs::write(&path, [before, entries, after].concat()).unwrap();
    fs::write(path.with_extension("bin"), &recorded.bin).unwrap();
    let runtime = RuntimeOptions { library: Some(folder.path().join("absent")), ..RuntimeOptions::default() };
    let options = VerifyOptions { runtime, samples: 1, ..VerifyOptions::default() };
    if let Ok(report) = verify(&source.path, &path, &options) {
        assert_ne!(report.outcome, Verdict::Passed);
        assert!(!report.to_string().is_empty());
    }
}

fn records() -> Vec<(String, Vec<u8>)> {
    let input = |((i, source), recorded): ((u8, &Source), &Recorded)| {
        (source.name.to_owned(), [&[i], &*recorded.xml[1]].concat())
    };
    (0..).zip(SOURCES.iter()).zip(RECORDED.iter()).map(input).collect()
}
