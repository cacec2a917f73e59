//! Evaluating a head, operation by operation.

use super::context::Context;
use super::form::{Background, Form, FormKind};
use super::forms::{Tried, cheapest, copies, on_copies};
use super::head::between;
use super::mask::Mask;
use super::memory::{Memory, MemoryKey, tensor_bytes};
use super::nonlinear::evaluate_at_weights;
use super::operation::{Applied, Operation};
use super::prefix::prefix_tokens;
use super::scores::{Scores, scores};
use super::values::Values;
use super::why::Why;
use crate::analysis::{Labels, Target};
use crate::graph::{NodeId, OpKind, OutletId};
use crate::ir::Classes;
use crate::message::Message;
use crate::patch::Patch;
use crate::refusal::Reason;
use crate::tasks::Logits;

/// Which forms an evaluation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The cheapest form that each operation allows.
    #[default]
    Auto,
    /// Copies from the start: slow, simple, and the oracle for the others.
    Dense,
}

/// What becomes of the quantization of activations (FakeQuantize) in a head that is evaluated under masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantized {
    /// It is left out: within its range it is the identity but for a rounding, which is larger than what masks differ by.
    #[default]
    Smooth,
    /// It is a part of the head as any other.
    Exact,
}

/// What became of one operation of the head.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Its layer.
    pub layer: String,
    /// Its operation.
    pub op: String,
    /// The form of its result.
    pub form: FormKind,
    /// Why it has no cheaper form, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Message>,
}

/// A head that is to be evaluated under masks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskedHead<'a> {
    /// Labels of the model.
    pub(crate) labels: &'a Labels,
    /// What is masked: where the head starts.
    pub(crate) target: &'a Target,
    /// Where it ends.
    pub(crate) logits: &'a Logits,
    /// The masks.
    pub(crate) mask: Mask,
    /// Which forms may be used.
    pub(crate) strategy: Strategy,
    /// What becomes of quantized activations.
    pub(crate) quantized: Quantized,
    /// Most bytes of copies that may be alive at one time.
    pub(crate) budget: u64,
}

/// A head as evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    /// Logits of the wanted classes under all masks.
    pub(crate) scores: Scores,
    /// What became of each operation, in order of evaluation.
    pub(crate) steps: Vec<Step>,
    /// What became of the quantization of activations, where there is any.
    pub(crate) quantized: Option<Quantized>,
    /// Most bytes of copies that are alive at one time, an unknown batch counted as one sample; 0 where nothing
    /// was copied, `None` where other extents are unknown.
    pub(crate) dense_bytes: Option<u64>,
}

/// Evaluates a head under all masks, in a patch.
///
/// # Errors
/// [`Reason::Operation`] where an operation cannot even be copied, [`Reason::Budget`] where the
/// copies alive at one time would take more than the budget, [`Reason::NotOnPath`]
/// where the logits do not depend on the target.
pub(crate) fn evaluate(
    patch: &mut Patch<'_>,
    head: &MaskedHead<'_>,
    classes: &Classes,
) -> Result<Evaluated, Reason> {
    let MaskedHead { labels, target, logits, mask, strategy, quantized, budget } = *head;
    let model = patch.model();
    let masked = target.masked();
    let nodes = between(model, &masked, logits.outlet.node);
    if nodes.is_empty() {
        return Err(Reason::NotOnPath);
    }
    let (values, memory) = (Values::default(), Memory::default());
    let mut cx = Context { patch, labels, target, mask, values, memory };
    let start = Form::OneHot { background: Background::Zero };
    cx.values.forms = masked.iter().map(|outlet| (*outlet, start.clone())).collect();
    if strategy == Strategy::Dense {
        copy(&mut cx, &masked)?;
    }
    let (mut steps, mut found) = (Vec::new(), None);
    for &id in &nodes {
        let op = cx.operation(id);
        let quantizes = op.node.op.kind == OpKind::FakeQuantize;
        if quantizes {
            found = Some(quantized);
        }
        match quantized {
            Quantized::Smooth if quantizes => steps.extend(left_out(&mut cx, op)),
            _ => steps.extend(step(&mut cx, op)?),
        }
    }
    cx.memory.check(model.graph(), &nodes, budget, target.outlet)?;
    let scores = scores(&mut cx, logits, classes).map_err(|why| refused(&cx, logits.outlet, &why))?;
    let dense_bytes = cx.memory.known_peak(model.graph(), &nodes);
    Ok(Evaluated { scores, steps, quantized: found, dense_bytes })
}

fn refused(cx: &Context<'_, '_>, outlet: OutletId, why: &Why) -> Reason {
    Reason::Operation { place: cx.view().node(outlet).place(), why: why.message() }
}

/// Copies what is masked from the start.
fn copy(cx: &mut Context<'_, '_>, masked: &[OutletId]) -> Result<(), Reason> {
    for outlet in masked {
        let copied = copies(cx, *outlet).map_err(|why| refused(cx, *outlet, &why))?;
        cx.values.forms.insert(*outlet, Form::copies(copied));
        let place = cx.view().node(*outlet).place();
        cx.memory.lose(place, Some(Why::AskedFor));
    }
    Ok(())
}

/// Takes what an operation reads for what it makes.
fn left_out(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Option<Step> {
    let (input, out) = (op.first().ok()?, op.out());
    let value = cx.view().unblanked(input);
    cx.values.replaced.insert(out, value);
    cx.values.left_out.insert(out, input);
    if let Some(values) = cx.values.at_weights.get(&input).cloned() {
        cx.values.at_weights.insert(out, values);
    }
    let form = cx.form(input)?;
    let step = kind(cx, op.id, Some(&form), true);
    record(cx, op.id, vec![form]);
    let (layer, op) = (op.node.name.clone(), op.node.op.type_name().to_owned());
    Some(Step { layer, op, form: step, why: None })
}

/// Evaluates one operation; `None` where its result does not depend on the mask.
fn step(cx: &mut Context<'_, '_>, op: Operation<'_>) -> Result<Option<Step>, Reason> {
    if !op.node.inputs.iter().any(|input| cx.view().masked(*input)) {
        cx.replace(op);
        return Ok(None);
    }
    if let Some(tokens) = prefix_tokens(cx, op) {
        if tokens != op.out() {
            cx.values.replaced.insert(op.out(), tokens);
        }
        return Ok(None);
    }
    let Tried { applied, why } = cheapest(cx, op);
    let copied = applied.is_none();
    let forms = match applied {
        Some(applied) => accepted(cx, op, applied),
        None => fallen_back(cx, op, why.as_ref())?,
    };
    let form = kind(cx, op.id, forms.first(), copied);
    record(cx, op.id, forms);
    let (layer, kind) = (op.node.name.clone(), op.node.op.type_name().to_owned());
    Ok(Some(Step { layer, op: kind, form, why: why.map(|why| why.message()) }))
}

/// Forms that a rule made, with what else has to be known of masked ones.
fn accepted(cx: &mut Context<'_, '_>, op: Operation<'_>, applied: Applied) -> Vec<Form> {
    evaluate_at_weights(cx, op, &applied);
    if applied.forms.iter().all(|form| matches!(form, Form::OneHot { .. })) {
        cx.replace(op);
    }
    applied.forms
}

/// Forms of an operation that is evaluated on copies, after `why` spoke against something cheaper.
fn fallen_back(cx: &mut Context<'_, '_>, op: Operation<'_>, why: Option<&Why>) -> Result<Vec<Form>, Reason> {
    let copied = on_copies(cx, op).map_err(|dense| refused(cx, op.out(), &dense.after(why.cloned())))?;
    if !cx.memory.is_lost() && cx.view().positional(op.out()) {
        cx.memory.lose(op.node.place(), why.cloned());
    }
    Ok(copied.into_iter().map(Form::copies).collect())
}

/// How the form of an operation's first output is reported.
fn kind(cx: &Context<'_, '_>, id: NodeId, form: Option<&Form>, copied: bool) -> FormKind {
    let positional = cx.view().positional(OutletId::new(id, 0));
    match form.map_or(FormKind::Dense, Form::kind) {
        FormKind::OneHot if !cx.mask.binary() => FormKind::Masked,
        // The weights of an attention are the same for all channels: K rows of them are no loss.
        FormKind::Dense if !copied && positional => FormKind::Weights,
        // Copies of what has no positions left are as many values as the other layout has.
        FormKind::Dense if !positional => FormKind::PerPosition,
        kind => kind,
    }
}

/// Notes the forms of an operation's outputs, and the memory that they take.
fn record(cx: &mut Context<'_, '_>, id: NodeId, forms: Vec<Form>) {
    for (slot, form) in forms.into_iter().enumerate() {
        let outlet = OutletId::new(id, slot);
        match &form {
            Form::Dense(_) => cx.count_copies(outlet),
            Form::Distinct(distinct) => {
                let rows = cx.view().k().dim().fixed();
                let bytes = tensor_bytes(cx.patch.fact(distinct.outlet), rows);
                cx.memory.count(MemoryKey::Value(outlet), bytes);
            }
            Form::OneHot { .. } | Form::PerPosition(_) => {}
        }
        cx.values.forms.insert(outlet, form);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analysis::{Way, blocks, layout, sources};
    use crate::forward::mask::Kernel;
    use crate::model::Model;

    /// A head of tokens under a kernel: the weights that are compared in the graph, and rows of distinct tokens.
    fn under(model: &Model, kernel: Kernel) -> (Vec<f32>, Vec<usize>) {
        let labels = Labels::new(model);
        let (found, _) = Logits::find(model, &labels, None).unwrap();
        let logits = &found[0];
        let from = sources(model.graph(), None).unwrap();
        let outlet = blocks(model, &labels, Way { from: &from, to: logits.outlet })[1].input;
        let layout = layout(labels.get(outlet), model.graph().fact(outlet)).unwrap();
        // Norms are computed from what is masked: they are not linear.
        let target = Target { outlet, layout, normed: Vec::new() };
        let mask = Mask { kernel, class_token: true };
        let (strategy, quantized, budget) = (Strategy::Auto, Quantized::Exact, u64::MAX);
        let head = MaskedHead { labels: &labels, target: &target, logits, mask, strategy, quantized, budget };
        let mut patch = Patch::new(model);
        let evaluated = evaluate(&mut patch, &head, &Classes::All).unwrap();
        assert!(evaluated.steps.iter().any(|step| step.form == FormKind::Distinct));
        let finished = patch.finish(&[("scores".to_owned(), evaluated.scores.outlet)]).unwrap();
        let nodes = || finished.nodes.iter();
        let compared = nodes().filter(|(_, node)| node.op.kind == OpKind::Equal);
        let constant = |id: &NodeId| f32::from_le_bytes(finished.constants[id][..].try_into().unwrap());
        let mut weights: Vec<f32> = compared.map(|(_, node)| constant(&node.inputs[1].node)).collect();
        weights.sort_by(f32::total_cmp);
        weights.dedup();
        let rows = nodes().filter(|(_, node)| node.name.starts_with("xai/distinct/weights"));
        let rows = rows.filter_map(|(_, node)| node.outputs[0].fact.shape[1].fixed()).collect();
        (weights, rows)
    }

    #[test]
    fn forms_take_the_weights_of_masks_from_the_kernel() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/small/vit_mean_of_all.xml");
        let model = Model::read(&file, None).unwrap();
        let (weights, rows) = under(&model, Kernel::Gaussian);
        assert_eq!(weights, [0.0625, 0.125, 0.25, 1.0]);
        assert!(!rows.is_empty() && rows.iter().all(|rows| *rows == 9));
        let (weights, rows) = under(&model, Kernel::Cross);
        assert_eq!(weights, [0.125, 0.5, 1.0]);
        assert!(!rows.is_empty() && rows.iter().all(|rows| *rows == 5));
    }
}
