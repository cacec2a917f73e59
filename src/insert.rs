//! The main job: a model in, a model with a saliency output out.

use crate::analysis::{Candidate, Decision, Evidence, Labels, Logits, Reason, Refusal, Task};
use crate::choice::{Choice, choices};
use crate::detection;
use crate::error::{Error, Result};
use crate::graph::Size;
use crate::ir::{Destination, Dim, PendingFile, Splice, marker};
use crate::message::{Message, Setting, message};
use crate::methods::{Branch, Encoding, Method, SaliencyType, Wish, build, feature_vector};
use crate::model::Model;
use crate::mosaic::{Classes, Kernel, Strategy, sink};
use crate::patch::{Dump, Finished, Patch};
use crate::report::{
    AddedReport, HeadReport, LoweringReport, MaskReport, OutputReport, Report, TargetReport, TensorReport,
};

/// What is to be inserted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The method; `None` chooses one that fits.
    pub method: Option<Method>,
    /// The output that is explained, by tensor or layer name; needed only where several fit.
    pub output: Option<String>,
    /// Whether the model is taken for a classifier or a detector; `None` decides from its outputs.
    pub task: Option<Task>,
    /// The target, by layer or tensor name; none finds it. Detectors take one for each scale.
    pub target_layers: Vec<String>,
    /// Detectors: anchors of each named target layer; `None` finds them, or takes 1.
    pub anchors: Option<Vec<usize>>,
    /// Detectors: height and width of the maps; 23x23 by default.
    pub saliency_size: (usize, usize),
    /// ViTReciproCAM: the target is the input of this attention block, counted from the end; 1 is the last.
    pub block: usize,
    /// ViTReciproCAM: what a mask keeps around its position.
    pub kernel: Kernel,
    /// ViTReciproCAM: whether class tokens are kept too.
    pub class_token: bool,
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

/// Height and width of a detector's maps where no others are chosen.
pub const SALIENCY_SIZE: (usize, usize) = (23, 23);

/// Tensor name of the feature vector, as Model API knows it.
pub const FEATURE_VECTOR: &str = "feature_vector";

impl Default for Options {
    fn default() -> Self {
        Self {
            method: None,
            output: None,
            task: None,
            target_layers: Vec::new(),
            anchors: None,
            saliency_size: SALIENCY_SIZE,
            block: 1,
            kernel: Kernel::default(),
            class_token: true,
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

impl Options {
    pub(crate) fn encoding(&self) -> Encoding {
        Encoding { scaling: self.scaling, saliency_type: self.saliency_type }
    }

    /// Classes as they are reported and recorded.
    pub(crate) fn targets(&self) -> String {
        match &self.classes {
            Classes::All => "all".to_owned(),
            Classes::Top(k) => format!("top{k}"),
            Classes::Listed(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        }
    }

    /// Entries of the record that every method has.
    pub(crate) fn record(&self, method: Method, targets: &str) -> Vec<(String, String)> {
        let saliency_type = match self.saliency_type {
            SaliencyType::U8 => "u8",
            SaliencyType::F32 => "f32",
        };
        let record = [
            ("tool", env!("CARGO_PKG_NAME")),
            ("version", env!("CARGO_PKG_VERSION")),
            ("method", method.name()),
            ("targets", targets),
            ("scaling", if self.scaling { "true" } else { "false" }),
            ("saliency_type", saliency_type),
            ("output", &self.output_name),
        ];
        record.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// What the model is to be taken for: as asked, as the method asks, or as its outputs say.
    ///
    /// # Errors
    /// [`Error::Usage`] where options contradict each other.
    fn decide(&self, model: &Model, labels: &Labels) -> Result<Decision> {
        let of_method = self.method.map(|method| match method {
            Method::ClassProbabilityMap => Task::Detection,
            Method::ReciproCam | Method::VitReciproCam | Method::ActivationMap => Task::Classification,
        });
        let decision = match (self.task, of_method) {
            (Some(task), Some(other)) if task != other => {
                let method = self.method.map_or("", Method::name);
                let tasks = format!(" is for {}, not for {}", other.name(), task.name());
                return Err(Error::usage(message![Setting::Method.to(method), tasks]));
            }
            (Some(task), _) => Decision { task, evidence: Evidence::Asked { by: Setting::Task.into() } },
            (None, Some(task)) => Decision { task, evidence: Evidence::Asked { by: Setting::Method.into() } },
            (None, None) if self.target_layers.len() > 1 || self.anchors.is_some() => {
                let by = match self.anchors {
                    Some(_) => Setting::Anchors.into(),
                    None => message!["several ", Setting::TargetLayers],
                };
                Decision { task: Task::Detection, evidence: Evidence::Asked { by } }
            }
            (None, None) => Decision::new(model, labels, self.output.as_deref()),
        };
        if decision.task == Task::Classification {
            if self.target_layers.len() > 1 {
                return Err(Error::usage(message![
                    "several ",
                    Setting::TargetLayers,
                    " are the scales of a detector; a classifier has one target"
                ]));
            }
            if self.anchors.is_some() {
                return Err(Error::usage(message![Setting::Anchors, " is for detectors"]));
            }
        }
        Ok(decision)
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

impl<'m> Insertion<'m> {
    /// Emits a finished patch.
    pub(crate) fn new(
        model: &'m Model,
        patch: Finished,
        mut report: Report,
        record: Vec<(String, String)>,
    ) -> Self {
        let bin_bytes = model.weights().len();
        let (mut splice, tail) = patch.emit(model.graph(), bin_bytes);
        splice.record = record;
        let xml = splice.apply(model.document(), bin_bytes);
        report.added.xml_bytes = xml.len() - model.document().bytes().len();
        report.added.bin_bytes = tail.len();
        Self { model, patch, report, xml, tail }
    }

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
    /// As [`Destination::write`].
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
        return Err(Error::usage(message![
            "scores that are not scaled do not fit into u8: use ",
            Setting::SaliencyType.to("f32"),
            " with ",
            Setting::Scaling.to(false)
        ]));
    }
    if let Some(output) = already_there(model, options)? {
        return Ok(Outcome::AlreadyThere { output });
    }
    let labels = Labels::new(model);
    let decision = options.decide(model, &labels)?;
    let mut notes = Vec::new();
    if model.document().version() == 10 {
        let note = "OpenVINO presents outputs of IR version 10 as f32; the map holds the same numbers";
        notes.push(note.into());
    }
    if decision.task == Task::Detection {
        return detection::insert(model, options, &labels, &decision, notes);
    }
    let (found, mut reasons) = Logits::find(model, &labels, options.output.as_deref())?;
    if found.len() > 1 {
        let others: Vec<&str> = found[1..].iter().map(|logits| logits.output.as_str()).collect();
        notes.push(message![
            format!(
                "several outputs can be explained; the others are '{}' (choose with ",
                others.join("', '")
            ),
            Setting::Output,
            ")"
        ]);
    }
    let mut tried = Vec::new();
    for logits in &found {
        check_classes(&options.classes, logits.classes)?;
        let choices = choices(model, &labels, logits, options)?;
        for refused in choices.refused {
            tried.push(refused.method);
            reasons.push((subject(logits, refused.candidate.as_ref()), refused.reason));
        }
        for choice in choices.fitting {
            tried.push(choice.method);
            let candidate = choice.candidate.clone();
            let plan = Plan { model, options, labels: &labels, decision: &decision, logits, choice };
            match plan.build() {
                Ok((patch, branch)) => {
                    let patch = patch?;
                    if plan.choice.block.is_none() {
                        notes.extend(passed_over(&choices.looked, &candidate));
                    }
                    return plan.finish(patch, branch, notes);
                }
                Err(reason) => reasons.push((subject(logits, Some(&candidate)), reason)),
            }
        }
    }
    tried.dedup();
    let wanted = match (&tried[..], options.method) {
        ([], method) => method.unwrap_or(Method::ReciproCam).title().to_owned(),
        (tried, _) => tried.iter().map(|method| method.title()).collect::<Vec<_>>().join(" and no "),
    };
    Err(Error::Refused(Box::new(Refusal { wanted, reasons })))
}

/// What could be explained.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// Of a classifier: all values that were considered as target, the best first, and which of them is taken.
    Targets(Vec<Candidate>, Option<usize>),
    /// Of a detector: the class map of each scale.
    Heads(Vec<HeadReport>),
}

/// What could be explained, of a classifier for the first output that fits.
///
/// # Errors
/// As [`insert()`].
pub fn list_targets(model: &Model, options: &Options) -> Result<Listed> {
    let labels = Labels::new(model);
    let decision = options.decide(model, &labels)?;
    if decision.task == Task::Detection {
        let heads = detection::heads(model, options, &labels)?;
        let scales = heads.scales.iter().map(|scale| HeadReport::new(model.graph(), scale));
        return Ok(Listed::Heads(scales.collect()));
    }
    let (found, reasons) = Logits::find(model, &labels, options.output.as_deref())?;
    let Some(logits) = found.first() else {
        return Err(Error::Refused(Box::new(Refusal { wanted: "target".to_owned(), reasons })));
    };
    let choices = choices(model, &labels, logits, options)?;
    let mut candidates = choices.looked;
    let taken = choices.fitting.first().map(|choice| {
        let taken = &choice.candidate;
        candidates.iter().position(|candidate| candidate.outlet == taken.outlet).unwrap_or_else(|| {
            candidates.insert(0, taken.clone());
            0
        })
    });
    Ok(Listed::Targets(candidates, taken))
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
        return Err(Error::usage(message![
            format!("the model carries a branch already, with the output '{earlier}'; take it out with "),
            Setting::Remove,
            " first"
        ]));
    }
    if options.feature_vector && name == FEATURE_VECTOR {
        return Err(Error::usage(format!("two outputs cannot both be called '{FEATURE_VECTOR}'")));
    }
    // OpenVINO would quietly give one of two tensors of one name another name.
    let names = [Some(name.as_str()), options.feature_vector.then_some(FEATURE_VECTOR)];
    for name in names.into_iter().flatten() {
        let mut outlets = graph.nodes().flat_map(|(_, node)| &node.outputs);
        if outlets.any(|outlet| outlet.names.iter().any(|taken| taken == name)) {
            let what = if is_output(name) { "an output" } else { "a tensor" };
            let message = format!("the model has {what} called '{name}'; choose another name");
            return Err(Error::usage(message));
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

/// Whether there are the classes that are asked for.
pub(crate) fn check_classes(classes: &Classes, count: Dim) -> Result<()> {
    let Dim::Fixed(count) = count else { return Ok(()) };
    let message = match classes {
        Classes::Top(k) if *k > count => format!("top{k} of {count} classes"),
        Classes::Listed(list) => match list.iter().find(|class| **class >= count) {
            Some(class) => format!("class {class}: the model has {count} classes, counted from 0"),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(Error::usage(message![Setting::Classes, format!(" asks for {message}")]))
}

/// A note where a value closer to the logits might be a map, but its axes were not understood.
fn passed_over(candidates: &[Candidate], chosen: &Candidate) -> Option<Message> {
    let closer = candidates.iter().take_while(|candidate| candidate.outlet != chosen.outlet);
    let mut maps = closer.filter(|candidate| {
        let many = candidate.fact.shape.iter().skip(1).filter(|dim| !dim.is_one()).count();
        candidate.cut && many > 1
    });
    let passed = maps.next()?;
    Some(message![format!(
        "'{}' {} is closer to the logits and was passed over, because the meaning of its axes is not known",
        passed.layer, passed.fact
    )])
}

/// Everything that was decided before the branch is built.
struct Plan<'a, 'm> {
    model: &'m Model,
    options: &'a Options,
    labels: &'a Labels,
    decision: &'a Decision,
    logits: &'a Logits,
    choice: Choice,
}

impl<'m> Plan<'_, 'm> {
    /// Builds the branch, with the head narrowed to the tokens that are read.
    fn build(&self) -> std::result::Result<(Result<Finished>, Branch), Reason> {
        let (model, masked) = (self.model, self.choice.target.masked());
        let narrow = match (self.options.strategy, self.choice.method) {
            (Strategy::Dense, _) | (_, Method::ActivationMap) => None,
            _ => sink(model, self.labels, &masked, self.logits),
        };
        match narrow {
            Some((model, logits)) => self.build_on(&model, &Labels::new(&model), &logits),
            None => self.build_on(model, self.labels, self.logits),
        }
    }

    fn build_on(
        &self,
        model: &Model,
        labels: &Labels,
        logits: &Logits,
    ) -> std::result::Result<(Result<Finished>, Branch), Reason> {
        let (choice, options) = (&self.choice, self.options);
        let wish = Wish {
            labels,
            logits,
            target: &choice.target,
            mask: choice.mask,
            classes: &options.classes,
            encoding: options.encoding(),
            strategy: options.strategy,
            budget: options.memory_budget,
            name: &options.output_name,
        };
        let mut patch = Patch::new(model);
        let branch = build(choice.method, &mut patch, &wish)?;
        let mut outputs = vec![(options.output_name.clone(), branch.saliency)];
        if options.feature_vector {
            let vector = feature_vector(&mut patch, &choice.target, FEATURE_VECTOR);
            outputs.push((FEATURE_VECTOR.to_owned(), vector));
        }
        Ok((patch.finish(&outputs), branch))
    }

    fn finish(&self, patch: Finished, branch: Branch, notes: Vec<Message>) -> Result<Outcome<'m>> {
        let report = self.report(&patch, branch, notes);
        let record = self.record(&report);
        Ok(Outcome::Inserted(Box::new(Insertion::new(self.model, patch, report, record))))
    }

    fn report(&self, patch: &Finished, branch: Branch, mut notes: Vec<Message>) -> Report {
        let layout = &self.choice.target.layout;
        let (classes, method) = (&self.options.classes, self.choice.method);
        let targets = match method {
            Method::ActivationMap => "all".to_owned(),
            _ => self.options.targets(),
        };
        if method == Method::ActivationMap && *classes != Classes::All {
            notes.push(message!["ActivationMap knows no classes: ", Setting::Classes, " has no effect"]);
        }
        // The dearest form says what the branch costs.
        let used = |form: &&str| branch.steps.iter().any(|step| step.form == *form);
        let mut form =
            ["Dense", "Distinct", "PerPosition", "Weights", "Masked", "OneHot"].into_iter().find(used);
        if form.is_some() && self.options.strategy == Strategy::Dense {
            form = Some("Dense");
        }
        let dense = form == Some("Dense");
        if dense && branch.dense_bytes.is_none() {
            notes.push(message![
                "extents are known only at inference, so ",
                Setting::MemoryBudget,
                " could not be checked"
            ]);
        }
        let (outputs, candidate) = (patch.outputs.iter(), &self.choice.candidate);
        Report {
            task: self.decision.into(),
            method,
            mask: (method == Method::VitReciproCam).then_some(MaskReport {
                kernel: self.choice.mask.kernel,
                class_token: self.choice.mask.class_token,
                block: self.choice.block,
            }),
            explains: self.logits.output.clone(),
            logits: Some(self.model.graph().label(self.logits.outlet)),
            heads: Vec::new(),
            target: Some(TargetReport {
                layer: candidate.layer.clone(),
                op: candidate.op.clone(),
                tensor: TensorReport::new(&candidate.fact),
                layout: layout.to_string(),
                grid: [layout.grid.0.dim().fixed(), layout.grid.1.dim().fixed()],
                cut: candidate.cut,
                normed: self
                    .choice
                    .target
                    .normed
                    .iter()
                    .map(|(outlet, _)| self.model.graph().label(*outlet))
                    .collect(),
            }),
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
        let (logits, outlet, layout) =
            (self.logits.outlet, self.choice.target.outlet, &self.choice.target.layout);
        let extent = |size: &Size| size.dim().fixed().map_or_else(|| "?".to_owned(), |size| size.to_string());
        let mut record = self.options.record(self.choice.method, &report.targets);
        let own = [
            ("target", self.model.node(outlet.node).name.clone()),
            ("target_slot", outlet.slot.to_string()),
            ("layout", layout.to_string()),
            ("grid", format!("{}x{}", extent(&layout.grid.0), extent(&layout.grid.1))),
            ("logits", self.model.node(logits.node).name.clone()),
            ("logits_slot", logits.slot.to_string()),
        ];
        record.extend(own.map(|(name, value)| (name.to_owned(), value)));
        if let Some(mask) = &report.mask {
            record.push(("mask".to_owned(), mask.kernel.name().to_owned()));
            record.push(("class_token".to_owned(), mask.class_token.to_string()));
            record.extend(mask.block.map(|block| ("block".to_owned(), block.to_string())));
            for (i, (outlet, layout)) in self.choice.target.normed.iter().enumerate() {
                let name = format!("masked_{}", i + 1);
                record.push((format!("{name}_slot"), outlet.slot.to_string()));
                record.push((format!("{name}_layout"), layout.to_string()));
                record.push((name, self.model.node(outlet.node).name.clone()));
            }
        }
        if self.options.feature_vector {
            record.push(("feature_vector".to_owned(), FEATURE_VECTOR.to_owned()));
        }
        if let Some(form) = report.lowering.form {
            record.push(("lowering".to_owned(), form.to_owned()));
        }
        record
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
        return Err(Error::usage(message));
    }
    Ok((xml, bin as u64))
}
