//! Where positions lie in an input.
//!
//! Each atom of height or width is followed from the input on: strides and pads of windows, parts that are cut out,
//! axes that are reversed, and grids that are resampled move it along one axis of one input. What mixes neighbours
//! widens it: four pixels that become channels of one position are all under it.

use crate::graph::NodeId;
use crate::ir::Course;
use crate::ops::Move;

/// Two steps that differ by less are the same; extents are far smaller than its inverse.
const ROUNDING: f64 = 1e-9;

/// Where the elements along an atom lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// Nothing tells.
    #[default]
    Unknown,
    /// Along an axis of an input.
    Along(Line),
    /// What was joined runs along other axes of the input, or in other directions: a position has no place.
    Contradictory,
}

/// Grid index g lies on the elements `low + step * g` to `high + step * g` of an axis of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    /// The input, a Parameter; `None` where several of them have a part in it, each alike.
    pub input: Option<NodeId>,
    /// The axis.
    pub axis: usize,
    /// Whether elements are counted back from the last one.
    from_end: bool,
    low: f64,
    high: f64,
    step: f64,
}

// No part of it is ever NaN: all come from extents, strides and pads.
impl Eq for Line {}

impl Line {
    /// The elements of an input's axis themselves.
    fn of(input: NodeId, axis: usize) -> Self {
        Self { input: Some(input), axis, from_end: false, low: 0.0, high: 0.0, step: 1.0 }
    }

    /// As it is recorded, for positions that are `stride` grid units apart.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn course(&self, stride: usize) -> Course {
        let offset = f64::midpoint(self.low, self.high);
        Course { axis: self.axis, from_end: self.from_end, offset, step: self.step * stride as f64 }
    }

    fn runs_like(&self, other: &Self) -> bool {
        let backwards = |line: &Self| (line.step < 0.0) != line.from_end;
        self.axis == other.axis && backwards(self) == backwards(other)
    }
}

impl Place {
    /// Along an axis of an input.
    pub(crate) fn input(input: NodeId, axis: usize) -> Self {
        Self::Along(Line::of(input, axis))
    }

    fn map(self, change: impl FnOnce(Line) -> Line) -> Self {
        match self {
            Self::Along(line) => Self::Along(change(line)),
            other => other,
        }
    }

    /// A part of the grid that begins with index `start`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn from(self, start: usize) -> Self {
        self.map(|line| {
            let by = line.step * start as f64;
            Line { low: line.low + by, high: line.high + by, ..line }
        })
    }

    /// A new grid over what is `stride` units of this one apart.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn moved(self, stride: usize, by: Option<Move>) -> Self {
        match (self, by) {
            (Self::Along(line), Some(Move::Affine { offset, scale })) => {
                let unit = line.step * stride as f64;
                let shift = unit * offset;
                Self::Along(Line {
                    low: line.low + shift,
                    high: line.high + shift,
                    step: unit * scale,
                    ..line
                })
            }
            // Counted from the other end, where nothing but the whole axis of an input is reversed.
            (Self::Along(line), Some(Move::Reversed))
                if line.low == 0.0 && line.high == 0.0 && stride == 1 =>
            {
                match line.step {
                    1.0 => Self::Along(Line { from_end: !line.from_end, ..line }),
                    _ => Self::Unknown,
                }
            }
            (Self::Contradictory, _) => self,
            _ => Self::Unknown,
        }
    }

    /// Positions with the `count` units after each of them mixed in.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn widened(self, count: usize) -> Self {
        self.map(|line| {
            let by = line.step * count as f64;
            Line { low: line.low + by.min(0.0), high: line.high + by.max(0.0), ..line }
        })
    }

    /// What joins with something else, position by position.
    pub(crate) fn met(self, other: Self) -> Self {
        match (self, other) {
            (Self::Contradictory, _) | (_, Self::Contradictory) => Self::Contradictory,
            // As with all labels, what is not known of one operand is known of another.
            (known, Self::Unknown) | (Self::Unknown, known) => known,
            (Self::Along(a), Self::Along(b)) if !a.runs_like(&b) => Self::Contradictory,
            (Self::Along(a), Self::Along(b)) => {
                let alike = a.from_end == b.from_end && (a.step - b.step).abs() <= ROUNDING * a.step.abs();
                if !alike {
                    return Self::Unknown;
                }
                let input = a.input.filter(|_| a.input == b.input);
                Self::Along(Line { input, low: a.low.min(b.low), high: a.high.max(b.high), ..a })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: NodeId = NodeId(0);

    fn course(place: Place) -> Option<(bool, f64, f64)> {
        let Place::Along(line) = place else { return None };
        let course = line.course(1);
        Some((course.from_end, course.offset, course.step))
    }

    fn strided(place: Place, offset: f64, scale: f64) -> Place {
        place.moved(1, Some(Move::Affine { offset, scale }))
    }

    #[test]
    fn strides_and_pads_add_up() {
        // 7x7 with stride 2 and pad 3, then 3x3 with stride 2 and pad 1.
        let stem = strided(Place::input(X, 2), 0.0, 2.0);
        assert_eq!(course(strided(stem, 0.0, 2.0)), Some((false, 0.0, 4.0)));
        // Patches of 16: the first is centred between its pixels 7 and 8.
        assert_eq!(course(strided(Place::input(X, 2), 7.5, 16.0)), Some((false, 7.5, 16.0)));
        // Without pads, 3x3 loses an element on each side of what is 4 apart.
        assert_eq!(course(strided(strided(stem, 0.0, 2.0), 1.0, 1.0)), Some((false, 4.0, 4.0)));
    }

    #[test]
    fn what_is_mixed_lies_in_the_middle() {
        let pixels = Place::input(X, 3);
        let parts = pixels.met(pixels.from(1)).met(pixels).met(pixels.from(1));
        assert_eq!(course(parts), Some((false, 0.5, 1.0)));
        assert_eq!(course(pixels.widened(3)), Some((false, 1.5, 1.0)));
        let Place::Along(line) = parts else { panic!("{parts:?}") };
        assert_eq!(line.course(2).step, 2.0);
    }

    #[test]
    fn reversed_twice_is_as_it_was() {
        let pixels = Place::input(X, 3);
        let mirrored = pixels.moved(1, Some(Move::Reversed));
        assert_eq!(course(mirrored), Some((true, 0.0, 1.0)));
        assert_eq!(mirrored.moved(1, Some(Move::Reversed)), pixels);
        // Known extents: element i is element 95 - i.
        let known = strided(pixels, 95.0, -1.0);
        assert_eq!(course(strided(known, 0.0, 4.0)), Some((false, 95.0, -4.0)));
        // The end of a strided grid depends on the extent.
        assert_eq!(strided(pixels, 0.0, 4.0).moved(1, Some(Move::Reversed)), Place::Unknown);
    }

    #[test]
    fn other_directions_do_not_meet() {
        let pixels = Place::input(X, 3);
        let mirrored = strided(pixels, 95.0, -1.0);
        assert_eq!(pixels.met(mirrored), Place::Contradictory);
        assert_eq!(pixels.met(pixels.moved(1, Some(Move::Reversed))), Place::Contradictory);
        assert_eq!(pixels.met(Place::input(X, 2)), Place::Contradictory);
        assert_eq!(pixels.met(Place::Contradictory).met(Place::Unknown), Place::Contradictory);
        assert_eq!(pixels.met(strided(pixels, 0.0, 2.0)), Place::Unknown);
        // Two inputs that are looked at alike.
        let Place::Along(both) = pixels.met(Place::input(NodeId(1), 3)) else { panic!() };
        assert_eq!(both.input, None);
    }
}
