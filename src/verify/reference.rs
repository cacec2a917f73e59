//! The definition itself, computed position by position on the original.

use std::fs;
use std::path::{Path, PathBuf};

use super::compare::{larger, magnitude};
use super::cut::{self, Head, Signature};
use super::definition::{Definition, Features, Masking, Method};
use super::detector::Detector;
use super::layout::Geometry;
use super::lie::Lie;
use super::place::{Grid, Observed};
use super::positions::Sampling;
use crate::error::{Error, Result};
use crate::graph::{NodeId, OutletId};
use crate::ir::ElementType;
use crate::model::Model;
use crate::runtime::{Runtime, Session, Tensor};

/// Difference between the logits of the original and of its head, as a share of the largest.
const HEAD_TOLERANCE: f64 = 0.02;

/// Runs the original, tapped at what the definition speaks of, and its head.
#[derive(Debug)]
pub(super) struct Reference<'a> {
    model: &'a Model,
    definition: &'a Definition,
    head: Option<Head>,
    /// Values to read off the original: the target first, then the logits, then what bypasses it.
    wanted: Vec<OutletId>,
    tap: Session,
    /// Outputs of the original at the last run.
    answered: Vec<Tensor>,
    /// The head compiled for the shapes of the last sample.
    compiled: Option<(Vec<Signature>, Session)>,
    /// Holds the XML files of both.
    folder: tempfile::TempDir,
}

/// What the definition gives for one sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    /// Images, and height and width of the maps.
    pub(super) extents: [usize; 3],
    /// Means of the features over positions.
    pub(super) pooled: Pooled,
    /// How much coarser than single precision the features are, which the runtime rounds on handing them out.
    pub(super) coarseness: f64,
    /// Scores by which classes are ranked, `[images, classes]`: the original's logits, or what a detector says
    /// anywhere; empty where the method has none.
    pub(super) logits: Vec<f64>,
    /// Classes; 1 where the method has none.
    pub(super) classes: usize,
    /// Maps `[images, classes, positions]`, not scaled; NaN at positions that were not computed.
    pub(super) maps: Vec<f64>,
    /// The positions that were computed, in ascending order; `None`: all.
    pub(super) computed: Option<Vec<usize>>,
    /// What the original itself answers.
    pub(super) answer: Answer,
}

/// What the original answers to one sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// Its outputs.
    pub(super) outputs: Vec<Tensor>,
    /// Shape of the recorded scores.
    pub(super) shape: Vec<usize>,
    /// Of class maps: the largest score of each class, with each activation that outputs may have.
    pub(super) best: Vec<Vec<f64>>,
}

/// Means over positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pooled {
    /// Means, `[images, channels]`.
    pub(super) means: Vec<f64>,
    pub(super) channels: usize,
    /// The largest magnitude of what they are means of.
    pub(super) magnitude: f64,
}

impl Pooled {
    fn new(geometry: &Geometry, features: &[f64]) -> Self {
        let means = position_mean(geometry, features);
        Self { means, channels: geometry.channels, magnitude: magnitude(features) }
    }
}

impl<'a> Reference<'a> {
    /// Cuts and compiles what `definition` needs.
    ///
    /// # Errors
    /// [`Error::Usage`] where the record contradicts the graph, [`Error::Runtime`] where OpenVINO
    /// does not take the parts.
    pub(super) fn new(runtime: &mut Runtime, model: &'a Model, definition: &'a Definition) -> Result<Self> {
        let graph = model.written();
        let (wanted, head) = match &definition.method {
            Method::Masked { features, logits, masking, smooth, .. } => {
                let also = masking.also.iter().map(|(outlet, _)| *outlet);
                let masked: Vec<OutletId> = std::iter::once(features.target).chain(also).collect();
                let mut head = Head::new(graph, &masked, *logits).map_err(Error::usage)?;
                head.smooth = *smooth;
                let mut wanted = vec![features.target, *logits];
                wanted.extend(&head.inputs[1..]);
                wanted.extend(features.extents.iter().map(|(outlet, _)| *outlet));
                (wanted, Some(head))
            }
            Method::ActivationMap { features } => {
                let extents = features.extents.iter().map(|(outlet, _)| *outlet);
                (std::iter::once(features.target).chain(extents).collect(), None)
            }
            Method::ClassMaps(detector) => (detector.wanted(), None),
        };
        let tapped: Vec<OutletId> =
            wanted.iter().copied().filter(|outlet| !cut::is_parameter(graph, outlet.node)).collect();
        let folder = tempfile::Builder::new()
            .prefix("xai-verify-")
            .tempdir()
            .map_err(|e| Error::io("write to the folder", std::env::temp_dir(), e))?;
        let text = cut::tap(model.document(), graph, &tapped);
        let path = write(folder.path(), "tap.xml", &text)?;
        let tap = runtime.compile(&path, model.weights().path())?.forget(graph.has_state());
        Ok(Self { model, definition, head, wanted, tap, answered: Vec::new(), compiled: None, folder })
    }

    /// How the values whose positions are recorded are spread over them, for one set of inputs.
    ///
    /// # Errors
    /// As [`Reference::run`].
    pub(super) fn observed(&mut self, inputs: &[Tensor]) -> Result<Observed> {
        let mut values = self.tapped(inputs)?.into_iter();
        let features = match &self.definition.method {
            Method::Masked { features, .. } | Method::ActivationMap { features } => features,
            Method::ClassMaps(detector) => {
                let grids = detector.grids(&mut values).map_err(wrong_maps)?;
                return Ok(grids.into_iter().map(Some).collect());
            }
        };
        let (mut values, grid) = with_grid(features, values.collect());
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let target = values.swap_remove(0);
        let geometry = fit(features, &target, grid)?;
        let values = target.values()?;
        let at = |position| geometry.at_position(position).map(|element| values[element]).collect();
        let (height, width) = (geometry.height, geometry.width);
        Ok(vec![Some(Grid { height, width, values: (0..geometry.positions()).map(at).collect() })])
    }

    /// Runs one sample; maps lie as the record says that they are handed out.
    ///
    /// Which positions are computed hangs on the maps that were `found`, as they are handed out.
    ///
    /// # Errors
    /// As [`Reference::as_computed`].
    pub(super) fn run(
        &mut self,
        runtime: &mut Runtime,
        inputs: &[Tensor],
        sampling: Sampling,
        found: &[f64],
    ) -> Result<Expected> {
        let expected = self.as_computed(runtime, inputs, sampling, found)?;
        let answer = Answer { outputs: std::mem::take(&mut self.answered), ..expected.answer };
        let expected = Expected { answer, ..expected };
        let Some(lie) = &self.definition.lie else { return Ok(expected) };
        let [batch, height, width] = expected.extents;
        let (maps, (height, width)) = lie.turn().apply(&expected.maps, (height, width));
        Ok(Expected { extents: [batch, height, width], maps, ..expected })
    }

    /// Runs one sample; maps lie as what they are computed from.
    ///
    /// # Errors
    /// [`Error::Usage`] where the tensors are not what the record says, [`Error::Runtime`] where
    /// OpenVINO fails.
    fn as_computed(
        &mut self,
        runtime: &mut Runtime,
        inputs: &[Tensor],
        sampling: Sampling,
        found: &[f64],
    ) -> Result<Expected> {
        let values = self.tapped(inputs)?.into_iter();
        let missing = || Error::Internal("an output of the tapped model is missing".to_owned());
        let (masked, recorded) = match &self.definition.method {
            Method::Masked { features, masking, .. } => (Some(masking), features),
            Method::ActivationMap { features } => (None, features),
            Method::ClassMaps(detector) => return class_maps(detector, values),
        };
        let (values, grid) = with_grid(recorded, values.collect());
        let mut values = values.into_iter();
        let target = values.next().ok_or_else(missing)?;
        let geometry = fit(recorded, &target, grid)?;
        let features = target.values()?;
        let coarseness = coarseness(target.element());
        let pooled = Pooled::new(&geometry, &features);
        let extents = [geometry.batch, geometry.height, geometry.width];
        let Some(masking) = masked else {
            let maps = channel_mean(&geometry, &features);
            let answer = Answer::default();
            return Ok(Expected {
                extents,
                pooled,
                coarseness,
                logits: Vec::new(),
                classes: 1,
                maps,
                computed: None,
                answer,
            });
        };
        let logits = values.next().ok_or_else(missing)?;
        let answer = Answer { shape: logits.shape().to_vec(), ..Answer::default() };
        let logits = logits.values()?;
        let classes = logits.len() / geometry.batch.max(1);
        let mut inputs = vec![target];
        inputs.extend(values);
        let mut geometries = vec![geometry.clone()];
        for ((_, layout), tensor) in masking.also.iter().zip(&inputs[1..]) {
            let fits = layout.fit(tensor.shape(), Some((geometry.height, geometry.width)));
            let wrong = |message| Error::usage(format!("a masked value of the record: {message}"));
            geometries.push(fits.map_err(wrong)?);
        }
        let size = (geometry.height, geometry.width);
        // Each position as it is handed out, and the same as it is computed.
        let turn = self.definition.lie.as_ref().map(Lie::turn).unwrap_or_default();
        let (turned, handed_out) = turn.of_positions(size);
        let computed = sampling.choose(handed_out, found);
        let positions = match &computed {
            Some(chosen) => chosen.iter().map(|position| turned[*position]).collect(),
            None => turned,
        };
        let maps = self.masked(runtime, masking, &geometries, inputs, (&logits, &positions))?;
        Ok(Expected { extents, pooled, coarseness, logits, classes, maps, computed, answer })
    }

    /// The values of `wanted`, of which model inputs are known already.
    fn tapped(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let graph = self.model.written();
        let own = graph.results().count();
        let mut outputs = self.tap.run(inputs)?.into_iter();
        self.answered = outputs.by_ref().take(own).collect();
        let parameters: Vec<NodeId> = graph.parameters().map(|(id, _)| id).collect();
        let value = |outlet: &OutletId| match parameters.iter().position(|id| *id == outlet.node) {
            Some(place) => inputs.get(place).cloned(),
            None => outputs.next(),
        };
        let values: Option<Vec<Tensor>> = self.wanted.iter().map(value).collect();
        values.ok_or_else(|| Error::Internal("an output of the tapped model is missing".to_owned()))
    }

    /// Logits `[images, classes, positions]` of the head on masked features, position by position; NaN at others.
    fn masked(
        &mut self,
        runtime: &mut Runtime,
        masking: &Masking,
        geometries: &[Geometry],
        inputs: Vec<Tensor>,
        (whole, positions): (&[f64], &[usize]),
    ) -> Result<Vec<f64>> {
        let scores = whole.len();
        // Without its quantization the head gives other logits; that it was taken out right is seen with it.
        let smooth = self.head.as_mut().is_some_and(|head| std::mem::take(&mut head.smooth));
        let checked = self.head_for(runtime, &inputs).and_then(|head| check_head(whole, &head.run(&inputs)?));
        let checked = checked.map_err(|error| self.with_cause(error));
        if let (true, Some(head)) = (smooth, &mut self.head) {
            (head.smooth, self.compiled) = (true, None);
        }
        checked?;
        let session = self.head_for(runtime, &inputs)?;
        let own = match smooth {
            true => session.run(&inputs)?.first().map(Tensor::values).transpose()?.unwrap_or_default(),
            false => whole.to_vec(),
        };
        let mut mosaics = Vec::new();
        for (geometry, tensor) in geometries.iter().zip(&inputs) {
            mosaics.push(Mosaic::new(geometry, tensor, masking.prefix)?);
        }
        let Some(geometry) = geometries.first() else { return Ok(Vec::new()) };
        let all = geometry.positions();
        let mut maps = vec![f64::NAN; scores * all];
        for &position in positions {
            let kept = masking.kernel.around(position, geometry.height, geometry.width);
            for (input, mosaic) in mosaics.iter_mut().enumerate() {
                session.bind_one(input, &mosaic.at(&kept)?)?;
            }
            session.infer()?;
            let logits = session.output(0)?.values()?;
            for (score, value) in logits.into_iter().take(scores).enumerate() {
                maps[score * all + position] = value;
            }
        }
        // Once more: some versions of the runtime give another answer at the second run of a graph.
        for (input, tensor) in inputs.iter().take(mosaics.len()).enumerate() {
            session.bind_one(input, tensor)?;
        }
        session.infer()?;
        check_head(&own, &[session.output(0)?])?;
        if smooth {
            // The next set of inputs begins with the other one.
            self.compiled = None;
        }
        Ok(maps)
    }

    /// An error of the head, with the cause that INT8 has.
    fn with_cause(&self, error: Error) -> Error {
        match (&self.head, &error) {
            (Some(head), Error::Usage(message)) if head.quantizes(self.model.written()) => {
                Error::usage(message.clone().with(
                    "; CPUs without VNNI saturate in INT8: quantize with NNCF's overflow_fix=OverflowFix.ENABLE, or \
                     verify on another CPU",
                ))
            }
            _ => error,
        }
    }

    fn head_for(&mut self, runtime: &mut Runtime, inputs: &[Tensor]) -> Result<&mut Session> {
        let head =
            self.head.as_ref().ok_or_else(|| Error::Internal("a head where there is none".to_owned()))?;
        let graph = self.model.written();
        let declared = head.inputs.iter().map(|input| &graph.fact(*input).shape);
        let signatures: Vec<Signature> =
            declared.zip(inputs).map(|(declared, tensor)| cut::signature(declared, tensor)).collect();
        let fits = self.compiled.as_ref().is_some_and(|(found, _)| *found == signatures);
        if !fits {
            let text = head.emit(self.model.document(), graph, &signatures);
            let path = write(self.folder.path(), "head.xml", &text)?;
            let session = runtime.compile(&path, self.model.weights().path())?.forget(graph.has_state());
            return Ok(&mut self.compiled.insert((signatures, session)).1);
        }
        match &mut self.compiled {
            Some((_, session)) => Ok(session),
            None => Err(Error::Internal("a compiled head was lost".to_owned())),
        }
    }
}

/// The values without those whose extents are the grid's, and the grid.
fn with_grid(features: &Features, mut values: Vec<Tensor>) -> (Vec<Tensor>, Option<(usize, usize)>) {
    let [height, width] = features.extents[..] else { return (values, features.grid) };
    let extents = values.split_off(values.len().saturating_sub(2));
    let extent = |tensor: Option<&Tensor>, axis: usize| tensor?.shape().get(axis).copied();
    (values, extent(extents.first(), height.1).zip(extent(extents.get(1), width.1)))
}

/// Where the elements of the recorded features are.
fn fit(features: &Features, target: &Tensor, grid: Option<(usize, usize)>) -> Result<Geometry> {
    let fitted = features.layout.fit(target.shape(), grid);
    fitted.map_err(|message| Error::usage(format!("the record's target: {message}")))
}

fn wrong_maps(message: String) -> Error {
    Error::usage(format!("the record's class maps: {message}"))
}

/// How much coarser than single precision values are, which the runtime rounds on handing them out.
fn coarseness(element: ElementType) -> f64 {
    match element {
        ElementType::F16 => 100.0,
        ElementType::BF16 => 800.0,
        _ => 1.0,
    }
}

/// The maps of a detector, from the values of the original that its record names.
fn class_maps(detector: &Detector, values: std::vec::IntoIter<Tensor>) -> Result<Expected> {
    let coarseness = values.as_slice().iter().map(|tensor| coarseness(tensor.element())).fold(1.0, f64::max);
    let mut values = values;
    let best = detector.best(&mut values.clone()).map_err(wrong_maps)?;
    let (maps, logits) = detector.maps(&mut values).map_err(wrong_maps)?;
    let mut pooled = Pooled::default();
    if !detector.features.is_empty() {
        let (means, channels, magnitude) = detector.pooled(&mut values).map_err(wrong_maps)?;
        pooled = Pooled { means, channels, magnitude };
    }
    let (batch, classes, height, width) = maps.dim();
    let maps = maps.iter().copied().collect();
    let answer = Answer { best, ..Answer::default() };
    let extents = [batch, height, width];
    Ok(Expected { extents, pooled, coarseness, logits, classes, maps, computed: None, answer })
}

/// One value of the original, to be masked again and again.
#[derive(Debug)]
struct Mosaic<'a> {
    geometry: &'a Geometry,
    tensor: &'a Tensor,
    /// The value in single precision, which is what weights are applied in.
    values: Vec<f32>,
    /// Zero but for tokens that every mask keeps.
    blank: Vec<f32>,
}

impl<'a> Mosaic<'a> {
    fn new(geometry: &'a Geometry, tensor: &'a Tensor, prefix: bool) -> Result<Self> {
        #[allow(clippy::cast_possible_truncation)]
        let values: Vec<f32> = tensor.values()?.into_iter().map(|value| value as f32).collect();
        let mut blank = vec![0.0; values.len()];
        if prefix {
            for element in geometry.at_prefix() {
                blank[element] = values[element];
            }
        }
        Ok(Self { geometry, tensor, values, blank })
    }

    /// The value under a mask, given by the positions that it keeps and their weights.
    fn at(&mut self, kept: &[(usize, f32)]) -> Result<Tensor> {
        let mut masked = self.blank.clone();
        for (position, weight) in kept {
            for element in self.geometry.at_position(*position) {
                masked[element] = weight * self.values[element];
            }
        }
        Ok(Tensor::from_values(self.tensor.element(), self.tensor.shape().to_vec(), &masked)?)
    }
}

/// What was taken out of the original has to give its logits, when given its feature map whole.
///
/// The bound is loose: it tells a head that was cut wrongly from one that rounds differently, as
/// quantized ones do when an operation at the cut is no longer fused.
fn check_head(whole: &[f64], outputs: &[Tensor]) -> Result<()> {
    let logits = outputs.first().map(Tensor::values).transpose()?.unwrap_or_default();
    if logits.len() != whole.len() {
        let message = format!("the head gives {} scores, the original {}", logits.len(), whole.len());
        return Err(Error::usage(message));
    }
    let difference = logits.iter().zip(whole).map(|(a, b)| (a - b).abs()).fold(0.0, larger);
    let scale = magnitude(whole);
    let close = difference <= HEAD_TOLERANCE * scale;
    if close {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the head taken out of the original does not give its logits, or not every time: off by \
         {difference:.2e}, where the largest is {scale:.2e}"
    )))
}

/// Mean of a feature map over channels: `[images, positions]`.
pub(super) fn channel_mean(geometry: &Geometry, features: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(geometry.batch * geometry.positions());
    for image in 0..geometry.batch {
        for position in 0..geometry.positions() {
            let values =
                (0..geometry.channels).map(|channel| features[geometry.offset(image, channel, position)]);
            means.push(mean(values, geometry.channels));
        }
    }
    means
}

/// Mean of a feature map over positions: `[images, channels]`.
pub(super) fn position_mean(geometry: &Geometry, features: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(geometry.batch * geometry.channels);
    for image in 0..geometry.batch {
        for channel in 0..geometry.channels {
            let values =
                (0..geometry.positions()).map(|position| features[geometry.offset(image, channel, position)]);
            means.push(mean(values, geometry.positions()));
        }
    }
    means
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    // Counts of channels and positions are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let count = count.max(1) as f64;
    values.sum::<f64>() / count
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;
    use crate::verify::layout::Layout;

    #[test]
    fn a_head_has_to_give_the_logits() {
        let tensor =
            |values: &[f32]| Tensor::from_values(ElementType::F32, vec![1, values.len()], values).unwrap();
        check_head(&[1.0, -2.0], &[tensor(&[1.01, -2.01])]).unwrap();
        check_head(&[1.0, -2.0], &[tensor(&[1.1, -2.0])]).unwrap_err();
        check_head(&[1.0, -2.0], &[tensor(&[1.0, f32::NAN])]).unwrap_err();
        check_head(&[1.0, -2.0], &[tensor(&[1.0])]).unwrap_err();
        check_head(&[1.0], &[]).unwrap_err();
    }

    #[test]
    fn means_skip_prefix_tokens() {
        let geometry = Layout::parse("N,1+HW,C").unwrap().fit(&[1, 3, 2], Some((1, 2))).unwrap();
        let features = [100.0, 100.0, 1.0, 2.0, 3.0, 6.0];
        assert_eq!(channel_mean(&geometry, &features), [1.5, 4.5]);
        assert_eq!(position_mean(&geometry, &features), [2.0, 4.0]);
    }

    #[test]
    fn means_are_per_image() {
        let geometry = Layout::parse("N,C,H,W").unwrap().fit(&[2, 2, 1, 2], None).unwrap();
        let features = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        assert_eq!(channel_mean(&geometry, &features), [2.0, 3.0, 20.0, 30.0]);
        assert_eq!(position_mean(&geometry, &features), [1.5, 3.5, 15.0, 35.0]);
    }
}
