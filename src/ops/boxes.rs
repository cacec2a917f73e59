//! Operations that handle boxes, and which part of a detector they belong to.

use crate::graph::OpKind;

/// What an operation does to boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxStage {
    /// Looks at regions which an earlier stage proposed, or proposes them.
    Region,
    /// Drops boxes which overlap better ones; its second input is scores `[N,classes,boxes]`.
    Suppression,
    /// Decodes the boxes of one scale (YOLOv2 and v3).
    Decoding,
    /// Sorts scores and takes the best.
    Sorting,
}

impl BoxStage {
    /// The stage that an operation of this kind belongs to, if it handles boxes.
    pub(crate) fn of(kind: &OpKind) -> Option<Self> {
        Some(match kind {
            OpKind::DeformablePsRoiPooling
            | OpKind::ExperimentalDetectronGenerateProposals
            | OpKind::ExperimentalDetectronRoiFeatureExtractor
            | OpKind::GenerateProposals
            | OpKind::Proposal
            | OpKind::PsRoiPooling
            | OpKind::RoiAlign
            | OpKind::RoiAlignRotated
            | OpKind::RoiPooling => Self::Region,
            OpKind::DetectionOutput
            | OpKind::MatrixNms
            | OpKind::MulticlassNms
            | OpKind::NmsRotated
            | OpKind::NonMaxSuppression
            | OpKind::NonMaxSuppressionIeInternal => Self::Suppression,
            OpKind::RegionYolo => Self::Decoding,
            OpKind::TopK => Self::Sorting,
            _ => return None,
        })
    }
}
