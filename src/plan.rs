//! Which method explains a subject, and what it masks.

use crate::analysis::{
    Block, Candidate, Labels, Layout, Target, Way, beside, blocks, candidate, candidates, normed, sources,
};
use crate::error::{Error, Result};
use crate::forward::Mask;
use crate::graph::{Flow, OutletId, Size};
use crate::ir::{Record, key};
use crate::message::{Setting, message};
use crate::methods::Method;
use crate::model::Model;
use crate::options::Options;
use crate::refusal::Reason;
use crate::tasks::{Logits, ScoreMaps, Subject};

/// A method with what it masks.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) method: Method,
    /// The features that the method looks at, where it does.
    pub(crate) masked: Option<Masked>,
}

/// Features, and what a mask keeps of them.
#[derive(Debug, Clone)]
pub(crate) struct Masked {
    pub(crate) candidate: Candidate,
    pub(crate) target: Target,
    pub(crate) mask: Mask,
    /// Attention blocks behind the target, where it was found by counting them.
    pub(crate) block: Option<usize>,
    /// Where branches end that pass beside the target.
    pub(crate) beside: Vec<Candidate>,
}

impl Plan {
    /// Tokens of the target that belong to no position.
    fn prefix(&self) -> usize {
        self.masked.as_ref().map_or(0, |masked| masked.target.layout.prefix())
    }

    /// The value that is looked at.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        self.masked.as_ref().map(|masked| &masked.candidate)
    }
}

impl Masked {
    /// Records the target and its axes.
    pub(crate) fn record_target(&self, model: &Model, record: &mut Record) {
        let (outlet, layout) = (self.target.outlet, &self.target.layout);
        let extent = |size: &Size| size.dim().fixed().map_or_else(|| "?".to_owned(), |size| size.to_string());
        model.record(outlet, key::TARGET, record);
        record.add(key::LAYOUT, layout);
        record.add(key::GRID, format!("{}x{}", extent(&layout.grid.0), extent(&layout.grid.1)));
        for (name, size) in [(key::GRID_HEIGHT, &layout.grid.0), (key::GRID_WIDTH, &layout.grid.1)] {
            if let Size::Of(outlet, axis) = size {
                model.record(*outlet, name, record);
                record.add(key::axis_of(name), axis);
            }
        }
        if let Some(placement) = &layout.placement {
            if let Some(input) = placement.input {
                record.add(key::INPUT, &model.node(input).name);
            }
            placement.record(key::ROWS, key::COLUMNS, record);
        }
    }

    /// Records what is masked and how, where the method leaves a choice.
    pub(crate) fn record_masks(&self, model: &Model, method: Method, record: &mut Record) {
        if !method.has_kernel() {
            return;
        }
        record.add(key::MASK, self.mask.kernel.name());
        record.add(key::CLASS_TOKEN, self.mask.class_token);
        if let Some(block) = self.block {
            record.add(key::BLOCK, block);
        }
        for (i, (outlet, layout)) in self.target.normed.iter().enumerate() {
            let name = key::numbered(key::MASKED, i + 1);
            model.record(*outlet, &name, record);
            record.add(key::layout_of(&name), layout);
        }
    }
}

/// A method that does not fit.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) method: Method,
    /// What it would have masked, where that was clear.
    pub(crate) candidate: Option<Candidate>,
    pub(crate) reason: Reason,
}

/// What could be done, the best first, and why the rest cannot.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    pub(crate) fitting: Vec<Plan>,
    /// Methods that do not fit.
    pub(crate) refused: Vec<Refused>,
    /// Everything that was looked at as a target, the best first.
    pub(crate) looked: Vec<Candidate>,
}

impl Plans {
    fn add(&mut self, plan: Planned) {
        match plan {
            Ok(plan) => self.fitting.push(plan),
            Err(refused) => self.refused.push(*refused),
        }
    }
}

/// Looks for methods, and for what they mask.
///
/// # Errors
/// [`Error::Usage`] where the options name what is not there.
pub(crate) fn plans(model: &Model, labels: &Labels, subject: &Subject, options: &Options) -> Result<Plans> {
    match subject {
        Subject::Scores(logits) => of_scores(model, labels, logits, options),
        Subject::Maps(maps) => {
            of_input(model, maps, options)?;
            let (height, width) = options.saliency_size;
            if height == 0 || width == 0 {
                return Err(Error::usage(format!("a saliency map of {height}x{width} has no positions")));
            }
            let plan = Plan { method: Method::ClassProbabilityMap, masked: None };
            Ok(Plans { fitting: vec![plan], ..Plans::default() })
        }
    }
}

/// Whether class maps come from the input that is asked for.
///
/// # Errors
/// [`Error::Usage`] where they do not, or there is none of that name.
fn of_input(model: &Model, maps: &ScoreMaps, options: &Options) -> Result<()> {
    let Some(wanted) = options.input.as_deref() else { return Ok(()) };
    let named = sources(model.graph(), Some(wanted))?;
    match maps.placement().and_then(|placement| placement.input) {
        Some(input) if named != [input] => Err(Error::usage(message![
            Setting::Input.to(wanted),
            format!(": the class maps are of the input '{}'", model.node(input).name)
        ])),
        _ => Ok(()),
    }
}

/// Looks for methods and targets for a list of scores.
///
/// Without a method in `options`: ViTReciproCAM where the last value with positions stands before an attention
/// block whose result is read from tokens before the grid's; ReciproCAM elsewhere.
///
/// # Errors
/// [`Error::Usage`] where the options name what is not there.
fn of_scores(model: &Model, labels: &Labels, logits: &Logits, options: &Options) -> Result<Plans> {
    let from = sources(model.graph(), options.input.as_deref())?;
    let way = Way { from: &from, to: logits.outlet };
    let looked = candidates(model, labels, way, options.target_layers.first().map(String::as_str))?;
    let search = Targets { model, labels, way, options };
    let mut plans = Plans::default();
    match options.method {
        Some(Method::VitReciproCam) => plans.add(search.vit(&looked, None)?),
        Some(method) => plans.add(search.plain(method, &looked)),
        None => {
            let plain = search.plain(Method::ReciproCam, &looked);
            let vit = match &plain {
                Ok(plain) if !options.target_layers.is_empty() => {
                    (plain.prefix() > 0).then(|| search.vit(&looked, None)).transpose()?
                }
                _ => search
                    .before_class_token(plain.as_ref().ok())
                    .map(|found| search.vit(&looked, Some(found)))
                    .transpose()?,
            };
            let instead = vit.is_some();
            if let Some(vit) = vit {
                plans.add(vit);
            }
            // What reads a class token says nothing where that is blanked.
            if !(instead && plain.as_ref().is_ok_and(|plain| plain.prefix() > 0)) {
                plans.add(plain);
            }
        }
    }
    plans.looked = looked;
    Ok(plans)
}

/// The search for what a method masks.
struct Targets<'a> {
    model: &'a Model,
    labels: &'a Labels,
    way: Way<'a>,
    options: &'a Options,
}

type Planned = std::result::Result<Plan, Box<Refused>>;

fn refused(method: Method, candidate: Option<Candidate>, reason: Reason) -> Planned {
    Err(Box::new(Refused { method, candidate, reason }))
}

impl Targets<'_> {
    /// Why there is nothing that could be a target.
    fn nothing(&self) -> Reason {
        let graph = self.model.graph();
        let inputs: Vec<_> = graph.parameters().map(|(id, _)| id).collect();
        let depends = |sources: &[_]| Flow::new(graph, sources, self.way.to.node).depends(self.way.to.node);
        match (depends(self.way.from), depends(&inputs)) {
            (true, _) => Reason::NothingSpatial { looked: 0 },
            (false, true) => Reason::NotOfImages,
            (false, false) => Reason::Constant,
        }
    }

    /// The first candidate that is a feature map.
    fn plain(&self, method: Method, looked: &[Candidate]) -> Planned {
        for candidate in looked {
            if let Ok(layout) = &candidate.layout {
                let target = Target { outlet: candidate.outlet, layout: layout.clone(), normed: Vec::new() };
                let (candidate, mask) = (candidate.clone(), Mask::ONE_HOT);
                let beside = self.beside(&candidate);
                return Ok(Plan {
                    method,
                    masked: Some(Masked { candidate, target, mask, block: None, beside }),
                });
            }
        }
        let named = looked.first().filter(|_| !self.options.target_layers.is_empty()).cloned();
        let reason = match looked {
            [] => self.nothing(),
            [Candidate { layout: Err(reason), .. }] => reason.clone(),
            _ => Reason::NothingSpatial { looked: looked.len() },
        };
        refused(method, named, reason)
    }

    /// The attention blocks, where the last of them stands behind the one-hot target and hands on what
    /// tokens before the grid's have gathered.
    fn before_class_token(&self, plain: Option<&Plan>) -> Option<Vec<Block>> {
        let found = blocks(self.model, self.labels, self.way);
        let last = found.first()?;
        let prefix = |outlet: OutletId| {
            let axes = self.labels.get(outlet);
            axes.is_some_and(|axes| axes.0.iter().any(|axis| axis.prefix > 0))
        };
        let fits = match plain.and_then(|plain| plain.masked.as_ref()) {
            Some(masked) if masked.target.layout.prefix() == 0 => {
                let after = Flow::after(self.model.graph(), masked.target.outlet);
                after[last.attention.node.index()] && prefix(last.input)
            }
            _ => true,
        };
        fits.then_some(found)
    }

    /// The input of the block that the options ask for, together with its norms.
    fn vit(&self, looked: &[Candidate], found: Option<Vec<Block>>) -> Result<Planned> {
        let method = Method::VitReciproCam;
        let graph = self.model.graph();
        let (candidate, block) = match looked {
            [named] if !self.options.target_layers.is_empty() => (named.clone(), None),
            _ => {
                let found = found.unwrap_or_else(|| blocks(self.model, self.labels, self.way));
                if found.is_empty() {
                    return Ok(refused(method, None, Reason::NoAttention));
                }
                let back = self.options.block;
                let Some(block) = back.checked_sub(1).and_then(|i| found.get(i)) else {
                    let count = format!(": the model has {} attention blocks", found.len());
                    return Err(Error::usage(message![Setting::Block.to(back), count]));
                };
                let cut = looked.iter().any(|other| other.outlet == block.input && other.cut);
                (candidate(graph, self.labels, block.input, cut), Some(back))
            }
        };
        let layout = match &candidate.layout {
            Ok(layout) => layout.clone(),
            Err(reason) => return Ok(refused(method, Some(candidate.clone()), reason.clone())),
        };
        let mut also = Vec::new();
        for outlet in normed(self.model, self.labels, self.way, candidate.outlet) {
            match crate::analysis::layout(self.labels.get(outlet), graph.fact(outlet)) {
                Ok(own) if same_grid(&own, &layout) => also.push((outlet, own)),
                Ok(_) => {}
                Err(reason) => return Ok(refused(method, Some(candidate), reason)),
            }
        }
        let mask = Mask { kernel: self.options.kernel, class_token: self.options.class_token };
        let target = Target { outlet: candidate.outlet, layout, normed: also };
        let beside = self.beside(&candidate);
        Ok(Ok(Plan { method, masked: Some(Masked { candidate, target, mask, block, beside }) }))
    }

    /// Where the branches end that pass beside a target.
    fn beside(&self, target: &Candidate) -> Vec<Candidate> {
        beside(self.model, self.labels, self.way, target.outlet)
    }
}

fn same_grid(a: &Layout, b: &Layout) -> bool {
    let dims = |layout: &Layout| (layout.grid.0.dim(), layout.grid.1.dim());
    dims(a) == dims(b)
}
