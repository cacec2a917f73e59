//! How maps are said to lie over the input, and what that means for their rows and columns.

use super::record::Record;
use crate::ir::{Course, key};

/// What is recorded of where positions lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lie {
    /// The input, by its layer's name; `None` where several have a part in it, each alike.
    pub(super) input: Option<String>,
    /// Rows and columns of the target, or of each scale; `None` for scales of which it is not recorded.
    pub(super) maps: Vec<Option<Lines>>,
}

/// Along what rows and columns of a map follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) rows: Course,
    pub(super) columns: Course,
}

/// What makes a map lie as the input does; in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    pub(super) transposed: bool,
    pub(super) rows: bool,
    pub(super) columns: bool,
}

impl Lie {
    /// Reads `rows` and `columns`, or those of each of so many scales.
    ///
    /// # Errors
    /// A message where an entry makes no sense.
    pub(super) fn read(record: &Record<'_>, scales: usize) -> Result<Option<Self>, String> {
        let lines = |rows: &str, columns: &str| -> Result<Option<Lines>, String> {
            let course = |name: &str| record.get(name).map(|text| text.parse::<Course>()).transpose();
            let wrong = |message| format!("{rows}, {columns}: {message}");
            match (course(rows).map_err(wrong)?, course(columns).map_err(wrong)?) {
                (Some(rows), Some(columns)) if rows.axis != columns.axis => Ok(Some(Lines { rows, columns })),
                (Some(_), Some(_)) => Err(format!("{rows} and {columns} run along one axis")),
                (None, None) => Ok(None),
                _ => Err(format!("{rows} and {columns} belong together, and one is missing")),
            }
        };
        let maps = match scales {
            0 => vec![lines(key::ROWS, key::COLUMNS)?],
            scales => (1..=scales)
                .map(|i| key::numbered(key::SCALE, i))
                .map(|name| lines(&key::rows_of(&name), &key::columns_of(&name)))
                .collect::<Result<_, _>>()?,
        };
        let input = record.get(key::INPUT).map(str::to_owned);
        Ok(maps.iter().any(Option::is_some).then_some(Self { input, maps }))
    }

    /// What makes the maps lie as the input does.
    pub(super) fn turn(&self) -> Turn {
        self.maps.iter().flatten().next().map_or_else(Turn::default, Lines::turn)
    }
}

impl Lines {
    /// An input's height comes before its width.
    fn turn(&self) -> Turn {
        let transposed = self.rows.axis > self.columns.axis;
        let (down, right) = if transposed { (self.columns, self.rows) } else { (self.rows, self.columns) };
        Turn { transposed, rows: down.reversed(), columns: right.reversed() }
    }
}

impl Turn {
    /// Maps `[.., height, width]` as they are handed out, with their height and width.
    pub(super) fn apply<T: Copy>(
        self,
        maps: &[T],
        (height, width): (usize, usize),
    ) -> (Vec<T>, (usize, usize)) {
        let (rows, columns) = if self.transposed { (width, height) } else { (height, width) };
        let mut turned = Vec::with_capacity(maps.len());
        for map in maps.chunks((height * width).max(1)) {
            for row in 0..rows {
                for column in 0..columns {
                    let row = if self.rows { rows - 1 - row } else { row };
                    let column = if self.columns { columns - 1 - column } else { column };
                    let (y, x) = if self.transposed { (column, row) } else { (row, column) };
                    turned.push(map[y * width + x]);
                }
            }
        }
        (turned, (rows, columns))
    }

    /// For each position as it is handed out the one that it is computed as, and height and width as handed out.
    pub(super) fn of_positions(self, (height, width): (usize, usize)) -> (Vec<usize>, (usize, usize)) {
        let computed: Vec<usize> = (0..height * width).collect();
        self.apply(&computed, (height, width))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::document;
    use super::*;

    fn read(entries: &str, scales: usize) -> Result<Option<Lie>, String> {
        let document = document(&format!("<method value=\"reciprocam\"/>{entries}"));
        Lie::read(&Record::read(&document).unwrap(), scales)
    }

    const ROWS: &str = r#"<rows value="axis 3, offset 0, step 4"/>"#;
    const COLUMNS: &str = r#"<columns value="axis 2, offset 47, step -4"/>"#;

    #[test]
    fn what_is_recorded_is_turned_back() {
        assert_eq!(read("", 0), Ok(None));
        let lie = read(&format!("{ROWS}{COLUMNS}<input value=\"x\"/>"), 0).unwrap().unwrap();
        assert_eq!(lie.input.as_deref(), Some("x"));
        assert_eq!(lie.turn(), Turn { transposed: true, rows: true, columns: false });
        let scale = "<scale_2_rows value=\"axis 2, offset 0, step 4\"/><scale_2_columns value=\"axis 3, offset 0, step 4\"/>";
        let lie = read(scale, 2).unwrap().unwrap();
        assert_eq!((lie.maps[0].is_none(), lie.turn()), (true, Turn::default()));
    }

    #[test]
    fn contradictions_are_told() {
        assert!(read(ROWS, 0).unwrap_err().contains("one is missing"));
        let same = COLUMNS.replace("axis 2", "axis 3");
        assert!(read(&format!("{ROWS}{same}"), 0).unwrap_err().contains("one axis"));
        let wrong = COLUMNS.replace("step -4", "step 0");
        assert!(read(&format!("{ROWS}{wrong}"), 0).unwrap_err().contains("not of the form"));
    }

    #[test]
    fn maps_are_turned_one_by_one() {
        let maps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        let turn = |transposed, rows, columns| Turn { transposed, rows, columns }.apply(&maps, (2, 3));
        assert_eq!(turn(false, false, true).0[..6], [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(turn(false, true, false).0[6..], [40.0, 50.0, 60.0, 10.0, 20.0, 30.0]);
        let (turned, size) = turn(true, false, false);
        assert_eq!((&turned[..6], size), (&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0][..], (3, 2)));
        assert_eq!(turn(true, true, false).0[..6], [3.0, 6.0, 2.0, 5.0, 1.0, 4.0]);
    }
}
