//! A page that shows everything: one HTML file that needs nothing else.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};

use super::Explanation;
use super::Settings;
use super::metrics::Metrics;
use super::picture::{Colours, heatmap};
use super::scores::shown;
use crate::error::{Error, Result};
use crate::preprocess::resize_map;

/// Name of the page.
pub(crate) const INDEX: &str = "index.html";

/// Longest side of a picture on the page, in pixels.
const SIDE: u32 = 1024;

/// Quality of its pictures.
const QUALITY: u8 = 88;

const PAGE: &str = include_str!("gallery.html");

/// The page, photo by photo.
#[derive(Debug, Default)]
pub(crate) struct Gallery {
    photos: String,
    count: usize,
}

impl Gallery {
    /// An empty page.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a photo with its maps and what there is to say; `metrics` belong to the targets one by one, where there are any.
    ///
    /// # Errors
    /// [`Error::Internal`] where a picture cannot be encoded.
    pub(crate) fn add(
        &mut self,
        explanation: &Explanation,
        photo: &RgbImage,
        colours: Colours,
        (metrics, note): (&[Metrics], Option<&str>),
    ) -> Result<()> {
        self.count += 1;
        let number = self.count;
        let small = shrunk(photo);
        let (width, height) = small.dimensions();
        let name = escaped(&explanation.path.display().to_string());
        let mut maps = String::new();
        let mut choices = String::new();
        for (place, target) in explanation.targets.iter().enumerate() {
            let whole = explanation.over_photo(&target.map);
            let map = resize_map(&whole, height as usize, width as usize);
            let heat = jpeg(&heatmap(&map, colours))?;
            let id = format!("p{number}t{place}");
            let checked = if place == 0 { " checked" } else { "" };
            let label = escaped(&target.label);
            let score = target.score.map(shown).unwrap_or_default();
            let hidden = if place == 0 { "" } else { " hidden" };
            // Writing to a string does not fail.
            let _ = write!(
                maps,
                r#"<img class="heat" id="{id}-map" alt="Heatmap of {label}" src="{heat}"{hidden}>"#
            );
            if let Some([x1, y1, x2, y2]) = target.corners {
                #[allow(clippy::cast_precision_loss)]
                let share = |at: f32, side: u32| 100.0 * at / side as f32;
                let (w, h) = photo.dimensions();
                let _ = write!(
                    maps,
                    r#"<span class="box" id="{id}-box" style="left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%"{hidden}></span>"#,
                    share(x1, w),
                    share(y1, h),
                    share(x2 - x1, w),
                    share(y2 - y1, h)
                );
            }
            let mut figures = String::new();
            for (name, value) in metrics.get(place).map(Metrics::entries).unwrap_or_default() {
                let _ = write!(figures, "<span>{name} {value:.3}</span>");
            }
            let _ = write!(
                choices,
                r#"<label><input type="radio" name="p{number}" value="{id}"{checked}><span class="name">{label}</span><span class="score">{score}</span>"#
            );
            if let Some(score) = target.score {
                let _ = write!(
                    choices,
                    r#"<span class="bar" style="width:{:.1}%"></span>"#,
                    100.0 * score.clamp(0.0, 1.0)
                );
            }
            if !figures.is_empty() {
                let _ = write!(choices, r#"<span class="figures">{figures}</span>"#);
            }
            choices.push_str("</label>");
        }
        let note = note.map(|note| format!(r#"<p class="note">{}</p>"#, escaped(note))).unwrap_or_default();
        let source = jpeg(&small)?;
        let _ = write!(
            self.photos,
            r#"<article id="photo-{number}" tabindex="-1"><h2>{name}</h2><div class="view"><div class="stack" style="--ratio:{width}/{height}"><img alt="Photo {name}" src="{source}">{maps}</div><fieldset><legend>Targets</legend>{choices}{note}</fieldset></div></article>"#
        );
        Ok(())
    }

    /// The page as HTML; `weight` is where the opacity slider stands at first.
    ///
    /// # Errors
    /// [`Error::Internal`] where the settings cannot be written.
    pub(crate) fn html(&self, settings: &Settings, weight: f32, colours: Colours) -> Result<String> {
        let json = serde_json::to_string_pretty(settings)
            .map_err(|e| Error::Internal(format!("the settings: {e}")))?;
        let gradient: Vec<String> = (0..=8u8)
            .map(|step| {
                let [r, g, b] = colours.at(f32::from(step) / 8.0);
                format!("rgb({r} {g} {b})")
            })
            .collect();
        let title = settings.model.file_name().unwrap_or(settings.model.as_os_str());
        let percent = format!("{:.0}", 100.0 * weight.clamp(0.0, 1.0));
        let parts = [
            ("{{title}}", escaped(&title.to_string_lossy())),
            ("{{method}}", escaped(&settings.method)),
            ("{{count}}", self.count.to_string()),
            ("{{noun}}", if self.count == 1 { "photo" } else { "photos" }.to_owned()),
            ("{{weight}}", percent),
            ("{{gradient}}", gradient.join(",")),
            ("{{settings}}", escaped(&settings.to_string())),
            ("{{json}}", escaped(&json)),
            // Last: what is filled in is not looked through again.
            ("{{photos}}", self.photos.clone()),
        ];
        Ok(fill(PAGE, &parts))
    }
}

/// Replaces each place holder once, in the order of the text.
fn fill(page: &str, parts: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(page.len() + parts.iter().map(|part| part.1.len()).sum::<usize>());
    let mut rest = page;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        match parts.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                out.push_str("{{");
                rest = &rest[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn shrunk(photo: &RgbImage) -> RgbImage {
    if photo.width().max(photo.height()) <= SIDE {
        return photo.clone();
    }
    DynamicImage::ImageRgb8(photo.clone()).resize(SIDE, SIDE, FilterType::Triangle).into_rgb8()
}

fn jpeg(picture: &RgbImage) -> Result<String> {
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))
        .map_err(|e| Error::Internal(format!("a picture: {e}")))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(escaped("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
        let parts = [("{{a}}", "{{b}}".to_owned()), ("{{b}}", "2".to_owned())];
        assert_eq!(fill("1{{a}}-{{b}}-{{c}}", &parts), "1{{b}}-2-{{c}}");
    }
}
