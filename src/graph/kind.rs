//! The kinds of operations: the only place that knows how the IR spells them.
//!
//! Source: OpenVINO's operation sets 1 to 16. OpenVINO writes some operations otherwise than it calls them
//! (`SoftMax`, `ReLU`, `PReLU`, `Const`) and reads both spellings.

use std::fmt;

macro_rules! kinds {
    ($($kind:ident = $name:literal $(or $other:literal)*,)+) => {
        /// What an operation is, however a file spells it.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub(crate) enum OpKind {
            $(
                #[doc = concat!("`", $name, "`")]
                $kind,
            )+
            /// One that no rule speaks of, spelled as in the file.
            Other(Box<str>),
        }

        impl OpKind {
            /// The spelling that OpenVINO writes.
            pub(crate) fn name(&self) -> &str {
                match self {
                    $(Self::$kind => $name,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for OpKind {
            fn from(text: &str) -> Self {
                match text {
                    $($name $(| $other)* => Self::$kind,)+
                    other => Self::Other(other.into()),
                }
            }
        }

        #[cfg(test)]
        const SPELLINGS: &[(&str, &[&str])] = &[$(($name, &[$($other),*])),+];
    };
}

kinds! {
    Abs = "Abs",
    Acos = "Acos",
    Acosh = "Acosh",
    AdaptiveAvgPool = "AdaptiveAvgPool",
    AdaptiveMaxPool = "AdaptiveMaxPool",
    Add = "Add",
    Asin = "Asin",
    Asinh = "Asinh",
    Assign = "Assign",
    Atan = "Atan",
    Atanh = "Atanh",
    AvgPool = "AvgPool",
    BatchNormInference = "BatchNormInference",
    BatchToSpace = "BatchToSpace",
    Broadcast = "Broadcast",
    Ceiling = "Ceiling",
    Clamp = "Clamp",
    Concat = "Concat",
    Const = "Const",
    Convert = "Convert",
    ConvertLike = "ConvertLike",
    Convolution = "Convolution",
    ConvolutionBackpropData = "ConvolutionBackpropData",
    Cos = "Cos",
    Cosh = "Cosh",
    CumSum = "CumSum",
    DeformableConvolution = "DeformableConvolution",
    DeformablePsRoiPooling = "DeformablePSROIPooling",
    DepthToSpace = "DepthToSpace",
    DetectionOutput = "DetectionOutput",
    Divide = "Divide",
    Einsum = "Einsum",
    Elu = "Elu",
    Equal = "Equal",
    Erf = "Erf",
    Exp = "Exp",
    ExperimentalDetectronGenerateProposals = "ExperimentalDetectronGenerateProposalsSingleImage",
    ExperimentalDetectronRoiFeatureExtractor = "ExperimentalDetectronROIFeatureExtractor",
    ExtractImagePatches = "ExtractImagePatches",
    FakeConvert = "FakeConvert",
    FakeQuantize = "FakeQuantize",
    Floor = "Floor",
    FloorMod = "FloorMod",
    Gather = "Gather",
    GatherElements = "GatherElements",
    GatherNd = "GatherND",
    Gelu = "Gelu",
    GenerateProposals = "GenerateProposals",
    Greater = "Greater",
    GreaterEqual = "GreaterEqual",
    GridSample = "GridSample",
    GroupConvolution = "GroupConvolution",
    GroupConvolutionBackpropData = "GroupConvolutionBackpropData",
    GroupNormalization = "GroupNormalization",
    HardSigmoid = "HardSigmoid",
    HSigmoid = "HSigmoid",
    HSwish = "HSwish",
    Identity = "Identity",
    If = "If",
    Interpolate = "Interpolate",
    IsNaN = "IsNaN",
    Less = "Less",
    LessEqual = "LessEqual",
    Log = "Log",
    LogicalAnd = "LogicalAnd",
    LogicalNot = "LogicalNot",
    LogicalOr = "LogicalOr",
    LogicalXor = "LogicalXor",
    LogSoftmax = "LogSoftmax" or "LogSoftMax",
    Loop = "Loop",
    Lrn = "LRN",
    MatMul = "MatMul",
    MatrixNms = "MatrixNms",
    Maximum = "Maximum",
    MaxPool = "MaxPool",
    Minimum = "Minimum",
    Mish = "Mish",
    Mod = "Mod",
    MulticlassNms = "MulticlassNms",
    Multiply = "Multiply",
    Mvn = "MVN",
    Negative = "Negative",
    NmsRotated = "NMSRotated",
    NonMaxSuppression = "NonMaxSuppression",
    NonMaxSuppressionIeInternal = "NonMaxSuppressionIEInternal",
    NonZero = "NonZero",
    NormalizeL2 = "NormalizeL2",
    NotEqual = "NotEqual",
    OneHot = "OneHot",
    Pad = "Pad",
    Parameter = "Parameter",
    Power = "Power",
    PRelu = "PReLU" or "PRelu",
    Proposal = "Proposal",
    PsRoiPooling = "PSROIPooling",
    Range = "Range",
    ReadValue = "ReadValue",
    ReduceL1 = "ReduceL1",
    ReduceL2 = "ReduceL2",
    ReduceLogicalAnd = "ReduceLogicalAnd",
    ReduceLogicalOr = "ReduceLogicalOr",
    ReduceMax = "ReduceMax",
    ReduceMean = "ReduceMean",
    ReduceMin = "ReduceMin",
    ReduceProd = "ReduceProd",
    ReduceSum = "ReduceSum",
    RegionYolo = "RegionYolo",
    Relu = "ReLU" or "Relu",
    ReorgYolo = "ReorgYolo",
    Reshape = "Reshape",
    Result = "Result",
    Reverse = "Reverse",
    RoiAlign = "ROIAlign",
    RoiAlignRotated = "ROIAlignRotated",
    RoiPooling = "ROIPooling",
    Roll = "Roll",
    Round = "Round",
    ScaledDotProductAttention = "ScaledDotProductAttention",
    ScatterElementsUpdate = "ScatterElementsUpdate",
    ScatterNdUpdate = "ScatterNDUpdate",
    ScatterUpdate = "ScatterUpdate",
    Select = "Select",
    Selu = "Selu",
    ShapeOf = "ShapeOf",
    ShuffleChannels = "ShuffleChannels",
    Sigmoid = "Sigmoid",
    Sign = "Sign",
    Sin = "Sin",
    Sinh = "Sinh",
    Slice = "Slice",
    SoftMax = "SoftMax" or "Softmax",
    SoftPlus = "SoftPlus",
    SoftSign = "SoftSign",
    SpaceToBatch = "SpaceToBatch",
    SpaceToDepth = "SpaceToDepth",
    Split = "Split",
    Sqrt = "Sqrt",
    SquaredDifference = "SquaredDifference",
    Squeeze = "Squeeze",
    StridedSlice = "StridedSlice",
    Subtract = "Subtract",
    Swish = "Swish",
    Tan = "Tan",
    Tanh = "Tanh",
    TensorIterator = "TensorIterator",
    Tile = "Tile",
    TopK = "TopK",
    Transpose = "Transpose",
    Unsqueeze = "Unsqueeze",
    VariadicSplit = "VariadicSplit",
}

impl OpKind {
    /// Whether it only lays elements out anew, in the same order.
    pub(crate) fn is_reshape(&self) -> bool {
        matches!(self, Self::Reshape | Self::Squeeze | Self::Unsqueeze)
    }

    /// Whether it is a convolution, grouped or transposed ones among them.
    pub(crate) fn is_convolution(&self) -> bool {
        matches!(
            self,
            Self::Convolution
                | Self::GroupConvolution
                | Self::ConvolutionBackpropData
                | Self::GroupConvolutionBackpropData
        )
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_kind_are_read_and_one_is_written() {
        for (name, others) in SPELLINGS {
            let kind = OpKind::from(*name);
            assert_eq!(kind.name(), *name);
            assert!(!matches!(kind, OpKind::Other(_)), "{name}");
            for other in *others {
                assert_eq!(OpKind::from(*other), kind, "{other}");
            }
        }
    }

    #[test]
    fn an_unknown_kind_keeps_its_text() {
        let kind = OpKind::from("FutureOp");
        assert_eq!(kind, OpKind::Other("FutureOp".into()));
        assert_eq!(kind.to_string(), "FutureOp");
        assert_ne!(kind, OpKind::from("futureop"), "spelling matters");
    }
}
