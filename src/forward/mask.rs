//! Masks: how much of each position is kept.
//!
//! A kernel is data: the weights around a position. Everything that depends on them is worked out here, so that
//! a new kernel is a variant, a name and its weights.

use strum::VariantArray;

use super::why::Why;
use crate::graph::{Fact, Op, OpKind, OutletId, Size};
use crate::ir::{Dim, ElementType};
use crate::patch::Patch;

/// What a mask keeps around its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, VariantArray, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kernel {
    /// The 3x3 positions around it, with weights `[1 2 1; 2 4 2; 1 2 1] / 16`, cut at the border (arXiv 2310.02588).
    #[default]
    Gaussian,
    /// The position alone, with weight 1 (arXiv 2209.14074).
    Single,
    /// A cross, which the tool does not have: its tests see with it that all follows from the weights of a kernel.
    #[cfg(test)]
    Cross,
}

impl Kernel {
    /// All kernels, in the order in which they are listed.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name by which it is chosen and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Gaussian => "gaussian",
            #[cfg(test)]
            Self::Cross => "cross",
        }
    }

    /// Its weights.
    ///
    /// Each must be a sum of few powers of 2, so that it is the same number in every element type: weights are
    /// compared in the graph.
    fn stencil(self) -> Stencil {
        match self {
            Self::Single => Stencil::Product(&[1.0]),
            Self::Gaussian => Stencil::Product(&[0.25, 0.5, 0.25]),
            #[cfg(test)]
            Self::Cross => {
                Stencil::Listed(&[(-1, 0, 0.125), (0, -1, 0.125), (0, 0, 0.5), (0, 1, 0.125), (1, 0, 0.125)])
            }
        }
    }
}

/// The weights around a position.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stencil {
    /// Rows and columns have these weights, the middle one at the position itself, and a position the product of both.
    Product(&'static [f32]),
    /// Positions so many rows down and columns to the right have these weights, which no such product gives.
    #[cfg_attr(not(test), expect(dead_code, reason = "no kernel of today is anything but a product"))]
    Listed(&'static [(isize, isize, f32)]),
}

/// What of a grid a mask keeps, for each mask.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// Positions `[K, each]`; any position where there is none.
    pub(super) places: Vec<usize>,
    /// Their weights, 0 where there is none.
    pub(super) weights: Vec<f32>,
    /// Positions for each mask.
    pub(super) each: usize,
}

impl Kept {
    /// How many tokens stand behind each of the distinct ones of each mask, `[K, prefix + each + 1]`: tokens before
    /// the grid's and those that the mask keeps stand for themselves, the last one for all others.
    pub(super) fn counts(&self, prefix: usize) -> Vec<f32> {
        let mut counts = Vec::new();
        for weights in self.weights.chunks(self.each) {
            let there = weights.iter().filter(|weight| **weight > 0.0).count();
            let others = (self.places.len() / self.each).saturating_sub(there);
            counts.extend(std::iter::repeat_n(1.0, prefix));
            counts.extend(weights.iter().map(|weight| if *weight > 0.0 { 1.0 } else { 0.0 }));
            #[allow(clippy::cast_precision_loss)]
            counts.push(others as f32);
        }
        counts
    }
}

impl Stencil {
    /// Rows down, columns to the right, and the weight there; row by row.
    fn offsets(self) -> Vec<(isize, isize, f32)> {
        match self {
            Self::Listed(offsets) => offsets.to_vec(),
            Self::Product(line) => {
                let around = || (-line.len().cast_signed() / 2..).zip(line);
                around().flat_map(|(down, a)| around().map(move |(right, b)| (down, right, a * b))).collect()
            }
        }
    }

    /// The weights that occur, each once, in ascending order.
    fn weights(self) -> Vec<f32> {
        let mut weights: Vec<f32> = self.offsets().into_iter().map(|(.., weight)| weight).collect();
        weights.sort_by(f32::total_cmp);
        weights.dedup();
        weights
    }

    /// What each mask of a grid of `rows` and `columns` keeps.
    fn kept(self, rows: usize, columns: usize) -> Kept {
        let offsets = self.offsets();
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        for position in 0..rows * columns {
            for (down, right, weight) in &offsets {
                let row = (position / columns).checked_add_signed(*down).filter(|row| *row < rows);
                let column =
                    (position % columns).checked_add_signed(*right).filter(|column| *column < columns);
                let place = row.zip(column).map(|(row, column)| row * columns + column);
                places.push(place.unwrap_or(position));
                weights.push(if place.is_some() { *weight } else { 0.0 });
            }
        }
        Kept { places, weights, each: offsets.len() }
    }

    /// All masks of a grid, `[K, K]`: one row for each.
    fn masks(
        self,
        patch: &mut Patch<'_>,
        grid: &(Size, Size),
        element: ElementType,
    ) -> Result<OutletId, Why> {
        let k = Size::product([grid.0.clone(), grid.1.clone()]);
        match self {
            Self::Product(&[1.0]) => Ok(patch.identity("masks", &k, element)),
            Self::Product(line) => {
                let rows = one_axis(patch, line, &grid.0, element)?;
                let rows = patch.unsqueeze("masks/rows", rows, &[1, 3]);
                let columns = one_axis(patch, line, &grid.1, element)?;
                let columns = patch.unsqueeze("masks/columns", columns, &[0, 2]);
                let all = patch.binary("masks", OpKind::Multiply, rows, columns);
                Ok(patch.reshape("masks", all, &[k.clone(), k]))
            }
            Self::Listed(_) => {
                let (Size::Fixed(rows), Size::Fixed(columns)) = *grid else {
                    return Err(Why::KernelNeedsGrid);
                };
                let (kept, k) = (self.kept(rows, columns), rows * columns);
                let mut values = vec![0.0; k * k];
                for (i, (place, weight)) in kept.places.iter().zip(&kept.weights).enumerate() {
                    values[i / kept.each * k + place] += weight;
                }
                let fact = Fact::new(element, vec![Dim::Fixed(k), Dim::Fixed(k)]);
                Ok(patch.floats("masks", fact, &values))
            }
        }
    }
}

/// The weights of `line` around each of `size` places, `[size, size]`.
fn one_axis(patch: &mut Patch<'_>, line: &[f32], size: &Size, element: ElementType) -> Result<OutletId, Why> {
    let middle = line.len() / 2;
    if let Size::Fixed(size) = size {
        let weight = |i: usize| (i % size + middle).checked_sub(i / size).and_then(|at| line.get(at));
        let values: Vec<f32> = (0..size * size).map(|i| weight(i).copied().unwrap_or(0.0)).collect();
        let fact = Fact::new(element, vec![Dim::Fixed(*size), Dim::Fixed(*size)]);
        return Ok(patch.floats("masks/kernel", fact, &values));
    }
    // Weights that fall evenly from the middle: max(0, reach - |i - j|) / step.
    let (reach, step) = evenly_falling(line).ok_or(Why::KernelNeedsGrid)?;
    let places = patch.range("masks/kernel", size, element);
    let column = patch.unsqueeze("masks/kernel", places, &[1]);
    let difference = patch.binary("masks/kernel", OpKind::Subtract, column, places);
    let distance = patch.unary("masks/kernel", OpKind::Abs, difference);
    let reach = patch.float("masks/kernel/reach", element, reach);
    let within = patch.binary("masks/kernel", OpKind::Subtract, reach, distance);
    let op = Op::new(OpKind::Relu, "opset1");
    let fact = patch.fact(within).clone();
    let within = patch.add("masks/kernel", op, vec![within], vec![fact]);
    let step = patch.float("masks/kernel/quarter", element, step);
    Ok(patch.binary("masks/kernel", OpKind::Multiply, within, step))
}

/// The distance at which a line of weights is 0, and how much it falls with each place from its middle; `None`
/// where it does not fall evenly.
fn evenly_falling(line: &[f32]) -> Option<(f32, f32)> {
    let (middle, step) = (line.len() / 2, *line.first()?);
    #[allow(clippy::cast_precision_loss)]
    let weight = |distance: usize| (middle + 1 - distance) as f32 * step;
    let evenly = line.iter().enumerate().all(|(at, own)| weight(at.abs_diff(middle)) == *own);
    #[allow(clippy::cast_precision_loss)]
    (evenly && line.len() % 2 == 1).then_some(((middle + 1) as f32, step))
}

/// The masks of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask {
    /// What is kept of the positions.
    pub(crate) kernel: Kernel,
    /// Whether tokens before the grid's are kept; blanked otherwise.
    pub(crate) class_token: bool,
}

impl Mask {
    /// ReciproCAM's.
    pub(crate) const ONE_HOT: Self = Self { kernel: Kernel::Single, class_token: true };

    /// The same with nothing kept of tokens before the grid's.
    pub(super) fn of_grid(self) -> Self {
        Self { class_token: false, ..self }
    }

    /// Whether weights are 0 and 1 only, so that any function of single positions keeps the form.
    pub(super) fn binary(self) -> bool {
        self.kernel.stencil().weights() == [1.0]
    }

    /// The weights between 0, which is the background, and 1, which is the original; each once, in ascending order.
    pub(super) fn partial_weights(self) -> Vec<f32> {
        self.kernel.stencil().weights().into_iter().filter(|weight| *weight > 0.0 && *weight < 1.0).collect()
    }

    /// Whether something of a value with `prefix` tokens before the grid's has weight 1.
    pub(super) fn keeps_whole(self, prefix: usize) -> bool {
        (prefix > 0 && self.class_token) || self.kernel.stencil().weights().contains(&1.0)
    }

    /// Positions that each mask keeps, where none is beyond the border.
    pub(super) fn kept_each(self) -> usize {
        self.kernel.stencil().offsets().len()
    }

    /// What each mask keeps of a grid, row by row.
    ///
    /// # Errors
    /// [`Why::UnknownGrid`] where its extents are known only at inference.
    pub(super) fn kept(self, grid: &(Size, Size)) -> Result<Kept, Why> {
        let known = grid.0.dim().fixed().zip(grid.1.dim().fixed());
        let (rows, columns) = known.ok_or(Why::UnknownGrid)?;
        Ok(self.kernel.stencil().kept(rows, columns))
    }

    /// Weights `[K, prefix + K]`: one row for each mask.
    ///
    /// # Errors
    /// [`Why::KernelNeedsGrid`] where the grid is known only at inference and the kernel cannot be made there.
    pub(super) fn weights(
        self,
        patch: &mut Patch<'_>,
        grid: &(Size, Size),
        prefix: usize,
        element: ElementType,
    ) -> Result<OutletId, Why> {
        let weights = self.kernel.stencil().masks(patch, grid, element)?;
        if prefix == 0 {
            return Ok(weights);
        }
        let k = Size::product([grid.0.clone(), grid.1.clone()]);
        let kept = patch.float("masks/prefix", element, if self.class_token { 1.0 } else { 0.0 });
        let before = patch.broadcast_to("masks/prefix", kept, &[k, Size::Fixed(prefix)]);
        Ok(patch.concat("masks", &[before, weights], 1))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Model;

    fn model() -> Model {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/small/cnn_dynamic_hw.xml");
        Model::read(&file, None).unwrap()
    }

    fn floats(patch: &Patch<'_>, outlet: OutletId) -> Vec<f32> {
        let bytes = patch.node(outlet.node).contents.as_deref().unwrap();
        bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    #[test]
    fn every_element_type_holds_the_weights_of_kernels() {
        for kernel in Kernel::ALL {
            let exact = |weight: f32| {
                half::f16::from_f32(weight).to_f32() == weight
                    && half::bf16::from_f32(weight).to_f32() == weight
            };
            assert!(kernel.stencil().weights().into_iter().all(exact), "{kernel:?}");
        }
    }

    #[test]
    fn weights_follow_the_kernel() {
        let mask = |kernel| Mask { kernel, class_token: true };
        assert!(mask(Kernel::Single).binary() && !mask(Kernel::Gaussian).binary());
        assert_eq!(mask(Kernel::Gaussian).partial_weights(), [1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0]);
        assert_eq!(mask(Kernel::Gaussian).kept_each(), 9);
        assert_eq!(mask(Kernel::Cross).partial_weights(), [0.125, 0.5]);
        assert_eq!(mask(Kernel::Cross).kept_each(), 5);
        assert!(mask(Kernel::Cross).keeps_whole(1) && !mask(Kernel::Cross).keeps_whole(0));
    }

    #[test]
    fn what_a_mask_keeps_follows_the_kernel_and_ends_at_the_border() {
        let kept = Kernel::Cross.stencil().kept(2, 3);
        assert_eq!(kept.places[..5], [0, 0, 0, 1, 3], "no row above the first, no column before it");
        assert_eq!(kept.weights[..5], [0.0, 0.0, 0.5, 0.125, 0.125]);
        // Two class tokens, five kept ones of which three are there, and one for the other three of six.
        assert_eq!(kept.counts(2)[..8], [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 3.0]);
    }

    #[test]
    fn masks_of_a_known_grid_hold_the_weights_of_the_kernel() {
        let model = model();
        let mut patch = Patch::new(&model);
        let grid = (Size::Fixed(2), Size::Fixed(2));
        let masks = Kernel::Cross.stencil().masks(&mut patch, &grid, ElementType::F32).unwrap();
        let row = [0.5, 0.125, 0.125, 0.0];
        assert_eq!(floats(&patch, masks)[..4], row);
        let line = [0.125, 0.25, 0.5, 0.25, 0.125];
        let lines = one_axis(&mut patch, &line, &Size::Fixed(4), ElementType::F32).unwrap();
        assert_eq!(floats(&patch, lines)[4..8], [0.25, 0.5, 0.25, 0.125]);
    }

    #[test]
    fn masks_of_an_unknown_grid_are_made_for_weights_that_fall_evenly_and_refused_for_others() {
        let model = model();
        let mut patch = Patch::new(&model);
        let (_, input) = model.graph().parameters().next().unwrap();
        let rank = input.outputs[0].fact.rank();
        let (parameter, _) = model.graph().parameters().next().unwrap();
        let size = |axis| Size::Of(OutletId::new(parameter, 0), axis);
        let grid = (size(rank - 2), size(rank - 1));
        assert_eq!(
            Kernel::Cross.stencil().masks(&mut patch, &grid, ElementType::F32),
            Err(Why::KernelNeedsGrid)
        );
        let steep = Stencil::Product(&[0.125, 0.5, 0.125]);
        assert_eq!(steep.masks(&mut patch, &grid, ElementType::F32), Err(Why::KernelNeedsGrid));
        assert!(Kernel::Gaussian.stencil().masks(&mut patch, &grid, ElementType::F32).is_ok());
        assert_eq!(evenly_falling(&[0.25, 0.5, 0.25]), Some((2.0, 0.25)));
        assert_eq!(evenly_falling(&[0.125, 0.25, 0.375, 0.25, 0.125]), Some((3.0, 0.125)));
        assert_eq!(evenly_falling(&[0.125, 0.25, 0.5, 0.25, 0.125]), None);
    }
}
