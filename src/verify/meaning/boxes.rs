//! Class maps: the largest score of a class anywhere is its largest among the model's boxes.
//!
//! How outputs list boxes is a convention of detectors, and read here by no more than that: rows of a box, perhaps
//! objectness, then the classes, then what else is known of it; scores of classes in an output of their own; raw maps
//! with the same fields for each anchor; or lists of what was chosen, with scores and labels.

use super::{Found, MeaningFigures};
use crate::runtime::Tensor;

/// Rounding of scores that went different ways, as a share of the largest.
const ROUNDING: f64 = 2e-3;
/// Most anchors that a raw map may have.
const MOST_ANCHORS: usize = 16;
/// Columns of a box, and of its objectness.
const BOX: usize = 4;

/// One set of inputs: the largest score of each class, as the model may hand them out, and its outputs.
#[derive(Debug)]
pub(in crate::verify) struct Listed<'a> {
    /// `[images, classes]`, for each activation that the outputs may have: as they are, sigmoid, softmax.
    pub(in crate::verify) best: Vec<Vec<f64>>,
    /// Images.
    pub(in crate::verify) images: usize,
    /// Outputs of the original.
    pub(in crate::verify) outputs: &'a [Tensor],
}

/// Columns of a box with its score and label.
const CHOSEN: usize = BOX + 2;

/// What columns of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Where class scores stand.
    Right,
    /// Where something else stands.
    Wrong {
        /// The first of the columns that match.
        from: usize,
    },
    /// Boxes are listed, and no columns match.
    Nowhere,
}

/// Holds class maps against what the outputs list.
pub(in crate::verify) fn of_maps(sets: &[Listed<'_>]) -> Found {
    let Some(first) = sets.first() else { return Found::Not("there are no samples".into()) };
    let classes = first.best.first().map_or(0, Vec::len) / first.images.max(1);
    let (mut wrong, mut rows) = (None, None);
    for group in groups(first) {
        let output = group.first().copied().unwrap_or(0);
        for reading in Reading::all() {
            match place(sets, &group, reading, classes) {
                Some(Place::Right) => {
                    let scores = sets.iter().map(|set| set.images * classes).sum();
                    let figures = MeaningFigures { output: Some(output), scores, contradicting: 0 };
                    return Found::Judged(Vec::new(), figures);
                }
                Some(Place::Wrong { from }) => wrong = wrong.or(Some((output, from))),
                Some(Place::Nowhere) => rows = rows.or(Some(output)),
                None => {}
            }
        }
    }
    let failed = |output, problem: String| {
        let figures = MeaningFigures { output: Some(output), scores: classes, contradicting: classes };
        Found::Judged(vec![problem.into()], figures)
    };
    if let Some((output, from)) = wrong {
        let problem = format!(
            "the scores that were explained are columns {from}..{} of output {output}, and class scores stand right \
             behind the box",
            from + classes
        );
        return failed(output, problem);
    }
    if let Some(found) = chosen(sets, classes) {
        return found;
    }
    let paired = beside_boxes(first);
    match (rows, paired) {
        (_, Some((output, columns))) if columns.abs_diff(classes) > 1 => failed(
            output,
            format!("output {output} has {columns} scores for each box, and the maps are of {classes} classes"),
        ),
        (Some(output), _) | (None, Some((output, _))) => some_rows(sets, output, classes).unwrap_or_else(|| {
            failed(
                output,
                format!(
                    "output {output} lists boxes with scores of {classes} classes or more, and in no column are they \
                     those of the maps that were explained"
                ),
            )
        }),
        (None, None) => Found::Not(
            "no output lists boxes with class scores in a form that is known here, or none were listed on these \
             samples"
                .into(),
        ),
    }
}

/// Rows of boxes of which some may have been left out before: the best of all has to be there, and none may be better
/// than in the maps.
fn some_rows(sets: &[Listed<'_>], output: usize, classes: usize) -> Option<Found> {
    for reading in [Reading::Rows, Reading::Columns] {
        for offset in [0, 1, BOX, BOX + 1] {
            let lists: Option<Vec<(usize, Chosen)>> = sets
                .iter()
                .map(|set| Some((output, columns(set, output, reading, offset, classes)?)))
                .collect();
            let Some(lists) = lists else { continue };
            for kind in 0..sets.first()?.best.len() {
                let (scores, contradicting) = contradictions(sets, &lists, classes, kind, 0);
                if contradicting == 0 {
                    let figures = MeaningFigures { output: Some(output), scores, contradicting };
                    return Some(Found::Judged(Vec::new(), figures));
                }
            }
        }
    }
    None
}

/// The scores in so many columns of all boxes, with the classes that they are of.
fn columns(
    set: &Listed<'_>,
    output: usize,
    reading: Reading,
    offset: usize,
    classes: usize,
) -> Option<Chosen> {
    let tensor = set.outputs.get(output)?;
    let (layout, values) = (reading.layout(tensor.shape())?, tensor.values().ok()?);
    if offset + classes > layout.columns {
        return None;
    }
    let [by_box, by_column, _, by_image] = layout.strides;
    let of_image = |image: usize| {
        let rows = (0..layout.boxes).flat_map(|row| (0..classes).map(move |class| (row, class)));
        let at = |(row, class)| {
            Some((class, *values.get(image * by_image + row * by_box + (offset + class) * by_column)?))
        };
        rows.map(at).collect::<Option<Vec<_>>>()
    };
    (0..set.images).map(of_image).collect()
}

/// An output with scores of boxes that another one lists, and how many it has for each.
fn beside_boxes(set: &Listed<'_>) -> Option<(usize, usize)> {
    let rows = |tensor: &Tensor| match *tensor.shape() {
        [images, boxes, columns] if images == set.images && tensor.element().is_float() => {
            Some((boxes, columns))
        }
        _ => None,
    };
    let all: Vec<Option<(usize, usize)>> = set.outputs.iter().map(rows).collect();
    let (of_boxes, (count, _)) = all
        .iter()
        .enumerate()
        .find_map(|(i, rows)| Some((i, rows.filter(|(_, columns)| *columns == BOX)?)))?;
    let scores = |(i, rows): (usize, &Option<(usize, usize)>)| {
        let (boxes, columns) = (*rows)?;
        (i != of_boxes && boxes == count).then_some((i, columns))
    };
    all.iter().enumerate().find_map(scores)
}

/// Outputs that may hold class scores: each by itself, but raw maps of several scales together. Where boxes are listed,
/// a map beside them is something else, such as mask prototypes.
fn groups(set: &Listed<'_>) -> Vec<Vec<usize>> {
    let shape = |output: &usize| set.outputs[*output].shape();
    let float: Vec<usize> =
        (0..set.outputs.len()).filter(|output| set.outputs[*output].element().is_float()).collect();
    let of_rank = |rank: usize| float.iter().copied().filter(move |output| shape(output).len() == rank);
    let mut found: Vec<Vec<usize>> = of_rank(3).map(|output| vec![output]).collect();
    let boxes = |output: usize| match *shape(&output) {
        [_, a, b] => a.min(b) > BOX,
        [1, 1, _, 7] => true,
        _ => false,
    };
    if !float.iter().any(|output| boxes(*output)) {
        for output in of_rank(4) {
            match found
                .iter_mut()
                .find(|group| shape(&group[0]).len() == 4 && shape(&group[0])[1] == shape(&output)[1])
            {
                Some(group) => group.push(output),
                None => found.push(vec![output]),
            }
        }
    }
    found
}

/// How an output may be read.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// `[N, boxes, columns]`.
    Rows,
    /// `[N, columns, boxes]`.
    Columns,
    /// `[N, anchors * columns, h, w]`.
    Map(usize),
    /// `[N, h, w, anchors * columns]`.
    ChannelsLast(usize),
}

/// Where things are in an output: for each image and anchor `boxes` rows of `columns`.
#[derive(Debug, Clone, Copy)]
struct Layout {
    boxes: usize,
    columns: usize,
    anchors: usize,
    /// Distances between boxes, columns, anchors and images.
    strides: [usize; 4],
}

impl Reading {
    fn all() -> impl Iterator<Item = Self> {
        let maps = (1..=MOST_ANCHORS).flat_map(|anchors| [Self::Map(anchors), Self::ChannelsLast(anchors)]);
        [Self::Rows, Self::Columns].into_iter().chain(maps)
    }

    fn layout(self, shape: &[usize]) -> Option<Layout> {
        Some(match (self, shape) {
            (Self::Rows, &[_, boxes, columns]) => {
                Layout { boxes, columns, anchors: 1, strides: [columns, 1, 0, boxes * columns] }
            }
            (Self::Columns, &[_, columns, boxes]) => {
                Layout { boxes, columns, anchors: 1, strides: [1, boxes, 0, boxes * columns] }
            }
            (Self::Map(anchors), &[_, channels, h, w]) if channels.is_multiple_of(anchors) => {
                let (boxes, columns) = (h * w, channels / anchors);
                Layout { boxes, columns, anchors, strides: [1, boxes, columns * boxes, channels * boxes] }
            }
            (Self::ChannelsLast(anchors), &[_, h, w, channels]) if channels.is_multiple_of(anchors) => {
                let (boxes, columns) = (h * w, channels / anchors);
                Layout { boxes, columns, anchors, strides: [channels, 1, columns, channels * boxes] }
            }
            _ => return None,
        })
    }
}

/// The columns of some outputs that hold the largest scores; `None` where they have no room for the classes.
fn place(sets: &[Listed<'_>], group: &[usize], reading: Reading, classes: usize) -> Option<Place> {
    let first = sets.first()?;
    let layout = reading.layout(first.outputs.get(*group.first()?)?.shape())?;
    let kinds = first.best.len();
    let mut found = None;
    for offset in 0..=layout.columns.checked_sub(classes)? {
        let behind_box = offset == BOX || offset == BOX + 1;
        let background = layout.columns <= classes + 1;
        let fits = |objectness: bool| {
            (0..kinds).any(|kind| {
                sets.iter().all(|set| agrees(set, group, reading, (offset, objectness), kind) == Some(true))
            })
        };
        match (fits(false) || (offset == BOX + 1 && fits(true)), behind_box || background) {
            (true, true) => return Some(Place::Right),
            (true, false) => found = found.or(Some(Place::Wrong { from: offset })),
            (false, _) => {}
        }
    }
    // Rows of boxes, of which there are more than columns, should have had them.
    let rows = matches!(reading, Reading::Rows | Reading::Columns);
    let boxes = rows && layout.columns >= BOX + classes && layout.boxes > layout.columns;
    found.or(boxes.then_some(Place::Nowhere))
}

/// Whether the largest values of columns from `offset` on are the largest scores of the classes.
fn agrees(
    set: &Listed<'_>,
    group: &[usize],
    reading: Reading,
    (offset, objectness): (usize, bool),
    kind: usize,
) -> Option<bool> {
    let best = set.best.get(kind)?;
    let classes = best.len() / set.images.max(1);
    let mut most = vec![f64::NEG_INFINITY; best.len()];
    for output in group {
        let tensor = set.outputs.get(*output)?;
        let (layout, values) = (reading.layout(tensor.shape())?, tensor.values().ok()?);
        let [by_box, by_column, by_anchor, by_image] = layout.strides;
        for image in 0..set.images {
            for (anchor, row) in (0..layout.anchors).flat_map(|a| (0..layout.boxes).map(move |row| (a, row)))
            {
                let start = image * by_image + anchor * by_anchor + row * by_box;
                let at = |column: usize| values.get(start + column * by_column).copied();
                let factor = if objectness { at(BOX)? } else { 1.0 };
                for class in 0..classes {
                    let most = &mut most[image * classes + class];
                    *most = most.max(at(offset + class)? * factor);
                }
            }
        }
    }
    let scale = best.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    Some(most.iter().zip(best).all(|(a, b)| same(*a, *b, scale)))
}

fn same(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= ROUNDING * scale + 1e-6
}

/// For each image the labels and scores of its boxes.
type Chosen = Vec<Vec<(usize, f64)>>;

/// Lists of chosen boxes: for each image the score and label of each.
fn chosen(sets: &[Listed<'_>], classes: usize) -> Option<Found> {
    let lists: Vec<(usize, Chosen)> = sets.iter().filter_map(list).collect();
    if lists.len() != sets.len() || lists.iter().all(|(_, images)| images.iter().all(Vec::is_empty)) {
        return None;
    }
    let output = lists.first()?.0;
    // A background class may stand before the others, and be counted or not.
    let judged = (0..sets.first()?.best.len()).flat_map(|kind| [0i64, 1, -1].map(|shift| (kind, shift)));
    let judged = judged.map(|(kind, shift)| contradictions(sets, &lists, classes, kind, shift));
    let (scores, contradicting) = judged.min_by_key(|(_, contradicting)| *contradicting)?;
    let figures = MeaningFigures { output: Some(output), scores, contradicting };
    if contradicting == 0 {
        return Some(Found::Judged(Vec::new(), figures));
    }
    let problem = format!(
        "of {scores} scores that output {output} lists, {contradicting} are beyond the largest of their class in the maps \
         that were explained, or the best of all is not its best"
    );
    Some(Found::Judged(vec![problem.into()], figures))
}

/// Listed scores that cannot come from the maps.
fn contradictions(
    sets: &[Listed<'_>],
    lists: &[(usize, Chosen)],
    classes: usize,
    kind: usize,
    shift: i64,
) -> (usize, usize) {
    let (mut scores, mut contradicting) = (0, 0);
    for (set, (_, images)) in sets.iter().zip(lists) {
        for (best, list) in set.best[kind].chunks(classes.max(1)).zip(images) {
            let scale = best.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            let class = |label: usize| usize::try_from(i64::try_from(label).ok()? + shift).ok();
            let of = |label: usize| class(label).and_then(|class| best.get(class)).copied();
            for (label, score) in list {
                scores += 1;
                let beyond = |most: f64| *score > most && !same(*score, most, scale);
                contradicting += usize::from(of(*label).is_none_or(beyond));
            }
            // Nothing suppresses the best box of all.
            let top = list.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let same_best =
                top.is_none_or(|(label, score)| of(*label).is_some_and(|most| same(*score, most, scale)));
            contradicting += usize::from(!same_best);
        }
    }
    (scores, contradicting)
}

/// The output with the list, and for each image the labels and scores that it lists.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn list(set: &Listed<'_>) -> Option<(usize, Chosen)> {
    let positive = |label: f64, score: f64| (label >= 0.0 && score > 0.0).then_some((label as usize, score));
    for (output, tensor) in set.outputs.iter().enumerate().filter(|(_, tensor)| tensor.element().is_float()) {
        let values = tensor.values().ok()?;
        match *tensor.shape() {
            // DetectionOutput: image, label, score and box.
            [1, 1, _, 7] => {
                let mut images = vec![Vec::new(); set.images];
                for row in values.chunks(7).filter(|row| row[0] >= 0.0) {
                    if let Some(image) = images.get_mut(row[0] as usize) {
                        image.extend(positive(row[1], row[2]));
                    }
                }
                return Some((output, images));
            }
            // NonMaxSuppression: image, class and score.
            [_, 3] if values.chunks(3).all(|row| row[0].fract() == 0.0 && row[1].fract() == 0.0) => {
                let mut images = vec![Vec::new(); set.images];
                for row in values.chunks(3).filter(|row| row[0] >= 0.0) {
                    if let Some(image) = images.get_mut(row[0] as usize) {
                        image.extend(positive(row[1], row[2]));
                    }
                }
                return Some((output, images));
            }
            // Boxes with scores beside labels in an output of their own.
            [.., count, 5] if let Some(labels) = labels(set, values.len() / 5) => {
                let rows: Vec<(usize, f64)> =
                    values.chunks(5).zip(labels).map(|(row, label)| (label as usize, row[BOX])).collect();
                let images = rows
                    .chunks(count.max(1))
                    .map(|image| image.iter().copied().filter(|(_, score)| *score > 0.0).collect());
                return Some((output, images.collect()));
            }
            // Rows of a box, its score and its label.
            [rows, _, columns] if columns >= CHOSEN && rows == set.images && whole(&values, columns) => {
                let of_image = |image: &[f64]| {
                    image.chunks(columns).filter_map(|row| positive(row[BOX + 1], row[BOX])).collect()
                };
                let count = values.len() / rows.max(1);
                return Some((output, values.chunks(count.max(1)).map(of_image).collect()));
            }
            _ => {}
        }
    }
    None
}

/// An output of integers, as many as there are boxes.
fn labels(set: &Listed<'_>, count: usize) -> Option<Vec<f64>> {
    let fits = |tensor: &&Tensor| !tensor.element().is_float() && tensor.len() == count;
    set.outputs.iter().find(fits)?.values().ok()
}

/// Whether the column of labels holds whole numbers.
fn whole(values: &[f64], columns: usize) -> bool {
    values.chunks(columns).all(|row| row.get(BOX + 1).is_some_and(|label| label.fract() == 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_values(ElementType::F32, shape.to_vec(), values).unwrap()
    }

    fn run(best: &[f64], output: Tensor) -> Result<Vec<String>, String> {
        let set = Listed { best: vec![best.to_vec()], images: 1, outputs: &[output] };
        match of_maps(&[set]) {
            Found::Judged(problems, _) => Ok(problems.iter().map(ToString::to_string).collect()),
            Found::Not(reason) => Err(reason.to_string()),
        }
    }

    /// Two boxes with two classes and two mask coefficients.
    const ROWS: [f32; 16] =
        [1.0, 2.0, 3.0, 4.0, 0.9, 0.1, 1.5, -2.0, 5.0, 6.0, 7.0, 8.0, 0.2, 0.3, -1.0, 0.7];

    #[test]
    fn classes_stand_right_behind_the_box() {
        assert_eq!(run(&[0.9, 0.3], tensor(&[1, 2, 8], &ROWS)), Ok(Vec::new()));
        let problems = run(&[1.5, 0.7], tensor(&[1, 2, 8], &ROWS)).unwrap();
        assert!(problems[0].contains("columns 6..8 of output 0"), "{problems:?}");
        // One row for each column, as YOLO has it.
        let turned: Vec<f32> = (0..16).map(|i| ROWS[i % 2 * 8 + i / 2]).collect();
        assert_eq!(run(&[0.9, 0.3], tensor(&[1, 8, 2], &turned)), Ok(Vec::new()));
        assert!(run(&[0.8, 0.3], tensor(&[1, 2, 6], &[0.0; 12])).is_err());
    }

    #[test]
    fn objectness_may_multiply_them() {
        let rows = [1.0, 2.0, 3.0, 4.0, 0.5, 0.8, 0.4, 5.0, 6.0, 7.0, 8.0, 0.9, 0.2, 0.9];
        assert_eq!(run(&[0.4, 0.81], tensor(&[1, 2, 7], &rows)), Ok(Vec::new()));
        assert_eq!(run(&[0.8, 0.9], tensor(&[1, 2, 7], &rows)), Ok(Vec::new()));
    }

    #[test]
    fn scores_may_be_an_output_or_a_map() {
        assert_eq!(run(&[0.9, 0.3], tensor(&[1, 2, 2], &[0.9, 0.1, 0.2, 0.3])), Ok(Vec::new()));
        // Two anchors of two classes at each of two positions.
        let map = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
        assert_eq!(run(&[0.9, 0.7], tensor(&[1, 4, 1, 2], &map)), Ok(Vec::new()));
    }

    #[test]
    fn boxes_have_scores_of_as_many_classes() {
        let outputs = [tensor(&[1, 3, 4], &[0.25; 12]), tensor(&[1, 3, 2], &[0.5, 0.1, 0.4, 0.2, 0.3, 0.1])];
        let problems = |best: &[f64]| {
            let set = Listed { best: vec![best.to_vec()], images: 1, outputs: &outputs };
            match of_maps(&[set]) {
                Found::Judged(problems, _) => problems.iter().map(ToString::to_string).collect(),
                Found::Not(_) => Vec::new(),
            }
        };
        assert_eq!(
            problems(&[9.0; 12]),
            ["output 1 has 2 scores for each box, and the maps are of 12 classes"]
        );
        assert!(problems(&[0.5, 0.3])[0..].is_empty(), "the best box of the second class was left out");
        assert!(problems(&[0.9, 0.2])[0].contains("in no column are they those of the maps"));
        assert!(problems(&[0.4, 0.2])[0].contains("in no column are they those of the maps"));
    }

    #[test]
    fn lists_hold_no_more_than_the_maps() {
        let rows = [0.0, 0.0, 9.0, 9.0, 0.9, 1.0, 0.0, 0.0, 5.0, 5.0, 0.4, 0.0];
        assert_eq!(run(&[0.4, 0.9, 0.2], tensor(&[1, 2, 6], &rows)), Ok(Vec::new()));
        assert!(run(&[0.3, 0.6, 0.2], tensor(&[1, 2, 6], &rows)).unwrap()[0].contains("beyond the largest"));
        let seven = [0.0, 1.0, 0.9, 0.1, 0.1, 0.5, 0.5, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(run(&[0.4, 0.9, 0.2], tensor(&[1, 1, 2, 7], &seven)), Ok(Vec::new()));
    }
}
