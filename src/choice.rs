//! Which method explains a model, and what it masks.

use crate::analysis::{
    Block, Candidate, Labels, Layout, Logits, Reason, Target, blocks, candidate, candidates, normed,
};
use crate::error::{Error, Result};
use crate::forward::Mask;
use crate::graph::{Flow, OutletId};
use crate::insert::Options;
use crate::message::{Setting, message};
use crate::methods::Method;
use crate::model::Model;

/// A method with what it masks.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) method: Method,
    pub(crate) candidate: Candidate,
    pub(crate) target: Target,
    pub(crate) mask: Mask,
    /// Attention blocks behind the target, where it was found by counting them.
    pub(crate) block: Option<usize>,
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
pub(crate) struct Choices {
    pub(crate) fitting: Vec<Choice>,
    /// Methods that do not fit.
    pub(crate) refused: Vec<Refused>,
    /// Everything that was looked at as a target, the best first.
    pub(crate) looked: Vec<Candidate>,
}

impl Choices {
    fn add(&mut self, choice: Found) {
        match choice {
            Ok(choice) => self.fitting.push(choice),
            Err(refused) => self.refused.push(*refused),
        }
    }
}

/// Looks for methods and targets for one output.
///
/// Without a method in `options`: ViTReciproCAM where the last value with positions stands before an attention
/// block whose result is read from tokens before the grid's; ReciproCAM elsewhere.
///
/// # Errors
/// [`Error::Usage`] where the options name what is not there.
pub(crate) fn choices(model: &Model, labels: &Labels, logits: &Logits, options: &Options) -> Result<Choices> {
    let looked = candidates(model, labels, logits, options.target_layers.first().map(String::as_str))?;
    let search = Search { model, labels, logits, options };
    let mut choices = Choices::default();
    match options.method {
        Some(Method::VitReciproCam) => choices.add(search.vit(&looked, None)?),
        Some(method) => choices.add(search.plain(method, &looked)),
        None => {
            let plain = search.plain(Method::ReciproCam, &looked);
            let vit = match &plain {
                Ok(plain) if !options.target_layers.is_empty() => {
                    (plain.target.layout.prefix() > 0).then(|| search.vit(&looked, None)).transpose()?
                }
                _ => search
                    .before_class_token(plain.as_ref().ok())
                    .map(|found| search.vit(&looked, Some(found)))
                    .transpose()?,
            };
            let instead = vit.is_some();
            if let Some(vit) = vit {
                choices.add(vit);
            }
            // What reads a class token says nothing where that is blanked.
            if !(instead && plain.as_ref().is_ok_and(|plain| plain.target.layout.prefix() > 0)) {
                choices.add(plain);
            }
        }
    }
    choices.looked = looked;
    Ok(choices)
}

struct Search<'a> {
    model: &'a Model,
    labels: &'a Labels,
    logits: &'a Logits,
    options: &'a Options,
}

type Found = std::result::Result<Choice, Box<Refused>>;

fn refused(method: Method, candidate: Option<Candidate>, reason: Reason) -> Found {
    Err(Box::new(Refused { method, candidate, reason }))
}

impl Search<'_> {
    /// The first candidate that is a feature map.
    fn plain(&self, method: Method, looked: &[Candidate]) -> Found {
        for candidate in looked {
            if let Ok(layout) = &candidate.layout {
                let target = Target { outlet: candidate.outlet, layout: layout.clone(), normed: Vec::new() };
                let (candidate, mask) = (candidate.clone(), Mask::ONE_HOT);
                return Ok(Choice { method, candidate, target, mask, block: None });
            }
        }
        let named = looked.first().filter(|_| !self.options.target_layers.is_empty()).cloned();
        let reason = match looked {
            [] => Reason::Constant,
            [Candidate { layout: Err(reason), .. }] => reason.clone(),
            _ => Reason::NothingSpatial { looked: looked.len() },
        };
        refused(method, named, reason)
    }

    /// The attention blocks, where the last of them stands behind the one-hot target and hands on what
    /// tokens before the grid's have gathered.
    fn before_class_token(&self, plain: Option<&Choice>) -> Option<Vec<Block>> {
        let found = blocks(self.model, self.labels, self.logits);
        let last = found.first()?;
        let prefix = |outlet: OutletId| {
            let axes = self.labels.get(outlet);
            axes.is_some_and(|axes| axes.0.iter().any(|axis| axis.prefix > 0))
        };
        let fits = match plain {
            Some(plain) if plain.target.layout.prefix() > 0 => true,
            Some(plain) => {
                let after = Flow::after(self.model.graph(), plain.target.outlet);
                after[last.attention.node.index()] && prefix(last.input)
            }
            None => true,
        };
        fits.then_some(found)
    }

    /// The input of the block that the options ask for, together with its norms.
    fn vit(&self, looked: &[Candidate], found: Option<Vec<Block>>) -> Result<Found> {
        let method = Method::VitReciproCam;
        let graph = self.model.graph();
        let (candidate, block) = match looked {
            [named] if !self.options.target_layers.is_empty() => (named.clone(), None),
            _ => {
                let found = found.unwrap_or_else(|| blocks(self.model, self.labels, self.logits));
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
        for outlet in normed(self.model, self.labels, self.logits, candidate.outlet) {
            match crate::analysis::layout(self.labels.get(outlet), graph.fact(outlet)) {
                Ok(own) if same_grid(&own, &layout) => also.push((outlet, own)),
                Ok(_) => {}
                Err(reason) => return Ok(refused(method, Some(candidate), reason)),
            }
        }
        let mask = Mask { kernel: self.options.kernel, class_token: self.options.class_token };
        let target = Target { outlet: candidate.outlet, layout, normed: also };
        Ok(Ok(Choice { method, candidate, target, mask, block }))
    }
}

fn same_grid(a: &Layout, b: &Layout) -> bool {
    let dims = |layout: &Layout| (layout.grid.0.dim(), layout.grid.1.dim());
    dims(a) == dims(b)
}
