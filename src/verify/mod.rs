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
mod layout;
mod lie;
mod outputs;
mod place;
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
pub use outputs::OutputFigures;
pub use place::PlaceFigures;
pub use report::{FeatureFigures, InputReport, RecordReport, Report, RuntimeReport};
pub use shapes::ShapeOverride;
pub use structure::StructureFigures;

use crate::analysis::InputFacts;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::interrupt::Interrupt;
use crate::ir::{Document, ModelInfo, key};
use crate::message::{Message, Setting, message};
use crate::model::Model;
use crate::preprocess::{Photo, Preprocessing};
use crate::runtime::{Runtime, RuntimeError, RuntimeOptions, Session, Tensor};
use definition::Definition;
use record::Record;
use reference::Reference;
use samples::Samples;
use shapes::Input;

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
    let definition = Definition::read(&record, old.graph());
    let info = ModelInfo::read(old.document().rt_info());
    let facts: Vec<_> = old.graph().parameters().map(|(id, _)| InputFacts::of(&old, id)).collect();
    let inputs = shapes::settle(old.graph(), &facts, &info, &options.shapes)?;
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

/// What became of the maps, of the feature vector, and of where maps lie.
type Compared = (Check<MapFigures>, Option<Check<FeatureFigures>>, Check<PlaceFigures>);

/// Both models, ready to be run.
struct Pair<'a> {
    old: &'a Model,
    new: &'a Document,
    new_weights: &'a Path,
    /// What the record says, or why it says nothing.
    definition: &'a Result<Definition, String>,
    inputs: &'a [Input],
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
        let (mut original, expected) = match run(runtime.compile(old, self.old.weights().path())) {
            Ok(found) => found,
            Err(e) => {
                report.outputs =
                    Check::not_checked(message!["the original does not run: "].with(e.message()));
                return Ok(());
            }
        };
        // The original runs here, so that the other does not is a finding.
        let (mut model, found) = match run(runtime.compile(self.new.path(), self.new_weights)) {
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
        self.maps(&mut runtime, samples, &found, report)
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
                return Ok(());
            }
        };
        report.scaled = definition.scaling;
        let place = |name: &str| {
            let graph = Graph::new(self.new).ok()?;
            graph.results().position(|(_, outlet)| {
                graph.node(outlet.node).outputs[outlet.slot].names.iter().any(|found| found == name)
            })
        };
        let Some(output) = place(&definition.output) else {
            report.saliency = Check::failed(format!("no output is called '{}'", definition.output));
            return Ok(());
        };
        let vector = definition.feature_vector.as_deref().map(|name| place(name).ok_or(name));
        match self.compare(runtime, definition, samples, found, output, vector) {
            Ok((maps, features, place)) => {
                (report.saliency, report.feature_vector, report.place) = (maps, features, place);
            }
            Err(e @ (Error::Usage(_) | Error::Runtime(_))) => {
                report.saliency = Check::not_checked(e.message());
                report.place = Check::not_checked("the features were not reached");
            }
            Err(e) => return Err(e),
        }
        Ok(())
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
        for (inputs, found) in samples.iter().zip(found) {
            let expected = reference.run(runtime, inputs)?;
            if let Some(found) = found.get(output) {
                saliency::compare_maps(definition, &expected, found, &mut maps, &mut map_problems)?;
            }
            if let Some(found) = vector.and_then(Result::ok).and_then(|place| found.get(place)) {
                saliency::compare_features(&expected, found, &mut features, &mut feature_problems)?;
            }
        }
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
        Ok((maps, features, place))
    }
}
