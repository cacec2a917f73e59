//! Pictures of maps: heatmaps, overlays over the photo, captions, and coarse maps for terminals.

mod ascii;
mod caption;
mod colours;

use image::{DynamicImage, Rgb, RgbImage};
use ndarray::Array2;

pub(crate) use ascii::ascii;
use caption::caption;
pub use colours::Colours;

use super::Target;
use super::metrics::scaled;
use crate::error::Result;
use crate::preprocess::over_white;

/// A map in colours, of its own size; its least value gets the first colour, its greatest the last.
pub fn heatmap(map: &Array2<f32>, colours: Colours) -> RgbImage {
    let map = scaled(map);
    let (height, width) = map.dim();
    let side = |dim: usize| u32::try_from(dim).unwrap_or(u32::MAX);
    RgbImage::from_fn(side(width), side(height), |x, y| {
        Rgb(colours.at(map.get([y as usize, x as usize]).copied().unwrap_or(0.0)))
    })
}

/// A photo in 8-bit colours; what is transparent shows white.
pub fn photo(pixels: &DynamicImage) -> RgbImage {
    over_white(pixels, 3).into_rgb8()
}

/// A heatmap over a photo of the same size; `weight` is the heatmap's share, 0 to 1.
fn overlay(photo: &RgbImage, heat: &RgbImage, weight: f32) -> RgbImage {
    let weight = weight.clamp(0.0, 1.0);
    let mut out = photo.clone();
    for (pixel, heat) in out.pixels_mut().zip(heat.pixels()) {
        for (value, heat) in pixel.0.iter_mut().zip(heat.0) {
            let mixed = f32::from(*value) * (1.0 - weight) + f32::from(heat) * weight;
            // A mean of two bytes is one.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let byte = mixed.round() as u8;
            *value = byte;
        }
    }
    out
}

/// A target over its photo: the overlay of its heatmap, the object's outline, and a caption if wanted.
///
/// # Errors
/// [`crate::Error::Internal`] where the caption's letters cannot be drawn.
pub fn over_photo(
    photo: &RgbImage,
    heat: &RgbImage,
    target: &Target,
    weight: f32,
    captioned: bool,
) -> Result<RgbImage> {
    let mut drawn = overlay(photo, heat, weight);
    if let Some(corners) = target.corners {
        outline(&mut drawn, corners);
    }
    if captioned {
        caption(&mut drawn, &target.title())?;
    }
    Ok(drawn)
}

/// Draws the outline of a box `[x1, y1, x2, y2]`, in white between black lines.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn outline(picture: &mut RgbImage, corners: [f32; 4]) {
    let (width, height) = picture.dimensions();
    for (inset, shade) in [(0, 0), (1, 255), (2, 255), (3, 0)] {
        let low = |at: f32, most: u32| (at.max(0.0) as u32 + inset).min(most.saturating_sub(1));
        let high =
            |at: f32, most: u32| (at.max(0.0) as u32).saturating_sub(1 + inset).min(most.saturating_sub(1));
        let (left, top) = (low(corners[0], width), low(corners[1], height));
        let (right, bottom) = (high(corners[2], width), high(corners[3], height));
        for x in left..=right.max(left) {
            picture.put_pixel(x, top, Rgb([shade; 3]));
            picture.put_pixel(x, bottom, Rgb([shade; 3]));
        }
        for y in top..=bottom.max(top) {
            picture.put_pixel(left, y, Rgb([shade; 3]));
            picture.put_pixel(right, y, Rgb([shade; 3]));
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn heatmaps_span_the_colours_and_flat_maps_do_not() {
        let heat = heatmap(&array![[-3.0, 5.0]], Colours::Viridis);
        assert_eq!(heat.get_pixel(0, 0).0, Colours::Viridis.at(0.0));
        assert_eq!(heat.get_pixel(1, 0).0, Colours::Viridis.at(1.0));
        let flat = heatmap(&array![[2.0, 2.0]], Colours::Viridis);
        assert_eq!(flat.get_pixel(0, 0).0, Colours::Viridis.at(0.0));
    }

    #[test]
    fn an_overlay_is_a_weighted_mean() {
        let (photo, heat) =
            (RgbImage::from_pixel(1, 1, Rgb([100; 3])), RgbImage::from_pixel(1, 1, Rgb([200; 3])));
        for (weight, value) in [(0.0, 100), (0.25, 125), (1.0, 200), (7.0, 200)] {
            assert_eq!(overlay(&photo, &heat, weight).get_pixel(0, 0).0, [value; 3]);
        }
    }

    #[test]
    fn outlines_stay_within_the_picture() {
        let mut picture = RgbImage::new(20, 10);
        outline(&mut picture, [2.0, 1.0, 18.0, 9.0]);
        assert_eq!(picture.get_pixel(3, 5).0, [255; 3]);
        assert_eq!(picture.get_pixel(10, 5).0, [0; 3]);
        outline(&mut picture, [-5.0, -5.0, 100.0, 100.0]);
        outline(&mut picture, [19.5, 9.5, 19.6, 9.6]);
    }
}
