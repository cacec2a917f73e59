//! AISE, adaptive input sampling: Gaussian windows are placed where they matter most.
//!
//! For each kernel width a global search ([`Direct`]) looks for the window that, kept alone, gives the target the
//! highest score and, taken out, the lowest. Every window that was tried adds to the map with what it gains: its
//! score over that of an empty image, and what the whole image's score loses without it. A window that changes
//! nothing so adds nothing. The sums of all widths, each scaled to a peak of 1, make the map.

use ndarray::Array2;
use serde::Serialize;

use super::direct::Direct;
use super::{Effort, hide};
use crate::error::Result;
use crate::explain::engine::{Engine, ImageOutputs};
use crate::explain::watch::Watch;
use crate::preprocess::ImageInput;

/// How AISE searches; `None` leaves it to [`Effort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AiseOptions {
    /// Windows to try for each kernel width.
    pub iterations: Option<usize>,
}

/// What is explained, and where its windows may lie.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Aim {
    /// Standard deviations of the windows, relative to the input's sides.
    pub(crate) widths: Vec<f64>,
    /// Windows to try for each.
    pub(crate) iterations: usize,
    /// Where their centres may lie: x and y from, x and y to; relative.
    pub(crate) lower: [f64; 2],
    pub(crate) upper: [f64; 2],
    /// How much a step of the search has to promise.
    pub(crate) epsilon: f64,
    /// Whether windows are taken out as well, not only kept.
    pub(crate) deletion: bool,
}

/// `count` numbers from one to another, both included.
#[allow(clippy::cast_precision_loss)]
fn spread(from: f64, to: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| from + (to - from) * i as f64 / (count.max(2) - 1) as f64).collect()
}

fn iterations(effort: Effort, options: &AiseOptions) -> usize {
    let usual = match effort {
        Effort::Speed => 20,
        Effort::Balance | Effort::Quality => 50,
    };
    options.iterations.unwrap_or(usual).max(1)
}

impl Aim {
    /// For a class score: windows anywhere in the image.
    pub(crate) fn class(effort: Effort, options: &AiseOptions) -> Self {
        let widths = match effort {
            Effort::Speed | Effort::Balance => spread(0.1, 0.25, 3),
            Effort::Quality => spread(0.075, 0.25, 5),
        };
        Self {
            widths,
            iterations: iterations(effort, options),
            lower: [0.0; 2],
            upper: [1.0; 2],
            epsilon: 0.1,
            deletion: true,
        }
    }

    /// For a box `[x1, y1, x2, y2]`, relative to the input: windows within it and half its size around, as wide
    /// as its shorter side and fractions of that.
    pub(crate) fn around([x1, y1, x2, y2]: [f64; 4], effort: Effort, options: &AiseOptions) -> Self {
        let divisors = match effort {
            Effort::Speed | Effort::Balance => spread(7.0, 1.0, 3),
            Effort::Quality => spread(8.0, 1.0, 5),
        };
        let (width, height) = (x2 - x1, y2 - y1);
        let shorter = width.min(height).max(1e-3);
        Self {
            widths: divisors.into_iter().map(|divisor| shorter / divisor).collect(),
            iterations: iterations(effort, options),
            lower: [(x1 - width / 2.0).clamp(0.0, 1.0), (y1 - height / 2.0).clamp(0.0, 1.0)],
            upper: [(x2 + width / 2.0).clamp(0.0, 1.0), (y2 + height / 2.0).clamp(0.0, 1.0)],
            epsilon: 0.05,
            deletion: false,
        }
    }
}

/// A Gaussian window of peak 1 over an input.
#[derive(Debug, Clone)]
struct Gaussian {
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Gaussian {
    /// The window at (x, y) with a standard deviation of `width`, all relative to the sides: pixels lie at
    /// 0 to 1, first to last.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn new([x, y]: [f64; 2], width: f64, (rows, columns): (usize, usize)) -> Self {
        let line = |center: f64, count: usize| -> Vec<f32> {
            let places = (0..count).map(|i| i as f64 / (count.max(2) - 1) as f64);
            let squares: Vec<f64> = places.map(|at| ((at - center) / width).powi(2) / 2.0).collect();
            // The nearest pixel is the peak, also where the centre lies between pixels.
            let least = squares.iter().copied().fold(f64::INFINITY, f64::min);
            squares.into_iter().map(|square| (least - square).exp() as f32).collect()
        };
        Self { rows: line(y, rows), columns: line(x, columns) }
    }

    fn row(&self, row: usize, weights: &mut [f32]) {
        let down = self.rows[row];
        weights.iter_mut().zip(&self.columns).for_each(|(weight, across)| *weight = down * across);
    }

    fn row_without(&self, row: usize, weights: &mut [f32]) {
        let down = self.rows[row];
        weights.iter_mut().zip(&self.columns).for_each(|(weight, across)| *weight = 1.0 - down * across);
    }
}

/// One search: a target and a kernel width.
struct WindowSearch {
    target: usize,
    width: f64,
    direct: Direct<2>,
    /// What was tried, with the score that it got.
    tried: Vec<([f64; 2], f64)>,
}

/// A window to run: one that is kept, or taken out.
#[derive(Debug, Clone, Copy)]
struct Trial {
    search: usize,
    target: usize,
    at: [f64; 2],
    width: f64,
    without: bool,
}

/// Maps `[height, width]` for several targets of one image, scaled to a peak of 1; `score(target, outputs)` reads
/// the score of one.
///
/// All searches go on side by side, so that their windows can be run together.
///
/// # Errors
/// Those of [`Engine::run`].
pub(crate) fn aise(
    engine: &mut Engine,
    image: &[f32],
    aims: &[Aim],
    outputs: &[usize],
    score: impl Fn(usize, &ImageOutputs<'_>) -> Result<f32> + Sync,
    watch: &dyn Watch,
) -> Result<Vec<Array2<f32>>> {
    let input = engine.input().clone();
    let mut searches: Vec<WindowSearch> = Vec::new();
    for (target, aim) in aims.iter().enumerate() {
        for &width in &aim.widths {
            let direct = Direct::new(aim.lower, aim.upper, aim.epsilon, false);
            searches.push(WindowSearch { target, width, direct, tried: Vec::new() });
        }
    }
    let runs = |aim: &Aim| if aim.deletion { 2 } else { 1 };
    let total: usize = aims.iter().map(|aim| aim.widths.len() * aim.iterations * runs(aim)).sum();
    watch.begin("AISE", total + 2);
    let neutral = neutral(engine, image, aims, outputs, &score, watch);
    let search = || -> Result<()> {
        let neutral = neutral?;
        loop {
            let mut trials: Vec<Trial> = Vec::new();
            for (index, search) in searches.iter_mut().enumerate() {
                let aim = &aims[search.target];
                for at in search.direct.ask().into_iter().take(aim.iterations - search.tried.len()) {
                    let trial = Trial {
                        search: index,
                        target: search.target,
                        at,
                        width: search.width,
                        without: false,
                    };
                    trials.push(trial);
                    trials.extend(aim.deletion.then_some(Trial { without: true, ..trial }));
                }
            }
            if trials.is_empty() {
                return Ok(());
            }
            let scores = run(engine, &input, image, outputs, &trials, &score, watch)?;
            let mut scored = trials.iter().zip(scores).peekable();
            for (index, search) in searches.iter_mut().enumerate() {
                let mut values = Vec::new();
                while let Some((trial, kept)) = scored.next_if(|(trial, _)| trial.search == index) {
                    let gone = scored.next_if(|(next, _)| next.search == index && next.without);
                    let gain = f64::from(kept) - gone.map_or(0.0, |(_, gone)| f64::from(gone));
                    let gain = gain - neutral[search.target];
                    search.tried.push((trial.at, gain));
                    values.push(-gain);
                }
                search.direct.tell(&values);
            }
        }
    };
    let outcome = search();
    watch.end();
    outcome?;
    Ok((0..aims.len()).map(|target| density(&searches, target, (input.height, input.width))).collect())
}

/// For each target, what a window gets that changes nothing: kept, it leaves an empty image; taken out, the whole.
fn neutral(
    engine: &mut Engine,
    image: &[f32],
    aims: &[Aim],
    outputs: &[usize],
    score: &(impl Fn(usize, &ImageOutputs<'_>) -> Result<f32> + Sync),
    watch: &dyn Watch,
) -> Result<Vec<f64>> {
    let make = |index: usize, out: &mut [f32]| {
        if index == 0 {
            out.fill(0.0)
        } else {
            out.copy_from_slice(image)
        }
        Ok(())
    };
    let read = |found: ImageOutputs<'_>| (0..aims.len()).map(|target| score(target, &found)).collect();
    let found: Vec<Vec<f32>> = engine.run(2, outputs, make, read, watch)?;
    let whole = |target: usize| if aims[target].deletion { found[1][target] } else { 0.0 };
    Ok((0..aims.len()).map(|target| f64::from(found[0][target]) - f64::from(whole(target))).collect())
}

/// Scores of windows, each for its target.
fn run(
    engine: &mut Engine,
    input: &ImageInput,
    image: &[f32],
    outputs: &[usize],
    trials: &[Trial],
    score: &(impl Fn(usize, &ImageOutputs<'_>) -> Result<f32> + Sync),
    watch: &dyn Watch,
) -> Result<Vec<f32>> {
    let size = (input.channels, input.height, input.width);
    let make = |index: usize, out: &mut [f32]| {
        let Trial { at, width, without, .. } = trials[index];
        let window = Gaussian::new(at, width, (input.height, input.width));
        let row = if without { Gaussian::row_without } else { Gaussian::row };
        hide(image, size, input.channels_last, |at, weights| row(&window, at, weights), out);
        Ok(())
    };
    let read = |index: usize, found: ImageOutputs<'_>| score(trials[index].target, &found);
    engine.run_indexed(trials.len(), outputs, make, read, watch)
}

/// The sum of a target's windows, weighted by their scores, the widths scaled to a peak of 1 each.
#[allow(clippy::cast_possible_truncation)]
fn density(searches: &[WindowSearch], target: usize, size: (usize, usize)) -> Array2<f32> {
    let mut map = Array2::<f32>::zeros(size);
    for search in searches.iter().filter(|search| search.target == target) {
        let mut sum = Array2::<f32>::zeros(size);
        let mut weights = vec![0.0; size.1];
        for (point, score) in &search.tried {
            let window = Gaussian::new(*point, search.width, size);
            for (row, mut line) in sum.rows_mut().into_iter().enumerate() {
                window.row(row, &mut weights);
                line.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum += weight * *score as f32);
            }
        }
        let most = sum.iter().copied().fold(0.0, f32::max);
        if most > 0.0 {
            sum /= most;
        }
        map += &sum;
    }
    let most = map.iter().copied().fold(0.0, f32::max);
    if most > 0.0 { map / most } else { map }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_a_peak_of_one_at_the_nearest_pixel() {
        let window = Gaussian::new([0.5, 0.26], 0.25, (5, 9));
        let mut weights = vec![0.0; 9];
        window.row(1, &mut weights);
        assert_eq!(weights[4], 1.0);
        // Two pixels of 1/8 to the right are one standard deviation.
        assert!((weights[6] - (-0.5f32).exp()).abs() < 1e-6);
        window.row_without(1, &mut weights);
        assert_eq!(weights[4], 0.0);
    }

    #[test]
    fn presets_spread_widths_and_boxes_limit_them() {
        let aim = Aim::class(Effort::Quality, &AiseOptions::default());
        assert_eq!((aim.widths.len(), aim.iterations), (5, 50));
        assert!((aim.widths[0] - 0.075).abs() < 1e-12 && (aim.widths[4] - 0.25).abs() < 1e-12);
        let aim = Aim::around([0.5, 0.0, 0.9, 0.2], Effort::Speed, &AiseOptions { iterations: Some(3) });
        assert_eq!((aim.iterations, aim.deletion), (3, false));
        assert!((aim.widths[2] - 0.2).abs() < 1e-12 && (aim.widths[0] - 0.2 / 7.0).abs() < 1e-12);
        let near = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(aim.lower, [0.3, 0.0]) && near(aim.upper, [1.0, 0.3]));
    }

    #[test]
    fn the_density_is_highest_where_scores_are() {
        let search = |width, tried: Vec<([f64; 2], f64)>| WindowSearch {
            target: 0,
            width,
            direct: Direct::new([0.0; 2], [1.0; 2], 0.1, false),
            tried,
        };
        let tried = vec![([0.25, 0.75], 0.8), ([0.9, 0.1], -0.2)];
        let map = density(&[search(0.1, tried.clone()), search(0.2, tried)], 0, (21, 21));
        let peak = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert_eq!((peak.0, *peak.1), ((15, 5), 1.0));
        assert!(map[[2, 18]] < 0.0, "what harms counts against");
    }
}
