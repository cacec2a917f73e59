//! A line of text on a picture.

use ab_glyph::{Font as _, FontRef, Point, PxScale, ScaleFont as _};
use image::RgbImage;

use crate::error::{Error, Result};

/// Writes a line at the top left, white on a dark band; what does not fit is cut, with an ellipsis.
///
/// # Errors
/// [`Error::Internal`] where the font that is built in cannot be read.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn caption(picture: &mut RgbImage, text: &str) -> Result<()> {
    let font = FontRef::try_from_slice(dejavu::sans::bold())
        .map_err(|e| Error::Internal(format!("the font: {e}")))?;
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    // Readable on large photos, without covering small ones.
    let mut size = (width.min(height) / 16.0).clamp(9.0, 64.0);
    let line = |text: &str, size: f32| -> f32 {
        let font = font.as_scaled(PxScale::from(size));
        text.chars().map(|letter| font.h_advance(font.glyph_id(letter))).sum()
    };
    let room = |size: f32| width - size;
    let mut text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    let wanted = line(&text, size);
    if wanted > room(size) {
        size = (size * room(size) / wanted).max(9.0_f32.min(size));
    }
    if line(&text, size) > room(size) {
        while !text.is_empty() && line(&format!("{text}…"), size) > room(size) {
            text.pop();
        }
        text.push('…');
    }
    band(picture, size * 1.5);
    let scaled = font.as_scaled(PxScale::from(size));
    let (mut x, baseline) = (size * 0.5, size * 0.25 + scaled.ascent());
    for letter in text.chars() {
        let id = scaled.glyph_id(letter);
        let glyph = id.with_scale_and_position(PxScale::from(size), Point { x, y: baseline });
        x += scaled.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|across, down, share| {
            let place = |start: f32, step: u32| {
                let at = start + step as f32;
                // Glyphs may hang over the edges.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                (at >= 0.0).then_some(at as u32)
            };
            let at = place(bounds.min.x, across).zip(place(bounds.min.y, down));
            if let Some(pixel) = at.and_then(|(x, y)| picture.get_pixel_mut_checked(x, y)) {
                for value in &mut pixel.0 {
                    *value = mix(*value, 255, share);
                }
            }
        });
    }
    Ok(())
}

/// Darkens the rows from the top to `height`.
fn band(picture: &mut RgbImage, height: f32) {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rows = height.ceil() as usize;
    for row in picture.rows_mut().take(rows) {
        for pixel in row {
            pixel.0 = pixel.0.map(|value| mix(value, 0, 0.65));
        }
    }
}

fn mix(from: u8, to: u8, share: f32) -> u8 {
    let share = share.clamp(0.0, 1.0);
    // Between two bytes lies a byte.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let mixed = (f32::from(from) * (1.0 - share) + f32::from(to) * share).round() as u8;
    mixed
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Pixels that are nearly white, after writing on grey.
    fn written(width: u32, height: u32, text: &str) -> (usize, RgbImage) {
        let mut picture = RgbImage::from_pixel(width, height, Rgb([120; 3]));
        caption(&mut picture, text).unwrap();
        (picture.pixels().filter(|pixel| pixel.0[0] > 240).count(), picture)
    }

    #[test]
    fn text_is_written_and_stays_in_its_band() {
        let (none, _) = written(200, 100, "");
        let (some, picture) = written(200, 100, "Ägyptische Katze 0.75");
        assert!(none == 0 && some > 50, "{some}");
        assert!(picture.rows().skip(20).flatten().all(|pixel| pixel.0 == [120; 3]));
    }

    #[test]
    fn long_text_is_shrunk_then_cut_and_tiny_pictures_do_no_harm() {
        let (_, picture) = written(120, 100, &"long ".repeat(50));
        assert!(picture.columns_white(116..120) == 0, "a margin is kept");
        for (width, height) in [(1, 1), (3, 200), (200, 3)] {
            written(width, height, "text\n\u{7} 漢字");
        }
    }

    trait Columns {
        fn columns_white(&self, columns: std::ops::Range<u32>) -> usize;
    }

    impl Columns for RgbImage {
        fn columns_white(&self, columns: std::ops::Range<u32>) -> usize {
            columns
                .flat_map(|x| (0..self.height()).map(move |y| (x, y)))
                .filter(|(x, y)| self.get_pixel(*x, *y).0[0] > 240)
                .count()
        }
    }
}
