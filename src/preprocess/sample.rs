//! Values of a map between its positions.

use ndarray::Array2;

/// Fractional indices into an axis of a map; `None` where there is nothing.
pub(super) type Sampled = Vec<Option<f64>>;

/// Values of a map between its positions, the border continued; `outside` where there is nothing.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn sample(map: &Array2<f32>, rows: &Sampled, columns: &Sampled, outside: f32) -> Array2<f32> {
    let (height, width) = map.dim();
    if height == 0 || width == 0 {
        return Array2::from_elem((rows.len(), columns.len()), outside);
    }
    // The two cells around a place, and how far it is from the first to the second.
    let cells = |place: Option<f64>, count: usize| {
        let at = place?.clamp(0.0, (count - 1) as f64);
        let first = at as usize;
        Some((first, (first + 1).min(count - 1), (at - first as f64) as f32))
    };
    let across: Vec<_> = columns.iter().map(|place| cells(*place, width)).collect();
    let mut out = Array2::from_elem((rows.len(), columns.len()), outside);
    for (mut line, place) in out.rows_mut().into_iter().zip(rows) {
        let Some((above, below, down)) = cells(*place, height) else { continue };
        for (value, place) in line.iter_mut().zip(&across) {
            let Some((left, right, over)) = *place else { continue };
            let upper = map[[above, left]] + (map[[above, right]] - map[[above, left]]) * over;
            let lower = map[[below, left]] + (map[[below, right]] - map[[below, left]]) * over;
            *value = upper + (lower - upper) * down;
        }
    }
    out
}
