//! The forms that a value of the head can take under all masks at once.
//!
//! # Values, and a base with differences
//!
//! Maps are scaled by their extremes, so only *differences* between masks count, and those are a small part of each
//! value: half precision loses them before they are subtracted. So [`Rows`] can be differences from a base, one row for
//! each mask beside one for each sample, and no rule ever subtracts two values that are nearly equal (`difference.rs`).
//! Any base is exact; the nearer it is to all masks the better. [`Form::OneHot`] is such a pair already: its base is the
//! background, its difference what is above that.

use serde::{Serialize, Serializer};

use crate::graph::OutletId;

/// A value of the head under all K masks at once. K = h·w masks; mask k keeps position k.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `M_k * v + (1 - M_k) * background`: with a mask of 0 and 1, at position k as in the original graph and at
    /// every other position the background.
    ///
    /// v is the original outlet itself, because every operation so far treats positions one by one, and
    /// is linear where the masks have other weights. Tokens before the grid's have a weight too.
    OneHot {
        /// The value at the masked positions.
        background: Background,
    },
    /// A vector for each mask: `[N,C,h,w]`, where the original is `[N,C]` (or has axes of extent 1 besides).
    ///
    /// What was a position of the map is now the number of a mask. No batch axis is made.
    PerPosition(Rows),
    /// Copies that hold each distinct token once, where a mask leaves few of them.
    Distinct(Distinct),
    /// The original's shape with the batch N made N·K, masks innermost.
    Dense(Rows),
}

/// Rows for each mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    /// The tensor: values, or differences where there is a base.
    pub(super) outlet: OutletId,
    /// What they differ from, in the original's shape.
    pub(super) base: Option<OutletId>,
}

impl Rows {
    /// Rows of values.
    pub(super) fn values(outlet: OutletId) -> Self {
        Self { outlet, base: None }
    }

    /// Rows of differences.
    pub(super) fn above(base: OutletId, outlet: OutletId) -> Self {
        Self { outlet, base: Some(base) }
    }
}

impl Form {
    /// Copies of values.
    pub(super) fn copies(outlet: OutletId) -> Self {
        Self::Dense(Rows::values(outlet))
    }

    /// The rows, where there is one for each mask.
    pub(super) fn rows(&self) -> Option<Rows> {
        match self {
            Self::PerPosition(rows) | Self::Dense(rows) => Some(*rows),
            Self::OneHot { .. } | Self::Distinct(_) => None,
        }
    }

    /// Which form it is, whatever the masks' weights and the value's axes are.
    pub(super) fn kind(&self) -> FormKind {
        match self {
            Self::OneHot { .. } => FormKind::OneHot,
            Self::PerPosition(_) => FormKind::PerPosition,
            Self::Distinct(_) => FormKind::Distinct,
            Self::Dense(_) => FormKind::Dense,
        }
    }
}

/// What stands at the positions that a mask blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Background {
    /// Zero.
    Zero,
    /// A tensor that broadcasts to the original's shape.
    Value(OutletId),
}

/// Copies of a value that hold only distinct tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distinct {
    /// The tensor: the original's shape with N·K for N, and fewer tokens.
    pub(super) outlet: OutletId,
    /// Axes that run over tokens: one, or queries and keys of an attention.
    pub(super) axes: Vec<usize>,
}

/// The form of an operation's result, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormKind {
    /// The original's value at one position, and a background that is the same for all masks.
    OneHot,
    /// The same under masks of more weights than 0 and 1.
    Masked,
    /// The weights of an attention, one row for each mask and query: the same for all channels.
    Weights,
    /// A vector for each mask, where the original has one.
    PerPosition,
    /// A copy for each mask that holds each distinct token once.
    Distinct,
    /// A copy for each mask.
    Dense,
}

impl FormKind {
    /// The name by which it is reported and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneHot => "OneHot",
            Self::Masked => "Masked",
            Self::Weights => "Weights",
            Self::PerPosition => "PerPosition",
            Self::Distinct => "Distinct",
            Self::Dense => "Dense",
        }
    }

    /// Whether whole tokens or maps were copied for each mask.
    pub fn copied(self) -> bool {
        matches!(self, Self::Distinct | Self::Dense)
    }
}

impl Serialize for FormKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
