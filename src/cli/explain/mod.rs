//! `xai-explain`: from a photo to a picture of what the model looked at.

mod args;
mod results;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(super) use self::args::Args;
use self::results::Results;
use self::terminal::Terminal;
use super::process::{complain, program};
use super::words::flag;
use crate::error::Error;
use crate::explain::metrics::BoxList;
use crate::explain::{Explainer, Explanation, Folder, Photo, Settings, Watch as _, photos, read_map};

/// Runs `xai-explain` on its name and arguments; returns the exit status.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    program(arguments, run)
}

fn run(args: &Args) -> anyhow::Result<u8> {
    args.check()?;
    let terminal = Terminal::new()?;
    let boxes = args.boxes.as_deref().map(BoxList::read).transpose()?;
    let map = args.map.as_deref().map(read_map).transpose()?;
    let mut status = 0;
    let mut paths: Vec<PathBuf> = Vec::new();
    for (path, found) in photos(&args.photos) {
        match found {
            Ok(()) => paths.push(path),
            Err(error) => status = status.max(complain::<Args>(&error.into())),
        }
    }
    if paths.is_empty() {
        return Ok(status);
    }
    let folder = args.out.as_deref().map(|out| Folder::new(out, args.overwrite)).transpose()?;
    let mut explainer = Explainer::open(&args.model, &args.options(paths.len() > 1)?)?;
    if !explainer.is_settled() {
        let first = paths.iter().find_map(|path| Photo::read(path).ok());
        // What fails here fails again where it is reported.
        let _ = first.map(|photo| explainer.settle(&photo));
    }
    let mut results = Results::new(args, folder, boxes);
    results.settings(&args.model, &shown(&explainer, args))?;
    let alone = explainer.settings().mode == "black-box" || map.is_some() || args.metrics;
    let group = if alone { 1 } else { explainer.group() };
    if !alone {
        terminal.begin("photos", paths.len());
    }
    let interrupted = |error: &Error| matches!(error, Error::Interrupted);
    'photos: for paths in paths.chunks(group) {
        let mut group: Vec<Photo> = Vec::new();
        for (path, photo) in paths.iter().zip(Photo::read_all(paths)) {
            match photo {
                Ok(photo) => group.push(photo),
                Err(error) => status = status.max(terminal.aside(|| complain::<Args>(&named(path, error)))),
            }
        }
        let explained = match &map {
            Some(map) => {
                group.iter().map(|photo| explainer.with_map(photo, map, &terminal)).collect::<Vec<_>>()
            }
            None => match explainer.explain_all(&group, &terminal) {
                Ok(explained) => explained,
                Err(error) => {
                    // What concerns all photos ends the run, but not what is finished.
                    status = status.max(terminal.aside(|| complain::<Args>(&error.into())));
                    break 'photos;
                }
            },
        };
        for (photo, explanation) in group.iter().zip(explained) {
            let done = explanation.map_err(|error| named(&photo.path, error)).and_then(|explanation| {
                one(&mut results, &mut explainer, photo, &explanation, (args, &terminal))
            });
            if let Err(error) = done {
                status = status.max(terminal.aside(|| complain::<Args>(&error)));
                if error.downcast_ref::<Error>().is_some_and(interrupted) {
                    break 'photos;
                }
            }
        }
    }
    terminal.end();
    if let Err(error) = results.finish(&shown(&explainer, args)) {
        status = status.max(complain::<Args>(&error));
    }
    Ok(status)
}

/// What is applied, in the words of the command line.
fn shown(explainer: &Explainer, args: &Args) -> Settings {
    let mut settings = explainer.settings().clone().in_words(flag);
    settings.notes.extend(args.without_effect());
    settings
}

/// Measures, draws and reports one photo.
fn one(
    results: &mut Results<'_>,
    explainer: &mut Explainer,
    photo: &Photo,
    explanation: &Explanation,
    (args, terminal): (&Args, &Terminal),
) -> anyhow::Result<()> {
    let metrics = results.measure(explainer, explanation, terminal)?;
    let text = results.write(photo, explanation, &metrics, &shown(explainer, args))?;
    terminal.aside(|| write!(io::stdout(), "{text}"))?;
    Ok(())
}

/// An error that says which photo it is about.
fn named(path: &Path, error: Error) -> anyhow::Error {
    let says = error.to_string().contains(&*path.to_string_lossy());
    let error = anyhow::Error::from(error);
    if says { error } else { error.context(path.display().to_string()) }
}
