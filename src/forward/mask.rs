//! Masks: how much of each position is kept.

use crate::graph::{Fact, Op, OpKind, OutletId, Size};
use crate::ir::{Dim, ElementType};
use crate::patch::Patch;

/// What a mask keeps around its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kernel {
    /// The position alone, with weight 1 (arXiv 2209.14074).
    Single,
    /// The 3x3 positions around it, with weights `[1 2 1; 2 4 2; 1 2 1] / 16`, cut at the border (arXiv 2310.02588).
    #[default]
    Gaussian,
}

impl Kernel {
    /// The name by which it is chosen and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Gaussian => "gaussian",
        }
    }
}

/// The masks of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask {
    /// What is kept of the positions.
    pub kernel: Kernel,
    /// Whether tokens before the grid's are kept; blanked otherwise.
    pub class_token: bool,
}

impl Mask {
    /// ReciproCAM's.
    pub(crate) const ONE_HOT: Self = Self { kernel: Kernel::Single, class_token: true };

    /// Whether weights are 0 and 1 only, so that any function of single positions keeps the form.
    pub(super) fn binary(self) -> bool {
        self.kernel == Kernel::Single
    }

    /// Weights `[K, prefix + K]`: one row for each mask.
    pub(super) fn weights(
        self,
        patch: &mut Patch<'_>,
        grid: &(Size, Size),
        prefix: usize,
        element: ElementType,
    ) -> OutletId {
        let k = Size::product([grid.0.clone(), grid.1.clone()]);
        let weights = match self.kernel {
            Kernel::Single => patch.identity("masks", &k, element),
            Kernel::Gaussian => {
                // The kernel is a product of one for rows and one for columns.
                let rows = kernel(patch, &grid.0, element);
                let rows = patch.unsqueeze("masks/rows", rows, &[1, 3]);
                let columns = kernel(patch, &grid.1, element);
                let columns = patch.unsqueeze("masks/columns", columns, &[0, 2]);
                let all = patch.binary("masks", OpKind::Multiply, rows, columns);
                patch.reshape("masks", all, &[k.clone(), k.clone()])
            }
        };
        if prefix == 0 {
            return weights;
        }
        let kept = patch.float("masks/prefix", element, if self.class_token { 1.0 } else { 0.0 });
        let before = patch.broadcast_to("masks/prefix", kept, &[k, Size::Fixed(prefix)]);
        patch.concat("masks", &[before, weights], 1)
    }
}

/// `[1 2 1] / 4` around each of `size` places, `[size, size]`.
fn kernel(patch: &mut Patch<'_>, size: &Size, element: ElementType) -> OutletId {
    if let Size::Fixed(size) = size {
        let weight = |distance: usize| match distance {
            0 => 0.5,
            1 => 0.25,
            _ => 0.0,
        };
        let values: Vec<f32> = (0..size * size).map(|i| weight((i / size).abs_diff(i % size))).collect();
        let fact = Fact::new(element, vec![Dim::Fixed(*size), Dim::Fixed(*size)]);
        return patch.floats("masks/kernel", fact, &values);
    }
    // max(0, 2 - |i - j|) / 4.
    let places = patch.range("masks/kernel", size, element);
    let column = patch.unsqueeze("masks/kernel", places, &[1]);
    let difference = patch.binary("masks/kernel", OpKind::Subtract, column, places);
    let distance = patch.unary("masks/kernel", OpKind::Abs, difference);
    let reach = patch.float("masks/kernel/reach", element, 2.0);
    let within = patch.binary("masks/kernel", OpKind::Subtract, reach, distance);
    let op = Op::new(OpKind::Relu, "opset1");
    let fact = patch.fact(within).clone();
    let within = patch.add("masks/kernel", op, vec![within], vec![fact]);
    let quarter = patch.float("masks/kernel/quarter", element, 0.25);
    patch.binary("masks/kernel", OpKind::Multiply, within, quarter)
}
