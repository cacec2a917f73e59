//! Outputs of detectors: boxes with scores and labels, in the usual forms.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::preprocess::ImageInput;
use crate::runtime::{Port, Tensor};

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

/// Where a detector's boxes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxHead {
    /// `[1,1,N,7]`: image, label, score, relative corners, as the operation DetectionOutput gives them.
    Sevens { output: usize },
    /// `[N,5]` or `[1,N,5]`: corners in pixels and score; labels `[N]` or `[1,N]`.
    Scored { boxes: usize, labels: usize },
    /// `[N,4]` or `[1,N,4]`, with scores and labels `[N]` or `[1,N]`.
    Apart { boxes: usize, labels: usize, scores: usize },
}

impl BoxHead {
    /// Looks for boxes among a model's outputs.
    pub(crate) fn find(outputs: &[Port]) -> Option<Self> {
        let shape = |port: &Port| port.shape.clone().unwrap_or_default();
        let float = |port: &Port| port.element.is_some_and(crate::ir::ElementType::is_float);
        let place = |fits: &dyn Fn(&Port) -> bool| outputs.iter().position(fits);
        let sevens = |port: &Port| matches!(shape(port)[..], [_, Some(1), _, Some(7)]) && float(port);
        if let Some(output) = place(&sevens) {
            return Some(Self::Sevens { output });
        }
        let rows = |port: &Port, columns: usize| {
            let shape = shape(port);
            let last = shape.last().copied().flatten();
            float(port) && last == Some(columns) && (shape.len() == 2 || matches!(shape[..], [Some(1), _, _]))
        };
        let list = |port: &Port| match shape(port)[..] {
            [_] => true,
            [first, _] => first == Some(1),
            _ => false,
        };
        let labels =
            place(&|port: &Port| list(port) && (!float(port) || port.name.to_lowercase().contains("label")))?;
        if let Some(boxes) = place(&|port: &Port| rows(port, 5)) {
            return Some(Self::Scored { boxes, labels });
        }
        let boxes = place(&|port: &Port| rows(port, 4))?;
        let scores = (0..outputs.len()).find(|index| {
            *index != boxes
                && *index != labels
                && outputs.get(*index).is_some_and(|port| list(port) && float(port))
        })?;
        Some(Self::Apart { boxes, labels, scores })
    }

    /// The outputs that hold them, in the order in which [`BoxHead::read`] takes them.
    pub(crate) fn outputs(self) -> Vec<usize> {
        match self {
            Self::Sevens { output } => vec![output],
            Self::Scored { boxes, labels } => vec![boxes, labels],
            Self::Apart { boxes, labels, scores } => vec![boxes, labels, scores],
        }
    }

    /// Reads the objects of one inference on one image, in the model's order.
    ///
    /// # Errors
    /// [`Error::Usage`] where scores are no numbers or the outputs do not belong together.
    pub(crate) fn read(self, tensors: &[Tensor], input: &ImageInput) -> Result<Vec<Detection>> {
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
        let relative = match self {
            Self::Sevens { .. } => {
                for row in values(0)?.chunks_exact(7) {
                    if row[0] < 0.0 {
                        break;
                    }
                    add(row[1], row[2], [row[3], row[4], row[5], row[6]])?;
                }
                true
            }
            Self::Scored { .. } => {
                let (boxes, labels) = (values(0)?, values(1)?);
                check(boxes.len() / 5, labels.len())?;
                for (row, label) in boxes.chunks_exact(5).zip(labels) {
                    add(label, row[4], [row[0], row[1], row[2], row[3]])?;
                }
                false
            }
            Self::Apart { .. } => {
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

    fn port(name: &str, element: ElementType, shape: &[usize]) -> Port {
        let shape = shape.iter().map(|dim| (*dim > 0).then_some(*dim)).collect();
        Port { name: name.to_owned(), element: Some(element), shape: Some(shape) }
    }

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
    fn each_form_is_recognised_and_classifiers_are_not() {
        let (f32, i64) = (ElementType::F32, ElementType::I64);
        let find = |ports: &[Port]| BoxHead::find(ports);
        assert_eq!(find(&[port("out", f32, &[1, 1, 0, 7])]), Some(BoxHead::Sevens { output: 0 }));
        let scored = [port("labels", i64, &[1, 0]), port("boxes", f32, &[1, 0, 5])];
        assert_eq!(find(&scored), Some(BoxHead::Scored { boxes: 1, labels: 0 }));
        let flat = [port("boxes", f32, &[0, 5]), port("labels", f32, &[0])];
        assert_eq!(find(&flat), Some(BoxHead::Scored { boxes: 0, labels: 1 }));
        let apart = [port("b", f32, &[0, 4]), port("s", f32, &[0]), port("l", i64, &[0])];
        assert_eq!(find(&apart), Some(BoxHead::Apart { boxes: 0, labels: 2, scores: 1 }));
        assert_eq!(find(&[port("logits", f32, &[1, 5])]), None);
        assert_eq!(find(&[port("logits", f32, &[1, 4]), port("embedding", f32, &[1, 64])]), None);
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
        let found = BoxHead::Sevens { output: 0 }.read(&[rows], &input()).unwrap();
        assert_eq!(found.len(), 1, "boxes without a size and padding are left out");
        assert_eq!((found[0].class, found[0].corners), (2, [25.0, 25.0, 100.0, 75.0]));
        let scored = [tensor(&[1, 5], &[10., 20., 30., 40., 0.7]), tensor(&[1], &[3.])];
        let found = BoxHead::Scored { boxes: 0, labels: 1 }.read(&scored, &input()).unwrap();
        assert_eq!((found[0].class, found[0].score), (3, 0.7));
        let apart = [tensor(&[1, 4], &[0., 0., 1., 1.]), tensor(&[1], &[0.]), tensor(&[1], &[f32::NAN])];
        let head = BoxHead::Apart { boxes: 0, labels: 1, scores: 2 };
        assert!(head.read(&apart, &input()).unwrap_err().to_string().contains("NaN"));
        let few = [tensor(&[2, 5], &[0.0; 10]), tensor(&[1], &[0.])];
        BoxHead::Scored { boxes: 0, labels: 1 }.read(&few, &input()).unwrap_err();
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
