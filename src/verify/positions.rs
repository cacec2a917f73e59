//! Which positions of a grid are computed, where not all of them are.

use crate::error::{Error, Result};

/// Fewer positions fit many maps.
const FEWEST: usize = 8;

/// Positions that are computed of grids which have more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling {
    /// At most so many; `None`: all.
    at_most: Option<usize>,
    /// Seed of those that are drawn.
    seed: u64,
}

impl Sampling {
    /// At most so many positions, or all.
    ///
    /// # Errors
    /// [`Error::Usage`] where so few say too little of a map.
    pub(super) fn new(at_most: Option<usize>, seed: u64) -> Result<Self> {
        match at_most {
            Some(count) if count < FEWEST => Err(Error::usage(format!(
                "{count} positions fit many maps; compare {FEWEST} or more of them"
            ))),
            _ => Ok(Self { at_most, seed }),
        }
    }

    /// The positions of a grid that are computed, in ascending order; `None` where that is all of them.
    ///
    /// Corners and centre come first, then where the `found` maps `[.., positions]` are largest and least, as far as
    /// half of the positions go, then others by chance. What scaling does to a map shows at its ends.
    pub(super) fn choose(self, (height, width): (usize, usize), found: &[f64]) -> Option<Vec<usize>> {
        let all = height * width;
        let count = self.at_most.filter(|count| *count < all)?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let (bottom, right) = (height - 1, width - 1);
        let mut wanted =
            vec![0, right, bottom * width, bottom * width + right, height / 2 * width + width / 2];
        let mut maps: Vec<&[f64]> = found.chunks_exact(all).collect();
        random.shuffle(&mut maps);
        for map in maps.into_iter().take(count / 4) {
            let by_value = |a: &usize, b: &usize| map[*a].total_cmp(&map[*b]);
            wanted.extend((0..all).min_by(by_value).into_iter().chain((0..all).max_by(by_value)));
        }
        let mut others: Vec<usize> = (0..all).collect();
        random.shuffle(&mut others);
        let mut taken = vec![false; all];
        let mut left = count;
        for position in wanted.into_iter().chain(others) {
            if left > 0 && !std::mem::replace(&mut taken[position], true) {
                left -= 1;
            }
        }
        Some((0..all).filter(|position| taken[*position]).collect())
    }
}

/// The ends of the scale on which a map lies that was scaled to 0..255, from some of its values before and after;
/// `None` where those after are all the same, or rise where the others fall.
///
/// A line through them by least squares. A step that was truncated hides half of itself in the mean.
pub(super) fn ends(before: &[f64], after: &[f64], truncated: bool) -> Option<(f64, f64)> {
    let hidden = |value: f64| value + if truncated && value > 0.0 && value < 254.0 { 0.5 } else { 0.0 };
    let after: Vec<f64> = after.iter().map(|value| hidden(*value)).collect();
    #[allow(clippy::cast_precision_loss)]
    let count = before.len().max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_before, mean_after) = (mean(before), mean(&after));
    let pairs = || before.iter().zip(&after).map(|(a, b)| (a - mean_before, b - mean_after));
    let spread: f64 = pairs().map(|(_, b)| b * b).sum();
    let slope = pairs().map(|(a, b)| a * b).sum::<f64>() / spread;
    let least = mean_before - slope * mean_after;
    // The least step that shows is far above this.
    (spread > 1e-6 && slope > 0.0).then_some((least, least + 255.0 * slope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_positions_are_refused() {
        let refused = Sampling::new(Some(7), 0).unwrap_err().to_string();
        assert!(refused.contains("compare 8 or more"), "{refused}");
        Sampling::new(Some(8), 0).unwrap();
    }

    #[test]
    fn what_shows_most_is_chosen_first() {
        let sampling = |count| Sampling { at_most: count, seed: 3 };
        assert_eq!(sampling(None).choose((4, 5), &[]), None);
        assert_eq!(sampling(Some(20)).choose((4, 5), &[]), None);
        assert_eq!(sampling(Some(5)).choose((4, 5), &[]), Some(vec![0, 4, 12, 15, 19]));
        let mut map = [0.5; 20];
        (map[6], map[8]) = (0.0, 1.0);
        let chosen = sampling(Some(8)).choose((4, 5), &map).unwrap();
        assert_eq!(chosen.len(), 8);
        assert!([0, 4, 6, 8, 12, 15, 19].iter().all(|position| chosen.contains(position)), "{chosen:?}");
        assert_eq!(sampling(Some(8)).choose((4, 5), &map), Some(chosen));
    }

    #[test]
    fn ends_of_a_scale_are_read_off_any_of_its_values() {
        let before = [3.0, 4.5, 5.0, 8.0];
        let after = before.map(|value| 255.0 * (value - 2.0) / 8.0);
        let (least, most) = ends(&before, &after, false).unwrap();
        assert!((least - 2.0).abs() < 1e-9 && (most - 10.0).abs() < 1e-9, "{least} {most}");
        let (least, most) = ends(&before, &after.map(f64::trunc), true).unwrap();
        assert!((least - 2.0).abs() < 0.02 && (most - 10.0).abs() < 0.05, "{least} {most}");
        assert_eq!(ends(&before, &after.map(|value| 255.0 - value), false), None);
        assert_eq!(ends(&before, &[7.0; 4], false), None);
    }
}
