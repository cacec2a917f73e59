//! Where a map lies over the input, pixel by pixel.

use ndarray::Array2;

use super::ImageInput;
use super::sample::{Sampled, sample};
use crate::ir::{Course, key};

/// Where the positions of a model's maps lie in its input, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    rows: Course,
    columns: Course,
    /// The extents of what was resized to the map's size; `None` where maps have their own positions.
    resized: Option<(usize, usize)>,
}

impl Placed {
    /// From the entries of a record; `None` where they do not say.
    pub(crate) fn read<'a>(entry: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let course = |name: &str| entry(name)?.parse::<Course>().ok();
        if let Some((rows, columns)) = course(key::ROWS).zip(course(key::COLUMNS)) {
            return Some(Self { rows, columns, resized: None });
        }
        // Class maps of detectors are resized to one size, and lie like the first of them.
        let scale = key::numbered(key::SCALE, 1);
        let (height, width) = entry(&key::grid_of(&scale))?.split_once('x')?;
        let resized = Some((height.parse().ok()?, width.parse().ok()?));
        let (rows, columns) = (course(&key::rows_of(&scale))?, course(&key::columns_of(&scale))?);
        Some(Self { rows, columns, resized })
    }

    /// Where maps of that height and width lie in an input.
    pub(crate) fn lay(&self, input: &ImageInput, map: (usize, usize)) -> Lay {
        let (height, width) = if input.channels_last { (1, 2) } else { (2, 3) };
        // Maps are handed out as the input lies.
        let turned = self.rows.axis > self.columns.axis;
        let resized =
            self.resized.map(|(height, width)| if turned { (width, height) } else { (height, width) });
        let (rows, columns) = if turned { (self.columns, self.rows) } else { (self.rows, self.columns) };
        if (rows.axis, columns.axis) != (height, width) {
            return Lay::WHOLE;
        }
        Lay {
            rows: steps(rows, input.height, map.0, resized.map(|(height, _)| height)),
            columns: steps(columns, input.width, map.1, resized.map(|(_, width)| width)),
        }
    }
}

/// Where `count` positions of a map lie along an axis of that extent, in its direction.
#[allow(clippy::cast_precision_loss)]
fn steps(course: Course, extent: usize, count: usize, resized: Option<usize>) -> Option<Steps> {
    let own = resized.unwrap_or(count);
    let course = course.within(extent);
    let Course { offset, step, .. } = if course.step < 0.0 { course.turned(own) } else { course };
    if resized.is_none() {
        return Some(Steps { offset, step });
    }
    // A cell of a detector speaks for what lies in it, wherever in the cell its features are centred. So cells that
    // tile the input from its first pixel on lie over the whole of it.
    let begin = offset - (step - 1.0) / 2.0;
    let tiles = begin.abs() <= step / 2.0 && (step * own as f64 - extent as f64).abs() < step;
    let wide = step * own as f64 / count as f64;
    (!tiles).then_some(Steps { offset: begin + (wide - 1.0) / 2.0, step: wide })
}

/// Where a map lies over the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lay {
    /// Where its rows are; `None` where they share the input evenly.
    rows: Option<Steps>,
    columns: Option<Steps>,
}

/// Position i is centred on pixel `offset + step * i`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Steps {
    offset: f64,
    step: f64,
}

/// How many steps beyond the first and the last position these still speak for what is there. Windows without
/// pads leave more than one step to them at the borders of the image.
const REACH: f64 = 1.5;

impl Lay {
    /// Over the whole input, evenly.
    pub const WHOLE: Self = Self { rows: None, columns: None };

    /// A map in the input's height and width.
    ///
    /// Pixels that no position speaks for get the map's smallest value.
    pub fn over(&self, map: &Array2<f32>, height: usize, width: usize) -> Array2<f32> {
        #[allow(clippy::cast_precision_loss)]
        let middles = |count: usize| (0..count).map(|at| Some(at as f64 + 0.5)).collect::<Vec<_>>();
        self.at(map, &middles(height), &middles(width), (height, width))
    }

    /// The map at places of the input, in pixels from its edge; the smallest value where there is none.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn at(
        &self,
        map: &Array2<f32>,
        rows: &[Option<f64>],
        columns: &[Option<f64>],
        (height, width): (usize, usize),
    ) -> Array2<f32> {
        let least = map.iter().copied().fold(f32::INFINITY, f32::min);
        let index = |steps: Option<Steps>, extent: usize, count: usize, place: Option<f64>| {
            let place = place?;
            let at = match steps {
                None => place / extent as f64 * count as f64 - 0.5,
                Some(steps) => (place - 0.5 - steps.offset) / steps.step,
            };
            let covered = -REACH..=count as f64 - 1.0 + REACH;
            (steps.is_none() || covered.contains(&at)).then_some(at)
        };
        let rows: Sampled = rows.iter().map(|place| index(self.rows, height, map.nrows(), *place)).collect();
        let columns: Sampled =
            columns.iter().map(|place| index(self.columns, width, map.ncols(), *place)).collect();
        sample(map, &rows, &columns, least)
    }
}

/// Brings a map to another size, bilinear, with pixel centres at halves and edges repeated.
pub(crate) fn resize_map(map: &Array2<f32>, height: usize, width: usize) -> Array2<f32> {
    Lay::WHOLE.over(map, height, width)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::ir::ElementType;
    use crate::preprocess::Origin;

    fn input(height: usize, width: usize) -> ImageInput {
        ImageInput {
            element: ElementType::F32,
            batch: 1,
            channels: 3,
            height,
            width,
            channels_last: false,
            layout_source: Origin::Shape,
        }
    }

    fn placed(entries: &[(&'static str, &'static str)]) -> Placed {
        Placed::read(|name| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)).unwrap()
    }

    #[test]
    fn positions_lie_where_their_features_are_centred() {
        let placed = placed(&[("rows", "axis 2, offset 0, step 4"), ("columns", "axis 3, offset 0, step 4")]);
        let map = array![[0.0, 1.0], [2.0, 3.0]];
        let whole = placed.lay(&input(8, 8), (2, 2)).over(&map, 8, 8);
        // Position 1 is pixel 4; the last three pixels are nearest to it.
        assert_eq!(whole.row(0).to_vec(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(whole[[4, 4]], 3.0);
        let even = Lay::WHOLE.over(&map, 8, 8);
        assert_eq!((even[[0, 1]], even[[0, 4]]), (0.0, 0.625));
    }

    #[test]
    fn what_was_cut_away_is_not_covered() {
        let placed =
            placed(&[("rows", "axis 2, offset 1.5, step 4"), ("columns", "axis 3, offset 33.5, step 4")]);
        let map = Array2::from_shape_fn((4, 16), |(_, x)| if x == 0 { 9.0 } else { 1.0 });
        let whole = placed.lay(&input(16, 96), (4, 16)).over(&map, 16, 96);
        assert_eq!((whole[[5, 10]], whole[[5, 27]], whole[[5, 33]]), (1.0, 1.0, 9.0));
    }

    #[test]
    fn maps_are_turned_already() {
        let turned =
            placed(&[("rows", "axis 3, offset 0, step 4"), ("columns", "axis 2, offset 15, step -4")]);
        let lay = turned.lay(&input(16, 8), (4, 2));
        assert_eq!(lay.rows, Some(Steps { offset: 3.0, step: 4.0 }));
        assert_eq!(lay.columns, Some(Steps { offset: 0.0, step: 4.0 }));
        // An input that is laid out otherwise than the record says is not guessed at.
        let last = ImageInput { channels_last: true, ..input(16, 8) };
        assert_eq!(turned.lay(&last, (4, 2)), Lay::WHOLE);
    }

    #[test]
    fn cells_of_detectors_tile_the_input() {
        let scale = |rows, columns| {
            placed(&[("scale_1_grid", "8x12"), ("scale_1_rows", rows), ("scale_1_columns", columns)])
        };
        let tiles = scale("axis 2, offset 0, step 8", "axis 3, offset 3.5, step 8");
        assert_eq!(tiles.lay(&input(64, 96), (23, 23)), Lay::WHOLE);
        // Half of the width is cut away; the map's 23 columns share the rest.
        let half = scale("axis 2, offset 0, step 8", "axis 3, offset 96, step 8");
        let lay = half.lay(&input(64, 192), (23, 24));
        assert_eq!((lay.rows, lay.columns), (None, Some(Steps { offset: 94.0, step: 4.0 })));
    }
}
