//! Arguments of `xai-explain`.

use std::path::PathBuf;
use std::str::FromStr as _;

use anyhow::bail;
use clap::Parser;

use crate::cli::branch::BranchArgs;
use crate::cli::process::{Open, choice, choice_or_auto};
use crate::error::Result;
use crate::explain::picture::Colours;
use crate::explain::{
    AiseOptions, AnyMethod, Effort, ExplainOptions, Layout, Mode, OutputActivation, PreprocessOptions,
    Preset, Resize, RiseDivisor, RiseOptions, Targets, Wanted, options,
};
use crate::message::Message;
use crate::methods::SaliencyType;
use crate::runtime::RuntimeOptions;

/// Shows what a vision model looked at: from photos to pictures.
///
/// White box: the branch that xai-insert adds is put into the model in memory, and gives the maps within the same
/// inference; files of other formats are converted first, where OpenVINO's ovc is there. Black box, for all other models:
/// parts of the photo are hidden, and the scores watched. OpenVINO has to be installed.
#[derive(Debug, Parser)]
#[command(name = "xai-explain", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(in crate::cli) struct Args {
    /// The model: OpenVINO IR (.xml), or another file that OpenVINO converts or reads, such as .onnx
    pub(super) model: PathBuf,

    /// Photos, and folders of photos
    #[arg(required = true, value_name = "PHOTO")]
    pub(super) photos: Vec<PathBuf>,

    /// Folder for pictures and the gallery, index.html
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Replace files that are there
    #[arg(long)]
    pub(super) overwrite: bool,

    /// The IR's BIN, where it is not beside the XML
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Whether the model is looked into; auto goes on as a black box where no branch fits
    #[arg(long, default_value = "auto", value_parser = choice::<Mode>(), help_heading = "Method")]
    mode: Mode,

    /// Saliency method; auto is what xai-insert chooses, or aise as a black box
    #[arg(long, value_name = "METHOD", default_value = "auto", value_parser = choice_or_auto::<AnyMethod>(), help_heading = "Method")]
    method: Open<AnyMethod>,

    /// Black box: how many inferences are spent
    #[arg(long, default_value = "balance", value_parser = choice::<Effort>(), help_heading = "Method")]
    effort: Effort,

    /// RISE: number of masks, in place of the effort's 1000, 5000 or 10000
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = options::masks)]
    masks: Option<usize>,

    /// RISE: cells along each side of a mask, in place of the effort's 4, 8 or 12
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = options::count)]
    cells: Option<usize>,

    /// RISE: probability that a cell is kept
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = options::share, help_heading = "Method")]
    probability: f32,

    /// RISE: same seed, same map
    #[arg(long, value_name = "S", default_value_t = 0, help_heading = "Method")]
    seed: u64,

    /// RISE: what sums are divided by: how often each pixel was kept, or how often it is on average, as in the paper
    #[arg(long, default_value = "coverage", value_parser = choice::<RiseDivisor>(), help_heading = "Method")]
    divisor: RiseDivisor,

    /// AISE: positions for each kernel width, in place of the effort's 20 or 50
    #[arg(long, value_name = "N", help_heading = "Method", value_parser = options::count)]
    iterations: Option<usize>,

    /// Classes to explain: pred, topK, all, or indices and names with commas between (may be given several times)
    #[arg(long, value_name = "pred|topK|all|LIST", default_value = "pred", help_heading = "Scores")]
    targets: Vec<String>,

    /// Class names, one on each line, in place of those in the model's model_info
    #[arg(long, value_name = "FILE", help_heading = "Scores")]
    labels: Option<PathBuf>,

    /// What turns the output into scores; auto: nothing where the graph ends in softmax or sigmoid or there is one
    /// number, else what model_info says, else softmax
    #[arg(long, default_value = "auto", value_parser = choice_or_auto::<OutputActivation>(), help_heading = "Scores")]
    activation: Open<OutputActivation>,

    /// Score from which an object of a detector counts, or a class that stands for itself [default: model_info's, else 0.5]
    #[arg(long, value_name = "P", value_parser = options::share, help_heading = "Scores")]
    threshold: Option<f32>,

    /// A known normalisation, in place of the one in model_info
    #[arg(long, value_parser = choice::<Preset>(), conflicts_with_all = ["mean", "scale"], help_heading = "Preprocessing")]
    preset: Option<Preset>,

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
    #[arg(long, value_name = "LO..HI", value_parser = options::range, allow_hyphen_values = true, help_heading = "Preprocessing")]
    input_range: Option<(f32, f32)>,

    /// The model takes blue first (--reverse-input-channels=false: red first, whatever model_info says)
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Preprocessing")]
    reverse_input_channels: Option<bool>,

    /// Order of the input's axes
    #[arg(long, value_name = "NCHW|NHWC", value_parser = Layout::from_str, help_heading = "Preprocessing")]
    layout: Option<Layout>,

    /// How a photo gets the input's size: stretched; fitted at the top left or in the middle, padded; or cropped
    #[arg(long, value_name = "MODE", value_parser = choice::<Resize>(), help_heading = "Preprocessing")]
    resize: Option<Resize>,

    /// Size of the input, where the model leaves it open [default: 224x224]
    #[arg(long, value_name = "HxW", value_parser = options::input_size, help_heading = "Preprocessing")]
    input_size: Option<(usize, usize)>,

    /// Colours of maps; jet is a rainbow, the others are perceptually uniform
    #[arg(long, default_value = "viridis", value_parser = choice::<Colours>(), help_heading = "Pictures")]
    pub(super) colours: Colours,

    /// Share of the heatmap in overlays
    #[arg(long, value_name = "SHARE", default_value_t = WEIGHT, value_parser = options::share, help_heading = "Pictures")]
    pub(super) overlay_weight: f32,

    /// No label and score on overlays
    #[arg(long, help_heading = "Pictures")]
    pub(super) no_caption: bool,

    /// No index.html
    #[arg(long, help_heading = "Pictures")]
    pub(super) no_gallery: bool,

    /// Write each map as .npy too, as the method gives it, and a JSON with scores for each photo
    #[arg(long, help_heading = "Reports")]
    pub(super) raw: bool,

    /// Draw coarse maps in the terminal
    #[arg(long, help_heading = "Reports")]
    pub(super) ascii: bool,

    /// Measure maps: insertion and deletion AUC, ADCC and its parts, pointing game with --boxes
    #[arg(long, help_heading = "Reports")]
    pub(super) metrics: bool,

    /// COCO-style JSON with boxes for the pointing game
    #[arg(long, value_name = "FILE", requires = "metrics", help_heading = "Reports")]
    pub(super) boxes: Option<PathBuf>,

    /// Draw and measure this map (.npy, [height, width] over the model's input) in place of the method's
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(super) map: Option<PathBuf>,

    /// Print a report for programs: JSON, a line for each photo
    #[arg(long, conflicts_with = "ascii", help_heading = "Reports")]
    pub(super) json: bool,

    #[command(flatten)]
    branch: BranchArgs,

    /// Device to run on, as OpenVINO names it
    #[arg(long, default_value = "CPU", help_heading = "Runtime")]
    device: String,

    /// Inferences at the same time, in place of the device's choice
    #[arg(long, value_name = "N", value_parser = options::count, help_heading = "Runtime")]
    requests: Option<usize>,

    /// OpenVINO's library (libopenvino_c) or a folder of an installation
    #[arg(long, value_name = "PATH", help_heading = "Runtime")]
    openvino_lib: Option<PathBuf>,
}

/// Share of the heatmap in overlays where nothing else is said.
const WEIGHT: f32 = 0.5;

const AFTER_HELP: &str = "Exit status: 0 all photos are explained, 1 no method fits the model, \
2 bad input or options (other photos are explained all the same), 130 interrupted (finished pictures stay).";

impl Args {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.out.is_none() && !self.ascii && !self.json && !self.metrics {
            bail!("say where to write with -o DIR, or use --ascii, --json or --metrics");
        }
        if self.raw && self.out.is_none() {
            bail!("--raw needs a folder to write to: -o DIR");
        }
        self.options(false)?.check()?;
        Ok(())
    }

    /// A note for each flag of pictures that was changed where none are drawn.
    pub(super) fn without_effect(&self) -> Vec<Message> {
        let drawn = self.out.is_some();
        let uses = [
            ("--colours", self.colours != Colours::default()),
            ("--overlay-weight", (self.overlay_weight - WEIGHT).abs() > 0.0),
            ("--no-caption", self.no_caption),
            ("--no-gallery", self.no_gallery),
            ("--overwrite", self.overwrite),
        ];
        let idle = uses.into_iter().filter(|(_, given)| *given && !drawn);
        idle.map(|(flag, _)| format!("{flag} has no effect: nothing is drawn without -o DIR").into())
            .collect()
    }

    /// Options of the library; `many`: there are several photos.
    pub(super) fn options(&self, many: bool) -> Result<ExplainOptions> {
        let mut options = ExplainOptions {
            runtime: RuntimeOptions {
                library: self.openvino_lib.clone(),
                device: self.device.clone(),
                ..RuntimeOptions::default()
            },
            weights: self.weights.clone(),
            mode: self.mode,
            branch: self.branch.options(SaliencyType::F32),
            black_box: None,
            effort: self.effort,
            rise: RiseOptions {
                masks: self.masks,
                cells: self.cells,
                probability: self.probability,
                seed: self.seed,
                divisor: self.divisor,
            },
            aise: AiseOptions { iterations: self.iterations },
            preprocess: PreprocessOptions {
                preset: self.preset,
                mean: self.mean.clone(),
                scale: self.scale.clone(),
                reverse_channels: self.reverse_input_channels,
                layout: self.layout,
                resize: self.resize,
                range: self.input_range,
                size: self.input_size,
                by_caller: false,
            },
            activation: self.activation,
            targets: Targets::all_of(self.targets.iter().cloned().map(Wanted::Text))?,
            labels: self.labels.clone(),
            score_function: None,
            threshold: self.threshold,
            requests: self.requests,
            many: many || self.metrics,
        };
        if let Some(method) = self.method {
            options.choose(method);
        }
        Ok(options)
    }
}
