//! A list of scores: it orders classes as an output does.

use super::{Found, MeaningFigures};
use crate::graph::{Graph, NodeId, OpKind, OutletId};
use crate::runtime::Tensor;

/// Share of an output's range by which two of its values may be in the wrong order: they were rounded.
const ROUNDED: f64 = 1e-4;

/// The explained scores of one set of inputs, and what the original answers.
#[derive(Debug)]
pub(in crate::verify) struct Scored<'a> {
    /// Scores `[images, classes]`.
    pub(in crate::verify) scores: &'a [f64],
    /// Their shape in the model.
    pub(in crate::verify) shape: &'a [usize],
    /// Images that were fed.
    pub(in crate::verify) images: usize,
    /// Outputs of the original.
    pub(in crate::verify) outputs: &'a [Tensor],
}

/// The operation that makes probabilities of scores, where only what leaves their order as it is lies behind it.
pub(in crate::verify) fn probabilities_behind(graph: &Graph, scores: OutletId) -> Option<NodeId> {
    let mut at = scores.node;
    loop {
        let node = graph.node(at);
        match node.op.kind {
            OpKind::SoftMax | OpKind::LogSoftmax | OpKind::Sigmoid => return Some(at),
            OpKind::Clamp
            | OpKind::Convert
            | OpKind::Reshape
            | OpKind::Squeeze
            | OpKind::Unsqueeze
            | OpKind::Transpose
            | OpKind::Sqrt
            | OpKind::Exp
            | OpKind::Log
            | OpKind::Identity => at = node.inputs.first()?.node,
            _ => return None,
        }
    }
}

/// Whether an output of each set orders classes as the scores do.
pub(in crate::verify) fn of_scores(sets: &[Scored<'_>]) -> Found {
    let (mut problems, mut figures) = (Vec::new(), MeaningFigures::default());
    for set in sets {
        if let [rows, _, ..] = *set.shape
            && rows != set.images
        {
            problems.push(
                format!(
                    "the scores that were explained are {:?}: {rows} rows for {} images",
                    set.shape, set.images
                )
                .into(),
            );
            return Found::Judged(problems, figures);
        }
    }
    let count = sets.first().map_or(0, |set| set.outputs.len());
    let orders = (0..count).filter_map(|output| Some((output, order(sets, output)?)));
    // Where all classes are listed, their sorted scores look like a list of scores.
    let best = orders.chain(listed(sets)).min_by_key(|(_, order)| order.contradicting);
    let Some((output, order)) = best else {
        return Found::Not(
            "no output has a value for each class, or lists the best of them, so that nothing says whether these \
             scores are what the model answers"
                .into(),
        );
    };
    if !order.varies {
        return Found::Not("the output that has a value for each class is the same for all of them".into());
    }
    (figures.output, figures.scores, figures.contradicting) =
        (Some(output), order.scores, order.contradicting);
    if let Some((image, better, worse)) = order.first {
        problems.push(
            format!(
                "output {output} orders classes otherwise than the scores that were explained: of image {image} they put \
                 class {better} before class {worse}, and so {} times more",
                order.contradicting - 1
            )
            .into(),
        );
    }
    Found::Judged(problems, figures)
}

/// How an output goes with the scores.
#[derive(Debug, Default)]
struct Order {
    scores: usize,
    contradicting: usize,
    /// The first contradiction: the image, a class with the higher score, and one with the higher output.
    first: Option<(usize, usize, usize)>,
    varies: bool,
}

/// Compares the order of classes with that of an output's values; `None` where it has none for each of them.
fn order(sets: &[Scored<'_>], output: usize) -> Option<Order> {
    let mut order = Order::default();
    for set in sets {
        let tensor = set.outputs.get(output)?;
        let classes = set.scores.len().checked_div(set.images)?;
        if tensor.len() != set.scores.len() || classes == 0 || !tensor.element().is_float() {
            return None;
        }
        let values = tensor.values().ok()?;
        for (image, (scores, values)) in set.scores.chunks(classes).zip(values.chunks(classes)).enumerate() {
            let (least, most) = range(values);
            let rounded = ROUNDED * (most - least) + 1e-7 * most.abs().max(least.abs());
            order.varies |= classes == 1 || most - least > rounded;
            order.scores += classes;
            let mut places: Vec<usize> = (0..classes).collect();
            places.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            for pair in places.windows(2) {
                if values[pair[1]] < values[pair[0]] - rounded {
                    order.contradicting += 1;
                    order.first.get_or_insert((image, pair[1], pair[0]));
                }
            }
        }
    }
    Some(order)
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// Compares the best classes with those that an output of integers lists, best first.
fn listed(sets: &[Scored<'_>]) -> Option<(usize, Order)> {
    let first = sets.first()?;
    let lists = |tensor: &Tensor| {
        let of_images = tensor.len().is_multiple_of(first.images.max(1));
        !tensor.element().is_float()
            && (first.images..=first.scores.len()).contains(&tensor.len())
            && of_images
    };
    let output = first.outputs.iter().position(lists)?;
    let mut order = Order { varies: true, ..Order::default() };
    for set in sets {
        let values = set.outputs.get(output)?.values().ok()?;
        let (classes, count) = (set.scores.len() / set.images, values.len() / set.images);
        for (image, (scores, listed)) in set.scores.chunks(classes).zip(values.chunks(count)).enumerate() {
            let (least, most) = range(scores);
            let mut places: Vec<usize> = (0..classes).collect();
            places.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            for (place, listed) in places.iter().zip(listed) {
                order.scores += 1;
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let class = *listed as usize;
                let other = scores.get(class).copied().unwrap_or(f64::NEG_INFINITY);
                if scores[*place] - other > ROUNDED * (most - least) {
                    order.contradicting += 1;
                    order.first.get_or_insert((image, *place, class));
                }
            }
        }
    }
    Some((output, order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_values(ElementType::F32, shape.to_vec(), values).unwrap()
    }

    fn run(scores: &[f64], shape: &[usize], outputs: &[Tensor]) -> Result<(usize, Vec<String>), String> {
        let set = Scored { scores, shape, images: 1, outputs };
        match of_scores(&[set]) {
            Found::Judged(problems, figures) => {
                Ok((figures.contradicting, problems.iter().map(ToString::to_string).collect()))
            }
            Found::Not(reason) => Err(reason.to_string()),
        }
    }

    const SCORES: [f64; 4] = [1.0, -2.0, 3.0, 0.5];

    #[test]
    fn what_leaves_the_order_is_the_same_answer() {
        let softmax = tensor(&[1, 4], &[0.11, 0.01, 0.81, 0.07]);
        let clamped = tensor(&[1, 4, 1], &[1.0, 0.0, 1.0, 0.5]);
        for output in [softmax, clamped] {
            assert_eq!(run(&SCORES, &[1, 4], &[output]), Ok((0, Vec::new())));
        }
    }

    #[test]
    fn another_order_is_another_answer() {
        let other = tensor(&[1, 4], &[0.9, 0.01, 0.05, 0.04]);
        let (count, problems) = run(&SCORES, &[1, 4], std::slice::from_ref(&other)).unwrap();
        assert_eq!(count, 1);
        assert!(problems[0].contains("they put class 2 before class 0"), "{problems:?}");
        // One output that agrees is enough.
        let right = tensor(&[1, 4], &[1.0, -2.0, 3.0, 0.5]);
        assert_eq!(run(&SCORES, &[1, 4], &[other, right]), Ok((0, Vec::new())));
    }

    #[test]
    fn rows_are_images() {
        let (_, problems) = run(&SCORES, &[4, 1], &[tensor(&[4, 1], &[1.0, -2.0, 3.0, 0.5])]).unwrap();
        assert_eq!(problems, ["the scores that were explained are [4, 1]: 4 rows for 1 images"]);
    }

    #[test]
    fn the_best_may_be_listed() {
        let values = tensor(&[1, 2], &[3.0, 1.0]);
        let indices_of = |list: &[i64]| {
            let bytes = list.iter().flat_map(|value| value.to_le_bytes()).collect();
            Tensor::new(ElementType::I64, vec![1, list.len()], bytes).unwrap()
        };
        let indices = |list: [i64; 2]| indices_of(&list);
        assert_eq!(run(&SCORES, &[1, 4], &[values.clone(), indices([2, 0])]), Ok((0, Vec::new())));
        assert_eq!(run(&SCORES, &[1, 4], &[values, indices([0, 2])]).unwrap().0, 1);
        let all = [tensor(&[1, 4], &[3.0, 1.0, 0.5, -2.0]), indices_of(&[2, 0, 3, 1])];
        assert_eq!(run(&SCORES, &[1, 4], &all), Ok((0, Vec::new())));
    }

    #[test]
    fn what_says_nothing_is_not_judged() {
        assert!(
            run(&SCORES, &[1, 4], &[tensor(&[1, 3], &[1.0, 2.0, 3.0])]).unwrap_err().contains("no output")
        );
        assert!(
            run(&SCORES, &[1, 4], &[tensor(&[1, 4], &[1.0; 4])]).unwrap_err().contains("the same for all")
        );
    }
}
