//! The main job: a model in, a model with a saliency output out.

use strum::VariantArray as _;

use crate::analysis::{Candidate, Labels};
use crate::build::{Beside, build};
use crate::error::{Error, Result};
use crate::given::Given;
use crate::graph::Node;
use crate::insertion::{Insertion, Outcome};
use crate::ir::{Dim, InputShape, key, listed, section};
use crate::listing::{CandidateReport, Listed};
use crate::message::{Message, Setting, message};
use crate::methods::Method;
use crate::model::Model;
use crate::options::{Options, SALIENCY_MAP};
use crate::plan::{Plan, plans};
use crate::refusal::{Reason, Refusal};
use crate::report::{HeadReport, Report};
use crate::tasks::{Decision, Subject, SubjectKind, Task, is_embedding};

/// Adds a saliency branch to a model, in memory.
///
/// The phases: what the axes mean, which task the model is for, what of it is explained, how, the branch, the report.
///
/// # Errors
/// [`Error::Refused`] with all reasons where no method fits the model, [`Error::Usage`] where the
/// options name what is not there or contradict each other.
pub fn insert<'m>(model: &'m Model, options: &Options) -> Result<Outcome<'m>> {
    insert_with(model, options, Beside::Asked)
}

/// As [`insert()`], with more outputs beside the map.
///
/// # Errors
/// As [`insert()`].
pub(crate) fn insert_with<'m>(model: &'m Model, options: &Options, beside: Beside) -> Result<Outcome<'m>> {
    options.check()?;
    options.check_type()?;
    if let Some(output) = already_there(model, options)? {
        return Ok(Outcome::AlreadyThere { output });
    }
    let Tried { task, outcome } = attempt(model, options, beside)?;
    outcome.map(Outcome::Inserted).map_err(|refusal| {
        let mut refusal = with_other_tasks(refusal, model, options, task);
        if refusal.advice.is_empty() {
            refusal.advice.extend(of_one_size(model, options).or_else(|| of_patches(model)));
        }
        // What fits goes before what works with anything.
        if refusal.advice.is_empty() {
            refusal.advice = as_black_box(model, beside);
        }
        Error::Refused(Box::new(refusal))
    })
}

/// What came of taking a model for one of a task.
struct Tried<'m> {
    task: Task,
    outcome: std::result::Result<Box<Insertion<'m>>, Refusal>,
}

fn attempt<'m>(model: &'m Model, options: &Options, beside: Beside) -> Result<Tried<'m>> {
    let labels = Labels::new(model);
    let looked = options.looked(model, &labels);
    let decision = Decision::new(&looked, options.asked())?;
    let tried = |outcome| Tried { task: decision.task, outcome };
    let found = decision.task.room().find(&looked)?;
    let mut attempts = Attempts { reasons: found.dismissed, tried: Vec::new() };
    for subject in &found.subjects {
        options.check_classes(subject.classes())?;
        let plans = plans(model, &labels, subject, options)?;
        for refused in plans.refused {
            attempts.failed(subject, refused.method, refused.candidate.as_ref(), refused.reason);
        }
        for plan in &plans.fitting {
            match build(model, &labels, subject, plan, (options, beside))? {
                Ok(built) => {
                    let of_plan = [passed_over(&plans.looked, plan), passing_beside(model, plan)].concat();
                    let idle = options.without_effect(plan.method, built.branch.quantized.is_some());
                    let notes =
                        [of_format(model), of_shapes(model, beside), found.notes, of_plan, idle].concat();
                    let report = Report::new(model, options, &decision, subject, plan, &built, notes);
                    let record = built.record(model, options, subject, plan);
                    let insertion = Insertion::new(model, subject, built.patch, report, record);
                    return Ok(tried(Ok(Box::new(insertion))));
                }
                Err(reason) => attempts.failed(subject, plan.method, plan.candidate(), reason),
            }
        }
    }
    Ok(tried(Err(attempts.refusal(options, decision.task.room().subject()))))
}

/// A refusal with what the other tasks have to say, where the caller has not said which one it is; else with what there
/// is for who leaves that out. What is advised was tried.
fn with_other_tasks(mut refusal: Refusal, model: &Model, options: &Options, task: Task) -> Refusal {
    let asked = options.method.map(|_| Setting::Method).or(options.task.map(|_| Setting::Task));
    let keeps_tokens = Options { method: Some(Method::VitReciproCam), ..options.clone() };
    let blanked = |(_, reason): &(String, Reason)| matches!(reason, Reason::ClassToken { .. });
    if refusal.reasons.iter().any(blanked)
        && attempt(model, &keeps_tokens, Beside::Asked).is_ok_and(|tried| tried.outcome.is_ok())
    {
        refusal.advice.push(message!["use ", Setting::Method.to(Method::VitReciproCam.name())]);
    } else if let Some(setting) = asked {
        let open = Options { task: None, method: None, ..options.clone() };
        if let Ok(Tried { outcome: Ok(insertion), .. }) = attempt(model, &open, Beside::Asked) {
            let found = format!(" out: there is {} for it", insertion.report().method.title());
            refusal.advice.push(message!["leave ", setting, found]);
        }
    }
    let open = asked.is_none() && options.target_layers.is_empty();
    let others = Task::VARIANTS.iter().filter(|other| open && **other != task);
    for &other in others {
        let asked = Options { task: Some(other), ..options.clone() };
        match attempt(model, &asked, Beside::Asked) {
            // Maps that nothing is known of may be anything.
            Ok(Tried { outcome: Ok(insertion), .. }) if has_boxes(insertion.subject()) => {
                let found = format!("as {}, there is {}: ", other.name(), insertion.report().method.title());
                refusal.advice.push(message![found, Setting::Task.to(other.name())]);
            }
            Ok(Tried { outcome: Err(others), .. }) => {
                let of_task = |(what, reason)| (format!("as {}, {what}", other.name()), reason);
                let known = refusal.reasons.clone();
                let new = others.reasons.into_iter().filter(|reason| !known.contains(reason));
                refusal.reasons.extend(new.map(of_task));
            }
            _ => {}
        }
    }
    refusal
}

/// Heights and widths that are tried where a file leaves them open.
const SIDES: [usize; 3] = [224, 256, 384];

/// Advice to say the size of images, where a file leaves it open and a branch fits under one. What is advised was tried.
fn of_one_size(model: &Model, options: &Options) -> Option<Message> {
    if !model.told().shapes.is_empty() {
        return None;
    }
    let of_side = |side: usize| -> Option<Given> {
        let shapes = model.graph().parameters().filter_map(|(_, node)| {
            let own = &node.outputs.first()?.fact.shape;
            let open = own.iter().skip(1).any(|dim| *dim == Dim::Dynamic);
            let dims = own.iter().enumerate();
            // Where nothing at all is said, images have three channels, and those come first.
            let of_image = |axis: usize| if axis == 1 && own.len() == 4 { 3 } else { side };
            let dims = dims.map(|(axis, dim)| dim.fixed().or((axis > 0).then(|| of_image(axis)))).collect();
            open.then(|| InputShape { name: Some(node.name.clone()), dims })
        });
        let shapes: Vec<InputShape> = shapes.collect();
        (!shapes.is_empty()).then(|| Given { shapes, ..model.told().clone() })
    };
    let fits = |given: &Given| {
        let under = model.clone().given(given).ok();
        under.is_some_and(|under| {
            attempt(&under, options, Beside::Asked).is_ok_and(|tried| tried.outcome.is_ok())
        })
    };
    let given = SIDES.into_iter().filter_map(of_side).find(fits)?;
    let shown = Setting::InputShape.to(listed(&given.shapes));
    Some(message!["for images of one size, say which: it works with ", shown])
}

/// Advice for inputs that may hold patches, whose rows nobody but the user knows.
fn of_patches(model: &Model) -> Option<Message> {
    let mut inputs = model.graph().parameters();
    let rows = |node: &Node| {
        let shape = node.outputs.first().map(|outlet| &outlet.fact.shape[..]);
        matches!(shape, Some([_, patches, _]) if !patches.is_one())
    };
    let (_, node) = inputs.find(|(_, node)| rows(node)).filter(|_| model.told().grid.is_none())?;
    let text = format!(
        "where '{}' holds patches of an image, say how many rows and columns of them with ",
        node.name
    );
    Some(message![text, Setting::Grid])
}

fn has_boxes(subject: &Subject) -> bool {
    matches!(subject, Subject::Maps(maps) if maps.has_boxes())
}

/// Where to turn to with a model that answers in scores or boxes, for whoever does not do that anyway.
fn as_black_box(model: &Model, beside: Beside) -> Vec<Message> {
    match beside {
        Beside::Asked if answers(model) => {
            vec![message!["as a black box it can be explained with ", Setting::BlackBox]]
        }
        _ => Vec::new(),
    }
}

/// Whether an output may hold scores or boxes, which a black box can be judged by.
pub(crate) fn answers(model: &Model) -> bool {
    let graph = model.graph();
    graph.outputs().any(|output| {
        let fact = graph.fact(output.outlet);
        fact.element.is_float() && (1..=3).contains(&fact.rank()) && !is_embedding(model, output.outlet)
    })
}

/// What was tried, and why it failed.
struct Attempts {
    reasons: Vec<(String, Reason)>,
    tried: Vec<Method>,
}

impl Attempts {
    fn failed(&mut self, subject: &Subject, method: Method, candidate: Option<&Candidate>, reason: Reason) {
        self.tried.push(method);
        let what = match candidate {
            Some(candidate) => format!("output '{}', target '{}'", subject.name(), candidate.layer),
            None => format!("output '{}'", subject.name()),
        };
        self.reasons.push((what, reason));
    }

    fn refusal(mut self, options: &Options, kind: SubjectKind) -> Refusal {
        self.tried.dedup();
        let wanted = match &self.tried[..] {
            [] => options.method.unwrap_or(Method::usual(kind)).title().to_owned(),
            tried => tried.iter().map(|method| method.title()).collect::<Vec<_>>().join(" and no "),
        };
        Refusal::new(wanted, self.reasons)
    }
}

/// A note where the file's format changes what is handed out.
fn of_format(model: &Model) -> Vec<Message> {
    match model.document().version() {
        10 => {
            vec!["OpenVINO presents outputs of IR version 10 as f32; the map holds the same numbers".into()]
        }
        _ => Vec::new(),
    }
}

/// A note where the branch holds for some shapes of inputs, and the file for others as well.
fn of_shapes(model: &Model, beside: Beside) -> Vec<Message> {
    let given = model.told();
    if given.shapes.is_empty() || given.reshape || beside != Beside::Asked {
        return Vec::new();
    }
    let text = format!(
        "read under {}: the branch holds for inputs of that shape, the file keeps its own (",
        listed(&given.shapes)
    );
    vec![message![text, Setting::Reshape, " gives it that one)"]]
}

/// A note where a value closer to the logits might be a map, but its axes were not understood.
fn passed_over(looked: &[Candidate], plan: &Plan) -> Vec<Message> {
    let Some(masked) = plan.masked.as_ref().filter(|masked| masked.block.is_none()) else {
        return Vec::new();
    };
    let closer = looked.iter().take_while(|candidate| candidate.outlet != masked.candidate.outlet);
    let mut maps = closer.filter(|candidate| {
        let many = candidate.fact.shape.iter().skip(1).filter(|dim| !dim.is_one()).count();
        candidate.cut && many > 1
    });
    let note = |passed: &Candidate| {
        let start = format!(
            "'{}' {} is closer to the logits and was passed over, because ",
            passed.layer, passed.fact
        );
        match &passed.layout {
            Err(reason @ Reason::PlacesContradict) => message![start].with(reason.message()),
            _ => message![start, "the meaning of its axes is not known"],
        }
    };
    maps.next().map(note).into_iter().collect()
}

/// A note where branches pass beside the target, whose part in the scores the map does not show.
fn passing_beside(model: &Model, plan: &Plan) -> Vec<Message> {
    let Some(masked) = plan.masked.as_ref().filter(|masked| !masked.beside.is_empty()) else {
        return Vec::new();
    };
    let input = |candidate: &Candidate| candidate.layout.as_ref().ok()?.placement?.input;
    let named = |candidate: &Candidate| match input(candidate) {
        Some(of) if model.graph().parameters().nth(1).is_some() => {
            format!("'{}' (of input '{}')", candidate.layer, model.node(of).name)
        }
        _ => format!("'{}'", candidate.layer),
    };
    let others: Vec<String> = masked.beside.iter().take(MOST_BRANCHES).map(named).collect();
    let more = masked.beside.len() - others.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let taken = named(&masked.candidate);
    let others = others.join(", ");
    let text = format!(
        "the map covers one branch, {taken}; others pass beside it and end at {others}{more}: choose with "
    );
    let note = message![text, Setting::TargetLayers];
    let inputs = masked.beside.iter().any(|other| input(other) != input(&masked.candidate));
    vec![if inputs { note.with(message![" or ", Setting::Input]) } else { note }]
}

/// Branches that a note names at most.
const MOST_BRANCHES: usize = 3;

/// What could be explained, of a classifier for the first output that fits.
///
/// # Errors
/// As [`insert()`].
pub fn list_targets(model: &Model, options: &Options) -> Result<Listed> {
    options.check()?;
    let labels = Labels::new(model);
    let looked = options.looked(model, &labels);
    let decision = Decision::new(&looked, options.asked())?;
    let room = decision.task.room();
    let found = room.find(&looked)?;
    match found.subjects.first() {
        Some(Subject::Maps(maps)) => {
            let scales = maps.scales.iter().map(|scale| HeadReport::new(model.graph(), scale));
            Ok(Listed::Heads(scales.collect()))
        }
        Some(subject) => {
            let plans = plans(model, &labels, subject, options)?;
            let mut candidates = plans.looked;
            let taken = plans.fitting.first().and_then(Plan::candidate).map(|taken| {
                candidates.iter().position(|candidate| candidate.outlet == taken.outlet).unwrap_or_else(
                    || {
                        candidates.insert(0, taken.clone());
                        0
                    },
                )
            });
            let reports = candidates.iter().enumerate();
            Ok(Listed::Targets(
                reports
                    .map(|(i, candidate)| CandidateReport::new(model.graph(), candidate, taken == Some(i)))
                    .collect(),
            ))
        }
        None => {
            let wanted = match room.subject() {
                SubjectKind::Scores => "target".to_owned(),
                SubjectKind::Maps => Method::usual(SubjectKind::Maps).title().to_owned(),
            };
            Err(Error::Refused(Box::new(Refusal::new(wanted, found.dismissed))))
        }
    }
}

/// Whether the wanted output is there from an earlier run; names that clash otherwise are errors.
fn already_there(model: &Model, options: &Options) -> Result<Option<String>> {
    let graph = model.graph();
    let name = &options.output_name;
    let is_output = |name: &str| graph.outputs().any(|output| output.names.iter().any(|own| own == name));
    let earlier = section(model.document().rt_info()).and_then(|section| section.get(&[key::OUTPUT]));
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
    let vector = options.feature_vector.then_some(&options.feature_vector_name);
    if vector == Some(name) {
        return Err(Error::usage(format!("two outputs cannot both be called '{name}'")));
    }
    // OpenVINO would quietly give one of two tensors of one name another name.
    let names = [(Some(name), Setting::OutputName), (vector, Setting::FeatureVectorName)];
    for (name, setting) in names.into_iter().filter_map(|(name, setting)| Some((name?, setting))) {
        let mut outlets = graph.nodes().flat_map(|(_, node)| &node.outputs);
        if outlets.any(|outlet| outlet.names.iter().any(|taken| taken == name)) {
            let what = if is_output(name) { "an output" } else { "a tensor" };
            return Err(Error::usage(message![
                format!("the model has {what} called '{name}'; choose another name with "),
                setting
            ]));
        }
    }
    Ok(None)
}
