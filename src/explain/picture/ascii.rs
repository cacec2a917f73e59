//! Coarse maps for terminals.

use ndarray::Array2;

use crate::explain::metrics::scaled;

/// From the least to the greatest value.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// A map `[height, width]` as lines of at most `columns` letters, which are taken to be twice as high as wide.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(crate) fn ascii(map: &Array2<f32>, columns: usize) -> String {
    let (height, width) = map.dim();
    if height == 0 || width == 0 || columns == 0 {
        return String::new();
    }
    let columns = columns.min(width.max(8));
    let rows = (height as f64 * columns as f64 / width as f64 / 2.0).round().max(1.0) as usize;
    let coarse = scaled(&means(map, rows, columns));
    let mut text = String::with_capacity(rows * (columns + 1));
    for row in coarse.rows() {
        let shade = |value: &f32| SHADES[((value * SHADES.len() as f32) as usize).min(SHADES.len() - 1)];
        let line: String = row.iter().map(shade).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Means over the part of the map that each cell covers.
fn means(map: &Array2<f32>, rows: usize, columns: usize) -> Array2<f32> {
    let (height, width) = map.dim();
    let range = |cell: usize, cells: usize, count: usize| {
        let start = (cell * count / cells).min(count - 1);
        start..((cell + 1) * count / cells).clamp(start + 1, count)
    };
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let part = map.slice(ndarray::s![range(row, rows, height), range(column, columns, width)]);
        part.mean().unwrap_or(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_drawn_in_shades_with_the_aspect_of_letters() {
        let map = Array2::from_shape_fn((40, 40), |(y, x)| if y < 20 && x >= 20 { 1.0 } else { 0.0 });
        let text = ascii(&map, 8);
        assert_eq!(text, "    @@@@\n    @@@@\n\n\n");
        assert_eq!(ascii(&map, 0), "");
        assert_eq!(ascii(&Array2::zeros((1, 1)), 40).lines().count(), 4);
    }
}
