//! Objects out of a detector's outputs: boxes with scores and labels.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::preprocess::ImageInput;
use crate::runtime::Tensor;
use crate::tasks::BoxForm;

/// An object that a detector found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// Class.
    pub class: usize,
    /// Score.
    pub score: f32,
    /// `x1, y1, x2, y2` in pixels of the input.
    pub corners: [f32; 4],
}

impl Detection {
    /// Intersection over union of two boxes.
    pub fn overlap(&self, other: &Self) -> f32 {
        let [a, b] = [self.corners, other.corners];
        let side = |from: usize| (a[from + 2].min(b[from + 2]) - a[from].max(b[from])).max(0.0);
        let area =
            |corners: [f32; 4]| (corners[2] - corners[0]).max(0.0) * (corners[3] - corners[1]).max(0.0);
        let both = side(0) * side(1);
        let either = area(a) + area(b) - both;
        if either > 0.0 { both / either } else { 0.0 }
    }
}

/// Reads the objects of one inference on one image, in the model's order; `tensors` are [`BoxForm::outputs`].
///
/// # Errors
/// [`Error::Usage`] where scores are no numbers or the outputs do not belong together.
pub(crate) fn detections(form: BoxForm, tensors: &[Tensor], input: &ImageInput) -> Result<Vec<Detection>> {
    let values = |index: usize| -> Result<Vec<f32>> {
        let missing = || Error::runtime(format!("output {index} of the boxes was not asked for"));
        Ok(tensors.get(index).ok_or_else(missing)?.to_array()?.into_iter().collect())
    };
    let mut found = Vec::new();
    let mut add = |label: f32, score: f32, corners: [f32; 4]| -> Result<()> {
        if score.is_nan() || corners.iter().any(|corner| corner.is_nan()) {
            return Err(Error::usage("the model's boxes are not numbers (NaN)".to_owned()));
        }
        // Padding has the label or the image -1, and no size.
        if label >= 0.0 && corners[2] > corners[0] && corners[3] > corners[1] {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            found.push(Detection { class: label.round() as usize, score, corners });
        }
        Ok(())
    };
    let relative = match form {
        BoxForm::DetectionOutput { .. } => {
            for row in values(0)?.chunks_exact(7) {
                if row[0] < 0.0 {
                    break;
                }
                add(row[1], row[2], [row[3], row[4], row[5], row[6]])?;
            }
            true
        }
        BoxForm::Scored { .. } => {
            let (boxes, labels) = (values(0)?, values(1)?);
            check(boxes.len() / 5, labels.len())?;
            for (row, label) in boxes.chunks_exact(5).zip(labels) {
                add(label, row[4], [row[0], row[1], row[2], row[3]])?;
            }
            false
        }
        BoxForm::Listed { classes, .. } => {
            listed(table(tensors)?, classes, &mut add)?;
            false
        }
        BoxForm::Candidates { columns, first, classes, objectness, .. } => {
            let (_, rows) = table(tensors)?.candidates(Some(columns))?;
            candidates(rows, (first, classes), objectness, &mut add)?;
            false
        }
        BoxForm::Apart { .. } => {
            let (boxes, labels, scores) = (values(0)?, values(1)?, values(2)?);
            check(boxes.len() / 4, labels.len().min(scores.len()))?;
            for ((row, label), score) in boxes.chunks_exact(4).zip(labels).zip(scores) {
                add(label, score, [row[0], row[1], row[2], row[3]])?;
            }
            false
        }
    };
    // Corners that all lie within one pixel are relative ones.
    let within = |found: &[Detection]| {
        !found.is_empty() && found.iter().flat_map(|one| one.corners).all(|corner| corner.abs() <= 1.5)
    };
    if relative || within(&found) {
        #[allow(clippy::cast_precision_loss)]
        let sides = [input.width as f32, input.height as f32];
        for one in &mut found {
            one.corners.iter_mut().zip(sides.iter().cycle()).for_each(|(corner, side)| *corner *= side);
        }
    }
    Ok(found)
}

/// Rows of `[N, rows, columns]`: boxes with a score and a class each, or candidates with a probability of each class.
fn listed(
    table: Table,
    classes: Option<usize>,
    add: &mut impl FnMut(f32, f32, [f32; 4]) -> Result<()>,
) -> Result<()> {
    if table.has_classes() {
        for row in table.rows() {
            add(row[5], row[4], [row[0], row[1], row[2], row[3]])?;
        }
        return Ok(());
    }
    let (columns, rows) = table.candidates(None)?;
    let first = match classes {
        Some(classes) if classes + 5 == columns => 5,
        _ => 4,
    };
    let count = classes.filter(|classes| first + classes <= columns).unwrap_or(columns - first);
    let scored = |row: &Vec<f32>| row[first..first + count].iter().all(|s| (0.0..=1.0).contains(s));
    if !rows.iter().all(scored) {
        let text = "the output lists neither boxes with a class each nor candidates with probabilities";
        return Err(Error::usage(text.to_owned()));
    }
    candidates(rows, (first, count), (first > 4).then_some(4), add)
}

/// Scores below this are of no box that anybody wants to know of.
const LEAST: f32 = 0.01;
/// Candidates that are compared with each other, the best of all.
const MOST: usize = 500;
/// Overlap from which the lesser of two boxes of a class is the same object; the usual one of detectors.
const SAME: f32 = 0.5;

/// An output `[1, rows, columns]`.
struct Table {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

fn table(tensors: &[Tensor]) -> Result<Table> {
    let missing = || Error::runtime("the output of the boxes was not asked for".to_owned());
    let tensor = tensors.first().ok_or_else(missing)?;
    let [.., rows, columns] = *tensor.shape() else {
        return Err(Error::usage(format!("boxes are listed as [1, N, columns], not {tensor}")));
    };
    Ok(Table { values: tensor.to_array()?.into_iter().collect(), rows, columns })
}

impl Table {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns.max(1))
    }

    /// Whether its rows are boxes of which each has one class: corners, a score, and an index. Of candidates hardly a score
    /// is a whole number, let alone one of each.
    fn has_classes(&self) -> bool {
        let one = |row: &[f32]| (0.0..=1.0).contains(&row[4]) && row[5] >= 0.0 && row[5].fract() == 0.0;
        self.columns >= 6 && self.rows().all(one)
    }

    /// Candidates as rows, however they lie, and their columns; `columns` says how many, else there are fewer of them than
    /// candidates.
    fn candidates(self, columns: Option<usize>) -> Result<(usize, Vec<Vec<f32>>)> {
        let columns = columns.unwrap_or(self.rows.min(self.columns));
        if self.columns == columns {
            return Ok((columns, self.rows().map(<[f32]>::to_vec).collect()));
        }
        if self.rows != columns || columns < 5 {
            let shape = [self.rows, self.columns];
            return Err(Error::usage(format!(
                "boxes with {columns} columns are not to be found in {shape:?}"
            )));
        }
        let one = |place: usize| self.values.iter().skip(place).step_by(self.columns).copied().collect();
        Ok((columns, (0..self.columns).map(one).collect()))
    }
}

/// Adds what is left of candidates, where of boxes of one class that overlap the best stays.
///
/// A box is given by its corners where these are in order for every candidate, else by centre and sides.
fn candidates(
    rows: Vec<Vec<f32>>,
    (first, classes): (usize, usize),
    objectness: Option<usize>,
    add: &mut impl FnMut(f32, f32, [f32; 4]) -> Result<()>,
) -> Result<()> {
    let corners = rows.iter().all(|row| row[2] >= row[0] && row[3] >= row[1]);
    let mut found: Vec<Detection> = Vec::new();
    for row in &rows {
        let factor = objectness.and_then(|column| row.get(column)).copied().unwrap_or(1.0);
        let scores = row.get(first..first + classes).unwrap_or_default().iter().map(|score| score * factor);
        let Some((class, score)) = scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let [a, b, c, d] = [row[0], row[1], row[2], row[3]];
        let corners =
            if corners { [a, b, c, d] } else { [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0] };
        if score.is_nan() || score >= LEAST {
            found.push(Detection { class, score, corners });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST);
    let mut left: Vec<Detection> = Vec::new();
    for one in found {
        if left.iter().all(|other| other.class != one.class || other.overlap(&one) < SAME) {
            #[allow(clippy::cast_precision_loss)]
            add(one.class as f32, one.score, one.corners)?;
            left.push(one);
        }
    }
    Ok(())
}

fn check(boxes: usize, others: usize) -> Result<()> {
    if boxes == others {
        return Ok(());
    }
    Err(Error::usage(format!("the model gives {boxes} boxes, but {others} labels or scores")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn input() -> ImageInput {
        let element = ElementType::F32;
        let layout_source = crate::preprocess::Origin::Shape;
        ImageInput {
            element,
            batch: 1,
            channels: 3,
            height: 100,
            width: 200,
            channels_last: false,
            layout_source,
        }
    }

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_values(ElementType::F32, shape.to_vec(), values).unwrap()
    }

    #[test]
    fn boxes_are_read_in_pixels() {
        let rows = tensor(
            &[1, 1, 3, 7],
            &[
                0., 2., 0.9, 0.125, 0.25, 0.5, 0.75, 0., 1., 0.8, 0.5, 0.5, 0.5, 0.5, -1., 0., 0., 0., 0.,
                0., 0.,
            ],
        );
        let found = detections(BoxForm::DetectionOutput { output: 0 }, &[rows], &input()).unwrap();
        assert_eq!(found.len(), 1, "boxes without a size and padding are left out");
        assert_eq!((found[0].class, found[0].corners), (2, [25.0, 25.0, 100.0, 75.0]));
        let scored = [tensor(&[1, 5], &[10., 20., 30., 40., 0.7]), tensor(&[1], &[3.])];
        let found = detections(BoxForm::Scored { boxes: 0, labels: 1 }, &scored, &input()).unwrap();
        assert_eq!((found[0].class, found[0].score), (3, 0.7));
        let apart = [tensor(&[1, 4], &[0., 0., 1., 1.]), tensor(&[1], &[0.]), tensor(&[1], &[f32::NAN])];
        let form = BoxForm::Apart { boxes: 0, labels: 1, scores: 2 };
        assert!(detections(form, &apart, &input()).unwrap_err().to_string().contains("NaN"));
        let few = [tensor(&[2, 5], &[0.0; 10]), tensor(&[1], &[0.])];
        detections(BoxForm::Scored { boxes: 0, labels: 1 }, &few, &input()).unwrap_err();
    }

    #[test]
    fn boxes_in_one_output_are_read_as_rows_or_as_candidates() {
        let read = |form: BoxForm, tensor: Tensor| {
            let found = detections(form, &[tensor], &input()).unwrap();
            found.into_iter().map(|one| (one.class, one.score, one.corners)).collect::<Vec<_>>()
        };
        let listed = BoxForm::Listed { output: 0, classes: Some(2) };
        // Corners, score, class and a mask coefficient; the second row is padding.
        let rows = tensor(&[1, 2, 7], &[10., 20., 30., 40., 0.9, 1., 0.3, 0., 0., 0., 0., 0., 0., 0.]);
        assert_eq!(read(listed, rows), [(1, 0.9, [10., 20., 30., 40.])]);
        // Centres and sides, of two classes; the second is the first again.
        let three =
            [[50., 50., 20., 10., 0.1, 0.9], [51., 50., 20., 10., 0.2, 0.8], [90., 9., 2., 4., 0.7, 0.]];
        let expected = [(1, 0.9, [40., 45., 60., 55.]), (0, 0.7, [89., 7., 91., 11.])];
        let flat: Vec<f32> = three.concat();
        let wide: Vec<f32> = (0..6).flat_map(|column| three.map(|row| row[column])).collect();
        let known = BoxForm::Candidates { output: 0, columns: 6, first: 4, classes: 2, objectness: None };
        assert_eq!(read(known, tensor(&[1, 3, 6], &flat)), expected);
        assert_eq!(read(known, tensor(&[1, 6, 3], &wide)), expected);
        let many: Vec<f32> = [&flat[..], &[0.0; 24]].concat();
        assert_eq!(read(listed, tensor(&[1, 7, 6], &many)), expected);
        // Objectness stands before a single class.
        let single = BoxForm::Listed { output: 0, classes: Some(1) };
        let halves: Vec<f32> =
            many.chunks_exact(6).flat_map(|row| [&row[..4], &[0.5, row[5]]].concat()).collect();
        assert_eq!(read(single, tensor(&[1, 7, 6], &halves)), [(0, 0.45, [40., 45., 60., 55.])]);
    }

    #[test]
    fn overlap_is_intersection_over_union() {
        let at = |corners| Detection { class: 0, score: 1.0, corners };
        let one = at([0.0, 0.0, 2.0, 2.0]);
        assert_eq!(one.overlap(&one), 1.0);
        assert!((one.overlap(&at([1.0, 0.0, 3.0, 2.0])) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(one.overlap(&at([5.0, 5.0, 6.0, 6.0])), 0.0);
    }
}
