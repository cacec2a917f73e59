//! Check 2: the original's outputs are what they were.

use serde::Serialize;

use super::compare::{larger, magnitude};
use crate::error::Result;
use crate::runtime::Tensor;

/// Difference allowed in an output, as a share of its largest magnitude. Compilers fuse differently
/// where a value gets another consumer, which changes the last bits.
pub(super) const TOLERANCE: f64 = 1e-4;

/// How the original's outputs compare between the two models, over all samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OutputFigures {
    /// Outputs of the original.
    pub outputs: usize,
    /// Values that were compared.
    pub values: usize,
    /// Values that are the same to the last bit.
    pub identical: usize,
    /// Largest absolute difference.
    pub largest_difference: f64,
    /// The same as a share of the largest magnitude in its output.
    pub largest_relative_difference: f64,
    /// What that share may be.
    pub tolerance: f64,
}

/// Compares the outputs of one sample; problems are appended to `problems`.
///
/// # Errors
/// [`crate::Error::Runtime`] where an output holds packed numbers or text.
pub(super) fn compare(
    expected: &[Tensor],
    found: &[Tensor],
    figures: &mut OutputFigures,
    problems: &mut Vec<String>,
) -> Result<()> {
    figures.outputs = expected.len();
    figures.tolerance = TOLERANCE;
    if found.len() < expected.len() {
        problems.push(format!("{} outputs instead of {}", found.len(), expected.len()));
    }
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        if expected.shape() != found.shape() || expected.element() != found.element() {
            problems.push(format!("output {index} is {found}, and was {expected}"));
            continue;
        }
        let width = expected.bytes().len().checked_div(expected.len()).unwrap_or(1).max(1);
        let bytes = expected.bytes().chunks(width).zip(found.bytes().chunks(width));
        figures.values += expected.len();
        figures.identical += bytes.filter(|(a, b)| a == b).count();
        if expected.bytes() == found.bytes() {
            continue;
        }
        let (old, new) = (expected.values()?, found.values()?);
        let difference = old.iter().zip(&new).fold(0.0, |most, (a, b)| larger(most, distance(*a, *b)));
        let scale = magnitude(&old);
        let relative = if difference == 0.0 { 0.0 } else { difference / scale };
        figures.largest_difference = larger(figures.largest_difference, difference);
        figures.largest_relative_difference = larger(figures.largest_relative_difference, relative);
        let tolerable = relative <= TOLERANCE;
        if !tolerable {
            problems.push(format!(
                "output {index} differs by {difference:.3e}, which is {relative:.1e} of its largest value {scale:.3e}"
            ));
        }
    }
    Ok(())
}

fn distance(a: f64, b: f64) -> f64 {
    // Infinities of one sign, and NaNs whatever their bits, are the same answer.
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn run(old: &[f32], new: &[f32]) -> (OutputFigures, Vec<String>) {
        let tensor =
            |values: &[f32]| Tensor::from_values(ElementType::F32, vec![values.len()], values).unwrap();
        let (mut figures, mut problems) = (OutputFigures::default(), Vec::new());
        compare(&[tensor(old)], &[tensor(new)], &mut figures, &mut problems).unwrap();
        (figures, problems)
    }

    #[test]
    fn the_last_bits_may_differ_and_are_counted() {
        let (figures, problems) = run(&[1.0, -100.0], &[1.0, -100.001]);
        assert_eq!((figures.values, figures.identical), (2, 1));
        assert!(figures.largest_relative_difference < TOLERANCE && problems.is_empty());
        let (_, problems) = run(&[1.0, -100.0], &[1.0, -100.1]);
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn numbers_that_are_none_are_told_apart() {
        assert!(run(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY]).1.is_empty());
        assert_eq!(run(&[f32::NAN], &[1.0]).1.len(), 1);
        assert_eq!(run(&[1.0], &[f32::INFINITY]).1.len(), 1);
        assert_eq!(run(&[0.0], &[1.0]).1.len(), 1);
        assert!(run(&[0.0], &[-0.0]).1.is_empty());
    }

    #[test]
    fn shapes_and_counts_have_to_match() {
        assert_eq!(run(&[1.0], &[1.0, 2.0]).1.len(), 1);
        let tensor = Tensor::from_values(ElementType::F32, vec![1], &[1.0]).unwrap();
        let mut problems = Vec::new();
        compare(&[tensor], &[], &mut OutputFigures::default(), &mut problems).unwrap();
        assert_eq!(problems, ["0 outputs instead of 1"]);
    }
}
