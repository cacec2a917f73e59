//! What the models are run on: pseudo-random images, or one from a file.

use super::shapes::{ImageAxes, Input};
use crate::error::{Error, Result};
use crate::ir::{ElementType, ModelInfo};
use crate::preprocess::{ImageInput, Photo, PreprocessOptions, Preprocessing};
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
    /// Images: smooth shapes with noise on top, about standard normal per channel, or pixels for integers
    /// and where the graph normalises. Other floats: standard normal. Other integers: 0 to 4. Booleans: either.
    ///
    /// # Errors
    /// [`Error::Runtime`] where the element type is packed or no number.
    pub(super) fn next(&mut self, input: &Input) -> Result<Tensor> {
        let count = input.shape.iter().product();
        let values = match input.image {
            Some(axes) => {
                let values = self.image(axes, &input.shape);
                let bytes = (!input.element.is_float()).then_some((0.0, 255.0));
                match bytes.or(input.facts.pixels) {
                    None => values,
                    Some((black, white)) => {
                        let pixel = |value: f32| (127.5 + 64.0 * value).clamp(0.0, 255.0);
                        let range = |value: f32| black + pixel(value) / 255.0 * (white - black);
                        values.into_iter().map(range).collect()
                    }
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

/// A photo for an input, prepared as an explanation would prepare it: as the graph, `model_info` and extents say.
/// A batch holds the photo repeatedly.
///
/// # Errors
/// [`Error::Usage`] where the input takes no image, or `info` makes no sense.
pub(super) fn from_photo(input: &Input, photo: &Photo, info: &ModelInfo) -> Result<(Tensor, Preprocessing)> {
    let Some(axes) = input.image else {
        return Err(Error::usage(format!("input '{}' {:?} takes no image", input.name, input.shape)));
    };
    let (batch, channels, height, width) = axes.split(&input.shape);
    let image = ImageInput {
        element: input.element,
        batch,
        channels,
        height,
        width,
        channels_last: axes.channels_last,
        layout_source: axes.source,
    };
    let how = Preprocessing::settle(&PreprocessOptions::default(), &input.facts, info, &image)?;
    let (pixels, _) = how.fit(&photo.pixels, &image)?;
    let values = how.normalise(&pixels, &image).repeat(batch);
    Ok((Tensor::from_values(input.element, input.shape.clone(), &values)?, how.without_advice()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::analysis::InputFacts;
    use crate::ir::Resize;
    use crate::preprocess::Origin;

    fn input(element: ElementType, shape: &[usize], image: Option<bool>) -> Input {
        Input {
            name: "in".to_owned(),
            element,
            declared: String::new(),
            shape: shape.to_vec(),
            image: image.map(|channels_last| ImageAxes { channels_last, source: Origin::Shape }),
            facts: InputFacts::default(),
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

    fn photo(folder: &Path, width: u32, height: u32) -> Photo {
        let path = folder.join("a.png");
        image::RgbImage::from_pixel(width, height, image::Rgb([10, 20, 30])).save(&path).unwrap();
        Photo::read(&path).unwrap()
    }

    #[test]
    fn a_photo_is_laid_out_and_normalised() {
        let folder = tempfile::tempdir().unwrap();
        let photo = photo(folder.path(), 8, 8);
        let read = |element, shape: &[usize], last, info: &ModelInfo| {
            from_photo(&input(element, shape, Some(last)), &photo, info).unwrap().0.values().unwrap()
        };
        let nothing = ModelInfo::default();
        let bytes = ElementType::U8;
        assert_eq!(read(bytes, &[1, 1, 2, 3], true, &nothing), [10.0, 20.0, 30.0, 10.0, 20.0, 30.0]);
        assert_eq!(read(bytes, &[1, 3, 1, 2], false, &nothing), [10.0, 10.0, 20.0, 20.0, 30.0, 30.0]);
        let info = ModelInfo {
            mean_values: Some(Ok(vec![10.0; 3])),
            scale_values: Some(Ok(vec![2.0; 3])),
            reverse_input_channels: Some(true),
            ..ModelInfo::default()
        };
        assert_eq!(read(ElementType::F32, &[1, 1, 1, 3], true, &info), [10.0, 5.0, 0.0]);
        // What model_info says of mean and scale is in the graph, or bytes could not hold it.
        assert_eq!(read(bytes, &[1, 1, 1, 3], true, &info), [30.0, 20.0, 10.0]);
        let inside = ModelInfo { embedded_processing: true, ..info };
        assert_eq!(read(ElementType::F32, &[1, 1, 1, 3], true, &inside), [10.0, 20.0, 30.0]);
        let usual = read(ElementType::F32, &[2, 3, 1, 1], false, &nothing);
        assert!((usual[0] - (10.0 - 123.675) / 58.395).abs() < 1e-5);
        assert_eq!(usual[..3], usual[3..]);
    }

    #[test]
    fn a_photo_is_fitted_as_model_info_says() {
        let folder = tempfile::tempdir().unwrap();
        let photo = photo(folder.path(), 8, 4);
        let resize_type = Some(Ok(Resize::FitToWindow));
        let info = ModelInfo { resize_type, pad_value: Some(7), ..ModelInfo::default() };
        let image = input(ElementType::U8, &[1, 1, 4, 4], Some(false));
        let values = from_photo(&image, &photo, &info).unwrap().0.values().unwrap();
        assert!(values[..8].iter().all(|value| *value > 7.0), "{values:?}");
        assert_eq!(values[8..], [7.0; 8]);
    }

    #[test]
    fn where_the_graph_normalises_samples_are_pixels() {
        let mut image = input(ElementType::F32, &[1, 3, 32, 32], Some(false));
        image.facts.pixels = Some((0.0, 1.0));
        let values = Samples::new(0).next(&image).unwrap().values().unwrap();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(values.iter().any(|value| *value > 0.7));
    }

    #[test]
    fn what_takes_no_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let photo = photo(folder.path(), 8, 8);
        let vector = input(ElementType::F32, &[1, 3], None);
        assert!(matches!(from_photo(&vector, &photo, &ModelInfo::default()), Err(Error::Usage(_))));
    }
}
