//! Methods that only need to run the model: what happens to the scores when parts of the photo are hidden?
//!
//! Hidden means 0 in the model's input, after normalisation: the mean colour, or black where nothing is
//! subtracted.

mod aise;
mod boxes;
mod direct;
mod rise;

use serde::Serialize;

pub use aise::AiseOptions;
pub(crate) use aise::{Aim, aise};
pub use boxes::Detection;
pub(crate) use boxes::detections;
pub(crate) use rise::rise;
pub use rise::{RiseDivisor, RiseMasks, RiseOptions};

/// How much work is put into a map: more inferences for finer and steadier maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effort {
    /// RISE with 1000 masks of 4x4 cells; AISE with 20 positions for each of 3 kernel widths.
    Speed,
    /// 5000 masks of 8x8 cells; 50 positions, 3 widths.
    #[default]
    Balance,
    /// 10000 masks of 12x12 cells; 50 positions, 5 widths.
    Quality,
}

/// Multiplies one image by a mask, one row of `mask(row, weights)` after the other.
pub(crate) fn hide(
    image: &[f32],
    (channels, height, width): (usize, usize, usize),
    channels_last: bool,
    mut mask: impl FnMut(usize, &mut [f32]),
    out: &mut [f32],
) {
    let mut weights = vec![0.0; width];
    for row in 0..height {
        mask(row, &mut weights);
        if channels_last {
            let range = row * width * channels..(row + 1) * width * channels;
            let pixels = out[range.clone()].chunks_exact_mut(channels);
            for ((out, pixel), weight) in pixels.zip(image[range].chunks_exact(channels)).zip(&weights) {
                out.iter_mut().zip(pixel).for_each(|(out, value)| *out = value * weight);
            }
        } else {
            for channel in 0..channels {
                let start = (channel * height + row) * width;
                let line = out[start..start + width].iter_mut().zip(&image[start..start + width]);
                line.zip(&weights).for_each(|((out, value), weight)| *out = value * weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_all_channels_of_a_pixel() {
        let mask = |row: usize, weights: &mut [f32]| weights.copy_from_slice(&[[1.0, 0.0], [0.5, 2.0]][row]);
        let mut out = vec![9.0; 8];
        hide(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], (2, 2, 2), false, mask, &mut out);
        assert_eq!(out, [1.0, 0.0, 1.5, 8.0, 5.0, 0.0, 3.5, 16.0]);
        hide(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], (2, 2, 2), true, mask, &mut out);
        assert_eq!(out, [1.0, 2.0, 0.0, 0.0, 2.5, 3.0, 14.0, 16.0]);
    }
}
