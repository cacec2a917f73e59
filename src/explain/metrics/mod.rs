//! How good a map is, measured on the model itself.
//!
//! - Insertion and deletion AUC: Petsiuk, Das and Saenko, arXiv 1806.07421, section 4.2.
//! - ADCC, from average drop, coherency and complexity: Poppi et al., arXiv 2104.10252.
//! - Pointing game, on boxes: Zhang et al., arXiv 1608.00507.
//!
//! Images are masked as pixels of 0 to 255 in the size of the model's input, before normalisation; what is masked
//! is black, or blurred where that is said.

mod adcc;
mod auc;
mod pointing;

use ndarray::Array2;
use serde::Serialize;

pub use pointing::{BoxList, hits};

use super::watch::Watch;
use super::{Explainer, Explanation, Target};
use crate::error::{Error, Result};

/// What was measured of one map.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Area under the score while pixels come in, the most salient first; more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insertion: Option<f64>,
    /// The same where they come into the blurred photo, not into black.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insertion_from_blur: Option<f64>,
    /// The same while they are taken out; less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<f64>,
    /// Share of the score that is lost where the map is all that is seen; less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_drop: Option<f64>,
    /// Likeness of the map to that of the image masked by it, 0 to 1; more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coherency: Option<f64>,
    /// Mean of the map, scaled to 0..1; less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity: Option<f64>,
    /// Harmonic mean of coherency, 1 - complexity and 1 - average drop; more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adcc: Option<f64>,
    /// Whether the most salient pixel lies in a box of the class; absent where there are no boxes for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointing: Option<bool>,
}

impl Metrics {
    /// Names and values of what was measured.
    pub fn entries(&self) -> Vec<(&'static str, f64)> {
        let pointing = self.pointing.map(|hit| f64::from(u8::from(hit)));
        let all = [
            ("insertion", self.insertion),
            ("insertion from blur", self.insertion_from_blur),
            ("deletion", self.deletion),
            ("average drop", self.average_drop),
            ("coherency", self.coherency),
            ("complexity", self.complexity),
            ("ADCC", self.adcc),
            ("pointing", pointing),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Explainer {
    /// Measures the map of one target.
    ///
    /// Maps without a class are measured on the class that the model predicts. Detectors have no class
    /// scores: of them only the pointing game is measured.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn measure(
        &mut self,
        explanation: &Explanation,
        target: &Target,
        boxes: Option<&BoxList>,
        watch: &dyn Watch,
    ) -> Result<Metrics> {
        let mut metrics = Metrics::default();
        if let Some(boxes) = boxes {
            let label = target.class.map(|_| target.label.as_str());
            let found = boxes.of(&explanation.path, label);
            if !found.is_empty() {
                metrics.pointing = Some(hits(&explanation.over_photo(&target.map), &found));
            }
        }
        let Some(best) = explanation.best.first() else { return Ok(metrics) };
        if explanation.fitted.is_empty() {
            let message = "metrics hide parts of a photo, which the caller has prepared here";
            return Err(Error::usage(message.to_owned()));
        }
        let (width, height) = explanation.geometry.input;
        let map = explanation.lay.over(&target.map, height, width);
        let class = target.class.unwrap_or(best.class);
        let pixels = &explanation.fitted;
        let areas = self.auc(pixels, &map, class, watch)?;
        metrics.insertion = Some(areas.insertion);
        metrics.insertion_from_blur = Some(areas.insertion_from_blur);
        metrics.deletion = Some(areas.deletion);
        let found = self.adcc(pixels, &map, (target.class, class), explanation.lay, watch)?;
        metrics.average_drop = Some(found.average_drop);
        metrics.coherency = Some(found.coherency);
        metrics.complexity = Some(found.complexity);
        metrics.adcc = Some(found.adcc());
        Ok(metrics)
    }
}

/// A map scaled to 0..1; all 0 where it is flat.
pub(super) fn scaled(map: &Array2<f32>) -> Array2<f32> {
    let least = map.iter().copied().fold(f32::INFINITY, f32::min);
    let most = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = most - least;
    if span > 0.0 { map.mapv(|value| (value - least) / span) } else { Array2::zeros(map.dim()) }
}
