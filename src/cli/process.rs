//! What programs do around their work: arguments, errors, Ctrl-C.

use std::ffi::OsString;
use std::io::{self, Write as _};

use super::words::flag;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::options::{Choice, or_auto};
use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, Parser};

/// What the shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// An error with all of its causes, in the words of the command line.
pub(super) fn said(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<Error>() {
        Some(error) => error.message().spoken(flag),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// A value that may be left open, as `auto`. The other name keeps clap from taking the option for one that has no
/// default.
pub(super) type Open<T> = Option<T>;

/// Reads one of several names; help lists them.
pub(super) fn choice<T: Choice>() -> impl TypedValueParser<Value = T> {
    let names = T::ALL.iter().map(|value| value.name());
    PossibleValuesParser::new(names).try_map(|name| T::chosen(&name))
}

/// The same beside `auto`.
pub(super) fn choice_or_auto<T: Choice>() -> impl TypedValueParser<Value = Open<T>> {
    let names = T::ALL.iter().map(|value| value.name());
    PossibleValuesParser::new(std::iter::once("auto").chain(names)).try_map(|name| or_auto(&name))
}

/// Runs a program on its name and arguments; returns the exit status.
pub(super) fn program<A: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(&A) -> anyhow::Result<u8>,
) -> u8 {
    let mut command = A::command().mut_args(|argument| {
        // A number that is out of bounds is one all the same, and no flag.
        let option = argument.get_long().is_some() && argument.get_action().takes_values();
        argument.allow_negative_numbers(option)
    });
    let parsed =
        command.try_get_matches_from_mut(arguments).and_then(|matches| A::from_arg_matches(&matches));
    match parsed.map_err(|error| error.format(&mut command)) {
        Ok(args) => run(&args).unwrap_or_else(|error| complain::<A>(&error)),
        Err(error) => {
            // There is nowhere left to complain where standard error is closed.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
    }
}

/// Prints an error of a program; returns the exit status that it calls for.
pub(super) fn complain<A: CommandFactory>(error: &anyhow::Error) -> u8 {
    if let Some(cause) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())
        && cause.kind() == io::ErrorKind::BrokenPipe
        && error.downcast_ref::<Error>().is_none()
    {
        // The reader of our output has seen enough.
        return 0;
    }
    let _ = writeln!(io::stderr(), "{}: {}", A::command().get_name(), said(error));
    match error.downcast_ref::<Error>() {
        Some(Error::Interrupted) => INTERRUPTED,
        Some(error) if error.is_refusal() => 1,
        _ => 2,
    }
}

/// Takes over Ctrl-C, so that nothing stays half done: the first asks to stop, the second ends the program at once.
pub(super) fn interrupt() -> anyhow::Result<Interrupt> {
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
