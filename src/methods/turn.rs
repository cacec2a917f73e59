//! Maps of what the model has mirrored or transposed, laid as the input lies.

use crate::analysis::Turn;
use crate::graph::OutletId;
use crate::patch::Patch;

/// Turns the last two axes, rows and columns.
pub(super) fn turn(patch: &mut Patch<'_>, map: OutletId, turn: Turn) -> OutletId {
    let rank = patch.fact(map).rank();
    let (rows, columns) = (rank - 2, rank - 1);
    let mut map = map;
    if turn.transposed {
        let order: Vec<usize> = (0..rows).chain([columns, rows]).collect();
        map = patch.transpose("saliency/transposed", map, &order);
    }
    let backwards: Vec<usize> = [(turn.rows, rows), (turn.columns, columns)]
        .into_iter()
        .filter(|(turn, _)| *turn)
        .map(|(_, axis)| axis)
        .collect();
    if backwards.is_empty() { map } else { patch.reverse("saliency/reversed", map, &backwards) }
}
