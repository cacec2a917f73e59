//! The net's `rt_info/model_info`: what an export says of a model's images and classes.
//!
//! Written by Model API (`Model.save`), OTX and export scripts; names and forms are those of Model API's
//! documentation, "Model configuration".

#[cfg(feature = "explain")]
use super::Hierarchy;
use super::{ImageLayout, RtInfo};

/// How a photo gets the size of the input, by the names of Model API's `resize_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Resize {
    /// Stretched to the input's size.
    #[default]
    Standard,
    /// As large as fits with its aspect ratio kept, at the top left; the rest is padding.
    FitToWindow,
    /// The same in the middle, with padding on both sides.
    FitToWindowLetterbox,
    /// The largest part from the middle that has the input's aspect ratio.
    Crop,
}

impl Resize {
    /// All, in the order of their documentation.
    pub const ALL: [Self; 4] = [Self::Standard, Self::FitToWindow, Self::FitToWindowLetterbox, Self::Crop];

    /// The name in `model_info` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::FitToWindow => "fit_to_window",
            Self::FitToWindowLetterbox => "fit_to_window_letterbox",
            Self::Crop => "crop",
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// An entry as read, or its text where that makes no sense. Whoever needs the entry complains, and nobody else.
pub(crate) type Entry<T> = std::result::Result<T, String>;

/// What `model_info` says; `None` where it says nothing, or has an empty value.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ModelInfo {
    /// `layout`: order of the input's axes. Other orders than those of images count as nothing.
    pub layout: Option<ImageLayout>,
    /// `mean_values`: subtracted from pixels of 0 to 255, one number or one for each channel in the network's order.
    pub mean_values: Option<Entry<Vec<f32>>>,
    /// `scale_values`: what the difference is divided by, likewise.
    pub scale_values: Option<Entry<Vec<f32>>>,
    /// What pixels of 0 to 255 become before mean and scale: 0 to 1 where `intensity_mode` is `scale_to_unit`, or where
    /// the numbers leave nothing else. Other modes are for images of other kinds than photos.
    pub pixels: Option<Entry<(f32, f32)>>,
    /// `reverse_input_channels`: whether the network takes blue first, where photos come red first, as OTX and getitune
    /// mean it. See [`ModelInfo::means_blue_photos`].
    pub reverse_input_channels: Option<bool>,
    /// `otx_version`, `getitune_version` and the like: who trains and exports models with red first.
    pub of_geti: bool,
    /// `resize_type`: how a photo gets the input's size.
    pub resize_type: Option<Entry<Resize>>,
    /// `pad_value`: value of padding, 0 to 255.
    pub pad_value: Option<u8>,
    /// `embedded_processing`: mean, scale and the order of channels were put into the graph; the entries that name
    /// them were left in place.
    pub embedded_processing: bool,
    /// `model_type`: the wrapper that Model API chooses.
    pub model_type: Option<String>,
    /// `labels`: names of classes in their order; between spaces in the file, with underscores for their own.
    pub labels: Vec<String>,
    /// `multilabel`: each class stands for itself, by a sigmoid of its score.
    #[cfg(feature = "explain")]
    pub multilabel: bool,
    /// `hierarchical`, with its `hierarchical_config`: classes are divided into heads.
    #[cfg(feature = "explain")]
    pub hierarchy: Option<Entry<Hierarchy>>,
    /// `confidence_threshold`: the score from which a class or a box counts.
    #[cfg(feature = "explain")]
    pub confidence_threshold: Option<f32>,
}

impl ModelInfo {
    /// Reads the section of a net's `<rt_info>`; all is `None` where there is none.
    pub(crate) fn read(rt_info: &RtInfo) -> Self {
        let Some(section) = rt_info.child("model_info") else { return Self::default() };
        let text = |name| section.get(&[name]).map(str::trim).filter(|text| !text.is_empty());
        let flag = |name| text(name).map(|text| ["true", "yes", "1"].contains(&&*text.to_lowercase()));
        let (mean_values, scale_values) =
            (text("mean_values").map(numbers), text("scale_values").map(numbers));
        Self {
            pixels: pixels(&text, mean_values.as_ref(), scale_values.as_ref()),
            // With the name of the input before it where there may be several: `image:NCHW`.
            layout: text("layout").and_then(|text| ImageLayout::named(text.rsplit(':').next()?)),
            mean_values,
            scale_values,
            reverse_input_channels: flag("reverse_input_channels"),
            of_geti: section.children.iter().any(|entry| {
                let tool = entry.name.strip_suffix("_version");
                tool.is_some_and(|tool| tool == "otx" || tool.starts_with("geti"))
            }),
            resize_type: text("resize_type").map(|text| Resize::named(text).ok_or_else(|| text.to_owned())),
            pad_value: text("pad_value").and_then(|text| text.parse().ok()),
            embedded_processing: flag("embedded_processing") == Some(true),
            model_type: text("model_type").map(str::to_owned),
            labels: text("labels")
                .map(|text| text.split_whitespace().map(|name| name.replace('_', " ")).collect())
                .unwrap_or_default(),
            #[cfg(feature = "explain")]
            multilabel: flag("multilabel") == Some(true),
            #[cfg(feature = "explain")]
            hierarchy: (flag("hierarchical") == Some(true))
                .then(|| Hierarchy::read(text("hierarchical_config").unwrap_or_default())),
            #[cfg(feature = "explain")]
            confidence_threshold: text("confidence_threshold").and_then(|text| text.parse().ok()),
        }
    }
}

impl ModelInfo {
    /// Whether `reverse_input_channels` is meant for photos with blue first, as OpenCV reads them: the network takes red
    /// first then. So does ultralytics, whose exporter sets it for every model and whose networks take red first.
    pub(crate) fn means_blue_photos(&self) -> bool {
        let yolo = |model: &str| {
            let model = model.to_lowercase();
            model.starts_with("yolo") && !model.starts_with("yolox")
        };
        !self.of_geti && self.model_type.as_deref().is_some_and(yolo)
    }
}

/// What Model API's `intensity_mode` and `intensity_max_value` make of pixels, or, without them, the numbers: a mean and a
/// deviation below 1 are those of pixels of 0 to 1, as getitune writes them.
fn pixels<'a>(
    text: &impl Fn(&'static str) -> Option<&'a str>,
    mean: Option<&Entry<Vec<f32>>>,
    scale: Option<&Entry<Vec<f32>>>,
) -> Option<Entry<(f32, f32)>> {
    match text("intensity_mode").unwrap_or("none") {
        "none" => {
            let small = |entry: Option<&Entry<Vec<f32>>>| match entry {
                Some(Ok(values)) => values.iter().all(|value| *value > 0.0 && *value < 1.0),
                _ => false,
            };
            (small(mean) && small(scale)).then_some(Ok((0.0, 1.0)))
        }
        "scale_to_unit" => {
            // A photo fills its eight bits as an image of another depth fills its own.
            let full = match text("input_dtype") {
                None | Some("u8") => "255",
                Some("u16") => "65535",
                Some("i16") => "32767",
                Some(_) => "1",
            };
            let most = text("intensity_max_value").unwrap_or(full);
            let whole = most.parse::<f32>().ok() == full.parse().ok();
            Some(if whole { Ok((0.0, 1.0)) } else { Err(format!("scale_to_unit of {most}")) })
        }
        other => Some(Err(other.to_owned())),
    }
}

/// Numbers with spaces or commas between them.
fn numbers(text: &str) -> Entry<Vec<f32>> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect::<Option<_>>().ok_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ir::Document;

    fn read(entries: &str) -> ModelInfo {
        let text = format!(
            r#"<net name="n" version="11"><layers/><edges/><rt_info><model_info>{entries}</model_info></rt_info></net>"#
        );
        ModelInfo::read(Document::parse(Path::new("m.xml"), text.into_bytes()).unwrap().rt_info())
    }

    #[test]
    fn entries_are_read_as_model_api_writes_them() {
        let info = read(
            r#"<layout value="NHWC"/><mean_values value="1 2.5 3"/><scale_values value="2, 4,8"/>
            <reverse_input_channels value="YES"/><resize_type value="fit_to_window"/><pad_value value="114"/>
            <embedded_processing value="True"/><model_type value="Classification"/>
            <labels value="great_white_shark cat"/>"#,
        );
        assert_eq!(info.layout, Some(ImageLayout::Nhwc));
        assert_eq!(info.mean_values, Some(Ok(vec![1.0, 2.5, 3.0])));
        assert_eq!(info.scale_values, Some(Ok(vec![2.0, 4.0, 8.0])));
        assert_eq!((info.reverse_input_channels, info.embedded_processing), (Some(true), true));
        assert_eq!((info.resize_type, info.pad_value), (Some(Ok(Resize::FitToWindow)), Some(114)));
        assert_eq!(info.model_type.as_deref(), Some("Classification"));
        assert_eq!(info.labels, ["great white shark", "cat"]);
    }

    #[test]
    fn mean_and_scale_are_those_of_the_pixels_that_are_meant() {
        let imagenet = r#"<mean_values value="0.485 0.456 0.406"/><scale_values value="0.229 0.224 0.225"/>"#;
        for (entries, pixels) in [
            (r#"<mean_values value="0"/><scale_values value="1"/>"#, None),
            (r#"<mean_values value="123.675 116.28 103.53"/><scale_values value="58.4 57.1 57.4"/>"#, None),
            (r#"<scale_values value="0.5"/>"#, None),
            (imagenet, Some(Ok((0.0, 1.0)))),
            (r#"<intensity_mode value="none"/><intensity_max_value value="255"/>"#, None),
            (r#"<intensity_mode value="scale_to_unit"/>"#, Some(Ok((0.0, 1.0)))),
            (
                r#"<intensity_mode value="scale_to_unit"/><intensity_max_value value="255.0"/>"#,
                Some(Ok((0.0, 1.0))),
            ),
            (
                r#"<intensity_mode value="scale_to_unit"/><input_dtype value="u16"/>
                <intensity_max_value value="4095"/>"#,
                Some(Err("scale_to_unit of 4095".to_owned())),
            ),
            (r#"<intensity_mode value="window"/>"#, Some(Err("window".to_owned()))),
        ] {
            assert_eq!(read(entries).pixels, pixels, "{entries}");
        }
    }

    #[test]
    fn colours_are_turned_round_for_whoever_reads_photos_blue_first() {
        for (entries, blue) in [
            (r#"<model_type value="YOLO"/>"#, true),
            (r#"<model_type value="YOLOv8"/>"#, true),
            (r#"<model_type value="YOLO11"/><otx_version value="2.4"/>"#, false),
            (r#"<model_type value="YOLO11"/><getitune_version value="0.4.0"/>"#, false),
            (r#"<model_type value="YOLOX"/>"#, false),
            (r#"<model_type value="ssd"/>"#, false),
            ("", false),
        ] {
            assert_eq!(read(entries).means_blue_photos(), blue, "{entries}");
        }
    }

    #[cfg(feature = "explain")]
    #[test]
    fn what_is_predicted_is_read() {
        let info = read(r#"<multilabel value="True"/><confidence_threshold value="0.3"/>"#);
        assert_eq!((info.multilabel, info.confidence_threshold, info.hierarchy), (true, Some(0.3), None));
        let info = read(r#"<hierarchical value="True"/><hierarchical_config value="{&quot;a&quot;: 1}"/>"#);
        assert!(info.hierarchy.unwrap().unwrap_err().contains("cls_heads_info"));
        assert!(matches!(read(r#"<hierarchical value="True"/>"#).hierarchy, Some(Err(_))));
    }

    #[test]
    fn what_is_not_there_or_empty_says_nothing() {
        assert_eq!(read(""), ModelInfo::default());
        assert_eq!(read(r#"<mean_values value=""/><resize_type value=" "/>"#), ModelInfo::default());
        assert_eq!(ModelInfo::read(&RtInfo::default()), ModelInfo::default());
        assert_eq!(read(r#"<reverse_input_channels value="False"/>"#).reverse_input_channels, Some(false));
    }

    #[test]
    fn what_makes_no_sense_keeps_its_text() {
        let info = read(r#"<mean_values value="a b"/><resize_type value="magic"/><layout value="NC"/>"#);
        assert_eq!(info.mean_values, Some(Err("a b".to_owned())));
        assert_eq!(info.resize_type, Some(Err("magic".to_owned())));
        assert_eq!(info.layout, None);
        assert_eq!(read(r#"<layout value="image:NCHW"/>"#).layout, Some(ImageLayout::Nchw));
    }
}
