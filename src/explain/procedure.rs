//! How maps are made.

use super::BlackBox;
use crate::ir::Classes;

/// How maps are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Procedure {
    /// The model has an output that holds them.
    WhiteBox {
        /// Its place.
        map: usize,
        /// The classes that have a map in it.
        classes: Classes,
    },
    /// By hiding parts of the photo.
    BlackBox(BlackBox),
}
