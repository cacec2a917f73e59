//! Translation validation: does a model with a saliency branch hold what it promises?
//!
//! Checks, none of which relies on how the branch was made:
//!
//! 1. structure: the original's layers, edges and weights are all there, byte for byte;
//! 2. outputs: both models give the same answers on the same inputs;
//! 3. saliency: the maps equal those of the definition, computed position by position on the
//!    original, cut in two at the feature map;
//! 4. place: what is said of where positions lie in the input is so;
//! 5. cost: latency of both models, measured in turns.
//!
//! Check 1 needs no runtime, the others need OpenVINO.

mod check;
mod compare;
mod cost;
mod cut;
mod definition;
mod detector;
mod drift;
mod layout;
mod lie;
mod meaning;
mod outputs;
mod place;
mod positions;
mod record;
mod reference;
mod report;
mod saliency;
mod samples;
mod shapes;
mod structure;

use std::path::{Path, PathBuf};

pub use check::{Check, Outcome};
pub use compare::MapFigures;
pub use cost::CostFigures;
pub use drift::DriftFigures;
pub use meaning::MeaningFigures;
pub use outputs::OutputFigures;
pub use place::PlaceFigures;
pub use report::{FeatureFigures, InputReport, RecordReport, Report, RuntimeReport};
pub use shapes::ShapeOverride;
pub use structure::StructureFigures;

use crate::analysis::InputFacts;
use crate::error::{Error, Result};
use crate::given::Given;
use crate::graph::Graph;
use crate::interrupt::Interrupt;
use crate::ir::{Document, InputShape, ModelInfo, key};
use crate::message::{Message, Setting, message};
use crate::model::Model;
use crate::preprocess::{Photo, Preprocessing};
use crate::runtime::{Precision, Runtime, RuntimeError, RuntimeOptions, Session, Tensor};
use definition::{Definition, Method};
use positions::Sampling;
use record::Record;
use reference::{Answer, Reference};
use samples::Samples;
use shapes::Input;

/// In what precision maps are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precisions {
    /// All checks in single precision.
    #[default]
    F32,
    /// How maps drift where the device computes as it does by default, in place of the checks against the definition.
    Default,
    /// All checks, and how maps drift.
    Both,
}

impl std::str::FromStr for Precisions {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "default" => Ok(Self::Default),
            "f32" => Ok(Self::F32),
            "both" => Ok(Self::Both),
            _ => Err(Error::usage("give default, f32 or both")),
        }
    }
}

/// What to check, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The runtime and its device.
    pub runtime: RuntimeOptions,
    /// BIN of the original, where it is not named like the XML.
    pub weights: Option<PathBuf>,
    /// An image to run on, in place of random inputs.
    pub image: Option<PathBuf>,
    /// Sets of random inputs.
    pub samples: usize,
    /// Seed of the random inputs.
    pub seed: u64,
    /// Shapes for inputs that are dynamic.
    pub shapes: Vec<ShapeOverride>,
    /// Compare maps at so many positions, where the grid has more; at all of them without.
    pub positions: Option<usize>,
    /// In what precision maps are looked at.
    pub precision: Precisions,
    /// Whether to measure latency.
    pub bench: bool,
    /// Stops the checks before the next inference.
    pub interrupt: Interrupt,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            runtime: RuntimeOptions::default(),
            weights: None,
            image: None,
            samples: 2,
            seed: 0,
            shapes: Vec::new(),
            positions: None,
            precision: Precisions::default(),
            bench: false,
            interrupt: Interrupt::default(),
        }
    }
}

/// Checks `model`, which was made from `original` by adding a saliency branch.
///
/// # Errors
/// Where the checks cannot begin: a file that cannot be read, an original that is no IR, a model
/// without a record of its branch, options that contradict the model. What the checks find is in
/// the report, also that there is no runtime. [`Error::Interrupted`] where that was asked for.
pub fn verify(original: &Path, model: &Path, options: &VerifyOptions) -> Result<Report> {
    let sampling = Sampling::new(options.positions, options.seed)?;
    let old = Model::read(original, options.weights.as_deref())?;
    let weights = model.with_extension("bin");
    let mut report = blank(original, model);
    let new = match Document::read(model) {
        Ok(document) => document,
        Err(e @ (Error::Xml { .. } | Error::Layer { .. })) => {
            report.structure = Check::failed(e.message());
            report.sum_up();
            return Ok(report);
        }
        Err(e) => return Err(e),
    };
    let record = Record::read(&new)?;
    report.record = Some(describe(&record));
    let under = record.get(key::INPUT_SHAPE).map(InputShape::parse_list).transpose()?.unwrap_or_default();
    let old = match record.get(key::RESHAPED) {
        Some("true") => old.given(&Given { shapes: under.clone(), reshape: true, grid: None })?,
        _ => old,
    };
    let definition = Definition::read(&record, old.written());
    let info = ModelInfo::read(old.document().rt_info());
    let facts: Vec<_> = old.written().parameters().map(|(id, _)| InputFacts::of(&old, id)).collect();
    let inputs = shapes::settle(old.written(), &facts, &info, (&options.shapes, &under))?;
    report.structure = structure::check((old.document(), old.weights().path()), (&new, &weights))?;
    let (samples, preprocessing) = samples(&old, &inputs, &info, options)?;
    report.cost = options.bench.then(|| Check::not_checked("the models were not run"));
    match Runtime::load(&options.runtime) {
        Ok(mut runtime) => {
            runtime.heed(&options.interrupt);
            let fed = inputs.iter().zip(preprocessing);
            report.inputs = fed.map(|(input, how)| describe_input(input, how)).collect();
            report.samples = samples.len();
            let pair = Pair {
                old: &old,
                new: &new,
                new_weights: &weights,
                definition: &definition,
                inputs: &inputs,
                sampling,
            };
            pair.run(runtime, &samples, options, &mut report)?;
        }
        Err(e) => not_run(&mut report, &e),
    }
    // Checks take what stops a run for a reason that they could not be done.
    if options.interrupt.is_set() {
        return Err(Error::Interrupted);
    }
    report.sum_up();
    Ok(report)
}

/// Version of the OpenVINO that would be used; loads it.
///
/// # Errors
/// [`Error::Runtime`] where there is none, or none that can be used.
pub fn openvino(options: &RuntimeOptions) -> Result<String> {
    Ok(Runtime::load(options)?.version().to_owned())
}

fn blank(original: &Path, model: &Path) -> Report {
    Report {
        original: original.to_path_buf(),
        model: model.to_path_buf(),
        outcome: Outcome::NotChecked,
        record: None,
        runtime: None,
        inputs: Vec::new(),
        samples: 0,
        structure: Check::not_checked("not begun"),
        outputs: Check::not_checked("the models were not run"),
        saliency: Check::not_checked("the models were not run"),
        feature_vector: None,
        meaning: None,
        precision: None,
        place: Check::not_checked("the models were not run"),
        cost: None,
        scaled: true,
    }
}

fn describe(record: &Record<'_>) -> RecordReport {
    let entry = |name: &str| record.get(name).map(str::to_owned);
    RecordReport {
        version: entry(key::VERSION),
        method: record.method().to_owned(),
        target: entry(key::TARGET),
        layout: entry(key::LAYOUT),
        grid: entry(key::GRID),
        targets: entry(key::TARGETS),
        scales: (1..)
            .map(|i| entry(&key::numbered(key::SCALE, i)))
            .take_while(Option::is_some)
            .flatten()
            .collect(),
        size: entry(key::SALIENCY_SIZE),
        quantized: entry(key::QUANTIZED),
    }
}

fn describe_input(input: &Input, preprocessing: Option<Preprocessing>) -> InputReport {
    let content = match (&preprocessing, input.image) {
        (Some(_), _) => "image",
        (None, Some(_)) => "random image",
        (None, None) => "random",
    };
    InputReport {
        name: input.name.clone(),
        element: input.element.to_string(),
        declared: input.declared.clone(),
        shape: input.shape.clone(),
        content,
        preprocessing,
    }
}

fn not_run(report: &mut Report, error: &RuntimeError) {
    report.outputs = Check::not_checked(error.message());
    // Said once is enough.
    report.saliency = Check::not_checked("there is no runtime");
    report.place = Check::not_checked("there is no runtime");
    report.cost = report.cost.take().map(|_| Check::not_checked("there is no runtime"));
}

/// Sets of tensors for all inputs, and what was done to the image for each input that takes it.
type Fed = (Vec<Vec<Tensor>>, Vec<Option<Preprocessing>>);

/// What the models are run on.
fn samples(old: &Model, inputs: &[Input], info: &ModelInfo, options: &VerifyOptions) -> Result<Fed> {
    let mut random = Samples::new(options.seed);
    let Some(image) = &options.image else {
        let one = |_| match options.interrupt.is_set() {
            true => Err(Error::Interrupted),
            false => inputs.iter().map(|input| random.next(input)).collect(),
        };
        let sets: Result<_> = (0..options.samples.max(1)).map(one).collect();
        return Ok((sets?, vec![None; inputs.len()]));
    };
    if inputs.iter().all(|input| input.image.is_none()) {
        return Err(Error::usage(format!("no input of {} takes an image", old.document().path().display())));
    }
    let photo = Photo::read(image)?;
    let fill = |input: &Input| match input.image {
        Some(_) => samples::from_photo(input, &photo, info).map(|(tensor, how)| (tensor, Some(how))),
        None => Ok((random.next(input)?, None)),
    };
    let (set, how) = inputs.iter().map(fill).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok((vec![set], how))
}

/// What became of the maps, and of what was recorded of them.
struct Compared {
    maps: Check<MapFigures>,
    features: Option<Check<FeatureFigures>>,
    meaning: Option<Check<MeaningFigures>>,
    place: Check<PlaceFigures>,
}

/// Both models, ready to be run.
struct Pair<'a> {
    old: &'a Model,
    new: &'a Document,
    new_weights: &'a Path,
    /// What the record says, or why it says nothing.
    definition: &'a Result<Definition, String>,
    inputs: &'a [Input],
    sampling: Sampling,
}

impl Pair<'_> {
    fn run(
        &self,
        mut runtime: Runtime,
        samples: &[Vec<Tensor>],
        options: &VerifyOptions,
        report: &mut Report,
    ) -> Result<()> {
        report.runtime = Some(RuntimeReport {
            version: runtime.version().to_owned(),
            library: runtime.library().to_path_buf(),
            device: runtime.device().to_owned(),
        });
        let old = self.old.document().path();
        let run = |session: Result<Session, RuntimeError>| {
            let mut session = session?;
            let outputs = samples.iter().map(|inputs| session.run(inputs));
            let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, RuntimeError>((session, outputs))
        };
        let forget =
            |session: Result<Session, RuntimeError>| Ok(session?.forget(self.old.written().has_state()));
        let compiled = forget(runtime.compile(old, self.old.weights().path()));
        let (mut original, expected) = match run(compiled) {
            Ok(found) => found,
            Err(e) => {
                report.outputs =
                    Check::not_checked(message!["the original does not run: "].with(e.message()));
                return Ok(());
            }
        };
        // The original runs here, so that the other does not is a finding.
        let (mut model, found) = match run(forget(runtime.compile(self.new.path(), self.new_weights))) {
            Ok(found) => found,
            Err(e) => {
                report.outputs = Check::failed(e.message());
                return Ok(());
            }
        };
        let (mut figures, mut problems) = (OutputFigures::default(), Vec::new());
        for (expected, found) in expected.iter().zip(&found) {
            outputs::compare(expected, found, &mut figures, &mut problems)?;
        }
        report.outputs = Check::judged(problems, figures);
        if options.bench
            && let Some(inputs) = samples.first()
        {
            report.cost = Some(match cost::measure(&mut original, &mut model, inputs) {
                Ok(figures) => Check::judged(Vec::<Message>::new(), figures),
                Err(e) => Check::not_checked(e.message()),
            });
        }
        // Two copies of large weights are enough at a time.
        drop((original, model));
        if options.precision != Precisions::F32 {
            report.precision = Some(self.drift(samples, &found, options)?);
        }
        if options.precision == Precisions::Default {
            let skipped = || Check::skipped("only the default precision was asked for");
            (report.saliency, report.place) = (skipped(), Check::skipped("as the saliency"));
            return Ok(());
        }
        self.maps(&mut runtime, samples, &found, report)
    }

    /// How maps drift where the device computes as it does by default.
    fn drift(
        &self,
        samples: &[Vec<Tensor>],
        found: &[Vec<Tensor>],
        options: &VerifyOptions,
    ) -> Result<Check<DriftFigures>> {
        let definition = match self.definition {
            Ok(definition) => definition,
            Err(reason) => return Ok(Check::not_checked(reason.clone())),
        };
        let Some(output) = self.place_of(&definition.output) else {
            return Ok(Check::failed(format!("no output is called '{}'", definition.output)));
        };
        let by_default = RuntimeOptions { precision: Precision::Device, ..options.runtime.clone() };
        let run = || {
            let mut runtime = Runtime::load(&by_default)?;
            runtime.heed(&options.interrupt);
            let compiled = runtime.compile(self.new.path(), self.new_weights)?;
            let mut session = compiled.forget(self.old.written().has_state());
            let maps = samples.iter().map(|inputs| {
                session.bind(inputs)?;
                session.infer()?;
                session.output(output)
            });
            let maps = maps.collect::<Result<Vec<Tensor>, RuntimeError>>()?;
            Ok::<_, RuntimeError>((maps, runtime.precision()))
        };
        let (maps, precision) = match run() {
            Ok(ran) => ran,
            Err(e) => return Ok(Check::not_checked(e.message())),
        };
        let exact: Vec<Tensor> = found.iter().filter_map(|outputs| outputs.get(output).cloned()).collect();
        if precision.as_deref() == Some("f32") {
            // The same maps twice: nothing that could differ, and where nothing else is looked at, nothing checked.
            let why = "the device computes in single precision by default";
            let alone = options.precision == Precisions::Default;
            return Ok(if alone { Check::not_checked(why) } else { Check::skipped(why) });
        }
        let figures = DriftFigures::new(&exact, &maps, precision)?;
        if figures.maps == 0 {
            return Ok(Check::not_checked("every map is the same everywhere, so that nothing was compared"));
        }
        Ok(Check::judged(figures.problems(), figures))
    }

    /// The place of an output among those of the model with the branch.
    fn place_of(&self, name: &str) -> Option<usize> {
        let graph = Graph::new(self.new).ok()?;
        graph.results().position(|(_, outlet)| {
            graph.node(outlet.node).outputs[outlet.slot].names.iter().any(|found| found == name)
        })
    }

    fn maps(
        &self,
        runtime: &mut Runtime,
        samples: &[Vec<Tensor>],
        found: &[Vec<Tensor>],
        report: &mut Report,
    ) -> Result<()> {
        let definition = match self.definition {
            Ok(definition) => definition,
            Err(reason) => {
                report.saliency = Check::not_checked(reason.clone());
                report.place = Check::not_checked("the record cannot be read");
                return Ok(());
            }
        };
        report.scaled = definition.scaling;
        let Some(output) = self.place_of(&definition.output) else {
            report.saliency = Check::failed(format!("no output is called '{}'", definition.output));
            return Ok(());
        };
        let vector = definition.feature_vector.as_deref().map(|name| self.place_of(name).ok_or(name));
        match self.compare(runtime, definition, samples, found, output, vector) {
            Ok(compared) => {
                (report.saliency, report.feature_vector) = (compared.maps, compared.features);
                (report.meaning, report.place) = (compared.meaning, compared.place);
            }
            Err(e @ (Error::Usage(_) | Error::Runtime(_))) => {
                report.saliency = Check::not_checked(e.message());
                report.place = Check::not_checked("the features were not reached");
                report.meaning = Some(Check::not_checked("the scores were not reached"));
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Whether what was explained is what the model answers; `None` where maps explain no scores.
    fn meaning(
        &self,
        definition: &Definition,
        answers: &[(Vec<f64>, Answer)],
    ) -> Option<Check<MeaningFigures>> {
        let images = self.images();
        let found = match &definition.method {
            Method::ActivationMap { .. } => return None,
            Method::ClassMaps(_) => {
                let listed = |(_, answer): &'_ (Vec<f64>, Answer)| answer.best.clone();
                let sets = answers.iter().map(|set| meaning::Listed {
                    best: listed(set),
                    images,
                    outputs: &set.1.outputs,
                });
                meaning::of_maps(&sets.collect::<Vec<_>>())
            }
            Method::Masked { logits, .. } => {
                if let Some(activation) = meaning::probabilities_behind(self.old.written(), *logits) {
                    let place = self.old.node(activation).place();
                    return Some(Check::failed(format!(
                        "what was explained are probabilities, made of scores by {place}: their maps are not those of \
                         the scores"
                    )));
                }
                let sets = answers.iter().map(|(scores, answer)| meaning::Scored {
                    scores,
                    shape: &answer.shape,
                    images,
                    outputs: &answer.outputs,
                });
                meaning::of_scores(&sets.collect::<Vec<_>>())
            }
        };
        Some(match found {
            meaning::Found::Judged(problems, figures) => Check::judged(problems, figures),
            meaning::Found::Not(reason) => Check::not_checked(reason),
        })
    }

    /// Images that are fed at a time.
    fn images(&self) -> usize {
        let picture = self.inputs.iter().find(|input| input.image.is_some());
        let input = picture.or_else(|| self.inputs.iter().find(|input| input.shape.len() >= 3));
        input.or(self.inputs.first()).and_then(|input| input.shape.first()).copied().unwrap_or(1)
    }

    /// Whether positions lie where the record says.
    fn place(
        &self,
        reference: &mut Reference<'_>,
        definition: &Definition,
        inputs: &[Tensor],
    ) -> Result<Check<PlaceFigures>> {
        let Some(lie) = &definition.lie else {
            return Ok(Check::not_checked(
                "the record does not say where positions lie in the input: that was not known, or an older version \
                 added the branch",
            ));
        };
        Ok(match place::check(lie, self.inputs, inputs, |inputs| reference.observed(inputs))? {
            place::Found::Judged(problems, figures) => Check::judged(problems, figures),
            place::Found::Not(reason) => Check::not_checked(reason),
        })
    }

    fn compare(
        &self,
        runtime: &mut Runtime,
        definition: &Definition,
        samples: &[Vec<Tensor>],
        found: &[Vec<Tensor>],
        output: usize,
        vector: Option<Result<usize, &str>>,
    ) -> Result<Compared> {
        let mut reference = Reference::new(runtime, self.old, definition)?;
        let (mut maps, mut map_problems) = (MapFigures::default(), Vec::new());
        let (mut features, mut feature_problems) = (FeatureFigures::default(), Vec::new());
        if let Some(Err(name)) = vector {
            feature_problems.push(format!("no output is called '{name}'"));
        }
        let mut answers = Vec::new();
        for (inputs, found) in samples.iter().zip(found) {
            let values = found.get(output).map(Tensor::values).transpose()?.unwrap_or_default();
            let expected = reference.run(runtime, inputs, self.sampling, &values)?;
            if let Some(found) = found.get(output) {
                saliency::compare_maps(definition, &expected, found, &mut maps, &mut map_problems)?;
            }
            if let Some(found) = vector.and_then(Result::ok).and_then(|place| found.get(place)) {
                saliency::compare_features(&expected, found, &mut features, &mut feature_problems)?;
            }
            answers.push((expected.logits, expected.answer));
        }
        let meaning = self.meaning(definition, &answers);
        let says_nothing = map_problems.is_empty() && maps.says_nothing();
        let mut maps = Check::judged(map_problems, maps);
        if says_nothing {
            maps.outcome = Outcome::NotChecked;
            maps.problems.push(message![
                "every map is flat to within rounding, or undefined, so that nothing was compared; try another ",
                Setting::Seed,
                ", or an ",
                Setting::Image
            ]);
        }
        let features = vector.map(|_| Check::judged(feature_problems, features));
        let place = match samples.first() {
            Some(inputs) => self.place(&mut reference, definition, inputs)?,
            None => Check::not_checked("there are no samples"),
        };
        Ok(Compared { maps, features, meaning, place })
    }
}
