//! Insertion and deletion (arXiv 1806.07421).

use image::imageops::blur;
use image::{ImageBuffer, Luma};
use ndarray::Array2;

use crate::error::Result;
use crate::explain::{Explainer, Watch};

/// Steps from nothing to the whole image.
const STEPS: usize = 30;

/// Standard deviation of the blur from which insertion starts, as a share of the shorter side: 5.6 of 224 pixels.
const BLUR: f32 = 1.0 / 40.0;

/// Areas under the score of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Areas {
    /// While pixels come in, from black.
    pub(super) insertion: f64,
    /// While they come in, from the blurred photo.
    pub(super) insertion_from_blur: f64,
    /// While they become black.
    pub(super) deletion: f64,
}

impl Explainer {
    /// Insertion and deletion AUC of a map `[height, width]` over pixels `[height, width, channels]`.
    pub(super) fn auc(
        &mut self,
        pixels: &[f32],
        map: &Array2<f32>,
        class: usize,
        watch: &dyn Watch,
    ) -> Result<Areas> {
        let ranks = ranks(map);
        let channels = (pixels.len() / ranks.len().max(1)).max(1);
        let blurred = blurred(pixels, map.dim(), channels);
        let shown = |index: usize, image: &mut Vec<f32>| {
            let kept = index / 3 * ranks.len() / STEPS;
            image.extend_from_slice(pixels);
            let pixels = image.chunks_exact_mut(channels).zip(blurred.chunks_exact(channels)).zip(&ranks);
            for ((pixel, blurred), rank) in pixels {
                match (index % 3, *rank < kept) {
                    (0, false) | (2, true) => pixel.fill(0.0),
                    (1, false) => pixel.copy_from_slice(blurred),
                    _ => {}
                }
            }
        };
        watch.begin("insertion and deletion", 3 * (STEPS + 1));
        let scores = self.scores(3 * (STEPS + 1), shown, class, watch);
        watch.end();
        let scores = scores?;
        let part = |first: usize| area(&scores.iter().skip(first).step_by(3).copied().collect::<Vec<f32>>());
        Ok(Areas { insertion: part(0), insertion_from_blur: part(1), deletion: part(2) })
    }
}

/// An image `[height, width, channels]`, blurred.
fn blurred(pixels: &[f32], (height, width): (usize, usize), channels: usize) -> Vec<f32> {
    #[allow(clippy::cast_precision_loss)]
    let sigma = BLUR * height.min(width) as f32;
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let mut found = pixels.to_vec();
    for channel in 0..channels {
        let plane: Vec<f32> = pixels.iter().skip(channel).step_by(channels).copied().collect();
        let plane =
            sides.and_then(|(width, height)| ImageBuffer::<Luma<f32>, _>::from_raw(width, height, plane));
        if let Some(plane) = plane {
            let blurred = blur(&plane, sigma).into_raw();
            found.iter_mut().skip(channel).step_by(channels).zip(blurred).for_each(|(to, from)| *to = from);
        }
    }
    found
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
    fn a_blur_keeps_the_mean_and_spreads_what_stands_out() {
        let mut pixels = vec![0.0; 80 * 80 * 3];
        pixels[(40 * 80 + 40) * 3 + 1] = 255.0;
        let found = blurred(&pixels, (80, 80), 3);
        let plane = |channel: usize| found.iter().skip(channel).step_by(3).copied();
        assert!((plane(1).sum::<f32>() - 255.0).abs() < 3.0 && plane(1).fold(0.0, f32::max) < 20.0);
        assert_eq!(plane(0).sum::<f32>() + plane(2).sum::<f32>(), 0.0, "channels are apart");
        assert!(blurred(&[7.0; 27], (3, 3), 3).iter().all(|value| (value - 7.0).abs() < 1e-3));
    }

    #[test]
    fn the_area_is_that_of_trapezoids() {
        assert!((area(&[0.0, 0.5, 1.0]) - 0.5).abs() < 1e-12);
        assert!((area(&[0.0, 1.0, 1.0]) - 0.75).abs() < 1e-12);
    }
}
