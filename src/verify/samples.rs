//! What the models are run on: pseudo-random images, or one from a file.

use std::path::Path;

use image::imageops::FilterType;

use super::shapes::{ImageAxes, Input};
use crate::error::{Error, Result};
use crate::ir::{ElementType, RtInfo};
use crate::runtime::Tensor;

/// Side of the coarse grid whose values a random image passes through. White noise averages out in
/// a network's trunk and leaves maps flat; objects do not.
const COARSE: usize = 6;

/// Makes inputs from a seed: same seed, same inputs.
#[derive(Debug)]
pub(super) struct Samples {
    random: fastrand::Rng,
}

impl Samples {
    /// Starts a sequence.
    pub(super) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed) }
    }

    /// The next tensor for an input.
    ///
    /// Images: smooth shapes with noise on top, about standard normal per channel, or 0..255 for
    /// integers. Other floats: standard normal. Other integers: 0 to 4. Booleans: either.
    ///
    /// # Errors
    /// [`Error::Runtime`] where the element type is packed or no number.
    pub(super) fn next(&mut self, input: &Input) -> Result<Tensor> {
        let count = input.shape.iter().product();
        let values = match input.image {
            Some(axes) => {
                let values = self.image(axes, &input.shape);
                if input.element.is_float() {
                    values
                } else {
                    values.into_iter().map(|value| (127.5 + 64.0 * value).clamp(0.0, 255.0)).collect()
                }
            }
            None if input.element.is_float() => (0..count).map(|_| self.normal()).collect(),
            None if input.element == ElementType::Boolean => {
                (0..count).map(|_| f32::from(u8::from(self.random.bool()))).collect()
            }
            None => (0..count).map(|_| f32::from(self.random.u8(0..5))).collect(),
        };
        Ok(Tensor::from_values(input.element, input.shape.clone(), &values)?)
    }

    fn normal(&mut self) -> f32 {
        // The sum of twelve uniform numbers: near enough, and the same on every machine.
        (0..12).map(|_| self.random.f32()).sum::<f32>() - 6.0
    }

    fn image(&mut self, axes: ImageAxes, shape: &[usize]) -> Vec<f32> {
        let (batch, channels, height, width) = axes.split(shape);
        let mut values = vec![0.0; shape.iter().product()];
        for image in 0..batch {
            for channel in 0..channels {
                let coarse: Vec<f32> = (0..COARSE * COARSE).map(|_| self.normal()).collect();
                for row in 0..height {
                    for column in 0..width {
                        let smooth = bilinear(&coarse, place(row, height), place(column, width));
                        let value = 1.2 * smooth + 0.4 * self.normal();
                        let at = if axes.channels_last {
                            ((image * height + row) * width + column) * channels + channel
                        } else {
                            ((image * channels + channel) * height + row) * width + column
                        };
                        values[at] = value;
                    }
                }
            }
        }
        values
    }
}

/// Where a pixel lies on the coarse grid: a cell, and how far into it.
fn place(index: usize, count: usize) -> (usize, f32) {
    let cells = COARSE - 1;
    let scaled = index * cells;
    let cell = (scaled / count).min(cells - 1);
    #[allow(clippy::cast_precision_loss)]
    let into = (scaled - cell * count) as f32 / count as f32;
    (cell, into)
}

fn bilinear(coarse: &[f32], (row, down): (usize, f32), (column, right): (usize, f32)) -> f32 {
    let at = |row: usize, column: usize| coarse[row * COARSE + column];
    let above = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
    let below = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
    above * (1.0 - down) + below * down
}

/// Reads an image file for an input: resized, and normalised as the model's `model_info` says.
///
/// Without `mean_values` and `scale_values` there, float inputs get the usual ImageNet
/// normalisation and integer inputs the pixels as they are. A batch holds the image repeatedly.
///
/// # Errors
/// [`Error::Usage`] where the file is no image or the input takes none.
pub(super) fn from_file(input: &Input, path: &Path, info: Option<&RtInfo>) -> Result<Tensor> {
    let Some(axes) = input.image else {
        return Err(Error::usage(format!("input '{}' {:?} takes no image", input.name, input.shape)));
    };
    let reader = image::ImageReader::open(path).map_err(|e| Error::io("read", path, e))?;
    let reader = reader.with_guessed_format().map_err(|e| Error::io("read", path, e))?;
    let picture =
        reader.decode().map_err(|e| Error::usage(format!("{} is no image: {e}", path.display())))?;
    let (batch, channels, height, width) = axes.split(&input.shape);
    let side = |dim: usize| {
        u32::try_from(dim).map_err(|_| Error::usage(format!("no image is {dim} pixels wide or high")))
    };
    let resized = picture.resize_exact(side(width)?, side(height)?, FilterType::Triangle);
    let mut pixels = match channels {
        1 => resized.to_luma8().into_raw(),
        4 => resized.to_rgba8().into_raw(),
        _ => resized.to_rgb8().into_raw(),
    };
    if channels == 3 && flag(info, "reverse_input_channels") {
        pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
    let norm = Normalisation::new(input.element, channels, info);
    let mut values = Vec::with_capacity(pixels.len() * batch);
    for _ in 0..batch {
        if axes.channels_last {
            values.extend(pixels.iter().enumerate().map(|(i, pixel)| norm.apply(*pixel, i % channels)));
        } else {
            for channel in 0..channels {
                let plane = pixels.iter().skip(channel).step_by(channels);
                values.extend(plane.map(|pixel| norm.apply(*pixel, channel)));
            }
        }
    }
    Ok(Tensor::from_values(input.element, input.shape.clone(), &values)?)
}

/// `(pixel - mean) / scale` for each channel, pixels being 0..255.
struct Normalisation {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Normalisation {
    fn new(element: ElementType, channels: usize, info: Option<&RtInfo>) -> Self {
        let list = |name: &str| -> Option<Vec<f32>> {
            let text = info?.get(&[name])?;
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            words.map(|word| word.parse().ok()).collect::<Option<Vec<f32>>>().filter(|list| !list.is_empty())
        };
        let (mean, scale) = (list("mean_values"), list("scale_values"));
        let raw = !element.is_float() || flag(info, "embedded_processing");
        match (mean, scale, channels) {
            (mean @ Some(_), scale, _) | (mean, scale @ Some(_), _) => {
                Self { mean: mean.unwrap_or_else(|| vec![0.0]), scale: scale.unwrap_or_else(|| vec![1.0]) }
            }
            _ if raw => Self { mean: vec![0.0], scale: vec![1.0] },
            (_, _, 3) => Self { mean: vec![123.675, 116.28, 103.53], scale: vec![58.395, 57.12, 57.375] },
            _ => Self { mean: vec![127.5], scale: vec![64.0] },
        }
    }

    fn apply(&self, pixel: u8, channel: usize) -> f32 {
        let of = |list: &[f32]| list.get(channel).or(list.last()).copied().unwrap_or(0.0);
        (f32::from(pixel) - of(&self.mean)) / of(&self.scale)
    }
}

fn flag(info: Option<&RtInfo>, name: &str) -> bool {
    let text = info.and_then(|info| info.get(&[name])).unwrap_or("");
    ["true", "yes", "1"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(element: ElementType, shape: &[usize], image: Option<bool>) -> Input {
        Input {
            name: "in".to_owned(),
            element,
            declared: String::new(),
            shape: shape.to_vec(),
            image: image.map(|channels_last| ImageAxes { channels_last }),
        }
    }

    #[test]
    fn a_seed_repeats_itself_and_samples_differ() {
        let image = input(ElementType::F32, &[2, 3, 16, 16], Some(false));
        let (mut a, mut b) = (Samples::new(7), Samples::new(7));
        let first = a.next(&image).unwrap();
        assert_eq!(first, b.next(&image).unwrap());
        assert_ne!(first, a.next(&image).unwrap());
        assert_ne!(first, Samples::new(8).next(&image).unwrap());
    }

    #[test]
    fn values_are_in_a_sensible_range() {
        let mut samples = Samples::new(0);
        let bytes = samples.next(&input(ElementType::U8, &[1, 32, 32, 3], Some(true))).unwrap();
        let values = bytes.values().unwrap();
        assert!(values.iter().any(|value| *value < 80.0) && values.iter().any(|value| *value > 170.0));
        let small = samples.next(&input(ElementType::I64, &[50], None)).unwrap().values().unwrap();
        assert!(small.iter().all(|value| (0.0..5.0).contains(value)));
        let flags = samples.next(&input(ElementType::Boolean, &[50], None)).unwrap().values().unwrap();
        assert!(flags.contains(&0.0) && flags.contains(&1.0));
        samples.next(&input(ElementType::String, &[1], None)).unwrap_err();
    }

    fn info(entries: &[(&str, &str)]) -> RtInfo {
        let child = |(name, value): &(&str, &str)| RtInfo {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            children: Vec::new(),
        };
        RtInfo { children: entries.iter().map(child).collect(), ..RtInfo::default() }
    }

    #[test]
    fn a_file_is_laid_out_and_normalised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::RgbImage::from_pixel(8, 8, image::Rgb([10, 20, 30])).save(&path).unwrap();
        let read = |element, shape: &[usize], last, info: Option<&RtInfo>| {
            from_file(&input(element, shape, Some(last)), &path, info).unwrap().values().unwrap()
        };
        assert_eq!(read(ElementType::U8, &[1, 1, 2, 3], true, None), [10.0, 20.0, 30.0, 10.0, 20.0, 30.0]);
        assert_eq!(read(ElementType::U8, &[1, 3, 1, 2], false, None), [10.0, 10.0, 20.0, 20.0, 30.0, 30.0]);
        let info = info(&[
            ("mean_values", "10 10 10"),
            ("scale_values", "2, 2, 2"),
            ("reverse_input_channels", "YES"),
        ]);
        assert_eq!(read(ElementType::F32, &[1, 1, 1, 3], true, Some(&info)), [10.0, 5.0, 0.0]);
        let usual = read(ElementType::F32, &[2, 3, 1, 1], false, None);
        assert!((usual[0] - (10.0 - 123.675) / 58.395).abs() < 1e-5);
        assert_eq!(usual[..3], usual[3..]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"text").unwrap();
        let image = input(ElementType::U8, &[1, 1, 1, 3], Some(true));
        assert!(matches!(from_file(&image, &path, None), Err(Error::Usage(_))));
        let vector = input(ElementType::F32, &[1, 3], None);
        assert!(matches!(from_file(&vector, &path, None), Err(Error::Usage(_))));
    }
}
