//! DIRECT, a global search that divides rectangles.
//!
//! Jones, Perttunen and Stuckman, "Lipschitzian optimization without the Lipschitz constant", JOTA 79 (1993); the
//! locally biased variant is that of Gablonsky and Kelley, J. Global Optimization 21 (2001).

/// A search for the least value in a box of `D` dimensions. Whoever uses it computes the values: [`Direct::ask`]
/// gives points, [`Direct::tell`] takes their values.
#[derive(Debug, Clone)]
pub(crate) struct Direct<const D: usize> {
    lower: [f64; D],
    upper: [f64; D],
    epsilon: f64,
    local: bool,
    rectangles: Vec<Rectangle<D>>,
    asked: Vec<Division<D>>,
}

/// A rectangle of the unit cube, divided in three `levels` times along each axis.
#[derive(Debug, Clone, Copy)]
struct Rectangle<const D: usize> {
    center: [f64; D],
    levels: [u32; D],
    value: f64,
}

/// A rectangle about to be divided along these axes, two points for each.
#[derive(Debug, Clone)]
struct Division<const D: usize> {
    rectangle: usize,
    axes: Vec<usize>,
}

impl<const D: usize> Rectangle<D> {
    /// From the centre to a corner.
    fn radius(&self) -> f64 {
        let mut levels = self.levels;
        // Rectangles of equal shape have equal radii to the last bit.
        levels.sort_unstable();
        levels.iter().map(|level| side(*level).powi(2)).sum::<f64>().sqrt() / 2.0
    }

    fn longest(&self) -> Vec<usize> {
        let least = self.levels.iter().min().copied().unwrap_or(0);
        (0..D).filter(|axis| self.levels[*axis] == least).collect()
    }
}

fn side(level: u32) -> f64 {
    3f64.powi(-i32::try_from(level).unwrap_or(i32::MAX))
}

impl<const D: usize> Direct<D> {
    /// Searches between `lower` and `upper`. `epsilon` is how much a step has to promise, relative to the best
    /// value; `local` takes fewer rectangles of each size.
    pub(crate) fn new(lower: [f64; D], upper: [f64; D], epsilon: f64, local: bool) -> Self {
        Self { lower, upper, epsilon, local, rectangles: Vec::new(), asked: Vec::new() }
    }

    /// The points whose values are wanted next.
    pub(crate) fn ask(&mut self) -> Vec<[f64; D]> {
        if self.rectangles.is_empty() {
            return vec![self.scaled([0.5; D])];
        }
        self.asked = self
            .promising()
            .into_iter()
            .map(|rectangle| Division { rectangle, axes: self.rectangles[rectangle].longest() })
            .collect();
        let mut points = Vec::new();
        for division in &self.asked {
            let rectangle = &self.rectangles[division.rectangle];
            for &axis in &division.axes {
                for sign in [1.0, -1.0] {
                    points.push(self.scaled(moved(rectangle, axis, sign)));
                }
            }
        }
        points
    }

    /// Takes the values of the points of the last [`Direct::ask`], in their order.
    pub(crate) fn tell(&mut self, values: &[f64]) {
        if self.rectangles.is_empty() {
            if let Some(&value) = values.first() {
                self.rectangles.push(Rectangle { center: [0.5; D], levels: [0; D], value });
            }
            return;
        }
        let mut values = values.iter().copied();
        for division in std::mem::take(&mut self.asked) {
            let mut pairs: Vec<(usize, [f64; 2])> = Vec::new();
            for axis in division.axes {
                let (Some(above), Some(below)) = (values.next(), values.next()) else { return };
                pairs.push((axis, [above, below]));
            }
            // The best points get the largest rectangles.
            pairs.sort_by(|a, b| a.1[0].min(a.1[1]).total_cmp(&b.1[0].min(b.1[1])));
            let mut parent = self.rectangles[division.rectangle];
            for (axis, found) in pairs {
                let centers = [1.0, -1.0].map(|sign| moved(&parent, axis, sign));
                parent.levels[axis] += 1;
                for (center, value) in centers.into_iter().zip(found) {
                    self.rectangles.push(Rectangle { center, levels: parent.levels, value });
                }
            }
            self.rectangles[division.rectangle] = parent;
        }
    }

    fn scaled(&self, unit: [f64; D]) -> [f64; D] {
        std::array::from_fn(|axis| self.lower[axis] + unit[axis] * (self.upper[axis] - self.lower[axis]))
    }

    /// Rectangles that hold the least value for some Lipschitz constant, the smallest first.
    fn promising(&self) -> Vec<usize> {
        // The best value for each radius.
        let mut order: Vec<(f64, usize)> =
            self.rectangles.iter().enumerate().map(|(i, rectangle)| (rectangle.radius(), i)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let groups: Vec<&[(f64, usize)]> = order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).collect();
        let value = |index: usize| self.rectangles[index].value;
        let best: Vec<(f64, f64)> = groups
            .iter()
            .map(|group| (group[0].0, group.iter().map(|(_, i)| value(*i)).fold(f64::INFINITY, f64::min)))
            .collect();
        let least = best.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let wanted = least - self.epsilon * least.abs();
        let mut found = Vec::new();
        for (group, &(radius, value_here)) in groups.iter().zip(&best) {
            let slopes = |smaller: bool| {
                best.iter()
                    .filter(move |(other, _)| if smaller { *other < radius } else { *other > radius })
                    .map(move |(other, value)| (value_here - value) / (radius - other))
            };
            let (low, high) = (slopes(true).fold(0.0, f64::max), slopes(false).fold(f64::INFINITY, f64::min));
            let reaches = high.is_infinite() || value_here - high * radius <= wanted;
            if high > 0.0 && low <= high && reaches {
                let equals = group.iter().map(|(_, i)| *i).filter(|i| value(*i) <= value_here);
                found.extend(equals.take(if self.local { 1 } else { usize::MAX }));
            }
        }
        found
    }
}

fn moved<const D: usize>(rectangle: &Rectangle<D>, axis: usize, sign: f64) -> [f64; D] {
    let mut center = rectangle.center;
    center[axis] += sign * side(rectangle.levels[axis] + 1);
    center
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluations until the value is within 0.01 % of the known least one, as Jones et al. count them.
    fn evaluations(
        function: impl Fn([f64; 2]) -> f64,
        (lower, upper): ([f64; 2], [f64; 2]),
        least: f64,
        local: bool,
    ) -> usize {
        let mut search = Direct::new(lower, upper, 1e-4, local);
        let mut count = 0;
        while count < 5000 {
            let points = search.ask();
            assert!(!points.is_empty());
            let values: Vec<f64> = points.iter().map(|point| function(*point)).collect();
            count += values.len();
            if values.iter().any(|value| (value - least) / least.abs() < 1e-4) {
                return count;
            }
            search.tell(&values);
        }
        panic!("not found");
    }

    fn branin([x, y]: [f64; 2]) -> f64 {
        let pi = std::f64::consts::PI;
        (y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0).powi(2)
            + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos()
            + 10.0
    }

    fn camel([x, y]: [f64; 2]) -> f64 {
        (4.0 - 2.1 * x * x + x.powi(4) / 3.0) * x * x + x * y + (4.0 * y * y - 4.0) * y * y
    }

    fn goldstein_price([x, y]: [f64; 2]) -> f64 {
        let a = 19.0 - 14.0 * x + 3.0 * x * x - 14.0 * y + 6.0 * x * y + 3.0 * y * y;
        let b = 18.0 - 32.0 * x + 12.0 * x * x + 48.0 * y - 36.0 * x * y + 27.0 * y * y;
        (1.0 + (x + y + 1.0).powi(2) * a) * (30.0 + (2.0 * x - 3.0 * y).powi(2) * b)
    }

    /// The paper's table 2 gives 195, 285 and 191 evaluations; whole iterations are counted here.
    #[test]
    fn the_test_functions_of_the_paper_take_as_long_as_it_says() {
        for local in [false, true] {
            let found = [
                evaluations(branin, ([-5.0, 0.0], [10.0, 15.0]), 0.397_887, local),
                evaluations(camel, ([-3.0, -2.0], [3.0, 2.0]), -1.031_628_45, local),
                evaluations(goldstein_price, ([-2.0, -2.0], [2.0, 2.0]), 3.0, local),
            ];
            let most = [210, 300, 205];
            assert!(found.iter().zip(most).all(|(found, most)| *found <= most), "{found:?}");
        }
    }

    #[test]
    fn the_first_points_are_the_centre_and_the_thirds() {
        let mut search = Direct::new([0.0, 10.0], [3.0, 13.0], 0.1, false);
        assert_eq!(search.ask(), [[1.5, 11.5]]);
        search.tell(&[1.0]);
        let points = search.ask();
        let expected = [[2.5, 11.5], [0.5, 11.5], [1.5, 12.5], [1.5, 10.5]];
        for (point, expected) in points.iter().zip(expected) {
            assert!(point.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{points:?}");
        }
    }

    #[test]
    fn a_flat_function_is_searched_evenly() {
        let mut search = Direct::new([0.0], [1.0], 0.1, false);
        for _ in 0..4 {
            let points = search.ask();
            search.tell(&vec![0.0; points.len()]);
        }
        // All rectangles of the largest size are divided each time.
        assert_eq!(search.rectangles.len(), 27);
    }
}
