//! How a photo is fitted into the input, and where each of its pixels ends up.

use image::imageops::FilterType;
use image::{DynamicImage, GenericImage as _, Rgba};
use ndarray::Array2;

use super::lay::Lay;
use crate::error::{Error, Result};
use crate::ir::Resize;

/// Where the photo lies in the input: `input = photo * scale + offset`, x before y, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// Width and height of the photo.
    pub photo: (usize, usize),
    /// Width and height of the input.
    pub input: (usize, usize),
    scale: (f64, f64),
    offset: (f64, f64),
}

// Sizes of pictures are far below 2^52, and what is rounded to pixels lies within the input.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
impl Geometry {
    /// The geometry of a photo of this width and height in an input of that.
    pub fn new(resize: Resize, photo: (usize, usize), input: (usize, usize)) -> Self {
        let ratio = |input: usize, photo: usize| input as f64 / photo.max(1) as f64;
        let (x, y) = (ratio(input.0, photo.0), ratio(input.1, photo.1));
        let gap = |input: usize, photo: usize, scale: f64| (input as f64 - photo as f64 * scale) / 2.0;
        let (scale, offset) = match resize {
            Resize::Standard => ((x, y), (0.0, 0.0)),
            Resize::FitToWindow | Resize::FitToWindowLetterbox => {
                // Whole pixels, as the picture that is pasted has them.
                let scale = x.min(y);
                let size = |photo: usize| (photo as f64 * scale).round().max(1.0);
                let (width, height) = (size(photo.0), size(photo.1));
                let offset = match resize {
                    Resize::FitToWindow => (0.0, 0.0),
                    _ => {
                        (((input.0 as f64 - width) / 2.0).floor(), ((input.1 as f64 - height) / 2.0).floor())
                    }
                };
                ((width / photo.0.max(1) as f64, height / photo.1.max(1) as f64), offset)
            }
            Resize::Crop => {
                let scale = x.max(y);
                ((scale, scale), (gap(input.0, photo.0, scale), gap(input.1, photo.1, scale)))
            }
        };
        Self { photo, input, scale, offset }
    }

    /// The photo in the input's size; `pad` is the value of padding.
    ///
    /// # Errors
    /// [`Error::Usage`] where a side is too long for an image.
    pub fn apply(&self, photo: &DynamicImage, pad: u8) -> Result<DynamicImage> {
        let side = |dim: usize| {
            u32::try_from(dim).map_err(|_| Error::usage(format!("no image is {dim} pixels wide or high")))
        };
        let (width, height) = (side(self.input.0)?, side(self.input.1)?);
        let inside = |at: f64, most: usize| (at.round().max(0.0) as usize).min(most);
        let cropped = self.offset.0 < 0.0 || self.offset.1 < 0.0;
        if cropped {
            let left = inside(-self.offset.0 / self.scale.0, self.photo.0 - 1);
            let top = inside(-self.offset.1 / self.scale.1, self.photo.1 - 1);
            let across = inside(self.input.0 as f64 / self.scale.0, self.photo.0 - left).max(1);
            let down = inside(self.input.1 as f64 / self.scale.1, self.photo.1 - top).max(1);
            let part = photo.crop_imm(side(left)?, side(top)?, side(across)?, side(down)?);
            return Ok(part.resize_exact(width, height, FilterType::Triangle));
        }
        let across = inside(self.photo.0 as f64 * self.scale.0, self.input.0).max(1);
        let down = inside(self.photo.1 as f64 * self.scale.1, self.input.1).max(1);
        let part = photo.resize_exact(side(across)?, side(down)?, FilterType::Triangle);
        if (across, down) == self.input {
            return Ok(part);
        }
        let mut whole = DynamicImage::ImageRgba16(image::ImageBuffer::from_pixel(
            width,
            height,
            Rgba([u16::from(pad) * 257, u16::from(pad) * 257, u16::from(pad) * 257, u16::MAX]),
        ));
        let part = DynamicImage::ImageRgba16(part.into_rgba16());
        let (left, top) = (inside(self.offset.0, self.input.0), inside(self.offset.1, self.input.1));
        whole.copy_from(&part, side(left)?, side(top)?).map_err(|e| Error::usage(e.to_string()))?;
        Ok(whole)
    }

    /// Brings a map over the input to the photo's size, `[height, width]`, bilinear.
    ///
    /// Pixels that the input does not show, or that the map does not cover, get its smallest value.
    pub fn to_photo(&self, map: &Array2<f32>, lay: &Lay) -> Array2<f32> {
        let place = |at: usize, scale: f64, offset: f64, input: usize| {
            let shown = (at as f64 + 0.5) * scale + offset;
            (0.0..=input as f64).contains(&shown).then_some(shown)
        };
        let columns: Vec<Option<f64>> =
            (0..self.photo.0).map(|x| place(x, self.scale.0, self.offset.0, self.input.0)).collect();
        let rows: Vec<Option<f64>> =
            (0..self.photo.1).map(|y| place(y, self.scale.1, self.offset.1, self.input.1)).collect();
        lay.at(map, &rows, &columns, (self.input.1, self.input.0))
    }

    /// A box `[x1, y1, x2, y2]` of input pixels in photo pixels, cut at the photo's edges.
    pub fn box_to_photo(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let back = |at: f32, scale: f64, offset: f64, most: usize| {
            ((f64::from(at) - offset) / scale).clamp(0.0, most as f64) as f32
        };
        let x = |at| back(at, self.scale.0, self.offset.0, self.photo.0);
        let y = |at| back(at, self.scale.1, self.offset.1, self.photo.1);
        [x(x1), y(y1), x(x2), y(y2)]
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use ndarray::array;

    use super::*;
    use crate::preprocess::resize_map;

    /// A photo of 8x4 whose left half is white.
    fn photo() -> DynamicImage {
        RgbImage::from_fn(8, 4, |x, _| Rgb([if x < 4 { 255 } else { 0 }; 3])).into()
    }

    fn red(picture: &DynamicImage) -> Vec<Vec<u8>> {
        let rgb = picture.to_rgb8();
        rgb.rows().map(|row| row.map(|pixel| pixel.0[0]).collect()).collect()
    }

    #[test]
    fn each_mode_shows_what_it_promises() {
        let shown = |resize| red(&Geometry::new(resize, (8, 4), (4, 4)).apply(&photo(), 9).unwrap());
        let standard = shown(Resize::Standard);
        assert!(standard.iter().all(|row| row[0] == 255 && row[3] == 0));
        let fit = shown(Resize::FitToWindow);
        assert!(fit[..2].iter().all(|row| row[0] == 255 && row[3] == 0), "{fit:?}");
        assert_eq!(fit[2..], [[9; 4], [9; 4]]);
        let letterbox = shown(Resize::FitToWindowLetterbox);
        assert_eq!((&letterbox[0], &letterbox[3]), (&vec![9; 4], &vec![9; 4]));
        assert_eq!(letterbox[1][0], 255);
        assert_eq!(shown(Resize::Crop), [[255, 255, 0, 0]; 4]);
    }

    #[test]
    fn a_map_comes_back_to_where_its_pixels_came_from() {
        // One value for each quarter of the input's width; rows alike.
        let map = Array2::from_shape_fn((4, 4), |(_, x)| [1.0, 2.0, 3.0, 4.0][x]);
        let back = |resize| Geometry::new(resize, (8, 4), (4, 4)).to_photo(&map, &Lay::WHOLE);
        let standard = back(Resize::Standard);
        assert_eq!(standard.dim(), (4, 8));
        assert_eq!((standard[[0, 0]], standard[[0, 7]]), (1.0, 4.0));
        // The middle 4 of 8 columns are seen; the rest has the smallest value.
        assert_eq!(back(Resize::Crop).row(1).to_vec(), [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 1.0, 1.0]);
        // With letterbox, rows 1 and 2 of the input show the photo.
        let rows = Array2::from_shape_fn((4, 4), |(y, _)| [9.0, 5.0, 6.0, 9.0][y]);
        let boxed = Geometry::new(Resize::FitToWindowLetterbox, (8, 4), (4, 4)).to_photo(&rows, &Lay::WHOLE);
        assert_eq!((boxed[[1, 0]], boxed[[2, 0]]), (5.25, 5.75));
    }

    #[test]
    fn boxes_come_back_too() {
        let geometry = Geometry::new(Resize::FitToWindowLetterbox, (8, 4), (4, 4));
        assert_eq!(geometry.box_to_photo([0.0, 1.0, 4.0, 3.0]), [0.0, 0.0, 8.0, 4.0]);
        assert_eq!(geometry.box_to_photo([1.0, 0.0, 9.0, 2.0]), [2.0, 0.0, 8.0, 2.0]);
    }

    #[test]
    fn bilinear_resizing_keeps_corners_and_means() {
        let map = array![[0.0, 1.0], [2.0, 3.0]];
        let large = resize_map(&map, 4, 4);
        assert_eq!(large.row(0).to_vec(), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(large.column(3).to_vec(), [1.0, 1.5, 2.5, 3.0]);
        assert_eq!(resize_map(&map, 2, 2), map);
    }
}
