//! Progress on standard error, and Ctrl-C.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::process::interrupt;
use crate::explain::Watch;
use crate::interrupt::Interrupt;

/// Shows a bar where standard error is a terminal, and knows whether Ctrl-C was pressed.
pub(super) struct Terminal {
    bar: RefCell<Option<ProgressBar>>,
    stopped: Interrupt,
}

impl Terminal {
    /// Takes over Ctrl-C: the first asks to stop, the second ends the program at once.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { bar: RefCell::new(None), stopped: interrupt()? })
    }

    /// Prints something without disturbing the bar.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
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
        self.stopped.is_set()
    }
}
