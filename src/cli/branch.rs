//! Options that shape a branch: those of every program that inserts one.

use clap::Args;

use super::process::{Open, choice, choice_or_auto};
use crate::{Kernel, Options, Quantized, SaliencyType, Strategy, Task, options};

/// How a branch is built, methods and classes aside.
#[derive(Debug, Args)]
pub(super) struct BranchArgs {
    /// What the model does; auto decides from its outputs, and the report says why
    #[arg(long, default_value = "auto", value_parser = choice_or_auto::<Task>(), help_heading = "Branch")]
    task: Open<Task>,

    /// Output to explain, by tensor or layer name, where the model has several
    #[arg(long, value_name = "NAME", help_heading = "Branch")]
    pub(super) output: Option<String>,

    /// Layer (or tensor) whose positions are masked, instead of the one that is found; for detectors the class map
    /// of a scale, repeated for each
    #[arg(long, value_name = "NAME", help_heading = "Branch")]
    target_layer: Vec<String>,

    /// Detectors: anchors of each --target-layer, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = options::anchors, help_heading = "Branch")]
    num_anchors: Option<Vec<usize>>,

    /// Detectors: height and width of the maps
    #[arg(long, value_name = "HxW", default_value = "23x23", value_parser = options::saliency_size, help_heading = "Branch")]
    saliency_size: (usize, usize),

    /// vitreciprocam: mask the input of the K-th attention block from the end
    #[arg(
        long,
        value_name = "K",
        default_value_t = 1,
        conflicts_with = "target_layer",
        value_parser = options::count,
        help_heading = "Branch"
    )]
    block: usize,

    /// vitreciprocam: what a mask keeps, the 3x3 positions around one with Gaussian weights or that one alone
    #[arg(long, default_value = "gaussian", value_parser = choice::<Kernel>(), help_heading = "Branch")]
    mask: Kernel,

    /// vitreciprocam: blank class tokens (and registers) like everything else
    #[arg(long, help_heading = "Branch")]
    no_class_token: bool,

    /// Leave the scores as they are instead of scaling each map to 0..255 (needs --saliency-type f32)
    #[arg(long, help_heading = "Branch")]
    no_scaling: bool,

    /// Element type of the map; u8 is what xai-insert takes by itself, f32 what xai-explain does
    #[arg(long, value_parser = choice::<SaliencyType>(), help_heading = "Branch")]
    saliency_type: Option<SaliencyType>,

    /// Name of the new output
    #[arg(long, value_name = "NAME", default_value = "saliency_map", help_heading = "Branch")]
    pub(super) output_name: String,

    /// How the head is evaluated: auto takes the cheapest form that each operation allows
    #[arg(long, default_value = "auto", value_parser = choice::<Strategy>(), help_heading = "Branch")]
    lowering: Strategy,

    /// Models in INT8: smooth leaves the quantization of activations out of the branch, whose steps are larger than what
    /// masks differ by; exact keeps it
    #[arg(long, default_value = "smooth", value_parser = choice::<Quantized>(), help_heading = "Branch")]
    quantized: Quantized,

    /// Most memory that copies of activations may take, where copies are needed
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = options::byte_size, help_heading = "Branch")]
    memory_budget: u64,
}

impl BranchArgs {
    /// Options of the library; `saliency_type` where none is asked for.
    pub(super) fn options(&self, saliency_type: SaliencyType) -> Options {
        Options {
            task: self.task,
            output: self.output.clone(),
            target_layers: self.target_layer.clone(),
            anchors: self.num_anchors.clone(),
            saliency_size: self.saliency_size,
            block: self.block,
            kernel: self.mask,
            class_token: !self.no_class_token,
            scaling: !self.no_scaling,
            saliency_type: self.saliency_type.unwrap_or(saliency_type),
            output_name: self.output_name.clone(),
            strategy: self.lowering,
            quantized: self.quantized,
            memory_budget: self.memory_budget,
            ..Options::default()
        }
    }
}
