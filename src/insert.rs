//! The main job: a model in, a model with a saliency output out.

use crate::analysis::{Candidate, Labels, Logits, Reason, Refusal, Target, candidates};
use crate::error::{Error, Result};
use crate::graph::{Dump, Finished, Patch, Size};
use crate::ir::{Destination, Dim, PendingFile, Splice};
use crate::methods::{Branch, Method, SaliencyType, Wish, build, feature_vector};
use crate::model::Model;
use crate::mosaic::{Classes, Strategy};
use crate::report::{AddedReport, LoweringReport, OutputReport, Report, TargetReport};

/// What is to be inserted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The method; `None` chooses one that fits.
    pub method: Option<Method>,
    /// The output that is explained, by tensor or layer name; needed only where several fit.
    pub output: Option<String>,
    /// The target, by layer or tensor name; `None` finds it.
    pub target_layer: Option<String>,
    /// Classes that get a map.
    pub classes: Classes,
    /// Whether each map is scaled to 0..255: `255 (s - min) / (max - min + 1e-12)`. Needed for u8.
    pub scaling: bool,
    /// Element type of the maps.
    pub saliency_type: SaliencyType,
    /// Tensor name of the saliency output; `saliency_map` by default, as Model API knows it.
    pub output_name: String,
    /// Whether to add the output `feature_vector` `[N, C]` too, the target's mean over positions.
    pub feature_vector: bool,
    /// Which forms the lowering may use.
    pub strategy: Strategy,
    /// Most bytes of copied activations that a dense branch may keep alive, for one batch; 2 GiB by default.
    pub memory_budget: u64,
}

/// Tensor name of the feature vector, as Model API knows it.
pub const FEATURE_VECTOR: &str = "feature_vector";

impl Default for Options {
    fn default() -> Self {
        Self {
            method: None,
            output: None,
            target_layer: None,
            classes: Classes::All,
            scaling: true,
            saliency_type: SaliencyType::U8,
            output_name: "saliency_map".to_owned(),
            feature_vector: false,
            strategy: Strategy::Auto,
            memory_budget: 2 << 30,
        }
    }
}

/// What came of [`insert`].
#[derive(Debug)]
pub enum Outcome<'m> {
    /// A branch was built.
    Inserted(Box<Insertion<'m>>),
    /// The model has an output of the wanted name already, and was left alone.
    AlreadyThere {
        /// That name.
        output: String,
    },
}

/// A model with its branch, ready to be written.
#[derive(Debug)]
pub struct Insertion<'m> {
    model: &'m Model,
    patch: Finished,
    report: Report,
    xml: Vec<u8>,
    tail: Vec<u8>,
}

impl Insertion<'_> {
    /// What was done.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The added graph, for people.
    pub fn dump(&self) -> Dump<'_> {
        Dump { graph: self.model.graph(), patch: &self.patch }
    }

    /// The new XML.
    pub fn xml(&self) -> &[u8] {
        &self.xml
    }

    /// What is appended to the BIN: padding and constants.
    pub fn bin_tail(&self) -> &[u8] {
        &self.tail
    }

    /// Writes the new model.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing was changed.
    pub fn write(&self, destination: &Destination) -> Result<()> {
        let weights = self.model.weights();
        let bin =
            PendingFile { source: Some(weights.path()), prefix: weights.len() as u64, tail: &self.tail };
        destination.write(&self.xml, bin)
    }
}

/// Adds a saliency branch to a model, in memory.
///
/// # Errors
/// [`Error::Refused`] with all reasons where no method fits the model, [`Error::Usage`] where the
/// options name what is not there or contradict each other.
pub fn insert<'m>(model: &'m Model, options: &Options) -> Result<Outcome<'m>> {
    if !options.scaling && options.saliency_type == SaliencyType::U8 {
        let message =
            "scores that are not scaled do not fit into u8: use --saliency-type f32 with --no-scaling";
        return Err(Error::Usage(message.to_owned()));
    }
    let taken = |name: &str| {
        let graph = model.graph();
        graph
            .results()
            .any(|(_, outlet)| graph.node(outlet.node).outputs[outlet.slot].names.iter().any(|n| n == name))
    };
    if taken(&options.output_name) {
        return Ok(Outcome::AlreadyThere { output: options.output_name.clone() });
    }
    if options.feature_vector && taken(FEATURE_VECTOR) {
        return Err(Error::Usage(format!("the model has an output '{FEATURE_VECTOR}' already")));
    }
    if options.feature_vector && options.output_name == FEATURE_VECTOR {
        return Err(Error::Usage(format!("two outputs cannot both be called '{FEATURE_VECTOR}'")));
    }
    // OpenVINO would quietly give one of two tensors of one name another name.
    let names = [Some(options.output_name.as_str()), options.feature_vector.then_some(FEATURE_VECTOR)];
    for name in names.into_iter().flatten() {
        let mut outlets = model.graph().nodes().flat_map(|(_, node)| &node.outputs);
        if outlets.any(|outlet| outlet.names.iter().any(|taken| taken == name)) {
            let message = format!("the model has a tensor called '{name}' already, which is no output");
            return Err(Error::Usage(message));
        }
    }
    let method = options.method.unwrap_or(Method::ReciproCam);
    let labels = Labels::new(model);
    let (found, mut reasons) = Logits::find(model, &labels, options.output.as_deref())?;
    let mut notes = Vec::new();
    if found.len() > 1 {
        let others: Vec<&str> = found[1..].iter().map(|logits| logits.output.as_str()).collect();
        notes.push(format!(
            "several outputs can be explained; the others are '{}' (choose with --output)",
            others.join("', '")
        ));
    }
    if model.document().version() == 10 {
        let note = "OpenVINO presents outputs of IR version 10 as f32; the map holds the same numbers";
        notes.push(note.to_owned());
    }
    for logits in &found {
        check_classes(&options.classes, logits)?;
        let candidates = candidates(model, &labels, logits, options.target_layer.as_deref())?;
        match choose(&candidates) {
            Ok((candidate, target)) => {
                match attempt(model, options, method, &labels, logits, candidate, &target) {
                    Ok(done) => {
                        notes.extend(passed_over(&candidates, candidate));
                        return finish(model, options, method, logits, candidate, &target, done, notes);
                    }
                    Err(reason) => reasons.push((subject(logits, Some(candidate)), reason)),
                }
            }
            Err(reason) => reasons.push((subject(logits, None), reason)),
        }
    }
    Err(Error::Refused(Box::new(Refusal { wanted: method.title().to_owned(), reasons })))
}

/// All values that were considered as target for the first output that can be explained.
///
/// # Errors
/// As [`insert`].
pub fn list_targets(model: &Model, options: &Options) -> Result<Vec<Candidate>> {
    let labels = Labels::new(model);
    let (found, reasons) = Logits::find(model, &labels, options.output.as_deref())?;
    match found.first() {
        Some(logits) => candidates(model, &labels, logits, options.target_layer.as_deref()),
        None => Err(Error::Refused(Box::new(Refusal { wanted: "target".to_owned(), reasons }))),
    }
}

fn subject(logits: &Logits, candidate: Option<&Candidate>) -> String {
    match candidate {
        Some(candidate) => format!("output '{}', target '{}'", logits.output, candidate.layer),
        None => format!("output '{}'", logits.output),
    }
}

fn check_classes(classes: &Classes, logits: &Logits) -> Result<()> {
    let Dim::Fixed(count) = logits.classes else { return Ok(()) };
    let message = match classes {
        Classes::Top(k) if *k > count => format!("top{k} of {count} classes"),
        Classes::Listed(list) => match list.iter().find(|class| **class >= count) {
            Some(class) => format!("class {class}: the model has {count} classes, counted from 0"),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(Error::Usage(format!("--targets asks for {message}")))
}

/// The first candidate that is a feature map.
fn choose(candidates: &[Candidate]) -> std::result::Result<(&Candidate, Target), Reason> {
    for candidate in candidates {
        if let Ok(layout) = &candidate.layout {
            return Ok((candidate, Target { outlet: candidate.outlet, layout: layout.clone() }));
        }
    }
    match candidates {
        [] => Err(Reason::Constant),
        [Candidate { layout: Err(reason), .. }] => Err(reason.clone()),
        _ => Err(Reason::NothingSpatial { looked: candidates.len() }),
    }
}

/// A note where a value closer to the logits might be a map, but its axes were not understood.
fn passed_over(candidates: &[Candidate], chosen: &Candidate) -> Option<String> {
    let closer = candidates.iter().take_while(|candidate| *candidate != chosen);
    let mut maps = closer.filter(|candidate| {
        let many = candidate.fact.shape.iter().skip(1).filter(|dim| !dim.is_one()).count();
        candidate.cut && many > 1
    });
    let passed = maps.next()?;
    Some(format!(
        "'{}' {} is closer to the logits and was passed over, because the meaning of its axes is not known",
        passed.layer, passed.fact
    ))
}

struct Done {
    patch: Finished,
    branch: Branch,
}

fn attempt(
    model: &Model,
    options: &Options,
    method: Method,
    labels: &Labels,
    logits: &Logits,
    candidate: &Candidate,
    target: &Target,
) -> std::result::Result<Done, Reason> {
    let mut patch = Patch::new(model);
    let wish = Wish {
        labels,
        logits,
        target,
        classes: &options.classes,
        scaling: options.scaling,
        saliency_type: options.saliency_type,
        strategy: options.strategy,
        budget: options.memory_budget,
        name: &options.output_name,
    };
    let branch = build(method, &mut patch, &wish)?;
    let mut outputs = vec![(options.output_name.clone(), branch.saliency)];
    if options.feature_vector {
        let vector = feature_vector(&mut patch, target, FEATURE_VECTOR);
        outputs.push((FEATURE_VECTOR.to_owned(), vector));
    }
    let patch = patch.finish(&outputs).map_err(|error| Reason::Operation {
        place: model.node(candidate.outlet.node).place(),
        why: error.to_string(),
    })?;
    Ok(Done { patch, branch })
}

#[allow(clippy::too_many_arguments)]
fn finish<'m>(
    model: &'m Model,
    options: &Options,
    method: Method,
    logits: &Logits,
    candidate: &Candidate,
    target: &Target,
    done: Done,
    mut notes: Vec<String>,
) -> Result<Outcome<'m>> {
    let Done { patch, branch } = done;
    let layout = &target.layout;
    let grid = |size: &Size| size.dim().to_string();
    let targets = match (&options.classes, method) {
        (Classes::All, _) | (_, Method::ActivationMap) => "all".to_owned(),
        (Classes::Top(k), _) => format!("top{k}"),
        (Classes::Listed(list), _) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    if method == Method::ActivationMap && options.classes != Classes::All {
        notes.push("ActivationMap knows no classes: --targets has no effect".to_owned());
    }
    let form = ["Dense", "PerPosition", "OneHot"].into_iter();
    let mut form = form.filter(|form| branch.steps.iter().any(|step| step.form == *form)).next();
    if form.is_some() && options.strategy == Strategy::Dense {
        form = Some("Dense");
    }
    let dense = form == Some("Dense");
    if dense && branch.dense_bytes.is_none() {
        notes.push("extents are known only at inference, so --memory-budget could not be checked".to_owned());
    }
    let target_report = TargetReport {
        layer: candidate.layer.clone(),
        op: candidate.op.clone(),
        shape: candidate.fact.to_string(),
        layout: layout.to_string(),
        grid: format!("{}x{}", grid(&layout.grid.0), grid(&layout.grid.1)),
        cut: candidate.cut,
    };
    let node = model.node(logits.outlet.node);
    let bin_bytes = model.weights().len();
    let (mut splice, tail) = patch.emit(model.graph(), bin_bytes);
    let mut record = |name: &str, value: String| splice.record.push((name.to_owned(), value));
    record("tool", env!("CARGO_PKG_NAME").to_owned());
    record("version", env!("CARGO_PKG_VERSION").to_owned());
    record("method", method.name().to_owned());
    record("target", target_report.layer.clone());
    record("target_slot", target.outlet.slot.to_string());
    record("layout", target_report.layout.clone());
    record("grid", target_report.grid.clone());
    record("logits", node.name.clone());
    record("logits_slot", logits.outlet.slot.to_string());
    record("targets", targets.clone());
    record("scaling", options.scaling.to_string());
    record(
        "saliency_type",
        match options.saliency_type {
            SaliencyType::U8 => "u8".to_owned(),
            SaliencyType::F32 => "f32".to_owned(),
        },
    );
    record("output", options.output_name.clone());
    if options.feature_vector {
        record("feature_vector", FEATURE_VECTOR.to_owned());
    }
    if let Some(form) = form {
        record("lowering", form.to_owned());
    }
    let xml = splice.apply(model.document(), bin_bytes);
    let outputs = patch.outputs.iter();
    let report = Report {
        method,
        output: logits.output.clone(),
        logits: model.graph().label(logits.outlet),
        target: target_report,
        masks: layout.count().dim().fixed(),
        classes: logits.classes.fixed(),
        targets,
        lowering: LoweringReport {
            requested: options.strategy,
            form,
            dense_bytes: branch.dense_bytes.filter(|_| dense),
            steps: branch.steps,
        },
        scaling: options.scaling,
        saliency_type: options.saliency_type,
        outputs: outputs
            .map(|(name, _, fact)| OutputReport { name: name.clone(), shape: fact.to_string() })
            .collect(),
        added: AddedReport {
            layers: patch.nodes.len(),
            xml_bytes: xml.len() - model.document().bytes().len(),
            bin_bytes: tail.len(),
        },
        notes,
    };
    Ok(Outcome::Inserted(Box::new(Insertion { model, patch, report, xml, tail })))
}

/// The model as it was before a branch was added to it: its XML, and the size of its BIN.
///
/// # Errors
/// [`Error::Usage`] where no branch is recorded, or the file was rewritten since.
pub fn remove(model: &Model) -> Result<(Vec<u8>, u64)> {
    let (xml, bin) = Splice::remove(model.document())?;
    if bin > model.weights().len() {
        let message =
            format!("{}: shorter than before the branch was added", model.weights().path().display());
        return Err(Error::Usage(message));
    }
    Ok((xml, bin as u64))
}
