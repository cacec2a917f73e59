//! The work itself: photos in, maps out.

use std::path::PathBuf;

use ndarray::{Array2, Axis};
use serde::Serialize;

use super::black_box::{Aim, Detection, RiseMasks, aise, rise};
use super::engine::{Answer, Engine};
use super::names::{ClassNames, Targets};
use super::scores::{best_first, nothing_found};
use super::watch::Watch;
use super::way::{Head, Shown, Way};
use super::{BlackBox, ExplainOptions, Settings};
use crate::error::{Error, Result};
use crate::ir::Resize;
use crate::message::{Setting, message};
use crate::preprocess::{Geometry, Origin, Photo, Preprocessing};
use crate::runtime::Runtime;

/// A model that is ready to be asked why.
#[derive(Debug)]
pub struct Explainer {
    pub(super) engine: Engine,
    pub(super) head: Head,
    pub(super) way: Way,
    pub(super) preprocessing: Preprocessing,
    pub(super) names: ClassNames,
    /// The classes to explain, where they do not depend on the image.
    pub(super) listed: Option<Vec<usize>>,
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
    /// Where the photo lies in the input.
    pub geometry: Geometry,
    /// The photo as it was fitted into the input: 0 to 255, `[height, width, channels]`; empty where the caller
    /// did that.
    pub(super) fitted: Vec<f32>,
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

/// A photo on its way into the model.
struct Fed<'a> {
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
            Some(score) => format!("{} {score:.3}", self.label),
            None => self.label.clone(),
        }
    }
}

/// What one inference on the whole photo showed.
#[derive(Debug, Clone)]
pub(super) struct Look {
    seen: Seen,
    /// Shape and values of the map, in white-box mode.
    map: Option<(Vec<usize>, Vec<f32>)>,
}

#[derive(Debug, Clone)]
enum Seen {
    Classes(Vec<f32>),
    Boxes(Vec<Detection>),
    Nothing,
}

/// Something to explain.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) class: Option<usize>,
    pub(super) score: Option<f32>,
    object: Option<Detection>,
}

/// How many classes [`Explanation::best`] lists.
const BEST: usize = 5;

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
        let (fed, values) = self.fit(photos)?;
        self.each(fed, &values, watch, |explainer, values, look, chosen| {
            explainer.maps(values, look, chosen, watch)
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
        let (mut fed, mut values) = (Vec::new(), Vec::new());
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
            fed.push(Fed { photo, fitted: Vec::new(), geometry });
            values.push(own.clone());
        }
        self.each(fed, &values, watch, |explainer, values, look, chosen| {
            explainer.maps(values, look, chosen, watch)
        })
    }

    /// Chooses other classes to explain, and other names for them.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are no such classes or not as many as names; then nothing is changed.
    pub fn aim(&mut self, targets: Targets, names: ClassNames) -> Result<()> {
        let classes = match &self.head {
            Head::Classes(head) => head.classes,
            _ => None,
        };
        if let Some(classes) = classes {
            names.check(classes)?;
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
            |_: &mut Self, _: &[f32], _: &Look, chosen: &[Chosen]| Ok(vec![map.clone(); chosen.len()]);
        let (fed, values) = self.fit(std::slice::from_ref(photo))?;
        let mut found = self.each(fed, &values, watch, given)?;
        found.pop().unwrap_or_else(|| Err(Error::Internal("a photo was not explained".to_owned())))
    }

    /// Fits photos into the input; returns them with the input's values.
    fn fit<'a>(&self, photos: &'a [Photo]) -> Result<(Vec<Fed<'a>>, Vec<Vec<f32>>)> {
        let (input, how) = (self.engine.input(), &self.preprocessing);
        if how.source == Origin::Caller {
            let message = "photos have to be prepared by the caller, who has said to do that";
            return Err(Error::usage(message.to_owned()));
        }
        let (mut fed, mut values) = (Vec::new(), Vec::new());
        for photo in photos {
            let (fitted, geometry) = how.fit(&photo.pixels, input)?;
            values.push(how.normalise(&fitted, input));
            fed.push(Fed { photo, fitted, geometry });
        }
        Ok((fed, values))
    }

    fn each(
        &mut self,
        fed: Vec<Fed<'_>>,
        values: &[Vec<f32>],
        watch: &dyn Watch,
        maps: impl Fn(&mut Self, &[f32], &Look, &[Chosen]) -> Result<Vec<Array2<f32>>>,
    ) -> Result<Vec<Result<Explanation>>> {
        let looks = self.look(values, watch)?;
        let mut found = Vec::new();
        for ((fed, values), look) in fed.into_iter().zip(values).zip(looks) {
            let explained = look.and_then(|look| {
                let chosen = self.choose(&look)?;
                let maps = maps(self, values, &look, &chosen)?;
                Ok(self.explanation(fed, &look, chosen, maps))
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
        Fed { photo, fitted, geometry }: Fed<'_>,
        look: &Look,
        chosen: Vec<Chosen>,
        maps: Vec<Array2<f32>>,
    ) -> Explanation {
        let best = match &look.seen {
            Seen::Classes(scores) => {
                let order = best_first(scores).into_iter().take(BEST);
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
        let targets = chosen.into_iter().zip(maps).map(target).collect();
        Explanation { path: photo.path.clone(), targets, best, geometry, fitted }
    }

    /// Outputs that one look reads, the map's first where there is one.
    fn outputs(&self) -> Vec<usize> {
        let mut outputs = Vec::new();
        if let Way::WhiteBox { map, .. } = self.way {
            outputs.push(map);
        }
        match &self.head {
            Head::Classes(head) => outputs.extend(head.outputs()),
            Head::Boxes(head) => outputs.extend(head.outputs()),
            Head::Unknown => {}
        }
        outputs
    }

    /// Runs the model on whole images, once each.
    pub(super) fn look(&mut self, images: &[Vec<f32>], watch: &dyn Watch) -> Result<Vec<Result<Look>>> {
        let (outputs, head, input) = (self.outputs(), self.head.clone(), self.engine.input().clone());
        let white = matches!(self.way, Way::WhiteBox { .. });
        let after_map = usize::from(white);
        let read = |answer: Answer<'_>| -> Result<Look> {
            let map = white.then(|| answer.of(0)).transpose()?;
            let seen = match &head {
                Head::Classes(head) => Seen::Classes(head.raw(&answer, after_map)?),
                Head::Boxes(head) => {
                    Seen::Boxes(head.read(answer.tensors.get(after_map..).unwrap_or(&[]), &input)?)
                }
                Head::Unknown => Seen::Nothing,
            };
            Ok(Look { seen, map })
        };
        let copy = |index: usize, out: &mut [f32]| {
            if let Some(image) = images.get(index) {
                out.copy_from_slice(image);
            }
            Ok(())
        };
        let mut looks = self.engine.run(images.len(), &outputs, copy, |answer| Ok(read(answer)), watch)?;
        if let Head::Classes(head) = &mut self.head {
            for look in looks.iter_mut().flatten() {
                let Seen::Classes(scores) = &mut look.seen else { continue };
                head.settle(scores);
                *scores = head.activate(std::mem::take(scores));
            }
            self.settings.activation = head.activation;
        }
        Ok(looks)
    }

    /// What of a photo is explained.
    pub(super) fn choose(&self, look: &Look) -> Result<Vec<Chosen>> {
        let one_map = look.map.as_ref().is_some_and(|(shape, _)| shape.len() == 2);
        let chosen = match &look.seen {
            _ if one_map => vec![Chosen { class: None, score: None, object: None }],
            Seen::Classes(scores) => {
                self.names.check(scores.len())?;
                let classes = match (&self.listed, &self.options.targets, &self.head) {
                    (Some(listed), ..) => listed.clone(),
                    (_, Targets::Top(count), _) => best_first(scores).into_iter().take(*count).collect(),
                    (_, Targets::All, _) => (0..scores.len()).collect(),
                    (_, _, Head::Classes(head)) => head.predicted(scores, self.options.threshold)?,
                    _ => Vec::new(),
                };
                let score = |class: usize| {
                    scores.get(class).copied().ok_or_else(|| {
                        let count = scores.len();
                        Error::usage(format!("class {class}: the model has {count} classes, counted from 0"))
                    })
                };
                let chosen =
                    |class| Ok(Chosen { class: Some(class), score: Some(score(class)?), object: None });
                classes.into_iter().map(chosen).collect::<Result<_>>()?
            }
            Seen::Boxes(objects) => self.objects(objects, look.map.is_some())?,
            Seen::Nothing => {
                let maps = look.map.as_ref().and_then(|(shape, _)| shape.first());
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
        Ok(chosen)
    }

    /// The objects of a detector that are explained; in white-box mode each class once, by its best object.
    fn objects(&self, objects: &[Detection], by_class: bool) -> Result<Vec<Chosen>> {
        let mut found: Vec<&Detection> =
            objects.iter().filter(|object| object.score >= self.options.threshold).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        if let Some(listed) = &self.listed {
            found.retain(|object| listed.contains(&object.class));
        }
        if by_class {
            let mut classes = Vec::new();
            found.retain(|object| {
                let new = !classes.contains(&object.class);
                classes.push(object.class);
                new
            });
        }
        if let Targets::Top(count) = self.options.targets {
            found.truncate(count);
        }
        if found.is_empty() {
            return Err(nothing_found(self.options.threshold));
        }
        let chosen = |object: &Detection| Chosen {
            class: Some(object.class),
            score: Some(object.score),
            object: Some(object.clone()),
        };
        Ok(found.into_iter().map(chosen).collect())
    }

    /// The maps of what was chosen, for an image whose normalised values are given.
    pub(super) fn maps(
        &mut self,
        values: &[f32],
        look: &Look,
        chosen: &[Chosen],
        watch: &dyn Watch,
    ) -> Result<Vec<Array2<f32>>> {
        match self.way.clone() {
            Way::WhiteBox { shown, .. } => chosen.iter().map(|chosen| cut(look, chosen, &shown)).collect(),
            Way::BlackBox(method) => self.black_box(method, values, chosen, watch),
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
        match (&self.head, method) {
            (Head::Classes(head), BlackBox::Rise) => {
                let head = head.clone();
                let masks = RiseMasks::new(effort, &rise_options);
                let read = |answer: Answer<'_>| {
                    let scores = head.activate(head.raw(&answer, 0)?);
                    Ok(classes.iter().map(|class| scores.get(*class).copied().unwrap_or(0.0)).collect())
                };
                rise(&mut self.engine, values, &masks, &head.outputs(), read, watch)
            }
            (Head::Classes(head), BlackBox::Aise) => {
                let head = head.clone();
                let aims = vec![Aim::class(effort, &aise_options); classes.len()];
                let read = |target: usize, answer: &Answer<'_>| {
                    let scores = head.activate(head.raw(answer, 0)?);
                    let score = classes.get(target).and_then(|class| scores.get(*class));
                    Ok(score.copied().unwrap_or(0.0))
                };
                aise(&mut self.engine, values, &aims, &head.outputs(), read, watch)
            }
            (Head::Boxes(head), _) => {
                let (head, input) = (*head, self.engine.input().clone());
                let objects: Vec<Detection> =
                    chosen.iter().filter_map(|chosen| chosen.object.clone()).collect();
                #[allow(clippy::cast_precision_loss)]
                let sides = (input.width as f64, input.height as f64);
                let aim = |object: &Detection| {
                    let [x1, y1, x2, y2] = object.corners.map(f64::from);
                    let corners = [x1 / sides.0, y1 / sides.1, x2 / sides.0, y2 / sides.1];
                    Aim::around(corners, effort, &aise_options)
                };
                let aims: Vec<Aim> = objects.iter().map(aim).collect();
                // How much of the object is still found: the best overlap times its score.
                let read = |target: usize, answer: &Answer<'_>| {
                    let Some(object) = objects.get(target) else { return Ok(0.0) };
                    let found = head.read(answer.tensors, &input)?;
                    let same = found.iter().filter(|other| other.class == object.class);
                    Ok(same.map(|other| object.overlap(other) * other.score).fold(0.0, f32::max))
                };
                aise(&mut self.engine, values, &aims, &head.outputs(), read, watch)
            }
            (Head::Unknown, _) => Err(Error::usage("the model gives no scores".to_owned())),
        }
    }
}

/// The map of one class out of what the saliency output holds.
fn cut(look: &Look, chosen: &Chosen, shown: &Shown) -> Result<Array2<f32>> {
    let Some((shape, values)) = &look.map else {
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
    let place = match (chosen.class, shown) {
        (None, _) => Some(0),
        (Some(class), Shown::All) => Some(class),
        (Some(class), Shown::Listed(list)) => list.iter().position(|listed| *listed == class),
        (Some(class), Shown::Top(count)) => match &look.seen {
            Seen::Classes(scores) => {
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
        let Head::Classes(head) = &self.head else {
            return Err(Error::usage("these metrics need class scores".to_owned()));
        };
        let (head, input, how) = (head.clone(), self.engine.input().clone(), self.preprocessing.clone());
        let make = |index: usize, out: &mut [f32]| {
            let mut image = Vec::new();
            pixels(index, &mut image);
            out.copy_from_slice(&how.normalise(&image, &input));
            Ok(())
        };
        let read = |answer: Answer<'_>| {
            let scores = head.activate(head.raw(&answer, 0)?);
            Ok(scores.get(class).copied().unwrap_or(0.0))
        };
        self.engine.run(count, &head.outputs(), make, read, watch)
    }

    /// The method's map of a class for an image that is given as pixels.
    pub(super) fn map_of(
        &mut self,
        pixels: &[f32],
        class: Option<usize>,
        watch: &dyn Watch,
    ) -> Result<Array2<f32>> {
        let values = self.preprocessing.normalise(pixels, &self.engine.input().clone());
        let look = self.look(std::slice::from_ref(&values), watch)?.pop();
        let missing = || Error::Internal("an image was not run".to_owned());
        let look = look.ok_or_else(missing)??;
        let chosen = Chosen { class, score: None, object: None };
        let mut maps = self.maps(&values, &look, std::slice::from_ref(&chosen), watch)?;
        maps.pop().ok_or_else(missing)
    }
}
