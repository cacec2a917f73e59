//! From a plan to a checked patch.

use crate::analysis::Labels;
use crate::error::{Error, Result};
use crate::forward::{Narrowed, Strategy, narrow};
use crate::ir::{Classes, Record, key, listed};
use crate::methods::{self, Branch, Method, Request, class_scores, feature_vector};
use crate::model::Model;
use crate::options::{Choice as _, Options};
use crate::patch::{Finished, Patch};
use crate::plan::Plan;
use crate::refusal::{Reason, Refusal};
use crate::tasks::Subject;

/// What a branch hands out beside the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// What options ask for.
    Asked,
    /// Of a detector also [`CLASS_SCORES`], for whoever wants to know what it sees.
    #[cfg_attr(not(feature = "explain"), expect(dead_code, reason = "only explanations ask"))]
    ClassScores,
}

/// Name of the output with a detector's scores of each class, see [`class_scores`].
pub(crate) const CLASS_SCORES: &str = "xai/class_scores";

/// A branch that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// What is added to the model.
    pub(crate) patch: Finished,
    /// What became of the head.
    pub(crate) branch: Branch,
    /// Classes that have a map.
    pub(crate) targets: Classes,
}

/// Builds the branch, with the head narrowed to the tokens that are read; the inner error says why it does not fit.
///
/// # Errors
/// [`Error::Refused`] where there is no feature vector, [`Error::Internal`] where the result is not sound.
pub(crate) fn build(
    model: &Model,
    labels: &Labels,
    subject: &Subject,
    plan: &Plan,
    (options, beside): (&Options, Beside),
) -> Result<std::result::Result<Built, Reason>> {
    let narrowed = match (subject, &plan.masked, options.strategy) {
        (Subject::Scores(logits), Some(masked), Strategy::Auto) if plan.method.masks() => {
            narrow(model, labels, &masked.target.masked(), logits)
        }
        _ => None,
    };
    match narrowed {
        Some(Narrowed { model, labels, logits }) => {
            build_on(&model, &labels, &Subject::Scores(logits), plan, (options, beside))
        }
        None => build_on(model, labels, subject, plan, (options, beside)),
    }
}

fn build_on(
    model: &Model,
    labels: &Labels,
    subject: &Subject,
    plan: &Plan,
    (options, beside): (&Options, Beside),
) -> Result<std::result::Result<Built, Reason>> {
    let request = Request {
        labels,
        subject,
        masked: plan.masked.as_ref().map(|masked| (&masked.target, masked.mask)),
        classes: &options.classes,
        size: options.saliency_size,
        encoding: options.encoding(),
        strategy: options.strategy,
        quantized: options.quantized,
        budget: options.memory_budget,
        name: &options.output_name,
    };
    let mut patch = Patch::new(model);
    let branch = match methods::build(plan.method, &mut patch, &request) {
        Ok(branch) => branch,
        Err(reason) => return Ok(Err(reason)),
    };
    // Who checks a map reads its target.
    let looked_at = plan.masked.as_ref().map(|masked| masked.target.masked()).unwrap_or_default();
    if let Some((value, quantized)) = patch.read_in_integers(&looked_at) {
        let place = model.node(value.node).place();
        return Ok(Err(Reason::ReadInIntegers { place, quantized: model.graph().label(quantized) }));
    }
    let mut outputs = vec![(options.output_name.clone(), branch.saliency)];
    if options.feature_vector {
        let vector =
            feature_vector(&mut patch, &request, &options.feature_vector_name).map_err(|reason| {
                let reasons = vec![(subject.name().to_owned(), reason)];
                Error::Refused(Box::new(Refusal::new("feature vector".to_owned(), reasons)))
            })?;
        outputs.push((options.feature_vector_name.clone(), vector));
    }
    if let (Beside::ClassScores, Subject::Maps(maps)) = (beside, subject)
        && let Some(scores) = class_scores(&mut patch, maps)
    {
        outputs.push((CLASS_SCORES.to_owned(), scores));
    }
    let targets = if plan.method.has_classes() { options.classes.clone() } else { Classes::All };
    Ok(Ok(Built { patch: patch.finish(&outputs)?, branch, targets }))
}

impl Built {
    /// What is recorded in the model itself, for `xai-verify` and whoever wonders.
    pub(crate) fn record(&self, model: &Model, options: &Options, subject: &Subject, plan: &Plan) -> Record {
        let mut record = options.record(plan.method, &self.targets);
        let given = model.told();
        if !given.shapes.is_empty() {
            record.add(key::INPUT_SHAPE, listed(&given.shapes));
            record.add(key::RESHAPED, given.reshape);
        }
        if let Some(masked) = &plan.masked {
            masked.record_target(model, &mut record);
        }
        if plan.method == Method::ClassProbabilityMap {
            let (height, width) = options.saliency_size;
            record.add(key::SALIENCY_SIZE, format!("{height}x{width}"));
        }
        subject.record(model, &mut record);
        if let Some(masked) = &plan.masked {
            masked.record_masks(model, plan.method, &mut record);
        }
        if options.feature_vector {
            subject.record_features(model, &mut record);
            record.add(key::FEATURE_VECTOR, &options.feature_vector_name);
        }
        if let Some(quantized) = self.branch.quantized {
            record.add(key::QUANTIZED, quantized.name());
        }
        if let Some(form) = self.branch.form(options.strategy) {
            record.add(key::LOWERING, form.name());
        }
        record
    }
}
