//! Saliency methods: each builds its branch in a patch and says what it did.

mod activationmap;
mod class_scores;
mod classprobabilitymap;
mod feature_vector;
mod reciprocam;
mod scaling;
mod turn;
mod vitreciprocam;

use serde::Serialize;

use crate::analysis::{Labels, Positions, Target, Turn};
use crate::forward::{FormKind, Mask, Quantized, Step, Strategy};
use crate::graph::OutletId;
use crate::ir::Classes;
use crate::patch::Patch;
use crate::refusal::Reason;
use crate::tasks::{Subject, SubjectKind};

pub(crate) use class_scores::class_scores;
pub(crate) use feature_vector::feature_vector;
pub(crate) use scaling::Encoding;

/// A saliency method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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

    /// What kind of subject it explains.
    pub(crate) fn subject(self) -> SubjectKind {
        match self {
            Self::ReciproCam | Self::VitReciproCam | Self::ActivationMap => SubjectKind::Scores,
            Self::ClassProbabilityMap => SubjectKind::Maps,
        }
    }

    /// The method that is tried first for a kind of subject.
    pub(crate) fn usual(kind: SubjectKind) -> Self {
        match kind {
            SubjectKind::Scores => Self::ReciproCam,
            SubjectKind::Maps => Self::ClassProbabilityMap,
        }
    }

    /// Whether it evaluates the head under masks.
    pub(crate) fn masks(self) -> bool {
        matches!(self, Self::ReciproCam | Self::VitReciproCam)
    }

    /// Whether what a mask keeps can be chosen.
    pub(crate) fn has_kernel(self) -> bool {
        self == Self::VitReciproCam
    }

    /// Whether there is a map for each class.
    pub(crate) fn has_classes(self) -> bool {
        self != Self::ActivationMap
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
#[non_exhaustive]
pub enum SaliencyType {
    /// 0 to 255, truncated.
    #[default]
    U8,
    /// Single precision.
    F32,
}

impl SaliencyType {
    /// The name by which it is chosen and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F32 => "f32",
        }
    }
}

/// What shapes a branch, whatever the method.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) labels: &'a Labels,
    /// What is explained.
    pub(crate) subject: &'a Subject,
    /// The features that the method looks at, and what its masks keep of them.
    pub(crate) masked: Option<(&'a Target, Mask)>,
    pub(crate) classes: &'a Classes,
    /// Height and width, where the method does not take them from the features.
    pub(crate) size: (usize, usize),
    pub(crate) encoding: Encoding,
    pub(crate) strategy: Strategy,
    pub(crate) quantized: Quantized,
    pub(crate) budget: u64,
    /// Name of the saliency output.
    pub(crate) name: &'a str,
}

impl Request<'_> {
    /// What makes the map lie as the input does.
    fn turn(&self) -> Turn {
        let of_target = self.masked.and_then(|(target, _)| target.layout.placement);
        of_target
            .or_else(|| self.subject.placement())
            .map_or_else(Turn::default, |placement| placement.turn())
    }
}

/// A branch as built.
#[derive(Debug)]
pub(crate) struct Branch {
    /// The saliency map.
    pub(crate) saliency: OutletId,
    /// What became of each operation of the head.
    pub(crate) steps: Vec<Step>,
    /// What became of the quantization of activations, where the head has any.
    pub(crate) quantized: Option<Quantized>,
    /// Bytes of copies alive at one time, where known.
    pub(crate) dense_bytes: Option<u64>,
}

impl Branch {
    /// The dearest form that was needed, which says what the branch costs; `None` without a head.
    pub(crate) fn form(&self, strategy: Strategy) -> Option<FormKind> {
        let dearest = self.steps.iter().map(|step| step.form).max()?;
        Some(match strategy {
            Strategy::Dense => FormKind::Dense,
            Strategy::Auto => dearest,
        })
    }
}

/// Builds the branch of a method.
///
/// # Errors
/// A [`Reason`] where the method does not fit the subject or the target.
pub(crate) fn build(method: Method, patch: &mut Patch<'_>, request: &Request<'_>) -> Result<Branch, Reason> {
    let branch = match (method, request.subject, request.masked) {
        (Method::ReciproCam, Subject::Scores(logits), Some((target, mask))) => {
            reciprocam::build(patch, request, logits, target, mask)
        }
        (Method::VitReciproCam, Subject::Scores(logits), Some((target, mask))) => {
            vitreciprocam::build(patch, request, logits, target, mask)
        }
        (Method::ActivationMap, _, Some((target, _))) => Ok(activationmap::build(patch, request, target)),
        (Method::ClassProbabilityMap, Subject::Maps(maps), _) => {
            Ok(classprobabilitymap::build(patch, request, maps))
        }
        (Method::ClassProbabilityMap, Subject::Scores(_), _) => Err(Reason::NoHeads),
        (_, Subject::Maps(_), _) => Err(Reason::NoScores),
        (_, _, None) => Err(Reason::NotOnPath),
    };
    branch.map(|branch| Branch { saliency: turn::turn(patch, branch.saliency, request.turn()), ..branch })
}

/// A value of whose axes only `wanted` have more than one entry, with those in that order.
fn in_order(patch: &mut Patch<'_>, hint: &str, x: OutletId, wanted: &[usize]) -> OutletId {
    if wanted.is_sorted() {
        return x;
    }
    let others = (0..patch.fact(x).rank()).filter(|axis| !wanted.contains(axis));
    let order: Vec<usize> = wanted.iter().copied().chain(others).collect();
    patch.transpose(hint, x, &order)
}

/// The target without tokens that belong to no position.
fn without_prefix(patch: &mut Patch<'_>, target: &Target) -> OutletId {
    let Positions::Tokens { axis, prefix: prefix @ 1.. } = target.layout.positions else {
        return target.outlet;
    };
    patch.slice("tokens", target.outlet, axis, prefix, None)
}
