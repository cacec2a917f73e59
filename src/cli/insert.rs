//! `xai-insert`: adds a saliency map output to models in OpenVINO IR.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use serde_json::json;

use super::branch::BranchArgs;
use super::process::{Open, choice_or_auto, complain, interrupt, program, said};
use super::words::flag;
use crate::report::HeadReport;
use crate::{
    CandidateReport, Classes, Destination, Error, FEATURE_VECTOR, Given, InputShape, Insertion, Interrupt,
    Listed, Method, Model, Options, Outcome, PendingFile, Report, SaliencyType, options,
};

/// Adds a saliency map output to vision models in OpenVINO IR.
///
/// Reads model.xml and model.bin, finds the logits and the target layer, appends a branch that computes the
/// saliency map within the same inference, and writes a new IR: the original outputs as they were, then saliency_map.
#[derive(Debug, Parser)]
#[command(name = "xai-insert", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Args {
    /// Models to read (XML; the BIN is looked for beside it)
    #[arg(required = true, value_name = "MODEL.xml")]
    models: Vec<PathBuf>,

    /// Where to write the new model; its BIN goes beside it
    #[arg(short, long, value_name = "OUT.xml", conflicts_with = "out_dir")]
    output_file: Option<PathBuf>,

    /// Folder to write to, under the models' own names
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,

    /// Replace the output if it is there
    #[arg(long)]
    overwrite: bool,

    /// The model's BIN, where it is not beside the XML
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Take out a branch that xai-insert added: restores the original files byte for byte
    #[arg(long, conflicts_with_all = ["dump", "list_targets"])]
    remove: bool,

    #[command(flatten)]
    branch: BranchArgs,

    /// Saliency method; auto is classprobabilitymap for detectors; else vitreciprocam where a class token is read behind the last attention, else reciprocam
    #[arg(long, default_value = "auto", value_parser = choice_or_auto::<Method>(), help_heading = "Branch")]
    method: Open<Method>,

    /// Classes that get a map: all, topK (such as top5, the best of each image), or indices (281,282)
    #[arg(long, value_name = "all|topK|LIST", default_value = "all", value_parser = Classes::from_str, help_heading = "Branch")]
    targets: Classes,

    /// Input whose part in the output is explained, by tensor or layer name, where several are images
    #[arg(long, value_name = "NAME", help_heading = "Branch")]
    input: Option<String>,

    /// Shapes of inputs to read the model under, where the file leaves them open: [?,3,224,224], or
    /// name[?,3,224,224],other[1,8]; the file keeps its own
    #[arg(long, value_name = "SHAPES", help_heading = "Branch")]
    input_shape: Option<String>,

    /// Give the file the shapes of --input-shape
    #[arg(long, requires = "input_shape", help_heading = "Branch")]
    reshape: bool,

    /// Rows and columns of an input that holds patches [N, patches, values], row by row
    #[arg(long, value_name = "HxW", value_parser = options::saliency_size, help_heading = "Branch")]
    grid: Option<(usize, usize)>,

    /// Also add the output feature_vector [N,C]: the target's mean over positions
    #[arg(long, help_heading = "Branch")]
    feature_vector: bool,

    /// Name of that output
    #[arg(long, value_name = "NAME", default_value = FEATURE_VECTOR, help_heading = "Branch")]
    feature_vector_name: String,

    /// Do everything but write
    #[arg(long, help_heading = "Reports")]
    dry_run: bool,

    /// Print a report for programs on standard output: a JSON object on a line for each model
    #[arg(long, conflicts_with = "dump", help_heading = "Reports")]
    json: bool,

    /// Print what could be a target, the best first, and why others can not; writes nothing
    #[arg(long, help_heading = "Reports")]
    list_targets: bool,

    /// Print the added graph, the same for the same input (without -o nothing is written)
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Reports")]
    dump: Option<DumpArg>,
}

const AFTER_HELP: &str = "Exit status: 0 done (also where the model has the output already), \
1 no method fits the model, 2 bad input or options, 130 interrupted (a model is written whole or not at all).";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DumpArg {
    Text,
    Dot,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            method: self.method,
            classes: self.targets.clone(),
            input: self.input.clone(),
            feature_vector: self.feature_vector,
            feature_vector_name: self.feature_vector_name.clone(),
            ..self.branch.options(SaliencyType::U8)
        }
    }

    /// What is said of the inputs.
    fn given(&self) -> crate::Result<Given> {
        let shapes = self.input_shape.as_deref().map(InputShape::parse_list).transpose()?;
        Ok(Given { shapes: shapes.unwrap_or_default(), reshape: self.reshape, grid: self.grid })
    }

    /// Whether anything is to be written; looking alone needs no output.
    fn writes(&self) -> bool {
        let named = self.output_file.is_some() || self.out_dir.is_some();
        !self.dry_run && !self.list_targets && (named || self.dump.is_none())
    }

    /// Where the result for one model goes; `None` where nothing is written.
    fn destination(
        &self,
        input: &Path,
        weights: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Option<Destination>> {
        let path = match (&self.output_file, &self.out_dir) {
            _ if !self.writes() => return Ok(None),
            (Some(path), _) => path.clone(),
            (None, Some(folder)) => folder
                .join(input.file_name().with_context(|| format!("{} has no file name", input.display()))?),
            (None, None) => return Ok(None),
        };
        let mut destination = Destination::new(&path, &[input, weights], self.overwrite)?;
        destination.heed(interrupt);
        Ok(Some(destination))
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.models.len() > 1 && self.output_file.is_some() {
            bail!("-o names one file, but {} models are given; use --out-dir", self.models.len());
        }
        if self.models.len() > 1 && self.weights.is_some() {
            bail!("--weights names one file, but {} models are given", self.models.len());
        }
        if self.writes() && self.output_file.is_none() && self.out_dir.is_none() {
            bail!("say where to write with -o OUT.xml or --out-dir DIR, or use --dry-run");
        }
        self.options().check()?;
        if let Some(folder) = &self.out_dir {
            if self.writes() {
                let failed = || format!("cannot create the folder {}", folder.display());
                std::fs::create_dir_all(folder).with_context(failed)?;
            }
            let mut names: Vec<_> = self.models.iter().map(|model| model.file_name()).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                bail!(
                    "two models are called {}; they cannot share --out-dir",
                    Path::new(pair[0].unwrap_or_default()).display()
                );
            }
        }
        Ok(())
    }
}

/// Runs `xai-insert` on its name and arguments; returns the exit status.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    program(arguments, run)
}

fn run(args: &Args) -> anyhow::Result<u8> {
    args.check()?;
    let interrupt = interrupt()?;
    let mut status = 0;
    for path in &args.models {
        let report = one(args, path, &interrupt).or_else(|error| {
            // What concerns all models ends the run.
            if matches!(error.downcast_ref(), Some(Error::Interrupted)) {
                return Err(error);
            }
            // Most messages name the file themselves.
            let named = said(&error).contains(&*path.to_string_lossy());
            let error = if named { error } else { error.context(path.display().to_string()) };
            let code = complain::<Args>(&error);
            status = status.max(code);
            failure(path, code, &error)
        })?;
        if args.json {
            writeln!(io::stdout(), "{report}")?;
        }
    }
    Ok(status)
}

/// The report for programs of a model that was not handled.
fn failure(path: &Path, code: u8, error: &anyhow::Error) -> anyhow::Result<serde_json::Value> {
    let reasons = match error.downcast_ref::<Error>() {
        Some(Error::Refused(refusal)) => refusal.reasons.as_slice(),
        _ => &[],
    };
    let reasons: Vec<_> = reasons
        .iter()
        .map(|(subject, reason)| json!({ "subject": subject, "reason": reason.message().spoken(flag) }))
        .collect();
    let status = if code == 1 { "refused" } else { "failed" };
    let error = said(error);
    Ok(json!({ "model": path.to_string_lossy(), "status": status, "error": error, "reasons": reasons }))
}

/// Handles one model; returns its report for programs.
fn one(args: &Args, path: &Path, interrupt: &Interrupt) -> anyhow::Result<serde_json::Value> {
    if interrupt.is_set() {
        return Err(Error::Interrupted.into());
    }
    let model = Model::read(path, args.weights.as_deref())?.given(&args.given()?)?;
    let destination = args.destination(path, model.weights().path(), interrupt)?;
    if args.remove {
        return remove(args, path, &model, destination.as_ref());
    }
    let options = args.options();
    if args.list_targets {
        let listed = crate::list_targets(&model, &options)?.in_words(flag);
        if !args.json {
            match &listed {
                Listed::Targets(candidates) => print_targets(path, candidates)?,
                Listed::Heads(heads) => print_heads(path, heads)?,
            }
        }
        let kind = if matches!(listed, Listed::Heads(_)) { "heads" } else { "targets" };
        return Ok(json!({ "model": path.to_string_lossy(), "status": "listed", kind: listed }));
    }
    let outcome = crate::insert(&model, &options)?;
    if interrupt.is_set() {
        return Err(Error::Interrupted.into());
    }
    match outcome {
        Outcome::AlreadyThere { output } => {
            if !args.json {
                let hint = "nothing written (--remove takes out a branch of this tool)";
                writeln!(io::stdout(), "{}: has an output '{output}' already; {hint}", path.display())?;
            }
            Ok(json!({ "model": path.to_string_lossy(), "status": "already_there", "output": output }))
        }
        Outcome::Inserted(insertion) => {
            if let Some(destination) = &destination {
                insertion.write(destination)?;
            }
            let written = destination.as_ref().map(Destination::xml);
            let report = insertion.report().clone().in_words(flag);
            print(args, path, written, &insertion, &report)?;
            let mut shown = json!({ "model": path.to_string_lossy(), "status": "inserted", "written": written.map(Path::to_string_lossy) });
            if let (Some(shown), serde_json::Value::Object(fields)) =
                (shown.as_object_mut(), serde_json::to_value(&report)?)
            {
                shown.extend(fields);
            }
            Ok(shown)
        }
    }
}

fn print(
    args: &Args,
    path: &Path,
    written: Option<&Path>,
    insertion: &Insertion<'_>,
    report: &Report,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match args.dump {
        _ if args.json => Ok(()),
        Some(DumpArg::Text) => write!(out, "{}", insertion.dump().text()),
        Some(DumpArg::Dot) => write!(out, "{}", insertion.dump().dot()),
        None => {
            match written {
                Some(written) => writeln!(out, "{} -> {}", path.display(), written.display())?,
                None => writeln!(out, "{}: nothing written (--dry-run)", path.display())?,
            }
            writeln!(out, "{report}")
        }
    }
}

/// Rows that `--list-targets` prints at most; the rest is in the report for programs.
const MOST_ROWS: usize = 12;

fn print_targets(path: &Path, candidates: &[CandidateReport]) -> io::Result<()> {
    let (mut fitting, mut others) = (Vec::new(), Vec::new());
    let inputs = candidates.iter().filter_map(|candidate| candidate.place.as_ref()?.input.as_deref());
    let several = inputs.collect::<BTreeSet<_>>().len() > 1;
    for candidate in candidates {
        let mark = if candidate.taken { "*" } else { " " };
        let line = format!("{mark} {} ({}, {})", candidate.layer, candidate.op, candidate.tensor);
        match (&candidate.layout, &candidate.reason) {
            (Some(layout), _) if candidate.class_tokens > 0 => {
                fitting.push(format!("{line}: {layout}, class token{}", placed(candidate, several)));
            }
            (Some(layout), _) => fitting.push(format!("{line}: {layout}{}", placed(candidate, several))),
            (None, Some(reason)) => others.push(format!("{line}: {reason}")),
            (None, None) => others.push(line),
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", path.display())?;
    let parts = [
        ("feature maps, from the logits back (* is the target)", fitting),
        ("values that cannot be a target", others),
    ];
    for (title, lines) in parts.iter().filter(|(_, lines)| !lines.is_empty()) {
        writeln!(out, "{title}:")?;
        for line in lines.iter().take(MOST_ROWS) {
            writeln!(out, "{line}")?;
        }
        if lines.len() > MOST_ROWS {
            writeln!(out, "  and {} more (--json lists all)", lines.len() - MOST_ROWS)?;
        }
    }
    Ok(())
}

/// Where a candidate lies, where that is not as everybody would think; in which input, where there are `several`.
fn placed(candidate: &CandidateReport, several: bool) -> String {
    let Some(place) = &candidate.place else { return String::new() };
    let [rows, columns] = place.reversed;
    let turned = [(place.transposed, "transposed"), (rows, "upside down"), (columns, "mirrored")];
    let turned: Vec<&str> = turned.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
    let of = place.input.as_deref().filter(|_| several).map(|input| format!("of '{input}'"));
    let parts: Vec<String> = of.into_iter().chain(turned.into_iter().map(str::to_owned)).collect();
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}

fn print_heads(path: &Path, heads: &[HeadReport]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}\nclass maps, scale by scale:", path.display())?;
    for head in heads {
        writeln!(out, "* {}", head.scores)?;
        if let Some(objectness) = &head.objectness {
            writeln!(out, "  times {objectness}")?;
        }
    }
    Ok(())
}

fn remove(
    args: &Args,
    path: &Path,
    model: &Model,
    destination: Option<&Destination>,
) -> anyhow::Result<serde_json::Value> {
    let (xml, bin_bytes) = crate::remove(model)?;
    if let Some(destination) = destination {
        let bin = PendingFile { source: Some(model.weights().path()), prefix: bin_bytes, tail: &[] };
        destination.write(&xml, bin)?;
    }
    let written = destination.map(Destination::xml);
    if !args.json {
        match written {
            Some(written) => {
                writeln!(io::stdout(), "{} -> {}: branch removed", path.display(), written.display())?
            }
            None => writeln!(io::stdout(), "{}: the branch can be removed (--dry-run)", path.display())?,
        }
    }
    Ok(
        json!({ "model": path.to_string_lossy(), "status": "removed", "written": written.map(Path::to_string_lossy), "bin_bytes": bin_bytes }),
    )
}
