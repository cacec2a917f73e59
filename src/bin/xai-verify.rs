//! Checks a model that xai-insert wrote against the model that it was made from.

// Documentation of arguments is their help text, where brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use xai_insert::runtime::RuntimeOptions;
use xai_insert::verify::{Outcome, Report, ShapeOverride, VerifyOptions, verify};

/// Checks a model with a saliency branch against the model that it was made from.
///
/// Structure: every byte of the original is still there. Outputs: both models give the same answers.
/// Saliency: the maps equal those of the method's definition, computed position by position on the
/// original. Cost: latency of both, with --bench. All but the first need OpenVINO.
///
/// Exit status: 0 where all is well, 1 where something is wrong, 2 where something could not be
/// checked.
#[derive(Debug, Parser)]
#[command(name = "xai-verify", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The original (.xml)
    pub(crate) original: PathBuf,

    /// The model with the saliency branch (.xml)
    pub(crate) model: PathBuf,

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

    /// Weights of the original, where they are not beside it under its name
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Device to run on, as OpenVINO names it
    #[arg(long, default_value = "CPU")]
    device: String,

    /// OpenVINO's library (libopenvino_c) or a folder of an installation
    #[arg(long, value_name = "PATH")]
    openvino_lib: Option<PathBuf>,

    /// Measure the latency of both models
    #[arg(long)]
    bench: bool,

    /// Print a report for programs
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    ExitCode::from(command(std::env::args_os()))
}

/// Runs the command on its name and arguments; returns the exit status.
pub(crate) fn command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // There is nowhere left to complain where standard error is closed.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match run(&arguments) {
        Ok(Outcome::Passed) => 0,
        Ok(Outcome::Failed) => 1,
        Ok(Outcome::NotChecked) => 2,
        Err(error) => {
            let _ = writeln!(io::stderr(), "xai-verify: {error:#}");
            2
        }
    }
}

impl Arguments {
    pub(crate) fn options(&self) -> anyhow::Result<VerifyOptions> {
        let shapes = self.shape.as_deref().map(ShapeOverride::parse_list).transpose()?;
        Ok(VerifyOptions {
            runtime: RuntimeOptions { library: self.openvino_lib.clone(), device: self.device.clone() },
            weights: self.weights.clone(),
            image: self.image.clone(),
            samples: usize::try_from(self.samples)?,
            seed: self.seed,
            shapes: shapes.unwrap_or_default(),
            bench: self.bench,
            ..VerifyOptions::default()
        })
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let report = verify(&arguments.original, &arguments.model, &arguments.options()?)?;
    match print(&report, arguments.json) {
        // Whoever reads the output has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        other => other.context("cannot write to standard output")?,
    }
    Ok(report.outcome)
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
