//! The command line.

use std::path::PathBuf;

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum};
use xai_insert::explain::picture::Colours;
use xai_insert::explain::{
    Activation, AiseOptions, BlackBox, Effort, ExplainOptions, Layout, Mode, PreprocessOptions, Preset,
    Resize, RiseOptions, Targets, Wanted,
};
use xai_insert::runtime::RuntimeOptions;
use xai_insert::{Method, Options, SaliencyType};

use super::branch::BranchArgs;

/// Shows what a vision model looked at: from photos to pictures.
///
/// White box: the branch that xai-insert adds is put into the model in memory, and gives the maps within the same
/// inference. Black box, for all other models and files that OpenVINO reads: parts of the photo are hidden, and the
/// scores watched. OpenVINO has to be installed.
#[derive(Debug, Parser)]
#[command(name = "xai-explain", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// The model: OpenVINO IR (.xml), or another file that OpenVINO reads, such as .onnx
    pub(crate) model: PathBuf,

    /// Photos, and folders of photos
    #[arg(required = true, value_name = "PHOTO")]
    pub(crate) photos: Vec<PathBuf>,

    /// Folder for pictures and the gallery, index.html
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Replace files that are there
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// The model's BIN, where it is not beside the XML
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Whether the model is looked into; auto goes on as a black box where no branch fits
    #[arg(long, value_enum, default_value_t = ModeArg::Auto, help_heading = "Method")]
    mode: ModeArg,

    /// Saliency method; auto is what xai-insert chooses, or aise as a black box
    #[arg(long, value_name = "METHOD", default_value = "auto", value_parser = methods(), help_heading = "Method")]
    method: String,

    /// Black box: how many inferences are spent
    #[arg(long, value_enum, default_value_t = EffortArg::Balance, help_heading = "Method")]
    effort: EffortArg,

    /// RISE: number of masks, in place of the effort's 1000, 5000 or 10000
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = masks)]
    masks: Option<usize>,

    /// RISE: cells along each side of a mask, in place of the effort's 4, 8 or 12
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = count)]
    cells: Option<usize>,

    /// RISE: probability that a cell is kept
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability, help_heading = "Method")]
    probability: f32,

    /// RISE: same seed, same map
    #[arg(long, value_name = "S", default_value_t = 0, help_heading = "Method")]
    seed: u64,

    /// AISE: positions for each kernel width, in place of the effort's 20 or 50
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = count)]
    iterations: Option<usize>,

    /// Classes to explain: pred, topK, all, or indices and names with commas between (may be given several times)
    #[arg(long, value_name = "pred|topK|all|LIST", default_value = "pred", help_heading = "Scores")]
    targets: Vec<String>,

    /// Class names, one on each line, in place of those in the model's model_info
    #[arg(long, value_name = "FILE", help_heading = "Scores")]
    labels: Option<PathBuf>,

    /// What turns the output into scores; auto: nothing where the graph ends in softmax or sigmoid, else softmax
    #[arg(long, value_enum, default_value_t = ActivationArg::Auto, help_heading = "Scores")]
    activation: ActivationArg,

    /// Detectors: score from which an object counts
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability, help_heading = "Scores")]
    threshold: f32,

    /// A known normalisation, in place of the one in model_info
    #[arg(long, value_enum, conflicts_with_all = ["mean", "scale"], help_heading = "Preprocessing")]
    preset: Option<PresetArg>,

    /// Subtracted from pixels: one number or one for each channel of the model
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Preprocessing"
    )]
    mean: Option<Vec<f32>>,

    /// What pixels are divided by, after that
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Preprocessing")]
    scale: Option<Vec<f32>>,

    /// What black and white are before mean and scale
    #[arg(long, value_name = "LO..HI", value_parser = range, allow_hyphen_values = true, help_heading = "Preprocessing")]
    input_range: Option<(f32, f32)>,

    /// The model takes blue first (--reverse-input-channels=false: red first, whatever model_info says)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Preprocessing")]
    reverse_input_channels: Option<bool>,

    /// Order of the input's axes
    #[arg(long, value_name = "NCHW|NHWC", value_parser = layout, help_heading = "Preprocessing")]
    layout: Option<Layout>,

    /// How a photo gets the input's size: stretched; fitted at the top left or in the middle, padded; or cropped
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(Resize::ALL.map(Resize::name)), help_heading = "Preprocessing")]
    resize: Option<String>,

    /// Size of the input, where the model leaves it open [default: 224x224]
    #[arg(long, value_name = "HxW", value_parser = size, help_heading = "Preprocessing")]
    input_size: Option<(usize, usize)>,

    /// Colours of maps; jet is a rainbow, the others are perceptually uniform
    #[arg(long, value_enum, default_value_t = ColoursArg::Viridis, help_heading = "Pictures")]
    colours: ColoursArg,

    /// Share of the heatmap in overlays
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = probability, help_heading = "Pictures")]
    pub(crate) overlay_weight: f32,

    /// No label and score on overlays
    #[arg(long, help_heading = "Pictures")]
    pub(crate) no_caption: bool,

    /// No index.html
    #[arg(long, help_heading = "Pictures")]
    pub(crate) no_gallery: bool,

    /// Write each map as .npy too, as the method gives it, and a JSON with scores for each photo
    #[arg(long, help_heading = "Reports")]
    pub(crate) raw: bool,

    /// Draw coarse maps in the terminal
    #[arg(long, help_heading = "Reports")]
    pub(crate) ascii: bool,

    /// Measure maps: insertion and deletion AUC, ADCC and its parts, pointing game with --boxes
    #[arg(long, help_heading = "Reports")]
    pub(crate) metrics: bool,

    /// COCO-style JSON with boxes for the pointing game
    #[arg(long, value_name = "FILE", requires = "metrics", help_heading = "Reports")]
    pub(crate) boxes: Option<PathBuf>,

    /// Draw and measure this map (.npy, [height, width] over the model's input) in place of the method's
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) map: Option<PathBuf>,

    /// Print a report for programs: JSON, a line for each photo
    #[arg(long, conflicts_with = "ascii", help_heading = "Reports")]
    pub(crate) json: bool,

    #[command(flatten)]
    branch: BranchArgs,

    /// Device to run on, as OpenVINO names it
    #[arg(long, default_value = "CPU", help_heading = "Runtime")]
    device: String,

    /// Inferences at the same time, in place of the device's choice
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Runtime")]
    requests: Option<usize>,

    /// OpenVINO's library (libopenvino_c) or a folder of an installation
    #[arg(long, value_name = "PATH", help_heading = "Runtime")]
    openvino_lib: Option<PathBuf>,
}

const AFTER_HELP: &str = "Exit status: 0 all photos are explained, 1 no white-box method fits (--mode white-box), \
2 bad input or options (other photos are explained all the same), 130 interrupted (finished pictures stay).";

macro_rules! values {
    ($name:ident: $($value:ident),+ => $theirs:ty) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        enum $name { $($value),+ }

        impl From<$name> for $theirs {
            fn from(value: $name) -> Self {
                match value { $($name::$value => Self::$value),+ }
            }
        }
    };
}

values!(ModeArg: Auto, WhiteBox, BlackBox => Mode);
values!(EffortArg: Speed, Balance, Quality => Effort);
values!(PresetArg: Imagenet, None => Preset);
values!(ColoursArg: Viridis, Cividis, Turbo, Jet => Colours);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationArg {
    Auto,
    Softmax,
    Sigmoid,
    None,
}

fn methods() -> PossibleValuesParser {
    let white = Method::ALL.map(Method::name);
    PossibleValuesParser::new([&["auto"], &white[..], &["rise", "aise"]].concat())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "give a number of at least 1".to_owned())
}

/// More than ever helped, and few enough that all their scores are kept.
const MOST_MASKS: usize = 1_000_000;

fn masks(text: &str) -> Result<usize, String> {
    count(text)
        .ok()
        .filter(|count| *count <= MOST_MASKS)
        .ok_or_else(|| format!("give a number of 1 to {MOST_MASKS}"))
}

fn probability(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    number.ok_or_else(|| "give a number between 0 and 1".to_owned())
}

fn range(text: &str) -> Result<(f32, f32), String> {
    let ends = text.split_once("..").and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    let fits = |ends: &(f32, f32)| ends.0.is_finite() && ends.1.is_finite() && ends.0 != ends.1;
    ends.filter(fits).ok_or_else(|| "give two numbers, such as 0..1".to_owned())
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let sides =
        text.split_once('x').and_then(|(height, width)| Some((count(height).ok()?, count(width).ok()?)));
    sides.ok_or_else(|| "give height and width, such as 224x224".to_owned())
}

fn layout(text: &str) -> Result<Layout, String> {
    Layout::named(text).ok_or_else(|| "give NCHW or NHWC".to_owned())
}

impl Args {
    pub(crate) fn colours(&self) -> Colours {
        self.colours.into()
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.out.is_none() && !self.ascii && !self.json && !self.metrics {
            bail!("say where to write with -o DIR, or use --ascii, --json or --metrics");
        }
        if self.raw && self.out.is_none() {
            bail!("--raw needs a folder to write to: -o DIR");
        }
        if self.probability == 0.0 {
            bail!("--probability 0 would hide everything");
        }
        Ok(())
    }

    /// Options of the library; `many`: there are several photos.
    pub(crate) fn options(&self, many: bool) -> anyhow::Result<ExplainOptions> {
        let black_box = match self.method.as_str() {
            "rise" => Some(BlackBox::Rise),
            "aise" => Some(BlackBox::Aise),
            _ => None,
        };
        let mode = Mode::from(self.mode);
        if mode == Mode::WhiteBox && black_box.is_some() {
            bail!("--method {} is a black-box method", self.method);
        }
        let method = Method::named(&self.method);
        if mode == Mode::BlackBox && method.is_some() {
            bail!("--method {} is a white-box method", self.method);
        }
        Ok(ExplainOptions {
            runtime: RuntimeOptions { library: self.openvino_lib.clone(), device: self.device.clone() },
            weights: self.weights.clone(),
            // Whoever names a method wants that one.
            mode: if method.is_some() { Mode::WhiteBox } else { mode },
            branch: Options { method, ..self.branch.options(SaliencyType::F32) },
            black_box,
            effort: self.effort.into(),
            rise: RiseOptions {
                masks: self.masks,
                cells: self.cells,
                probability: self.probability,
                seed: self.seed,
            },
            aise: AiseOptions { iterations: self.iterations },
            preprocess: PreprocessOptions {
                preset: self.preset.map(Preset::from),
                mean: self.mean.clone(),
                scale: self.scale.clone(),
                reverse_channels: self.reverse_input_channels,
                layout: self.layout,
                resize: self.resize.as_deref().and_then(Resize::named),
                range: self.input_range,
                size: self.input_size,
                by_caller: false,
            },
            activation: match self.activation {
                ActivationArg::Auto => None,
                ActivationArg::Softmax => Some(Activation::Softmax),
                ActivationArg::Sigmoid => Some(Activation::Sigmoid),
                ActivationArg::None => Some(Activation::None),
            },
            targets: Targets::all_of(self.targets.iter().cloned().map(Wanted::Text))?,
            labels: self.labels.clone(),
            score_function: None,
            threshold: self.threshold,
            requests: self.requests,
            many: many || self.metrics,
        })
    }
}
