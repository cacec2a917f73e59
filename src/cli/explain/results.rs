//! What becomes of explanations: pictures, files, the gallery and lines of text.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::words::flag;
use super::args::Args;
use crate::error::Result;
use crate::explain::metrics::{BoxList, Metrics};
use crate::explain::picture::{ascii, heatmap, over_photo, photo as in_colours};
use crate::explain::{Explainer, Explanation, Folder, Gallery, Photo, Settings, Watch};

/// Columns of maps that are drawn in the terminal.
const COLUMNS: usize = 56;

/// Collects and writes results.
pub(super) struct Results<'a> {
    args: &'a Args,
    folder: Option<Folder>,
    boxes: Option<BoxList>,
    gallery: Gallery,
    measured: Vec<Metrics>,
}

impl<'a> Results<'a> {
    pub(super) fn new(args: &'a Args, folder: Option<Folder>, boxes: Option<BoxList>) -> Self {
        Self { args, folder, boxes, gallery: Gallery::new(), measured: Vec::new() }
    }

    /// Prints what is applied.
    pub(super) fn settings(&self, model: &Path, settings: &Settings) -> std::io::Result<()> {
        use std::io::Write as _;
        match self.args.json {
            true => writeln!(std::io::stdout(), "{}", json!({ "settings": settings })),
            false => writeln!(std::io::stdout(), "{}\n{settings}", model.display()),
        }
    }

    /// The metrics of a photo's targets, where they are asked for.
    pub(super) fn measure(
        &mut self,
        explainer: &mut Explainer,
        explanation: &Explanation,
        watch: &dyn Watch,
    ) -> Result<Vec<Metrics>> {
        if !self.args.metrics {
            return Ok(Vec::new());
        }
        let boxes = self.boxes.as_ref();
        let targets = explanation.targets.iter();
        let found: Vec<Metrics> = targets
            .map(|target| explainer.measure(explanation, target, boxes, watch))
            .collect::<Result<_>>()?;
        self.measured.extend(found.iter().cloned());
        Ok(found)
    }

    /// Draws and writes one photo; returns what is to be printed of it.
    pub(super) fn write(
        &mut self,
        photo: &Photo,
        explanation: &Explanation,
        metrics: &[Metrics],
        settings: &Settings,
    ) -> Result<String> {
        let args = self.args;
        let pixels = in_colours(&photo.pixels);
        let mut text = String::new();
        let mut targets: Vec<Value> = Vec::new();
        let mut files = self.folder.as_mut().map(|folder| folder.photo(&photo.path));
        for (place, target) in explanation.targets.iter().enumerate() {
            let map = explanation.over_photo(&target.map);
            let mut entry = serde_json::to_value(target).unwrap_or_default();
            let mut written = String::new();
            if let Some(files) = &mut files {
                let name = files.target(&target.label);
                let heat = heatmap(&map, args.colours);
                let over = over_photo(&pixels, &heat, target, args.overlay_weight, !args.no_caption)?;
                let path = files.picture(&format!("{name}_overlay"), &over)?;
                entry["overlay"] = json!(path.to_string_lossy());
                entry["heatmap"] = json!(files.picture(&format!("{name}_heatmap"), &heat)?.to_string_lossy());
                if args.raw {
                    entry["map"] = json!(files.map(&name, &target.map)?.to_string_lossy());
                }
                // Writing to a string does not fail.
                let _ = write!(written, " -> {}", path.display());
            }
            let _ = writeln!(text, "{}: {}{written}", photo.path.display(), target.title());
            if let Some(metrics) = metrics.get(place) {
                entry["metrics"] = json!(metrics);
                let _ = writeln!(text, "  {}", line(&metrics.entries()));
            }
            if args.ascii {
                text.push_str(&ascii(&map, COLUMNS));
            }
            targets.push(entry);
        }
        let said = explanation.note.as_ref().map(|note| note.spoken(flag));
        if let Some(note) = &said {
            // Of a photo without a target, nothing else says which it is.
            let _ = match targets.is_empty() {
                true => writeln!(text, "{}: {note}", photo.path.display()),
                false => writeln!(text, "  note: {note}"),
            };
        }
        let mut figures = json!({
            "photo": photo.path.to_string_lossy(),
            "width": photo.width(),
            "height": photo.height(),
            "best": explanation.best,
            "targets": targets,
            "settings": settings,
        });
        if let (Some(note), Some(figures)) = (&said, figures.as_object_mut()) {
            figures.insert("note".to_owned(), json!(note));
        }
        if args.raw
            && let Some(files) = &files
        {
            files.figures(&figures)?;
        }
        if self.folder.is_some() && !args.no_gallery {
            self.gallery.add(explanation, &pixels, args.colours, (metrics, said.as_deref()))?;
        }
        if args.json {
            if let Some(figures) = figures.as_object_mut() {
                figures.remove("settings");
            }
            return Ok(format!("{figures}\n"));
        }
        Ok(text)
    }

    /// Writes the gallery and prints means, where there is something to show.
    pub(super) fn finish(self, settings: &Settings) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut out = std::io::stdout();
        if self.measured.len() > 1 {
            let means = means(&self.measured);
            match self.args.json {
                true => {
                    let fields =
                        means.iter().map(|(name, mean)| (name.replace(' ', "_").to_lowercase(), json!(mean)));
                    writeln!(out, "{}", json!({ "means": fields.collect::<serde_json::Map<_, _>>() }))?;
                }
                false => writeln!(out, "mean of {} maps: {}", self.measured.len(), line(&means))?,
            }
        }
        if let (Some(folder), false) = (&self.folder, self.gallery.is_empty()) {
            let page = self.gallery.html(settings, self.args.overlay_weight, self.args.colours)?;
            let path = folder.write("index.html", page.as_bytes())?;
            match self.args.json {
                true => writeln!(out, "{}", json!({ "gallery": path.to_string_lossy() }))?,
                false => writeln!(out, "gallery: {}", path.display())?,
            }
        }
        Ok(())
    }
}

fn line(entries: &[(&str, f64)]) -> String {
    entries.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ")
}

/// Means over all maps for which a metric is there.
fn means(all: &[Metrics]) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64, f64)> = Vec::new();
    for (name, value) in all.iter().flat_map(Metrics::entries) {
        match sums.iter_mut().find(|sum| sum.0 == name) {
            Some(sum) => (sum.1, sum.2) = (sum.1 + value, sum.2 + 1.0),
            None => sums.push((name, value, 1.0)),
        }
    }
    sums.into_iter().map(|(name, sum, count)| (name, sum / count)).collect()
}
