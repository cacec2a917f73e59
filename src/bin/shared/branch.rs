//! Options that shape a branch: those of every program that inserts one.

use clap::{Args, ValueEnum};
use xai_insert::{Kernel, Options, SaliencyType, Strategy, Task};

/// How a branch is built, methods and classes aside.
#[derive(Debug, Args)]
pub(crate) struct BranchArgs {
    /// What the model does; auto decides from its outputs, and the report says why
    #[arg(long, value_enum, default_value_t = TaskArg::Auto, help_heading = "Branch")]
    task: TaskArg,

    /// Output to explain, by tensor or layer name, where the model has several
    #[arg(long, value_name = "NAME", help_heading = "Branch")]
    pub(crate) output: Option<String>,

    /// Layer (or tensor) whose positions are masked, instead of the one that is found; for detectors the class map
    /// of a scale, repeated for each
    #[arg(long, value_name = "NAME", help_heading = "Branch")]
    target_layer: Vec<String>,

    /// Detectors: anchors of each --target-layer, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "target_layer", value_parser = parse_count, help_heading = "Branch")]
    num_anchors: Option<Vec<usize>>,

    /// Detectors: height and width of the maps
    #[arg(long, value_name = "HxW", default_value = "23x23", value_parser = parse_extents, help_heading = "Branch")]
    saliency_size: (usize, usize),

    /// vitreciprocam: mask the input of the K-th attention block from the end
    #[arg(
        long,
        value_name = "K",
        default_value_t = 1,
        conflicts_with = "target_layer",
        help_heading = "Branch"
    )]
    block: usize,

    /// vitreciprocam: what a mask keeps, the 3x3 positions around one with Gaussian weights or that one alone
    #[arg(long, value_enum, default_value_t = MaskArg::Gaussian, help_heading = "Branch")]
    mask: MaskArg,

    /// vitreciprocam: blank class tokens (and registers) like everything else
    #[arg(long, help_heading = "Branch")]
    no_class_token: bool,

    /// Leave the scores as they are instead of scaling each map to 0..255 (needs --saliency-type f32)
    #[arg(long, help_heading = "Branch")]
    no_scaling: bool,

    /// Element type of the map; u8 is what xai-insert takes by itself, f32 what xai-explain does
    #[arg(long, value_enum, help_heading = "Branch")]
    saliency_type: Option<TypeArg>,

    /// Name of the new output
    #[arg(long, value_name = "NAME", default_value = "saliency_map", help_heading = "Branch")]
    pub(crate) output_name: String,

    /// How the head is evaluated: auto takes the cheapest form that each operation allows
    #[arg(long, value_enum, default_value_t = LoweringArg::Auto, help_heading = "Branch")]
    lowering: LoweringArg,

    /// Most memory that copies of activations may take, where copies are needed
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_size, help_heading = "Branch")]
    memory_budget: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskArg {
    Auto,
    Classification,
    Detection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MaskArg {
    Gaussian,
    Single,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TypeArg {
    U8,
    F32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LoweringArg {
    Auto,
    Dense,
}

impl BranchArgs {
    /// Options of the library; `saliency_type` where none is asked for.
    pub(crate) fn options(&self, saliency_type: SaliencyType) -> Options {
        Options {
            task: match self.task {
                TaskArg::Auto => None,
                TaskArg::Classification => Some(Task::Classification),
                TaskArg::Detection => Some(Task::Detection),
            },
            output: self.output.clone(),
            target_layers: self.target_layer.clone(),
            anchors: self.num_anchors.clone(),
            saliency_size: self.saliency_size,
            block: self.block,
            kernel: match self.mask {
                MaskArg::Gaussian => Kernel::Gaussian,
                MaskArg::Single => Kernel::Single,
            },
            class_token: !self.no_class_token,
            scaling: !self.no_scaling,
            saliency_type: match self.saliency_type {
                None => saliency_type,
                Some(TypeArg::U8) => SaliencyType::U8,
                Some(TypeArg::F32) => SaliencyType::F32,
            },
            output_name: self.output_name.clone(),
            strategy: match self.lowering {
                LoweringArg::Auto => Strategy::Auto,
                LoweringArg::Dense => Strategy::Dense,
            },
            memory_budget: self.memory_budget,
            ..Options::default()
        }
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("give a number of 1 or more".to_owned()),
    }
}

/// More than any picture has, and few enough that a product is no problem.
const MOST_PIXELS: usize = 1 << 14;

fn parse_extents(text: &str) -> Result<(usize, usize), String> {
    let extent = |text: &str| text.trim().parse().ok().filter(|size| (1..=MOST_PIXELS).contains(size));
    let sides = text.split_once('x').and_then(|(height, width)| extent(height).zip(extent(width)));
    sides.ok_or_else(|| format!("give height and width, such as 23x23, of {MOST_PIXELS} or less each"))
}

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "give a number of bytes, with KiB, MiB or GiB after it if you like".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number * 2f64.powi(unit);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if bytes.is_finite() && bytes < 2f64.powi(63) { Ok(bytes as u64) } else { Err(wrong()) }
}
