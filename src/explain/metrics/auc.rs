//! Insertion and deletion (arXiv 1806.07421).

use ndarray::Array2;

use crate::error::Result;
use crate::explain::{Explainer, Watch};

/// Steps from nothing to the whole image.
const STEPS: usize = 30;

impl Explainer {
    /// Insertion and deletion AUC of a map `[height, width]` over pixels `[height, width, channels]`.
    pub(super) fn auc(
        &mut self,
        pixels: &[f32],
        map: &Array2<f32>,
        class: usize,
        watch: &dyn Watch,
    ) -> Result<(f64, f64)> {
        let ranks = ranks(map);
        let channels = pixels.len() / ranks.len().max(1);
        let shown = |index: usize, image: &mut Vec<f32>| {
            // Even images insert, odd ones delete.
            let kept = index / 2 * ranks.len() / STEPS;
            let inserts = index.is_multiple_of(2);
            image.extend_from_slice(pixels);
            for (pixel, rank) in image.chunks_exact_mut(channels.max(1)).zip(&ranks) {
                if (*rank < kept) != inserts {
                    pixel.fill(0.0);
                }
            }
        };
        watch.begin("insertion and deletion", 2 * (STEPS + 1));
        let scores = self.scores(2 * (STEPS + 1), shown, class, watch);
        watch.end();
        let scores = scores?;
        let part = |first: usize| scores.iter().skip(first).step_by(2).copied().collect::<Vec<f32>>();
        Ok((area(&part(0)), area(&part(1))))
    }
}

/// For each pixel, how many are more salient; of equals the first is.
fn ranks(map: &Array2<f32>) -> Vec<usize> {
    let values: Vec<f32> = map.iter().copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut ranks = vec![0; values.len()];
    for (rank, pixel) in order.into_iter().enumerate() {
        ranks[pixel] = rank;
    }
    ranks
}

/// Area under evenly spaced values, from 0 to 1, by the trapezoidal rule.
#[allow(clippy::cast_precision_loss)]
fn area(values: &[f32]) -> f64 {
    let ends = values.first().zip(values.last()).map_or(0.0, |(a, b)| f64::from(*a) + f64::from(*b));
    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
    (sum - ends / 2.0) / (values.len().max(2) - 1) as f64
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn ranks_count_the_more_salient() {
        assert_eq!(ranks(&array![[0.1, 0.9], [0.9, 0.5]]), [3, 0, 1, 2]);
    }

    #[test]
    fn the_area_is_that_of_trapezoids() {
        assert!((area(&[0.0, 0.5, 1.0]) - 0.5).abs() < 1e-12);
        assert!((area(&[0.0, 1.0, 1.0]) - 0.75).abs() < 1e-12);
    }
}
