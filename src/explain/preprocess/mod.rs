//! From a photo to the tensor that the model takes.
//!
//! What is applied comes from options, then from the model's `rt_info/model_info` (as Model API writes it), then
//! from what is usual; [`Preprocessing`] says what came of it and is printed.

mod fit;
mod input;
mod photo;

use image::DynamicImage;
use serde::Serialize;

pub use fit::{Geometry, Resize, resize_map};
pub use input::{ImageInput, Layout};
pub use photo::{Photo, photos};

use crate::error::{Error, Result};
use crate::ir::RtInfo;

/// Mean and standard deviation of ImageNet's training images, for pixels of 0 to 255, red first.
const IMAGENET: ([f32; 3], [f32; 3]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);

/// What the user says about preprocessing; whatever is `None` is looked for in the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PreprocessOptions {
    /// A known normalisation.
    pub preset: Option<Preset>,
    /// Subtracted from pixels, one number or one for each channel in the model's order.
    pub mean: Option<Vec<f32>>,
    /// What the difference is divided by, likewise.
    pub scale: Option<Vec<f32>>,
    /// Whether the model takes blue first.
    pub reverse_channels: Option<bool>,
    /// Order of the input's axes.
    pub layout: Option<Layout>,
    /// How the photo gets the input's size.
    pub resize: Option<Resize>,
    /// What black and white are before mean and scale; 0 and 255 by default.
    pub range: Option<(f32, f32)>,
    /// Height and width where the model leaves them open.
    pub size: Option<(usize, usize)>,
    /// Whether the caller prepares images and nothing is left to do, see
    /// [`explain_prepared`](super::Explainer::explain_prepared).
    pub by_caller: bool,
}

/// A normalisation that goes by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The mean and standard deviation of ImageNet.
    Imagenet,
    /// Pixels as they are.
    None,
}

/// What is done to each photo, with nothing left open.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preprocessing {
    /// How the photo gets the input's size.
    pub resize: Resize,
    /// Value of padding, 0 to 255.
    pub pad: u8,
    /// What black and white are before mean and scale.
    pub range: (f32, f32),
    /// Subtracted, one number or one for each channel.
    pub mean: Vec<f32>,
    /// Divided by, likewise.
    pub scale: Vec<f32>,
    /// Whether blue comes first.
    pub reverse_channels: bool,
    /// Where mean and scale come from.
    pub source: NormSource,
}

/// Where a normalisation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NormSource {
    /// From options.
    Options,
    /// From the model's `model_info`.
    ModelInfo,
    /// Neither says anything: what is usual for such inputs.
    Assumed,
    /// The caller prepares images.
    Caller,
}

impl Preprocessing {
    /// Settles what is applied for an input; `info` is the model's `model_info`.
    ///
    /// Where neither options nor `info` say anything, float inputs of three channels get ImageNet's
    /// normalisation and others the pixels as they are.
    ///
    /// # Errors
    /// [`Error::Usage`] where an option or an entry makes no sense.
    pub fn settle(options: &PreprocessOptions, info: Option<&RtInfo>, input: &ImageInput) -> Result<Self> {
        if options.by_caller {
            let (mean, scale) = (vec![0.0], vec![1.0]);
            let (resize, source) = (Resize::default(), NormSource::Caller);
            let range = (0.0, 255.0);
            return Ok(Self { resize, pad: 0, range, mean, scale, reverse_channels: false, source });
        }
        let text = |name: &str| info.and_then(|info| info.get(&[name])).map(str::trim);
        let resize = match (options.resize, text("resize_type")) {
            (Some(resize), _) => resize,
            (None, Some(name)) if !name.is_empty() => Resize::named(name).ok_or_else(|| {
                Error::usage(format!(
                    "the model's resize_type '{name}' is not known; choose one with --resize"
                ))
            })?,
            _ => Resize::default(),
        };
        let flag =
            |name| text(name).is_some_and(|text| ["true", "yes", "1"].contains(&&*text.to_lowercase()));
        let list = |name: &str| -> Result<Option<Vec<f32>>> {
            let Some(text) = text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            let list: Option<Vec<f32>> = words.map(|word| word.parse().ok()).collect();
            list.map(Some).ok_or_else(|| Error::usage(format!("the model's {name} '{text}' are no numbers")))
        };
        // Model API leaves the values in place where it has put what they say into the graph.
        let embedded = flag("embedded_processing");
        let list = |name| if embedded { Ok(None) } else { list(name) };
        let (mean, scale) = (list("mean_values")?, list("scale_values")?);
        let known_to_model_api = text("model_type").is_some() || embedded;
        let one = || (vec![0.0], vec![1.0]);
        let (mean, scale, source) = if options.mean.is_some() || options.scale.is_some() {
            (
                options.mean.clone().unwrap_or_else(|| vec![0.0]),
                options.scale.clone().unwrap_or_else(|| vec![1.0]),
                NormSource::Options,
            )
        } else if let Some(preset) = options.preset {
            let (mean, scale) = match preset {
                Preset::Imagenet => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
                Preset::None => one(),
            };
            (mean, scale, NormSource::Options)
        } else if mean.is_some() || scale.is_some() || known_to_model_api {
            let mean = mean.unwrap_or_else(|| vec![0.0]);
            (mean, scale.unwrap_or_else(|| vec![1.0]), NormSource::ModelInfo)
        } else if input.element.is_float() && input.channels == 3 {
            (IMAGENET.0.to_vec(), IMAGENET.1.to_vec(), NormSource::Assumed)
        } else {
            (one().0, one().1, NormSource::Assumed)
        };
        for (name, values) in [("mean", &mean), ("scale", &scale)] {
            if values.len() != 1 && values.len() != input.channels {
                return Err(Error::usage(format!(
                    "{} {name} values for {} channels",
                    values.len(),
                    input.channels
                )));
            }
            if values.iter().any(|value| !value.is_finite() || (name == "scale" && *value == 0.0)) {
                return Err(Error::usage(format!("the {name} values {values:?} cannot be used")));
            }
        }
        let pad = text("pad_value").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Self {
            resize,
            pad,
            range: options.range.unwrap_or((0.0, 255.0)),
            mean,
            scale,
            reverse_channels: options
                .reverse_channels
                .unwrap_or_else(|| !embedded && flag("reverse_input_channels")),
            source,
        })
    }

    /// Fits a photo into the input: pixels of 0 to 255, `[height, width, channels]` row by row.
    ///
    /// # Errors
    /// [`Error::Usage`] where the input's size is none of an image.
    pub fn fit(&self, photo: &DynamicImage, input: &ImageInput) -> Result<(Vec<f32>, Geometry)> {
        let size = (photo.width() as usize, photo.height() as usize);
        let geometry = Geometry::new(self.resize, size, (input.width, input.height));
        let fitted = geometry.apply(&over_white(photo, input.channels), self.pad)?;
        let pixels = match input.channels {
            1 => fitted.into_luma16().into_raw(),
            4 => fitted.into_rgba16().into_raw(),
            _ => fitted.into_rgb16().into_raw(),
        };
        Ok((pixels.into_iter().map(|value| f32::from(value) / 257.0).collect(), geometry))
    }

    /// Turns pixels of 0 to 255, `[height, width, channels]`, into one image of the input, in its layout.
    pub fn normalise(&self, pixels: &[f32], input: &ImageInput) -> Vec<f32> {
        let channels = input.channels;
        let of = |list: &[f32], channel: usize| list.get(channel).or(list.last()).copied().unwrap_or(0.0);
        let (low, high) = self.range;
        let area = input.height * input.width;
        let mut values = vec![0.0; area * channels];
        for channel in 0..channels {
            let (mean, scale) = (of(&self.mean, channel), of(&self.scale, channel));
            let from = match channels {
                3 if self.reverse_channels => 2 - channel,
                4 if self.reverse_channels && channel < 3 => 2 - channel,
                _ => channel,
            };
            let norm = |pixel: f32| (low + pixel / 255.0 * (high - low) - mean) / scale;
            let source = pixels.iter().skip(from).step_by(channels);
            if input.channels_last {
                let wanted = values.iter_mut().skip(channel).step_by(channels);
                wanted.zip(source).for_each(|(value, pixel)| *value = norm(*pixel));
            } else {
                let wanted = values.iter_mut().skip(channel * area).take(area);
                wanted.zip(source).for_each(|(value, pixel)| *value = norm(*pixel));
            }
        }
        values
    }
}

impl std::fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.source == NormSource::Caller {
            return f.write_str("a function of the caller's own");
        }
        let list = |values: &[f32]| {
            let words: Vec<String> = values.iter().map(f32::to_string).collect();
            words.join(", ")
        };
        write!(f, "resize {}", self.resize.name())?;
        write!(f, ", {}", if self.reverse_channels { "blue first" } else { "red first" })?;
        if self.range != (0.0, 255.0) {
            write!(f, ", pixels to {}..{}", self.range.0, self.range.1)?;
        }
        if self.mean.iter().all(|mean| *mean == 0.0) && self.scale.iter().all(|scale| *scale == 1.0) {
            write!(f, ", no mean and scale")?;
        } else {
            write!(f, ", (pixel - [{}]) / [{}]", list(&self.mean), list(&self.scale))?;
        }
        f.write_str(match self.source {
            NormSource::Options | NormSource::Caller => "",
            NormSource::ModelInfo => " (from the model's model_info)",
            NormSource::Assumed => " (assumed: the model does not say; see --preset, --mean and --scale)",
        })
    }
}

/// What is transparent shows white; models of four channels see the alpha themselves.
pub(super) fn over_white(photo: &DynamicImage, channels: usize) -> DynamicImage {
    if channels == 4 || !photo.color().has_alpha() {
        return photo.clone();
    }
    let mut pixels = photo.to_rgba16();
    for pixel in pixels.pixels_mut() {
        let alpha = u32::from(pixel.0[3]);
        for value in &mut pixel.0[..3] {
            let blended = (u32::from(*value) * alpha + 65535 * (65535 - alpha)) / 65535;
            *value = u16::try_from(blended).unwrap_or(u16::MAX);
        }
        pixel.0[3] = u16::MAX;
    }
    DynamicImage::ImageRgba16(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ElementType;

    fn input(channels: usize, channels_last: bool) -> ImageInput {
        ImageInput { element: ElementType::F32, batch: 1, channels, height: 1, width: 2, channels_last }
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
    fn options_go_before_the_model_and_the_model_before_what_is_usual() {
        let said =
            info(&[("mean_values", "1 2 3"), ("reverse_input_channels", "YES"), ("resize_type", "crop")]);
        let settle = |options: &PreprocessOptions, info| {
            Preprocessing::settle(options, info, &input(3, false)).unwrap()
        };
        let none = PreprocessOptions::default();
        let found = settle(&none, Some(&said));
        assert_eq!((found.mean, found.scale), (vec![1.0, 2.0, 3.0], vec![1.0]));
        assert!(found.reverse_channels);
        assert_eq!((found.resize, found.source), (Resize::Crop, NormSource::ModelInfo));
        let preset = PreprocessOptions { preset: Some(Preset::Imagenet), ..none.clone() };
        assert_eq!(settle(&preset, Some(&said)).mean, IMAGENET.0);
        let own = PreprocessOptions { mean: Some(vec![7.0]), reverse_channels: Some(false), ..none.clone() };
        let found = settle(&own, Some(&said));
        assert_eq!((found.mean, found.reverse_channels), (vec![7.0], false));
        assert_eq!(settle(&none, None).source, NormSource::Assumed);
        assert_eq!(settle(&none, None).mean, IMAGENET.0);
        // A model that Model API wrote without a mean has none.
        let bare = info(&[("model_type", "Classification")]);
        assert_eq!(settle(&none, Some(&bare)).mean, [0.0]);
        let inside = info(&[
            ("embedded_processing", "True"),
            ("mean_values", "1 2 3"),
            ("reverse_input_channels", "True"),
        ]);
        let found = settle(&none, Some(&inside));
        assert_eq!((found.mean, found.reverse_channels), (vec![0.0], false));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for (options, said) in [
            (PreprocessOptions { mean: Some(vec![1.0, 2.0]), ..Default::default() }, info(&[])),
            (PreprocessOptions { scale: Some(vec![0.0]), ..Default::default() }, info(&[])),
            (PreprocessOptions::default(), info(&[("mean_values", "a b c")])),
            (PreprocessOptions::default(), info(&[("resize_type", "magic")])),
        ] {
            Preprocessing::settle(&options, Some(&said), &input(3, false)).unwrap_err();
        }
    }

    #[test]
    fn pixels_are_laid_out_reversed_and_normalised() {
        let pixels = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        let options = PreprocessOptions {
            mean: Some(vec![0.0, 10.0, 20.0]),
            scale: Some(vec![10.0]),
            ..PreprocessOptions::default()
        };
        let mut how = Preprocessing::settle(&options, None, &input(3, false)).unwrap();
        assert_eq!(how.normalise(&pixels, &input(3, false)), [1.0, 4.0, 1.0, 4.0, 1.0, 4.0]);
        assert_eq!(how.normalise(&pixels, &input(3, true)), [1.0, 1.0, 1.0, 4.0, 4.0, 4.0]);
        how.reverse_channels = true;
        assert_eq!(how.normalise(&pixels, &input(3, true)), [3.0, 1.0, -1.0, 6.0, 4.0, 2.0]);
        how.range = (0.0, 1.0);
        how.mean = vec![0.0];
        how.scale = vec![1.0];
        assert!((how.normalise(&pixels, &input(3, true))[0] - 30.0 / 255.0).abs() < 1e-6);
    }

    #[test]
    fn grey_alpha_and_deep_pictures_become_what_the_input_takes() {
        let how = Preprocessing::settle(
            &PreprocessOptions { preset: Some(Preset::None), ..Default::default() },
            None,
            &input(3, true),
        )
        .unwrap();
        let fit = |photo: DynamicImage, channels| how.fit(&photo, &input(channels, true)).unwrap().0;
        let grey = image::GrayImage::from_pixel(2, 1, image::Luma([7]));
        assert_eq!(fit(grey.into(), 3), [7.0; 6]);
        let deep = image::ImageBuffer::from_pixel(2, 1, image::Rgb([257u16 * 3, 257 * 4, 257 * 5 + 128]));
        let values = fit(DynamicImage::ImageRgb16(deep), 3);
        assert_eq!(values[..2], [3.0, 4.0]);
        assert!((values[2] - 5.498).abs() < 1e-3, "the lower bits count");
        let clear = image::RgbaImage::from_pixel(2, 1, image::Rgba([0, 0, 0, 0]));
        assert_eq!(fit(clear.clone().into(), 3), [255.0; 6]);
        assert_eq!(fit(clear.into(), 4), [0.0; 8]);
        let colour = image::RgbImage::from_pixel(2, 1, image::Rgb([200, 200, 200]));
        assert_eq!(fit(colour.into(), 1), [200.0; 2]);
    }
}
