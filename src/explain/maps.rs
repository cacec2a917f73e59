//! How the maps of one image are made: cut out of an output, or from many inferences.

use ndarray::{Array2, Axis};

use super::black_box::{Aim, Detection, RiseMasks, aise, detections, rise};
use super::engine::ImageOutputs;
use super::explainer::{Chosen, Explainer, Inference};
use super::procedure::Procedure;
use super::reader::{Findings, Reader};
use super::scores::best_first;
use super::{BlackBox, Watch};
use crate::error::{Error, Result};
use crate::ir::Classes;
use crate::tasks::BoxForm;

impl Explainer {
    /// The maps of what was chosen, for an image whose normalised values are given.
    pub(super) fn maps(
        &mut self,
        values: &[f32],
        inference: &Inference,
        chosen: &[Chosen],
        watch: &dyn Watch,
    ) -> Result<Vec<Array2<f32>>> {
        match self.procedure.clone() {
            Procedure::WhiteBox { classes, .. } => {
                chosen.iter().map(|chosen| cut(inference, chosen, &classes)).collect()
            }
            Procedure::BlackBox(method) => self.black_box(method, values, chosen, watch),
        }
    }

    fn black_box(
        &mut self,
        method: BlackBox,
        values: &[f32],
        chosen: &[Chosen],
        watch: &dyn Watch,
    ) -> Result<Vec<Array2<f32>>> {
        let (effort, rise_options, aise_options) =
            (self.options.effort, self.options.rise, self.options.aise);
        let classes: Vec<usize> = chosen.iter().filter_map(|chosen| chosen.class).collect();
        match (&self.reader, method) {
            (Reader::Classes(reader), BlackBox::Rise) => {
                let reader = reader.clone();
                let masks = RiseMasks::new(effort, &rise_options);
                let read = |outputs: ImageOutputs<'_>| {
                    let scores = reader.activate(reader.raw(&outputs, 0)?);
                    Ok(classes.iter().map(|class| scores.get(*class).copied().unwrap_or(0.0)).collect())
                };
                rise(&mut self.engine, values, &masks, &reader.outputs(), read, watch)
            }
            (Reader::Classes(reader), BlackBox::Aise) => {
                let reader = reader.clone();
                let aims = vec![Aim::class(effort, &aise_options); classes.len()];
                let read = |target: usize, outputs: &ImageOutputs<'_>| {
                    let scores = reader.activate(reader.raw(outputs, 0)?);
                    let score = classes.get(target).and_then(|class| scores.get(*class));
                    Ok(score.copied().unwrap_or(0.0))
                };
                aise(&mut self.engine, values, &aims, &reader.outputs(), read, watch)
            }
            (Reader::Boxes(form), _) => {
                let objects: Vec<Detection> =
                    chosen.iter().filter_map(|chosen| chosen.object.clone()).collect();
                self.around_objects(*form, values, &objects, watch)
            }
            (Reader::Nothing, _) => Err(Error::usage("the model gives no scores".to_owned())),
        }
    }

    /// AISE's maps of objects, each with windows around it.
    fn around_objects(
        &mut self,
        form: BoxForm,
        values: &[f32],
        objects: &[Detection],
        watch: &dyn Watch,
    ) -> Result<Vec<Array2<f32>>> {
        let input = self.engine.input().clone();
        #[allow(clippy::cast_precision_loss)]
        let sides = (input.width as f64, input.height as f64);
        let aim = |object: &Detection| {
            let [x1, y1, x2, y2] = object.corners.map(f64::from);
            let corners = [x1 / sides.0, y1 / sides.1, x2 / sides.0, y2 / sides.1];
            Aim::around(corners, self.options.effort, &self.options.aise)
        };
        let aims: Vec<Aim> = objects.iter().map(aim).collect();
        // How much of the object is still found: the best overlap times its score.
        let read = |target: usize, outputs: &ImageOutputs<'_>| {
            let Some(object) = objects.get(target) else { return Ok(0.0) };
            let found = detections(form, outputs.tensors, &input)?;
            let same = found.iter().filter(|other| other.class == object.class);
            Ok(same.map(|other| object.overlap(other) * other.score).fold(0.0, f32::max))
        };
        aise(&mut self.engine, values, &aims, &form.outputs(), read, watch)
    }
}

/// The map of one class out of what the saliency output holds.
fn cut(inference: &Inference, chosen: &Chosen, classes: &Classes) -> Result<Array2<f32>> {
    let Some((shape, values)) = &inference.map else {
        return Err(Error::Internal("a white-box run without a map".to_owned()));
    };
    if values.iter().any(|value| value.is_nan()) {
        return Err(Error::usage("the saliency map is not numbers (NaN)".to_owned()));
    }
    let (maps, height, width) = match shape[..] {
        [height, width] => (1, height, width),
        [maps, height, width] => (maps, height, width),
        _ => {
            return Err(Error::usage(format!(
                "maps of the shape {shape:?} (without the batch) are not known"
            )));
        }
    };
    let all = ndarray::ArrayView3::from_shape((maps, height, width), values)
        .map_err(|e| Error::Internal(format!("a map of the wrong size: {e}")))?;
    let place = match (chosen.class, classes) {
        (None, _) => Some(0),
        (Some(class), Classes::All) => Some(class),
        (Some(class), Classes::Listed(list)) => list.iter().position(|listed| *listed == class),
        // A branch counts a class that means no object among the best.
        (Some(class), Classes::Top(count)) => match &inference.findings {
            Findings::Scores(scores) => {
                best_first(scores).into_iter().take(*count).position(|best| best == class)
            }
            _ => None,
        },
    };
    match place.filter(|place| *place < maps) {
        Some(place) => Ok(all.index_axis(Axis(0), place).to_owned()),
        None => Err(Error::usage(format!(
            "the model has {maps} maps, none of them for class {}",
            chosen.class.unwrap_or(0)
        ))),
    }
}
