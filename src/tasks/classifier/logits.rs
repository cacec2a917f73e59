//! From an output back to the logits.

use std::collections::BTreeSet;

use super::embedding::is_embedding;
use super::rows;
use crate::analysis::{Axes, Labels, walk};
use crate::error::Result;
use crate::graph::{Flow, NodeId, OpKind, OutletId, Output};
use crate::ir::Dim;
use crate::model::Model;
use crate::ops::{Action, Passage, WindowKind, Zero};
use crate::refusal::Reason;

/// The class scores that a saliency map explains, before any Softmax or Sigmoid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logits {
    /// The tensor.
    pub outlet: OutletId,
    /// The tensor that the model itself computes them in; another one where the way to them was narrowed.
    pub original: OutletId,
    /// Name of the model output that it leads to.
    pub output: String,
    /// The place of that among the model's outputs.
    pub place: usize,
    /// Axis of the batch.
    pub batch: usize,
    /// Axis of the classes; every other axis but the batch's has extent 1.
    pub class: usize,
    /// Number of classes.
    pub classes: Dim,
    /// Whether a Softmax or Sigmoid follows.
    pub activated: bool,
}

/// An output that holds no class scores, and why.
pub(crate) type Dismissed = (String, Reason);

impl Logits {
    /// The logits behind each output that can be class scores, the likeliest first; and the outputs that can not.
    ///
    /// `wanted` restricts the search to one output, by tensor name or layer name.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) where there is no output of that name.
    pub(crate) fn find(
        model: &Model,
        labels: &Labels,
        wanted: Option<&str>,
    ) -> Result<(Vec<Logits>, Vec<Dismissed>)> {
        let graph = model.graph();
        let outputs: Vec<Output<'_>> = match wanted {
            Some(wanted) => vec![graph.output(wanted).ok_or_else(|| graph.unknown_output(wanted))?],
            None => graph.outputs().collect(),
        };
        let (mut found, mut reasons) = (Vec::new(), Vec::new());
        for output in outputs {
            match before_activation(model, labels, output) {
                // Who names it knows what its numbers are.
                Ok(_) if wanted.is_none() && is_embedding(model, output.outlet) => {
                    reasons.push((format!("output '{}'", output.name()), Reason::Embedding));
                }
                Ok(logits) => found.push(logits),
                Err(reason) => reasons.push((format!("output '{}'", output.name()), reason)),
            }
        }
        if found.is_empty() && reasons.is_empty() {
            reasons.push(("the model".to_owned(), Reason::NoOutput));
        }
        let mut found = by_likelihood(model, found);
        // Scores as they are, their best and their probabilities may all be outputs: one of them is explained.
        let mut seen = BTreeSet::new();
        found.retain(|logits| seen.insert(logits.outlet));
        Ok((found, reasons))
    }
}

/// Sorts logits by how surely they are class scores: those with an activation first, then what a
/// product makes without normalising it, then what no other logits are computed from.
fn by_likelihood(model: &Model, mut found: Vec<Logits>) -> Vec<Logits> {
    let graph = model.graph();
    let parameters: Vec<NodeId> = graph.parameters().map(|(id, _)| id).collect();
    let outlets: Vec<OutletId> = found.iter().map(|logits| logits.outlet).collect();
    found.sort_by_cached_key(|logits| {
        let after = Flow::after(graph, logits.outlet);
        let feeds_another = outlets.iter().any(|other| *other != logits.outlet && after[other.node.index()]);
        let flow = Flow::new(graph, &parameters, logits.outlet.node);
        let fact = graph.outputs().nth(logits.place).map(|output| graph.fact(output.outlet));
        let whole = fact.is_some_and(|fact| fact.shape.contains(&logits.classes));
        (!logits.activated, !whole, !is_product(model, &flow, logits.outlet), feeds_another)
    });
    found
}

/// Whether a value is a matrix product or convolution, perhaps with constants added, averaged or pooled.
///
/// A normalised embedding is not: it is divided by what is computed from itself.
fn is_product(model: &Model, flow: &Flow, outlet: OutletId) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![outlet];
    while let Some(outlet) = open.pop() {
        if !seen.insert(outlet) {
            continue;
        }
        let node = model.node(outlet.node);
        let data: Vec<OutletId> =
            node.inputs.iter().copied().filter(|input| flow.on_path(input.node)).collect();
        match (model.action(outlet.node), &data[..]) {
            (Action::MatMul { .. }, _) => {}
            (Action::Window(window), _) if !matches!(window.kind, WindowKind::Pool(_)) => {}
            // Sums of several products; any other combination must be with constants.
            (Action::Elementwise(Zero::All), [_, ..]) => open.extend(data),
            (
                Action::Elementwise(_)
                | Action::Pointwise(_)
                | Action::Reshape
                | Action::Transpose { .. }
                | Action::Reduce { .. }
                | Action::Window(_),
                [input],
            ) => open.push(*input),
            _ => return false,
        }
    }
    true
}

fn before_activation(
    model: &Model,
    labels: &Labels,
    output: Output<'_>,
) -> std::result::Result<Logits, Reason> {
    let graph = model.graph();
    let (mut logits, mut activated) = (output.outlet, false);
    for step in walk(model, output.outlet) {
        match step.passage {
            Passage::Activation(_) => (logits, activated) = (step.source, true),
            Passage::Same | Passage::Reorder => {}
            // The best of all scores are taken of all scores.
            Passage::Select
                if graph.node(step.result.node).op.kind == OpKind::TopK && step.result.slot == 0 =>
            {
                logits = step.source;
            }
            Passage::Select | Passage::Stop => break,
        }
    }
    if graph.fact(logits).rank() < 2 {
        // One number for each image, whose axis was taken away.
        logits = walk(model, logits)
            .take_while(|step| matches!(step.passage, Passage::Same | Passage::Reorder))
            .map(|step| step.source)
            .find(|source| graph.fact(*source).rank() >= 2)
            .unwrap_or(logits);
    }
    let fact = graph.fact(logits);
    let reason = || {
        let fact = fact.to_string();
        let along = |axes: &Axes| axes.positional().len() > 1 && axes.0.len() > 2;
        if labels.get(output.outlet).is_some_and(along) {
            Reason::HoldsMap { fact }
        } else {
            Reason::NotLogits { fact }
        }
    };
    if !fact.element.is_float() || fact.rank() < 2 {
        return Err(reason());
    }
    let batch = labels.get(logits).and_then(Axes::batch).unwrap_or(0);
    let others: Vec<usize> = (0..fact.rank()).filter(|axis| *axis != batch).collect();
    let many: Vec<usize> = others.iter().copied().filter(|axis| !fact.shape[*axis].is_one()).collect();
    let class = match (&many[..], &others[..]) {
        ([class], _) | ([], [class, ..]) => *class,
        _ => return Err(reason()),
    };
    if let Some(input) = rows::of_another(model, logits, batch, class) {
        return Err(Reason::RowsOfAnother { fact: fact.to_string(), input });
    }
    Ok(Logits {
        outlet: logits,
        original: logits,
        output: output.name().to_owned(),
        place: output.place,
        batch,
        class,
        classes: fact.shape[class],
        activated,
    })
}
