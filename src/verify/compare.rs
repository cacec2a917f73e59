//! Comparing numbers that went different ways through floating point.

use serde::Serialize;

use super::positions;

/// Rounding noise of logits, as a share of their largest magnitude.
const NOISE: f64 = 1e-5;
/// Error allowed in unscaled maps, as a share of their range.
const SHARE: f64 = 1e-3;
/// A map whose noise is a larger share of its range than this shows noise, and is called flat.
const FLAT: f64 = 0.025;

/// How maps are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Each map scaled to 0..255.
    pub(super) scaled: bool,
    /// Truncated to whole numbers.
    pub(super) truncated: bool,
}

/// How far maps are from those of the definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MapFigures {
    /// Maps that were compared.
    pub maps: usize,
    /// Positions of each map that were compared, and that there are; of the last sample.
    pub positions: [usize; 2],
    /// Values that were compared.
    pub values: usize,
    /// Values that differ at all.
    pub differing: usize,
    /// Largest difference over maps that are not flat: in steps of 255 where maps are scaled, else
    /// in units of the logits.
    pub largest_difference: f64,
    /// Maps with a difference beyond what is allowed.
    pub wrong: usize,
    /// Maps flat to within rounding noise: they can hardly be wrong.
    pub flat: usize,
    /// Maps that the definition itself makes NaN or infinite somewhere: not compared.
    pub undefined: usize,
    /// Best-class rows that were another of equally good classes.
    pub ties: usize,
}

/// One map compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MapDifference {
    pub(super) largest: f64,
    pub(super) allowed: f64,
    /// Position of the largest difference.
    pub(super) at: usize,
    differing: usize,
    flat: bool,
    undefined: bool,
}

impl MapDifference {
    /// Whether the difference is within what is allowed; differences that are no number are not.
    pub(super) fn passes(&self) -> bool {
        self.undefined || self.largest <= self.allowed
    }

    /// How much of what is allowed was used.
    pub(super) fn use_of_allowance(&self) -> f64 {
        let used = self.largest / self.allowed;
        if used.is_nan() { f64::INFINITY } else { used }
    }
}

impl MapFigures {
    /// Counts a map in.
    pub(super) fn add(&mut self, map: &MapDifference, values: usize) {
        self.maps += 1;
        if map.undefined {
            self.undefined += 1;
            return;
        }
        self.values += values;
        self.differing += map.differing;
        self.wrong += usize::from(!map.passes());
        if map.flat {
            self.flat += 1;
        } else {
            self.largest_difference = larger(self.largest_difference, map.largest);
        }
    }

    /// Whether not a single map says anything.
    pub(super) fn says_nothing(&self) -> bool {
        self.flat + self.undefined == self.maps
    }
}

/// The larger of two differences, NaN being larger than all.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Compares a map as found with one as computed from the definition, which is not encoded yet.
///
/// `scale` is the magnitude of the numbers that the map was computed from: what they are rounded
/// to is in proportion to it.
pub(super) fn compare(expected: &[f64], found: &[f64], scale: f64, encoding: Encoding) -> MapDifference {
    let least = expected.iter().copied().fold(f64::INFINITY, f64::min);
    let most = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    between((least, most), expected, found, scale, encoding)
}

/// Compares a map at some of its positions, given in ascending order.
///
/// The ends of its scale, which may lie elsewhere, are read off what was found.
pub(super) fn compare_at(
    positions: &[usize],
    expected: &[f64],
    found: &[f64],
    scale: f64,
    encoding: Encoding,
) -> MapDifference {
    let at = |map: &[f64]| positions.iter().map(|position| map[*position]).collect::<Vec<f64>>();
    let (before, after) = (at(expected), at(found));
    let ends = encoding.scaled.then(|| positions::ends(&before, &after, encoding.truncated)).flatten();
    let Some(ends) = ends else {
        let difference = compare(&before, &after, scale, encoding);
        // It varies elsewhere alone, and how much of its range a difference is cannot be told.
        let same = |map: &[f64]| map.iter().all(|value| Some(value) == map.first());
        let silent = encoding.scaled && same(&after) && !same(found);
        let difference =
            if silent { MapDifference { largest: 0.0, flat: true, ..difference } } else { difference };
        return MapDifference { at: positions[difference.at], ..difference };
    };
    let difference = between(ends, &before, &after, scale, encoding);
    // What scaling promises of all positions.
    let least = found.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = larger(larger(difference.largest, least), 255.0 - found.iter().copied().fold(0.0, larger));
    MapDifference { largest, at: positions[difference.at], ..difference }
}

/// Compares a map whose scale has these ends.
fn between(
    (least, most): (f64, f64),
    expected: &[f64],
    found: &[f64],
    scale: f64,
    encoding: Encoding,
) -> MapDifference {
    let undefined = expected.iter().any(|value| !value.is_finite());
    let range = most - least;
    let noise = NOISE * scale;
    let allowed = if encoding.scaled {
        // Both ends of the scale may be off by the noise, and truncation turns the least bit into a step.
        1.0 + if noise > 0.0 { 255.0 * 2.0 * noise / range } else { 0.0 }
    } else {
        SHARE * range + noise
    };
    let encode = |value: f64| {
        let value = if encoding.scaled { 255.0 * (value - least) / (range + 1e-12) } else { value };
        // What is stored was computed in 24 bits. In more of them, the small constant would keep the
        // largest value below 255, and truncation would make it 254 in every map.
        #[allow(clippy::cast_possible_truncation)]
        let value = value as f32;
        f64::from(if encoding.truncated { value.trunc() } else { value })
    };
    let (mut largest, mut at) = (0.0, 0);
    let mut differing = 0;
    for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
        let expected = encode(*expected);
        let difference = (expected - found).abs();
        if larger(largest, difference) != largest {
            (largest, at) = (difference, place);
        }
        differing += usize::from(expected != *found);
    }
    MapDifference { largest, allowed, at, differing, flat: noise >= FLAT * range, undefined }
}

/// The largest magnitude among numbers; 0 without any.
pub(super) fn magnitude<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().filter(|value| value.is_finite()).fold(0.0, |most, value| most.max(value.abs()))
}

/// The typical magnitude of numbers; 0 without any.
pub(super) fn root_mean_square(values: &[f64]) -> f64 {
    let finite = || values.iter().filter(|value| value.is_finite());
    #[allow(clippy::cast_precision_loss)]
    let count = finite().count().max(1) as f64;
    (finite().map(|value| value * value).sum::<f64>() / count).sqrt()
}

/// Classes by descending score: for each rank those that rounding noise could have put there.
///
/// The class that belongs to the rank is the first of its list.
pub(super) fn ranking(scores: &[f64], count: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Stable: equal scores keep their order, as TopK has it.
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let noise = 2.0 * NOISE * magnitude(scores);
    let tied = |class: usize| {
        let others = order.iter().copied().filter(move |&other| other != class);
        others.filter(move |&other| (scores[other] - scores[class]).abs() <= noise)
    };
    order.iter().take(count).map(|&class| std::iter::once(class).chain(tied(class)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const U8: Encoding = Encoding { scaled: true, truncated: true };
    const RAW: Encoding = Encoding { scaled: false, truncated: false };

    #[test]
    fn maps_are_scaled_from_least_to_most() {
        let found = compare(&[1.0, 2.0, 3.0], &[0.0, 127.0, 255.0], 0.0, U8);
        assert_eq!((found.largest, found.differing, found.passes()), (0.0, 0, true));
        let step = compare(&[1.0, 2.0, 3.0], &[0.0, 126.0, 255.0], 0.0, U8);
        assert_eq!((step.largest, step.differing, step.at, step.passes()), (1.0, 1, 1, true));
        let wrong = compare(&[1.0, 2.0, 3.0], &[0.0, 120.0, 255.0], 0.0, U8);
        assert!(!wrong.passes());
    }

    #[test]
    fn noise_widens_what_is_allowed_for_nearly_flat_maps() {
        let map = [100.0, 100.0 + 1e-3, 100.0 + 2e-3];
        let off = [0.0, 110.0, 255.0];
        let strict = compare(&map, &off, 0.0, U8);
        assert!(!strict.passes() && !strict.flat);
        let loose = compare(&map, &off, 100.0, U8);
        assert!(loose.passes() && loose.flat, "{loose:?}");
        let constant = compare(&[5.0; 3], &[0.0; 3], 5.0, U8);
        assert!(constant.passes() && constant.flat, "{constant:?}");
        let zero = compare(&[0.0; 3], &[0.0; 3], 0.0, U8);
        assert!(zero.passes() && zero.flat, "{zero:?}");
        assert!(!compare(&[0.0; 3], &[0.0, 9.0, 0.0], 0.0, U8).passes());
    }

    #[test]
    fn unscaled_maps_are_compared_as_they_are() {
        let map = [-1.0, 0.0, 3.0];
        assert!(compare(&map, &[-1.0, 0.003, 3.0], 3.0, RAW).passes());
        assert!(!compare(&map, &[-1.0, 0.005, 3.0], 3.0, RAW).passes());
        assert_eq!(compare(&map, &map, 3.0, RAW).differing, 0);
    }

    #[test]
    fn some_positions_speak_for_a_map() {
        let map: Vec<f64> = (0..40).map(|place| 3.0 + f64::from((place * 7 + 3) % 41)).collect();
        let scaled: Vec<f64> = map.iter().map(|value| (255.0 * (value - 3.0) / 40.0).trunc()).collect();
        let positions = [0, 5, 11, 17, 24, 31, 39];
        let mut some = vec![f64::NAN; 40];
        positions.iter().for_each(|position| some[*position] = map[*position]);
        let right = compare_at(&positions, &some, &scaled, 40.0, U8);
        assert!(right.passes() && !right.flat && !right.undefined, "{right:?}");
        let mut off = scaled.clone();
        off[17] += 3.0;
        let wrong = compare_at(&positions, &some, &off, 40.0, U8);
        assert!(!wrong.passes() && wrong.at == 17, "{wrong:?}");
        // Turned around, not scaled to the ends, no number where nobody looked.
        let turned: Vec<f64> = scaled.iter().map(|value| 255.0 - value).collect();
        let short: Vec<f64> = scaled.iter().map(|value| (value / 2.0).trunc()).collect();
        let mut unknown = scaled.clone();
        unknown[1] = f64::NAN;
        for wrong in [turned, short, unknown] {
            assert!(!compare_at(&positions, &some, &wrong, 40.0, U8).passes(), "{wrong:?}");
        }
        // A map that varies where nobody looked says nothing; one that should vary and does not is wrong.
        let mut elsewhere = vec![0.0; 40];
        elsewhere[1] = 255.0;
        assert!(compare_at(&positions, &some, &elsewhere, 40.0, U8).flat);
        assert!(!compare_at(&positions, &some, &[0.0; 40], 40.0, U8).passes());
        assert!(compare_at(&positions, &some, &map, 40.0, RAW).passes());
    }

    #[test]
    fn a_difference_that_is_no_number_is_wrong() {
        let found = compare(&[0.0, 1.0], &[0.0, f64::NAN], 1.0, RAW);
        assert!(!found.passes() && found.use_of_allowance() == f64::INFINITY);
        assert!(!compare(&[0.0, 1.0], &[0.0, f64::INFINITY], 1.0, RAW).passes());
        let undefined = compare(&[0.0, f64::NAN], &[0.0, f64::NAN], 1.0, RAW);
        assert!(undefined.passes() && undefined.undefined);
        let mut figures = MapFigures::default();
        figures.add(&found, 2);
        assert!(figures.largest_difference.is_nan() && figures.wrong == 1);
    }

    #[test]
    fn ranks_list_what_noise_may_swap() {
        assert_eq!(ranking(&[1.0, 3.0, 2.0], 2), [vec![1], vec![2]]);
        assert_eq!(ranking(&[1.0, 1.0, 2.0], 2), [vec![2], vec![0, 1]]);
        assert_eq!(ranking(&[1.0, 1.0 + 1e-6, 2.0], 3), [vec![2], vec![1, 0], vec![0, 1]]);
        assert_eq!(ranking(&[1.0], 5), [vec![0]]);
    }
}
