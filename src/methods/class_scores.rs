//! What a detector says of an image as a whole: of each class the largest score that any position has.

use super::classprobabilitymap::{activate, channels, multiplied};
use crate::analysis::Role;
use crate::graph::{OpKind, OutletId};
use crate::ops::Activation;
use crate::patch::Patch;
use crate::tasks::{Scale, ScoreMaps};

/// `[N, 2, classes]`: the largest score of each class over anchors, positions and scales, and the mean of the scales'
/// means. Scores are activated as the model does, and multiplied by objectness even where it leaves that to whoever reads
/// its answer.
pub(crate) fn class_scores(patch: &mut Patch<'_>, heads: &ScoreMaps) -> Option<OutletId> {
    let mut all: Option<[OutletId; 2]> = None;
    for scale in &heads.scales {
        let [most, mean] = of_scale(patch, scale);
        all = Some(match all {
            Some([most_so_far, sum]) => [
                patch.binary("classes/most", OpKind::Maximum, most_so_far, most),
                patch.binary("classes/sum", OpKind::Add, sum, mean),
            ],
            None => [most, mean],
        });
    }
    let [most, sum] = all?;
    let element = patch.fact(sum).element;
    let count = patch.size_float("classes/scales", &crate::graph::Size::Fixed(heads.scales.len()), element);
    let mean = patch.binary("classes/mean", OpKind::Divide, sum, count);
    let rows = [most, mean].map(|row| patch.unsqueeze("classes/row", row, &[1]));
    Some(patch.concat("classes", &rows, 1))
}

/// The largest and the mean score of each class on a scale, `[N, classes]` each.
fn of_scale(patch: &mut Patch<'_>, scale: &Scale) -> [OutletId; 2] {
    let (mut scores, roles) = channels(patch, &scale.scores);
    let factor = scale.objectness.as_ref().or(scale.left_to_readers.as_ref());
    // Products are of probabilities, whoever makes these.
    let assumed = |activation: Option<Activation>| activation.or(factor.map(|_| Activation::Sigmoid));
    scores = activate(patch, scores, &roles, assumed(scale.scores.activation));
    if let Some(factor) = factor {
        scores = multiplied(patch, scores, &roles, factor, assumed(factor.activation));
    }
    let others: Vec<usize> =
        (0..roles.len()).filter(|axis| !matches!(roles[*axis], Role::Batch | Role::Class)).collect();
    let batch_first = roles.iter().position(|role| *role == Role::Batch)
        < roles.iter().position(|role| *role == Role::Class);
    [OpKind::ReduceMax, OpKind::ReduceMean].map(|kind| {
        let reduced = patch.reduce("classes/scale", kind, scores, &others, false);
        if batch_first { reduced } else { patch.transpose("classes/order", reduced, &[1, 0]) }
    })
}
