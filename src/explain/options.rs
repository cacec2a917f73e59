//! What to explain, and how; and these options as texts, for the command line and for Python.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::black_box::{AiseOptions, Effort, RiseDivisor, RiseOptions};
use super::names::Targets;
use super::picture::Colours;
use super::scores::{OutputActivation, ScoreFunction};
use crate::error::{Error, Result};
use crate::ir::{ImageLayout as Layout, Resize};
use crate::message::{Setting, message};
use crate::methods::{Method, SaliencyType};
use crate::options::Options;
pub use crate::options::count;
use crate::options::{Choice, choice, or_auto};
use crate::preprocess::{PreprocessOptions, Preset};
use crate::runtime::RuntimeOptions;

/// Whether the model is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mode {
    /// White box where that is possible, else black box.
    #[default]
    Auto,
    /// Only with a branch in the model.
    WhiteBox,
    /// Only by running the model.
    BlackBox,
}

/// A black-box method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BlackBox {
    /// Random masks (arXiv 1806.07421).
    Rise,
    /// Gaussian windows, placed by a global search.
    Aise,
}

choice!(Mode: Auto "auto", WhiteBox "white-box", BlackBox "black-box");
choice!(BlackBox: Rise "rise", Aise "aise");
choice!(RiseDivisor: Coverage "coverage", Expectation "expectation");
choice!(Effort: Speed "speed", Balance "balance", Quality "quality");
choice!(Preset: Imagenet "imagenet", None "none");
choice!(OutputActivation: Softmax "softmax", Sigmoid "sigmoid", Hierarchical "hierarchical", None "none");
choice!(Colours: Viridis "viridis", Cividis "cividis", Turbo "turbo", Jet "jet");
choice!(Resize: Standard "standard", FitToWindow "fit_to_window",
    FitToWindowLetterbox "fit_to_window_letterbox", Crop "crop");

impl BlackBox {
    /// The name that the literature uses.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rise => "RISE",
            Self::Aise => "AISE",
        }
    }
}

/// What to explain, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainOptions {
    /// The runtime and its device.
    pub runtime: RuntimeOptions,
    /// BIN of the model, where it is not named like the XML.
    pub weights: Option<PathBuf>,
    /// Whether the model is looked into.
    pub mode: Mode,
    /// The branch of white-box mode; its classes are those of the maps, not of the targets.
    pub branch: Options,
    /// A black-box method; implies that mode.
    pub black_box: Option<BlackBox>,
    /// How much work black-box methods do.
    pub effort: Effort,
    /// How RISE samples.
    pub rise: RiseOptions,
    /// How AISE searches.
    pub aise: AiseOptions,
    /// What is done to photos, where the model does not say it.
    pub preprocess: PreprocessOptions,
    /// What turns the output into scores, where the graph is not to be asked.
    pub activation: Option<OutputActivation>,
    /// The classes to explain.
    pub targets: Targets,
    /// A file with a class name on each line, in place of the model's own.
    pub labels: Option<PathBuf>,
    /// Makes class scores of the outputs, in place of what is found in the model.
    pub score_function: Option<ScoreFunction>,
    /// Score from which a detector's box counts as found, or a class that stands for itself as predicted; as the model's
    /// `model_info` says where absent, else 0.5.
    pub threshold: Option<f32>,
    /// Inferences at the same time; the device's choice where absent.
    pub requests: Option<usize>,
    /// Whether many inferences are to come, so that throughput counts and not latency. Black-box modes set it
    /// themselves.
    pub many: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            runtime: RuntimeOptions::default(),
            weights: None,
            mode: Mode::default(),
            branch: Options { saliency_type: SaliencyType::F32, ..Options::default() },
            black_box: None,
            effort: Effort::default(),
            rise: RiseOptions::default(),
            aise: AiseOptions::default(),
            preprocess: PreprocessOptions::default(),
            activation: None,
            targets: Targets::default(),
            labels: None,
            score_function: None,
            threshold: None,
            requests: None,
            many: false,
        }
    }
}

impl ExplainOptions {
    /// Takes a method; one of a branch asks for white-box mode, unless another mode is asked for already.
    pub fn choose(&mut self, method: AnyMethod) {
        match method {
            AnyMethod::WhiteBox(method) => {
                self.branch.method = Some(method);
                if self.mode == Mode::Auto {
                    self.mode = Mode::WhiteBox;
                }
            }
            AnyMethod::BlackBox(method) => self.black_box = Some(method),
        }
    }

    /// Whether they agree with each other, as far as that can be said without a model.
    ///
    /// # Errors
    /// [`Error::Usage`] with what contradicts what.
    pub fn check(&self) -> Result<()> {
        if let (Mode::WhiteBox, Some(method)) = (self.mode, self.black_box) {
            return Err(Error::usage(message![Setting::Method.to(method.name()), " is a black-box method"]));
        }
        if let (Mode::BlackBox, Some(method)) = (self.mode, self.branch.method) {
            return Err(Error::usage(message![Setting::Method.to(method.name()), " is a white-box method"]));
        }
        if self.rise.probability == 0.0 {
            return Err(Error::usage(message![Setting::Probability.to(0), " would hide everything"]));
        }
        let PreprocessOptions { preset, mean, scale, .. } = &self.preprocess;
        if preset.is_some() && (mean.is_some() || scale.is_some()) {
            return Err(Error::usage(message![
                Setting::Preset,
                " stands in place of ",
                Setting::Mean,
                " and ",
                Setting::Scale
            ]));
        }
        self.branch.check()
    }
}

/// A method of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnyMethod {
    /// A branch in the model.
    WhiteBox(Method),
    /// Parts of the photo are hidden.
    BlackBox(BlackBox),
}

impl Choice for AnyMethod {
    const ALL: &'static [Self] = &[
        Self::WhiteBox(Method::ReciproCam),
        Self::WhiteBox(Method::VitReciproCam),
        Self::WhiteBox(Method::ActivationMap),
        Self::WhiteBox(Method::ClassProbabilityMap),
        Self::BlackBox(BlackBox::Rise),
        Self::BlackBox(BlackBox::Aise),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::WhiteBox(method) => method.name(),
            Self::BlackBox(method) => method.name(),
        }
    }
}

impl FromStr for AnyMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::chosen(name)
    }
}

/// A method of either kind, or `None` for `auto`.
///
/// # Errors
/// [`Error::Usage`] with all names.
pub fn method(name: &str) -> Result<Option<AnyMethod>> {
    or_auto(name)
}

/// What turns an output into scores, or `None` for `auto`.
///
/// # Errors
/// [`Error::Usage`] with all names.
pub fn activation(name: &str) -> Result<Option<OutputActivation>> {
    or_auto(name)
}

impl FromStr for Layout {
    type Err = Error;

    /// As [`Layout::named`].
    fn from_str(text: &str) -> Result<Self> {
        Self::named(text).ok_or_else(|| Error::usage("give NCHW or NHWC"))
    }
}

/// More than ever helped, and few enough that all their scores are kept.
const MOST_MASKS: usize = 1_000_000;

/// A number of masks.
///
/// # Errors
/// [`Error::Usage`] for anything else, for 0 and for more than a million.
pub fn masks(text: &str) -> Result<usize> {
    let masks = count(text).ok().filter(|count| *count <= MOST_MASKS);
    masks.ok_or_else(|| Error::usage(format!("give a number of 1 to {MOST_MASKS}")))
}

/// A share or a probability: 0 to 1.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn share(text: &str) -> Result<f32> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| Error::usage("give a number from 0 to 1"))
}

/// Two finite numbers that differ, `0..1`.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn range(text: &str) -> Result<(f32, f32)> {
    let ends = text.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    let fits = |ends: &(f32, f32)| ends.0.is_finite() && ends.1.is_finite() && ends.0 != ends.1;
    ends.filter(fits).ok_or_else(|| Error::usage("give two numbers, such as 0..1"))
}

/// Height and width of an input, `224x224`.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn input_size(text: &str) -> Result<(usize, usize)> {
    let sides =
        text.split_once('x').and_then(|(height, width)| Some((count(height).ok()?, count(width).ok()?)));
    sides.ok_or_else(|| Error::usage("give height and width, such as 224x224"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_named_is_wanted() {
        let chosen = |mode, name: &str| {
            let mut options = ExplainOptions { mode, ..ExplainOptions::default() };
            options.choose(name.parse().unwrap());
            options
        };
        assert_eq!(chosen(Mode::Auto, "reciprocam").mode, Mode::WhiteBox);
        assert_eq!(chosen(Mode::Auto, "rise").mode, Mode::Auto);
        for (mode, name) in [(Mode::BlackBox, "activationmap"), (Mode::WhiteBox, "aise")] {
            let error = chosen(mode, name).check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`method: {name}` is a ")), "{error}");
        }
        chosen(Mode::BlackBox, "rise").check().unwrap();
    }

    #[test]
    fn every_method_of_a_branch_is_a_method_of_explanations() {
        let found = |method| AnyMethod::ALL.contains(&AnyMethod::WhiteBox(method));
        assert!(Method::ALL.into_iter().all(found));
        assert!(BlackBox::ALL.iter().all(|method| AnyMethod::ALL.contains(&AnyMethod::BlackBox(*method))));
        assert!(Resize::ALL.iter().all(|mode| Choice::name(*mode) == mode.name()));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(share("0.25").unwrap(), 0.25);
        assert_eq!(range("-1..1").unwrap(), (-1.0, 1.0));
        assert_eq!(input_size("224x160").unwrap(), (224, 160));
        assert!(
            share("1.5").is_err() && share("NaN").is_err() && range("1..1").is_err() && range("0").is_err()
        );
        assert!(masks("0").is_err() && masks("1000001").is_err() && input_size("0x3").is_err());
    }

    #[test]
    fn a_preset_stands_alone() {
        let mut options = ExplainOptions::default();
        options.preprocess.preset = Some(Preset::Imagenet);
        options.check().unwrap();
        options.preprocess.mean = Some(vec![1.0]);
        assert!(options.check().is_err());
    }
}
