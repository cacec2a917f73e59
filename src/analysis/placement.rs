//! Where the positions of a whole map lie in an input, and how it is turned to lie as the input does.

use super::axes::Atom;
use super::place::Place;
use crate::graph::NodeId;
use crate::ir::{Course, Record};

/// Where the positions of a map lie in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The input, a Parameter; `None` where several of them have a part in it, each alike.
    pub input: Option<NodeId>,
    /// Along what the rows of positions follow each other.
    pub rows: Course,
    /// Along what the columns do.
    pub columns: Course,
}

/// What has to be done to a map so that it lies as the input does; in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turn {
    /// Rows become columns.
    pub transposed: bool,
    /// The last row becomes the first.
    pub rows: bool,
    /// The last column becomes the first.
    pub columns: bool,
}

impl Placement {
    /// Of rows and columns that are so many grid units apart; `None` where that is not known of both.
    pub(crate) fn of(rows: &Atom, columns: &Atom) -> Option<Self> {
        let (Place::Along(down), Place::Along(right)) = (rows.place, columns.place) else { return None };
        let same = down.input == right.input && down.axis != right.axis;
        let (rows, columns) = (down.course(rows.stride), right.course(columns.stride));
        same.then_some(Self { input: down.input, rows, columns })
    }

    /// What makes its map lie as the input does, whose height comes before its width.
    pub(crate) fn turn(&self) -> Turn {
        let (rows, columns) = (self.rows.reversed(), self.columns.reversed());
        match self.rows.axis > self.columns.axis {
            true => Turn { transposed: true, rows: columns, columns: rows },
            false => Turn { transposed: false, rows, columns },
        }
    }

    /// Records it under the keys of rows and columns.
    pub(crate) fn record(&self, rows: impl Into<String>, columns: impl Into<String>, record: &mut Record) {
        record.add(rows, self.rows);
        record.add(columns, self.columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_turned_to_lie_as_its_input() {
        let course = |axis, step| Course { axis, from_end: false, offset: 0.0, step };
        let turn = |rows, columns| Placement { input: Some(NodeId(0)), rows, columns }.turn();
        assert_eq!(turn(course(2, 4.0), course(3, 4.0)), Turn::default());
        let mirrored = Turn { columns: true, ..Turn::default() };
        assert_eq!(turn(course(2, 4.0), course(3, -4.0)), mirrored);
        // Turned by a right angle: rows run along the width, from right to left.
        let turned = Turn { transposed: true, rows: false, columns: true };
        assert_eq!(turn(course(3, -4.0), course(2, 4.0)), turned);
    }
}
