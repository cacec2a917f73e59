//! What programs do around their work: arguments, errors, Ctrl-C.

use std::ffi::OsString;
use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::Parser;
use xai_insert::{Error, Interrupt, Setting};

/// What the shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// A setting as the command line calls it.
pub(crate) fn flag(setting: Setting, value: Option<&str>) -> String {
    let name = match setting {
        Setting::Scaling => return "--no-scaling".to_owned(),
        Setting::ClassToken => return "--no-class-token".to_owned(),
        Setting::ListTargets => return "xai-insert --list-targets".to_owned(),
        Setting::Anchors => "num-anchors".to_owned(),
        Setting::Classes => "targets".to_owned(),
        Setting::Kernel => "mask".to_owned(),
        Setting::Library => "openvino-lib".to_owned(),
        Setting::InputSize => "input-size".to_owned(),
        Setting::Shapes => "shape".to_owned(),
        Setting::Strategy => "lowering".to_owned(),
        Setting::TargetLayers => "target-layer".to_owned(),
        other => other.name().replace('_', "-"),
    };
    match value {
        Some(value) => format!("--{name} {value}"),
        None => format!("--{name}"),
    }
}

/// An error with all of its causes, in the words of the command line.
pub(crate) fn said(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<Error>() {
        Some(error) => error.message().spoken(flag),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// Reads arguments; where they are none to work with, prints why and returns the exit status.
pub(crate) fn parsed<A: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<A, u8> {
    A::try_parse_from(arguments).map_err(|error| {
        // There is nowhere left to complain where standard error is closed.
        let _ = error.print();
        u8::try_from(error.exit_code()).unwrap_or(2)
    })
}

/// Prints an error; returns the exit status that it calls for.
pub(crate) fn complain(program: &str, error: &anyhow::Error) -> u8 {
    if let Some(cause) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())
        && cause.kind() == io::ErrorKind::BrokenPipe
        && error.downcast_ref::<Error>().is_none()
    {
        // The reader of our output has seen enough.
        return 0;
    }
    let _ = writeln!(io::stderr(), "{program}: {}", said(error));
    match error.downcast_ref::<Error>() {
        Some(Error::Interrupted) => INTERRUPTED,
        Some(error) if error.is_refusal() => 1,
        _ => 2,
    }
}

/// Takes over Ctrl-C, so that nothing stays half done: the first asks to stop, the second ends the program at once.
pub(crate) fn interrupt() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let asked = interrupt.clone();
    ctrlc::set_handler(move || {
        if asked.is_set() {
            std::process::exit(INTERRUPTED.into());
        }
        asked.set();
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(interrupt)
}
