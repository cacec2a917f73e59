//! Options of the library, from keywords.

use std::str::FromStr;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use xai_insert::explain::options as explaining;
use xai_insert::explain::{ExplainOptions, Layout, PreprocessOptions, picture::Colours};
use xai_insert::options as inserting;
use xai_insert::verify::{ShapeOverride, VerifyOptions};
use xai_insert::{Classes, Error, Given, InputShape, Options, Result as Found, RuntimeOptions, SaliencyType};

use crate::errors::{UsageError, library};
use crate::keywords::Keywords;

/// Reads the options of an insertion, and what is said of the model's inputs.
pub(crate) fn insert_options(given: &Bound<'_, PyDict>) -> PyResult<(Options, Given)> {
    let mut keywords = Keywords::new(given)?;
    let mut options = Options::default();
    branch(&mut keywords, &mut options)?;
    set(&mut options.method, keywords.value("method", inserting::method)?);
    if let Some(classes) = keywords.list("targets", false, |text| Ok(text.to_owned()))? {
        let wrong =
            |error: Error| UsageError::new_err(format!("targets: {error}, not '{}'", classes.join(",")));
        options.classes = classes.join(",").parse::<Classes>().map_err(wrong)?;
    }
    options.input = keywords.value("input", as_it_is)?;
    set(&mut options.feature_vector, keywords.flag("feature_vector")?);
    set(&mut options.feature_vector_name, keywords.value("feature_vector_name", as_it_is)?);
    let mut given = Given::default();
    if let Some(text) = keywords.value("input_shape", as_it_is)? {
        given.shapes = InputShape::parse_list(&text).map_err(library)?;
    }
    set(&mut given.reshape, keywords.flag("reshape")?);
    given.grid = keywords.pair("grid", "x", inserting::saliency_size)?;
    keywords.done()?;
    options.check().map_err(library)?;
    given.check().map_err(library)?;
    Ok((options, given))
}

/// Reads what shapes a branch. Scores that are not scaled are f32 unless another type is asked for.
fn branch(keywords: &mut Keywords<'_>, options: &mut Options) -> PyResult<()> {
    keywords.exclude("block", &["target_layer"])?;
    set(&mut options.task, keywords.value("task", inserting::task)?);
    options.output = keywords.value("output", as_it_is)?;
    set(&mut options.target_layers, keywords.list("target_layer", false, as_it_is)?);
    options.anchors = keywords.list("num_anchors", false, inserting::anchors)?;
    set(&mut options.saliency_size, keywords.pair("saliency_size", "x", inserting::saliency_size)?);
    set(&mut options.block, keywords.value("block", inserting::count)?);
    set(&mut options.kernel, keywords.value("mask", FromStr::from_str)?);
    set(&mut options.class_token, keywords.flag("class_token")?);
    set(&mut options.scaling, keywords.flag("scaling")?);
    let saliency_type = keywords.value("saliency_type", FromStr::from_str)?;
    set(&mut options.saliency_type, saliency_type.or((!options.scaling).then_some(SaliencyType::F32)));
    set(&mut options.output_name, keywords.value("output_name", as_it_is)?);
    set(&mut options.strategy, keywords.value("lowering", FromStr::from_str)?);
    set(&mut options.quantized, keywords.value("quantized", FromStr::from_str)?);
    set(&mut options.memory_budget, keywords.value("memory_budget", inserting::byte_size)?);
    Ok(())
}

/// Reads the options of explanations, but for targets and labels.
pub(crate) fn explain_options(given: &Bound<'_, PyDict>) -> PyResult<ExplainOptions> {
    let mut keywords = Keywords::new(given)?;
    let mut options = ExplainOptions { many: true, ..ExplainOptions::default() };
    branch(&mut keywords, &mut options.branch)?;
    options.runtime = runtime(&mut keywords)?;
    options.weights = keywords.path("weights")?;
    set(&mut options.mode, keywords.value("mode", FromStr::from_str)?);
    if let Some(method) = keywords.value("method", explaining::method)?.flatten() {
        options.choose(method);
    }
    set(&mut options.effort, keywords.value("effort", FromStr::from_str)?);
    options.rise.masks = keywords.value("masks", explaining::masks)?;
    options.rise.cells = keywords.value("cells", inserting::count)?;
    set(&mut options.rise.probability, keywords.value("probability", explaining::share)?);
    set(&mut options.rise.seed, keywords.value("seed", whole)?);
    set(&mut options.rise.divisor, keywords.value("divisor", str::parse)?);
    options.aise.iterations = keywords.value("iterations", inserting::count)?;
    set(&mut options.activation, keywords.value("activation", explaining::activation)?);
    options.threshold = keywords.value("threshold", explaining::share)?;
    options.requests = keywords.value("requests", inserting::count)?;
    options.preprocess = PreprocessOptions {
        preset: keywords.value("preset", FromStr::from_str)?,
        mean: keywords.list("mean", true, number)?,
        scale: keywords.list("scale", true, number)?,
        reverse_channels: keywords.flag("reverse_input_channels")?,
        layout: keywords.value("layout", Layout::from_str)?,
        resize: keywords.value("resize", FromStr::from_str)?,
        range: keywords.pair("input_range", "..", explaining::range)?,
        size: keywords.pair("input_size", "x", explaining::input_size)?,
        by_caller: false,
    };
    keywords.done()?;
    options.check().map_err(library)?;
    Ok(options)
}

/// Reads the options of checks.
pub(crate) fn verify_options(given: &Bound<'_, PyDict>) -> PyResult<VerifyOptions> {
    let mut keywords = Keywords::new(given)?;
    keywords.exclude("image", &["samples", "seed"])?;
    let mut options = VerifyOptions { runtime: runtime(&mut keywords)?, ..VerifyOptions::default() };
    options.weights = keywords.path("weights")?;
    options.image = keywords.path("image")?;
    set(&mut options.samples, keywords.value("samples", inserting::count)?);
    set(&mut options.seed, keywords.value("seed", whole)?);
    if let Some(text) = keywords.value("shape", as_it_is)? {
        options.shapes = ShapeOverride::parse_list(&text).map_err(library)?;
    }
    options.positions = keywords.value("positions", inserting::count)?;
    set(&mut options.precision, keywords.value("precision", FromStr::from_str)?);
    set(&mut options.bench, keywords.flag("bench")?);
    keywords.done()?;
    Ok(options)
}

/// How maps are drawn.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) weight: f32,
    pub(crate) colours: Colours,
    pub(crate) caption: bool,
}

impl Drawing {
    pub(crate) fn new(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut keywords = Keywords::new(given)?;
        let mut drawing = Self { weight: 0.5, colours: Colours::default(), caption: true };
        set(&mut drawing.weight, keywords.value("weight", explaining::share)?);
        set(&mut drawing.colours, keywords.value("colours", FromStr::from_str)?);
        set(&mut drawing.caption, keywords.flag("caption")?);
        keywords.done()?;
        Ok(drawing)
    }
}

fn runtime(keywords: &mut Keywords<'_>) -> PyResult<RuntimeOptions> {
    let mut options = RuntimeOptions { library: keywords.path("openvino_lib")?, ..RuntimeOptions::default() };
    set(&mut options.device, keywords.value("device", as_it_is)?);
    Ok(options)
}

/// Leaves the default where nothing is given.
fn set<T>(option: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *option = given;
    }
}

fn as_it_is(text: &str) -> Found<String> {
    Ok(text.to_owned())
}

fn whole<T: FromStr>(text: &str) -> Found<T> {
    text.trim().parse().map_err(|_| Error::usage("give a whole number of 0 or more"))
}

fn number(text: &str) -> Found<f32> {
    text.trim().parse().map_err(|_| Error::usage("give numbers"))
}
