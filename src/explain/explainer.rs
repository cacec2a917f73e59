//! The work itself: photos in, maps out.

use std::path::PathBuf;

use ndarray::Array2;
use serde::Serialize;

use super::black_box::{Detection, detections};
use super::engine::{Engine, ImageOutputs};
use super::names::{ClassNames, Targets};
use super::procedure::Procedure;
use super::reader::{Findings, Reader};
use super::scores::{
    ClassScores, MOST, Predicted, best_of_many, best_of_none, nothing_found, otherwise, shown,
};
use super::watch::{Quiet, Watch};
use super::{ExplainOptions, Settings, Threshold};
use crate::error::{Error, Result};
use crate::ir::Resize;
use crate::message::{Message, Setting, message};
use crate::preprocess::{Geometry, Lay, Origin, Photo, Placed, Preprocessing};
use crate::runtime::Runtime;
use crate::tasks::BoxForm;

/// A model that is ready to be asked why.
#[derive(Debug)]
pub struct Explainer {
    pub(super) engine: Engine,
    pub(super) reader: Reader,
    pub(super) procedure: Procedure,
    pub(super) preprocessing: Preprocessing,
    /// Where maps of the model's branch lie in the input, where that is recorded.
    pub(super) placed: Option<Placed>,
    /// Where boxes are that classes are drawn with, where classes are explained and there are any.
    pub(super) boxes: Option<BoxForm>,
    pub(super) names: ClassNames,
    /// The classes to explain, where they do not depend on the image.
    pub(super) listed: Option<Vec<usize>>,
    /// The score from which a class or an object counts.
    pub(super) threshold: Threshold,
    pub(super) options: ExplainOptions,
    pub(super) settings: Settings,
    /// Kept as long as what it compiled; declared last, so that it is dropped last.
    pub(super) _runtime: Runtime,
}

/// What a model said of a photo, and where it looked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The photo.
    pub path: PathBuf,
    /// What was explained, the likeliest first where the model chose.
    pub targets: Vec<Target>,
    /// The five best classes with their scores; empty for detectors.
    pub best: Vec<Prediction>,
    /// What there is to say of this photo.
    pub note: Option<Message>,
    /// Where the photo lies in the input.
    pub geometry: Geometry,
    /// Where maps lie over the input.
    pub lay: Lay,
    /// The photo as it was fitted into the input: 0 to 255, `[height, width, channels]`; empty where the caller
    /// did that.
    pub(super) fitted: Vec<f32>,
}

impl Explanation {
    /// A map in the photo's size, where it belongs.
    pub fn over_photo(&self, map: &Array2<f32>) -> Array2<f32> {
        self.geometry.to_photo(map, &self.lay)
    }
}

/// A photo, and the tensor that the caller made of all of it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The photo, for pictures.
    pub photo: Photo,
    /// Shape of the tensor: that of the model's input.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// A photo that was fitted into the model's input.
struct FittedPhoto<'a> {
    photo: &'a Photo,
    fitted: Vec<f32>,
    geometry: Geometry,
}

/// A class and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The class.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// Its score.
    pub score: f32,
}

/// One class, or one object of a detector, and its map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// The class; `None` where the method knows no classes.
    pub class: Option<usize>,
    /// Its name.
    pub label: String,
    /// Its score.
    pub score: Option<f32>,
    /// Corners of the object `[x1, y1, x2, y2]`, in pixels of the photo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corners: Option<[f32; 4]>,
    /// What the method gave, `[height, width]`, over the model's input.
    #[serde(skip)]
    pub map: Array2<f32>,
}

impl Target {
    /// Label and score.
    pub fn title(&self) -> String {
        match self.score {
            Some(score) => format!("{} {}", self.label, shown(score)),
            None => self.label.clone(),
        }
    }
}

/// What came of one inference on a whole image.
#[derive(Debug, Clone)]
pub(super) struct Inference {
    pub(super) findings: Findings,
    /// Shape and values of the map, in white-box mode.
    pub(super) map: Option<(Vec<usize>, Vec<f32>)>,
    /// Objects that classes are drawn with.
    pub(super) objects: Vec<Detection>,
}

/// Something to explain.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) class: Option<usize>,
    pub(super) score: Option<f32>,
    pub(super) object: Option<Detection>,
}

/// How many classes [`Explanation::best`] lists.
const BEST: usize = 5;
/// How many are named where none of them counts.
const NAMED: usize = 3;

impl Explainer {
    /// What is applied.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Names of the classes.
    pub fn names(&self) -> &ClassNames {
        &self.names
    }

    /// How many photos are best done together.
    pub fn group(&self) -> usize {
        (self.engine.requests() * self.engine.input().batch * 2).clamp(1, 64)
    }

    /// Whether [`Explainer::settings`] leave nothing open that only scores can say.
    pub fn is_settled(&self) -> bool {
        self.reader.is_settled()
    }

    /// Looks at a photo where only scores can say what they are, so that [`Explainer::settings`] leave nothing open.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn settle(&mut self, photo: &Photo) -> Result<()> {
        let (_, values) = self.fit(std::slice::from_ref(photo))?;
        self.infer(&values, &Quiet)?.into_iter().try_for_each(|inference| inference.map(|_| ()))
    }

    /// Explains a photo.
    ///
    /// # Errors
    /// [`Error::Usage`] where the model's scores are no numbers, [`Error::Runtime`] where OpenVINO fails,
    /// [`Error::Interrupted`] where `watch` asks to stop.
    pub fn explain(&mut self, photo: &Photo, watch: &dyn Watch) -> Result<Explanation> {
        let mut found = self.explain_all(std::slice::from_ref(photo), watch)?;
        found.pop().unwrap_or_else(|| Err(Error::Internal("a photo was not explained".to_owned())))
    }

    /// Explains several photos, whose inferences run together; each may fail for itself.
    ///
    /// # Errors
    /// [`Error::Runtime`] and [`Error::Interrupted`], which concern all.
    pub fn explain_all(&mut self, photos: &[Photo], watch: &dyn Watch) -> Result<Vec<Result<Explanation>>> {
        let (fitted, values) = self.fit(photos)?;
        self.each(fitted, &values, watch, |explainer, values, inference, chosen| {
            explainer.maps(values, inference, chosen, watch)
        })
    }

    /// As [`Explainer::explain_all`], of photos that the caller prepared.
    ///
    /// # Errors
    /// [`Error::Usage`] where a tensor has not the input's shape; as [`Explainer::explain_all`].
    pub fn explain_prepared(
        &mut self,
        images: &[Prepared],
        watch: &dyn Watch,
    ) -> Result<Vec<Result<Explanation>>> {
        let input = self.engine.input();
        if input.batch != 1 {
            let message = format!("images are prepared one by one; the model's batch is {}", input.batch);
            return Err(Error::usage(message));
        }
        let (mut all, mut values) = (Vec::new(), Vec::new());
        for Prepared { photo, shape, values: own } in images {
            if shape[..] != input.shape() || own.len() != input.image_len() {
                let message = format!("a prepared image of the shape {shape:?}; the model takes {input}");
                return Err(Error::usage(message));
            }
            if own.iter().any(|value| !value.is_finite()) {
                let message = format!("{}: the prepared image is not finite numbers", photo.path.display());
                return Err(Error::usage(message));
            }
            let size = (photo.width(), photo.height());
            let geometry = Geometry::new(Resize::Standard, size, (input.width, input.height));
            all.push(FittedPhoto { photo, fitted: Vec::new(), geometry });
            values.push(own.clone());
        }
        self.each(all, &values, watch, |explainer, values, inference, chosen| {
            explainer.maps(values, inference, chosen, watch)
        })
    }

    /// Chooses other classes to explain, and other names for them.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are no such classes or not as many as names; then nothing is changed.
    pub fn aim(&mut self, targets: Targets, names: ClassNames) -> Result<()> {
        let classes = self.reader.classes();
        if let Some(classes) = classes {
            self.reader.check_names(&names, classes)?;
        }
        self.listed = targets.resolve(&names, classes)?;
        self.options.targets = targets;
        self.names = names;
        Ok(())
    }

    /// Puts a map from elsewhere in place of the method's, for whatever would be explained: to draw it, and to
    /// measure it by the same [`super::metrics`].
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn with_map(&mut self, photo: &Photo, map: &Array2<f32>, watch: &dyn Watch) -> Result<Explanation> {
        let given =
            |_: &mut Self, _: &[f32], _: &Inference, chosen: &[Chosen]| Ok(vec![map.clone(); chosen.len()]);
        let (fitted, values) = self.fit(std::slice::from_ref(photo))?;
        let mut found = self.each(fitted, &values, watch, given)?;
        let explanation = found.pop();
        let missing = || Err(Error::Internal("a photo was not explained".to_owned()));
        // Nothing is known of it but that it is of the whole image.
        explanation.unwrap_or_else(missing).map(|found| Explanation { lay: Lay::WHOLE, ..found })
    }

    /// Where maps of that size lie over the input.
    pub(super) fn lay(&self, map: Option<&Array2<f32>>) -> Lay {
        let placed = self.placed.as_ref().filter(|_| matches!(self.procedure, Procedure::WhiteBox { .. }));
        placed.zip(map).map_or(Lay::WHOLE, |(placed, map)| placed.lay(self.engine.input(), map.dim()))
    }

    /// Fits photos into the input; returns them with the input's values.
    fn fit<'a>(&self, photos: &'a [Photo]) -> Result<(Vec<FittedPhoto<'a>>, Vec<Vec<f32>>)> {
        let (input, how) = (self.engine.input(), &self.preprocessing);
        if how.source == Origin::Caller {
            let message = "photos have to be prepared by the caller, who has said to do that";
            return Err(Error::usage(message.to_owned()));
        }
        let (mut all, mut values) = (Vec::new(), Vec::new());
        for photo in photos {
            let (fitted, geometry) = how.fit(&photo.pixels, input)?;
            values.push(how.normalise(&fitted, input));
            all.push(FittedPhoto { photo, fitted, geometry });
        }
        Ok((all, values))
    }

    fn each(
        &mut self,
        photos: Vec<FittedPhoto<'_>>,
        values: &[Vec<f32>],
        watch: &dyn Watch,
        maps: impl Fn(&mut Self, &[f32], &Inference, &[Chosen]) -> Result<Vec<Array2<f32>>>,
    ) -> Result<Vec<Result<Explanation>>> {
        let inferences = self.infer(values, watch)?;
        let mut found = Vec::new();
        for ((photo, values), inference) in photos.into_iter().zip(values).zip(inferences) {
            let explained = inference.and_then(|inference| {
                let (chosen, note) = self.choose(&inference)?;
                let maps = maps(self, values, &inference, &chosen)?;
                Ok(Explanation { note, ..self.explanation(photo, &inference, chosen, maps) })
            });
            match explained {
                Err(error @ (Error::Interrupted | Error::Runtime(_))) => return Err(error),
                explained => found.push(explained),
            }
        }
        Ok(found)
    }

    fn explanation(
        &self,
        FittedPhoto { photo, fitted, geometry }: FittedPhoto<'_>,
        inference: &Inference,
        chosen: Vec<Chosen>,
        maps: Vec<Array2<f32>>,
    ) -> Explanation {
        let best = match (&inference.findings, &self.reader) {
            (Findings::Scores(scores), Reader::Classes(reader)) => {
                let order = reader.best_first(scores).into_iter().take(BEST);
                let name = |class| self.names.name(class);
                order
                    .filter_map(|class| {
                        Some(Prediction { class, label: name(class), score: *scores.get(class)? })
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        let target = |(chosen, map): (Chosen, Array2<f32>)| Target {
            class: chosen.class,
            label: chosen.class.map_or_else(|| "all classes".to_owned(), |class| self.names.name(class)),
            score: chosen.score,
            corners: chosen.object.map(|object| geometry.box_to_photo(object.corners)),
            map,
        };
        let lay = self.lay(maps.first());
        let targets = chosen.into_iter().zip(maps).map(target).collect();
        Explanation { path: photo.path.clone(), targets, best, note: None, geometry, lay, fitted }
    }

    /// Runs the model on whole images, once each.
    pub(super) fn infer(&mut self, images: &[Vec<f32>], watch: &dyn Watch) -> Result<Vec<Result<Inference>>> {
        let (reader, input) = (self.reader.clone(), self.engine.input().clone());
        // The map's output comes first where there is one.
        let mut outputs = match self.procedure {
            Procedure::WhiteBox { map, .. } => vec![map],
            Procedure::BlackBox(_) => Vec::new(),
        };
        let after_map = outputs.len();
        outputs.extend(reader.outputs());
        let (after_scores, boxes) = (outputs.len(), self.boxes);
        outputs.extend(boxes.map(BoxForm::outputs).unwrap_or_default());
        let read = |outputs: ImageOutputs<'_>| -> Result<Inference> {
            let map = (after_map > 0).then(|| outputs.of(0)).transpose()?;
            let findings = reader.read(&outputs, after_map, &input)?;
            let tensors = outputs.tensors.get(after_scores..).unwrap_or_default();
            // What is only drawn is no reason to fail.
            let objects = boxes.map(|form| detections(form, tensors, &input).unwrap_or_default());
            Ok(Inference { findings, map, objects: objects.unwrap_or_default() })
        };
        let copy = |index: usize, out: &mut [f32]| {
            if let Some(image) = images.get(index) {
                out.copy_from_slice(image);
            }
            Ok(())
        };
        let mut inferences =
            self.engine.run(images.len(), &outputs, copy, |outputs| Ok(read(outputs)), watch)?;
        if let Reader::Classes(reader) = &mut self.reader {
            for inference in inferences.iter_mut().flatten() {
                let findings = std::mem::replace(&mut inference.findings, Findings::Nothing);
                let Findings::Raw(raw) = findings else { continue };
                if reader.settle(&raw) {
                    let background = reader.background.unwrap_or_default();
                    self.names.with_background(background, reader.classes);
                    let name = self.names.name(background);
                    self.settings.notes.push(
                        format!("'{name}' has nearly all of the probability of nearly all boxes: it is taken for no object, and only explained where it is asked for").into(),
                    );
                }
                inference.findings = Findings::Scores(reader.activate(raw));
            }
            self.settings.activation = reader.activation;
        }
        Ok(inferences)
    }

    /// What of a photo is explained, and what there is to say of that.
    fn choose(&self, inference: &Inference) -> Result<(Vec<Chosen>, Option<Message>)> {
        let mut note = None;
        let one_map = inference.map.as_ref().is_some_and(|(shape, _)| shape.len() == 2);
        let chosen = match &inference.findings {
            _ if one_map => vec![Chosen { class: None, score: None, object: None }],
            Findings::Scores(scores) => {
                self.reader.check_names(&self.names, scores.len())?;
                let classes = match (&self.listed, &self.options.targets, &self.reader) {
                    (Some(listed), ..) => listed.clone(),
                    (_, Targets::Top(count), Reader::Classes(reader)) => {
                        reader.best_first(scores).into_iter().take(*count).collect()
                    }
                    (_, Targets::All, _) => (0..scores.len()).collect(),
                    (_, _, Reader::Classes(reader)) => {
                        let (classes, said) = self.predicted(reader, scores);
                        note = said;
                        classes
                    }
                    _ => Vec::new(),
                };
                let score = |class: usize| {
                    scores.get(class).copied().ok_or_else(|| {
                        let count = scores.len();
                        Error::usage(format!("class {class}: the model has {count} classes, counted from 0"))
                    })
                };
                let object = |class: usize| {
                    let same = inference.objects.iter().filter(|object| object.class == class);
                    same.max_by(|a, b| a.score.total_cmp(&b.score)).cloned()
                };
                let chosen = |class| {
                    Ok(Chosen { class: Some(class), score: Some(score(class)?), object: object(class) })
                };
                classes.into_iter().map(chosen).collect::<Result<_>>()?
            }
            Findings::Objects(objects) => {
                let (chosen, said) = self.objects(objects, inference.map.is_some());
                note = said;
                chosen
            }
            Findings::Nothing | Findings::Raw(_) => {
                let maps = inference.map.as_ref().and_then(|(shape, _)| shape.first());
                let listed = match (&self.listed, &self.options.targets, maps) {
                    (Some(listed), ..) => listed.clone(),
                    (None, Targets::All, Some(maps)) => (0..*maps).collect(),
                    _ => {
                        return Err(Error::usage(message![
                            "the model gives no scores to choose by; name classes with ",
                            Setting::Targets,
                            ", or all"
                        ]));
                    }
                };
                let chosen = |class| Chosen { class: Some(class), score: None, object: None };
                listed.into_iter().map(chosen).collect()
            }
        };
        Ok((chosen, note))
    }

    /// The classes that scores predict, and what there is to say of them.
    fn predicted(&self, reader: &ClassScores, scores: &[f32]) -> (Vec<usize>, Option<Message>) {
        let least = self.threshold.least;
        match reader.predicted(scores, least) {
            Predicted::Classes(classes) if classes.len() > MOST => {
                let note = best_of_many(least, classes.len(), "classes");
                (classes.into_iter().take(MOST).collect(), Some(note))
            }
            Predicted::Classes(classes) => (classes, None),
            Predicted::Otherwise(class) => {
                let note = |other: &str| otherwise(least, &self.names.name(class), other);
                (vec![class], self.names.otherwise().map(note))
            }
            Predicted::Below(_) if reader.per_box() => {
                let best = reader.best_first(scores).into_iter().take(NAMED);
                let named = best.filter_map(|class| Some((self.names.name(class), *scores.get(class)?)));
                (Vec::new(), Some(nothing_found(least, &named.collect::<Vec<_>>())))
            }
            Predicted::Below(best) => (vec![best], Some(best_of_none(least))),
        }
    }

    /// The objects of a detector that are explained, in white-box mode each class once, by its best object; and what
    /// there is to say where there are none, or more than anybody looks at unasked.
    fn objects(&self, objects: &[Detection], by_class: bool) -> (Vec<Chosen>, Option<Message>) {
        let least = self.threshold.least;
        let wanted = |class| self.listed.as_ref().is_none_or(|listed| listed.contains(&class));
        let mut best: Vec<&Detection> = objects.iter().filter(|object| wanted(object.class)).collect();
        best.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut found: Vec<&Detection> = best.iter().copied().filter(|one| one.score >= least).collect();
        if by_class {
            let mut classes = Vec::new();
            found.retain(|object| {
                let new = !classes.contains(&object.class);
                classes.push(object.class);
                new
            });
        }
        let mut note = None;
        match self.options.targets {
            Targets::Top(count) => found.truncate(count),
            Targets::Predicted if found.len() > MOST => {
                note = Some(best_of_many(least, found.len(), "objects"));
                found.truncate(MOST);
            }
            _ => {}
        }
        if found.is_empty() {
            let named = best.into_iter().take(NAMED).map(|one| (self.names.name(one.class), one.score));
            note = Some(nothing_found(least, &named.collect::<Vec<_>>()));
        }
        let chosen = |object: &Detection| Chosen {
            class: Some(object.class),
            score: Some(object.score),
            object: Some(object.clone()),
        };
        (found.into_iter().map(chosen).collect(), note)
    }
}

/// What metrics need: scores of images, and a map for a class of an image.
impl Explainer {
    /// Scores of images that are given as pixels of 0 to 255, `[height, width, channels]`.
    pub(super) fn scores(
        &mut self,
        count: usize,
        pixels: impl Fn(usize, &mut Vec<f32>) + Sync,
        class: usize,
        watch: &dyn Watch,
    ) -> Result<Vec<f32>> {
        let Reader::Classes(reader) = &self.reader else {
            return Err(Error::usage("these metrics need class scores".to_owned()));
        };
        let (reader, input, how) = (reader.clone(), self.engine.input().clone(), self.preprocessing.clone());
        let make = |index: usize, out: &mut [f32]| {
            let mut image = Vec::new();
            pixels(index, &mut image);
            out.copy_from_slice(&how.normalise(&image, &input));
            Ok(())
        };
        let read = |outputs: ImageOutputs<'_>| {
            let scores = reader.activate(reader.raw(&outputs, 0)?);
            Ok(scores.get(class).copied().unwrap_or(0.0))
        };
        self.engine.run(count, &reader.outputs(), make, read, watch)
    }

    /// The method's map of a class for an image that is given as pixels.
    pub(super) fn map_of(
        &mut self,
        pixels: &[f32],
        class: Option<usize>,
        watch: &dyn Watch,
    ) -> Result<Array2<f32>> {
        let values = self.preprocessing.normalise(pixels, &self.engine.input().clone());
        let inference = self.infer(std::slice::from_ref(&values), watch)?.pop();
        let missing = || Error::Internal("an image was not run".to_owned());
        let inference = inference.ok_or_else(missing)??;
        let chosen = Chosen { class, score: None, object: None };
        let mut maps = self.maps(&values, &inference, std::slice::from_ref(&chosen), watch)?;
        maps.pop().ok_or_else(missing)
    }
}
