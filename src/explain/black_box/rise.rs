//! RISE: scores under random masks (Petsiuk, Das and Saenko, arXiv 1806.07421).
//!
//! A mask is a coarse grid of cells, each kept with probability p, brought to the input's size bilinearly and
//! shifted at random by less than a cell. The map is `sum(score(image * mask) * mask) / sum(mask)`: of each pixel the
//! mean score while it was kept. The paper divides by the expectation of that sum, n p, which leaves in the map how often
//! a pixel happened to be kept; `docs/explain.md` has both measured.

use ndarray::Array2;
use serde::Serialize;

use super::{Effort, hide};
use crate::error::Result;
use crate::explain::engine::{Engine, ImageOutputs};
use crate::explain::watch::Watch;

/// What RISE divides its sums by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RiseDivisor {
    /// How often each pixel was kept: `sum(mask)`.
    #[default]
    Coverage,
    /// How often each is kept on average, `n p`, as the paper has it.
    Expectation,
}

/// How RISE samples; `None` leaves it to [`Effort`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiseOptions {
    /// Number of masks, n.
    pub masks: Option<usize>,
    /// Cells along each side.
    pub cells: Option<usize>,
    /// Probability that a cell is kept, p; between 0 and 1.
    pub probability: f32,
    /// Same seed, same masks.
    pub seed: u64,
    /// What sums are divided by.
    pub divisor: RiseDivisor,
}

impl Default for RiseOptions {
    fn default() -> Self {
        Self { masks: None, cells: None, probability: 0.5, seed: 0, divisor: RiseDivisor::default() }
    }
}

/// The masks of RISE: each follows from the seed and its number alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiseMasks {
    /// Number of masks.
    pub masks: usize,
    /// Cells along each side.
    pub cells: usize,
    /// Probability that a cell is kept.
    pub probability: f32,
    /// What the masks follow from.
    pub seed: u64,
    /// What sums are divided by.
    pub divisor: RiseDivisor,
}

impl RiseMasks {
    /// The masks for an effort, with what `options` say instead.
    pub fn new(effort: Effort, options: &RiseOptions) -> Self {
        let (masks, cells) = match effort {
            Effort::Speed => (1000, 4),
            Effort::Balance => (5000, 8),
            Effort::Quality => (10_000, 12),
        };
        Self {
            masks: options.masks.unwrap_or(masks).max(1),
            cells: options.cells.unwrap_or(cells).max(1),
            probability: options.probability,
            seed: options.seed,
            divisor: options.divisor,
        }
    }

    /// Mask number `index` for an input of that size.
    fn mask(&self, index: usize, height: usize, width: usize) -> RiseMask {
        // Neighbouring numbers must not give related masks: the generator mixes the seed, not its sum.
        let mut seeds = fastrand::Rng::with_seed(self.seed);
        let mut random =
            fastrand::Rng::with_seed(seeds.u64(..) ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let cells = self.cells;
        let kept = (0..cells * cells).map(|_| f32::from(u8::from(random.f32() < self.probability)));
        let grid: Vec<f32> = kept.collect();
        // The grid covers one cell more than the input, so that every shift does.
        let shift = |extent: usize, random: &mut fastrand::Rng| {
            let cell = extent.div_ceil(cells).max(1);
            (cell, random.usize(0..cell))
        };
        let down = shift(height, &mut random);
        let right = shift(width, &mut random);
        RiseMask { cells, grid, rows: places(height, cells, down), columns: places(width, cells, right) }
    }
}

/// For each pixel the cell at or before it, and how far it is to the next: bilinear, centres at halves, edges
/// repeated.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn places(extent: usize, cells: usize, (cell, shift): (usize, usize)) -> Vec<(usize, f32)> {
    let ratio = cells as f32 / ((cells + 1) * cell) as f32;
    (shift..shift + extent)
        .map(|at| {
            let at = ((at as f32 + 0.5) * ratio - 0.5).clamp(0.0, (cells - 1) as f32);
            (at as usize, at - (at as usize) as f32)
        })
        .collect()
}

/// One mask.
struct RiseMask {
    cells: usize,
    grid: Vec<f32>,
    rows: Vec<(usize, f32)>,
    columns: Vec<(usize, f32)>,
}

impl RiseMask {
    fn row(&self, row: usize, weights: &mut [f32]) {
        let (above, down) = self.rows[row];
        let below = (above + 1).min(self.cells - 1);
        let line = |row: usize| &self.grid[row * self.cells..(row + 1) * self.cells];
        let mut coarse: Vec<f32> = line(above)
            .iter()
            .zip(line(below))
            .map(|(above, below)| above + (below - above) * down)
            .collect();
        coarse.push(coarse[self.cells - 1]);
        // Runs of pixels between the same two cells: a loop that compilers vectorise.
        let mut weights = weights.iter_mut();
        for run in self.columns.chunk_by(|a, b| a.0 == b.0) {
            let (left, step) = (coarse[run[0].0], coarse[run[0].0 + 1] - coarse[run[0].0]);
            for ((_, right), weight) in run.iter().zip(weights.by_ref()) {
                *weight = left + step * right;
            }
        }
    }
}

/// Maps `[height, width]` for some scores of one image; `scores` reads them, in a fixed order.
///
/// Sums are taken in the order of the masks, whatever the number of requests and threads.
///
/// # Errors
/// Those of [`Engine::run`].
pub(crate) fn rise(
    engine: &mut Engine,
    image: &[f32],
    masks: &RiseMasks,
    outputs: &[usize],
    scores: impl Fn(ImageOutputs<'_>) -> Result<Vec<f32>> + Sync,
    watch: &dyn Watch,
) -> Result<Vec<Array2<f32>>> {
    let input = engine.input().clone();
    let size = (input.channels, input.height, input.width);
    watch.begin("RISE", masks.masks);
    let found = engine.run(
        masks.masks,
        outputs,
        |index, out| {
            let mask = masks.mask(index, input.height, input.width);
            hide(image, size, input.channels_last, |row, weights| mask.row(row, weights), out);
            Ok(())
        },
        scores,
        watch,
    );
    watch.end();
    Ok(weighted(masks, &found?, (input.height, input.width)))
}

/// `sum(score * mask)` for each score, divided as the masks say.
#[allow(clippy::cast_precision_loss)]
fn weighted(masks: &RiseMasks, scores: &[Vec<f32>], (height, width): (usize, usize)) -> Vec<Array2<f32>> {
    let count = scores.first().map_or(0, Vec::len);
    let expected = masks.masks as f32 * masks.probability;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(height.max(1));
    let mut sums: Vec<Array2<f32>> = vec![Array2::zeros((height, width)); count];
    // Threads share the rows, not the masks: each pixel is summed in the same order.
    let band = height.div_ceil(threads).max(1);
    let mut bands: Vec<Vec<&mut [f32]>> = Vec::new();
    for sum in &mut sums {
        let lines = sum.as_slice_mut().unwrap_or_default().chunks_mut(band * width.max(1));
        for (place, lines) in lines.enumerate() {
            if bands.len() <= place {
                bands.push(Vec::new());
            }
            bands[place].push(lines);
        }
    }
    std::thread::scope(|scope| {
        for (place, mut sums) in bands.into_iter().enumerate() {
            scope.spawn(move || {
                let mut weights = vec![0.0; width];
                let mut coverage = vec![0.0; sums.first().map_or(0, |lines| lines.len())];
                for (index, scores) in scores.iter().enumerate() {
                    let mask = masks.mask(index, height, width);
                    let rows = sums.first().map_or(0, |lines| lines.len() / width.max(1));
                    for row in 0..rows {
                        mask.row(place * band + row, &mut weights);
                        let kept = coverage[row * width..(row + 1) * width].iter_mut();
                        kept.zip(&weights).for_each(|(kept, weight)| *kept += weight);
                        for (lines, score) in sums.iter_mut().zip(scores) {
                            let line = lines[row * width..(row + 1) * width].iter_mut();
                            line.zip(&weights).for_each(|(sum, weight)| *sum += score * weight);
                        }
                    }
                }
                for line in sums {
                    for (sum, kept) in line.iter_mut().zip(&coverage) {
                        match masks.divisor {
                            RiseDivisor::Expectation => *sum /= expected,
                            RiseDivisor::Coverage if *kept > 0.0 => *sum /= kept,
                            // What was never kept is not known to matter.
                            RiseDivisor::Coverage => *sum = 0.0,
                        }
                    }
                }
            });
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(mask: &RiseMask, height: usize, width: usize) -> Array2<f32> {
        let mut found = Array2::zeros((height, width));
        for (row, mut line) in found.rows_mut().into_iter().enumerate() {
            mask.row(row, line.as_slice_mut().unwrap());
        }
        found
    }

    const MASKS: RiseMasks =
        RiseMasks { masks: 3000, cells: 4, probability: 0.3, seed: 5, divisor: RiseDivisor::Coverage };

    #[test]
    fn masks_follow_from_seed_and_number() {
        let one = full(&MASKS.mask(1, 20, 30), 20, 30);
        assert_eq!(one, full(&MASKS.mask(1, 20, 30), 20, 30));
        assert_ne!(one, full(&MASKS.mask(2, 20, 30), 20, 30));
        assert_ne!(one, full(&RiseMasks { seed: 6, ..MASKS }.mask(1, 20, 30), 20, 30));
        assert!(one.iter().all(|weight| (0.0..=1.0).contains(weight)));
    }

    #[test]
    fn every_pixel_is_kept_as_often_as_the_probability_says() {
        let mut mean = Array2::<f32>::zeros((20, 30));
        for index in 0..MASKS.masks {
            mean += &full(&MASKS.mask(index, 20, 30), 20, 30);
        }
        mean /= MASKS.masks as f32;
        assert!(mean.iter().all(|kept| (kept - 0.3).abs() < 0.04), "{mean}");
    }

    /// The definition, pixel by pixel: the grid at (cells + 1) * cell pixels, bilinear, cut at the shift.
    #[test]
    fn a_mask_is_its_grid_brought_to_size_and_shifted() {
        let (height, width, cells) = (21, 30, MASKS.cells);
        for index in 0..5 {
            let mask = MASKS.mask(index, height, width);
            let grid = Array2::from_shape_vec((cells, cells), mask.grid.clone()).unwrap();
            let (down, right) = (height.div_ceil(cells), width.div_ceil(cells));
            let large = crate::preprocess::resize_map(&grid, (cells + 1) * down, (cells + 1) * right);
            let found = full(&mask, height, width);
            let fits = |y: usize, x: usize| {
                let cut = large.slice(ndarray::s![y..y + height, x..x + width]);
                cut.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5)
            };
            let shifts = (0..down).flat_map(|y| (0..right).map(move |x| (y, x)));
            assert!(shifts.into_iter().any(|(y, x)| fits(y, x)), "mask {index}");
        }
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        let scores: Vec<Vec<f32>> = (0..7u8).map(|i| vec![f32::from(i), 1.0]).collect();
        for divisor in [RiseDivisor::Coverage, RiseDivisor::Expectation] {
            let masks = RiseMasks { masks: 7, divisor, ..MASKS };
            let found = weighted(&masks, &scores, (5, 9));
            for (target, map) in found.iter().enumerate() {
                let (mut sum, mut kept) = (Array2::<f32>::zeros((5, 9)), Array2::<f32>::zeros((5, 9)));
                for (index, scores) in scores.iter().enumerate() {
                    let mask = full(&masks.mask(index, 5, 9), 5, 9);
                    kept += &mask;
                    sum += &(mask * scores[target]);
                }
                let expected = match divisor {
                    RiseDivisor::Coverage => &sum / &kept.mapv(|kept| kept.max(1e-9)),
                    RiseDivisor::Expectation => &sum / (7.0 * masks.probability),
                };
                assert!(map.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{divisor:?}");
            }
        }
    }

    #[test]
    fn what_was_never_kept_has_nothing() {
        let masks = RiseMasks { masks: 2, probability: 1e-9, ..MASKS };
        let map = &weighted(&masks, &[vec![3.0], vec![1.0]], (4, 4))[0];
        assert!(map.iter().all(|value| *value == 0.0), "{map}");
    }
}
