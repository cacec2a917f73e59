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
    fn overlap_is_intersection_over_union() {
        let at = |corners| Detection { class: 0, score: 1.0, corners };
        let one = at([0.0, 0.0, 2.0, 2.0]);
        assert_eq!(one.overlap(&one), 1.0);
        assert!((one.overlap(&at([1.0, 0.0, 3.0, 2.0])) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(one.overlap(&at([5.0, 5.0, 6.0, 6.0])), 0.0);
    }
}
