//! The main job: a model in, a model with a saliency output out.

use crate::analysis::{Candidate, Labels, Logits, Reason, Refusal, Target, candidates};
use crate::error::{Error, Result};
use crate::graph::{Dump, Finished, Patch};
use crate::ir::{Destination, Dim, PendingFile, Splice, marker};
use crate::methods::{Branch, Method, SaliencyType, Wish, build, feature_vector};
use crate::model::Model;
use crate::mosaic::{Classes, Strategy};
use crate::report::{AddedReport, LoweringReport, OutputReport, Report, TargetReport, TensorReport};

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

/// Tensor name of the saliency output where no other is chosen, as Model API knows it.
pub const SALIENCY_MAP: &str = "saliency_map";

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
            output_name: SALIENCY_MAP.to_owned(),
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
    if let Some(output) = already_there(model, options)? {
        return Ok(Outcome::AlreadyThere { output });
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
        let (candidate, target) = match choose(&candidates) {
            Ok(chosen) => chosen,
            Err(reason) => {
                let named = candidates.first().filter(|_| options.target_layer.is_some());
                reasons.push((subject(logits, named), reason));
                continue;
            }
        };
        let plan = Plan { model, options, method, labels: &labels, logits, candidate, target };
        let mut patch = Patch::new(model);
        match build(method, &mut patch, &plan.wish()) {
            Ok(branch) => {
                notes.extend(passed_over(&candidates, candidate));
                return plan.finish(patch, branch, notes);
            }
            Err(reason) => reasons.push((subject(logits, Some(candidate)), reason)),
        }
    }
    Err(Error::Refused(Box::new(Refusal { wanted: method.title().to_owned(), reasons })))
}

/// All values that were considered as target for the first output that can be explained, and which
/// of them is taken.
///
/// # Errors
/// As [`insert`].
pub fn list_targets(model: &Model, options: &Options) -> Result<(Vec<Candidate>, Option<usize>)> {
    let labels = Labels::new(model);
    let (found, reasons) = Logits::find(model, &labels, options.output.as_deref())?;
    let Some(logits) = found.first() else {
        return Err(Error::Refused(Box::new(Refusal { wanted: "target".to_owned(), reasons })));
    };
    let candidates = candidates(model, &labels, logits, options.target_layer.as_deref())?;
    let taken = candidates.iter().position(|candidate| candidate.layout.is_ok());
    Ok((candidates, taken))
}

/// Whether the wanted output is there from an earlier run; names that clash otherwise are errors.
fn already_there(model: &Model, options: &Options) -> Result<Option<String>> {
    let graph = model.graph();
    let name = &options.output_name;
    let is_output = |name: &str| {
        let mut results = graph.results();
        results.any(|(result, outlet)| graph.output_names(result, outlet).iter().any(|n| n == name))
    };
    let earlier = model.document().rt_info().get(&[marker::SECTION, "output"]);
    if is_output(name) && (name == SALIENCY_MAP || earlier == Some(name)) {
        return Ok(Some(name.clone()));
    }
    if let Some(earlier) = earlier {
        return Err(Error::Usage(format!(
            "the model carries a branch already, with the output '{earlier}'; take it out with --remove first"
        )));
    }
    if options.feature_vector && name == FEATURE_VECTOR {
        return Err(Error::Usage(format!("two outputs cannot both be called '{FEATURE_VECTOR}'")));
    }
    // OpenVINO would quietly give one of two tensors of one name another name.
    let names = [Some(name.as_str()), options.feature_vector.then_some(FEATURE_VECTOR)];
    for name in names.into_iter().flatten() {
        let mut outlets = graph.nodes().flat_map(|(_, node)| &node.outputs);
        if outlets.any(|outlet| outlet.names.iter().any(|taken| taken == name)) {
            let what = if is_output(name) { "an output" } else { "a tensor" };
            let message = format!("the model has {what} called '{name}'; choose another name");
            return Err(Error::Usage(message));
        }
    }
    Ok(None)
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

/// Everything that was decided before the branch is built.
struct Plan<'a, 'm> {
    model: &'m Model,
    options: &'a Options,
    method: Method,
    labels: &'a Labels,
    logits: &'a Logits,
    candidate: &'a Candidate,
    target: Target,
}

impl<'m> Plan<'_, 'm> {
    fn wish(&self) -> Wish<'_> {
        Wish {
            labels: self.labels,
            logits: self.logits,
            target: &self.target,
            classes: &self.options.classes,
            scaling: self.options.scaling,
            saliency_type: self.options.saliency_type,
            strategy: self.options.strategy,
            budget: self.options.memory_budget,
            name: &self.options.output_name,
        }
    }

    fn finish(&self, mut patch: Patch<'m>, branch: Branch, notes: Vec<String>) -> Result<Outcome<'m>> {
        let mut outputs = vec![(self.options.output_name.clone(), branch.saliency)];
        if self.options.feature_vector {
            let vector = feature_vector(&mut patch, &self.target, FEATURE_VECTOR);
            outputs.push((FEATURE_VECTOR.to_owned(), vector));
        }
        let patch = patch.finish(&outputs)?;
        let model = self.model;
        let mut report = self.report(&patch, branch, notes);
        let bin_bytes = model.weights().len();
        let (mut splice, tail) = patch.emit(model.graph(), bin_bytes);
        splice.record = self.record(&report);
        let xml = splice.apply(model.document(), bin_bytes);
        report.added.xml_bytes = xml.len() - model.document().bytes().len();
        report.added.bin_bytes = tail.len();
        Ok(Outcome::Inserted(Box::new(Insertion { model, patch, report, xml, tail })))
    }

    fn report(&self, patch: &Finished, branch: Branch, mut notes: Vec<String>) -> Report {
        let layout = &self.target.layout;
        let (classes, method) = (&self.options.classes, self.method);
        let targets = match (classes, method) {
            (Classes::All, _) | (_, Method::ActivationMap) => "all".to_owned(),
            (Classes::Top(k), _) => format!("top{k}"),
            (Classes::Listed(list), _) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        if method == Method::ActivationMap && *classes != Classes::All {
            notes.push("ActivationMap knows no classes: --targets has no effect".to_owned());
        }
        // The dearest form says what the branch costs.
        let used = |form: &&str| branch.steps.iter().any(|step| step.form == *form);
        let mut form = ["Dense", "PerPosition", "OneHot"].into_iter().find(used);
        if form.is_some() && self.options.strategy == Strategy::Dense {
            form = Some("Dense");
        }
        let dense = form == Some("Dense");
        if dense && branch.dense_bytes.is_none() {
            notes.push(
                "extents are known only at inference, so --memory-budget could not be checked".to_owned(),
            );
        }
        let outputs = patch.outputs.iter();
        Report {
            method,
            explains: self.logits.output.clone(),
            logits: self.model.graph().label(self.logits.outlet),
            target: TargetReport {
                layer: self.candidate.layer.clone(),
                op: self.candidate.op.clone(),
                tensor: TensorReport::new(&self.candidate.fact),
                layout: layout.to_string(),
                grid: [layout.grid.0.dim().fixed(), layout.grid.1.dim().fixed()],
                cut: self.candidate.cut,
            },
            masks: layout.count().dim().fixed(),
            classes: self.logits.classes.fixed(),
            targets,
            lowering: LoweringReport {
                requested: self.options.strategy,
                form,
                dense_bytes: branch.dense_bytes.filter(|_| dense),
                steps: branch.steps,
            },
            scaling: self.options.scaling,
            saliency_type: self.options.saliency_type,
            outputs: outputs
                .map(|(name, _, fact)| OutputReport { name: name.clone(), tensor: TensorReport::new(fact) })
                .collect(),
            added: AddedReport { layers: patch.nodes.len(), xml_bytes: 0, bin_bytes: 0 },
            notes,
        }
    }

    /// What is recorded in the model itself, for `xai-verify` and whoever wonders.
    fn record(&self, report: &Report) -> Vec<(String, String)> {
        let (logits, target) = (self.logits.outlet, &report.target);
        let extent = |size: Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let saliency_type = match self.options.saliency_type {
            SaliencyType::U8 => "u8",
            SaliencyType::F32 => "f32",
        };
        let mut record = vec![
            ("tool", env!("CARGO_PKG_NAME").to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("method", self.method.name().to_owned()),
            ("target", target.layer.clone()),
            ("target_slot", self.target.outlet.slot.to_string()),
            ("layout", target.layout.clone()),
            ("grid", format!("{}x{}", extent(target.grid[0]), extent(target.grid[1]))),
            ("logits", self.model.node(logits.node).name.clone()),
            ("logits_slot", logits.slot.to_string()),
            ("targets", report.targets.clone()),
            ("scaling", self.options.scaling.to_string()),
            ("saliency_type", saliency_type.to_owned()),
            ("output", self.options.output_name.clone()),
        ];
        if self.options.feature_vector {
            record.push(("feature_vector", FEATURE_VECTOR.to_owned()));
        }
        if let Some(form) = report.lowering.form {
            record.push(("lowering", form.to_owned()));
        }
        record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
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
