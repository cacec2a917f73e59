//! How whoever waits is kept informed, and can stop.

/// Follows long work; every function does nothing by default.
pub trait Watch {
    /// Work of that many steps begins.
    fn begin(&self, _what: &str, _steps: usize) {}

    /// Steps were done.
    fn advance(&self, _steps: usize) {}

    /// The work that was begun last has ended.
    fn end(&self) {}

    /// Whether to stop at the next occasion; the work then ends with [`crate::Error::Interrupted`].
    fn stopped(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Watch for Quiet {}
