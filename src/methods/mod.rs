//! Saliency methods: each builds its branch in a patch and says what it did.

mod activationmap;
mod classprobabilitymap;
mod feature_vector;
mod reciprocam;
mod scaling;
mod vitreciprocam;

use serde::Serialize;

use crate::analysis::{Labels, Logits, Reason, Target};
use crate::graph::OutletId;
use crate::mosaic::{Classes, Mask, Step, Strategy};
use crate::patch::Patch;

pub(crate) use classprobabilitymap::{ClassMaps, build as class_maps};
pub(crate) use feature_vector::{feature_vector, feature_vector_of_heads};
pub(crate) use scaling::Encoding;

/// A saliency method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Logits with one position of the features kept at a time: `[N, classes, h, w]`, a map for each
    /// class (arXiv 2209.14074).
    ReciproCam,
    /// The same for transformers: masks around a position on the input of an attention block, class tokens
    /// kept (arXiv 2310.02588).
    VitReciproCam,
    /// Mean of the features over channels: `[N, h, w]`; knows no classes.
    ActivationMap,
    /// Class scores of a detector's heads: `[N, classes, H, W]`.
    ClassProbabilityMap,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 4] =
        [Self::ReciproCam, Self::VitReciproCam, Self::ActivationMap, Self::ClassProbabilityMap];

    /// The method of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The name by which the method is chosen and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReciproCam => "reciprocam",
            Self::VitReciproCam => "vitreciprocam",
            Self::ActivationMap => "activationmap",
            Self::ClassProbabilityMap => "classprobabilitymap",
        }
    }

    /// The name that the literature uses.
    pub fn title(self) -> &'static str {
        match self {
            Self::ReciproCam => "ReciproCAM",
            Self::VitReciproCam => "ViTReciproCAM",
            Self::ActivationMap => "ActivationMap",
            Self::ClassProbabilityMap => "ClassProbabilityMap",
        }
    }
}

/// Element type of the saliency output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SaliencyType {
    /// 0 to 255, truncated.
    #[default]
    U8,
    /// Single precision.
    F32,
}

/// What shapes a branch, whatever the method.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) logits: &'a Logits,
    pub(crate) target: &'a Target,
    pub(crate) mask: Mask,
    pub(crate) classes: &'a Classes,
    pub(crate) encoding: Encoding,
    pub(crate) strategy: Strategy,
    pub(crate) budget: u64,
    pub(crate) name: &'a str,
}

/// A branch as built.
#[derive(Debug)]
pub(crate) struct Branch {
    /// The saliency map.
    pub(crate) saliency: OutletId,
    /// What became of each operation of the head.
    pub(crate) steps: Vec<Step>,
    /// Bytes of copies alive at one time, where known.
    pub(crate) dense_bytes: Option<u64>,
}

/// Builds the branch of `method`, one of those for classifiers; [`class_maps`] is the one for detectors.
pub(crate) fn build(method: Method, patch: &mut Patch<'_>, wish: &Wish<'_>) -> Result<Branch, Reason> {
    match method {
        Method::ReciproCam => reciprocam::build(patch, wish),
        Method::VitReciproCam => vitreciprocam::build(patch, wish),
        Method::ActivationMap => Ok(activationmap::build(patch, wish)),
        Method::ClassProbabilityMap => Err(Reason::NoHeads),
    }
}

/// The target without tokens that belong to no position.
fn without_prefix(patch: &mut Patch<'_>, target: &Target) -> OutletId {
    use crate::analysis::Positions;
    let Positions::Tokens { axis, prefix: prefix @ 1.. } = target.layout.positions else {
        return target.outlet;
    };
    patch.slice("tokens", target.outlet, axis, prefix, None)
}
