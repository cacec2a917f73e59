//! Progress on standard error, and Ctrl-C.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use xai_insert::explain::Watch;

/// Shows a bar where standard error is a terminal, and knows whether Ctrl-C was pressed.
pub(crate) struct Terminal {
    bar: RefCell<Option<ProgressBar>>,
    stopped: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes over Ctrl-C: the first asks to stop, the second ends the program at once.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stopped);
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })
        .context("cannot watch for Ctrl-C")?;
        Ok(Self { bar: RefCell::new(None), stopped })
    }

    /// Prints something without disturbing the bar.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Watch for Terminal {
    fn begin(&self, what: &str, steps: usize) {
        let style = "{prefix} {wide_bar} {pos}/{len} {elapsed}, {eta} left";
        // indicatif draws on standard error, and not at all where that is no terminal.
        let bar = ProgressBar::new(steps as u64).with_prefix(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        self.bar.replace(Some(bar));
    }

    fn advance(&self, steps: usize) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.inc(steps as u64);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
