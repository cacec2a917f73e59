//! `xai-verify`: checks a model that xai-insert wrote against the model that it was made from.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::process::{interrupt, program};
use super::words::flag;
use crate::error::Result;
use crate::options::count;
use crate::runtime::RuntimeOptions;
use crate::verify::{Outcome, Precisions, Report, ShapeOverride, VerifyOptions, verify};

/// Checks a model with a saliency branch against the model that it was made from.
///
/// Structure: every byte of the original is still there. Outputs: both models give the same answers.
/// Saliency: the maps equal those of the method's definition, computed position by position on the
/// original. Meaning: what was explained is what the model answers. Place: maps lie where they say in the image.
/// Precision: how maps drift at the device's own precision, with --precision. Cost: latency of both, with --bench. All
/// but the first need OpenVINO.
///
/// Exit status: 0 where all is well, 1 where something is wrong, 2 where something could not be
/// checked, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "xai-verify", version, max_term_width = 100)]
pub(super) struct Args {
    /// The original (.xml)
    original: PathBuf,

    /// The model with the saliency branch (.xml)
    model: PathBuf,

    /// Run on this image (JPEG or PNG) in place of random inputs
    ///
    /// It is resized to the input and normalised as the model's `model_info` says; float inputs of
    /// models that say nothing get the usual ImageNet normalisation.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["samples", "seed"])]
    image: Option<PathBuf>,

    /// Sets of random inputs to run on
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,

    /// Seed of the random inputs
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Shapes of dynamic inputs: [1,3,224,224], or name[1,3,224,224],other[1,8]
    #[arg(long, value_name = "SHAPES")]
    shape: Option<String>,

    /// Compare maps at N positions, where the grid has more: corners, centre, largest and least values, others by chance
    ///
    /// A position costs an inference of the head. Scaled maps are then compared up to the ends of their scale.
    #[arg(long, value_name = "N", value_parser = count)]
    positions: Option<usize>,

    /// Weights of the original, where they are not beside it under its name
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Device to run on, as OpenVINO names it
    #[arg(long, default_value = "CPU")]
    device: String,

    /// OpenVINO's library (libopenvino_c) or a folder of an installation
    #[arg(long, value_name = "PATH")]
    openvino_lib: Option<PathBuf>,

    /// Look at maps in single precision (f32), at how they drift where the device computes as it does by default, or both
    #[arg(long, default_value = "f32", value_parser = precisions())]
    precision: Precisions,

    /// Measure the latency of both models
    #[arg(long)]
    bench: bool,

    /// Print a report for programs
    #[arg(long)]
    json: bool,
}

/// Reads a precision, and lists them in the help.
fn precisions() -> impl TypedValueParser<Value = Precisions> {
    PossibleValuesParser::new(["default", "f32", "both"]).try_map(|name| name.parse::<Precisions>())
}

/// Runs `xai-verify` on its name and arguments; returns the exit status.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    program(arguments, run)
}

impl Args {
    fn options(&self) -> Result<VerifyOptions> {
        let shapes = self.shape.as_deref().map(ShapeOverride::parse_list).transpose()?;
        Ok(VerifyOptions {
            runtime: RuntimeOptions {
                library: self.openvino_lib.clone(),
                device: self.device.clone(),
                ..RuntimeOptions::default()
            },
            weights: self.weights.clone(),
            image: self.image.clone(),
            samples: usize::try_from(self.samples).unwrap_or(usize::MAX),
            seed: self.seed,
            shapes: shapes.unwrap_or_default(),
            positions: self.positions,
            precision: self.precision,
            bench: self.bench,
            ..VerifyOptions::default()
        })
    }
}

fn run(args: &Args) -> anyhow::Result<u8> {
    let options = VerifyOptions { interrupt: interrupt()?, ..args.options()? };
    let report = verify(&args.original, &args.model, &options)?.in_words(flag);
    match print(&report, args.json) {
        // Whoever reads the output has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        other => other.context("cannot write to standard output")?,
    }
    Ok(match report.outcome {
        Outcome::Passed | Outcome::Skipped => 0,
        Outcome::Failed => 1,
        Outcome::NotChecked => 2,
    })
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}
