//! From a photo to the tensor that a model takes.
//!
//! What is applied comes from options, then from what the graph says ([`InputFacts`](crate::analysis::InputFacts)),
//! then from the model's `rt_info/model_info` ([`ModelInfo`](crate::ir::ModelInfo)), then from extents, then from what
//! is usual. [`Preprocessing`] and [`ImageInput`] say what came of it, and the [`Origin`] of each part.

mod fit;
mod input;
mod lay;
mod photo;
mod sample;

use std::fmt;

use image::DynamicImage;
use serde::Serialize;

pub use fit::Geometry;
pub use input::ImageInput;
pub(crate) use input::{Declared, layout};
pub use lay::Lay;
pub(crate) use lay::{Placed, resize_map};
pub use photo::Photo;
pub(crate) use photo::photos;

use crate::analysis::{IMAGENET_MEAN, InputFacts};
use crate::error::{Error, Result};
use crate::ir::{Entry, ImageLayout, ModelInfo, Resize};
use crate::message::{Message, Setting, Words, message};

/// Standard deviation of ImageNet's training images, for pixels of 0 to 255, red first.
const IMAGENET_DEVIATION: [f32; 3] = [58.395, 57.12, 57.375];

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
    pub layout: Option<ImageLayout>,
    /// How the photo gets the input's size.
    pub resize: Option<Resize>,
    /// What black and white are before mean and scale; 0 and 255 by default.
    pub range: Option<(f32, f32)>,
    /// Height and width where the model leaves them open.
    pub size: Option<(usize, usize)>,
    /// Whether the caller prepares images and nothing is left to do, see
    /// [`explain_prepared`](crate::explain::Explainer::explain_prepared).
    pub by_caller: bool,
}

/// A normalisation that goes by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// The mean and standard deviation of ImageNet.
    Imagenet,
    /// Pixels as they are.
    None,
}

/// Where a part of preprocessing was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// Options.
    Options,
    /// The graph says it, or does it itself.
    Graph,
    /// The model's `model_info`.
    ModelInfo,
    /// The model's `model_info`, as its exporter, ultralytics, means it.
    Ultralytics,
    /// The input's extents.
    Shape,
    /// Nothing says anything: what is usual.
    Assumed,
    /// The caller prepares images.
    Caller,
}

impl Origin {
    /// For the end of what is said of a part.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::Options | Self::Caller => "",
            Self::Graph => " (in the graph)",
            Self::ModelInfo => " (from the model's model_info)",
            Self::Ultralytics => " (ultralytics reverses photos that come blue first)",
            Self::Shape => " (by its shape)",
            Self::Assumed => " (assumed)",
        }
    }
}

/// What is done to each photo, with nothing left open.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preprocessing {
    /// How the photo gets the input's size.
    pub resize: Resize,
    /// Where that was taken from.
    pub resize_source: Origin,
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
    /// Where that was taken from.
    pub reverse_channels_source: Origin,
    /// Where mean and scale were taken from.
    pub source: Origin,
    /// What to set where they were assumed.
    #[serde(skip)]
    advice: Message,
}

/// Mean, scale and where they were taken from.
type Normalisation = (Vec<f32>, Vec<f32>, Origin);

impl Preprocessing {
    /// Settles what is applied for an input of which the graph says `facts`.
    ///
    /// Where nothing says anything, float inputs of three channels get ImageNet's normalisation and others the
    /// pixels as they are.
    ///
    /// # Errors
    /// [`Error::Usage`] where an option or an entry of `info` makes no sense.
    pub(crate) fn settle(
        options: &PreprocessOptions,
        facts: &InputFacts,
        info: &ModelInfo,
        input: &ImageInput,
    ) -> Result<Self> {
        if options.by_caller {
            return Ok(Self {
                resize: Resize::default(),
                resize_source: Origin::Caller,
                pad: 0,
                range: (0.0, 255.0),
                mean: vec![0.0],
                scale: vec![1.0],
                reverse_channels: false,
                reverse_channels_source: Origin::Caller,
                source: Origin::Caller,
                advice: Message::default(),
            });
        }
        let (resize, resize_source) = match (options.resize, &info.resize_type) {
            (Some(resize), _) => (resize, Origin::Options),
            (None, Some(Ok(resize))) => (*resize, Origin::ModelInfo),
            (None, Some(Err(name))) => {
                return Err(Error::usage(message![
                    format!("the model's resize_type '{name}' is not known; choose one with "),
                    Setting::Resize
                ]));
            }
            (None, None) => (Resize::default(), Origin::Assumed),
        };
        let (mean, scale, source) = normalisation(options, facts, info, input)?;
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
        let (reverse_channels, reverse_channels_source) = channel_order(options, facts, info);
        let inside = info.embedded_processing;
        let range = match (options.range, source) {
            (Some(range), _) => Some(range),
            (None, Origin::Graph) if input.element.is_float() => facts.pixels,
            (None, Origin::ModelInfo) if !inside => intensity(info)?,
            _ => None,
        };
        let range = range.unwrap_or((0.0, 255.0));
        let pad = info.pad_value.unwrap_or(0);
        Ok(Self {
            resize,
            resize_source,
            pad,
            range,
            mean,
            scale,
            reverse_channels,
            reverse_channels_source,
            source,
            advice: message!["see ", Setting::Preset, ", ", Setting::Mean, " and ", Setting::Scale],
        })
    }

    /// Without advice on what to set, for callers who cannot set it.
    pub(crate) fn without_advice(mut self) -> Self {
        self.advice = Message::default();
        self
    }

    /// With what can be set called by somebody's names.
    #[must_use]
    pub fn in_words(mut self, words: Words) -> Self {
        self.advice = self.advice.in_words(words);
        self
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

/// Finds mean and scale.
fn normalisation(
    options: &PreprocessOptions,
    facts: &InputFacts,
    info: &ModelInfo,
    input: &ImageInput,
) -> Result<Normalisation> {
    let none = |origin| (vec![0.0], vec![1.0], origin);
    let imagenet = |origin| (IMAGENET_MEAN.to_vec(), IMAGENET_DEVIATION.to_vec(), origin);
    if options.mean.is_some() || options.scale.is_some() {
        let mean = options.mean.clone().unwrap_or_else(|| vec![0.0]);
        return Ok((mean, options.scale.clone().unwrap_or_else(|| vec![1.0]), Origin::Options));
    }
    match options.preset {
        Some(Preset::Imagenet) => return Ok(imagenet(Origin::Options)),
        Some(Preset::None) => return Ok(none(Origin::Options)),
        None => {}
    }
    // Integers hold pixels as they are: what is normalised would not fit. What model_info says of them was put into
    // the graph, or is for another form of the model.
    if !input.element.is_float() || facts.pixels.is_some() {
        return Ok(none(Origin::Graph));
    }
    // Model API leaves the values in place where it has put what they say into the graph.
    if info.embedded_processing {
        return Ok(none(Origin::ModelInfo));
    }
    let (mean, scale) =
        (numbers("mean_values", &info.mean_values)?, numbers("scale_values", &info.scale_values)?);
    if mean.is_some() || scale.is_some() || info.model_type.is_some() {
        let mean = mean.unwrap_or_else(|| vec![0.0]);
        return Ok((mean, scale.unwrap_or_else(|| vec![1.0]), Origin::ModelInfo));
    }
    Ok(if input.channels == 3 { imagenet(Origin::Assumed) } else { none(Origin::Assumed) })
}

/// What `model_info` makes of pixels before mean and scale.
fn intensity(info: &ModelInfo) -> Result<Option<(f32, f32)>> {
    let wrong = |mode: &String| {
        Error::usage(message![
            format!(
                "the model's intensity_mode '{mode}' is not for photos; say what becomes of pixels with "
            ),
            Setting::Mean,
            " and ",
            Setting::Scale
        ])
    };
    info.pixels.as_ref().map(|entry| entry.as_ref().copied().map_err(wrong)).transpose()
}

fn numbers(name: &str, entry: &Option<Entry<Vec<f32>>>) -> Result<Option<Vec<f32>>> {
    let wrong = |text: &String| Error::usage(format!("the model's {name} '{text}' are no numbers"));
    entry.as_ref().map(|entry| entry.as_ref().cloned().map_err(wrong)).transpose()
}

/// Whether blue comes first.
fn channel_order(options: &PreprocessOptions, facts: &InputFacts, info: &ModelInfo) -> (bool, Origin) {
    match (options.reverse_channels, facts.blue_first, info.reverse_input_channels) {
        (Some(reverse), _, _) => (reverse, Origin::Options),
        (None, Some(reverse), _) => (reverse, Origin::Graph),
        (None, None, Some(_)) if info.means_blue_photos() => (false, Origin::Ultralytics),
        (None, None, Some(reverse)) => (reverse && !info.embedded_processing, Origin::ModelInfo),
        (None, None, None) => (false, Origin::Assumed),
    }
}

impl fmt::Display for Preprocessing {
    /// A line; where all parts were taken from the same place, that is said once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source == Origin::Caller {
            return f.write_str("a function of the caller's own");
        }
        let same = self.resize_source == self.source && self.reverse_channels_source == self.source;
        let of = |origin: Origin| if same { "" } else { origin.shown() };
        let list = |values: &[f32]| {
            let words: Vec<String> = values.iter().map(f32::to_string).collect();
            words.join(", ")
        };
        let order = if self.reverse_channels { "blue first" } else { "red first" };
        write!(f, "resize {}{}", self.resize.name(), of(self.resize_source))?;
        write!(f, ", {order}{}", of(self.reverse_channels_source))?;
        if self.range != (0.0, 255.0) {
            write!(f, ", pixels to {}..{}", self.range.0, self.range.1)?;
        }
        if self.mean.iter().all(|mean| *mean == 0.0) && self.scale.iter().all(|scale| *scale == 1.0) {
            write!(f, ", no mean and scale")?;
        } else {
            write!(f, ", (pixel - [{}]) / [{}]", list(&self.mean), list(&self.scale))?;
        }
        match self.source {
            Origin::Graph => f.write_str(" (in the graph already)"),
            Origin::Assumed if self.advice == Message::default() => {
                f.write_str(" (assumed: the model does not say)")
            }
            Origin::Assumed => write!(f, " (assumed: the model does not say; {})", self.advice),
            origin => f.write_str(origin.shown()),
        }
    }
}

/// What is transparent shows white; models of four channels see the alpha themselves.
pub(crate) fn over_white(photo: &DynamicImage, channels: usize) -> DynamicImage {
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
        let layout_source = Origin::Shape;
        ImageInput {
            element: ElementType::F32,
            batch: 1,
            channels,
            height: 1,
            width: 2,
            channels_last,
            layout_source,
        }
    }

    fn settle(options: &PreprocessOptions, facts: &InputFacts, info: &ModelInfo) -> Preprocessing {
        Preprocessing::settle(options, facts, info, &input(3, false)).unwrap()
    }

    fn said() -> ModelInfo {
        ModelInfo {
            mean_values: Some(Ok(vec![1.0, 2.0, 3.0])),
            reverse_input_channels: Some(true),
            resize_type: Some(Ok(Resize::Crop)),
            ..ModelInfo::default()
        }
    }

    #[test]
    fn options_go_before_the_model_and_the_model_before_what_is_usual() {
        let nothing = InputFacts::default();
        let settle = |options: &PreprocessOptions, info: &ModelInfo| settle(options, &nothing, info);
        let none = PreprocessOptions::default();
        let found = settle(&none, &said());
        assert_eq!((&found.mean, &found.scale), (&vec![1.0, 2.0, 3.0], &vec![1.0]));
        assert!(found.reverse_channels);
        assert_eq!((found.resize, found.source), (Resize::Crop, Origin::ModelInfo));
        assert_eq!(
            found.to_string(),
            "resize crop, blue first, (pixel - [1, 2, 3]) / [1] (from the model's model_info)"
        );
        let preset = PreprocessOptions { preset: Some(Preset::Imagenet), ..none.clone() };
        assert_eq!(settle(&preset, &said()).mean, IMAGENET_MEAN);
        let own = PreprocessOptions { mean: Some(vec![7.0]), reverse_channels: Some(false), ..none.clone() };
        let found = settle(&own, &said());
        assert_eq!((found.mean, found.reverse_channels), (vec![7.0], false));
        let silent = settle(&none, &ModelInfo::default());
        assert_eq!((silent.source, &silent.mean[..]), (Origin::Assumed, &IMAGENET_MEAN[..]));
        let end = "(assumed: the model does not say; see `preset`, `mean` and `scale`)";
        assert!(silent.to_string().starts_with("resize standard, red first, (pixel"), "{silent}");
        assert!(silent.to_string().ends_with(end), "{silent}");
        // A model that Model API wrote without a mean has none.
        let bare = ModelInfo { model_type: Some("Classification".to_owned()), ..ModelInfo::default() };
        assert_eq!(settle(&none, &bare).mean, [0.0]);
        let inside = ModelInfo { embedded_processing: true, ..said() };
        let found = settle(&none, &inside);
        assert_eq!((found.mean, found.reverse_channels), (vec![0.0], false));
        let unit = ModelInfo { pixels: Some(Ok((0.0, 1.0))), ..said() };
        assert_eq!(settle(&none, &unit).range, (0.0, 1.0));
        let (of_bytes, inside) =
            (settle(&own, &unit), settle(&none, &ModelInfo { embedded_processing: true, ..unit.clone() }));
        assert_eq!([of_bytes.range, inside.range], [(0.0, 255.0); 2], "the entry says nothing of these");
        let ultralytics = ModelInfo { model_type: Some("YOLO".to_owned()), ..said() };
        let found = settle(&none, &ultralytics);
        assert_eq!((found.reverse_channels, found.reverse_channels_source), (false, Origin::Ultralytics));
        let asked = PreprocessOptions { reverse_channels: Some(true), ..none.clone() };
        assert!(settle(&asked, &ultralytics).reverse_channels);
    }

    #[test]
    fn the_graph_goes_before_model_info_and_after_options() {
        let none = PreprocessOptions::default();
        let facts = InputFacts { pixels: Some((0.0, 1.0)), blue_first: Some(false), ..InputFacts::default() };
        let found = settle(&none, &facts, &said());
        assert_eq!((found.range, &found.mean[..], found.source), ((0.0, 1.0), &[0.0][..], Origin::Graph));
        assert_eq!((found.reverse_channels, found.reverse_channels_source), (false, Origin::Graph));
        assert_eq!((found.resize, found.resize_source), (Resize::Crop, Origin::ModelInfo));
        let text = "resize crop (from the model's model_info), red first (in the graph), pixels to 0..1, no mean and \
                    scale (in the graph already)";
        assert_eq!(found.to_string(), text);
        let own = PreprocessOptions { scale: Some(vec![255.0]), ..none.clone() };
        let found = settle(&own, &facts, &said());
        assert_eq!(
            (found.range, &found.scale[..], found.source),
            ((0.0, 255.0), &[255.0][..], Origin::Options)
        );
        // Bytes hold pixels as they are.
        let bytes = ImageInput { element: ElementType::U8, ..input(3, true) };
        let found = Preprocessing::settle(&none, &InputFacts::default(), &said(), &bytes).unwrap();
        assert_eq!(
            (&found.mean[..], found.source, found.reverse_channels),
            (&[0.0][..], Origin::Graph, true)
        );
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        let (nothing, wrong) = (InputFacts::default(), || "a b c".to_owned());
        for (options, info) in [
            (PreprocessOptions { mean: Some(vec![1.0, 2.0]), ..Default::default() }, ModelInfo::default()),
            (PreprocessOptions { scale: Some(vec![0.0]), ..Default::default() }, ModelInfo::default()),
            (PreprocessOptions::default(), ModelInfo { mean_values: Some(Err(wrong())), ..said() }),
            (PreprocessOptions::default(), ModelInfo { pixels: Some(Err(wrong())), ..said() }),
            (PreprocessOptions::default(), ModelInfo { resize_type: Some(Err(wrong())), ..said() }),
        ] {
            Preprocessing::settle(&options, &nothing, &info, &input(3, false)).unwrap_err();
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
        let mut how = settle(&options, &InputFacts::default(), &ModelInfo::default());
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
        let plain = PreprocessOptions { preset: Some(Preset::None), ..Default::default() };
        let how = settle(&plain, &InputFacts::default(), &ModelInfo::default());
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
