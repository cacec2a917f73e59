//! Where the positions along one axis of a map lie in an input, as it is recorded.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Position i along an axis is centred on element `offset + step * i` of an axis of the input; where it is counted
/// `from_end`, on the element that stands so far before the last one.
///
/// Elements are counted by their centres: a stride of 4 that begins with the mean of four elements has the
/// offset 1.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Course {
    /// The axis of the input.
    pub axis: usize,
    /// Whether elements are counted back from the last one.
    pub from_end: bool,
    /// Where position 0 is.
    pub offset: f64,
    /// From a position to the next; negative where they run backwards.
    pub step: f64,
}

// No part of it is ever NaN: all come from extents, strides and pads, or were read as finite numbers.
impl Eq for Course {}

impl Course {
    /// Whether positions run from the last element to the first.
    pub fn reversed(&self) -> bool {
        (self.step < 0.0) != self.from_end
    }

    /// Where positions lie in an input of that extent, counted from its first element.
    #[cfg(feature = "runtime")]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn within(self, extent: usize) -> Self {
        if !self.from_end {
            return self;
        }
        let last = extent.saturating_sub(1) as f64;
        Self { from_end: false, offset: last - self.offset, step: -self.step, ..self }
    }

    /// The same positions, of which there are `count`, in the other order.
    #[cfg(feature = "runtime")]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn turned(self, count: usize) -> Self {
        let last = count.saturating_sub(1) as f64;
        Self { offset: self.offset + self.step * last, step: -self.step, ..self }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.from_end { " from the end" } else { "" };
        write!(f, "axis {}, offset {}{from}, step {}", self.axis, self.offset, self.step)
    }
}

impl FromStr for Course {
    type Err = String;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(", ").collect();
        let read = || {
            let [axis, offset, step] = parts[..] else { return None };
            let offset = offset.strip_prefix("offset ")?;
            let from_end = offset.strip_suffix(" from the end");
            let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
            Some(Self {
                axis: axis.strip_prefix("axis ")?.parse().ok()?,
                from_end: from_end.is_some(),
                offset: number(from_end.unwrap_or(offset))?,
                step: number(step.strip_prefix("step ")?).filter(|step| *step != 0.0)?,
            })
        };
        read().ok_or_else(|| format!("'{text}' is not of the form 'axis 2, offset 0, step 32'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(from_end: bool, offset: f64, step: f64) -> Course {
        Course { axis: 3, from_end, offset, step }
    }

    #[test]
    fn courses_are_read_as_they_are_written() {
        for known in [course(false, 0.0, 32.0), course(true, 1.5, 4.0), course(false, 95.0, -4.0)] {
            assert_eq!(known.to_string().parse(), Ok(known));
        }
        assert_eq!(course(true, 1.5, 4.0).to_string(), "axis 3, offset 1.5 from the end, step 4");
        for wrong in [
            "",
            "axis 3",
            "axis 3, offset x, step 1",
            "axis 3, offset 1, step 0",
            "axis 3, offset inf, step 1",
        ] {
            wrong.parse::<Course>().unwrap_err();
        }
    }

    #[test]
    fn what_runs_backwards_is_told() {
        assert!(!course(false, 0.0, 4.0).reversed() && !course(true, 3.0, -4.0).reversed());
        assert!(course(false, 95.0, -4.0).reversed() && course(true, 0.0, 4.0).reversed());
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn the_end_is_found_where_the_extent_is_known() {
        assert_eq!(course(true, 1.5, 4.0).within(96), course(false, 93.5, -4.0));
        assert_eq!(course(false, 93.5, -4.0).turned(24), course(false, 1.5, 4.0));
        assert_eq!(course(true, 1.5, 4.0).turned(24).within(96), course(false, 1.5, 4.0));
    }
}
