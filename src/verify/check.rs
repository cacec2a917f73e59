//! One check: how it ended, why, and what was measured.

use std::fmt;

use serde::Serialize;

use crate::message::{Message, Words};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing was found.
    Passed,
    /// Something is wrong.
    Failed,
    /// It could not be done; the reason is among the problems.
    NotChecked,
    /// It was not asked for.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::NotChecked => "not checked",
            Outcome::Skipped => "skipped",
        })
    }
}

/// One check: how it ended, why, and its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check<T> {
    /// How it ended.
    pub outcome: Outcome,
    /// What is wrong, or why the check could not be done.
    pub problems: Vec<Message>,
    /// What was measured, as far as it came to that.
    #[serde(flatten)]
    pub figures: Option<T>,
}

impl<T> Check<T> {
    /// A check that was done: failed where there are problems.
    pub(super) fn judged(problems: Vec<impl Into<Message>>, figures: T) -> Self {
        let outcome = if problems.is_empty() { Outcome::Passed } else { Outcome::Failed };
        let problems = problems.into_iter().map(Into::into).collect();
        Self { outcome, problems, figures: Some(figures) }
    }

    /// A check that failed before there was anything to measure.
    pub(super) fn failed(problem: impl Into<Message>) -> Self {
        Self { outcome: Outcome::Failed, problems: vec![problem.into()], figures: None }
    }

    /// A check that could not be done.
    pub(super) fn not_checked(reason: impl Into<Message>) -> Self {
        Self { outcome: Outcome::NotChecked, problems: vec![reason.into()], figures: None }
    }

    /// A check that was not asked for.
    pub(super) fn skipped(reason: impl Into<Message>) -> Self {
        Self { outcome: Outcome::Skipped, problems: vec![reason.into()], figures: None }
    }

    pub(super) fn in_words(mut self, words: Words) -> Self {
        for problem in &mut self.problems {
            *problem = problem.in_words(words);
        }
        self
    }
}
