//! ADCC and what it is made of (arXiv 2104.10252).

use ndarray::Array2;

use super::scaled;
use crate::error::Result;
use crate::explain::{Explainer, Watch};
use crate::preprocess::Lay;

/// The three parts of ADCC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Adcc {
    pub(super) average_drop: f64,
    pub(super) coherency: f64,
    pub(super) complexity: f64,
}

impl Adcc {
    /// The harmonic mean; 0 where a part is.
    pub(super) fn adcc(self) -> f64 {
        let parts = [self.coherency, 1.0 - self.complexity, 1.0 - self.average_drop];
        if parts.iter().any(|part| *part <= 0.0) {
            return 0.0;
        }
        3.0 / parts.iter().map(|part| 1.0 / part).sum::<f64>()
    }
}

impl Explainer {
    /// Measures a map `[height, width]`; of `classes` the first is the map's own, where it has one, and the
    /// second that whose score is watched; `lay` says where the method's maps lie.
    pub(super) fn adcc(
        &mut self,
        pixels: &[f32],
        map: &Array2<f32>,
        classes: (Option<usize>, usize),
        lay: Lay,
        watch: &dyn Watch,
    ) -> Result<Adcc> {
        let map = scaled(map);
        let channels = pixels.len() / map.len().max(1);
        let weights = map.iter().flat_map(|weight| std::iter::repeat_n(*weight, channels));
        let masked: Vec<f32> = pixels.iter().zip(weights).map(|(pixel, weight)| pixel * weight).collect();
        let image = |index: usize, image: &mut Vec<f32>| {
            image.extend_from_slice(if index == 0 { pixels } else { &masked });
        };
        let scores = self.scores(2, image, classes.1, watch)?;
        let (whole, seen) = (f64::from(scores[0]), f64::from(scores[1]));
        let average_drop = if whole > 0.0 { (whole - seen).max(0.0) / whole } else { 0.0 };
        let again = self.map_of(&masked, classes.0, watch)?;
        let again = scaled(&lay.over(&again, map.nrows(), map.ncols()));
        #[allow(clippy::cast_precision_loss)]
        let complexity = map.iter().map(|value| f64::from(*value)).sum::<f64>() / map.len().max(1) as f64;
        Ok(Adcc { average_drop, coherency: f64::midpoint(correlation(&map, &again), 1.0), complexity })
    }
}

/// Pearson's correlation; 0 where one of the maps is flat.
#[allow(clippy::cast_precision_loss)]
fn correlation(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    let mean = |map: &Array2<f32>| map.iter().map(|value| f64::from(*value)).sum::<f64>() / map.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        both += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    let norm = (square_a * square_b).sqrt();
    if norm > 0.0 { both / norm } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn correlation_is_that_of_pearson() {
        let map = array![[1.0, 2.0], [3.0, 5.0]];
        assert!((correlation(&map, &(&map * 2.0 + 1.0)) - 1.0).abs() < 1e-12);
        assert!((correlation(&map, &(&map * -1.0)) + 1.0).abs() < 1e-12);
        assert!((correlation(&map, &array![[1.0, 3.0], [2.0, 4.0]]) - 0.831_522).abs() < 1e-5);
        assert_eq!(correlation(&map, &Array2::zeros((2, 2))), 0.0);
    }

    #[test]
    fn adcc_is_the_harmonic_mean() {
        let parts = Adcc { average_drop: 0.5, coherency: 0.5, complexity: 0.5 };
        assert!((parts.adcc() - 0.5).abs() < 1e-12);
        assert_eq!(Adcc { average_drop: 1.0, ..parts }.adcc(), 0.0);
    }
}
