//! What was done to a model, for people (`Display`) and for programs (serde).

use std::fmt;

use serde::Serialize;

use crate::analysis::Placement;
use crate::build::Built;
pub use crate::forward::{FormKind, Step};
use crate::forward::{Kernel, Quantized, Strategy};
use crate::graph::{Fact, Graph, OutletId};
pub use crate::ir::Course;
use crate::ir::{Dim, ShapeDisplay};
use crate::message::{Message, Setting, Words, message};
use crate::methods::{Method, SaliencyType};
use crate::model::Model;
use crate::ops::Activation;
use crate::options::Options;
use crate::place::Bytes;
use crate::plan::{Masked, Plan};
use crate::tasks::{ChannelMap, Decision, Scale, Subject, Task};

/// What an insertion did. The field names are stable: scripts read the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the model was taken for.
    pub task: TaskReport,
    /// The method used.
    pub method: Method,
    /// What is explained, and what it is explained by.
    #[serde(flatten)]
    pub subject: SubjectReport,
    /// Number of classes of the model; absent where not known.
    pub classes: Option<usize>,
    /// Which classes get a map: `all`, `top5`, `281,282`.
    pub targets: String,
    /// How the head is evaluated.
    pub lowering: LoweringReport,
    /// Whether maps are scaled to 0..255.
    pub scaling: bool,
    /// Element type of the saliency output.
    pub saliency_type: SaliencyType,
    /// Outputs that were added.
    pub outputs: Vec<OutputReport>,
    /// What was added to the files.
    pub added: AddedReport,
    /// Other things worth knowing.
    pub notes: Vec<Message>,
}

/// A report's part for each kind of subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
// One is made for each insertion; a box would only be in the way of those who read it.
#[allow(clippy::large_enum_variant)]
pub enum SubjectReport {
    /// A list of class scores for each image.
    Scores(ScoresReport),
    /// A class score at each position of one or several maps.
    Maps(MapsReport),
}

/// What explains a list of class scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScoresReport {
    /// The masks, where the method leaves a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskReport>,
    /// The model output that is explained.
    pub explains: String,
    /// The layer whose tensor holds the logits.
    pub logits: String,
    /// The features that are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetReport>,
    /// Number of masks, h·w; absent where known only at inference.
    pub masks: Option<usize>,
}

/// Where a detector's class scores are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MapsReport {
    /// The model output that is explained, or what a layer that selects boxes reads.
    pub explains: String,
    /// The class scores, scale by scale.
    pub heads: Vec<HeadReport>,
    /// Where the positions of the first scale lie in the input; absent where that is not known of all scales.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceReport>,
    /// Nothing is masked: always `null`.
    masks: Option<usize>,
}

impl SubjectReport {
    /// What is explained: an output, or what a layer that selects boxes reads.
    pub fn explains(&self) -> &str {
        match self {
            Self::Scores(scores) => &scores.explains,
            Self::Maps(maps) => &maps.explains,
        }
    }

    /// The class scores of a detector, scale by scale; none for others.
    pub fn heads(&self) -> &[HeadReport] {
        match self {
            Self::Scores(_) => &[],
            Self::Maps(maps) => &maps.heads,
        }
    }

    /// Number of masks, h·w; `None` where nothing is masked, or known only at inference.
    pub fn masks(&self) -> Option<usize> {
        match self {
            Self::Scores(scores) => scores.masks,
            Self::Maps(maps) => maps.masks,
        }
    }

    fn new(model: &Model, subject: &Subject, plan: &Plan) -> Self {
        let graph = model.graph();
        let explains = subject.name().to_owned();
        match subject {
            Subject::Maps(maps) => {
                let heads = maps.scales.iter().map(|scale| HeadReport::new(graph, scale)).collect();
                let place = maps.placement().map(|placement| PlaceReport::new(graph, &placement));
                Self::Maps(MapsReport { explains, heads, place, masks: None })
            }
            Subject::Scores(logits) => Self::Scores(ScoresReport {
                mask: plan.masked.as_ref().filter(|_| plan.method.has_kernel()).map(MaskReport::new),
                explains,
                logits: graph.label(logits.outlet),
                target: plan.masked.as_ref().map(|masked| TargetReport::new(graph, masked)),
                masks: plan.masked.as_ref().and_then(|masked| masked.target.layout.count().dim().fixed()),
            }),
        }
    }
}

/// What there is to say of a head whose activations are quantized.
fn of_quantized(quantized: Quantized) -> Message {
    match quantized {
        Quantized::Smooth => message![
            "the quantization of activations is left out of the branch, as its steps may be larger than what masks differ by; ",
            Setting::Quantized.to("exact"),
            " keeps it"
        ],
        Quantized::Exact => message![
            "the quantization of activations is kept in the branch, and masks that differ by less than its steps look alike; ",
            Setting::Quantized.to("smooth"),
            " leaves it out"
        ],
    }
}

impl Report {
    pub(crate) fn new(
        model: &Model,
        options: &Options,
        decision: &Decision,
        subject: &Subject,
        plan: &Plan,
        built: &Built,
        mut notes: Vec<Message>,
    ) -> Self {
        if built.targets != options.classes {
            notes.push(message![
                plan.method.title(),
                " knows no classes: ",
                Setting::Classes,
                " has no effect"
            ]);
        }
        notes.extend(built.branch.quantized.map(of_quantized));
        let form = built.branch.form(options.strategy);
        let dense = form == Some(FormKind::Dense);
        if dense && built.branch.dense_bytes.is_none() {
            notes.push(message![
                "extents are known only at inference, so ",
                Setting::MemoryBudget,
                " could not be checked"
            ]);
        }
        let output = |(name, _, fact): &(String, OutletId, Fact)| OutputReport {
            name: name.clone(),
            tensor: TensorReport::new(fact),
        };
        Self {
            task: decision.into(),
            method: plan.method,
            subject: SubjectReport::new(model, subject, plan),
            classes: subject.classes().fixed(),
            targets: built.targets.to_string(),
            lowering: LoweringReport {
                requested: options.strategy,
                form,
                dense_bytes: built.branch.dense_bytes.filter(|_| dense),
                quantized: built.branch.quantized,
                steps: built.branch.steps.clone(),
            },
            scaling: options.scaling,
            saliency_type: options.saliency_type,
            outputs: built.patch.outputs.iter().map(output).collect(),
            added: AddedReport { layers: built.patch.nodes.len(), xml_bytes: 0, bin_bytes: 0 },
            notes,
        }
    }

    /// The report with settings called by somebody's names.
    #[must_use]
    pub fn in_words(mut self, words: Words) -> Self {
        self.task.why = self.task.why.in_words(words);
        for note in &mut self.notes {
            *note = note.in_words(words);
        }
        for step in &mut self.lowering.steps {
            step.why = step.why.as_ref().map(|why| why.in_words(words));
        }
        self
    }
}

/// Classifier or detector, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskReport {
    /// Which.
    pub name: Task,
    /// What speaks for it.
    pub why: Message,
}

impl From<&Decision> for TaskReport {
    fn from(decision: &Decision) -> Self {
        Self { name: decision.task, why: decision.evidence.message() }
    }
}

/// The class scores of one scale of a detector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeadReport {
    /// The map.
    #[serde(flatten)]
    pub scores: ChannelReport,
    /// Height and width; `null` where known only at inference.
    pub grid: [Option<usize>; 2],
    /// What class scores are multiplied by, both activated; absent where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objectness: Option<ChannelReport>,
}

/// Channels of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChannelReport {
    /// Layer name.
    pub layer: String,
    /// Operation.
    pub op: String,
    /// Its element type and dimensions.
    #[serde(flatten)]
    pub tensor: TensorReport,
    /// Meaning of each axis, with anchors `A` and fields `K` counted: `N,A3*K24,H,W`.
    pub layout: String,
    /// Anchors at each position.
    pub anchors: usize,
    /// The first of the fields that are meant, and the one after the last.
    pub channels: [usize; 2],
    /// What the model applies to them later; `null` where nothing.
    pub activation: Option<&'static str>,
}

impl ChannelReport {
    fn new(graph: &Graph, map: &ChannelMap) -> Self {
        Self {
            layer: graph.label(map.outlet),
            op: graph.node(map.outlet.node).op.type_name().to_owned(),
            tensor: TensorReport::new(graph.fact(map.outlet)),
            layout: map.to_string(),
            anchors: map.anchors,
            channels: [map.channels.start, map.channels.end],
            activation: map.activation.map(Activation::name),
        }
    }
}

impl HeadReport {
    /// Describes a scale.
    pub(crate) fn new(graph: &Graph, scale: &Scale) -> Self {
        Self {
            scores: ChannelReport::new(graph, &scale.scores),
            grid: scale.scores.grid().map(Dim::fixed),
            objectness: scale.objectness.as_ref().map(|map| ChannelReport::new(graph, map)),
        }
    }
}

impl fmt::Display for ChannelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, end] = self.channels;
        write!(f, "{} ({}, {}, {})", self.layer, self.op, self.tensor, self.layout)?;
        if !self.layout.split([',', '*']).any(|part| part == format!("K{end}")) || start > 0 {
            write!(f, ", fields {start}..{end}")?;
        }
        Ok(())
    }
}

/// What a mask keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MaskReport {
    /// Its weights around a position.
    pub kernel: Kernel,
    /// Whether tokens before the grid's are kept.
    pub class_token: bool,
    /// Which attention block's input is masked, counted from the end; absent where a layer was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
}

impl MaskReport {
    fn new(masked: &Masked) -> Self {
        Self { kernel: masked.mask.kernel, class_token: masked.mask.class_token, block: masked.block }
    }
}

/// The target of an insertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TargetReport {
    /// Layer name.
    pub layer: String,
    /// Operation.
    pub op: String,
    /// Its element type and dimensions.
    #[serde(flatten)]
    pub tensor: TensorReport,
    /// Meaning of each axis, `N,C,H,W`.
    pub layout: String,
    /// Height and width; `null` where known only at inference.
    pub grid: [Option<usize>; 2],
    /// Where its positions lie in the input; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceReport>,
    /// Whether every path from the inputs to the logits passes it.
    pub cut: bool,
    /// Layers where branches end that pass beside it, which the map does not cover.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// Layers of norms of it that are masked alike instead of being computed from the masked target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub normed: Vec<String>,
}

impl TargetReport {
    fn new(graph: &Graph, masked: &Masked) -> Self {
        let (candidate, layout) = (&masked.candidate, &masked.target.layout);
        Self {
            layer: candidate.layer.clone(),
            op: candidate.op.clone(),
            tensor: TensorReport::new(&candidate.fact),
            layout: layout.to_string(),
            grid: [layout.grid.0.dim().fixed(), layout.grid.1.dim().fixed()],
            place: layout.placement.as_ref().map(|placement| PlaceReport::new(graph, placement)),
            cut: candidate.cut,
            beside: masked.beside.iter().map(|other| other.layer.clone()).collect(),
            normed: masked.target.normed.iter().map(|(outlet, _)| graph.label(*outlet)).collect(),
        }
    }
}

/// Where the positions of a map lie in an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlaceReport {
    /// The input, by its layer's name; `null` where several have a part in it, each alike.
    pub input: Option<String>,
    /// Along what the rows of positions follow each other.
    pub rows: Course,
    /// Along what the columns do.
    pub columns: Course,
    /// Whether the map is transposed, so that it lies as the input does.
    pub transposed: bool,
    /// Whether its rows and its columns are reversed to that end.
    pub reversed: [bool; 2],
}

impl PlaceReport {
    /// Describes where a map lies.
    pub(crate) fn new(graph: &Graph, placement: &Placement) -> Self {
        let turn = placement.turn();
        Self {
            input: placement.input.map(|input| graph.node(input).name.clone()),
            rows: placement.rows,
            columns: placement.columns,
            transposed: turn.transposed,
            reversed: [turn.rows, turn.columns],
        }
    }
}

impl fmt::Display for PlaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |course: &Course| {
            let sign = if course.step < 0.0 { '-' } else { '+' };
            let from = if course.from_end { "end - " } else { "" };
            let (offset, step) = (course.offset, course.step.abs());
            match course.from_end {
                true => format!("{from}({offset} {sign} {step} i) of axis {}", course.axis),
                false => format!("{offset} {sign} {step} i of axis {}", course.axis),
            }
        };
        write!(f, "row i at {}, column i at {}", at(&self.rows), at(&self.columns))?;
        match &self.input {
            Some(input) => write!(f, " of '{input}'")?,
            None => write!(f, " of several inputs")?,
        }
        let [rows, columns] = self.reversed;
        let turned =
            [(self.transposed, "transposed"), (rows, "rows reversed"), (columns, "columns reversed")];
        let turned: Vec<&str> = turned.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
        if turned.is_empty() { Ok(()) } else { write!(f, "; turned back: {}", turned.join(", ")) }
    }
}

/// Type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorReport {
    /// Element type, `f32`.
    pub element: String,
    /// Dimensions; `null` where known only at inference.
    pub shape: Vec<Option<usize>>,
}

impl TensorReport {
    /// Describes a tensor.
    pub(crate) fn new(fact: &Fact) -> Self {
        Self { element: fact.element.to_string(), shape: fact.shape.iter().map(|dim| dim.fixed()).collect() }
    }
}

impl fmt::Display for TensorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<Dim> = self.shape.iter().map(|dim| dim.map_or(Dim::Dynamic, Dim::Fixed)).collect();
        write!(f, "{}{}", self.element, ShapeDisplay(&shape))
    }
}

/// How the head of the model is evaluated on the masks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoweringReport {
    /// What was asked for.
    pub requested: Strategy,
    /// The dearest form that was needed; absent without a head.
    pub form: Option<FormKind>,
    /// Bytes of copied activations alive at one time for one batch, where known and not zero.
    pub dense_bytes: Option<u64>,
    /// What became of the quantization of activations in the head; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Quantized>,
    /// Each operation of the head, and why it has no cheaper form.
    pub steps: Vec<Step>,
}

/// An output that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OutputReport {
    /// Tensor name.
    pub name: String,
    /// Its element type and dimensions.
    #[serde(flatten)]
    pub tensor: TensorReport,
}

/// What was added to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddedReport {
    /// Layers.
    pub layers: usize,
    /// Bytes of XML.
    pub xml_bytes: usize,
    /// Bytes of BIN.
    pub bin_bytes: usize,
}

impl fmt::Display for ScoresReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mask) = self.mask {
            let kept = if mask.class_token { "class tokens kept" } else { "class tokens blanked" };
            write!(f, "masks    {}, {kept}", mask.kernel.name())?;
            match mask.block {
                Some(1) => writeln!(f, "; input of the last attention block")?,
                Some(back) => writeln!(f, "; input of attention block {back} from the end")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "explains {} (logits: {})", self.explains, self.logits)?;
        if let Some(target) = &self.target {
            writeln!(f, "target   {} ({}, {}, {})", target.layer, target.op, target.tensor, target.layout)?;
            if let Some(place) = &target.place {
                writeln!(f, "place    {place}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MapsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "explains {}", self.explains)?;
        for head in &self.heads {
            writeln!(f, "scale    {}", head.scores)?;
            if let Some(objectness) = &head.objectness {
                writeln!(f, "         times {objectness}")?;
            }
        }
        if let Some(place) = &self.place {
            writeln!(f, "place    {place}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SubjectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(scores) => scores.fmt(f),
            Self::Maps(maps) => maps.fmt(f),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "task     {}: {}", self.task.name.name(), self.task.why)?;
        writeln!(f, "method   {}", self.method.title())?;
        write!(f, "{}", self.subject)?;
        if let Some(form) = self.lowering.form {
            write!(f, "lowering {}", form.name())?;
            if let Some(bytes) = self.lowering.dense_bytes {
                write!(f, ", {} of copied activations", Bytes(bytes))?;
            }
            writeln!(f)?;
            for step in self.lowering.steps.iter().filter(|step| step.form.copied()) {
                if let Some(why) = &step.why {
                    writeln!(f, "         {} ({}): {why}", step.layer, step.op)?;
                }
            }
        }
        for output in &self.outputs {
            writeln!(f, "output   {}: {}", output.name, output.tensor)?;
        }
        let added = &self.added;
        write!(
            f,
            "added    {} layers, {} of XML, {} of BIN",
            added.layers,
            Bytes(added.xml_bytes as u64),
            Bytes(added.bin_bytes as u64)
        )?;
        for note in &self.notes {
            write!(f, "\nnote     {note}")?;
        }
        Ok(())
    }
}
