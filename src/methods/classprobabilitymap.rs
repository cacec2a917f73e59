//! ClassProbabilityMap: what a detector's class heads say of each position.
//!
//! For each scale the largest class score over anchors, resized to one size; the mean over scales; the softmax
//! over classes, or the sigmoid of a single one. Scores are those before any activation, but where the model
//! multiplies them by objectness: then they are that product.

use super::scaling::scale;
use super::{Branch, Request};
use crate::analysis::Role;
use crate::graph::{Fact, Op, OpKind, OutletId, Size};
use crate::ir::{Classes, Dim, ElementType};
use crate::ops::Activation;
use crate::patch::Patch;
use crate::tasks::{ChannelMap, Scale, ScoreMaps};

/// Builds `[N, classes, H, W]`.
pub(super) fn build(patch: &mut Patch<'_>, request: &Request<'_>, heads: &ScoreMaps) -> Branch {
    let scales: Vec<OutletId> = heads.scales.iter().map(|scale| best_of_anchors(patch, scale)).collect();
    // Scores as what they fall short of each class's largest, which is added in the end: half precision holds them best where
    // maps are highest.
    let most: Vec<OutletId> = scales
        .iter()
        .map(|map| patch.reduce("scores/most", OpKind::ReduceMax, *map, &[2, 3], true))
        .collect();
    let below: Vec<OutletId> = scales
        .iter()
        .zip(&most)
        .map(|(map, most)| patch.binary("scores/below", OpKind::Subtract, *map, *most))
        .collect();
    // The size is that of the map as it is handed out.
    let (height, width) = request.size;
    let size = if request.turn().transposed { (width, height) } else { (height, width) };
    let resized: Vec<OutletId> = below.iter().map(|map| resize(patch, *map, size)).collect();
    let parts = [mean(patch, &resized), mean(patch, &most)];
    let mean = patch.binary("scores/whole", OpKind::Add, parts[0], parts[1]);
    let probabilities = if heads.classes == 1 {
        patch.unary("probabilities", OpKind::Sigmoid, mean)
    } else {
        softmax(patch, "probabilities", mean, 1)
    };
    let chosen = chosen(patch, request.classes, probabilities, &scales);
    let saliency = scale(patch, request.encoding, chosen, &[2, 3]);
    Branch { saliency, steps: Vec::new(), quantized: None, dense_bytes: None }
}

fn mean(patch: &mut Patch<'_>, maps: &[OutletId]) -> OutletId {
    let Some((first, others)) = maps.split_first() else {
        return patch.float("scores/none", ElementType::F32, 0.0);
    };
    let sum = others.iter().fold(*first, |sum, map| patch.binary("scores/sum", OpKind::Add, sum, *map));
    if others.is_empty() {
        return sum;
    }
    let count = patch.size_float("scores/count", &Size::Fixed(maps.len()), ElementType::F32);
    patch.binary("scores/mean", OpKind::Divide, sum, count)
}

/// The class scores of a scale, `[N, classes, h, w]` in single precision.
fn best_of_anchors(patch: &mut Patch<'_>, scale: &Scale) -> OutletId {
    let (mut scores, mut roles) = channels(patch, &scale.scores);
    if let Some(objectness) = &scale.objectness {
        scores = activate(patch, scores, &roles, scale.scores.activation);
        scores = multiplied(patch, scores, &roles, objectness, objectness.activation);
    }
    let anchors: Vec<usize> = (0..roles.len()).filter(|axis| roles[*axis] == Role::Other).collect();
    if !anchors.is_empty() {
        scores = patch.reduce("scores/best", OpKind::ReduceMax, scores, &anchors, false);
        roles.retain(|role| *role != Role::Other);
    }
    let wanted = [Role::Batch, Role::Class, Role::Height, Role::Width];
    let order: Vec<usize> =
        wanted.iter().filter_map(|role| roles.iter().position(|found| found == role)).collect();
    patch.transpose("scores/order", scores, &order)
}

/// Scores, with an axis for each role, times the one channel of `factor`.
pub(super) fn multiplied(
    patch: &mut Patch<'_>,
    scores: OutletId,
    roles: &[Role],
    factor: &ChannelMap,
    activation: Option<Activation>,
) -> OutletId {
    let (factor, of_factor) = channels(patch, factor);
    let factor = activate(patch, factor, &of_factor, activation);
    let order: Option<Vec<usize>> =
        roles.iter().map(|role| of_factor.iter().position(|other| other == role)).collect();
    let factor = patch.transpose("objectness/order", factor, &order.unwrap_or_default());
    patch.binary("scores/product", OpKind::Multiply, scores, factor)
}

/// The channels that are meant, in single precision, with an axis for each role.
pub(super) fn channels(patch: &mut Patch<'_>, map: &ChannelMap) -> (OutletId, Vec<Role>) {
    let (roles, sizes): (Vec<Role>, Vec<Size>) = map.atoms().into_iter().unzip();
    let scores = patch.convert("scores/f32", map.outlet, ElementType::F32);
    let mut scores = patch.reshape("scores/anchors", scores, &sizes);
    if map.channels != (0..map.fields)
        && let Some(axis) = roles.iter().position(|role| *role == Role::Class)
    {
        scores = patch.slice("scores/channels", scores, axis, map.channels.start, Some(map.channels.end));
    }
    (scores, roles)
}

pub(super) fn activate(
    patch: &mut Patch<'_>,
    x: OutletId,
    roles: &[Role],
    activation: Option<Activation>,
) -> OutletId {
    match (activation, roles.iter().position(|role| *role == Role::Class)) {
        (Some(Activation::Sigmoid), _) => patch.unary("scores/sigmoid", OpKind::Sigmoid, x),
        (Some(Activation::Softmax | Activation::LogSoftmax), Some(axis)) => {
            softmax(patch, "scores/softmax", x, axis)
        }
        _ => x,
    }
}

fn softmax(patch: &mut Patch<'_>, hint: &str, x: OutletId, axis: usize) -> OutletId {
    let fact = patch.fact(x).clone();
    patch.add(hint, Op::new(OpKind::SoftMax, "opset1").with("axis", axis), vec![x], vec![fact])
}

/// `[N, C, h, w]` resampled to a size: linear between the centres of positions, the border continued.
fn resize(patch: &mut Patch<'_>, map: OutletId, size: (usize, usize)) -> OutletId {
    let mut fact = patch.fact(map).clone();
    let wanted = [Dim::Fixed(size.0), Dim::Fixed(size.1)];
    if fact.shape[2..] == wanted {
        return map;
    }
    fact.shape[2..].clone_from_slice(&wanted);
    let sizes = patch.integers("resize/size", &wanted.map(|dim| dim.as_i64()));
    // Not read, as sizes are given; the operation wants them.
    let factors = Fact::new(ElementType::F32, vec![Dim::Fixed(2)]);
    let factors = patch.floats("resize/factors", factors, &[1.0, 1.0]);
    let axes = patch.integers("resize/axes", &[2, 3]);
    let op = Op::new(OpKind::Interpolate, "opset4")
        .with("mode", "linear_onnx")
        .with("shape_calculation_mode", "sizes")
        .with("coordinate_transformation_mode", "half_pixel")
        .with("nearest_mode", "round_prefer_floor")
        .with("antialias", false)
        .with("pads_begin", "0")
        .with("pads_end", "0")
        .with("cube_coeff", "-0.75");
    patch.add("resize", op, vec![map, sizes, factors, axes], vec![fact])
}

/// The maps of the wanted classes. The best of an image are those whose score is the largest anywhere.
fn chosen(patch: &mut Patch<'_>, classes: &Classes, maps: OutletId, scales: &[OutletId]) -> OutletId {
    match classes {
        Classes::All => maps,
        Classes::Listed(list) => {
            let list: Vec<i64> = list.iter().map(|class| i64::try_from(*class).unwrap_or(i64::MAX)).collect();
            let indices = patch.integers("targets/indices", &list);
            patch.gather("targets", maps, indices, 1)
        }
        Classes::Top(count) => {
            let mut best: Option<OutletId> = None;
            for map in scales {
                let here = patch.reduce("targets/best", OpKind::ReduceMax, *map, &[2, 3], false);
                best = Some(match best {
                    Some(best) => patch.binary("targets/best", OpKind::Maximum, best, here),
                    None => here,
                });
            }
            let Some(best) = best else { return maps };
            let indices = patch.top_indices("targets", best, *count);
            patch.gather_of_each("targets", maps, indices)
        }
    }
}
