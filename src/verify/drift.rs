//! Check: maps are the same where the device computes as it likes best.
//!
//! All other checks pin single precision. People do not: CPUs that have bf16 use it by default, GPUs f16. So the model
//! is run once more as the device runs it without hints, and its maps are held against those in single precision.

use serde::Serialize;

use crate::error::Result;
use crate::message::Message;
use crate::runtime::Tensor;

/// Mean correlation below which maps show something else. Two maps of unlike objects in one photo correlate with 0.5 to
/// 0.8, those of one object by two methods with 0.8 to 0.95.
const LEAST_CORRELATION: f64 = 0.9;
/// Share of maps whose largest value stays where it is, below which a peak says nothing.
const LEAST_PEAKS: f64 = 0.5;

/// How maps drift.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DriftFigures {
    /// What the device computes in by default, as it says.
    pub precision: Option<String>,
    /// Maps that were compared; those that are the same everywhere are not.
    pub maps: usize,
    /// Mean of Pearson's correlation over maps.
    pub correlation: f64,
    /// Mean difference over all values, in steps of 255 of each map's range in single precision.
    pub mean_difference: f64,
    /// Largest difference, likewise.
    pub largest_difference: f64,
    /// Share of maps whose largest value is at the same position.
    pub equal_peaks: f64,
}

impl DriftFigures {
    /// Compares the maps of all samples in single precision with those of the default.
    ///
    /// # Errors
    /// [`crate::Error::Runtime`] where maps are no numbers.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn new(exact: &[Tensor], default: &[Tensor], precision: Option<String>) -> Result<Self> {
        let mut figures = Self { precision, ..Self::default() };
        let mut values = 0usize;
        for (exact, default) in exact.iter().zip(default) {
            let positions: usize = exact.shape().iter().rev().take(2).product();
            let (exact, default) = (exact.values()?, default.values()?);
            for (exact, default) in exact.chunks(positions.max(1)).zip(default.chunks(positions.max(1))) {
                let Some(range) = range(exact) else { continue };
                figures.maps += 1;
                values += exact.len();
                figures.correlation += correlation(exact, default);
                figures.equal_peaks += f64::from(u8::from(peak(exact) == peak(default)));
                for (a, b) in exact.iter().zip(default) {
                    let off = 255.0 * (a - b).abs() / range;
                    figures.mean_difference += off;
                    figures.largest_difference = super::compare::larger(figures.largest_difference, off);
                }
            }
        }
        let maps = figures.maps.max(1) as f64;
        figures.correlation /= maps;
        figures.equal_peaks /= maps;
        figures.mean_difference /= values.max(1) as f64;
        Ok(figures)
    }

    /// What is wrong: maps that mislead.
    pub(super) fn problems(&self) -> Vec<Message> {
        let mut problems = Vec::new();
        // What is no number is below every bound.
        if !matches!(self.correlation.partial_cmp(&LEAST_CORRELATION), Some(order) if order.is_ge()) {
            problems.push(
                format!(
                    "maps correlate with {:.3} where the device computes as it does by default; {LEAST_CORRELATION} is \
                     needed for them to show the same",
                    self.correlation
                )
                .into(),
            );
        }
        if self.equal_peaks < LEAST_PEAKS {
            problems.push(
                format!(
                    "the largest value stays where it is in {:.0} % of maps; {:.0} % are needed",
                    100.0 * self.equal_peaks,
                    100.0 * LEAST_PEAKS
                )
                .into(),
            );
        }
        problems
    }
}

/// The range of a map; `None` where it is the same everywhere, or no numbers.
fn range(map: &[f64]) -> Option<f64> {
    let least = map.iter().copied().fold(f64::INFINITY, f64::min);
    let most = map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(most - least).filter(|range| range.is_finite() && *range > 0.0)
}

fn peak(map: &[f64]) -> Option<usize> {
    map.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at)
}

/// Pearson's correlation; 0 where the second map is the same everywhere.
#[allow(clippy::cast_precision_loss)]
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |map: &[f64]| map.iter().sum::<f64>() / map.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    let norm = f64::sqrt(square_a * square_b);
    if norm == 0.0 { 0.0 } else { both / norm }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn maps(values: &[f32]) -> Vec<Tensor> {
        vec![Tensor::from_values(ElementType::F32, vec![1, values.len() / 4, 2, 2], values).unwrap()]
    }

    fn drift(exact: &[f32], default: &[f32]) -> DriftFigures {
        DriftFigures::new(&maps(exact), &maps(default), None).unwrap()
    }

    const MAP: [f32; 4] = [0.0, 10.0, 200.0, 255.0];

    #[test]
    fn equal_maps_do_not_drift() {
        let same = drift(&MAP, &MAP);
        assert_eq!((same.maps, same.equal_peaks, same.largest_difference), (1, 1.0, 0.0));
        assert!((same.correlation - 1.0).abs() < 1e-12 && same.problems().is_empty());
        let near = drift(&MAP, &[3.0, 8.0, 204.0, 255.0]);
        assert!((near.mean_difference - 2.25).abs() < 1e-9 && near.problems().is_empty());
    }

    #[test]
    fn maps_that_mislead_are_told() {
        let turned = drift(&MAP, &[255.0, 200.0, 10.0, 0.0]);
        assert_eq!(turned.problems().len(), 2);
        // A map that has lost all that it showed.
        assert_eq!(drift(&MAP, &[7.0; 4]).correlation, 0.0);
        assert!(!drift(&MAP, &[f32::NAN; 4]).problems().is_empty());
        // What is the same everywhere has no peak to lose.
        let flat = drift(
            &[5.0, 5.0, 5.0, 5.0, 0.0, 10.0, 200.0, 255.0],
            &[1.0, 2.0, 3.0, 4.0, 0.0, 10.0, 200.0, 255.0],
        );
        assert_eq!((flat.maps, flat.equal_peaks), (1, 1.0));
    }
}
