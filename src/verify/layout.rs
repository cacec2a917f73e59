//! How a feature map lies in memory: which axis is what, and where a position is.

/// One axis of a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Images of a batch.
    Batch,
    /// Channels.
    Channel,
    /// Rows of positions.
    Height,
    /// Columns of positions.
    Width,
    /// Nothing: it has the extent 1.
    One,
    /// All positions, row by row, after `prefix` tokens that are none (class tokens, registers).
    Positions {
        /// Number of tokens before the first position.
        prefix: usize,
    },
}

/// The axes of a feature map, outermost first, as recorded in `xai/layout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout(Vec<Axis>);

impl Layout {
    /// Reads `N,C,H,W`, `N,HW,C`, `N,1+HW,C`, `N,C,1,HW` and the like.
    ///
    /// # Errors
    /// A message where an axis is unknown or occurs twice, or the positions are not all there.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let axes = text.split(',').map(|name| axis(name.trim())).collect::<Option<Vec<Axis>>>();
        let axes = axes.ok_or_else(|| {
            format!("layout '{text}' has an axis that is none of N, C, H, W, HW, 1 and P+HW with a number P")
        })?;
        let count = |wanted: fn(&Axis) -> bool| axes.iter().filter(|axis| wanted(axis)).count();
        let counts = [
            count(|axis| *axis == Axis::Batch),
            count(|axis| *axis == Axis::Channel),
            count(|axis| *axis == Axis::Height),
            count(|axis| *axis == Axis::Width),
            count(|axis| matches!(axis, Axis::Positions { .. })),
        ];
        match counts {
            [0 | 1, 0 | 1, 1, 1, 0] | [0 | 1, 0 | 1, 0, 0, 1] => Ok(Self(axes)),
            _ => Err(format!("layout '{text}' must name H and W, or HW, and no axis twice")),
        }
    }

    /// Fits the layout to a tensor.
    ///
    /// `grid` is the recorded height and width; needed only where both share an axis.
    ///
    /// # Errors
    /// A message where rank, grid and shape contradict each other.
    pub(super) fn fit(&self, shape: &[usize], grid: Option<(usize, usize)>) -> Result<Geometry, String> {
        if shape.len() != self.0.len() {
            return Err(format!("the layout has {} axes, the tensor is {shape:?}", self.0.len()));
        }
        let mut geometry = Geometry { batch: 1, channels: 1, ..Geometry::default() };
        let mut stride = 1;
        for (axis, &dim) in self.0.iter().zip(shape).rev() {
            match axis {
                Axis::Batch => (geometry.batch, geometry.batch_stride) = (dim, stride),
                Axis::Channel => (geometry.channels, geometry.channel_stride) = (dim, stride),
                Axis::Height => (geometry.height, geometry.row_stride) = (dim, stride),
                Axis::One if dim != 1 => {
                    return Err(format!("an axis of {shape:?} is recorded as 1, but is {dim}"));
                }
                Axis::One => {}
                Axis::Width => (geometry.width, geometry.column_stride) = (dim, stride),
                Axis::Positions { prefix } => {
                    let (height, width) =
                        grid.ok_or("H and W share an axis, so the grid has to be recorded")?;
                    if height.checked_mul(width).and_then(|count| count.checked_add(*prefix)) != Some(dim) {
                        return Err(format!(
                            "a grid of {height}x{width} after {prefix} tokens does not make the {dim} of {shape:?}"
                        ));
                    }
                    (geometry.height, geometry.width) = (height, width);
                    (geometry.row_stride, geometry.column_stride) = (width * stride, stride);
                    (geometry.start, geometry.prefix) = (prefix * stride, *prefix);
                }
            }
            stride *= dim;
        }
        match grid {
            Some(grid) if grid != (geometry.height, geometry.width) => {
                Err(format!("a grid of {}x{} is recorded, but the tensor is {shape:?}", grid.0, grid.1))
            }
            _ => Ok(geometry),
        }
    }
}

fn axis(name: &str) -> Option<Axis> {
    Some(match name {
        "N" => Axis::Batch,
        "C" => Axis::Channel,
        "H" => Axis::Height,
        "W" => Axis::Width,
        "1" => Axis::One,
        "HW" => Axis::Positions { prefix: 0 },
        _ => Axis::Positions { prefix: name.strip_suffix("+HW")?.parse().ok()? },
    })
}

/// Reads `7x7`; `None` inside where a side is `?`.
///
/// # Errors
/// A message where it is neither.
pub(super) fn parse_grid(text: &str) -> Result<Option<(usize, usize)>, String> {
    let fail = || format!("grid '{text}' is not of the form 7x7 or ?x?");
    let (height, width) = text.split_once('x').ok_or_else(fail)?;
    if height == "?" || width == "?" {
        return Ok(None);
    }
    match (height.parse(), width.parse()) {
        (Ok(height), Ok(width)) => Ok(Some((height, width))),
        _ => Err(fail()),
    }
}

/// Where the elements of a feature map are: strides are in elements, row-major memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Images.
    pub(super) batch: usize,
    /// Channels.
    pub(super) channels: usize,
    /// Rows of positions.
    pub(super) height: usize,
    /// Columns of positions.
    pub(super) width: usize,
    batch_stride: usize,
    channel_stride: usize,
    row_stride: usize,
    column_stride: usize,
    /// Elements before the first position: tokens that are none.
    start: usize,
    /// How many tokens that is.
    prefix: usize,
}

impl Geometry {
    /// Number of positions.
    pub(super) fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Offset of an element, in elements; `position` is `row * width + column`.
    pub(super) fn offset(&self, image: usize, channel: usize, position: usize) -> usize {
        let (row, column) = (position / self.width, position % self.width);
        self.start
            + image * self.batch_stride
            + channel * self.channel_stride
            + row * self.row_stride
            + column * self.column_stride
    }

    /// Offsets of all images and channels at one position.
    pub(super) fn at_position(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.batch)
            .flat_map(move |n| (0..self.channels).map(move |channel| self.offset(n, channel, position)))
    }
}

impl Geometry {
    /// Offsets of all images and channels of the tokens that belong to no position.
    pub(super) fn at_prefix(&self) -> impl Iterator<Item = usize> + '_ {
        let images = (0..self.batch).flat_map(|n| (0..self.channels).map(move |channel| (n, channel)));
        images.flat_map(move |(n, channel)| {
            (0..self.prefix).map(move |token| {
                n * self.batch_stride + channel * self.channel_stride + token * self.column_stride
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(layout: &str, shape: &[usize], grid: Option<(usize, usize)>) -> Result<Geometry, String> {
        Layout::parse(layout)?.fit(shape, grid)
    }

    #[test]
    fn every_element_of_a_map_is_found_once() {
        for (layout, shape) in [
            ("N,C,H,W", vec![2, 3, 4, 5]),
            ("N,H,W,C", vec![2, 4, 5, 3]),
            ("N,HW,C", vec![2, 20, 3]),
            ("N,C,HW", vec![2, 3, 20]),
            ("C,H,W", vec![3, 4, 5]),
            ("H,N,W", vec![4, 2, 5]),
        ] {
            let geometry = fit(layout, &shape, Some((4, 5))).unwrap();
            assert_eq!((geometry.height, geometry.width), (4, 5), "{layout}");
            let mut seen: Vec<usize> =
                (0..geometry.positions()).flat_map(|k| geometry.at_position(k)).collect();
            seen.sort_unstable();
            let all: Vec<usize> = (0..shape.iter().product()).collect();
            assert_eq!(seen, all, "{layout}");
        }
    }

    #[test]
    fn positions_follow_the_axes() {
        let geometry = fit("N,H,W,C", &[1, 4, 5, 3], None).unwrap();
        assert_eq!(geometry.offset(0, 2, 7), 7 * 3 + 2);
        let geometry = fit("N,C,H,W", &[2, 3, 4, 5], None).unwrap();
        assert_eq!(geometry.offset(1, 2, 7), 60 + 2 * 20 + 7);
    }

    #[test]
    fn prefix_tokens_belong_to_no_position() {
        let geometry = fit("N,2+HW,C", &[1, 8, 3], Some((2, 3))).unwrap();
        assert_eq!(geometry.offset(0, 0, 0), 6);
        assert_eq!(geometry.offset(0, 2, 5), 23);
        assert_eq!((0..6).flat_map(|k| geometry.at_position(k)).min(), Some(6));
        let mut prefix: Vec<usize> = geometry.at_prefix().collect();
        prefix.sort_unstable();
        assert_eq!(prefix, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn contradictions_are_refused() {
        for layout in ["", "N,C", "N,C,H", "N,N,H,W", "N,C,H,W,HW", "N,C,D,H,W", "N,x+HW,C", "N,-1+HW,C"] {
            assert!(Layout::parse(layout).is_err(), "{layout}");
        }
        assert!(fit("N,C,H,W", &[1, 2, 3], None).is_err());
        assert!(fit("N,C,H,W", &[1, 2, 3, 4], Some((4, 3))).is_err());
        assert!(fit("N,HW,C", &[1, 12, 3], None).is_err());
        assert!(fit("N,1+HW,C", &[1, 12, 3], Some((3, 4))).is_err());
    }

    #[test]
    fn grids_are_read() {
        assert_eq!(parse_grid("7x9"), Ok(Some((7, 9))));
        assert_eq!(parse_grid("?x?"), Ok(None));
        assert!(parse_grid("7").is_err());
        assert!(parse_grid("7xa").is_err());
    }
}
