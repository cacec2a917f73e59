//! Explanations: photos in, maps and pictures out.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use serde_json::json;
use xai_insert::explain::picture::{heatmap, over_photo, photo as in_colours};
use xai_insert::explain::{
    ClassNames, Explanation, Folder, Photo, Prepared, ScoreFunction, Target, Targets, Tensor, Wanted, Watch,
};
use xai_insert::{Error, Interrupt};

use crate::errors::{UsageError, json as no_json, library};
use crate::interruptible::interruptible;
use crate::options::{Drawing, explain_options};
use crate::words::keyword;

/// A model that is ready to be asked why.
#[pyclass(frozen, module = "xai_insert._native")]
#[derive(Debug)]
pub(crate) struct Explainer {
    inner: Mutex<xai_insert::explain::Explainer>,
    /// Settings as JSON and as text, so that nobody who asks for them waits for work.
    settings: Mutex<(String, String)>,
    labels: Vec<String>,
    input: ([usize; 4], bool),
    /// What the caller's function raised.
    raised: Raised,
}

type Raised = Arc<Mutex<Option<PyErr>>>;

thread_local! {
    /// The explainer whose function this thread is calling, by the address of its `raised`.
    static CALLING: Cell<usize> = const { Cell::new(0) };
}

/// How long a thread sleeps that waits for another's work.
const POLL: Duration = Duration::from_millis(20);

/// A target: the index of a class, or what the command takes.
#[derive(FromPyObject)]
enum Given {
    Class(usize),
    Text(String),
}

impl From<Given> for Wanted {
    fn from(given: Given) -> Self {
        match given {
            Given::Class(index) => Self::Class(index),
            Given::Text(text) => Self::Text(text),
        }
    }
}

/// Bytes of a picture with its height, width and channels.
type Pixels = (PyBackedBytes, usize, usize, usize);

/// A photo: its path or a name, its pixels unless they are to be read, and the values (f32) and shape of the tensor
/// that was made of it, if it was.
type Image = (PathBuf, Option<Pixels>, Option<(PyBackedBytes, Vec<usize>)>);

/// Stops the work where the interpreter was asked to.
struct Stop(Interrupt);

impl Watch for Stop {
    fn stopped(&self) -> bool {
        self.0.is_set()
    }
}

#[pymethods]
impl Explainer {
    /// Opens a model.
    ///
    /// With `prepared`, images come as tensors. `scores` makes the scores of the outputs: it gets a name, the type
    /// as OpenVINO calls it, the shape and the bytes of each, and returns f32 as bytes.
    #[new]
    #[pyo3(signature = (model, options, prepared, scores=None))]
    fn new(
        py: Python<'_>,
        model: PathBuf,
        options: &Bound<'_, PyDict>,
        prepared: bool,
        scores: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let raised = Raised::default();
        let mut options = explain_options(options)?;
        options.preprocess.by_caller = prepared;
        options.score_function = scores.map(|function| score_function(function, Arc::clone(&raised)));
        // Reading and compiling cannot be stopped half-way.
        let opened = interruptible(py, || {}, || xai_insert::explain::Explainer::open(&model, &options))?;
        let explainer = opened.map_err(library)?;
        let settings = explainer.settings();
        Ok(Self {
            settings: Mutex::new(shown(&explainer)?),
            labels: explainer.names().names().to_vec(),
            input: (settings.input.shape(), settings.input.channels_last),
            inner: Mutex::new(explainer),
            raised,
        })
    }

    /// What is applied: as JSON, and as text for people.
    #[getter]
    fn settings(&self) -> (String, String) {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names of the classes that the model brings; empty where they are not known.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.labels.clone()
    }

    /// Shape of the input, and whether channels come last.
    #[getter]
    fn input(&self) -> ([usize; 4], bool) {
        self.input
    }

    /// Checks whether the model has these targets and as many classes as labels.
    fn aim(&self, py: Python<'_>, targets: Vec<Given>, labels: Vec<String>) -> PyResult<()> {
        let aim = |explainer: &mut xai_insert::explain::Explainer, _: &Stop| {
            explainer.aim(all_of(targets)?, ClassNames::new(labels))
        };
        self.with(py, aim)
    }

    /// Explains photos together; an exception stands in place of one that could not be.
    fn explain(
        &self,
        py: Python<'_>,
        photos: Vec<Image>,
        targets: Vec<Given>,
        labels: Vec<String>,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let found = self.with(py, |explainer, stop| {
            explainer.aim(all_of(targets)?, ClassNames::new(labels))?;
            each(explainer, &photos, stop)
        })?;
        let object = |found: Result<(Photo, Explanation), Error>| -> PyResult<Py<PyAny>> {
            match found {
                Ok((photo, explanation)) => {
                    let pixels = in_colours(&photo.pixels);
                    Ok(Py::new(py, Explained { pixels, explanation })?.into_any())
                }
                Err(error) => Ok(library(error).into_value(py).into_any()),
            }
        };
        found.into_iter().map(object).collect()
    }
}

impl Explainer {
    /// Does work with the explainer, which other threads may have for a while; both end at Ctrl-C.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut xai_insert::explain::Explainer, &Stop) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        if CALLING.get() == Arc::as_ptr(&self.raised).addr() {
            return Err(UsageError::new_err("postprocess_fn cannot use the explainer that calls it"));
        }
        let stop = Stop(Interrupt::default());
        let guarded = || {
            let mut explainer = loop {
                match self.inner.try_lock() {
                    Ok(explainer) => break explainer,
                    Err(TryLockError::Poisoned(explainer)) => break explainer.into_inner(),
                    Err(TryLockError::WouldBlock) if stop.stopped() => {
                        return Err(Box::new((Error::Interrupted, None)));
                    }
                    Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
                }
            };
            let raised = || self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
            // What an interrupted call left.
            drop(raised());
            let found = work(&mut explainer, &stop);
            if let Ok(shown) = shown(&explainer) {
                // The first scores may have settled what is done to them.
                *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = shown;
            }
            match (found, raised()) {
                (Ok(found), None) => Ok(found),
                (Ok(_), raised) => Err(Box::new((Error::Interrupted, raised))),
                (Err(error), raised) => Err(Box::new((error, raised))),
            }
        };
        let found = interruptible(py, || stop.0.set(), guarded)?;
        found.map_err(|failed| {
            let (error, raised) = *failed;
            raised.unwrap_or_else(|| library(error))
        })
    }
}

/// Settings as JSON and as text.
fn shown(explainer: &xai_insert::explain::Explainer) -> PyResult<(String, String)> {
    let settings = explainer.settings().clone().in_words(keyword);
    Ok((json(&settings)?, settings.to_string()))
}

fn all_of(targets: Vec<Given>) -> Result<Targets, Error> {
    Targets::all_of(targets.into_iter().map(Wanted::from))
}

type Explanations = Vec<Result<(Photo, Explanation), Error>>;

/// Explains what can be read, the prepared and the others each together; results are in the order of `photos`.
fn each(
    explainer: &mut xai_insert::explain::Explainer,
    photos: &[Image],
    stop: &Stop,
) -> Result<Explanations, Error> {
    let (mut plain, mut prepared) = (Vec::new(), Vec::new());
    let mut order: Vec<Result<bool, Error>> = Vec::new();
    let unread = photos.iter().filter(|given| given.1.is_none());
    let paths: Vec<PathBuf> = unread.map(|given| given.0.clone()).collect();
    let mut files = Photo::read_all(&paths).into_iter();
    let missing = || Error::Internal("a photo was left out".to_owned());
    for given in photos {
        let photo = match &given.1 {
            Some(pixels) => made(&given.0, pixels),
            None => files.next().unwrap_or_else(|| Err(missing())),
        };
        order.push(photo.map(|photo| match &given.2 {
            None => {
                plain.push(photo);
                false
            }
            Some((bytes, shape)) => {
                let (values, _) = bytes.as_chunks();
                let values = values.iter().map(|value| f32::from_ne_bytes(*value)).collect();
                prepared.push(Prepared { photo, shape: shape.clone(), values });
                true
            }
        }));
    }
    let explained = if plain.is_empty() { Vec::new() } else { explainer.explain_all(&plain, stop)? };
    let mut plain = plain.into_iter().zip(explained);
    let explained =
        if prepared.is_empty() { Vec::new() } else { explainer.explain_prepared(&prepared, stop)? };
    let mut prepared = prepared.into_iter().map(|prepared| prepared.photo).zip(explained);
    let next = |is_prepared: bool| {
        let one = if is_prepared { prepared.next() } else { plain.next() };
        let (photo, explained) = one.ok_or_else(missing)?;
        explained.map(|explanation| (photo, explanation))
    };
    let mut next = next;
    Ok(order.into_iter().map(|read| read.and_then(&mut next)).collect())
}

/// A photo of pixels that are at hand.
fn made(path: &Path, (bytes, height, width, channels): &Pixels) -> Result<Photo, Error> {
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|side| *side > 0);
    let made = side(*width).zip(side(*height)).and_then(|(width, height)| {
        let bytes = bytes.to_vec();
        match channels {
            1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
            3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
            4 => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8),
            _ => None,
        }
    });
    let wrong =
        || Error::Usage(format!("{}: {height}x{width}x{channels} bytes are no image", path.display()).into());
    Ok(Photo { path: path.to_path_buf(), pixels: made.ok_or_else(wrong)? })
}

/// A function in Python that makes scores; what it raises goes to `raised`.
fn score_function(function: Py<PyAny>, raised: Raised) -> ScoreFunction {
    ScoreFunction::new(move |outputs: &[(&str, &Tensor)]| {
        let before = CALLING.replace(Arc::as_ptr(&raised).addr());
        let called = Python::attach(|py| -> PyResult<Vec<f32>> {
            let given: Vec<_> = outputs
                .iter()
                .map(|(name, tensor)| {
                    let bytes = PyBytes::new(py, tensor.bytes());
                    (*name, tensor.element().as_attribute(), tensor.shape().to_vec(), bytes)
                })
                .collect();
            let scores: PyBackedBytes = function.call1(py, (given,))?.extract(py)?;
            let (scores, _) = scores.as_chunks();
            Ok(scores.iter().map(|score| f32::from_ne_bytes(*score)).collect())
        });
        CALLING.set(before);
        called.map_err(|error| {
            let message = format!("the function that makes scores failed: {error}");
            // The first is the one that tells; others are what it led to.
            raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            Error::Usage(message.into())
        })
    })
}

/// What a model said of a photo, and where it looked.
#[pyclass(frozen, module = "xai_insert._native")]
#[derive(Debug)]
pub(crate) struct Explained {
    pixels: RgbImage,
    explanation: Explanation,
}

#[pymethods]
impl Explained {
    /// Targets, best classes and what there is to say, as JSON.
    fn report(&self) -> PyResult<String> {
        let found = &self.explanation;
        let note = found.note.as_ref().map(|note| note.in_words(keyword).to_string());
        let (path, targets) = (found.path.to_string_lossy(), &found.targets);
        json(&json!({ "photo": path, "best": found.best, "targets": targets, "note": note }))
    }

    /// The map of a target, over the model's input: f32, height, width.
    fn map<'py>(&self, py: Python<'py>, target: usize) -> PyResult<Rows<'py>> {
        Ok(floats(py, &self.target(target)?.map))
    }

    /// The same over the photo, in its size.
    fn photo_map<'py>(&self, py: Python<'py>, target: usize) -> PyResult<Rows<'py>> {
        let target = self.target(target)?;
        let map = py.detach(|| self.explanation.over_photo(&target.map));
        Ok(floats(py, &map))
    }

    /// The photo under the map of a target: RGB, height, width.
    fn picture<'py>(
        &self,
        py: Python<'py>,
        target: usize,
        drawing: &Bound<'_, PyDict>,
    ) -> PyResult<Rows<'py>> {
        let drawing = Drawing::new(drawing)?;
        let target = self.target(target)?;
        let drawn = py.detach(|| self.draw(target, &drawing)).map_err(library)?;
        Ok((PyBytes::new(py, drawn.as_raw()), drawn.height() as usize, drawn.width() as usize))
    }

    /// The map of a target in colours, in the photo's size: RGB, height, width.
    fn heatmap<'py>(
        &self,
        py: Python<'py>,
        target: usize,
        drawing: &Bound<'_, PyDict>,
    ) -> PyResult<Rows<'py>> {
        let drawing = Drawing::new(drawing)?;
        let target = self.target(target)?;
        let heat = py.detach(|| self.heat(target, &drawing));
        Ok((PyBytes::new(py, heat.as_raw()), heat.height() as usize, heat.width() as usize))
    }

    /// A picture of a target as a PNG file.
    fn png<'py>(
        &self,
        py: Python<'py>,
        target: usize,
        drawing: &Bound<'_, PyDict>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let drawing = Drawing::new(drawing)?;
        let target = self.target(target)?;
        let written = py.detach(|| {
            let mut file = std::io::Cursor::new(Vec::new());
            let drawn = self.draw(target, &drawing)?;
            drawn
                .write_to(&mut file, image::ImageFormat::Png)
                .map_err(|error| Error::Internal(format!("a picture: {error}")))?;
            Ok(file.into_inner())
        });
        Ok(PyBytes::new(py, &written.map_err(library)?))
    }

    /// Writes pictures of all targets into a folder, as `<stem>_<label>_overlay.png`; returns their paths.
    fn save(
        &self,
        py: Python<'_>,
        folder: PathBuf,
        stem: String,
        overwrite: bool,
        drawing: &Bound<'_, PyDict>,
    ) -> PyResult<Vec<PathBuf>> {
        let drawing = Drawing::new(drawing)?;
        let written = py.detach(|| {
            let mut folder = Folder::new(&folder, overwrite)?;
            let mut files = folder.named(&stem);
            let mut write = |target: &Target| {
                let name = files.target(&target.label);
                files.picture(&format!("{name}_overlay"), &self.draw(target, &drawing)?)
            };
            self.explanation.targets.iter().map(&mut write).collect::<Result<_, _>>()
        });
        written.map_err(library)
    }
}

impl Explained {
    fn target(&self, index: usize) -> PyResult<&Target> {
        let targets = &self.explanation.targets;
        let wrong = || UsageError::new_err(format!("target {index} of {}", targets.len()));
        targets.get(index).ok_or_else(wrong)
    }

    fn heat(&self, target: &Target, drawing: &Drawing) -> RgbImage {
        heatmap(&self.explanation.over_photo(&target.map), drawing.colours)
    }

    fn draw(&self, target: &Target, drawing: &Drawing) -> Result<RgbImage, Error> {
        let heat = self.heat(target, drawing);
        over_photo(&self.pixels, &heat, target, drawing.weight, drawing.caption)
    }
}

/// Bytes of rows, with height and width.
type Rows<'py> = (Bound<'py, PyBytes>, usize, usize);

fn floats<'py>(py: Python<'py>, map: &ndarray::Array2<f32>) -> Rows<'py> {
    let bytes: Vec<u8> = map.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let (height, width) = map.dim();
    (PyBytes::new(py, &bytes), height, width)
}

fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| no_json(&error))
}

/// The class names in a file.
#[pyfunction]
pub(crate) fn read_labels(path: PathBuf) -> PyResult<Vec<String>> {
    Ok(ClassNames::read(&path).map_err(library)?.names().to_vec())
}

/// The pixels of an image file, upright: RGB, height, width.
#[pyfunction]
pub(crate) fn read_photo(py: Python<'_>, path: PathBuf) -> PyResult<Rows<'_>> {
    let pixels = py.detach(|| Photo::read(&path)).map_err(library)?;
    let pixels = in_colours(&pixels.pixels);
    Ok((PyBytes::new(py, pixels.as_raw()), pixels.height() as usize, pixels.width() as usize))
}
