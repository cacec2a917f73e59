//! Why a rule does not apply, as values. Each has its text beside it, and nobody but the edge makes text of it.

use crate::message::{Message, Setting, message};

/// Why an operation has no cheaper form, or none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
    // Two of them.
    #[error("{0}; {1}")]
    Both(Box<Why>, Box<Why>),

    // Differences from a base; never told, as values are made of them then.
    #[error("no rule for differences")]
    NoDifference,

    // What an operation reads and hands on.
    #[error("it has no inputs")]
    NoInputs,
    #[error("it has not two operands")]
    NotTwoOperands,
    #[error("it has not three operands")]
    NotThreeOperands,
    #[error("it has no such output")]
    NoSuchOutput,
    #[error("a further output of it is read")]
    FurtherOutput,
    #[error("an operand does not depend on the mask")]
    UnmaskedOperand,
    #[error("none of its operands depends on the mask")]
    NoMaskedOperand,
    #[error("it does not depend on the mask")]
    Unmasked,
    #[error("a parameter of it depends on the masked features")]
    MaskedParameter,
    #[error("its weight depends on the mask")]
    MaskedWeight,
    #[error("it has a parameter for each channel")]
    ParameterForEachChannel,
    #[error("an operand has less than two axes")]
    OperandWithoutMatrix,
    #[error("its elements are no real numbers, which a mask could weigh")]
    NoRealNumbers,

    // Labels: which axis is what.
    #[error("which of its axes is the batch is lost here")]
    BatchUnknown,
    #[error("the batch is lost here")]
    BatchLost,
    #[error("the batch shares an axis with something else here")]
    BatchShared,
    #[error("something stands outside of the batch on its axis")]
    OutsideOfBatch,
    #[error("an extent beside the batch is not known")]
    UnknownBesideBatch,
    #[error("the batch is not its first axis")]
    BatchNotFirst,
    #[error("which of its axes are height and width is lost here")]
    PositionsUnknown,
    #[error("height and width are lost here")]
    PositionsLost,
    #[error("positions share an axis with something else")]
    PositionsShared,
    #[error("its positions are not in the order of the target's")]
    PositionsReordered,
    #[error("its positions are not rows and columns in order")]
    PositionsNotRowsAndColumns,
    #[error("the grid changes here")]
    GridChanges,
    #[error("which of its axes are tokens is lost here")]
    TokensUnknown,
    #[error("its result is more than a vector of channels")]
    NoVector,

    // What is known only at inference.
    #[error("the grid is known only at inference")]
    UnknownGrid,
    #[error(
        "the grid is known only at inference, and the weights of the mask do not fall evenly from its middle"
    )]
    KernelNeedsGrid,
    #[error("the number of positions is not known, but its weight depends on it")]
    UnknownPositions,
    #[error("the number of tokens is not known")]
    UnknownTokens,
    #[error("an extent of its weight is not known")]
    UnknownWeightExtent,
    #[error("the value outside the mask has an extent that is not known")]
    UnknownBackgroundExtent,
    #[error("the width of its heads is not known")]
    UnknownHeadWidth,
    #[error("where its slice starts is not known")]
    UnknownSliceStart,
    #[error("where its slice ends is not known")]
    UnknownSliceEnd,
    #[error("its slice is too long")]
    SliceTooLong,

    // Masked values: positions that have to stay apart.
    #[error("no rule for this operation on a one-hot mosaic")]
    NoOneHotRule,
    #[error("it moves positions")]
    MovesPositions,
    #[error("it mixes positions (axis {0})")]
    MixesPositions(usize),
    #[error("it works along the batch (axis {0})")]
    WorksAlongBatchAxis(usize),
    #[error("it takes a part of the positions (axis {0})")]
    TakesPartOfPositions(usize),
    #[error("its operands have their positions on different axes")]
    PositionsOnDifferentAxes,
    #[error("it divides by what masks blank")]
    DividesByBlank,
    #[error("it joins masked features with others")]
    JoinsFeaturesWithOthers,
    #[error("it joins masked positions with others")]
    JoinsPositionsWithOthers,
    #[error("its kernel reaches from one position to others")]
    KernelReachesOthers,
    #[error("it multiplies masked features with each other")]
    MultipliesMasked,
    #[error("it multiplies along positions")]
    MultipliesAlongPositions,
    #[error("positions and channels are interleaved")]
    PositionsInterleaved,
    #[error("the map behind the flattened one was not found")]
    NoMapBehindFlattened,

    // Where positions end: pooling, or a weight for each of them.
    #[error("masks with weights other than 0 and 1 are not pooled")]
    WeightedPool,
    #[error("tokens that belong to no position take part as well")]
    PrefixTakesPart,
    #[error("it pools over a part of the positions")]
    PoolsPartOfPositions,
    #[error("it pools over more than the positions")]
    PoolsMoreThanPositions,
    #[error("it pools what are no real numbers")]
    PoolsNoRealNumbers,
    #[error("no rule for this reduction of a one-hot mosaic")]
    NoOneHotReduction,
    #[error("a value outside the mask meets a weight of its own at every position")]
    BackgroundMeetsWeights,
    #[error("it has more than one axis of channels")]
    SeveralChannelAxes,

    // Values per position.
    #[error("no rule for this operation on values per position")]
    NoPerPositionRule,
    #[error("no rule for this reduction on values per position")]
    NoPerPositionReduction,
    #[error("a pooled value is combined with an unpooled one")]
    PooledWithUnpooled,
    #[error("a norm over channels is faster with channels last")]
    NormFasterInCopies,
    #[error("it works along an axis of extent 1")]
    WorksAlongNothing,
    #[error("it reduces over channels")]
    ReducesChannels,
    #[error("it joins along another axis than the channels")]
    JoinsNoChannels,
    #[error("its operands have their channels on different axes")]
    ChannelsOnDifferentAxes,
    #[error("its other operand has more axes than channels")]
    OperandBeyondChannels,
    #[error("its other operand has the channels before the batch")]
    OperandChannelsFirst,
    #[error("its kernel is larger than one position")]
    KernelLargerThanPosition,
    #[error("it is no product of channels with one matrix")]
    NoProductOfChannels,

    // Attention over masked keys and values.
    #[error("it is no product of weights with values")]
    NoProductOfWeights,
    #[error("its weights are masked positions")]
    WeightsAreMasked,
    #[error("its values have their positions on another axis than the keys")]
    ValuesNotOnKeys,
    #[error("its queries are masked as well as its keys")]
    QueriesMasked,
    #[error("its attention mask is more than an addition")]
    AttentionMaskNoAddition,
    #[error("its keys and values have their positions on other axes than the tokens'")]
    KeysNotOnTokens,
    #[error("what stands where a value is blanked differs between positions")]
    BlankedValueVaries,
    #[error("its values are not linear in the masks")]
    ValuesNotLinear,

    // Distinct tokens.
    #[error("no rule for this operation on distinct tokens")]
    NoDistinctRule,
    #[error("no rule for this reduction of distinct tokens")]
    NoDistinctReduction,
    #[error("an operand has lost its tokens already")]
    TokensLost,
    #[error("its positions are no tokens")]
    PositionsNoTokens,
    #[error("what a mask blanks differs between positions")]
    BlankedTokensVary,
    #[error("an axis of it does not run over the tokens")]
    NotOverTokens,
    #[error("an axis of it is lost")]
    AxisLost,
    #[error("it works along the tokens")]
    WorksAlongTokens,
    #[error("it works along the tokens of an attention")]
    WorksAlongAttentionTokens,
    #[error("it rearranges the scores of an attention")]
    RearrangesScores,
    #[error("it joins tokens")]
    JoinsTokens,
    #[error("it splits tokens")]
    SplitsTokens,
    #[error("it splits or joins tokens")]
    SplitsOrJoinsTokens,
    #[error("it takes a part of the tokens")]
    TakesPartOfTokens,
    #[error("it multiplies along tokens")]
    MultipliesAlongTokens,
    #[error("it pools over more than the tokens")]
    PoolsMoreThanTokens,
    #[error("its operands have their tokens on different axes")]
    TokensOnDifferentAxes,
    #[error("its tokens are on other axes")]
    TokensOnOtherAxes,
    #[error("its other operand tells tokens apart")]
    OperandTellsTokens,
    #[error("its attention mask tells tokens apart")]
    AttentionMaskTellsTokens,

    // Copies.
    #[error("control flow inside the head is not supported")]
    ControlFlow,
    #[error("the shapes that the file declares for it contradict each other")]
    ShapesContradict,
    #[error("how {0} treats the batch is not known")]
    OpaqueBatch(String),
    #[error("it works along the batch")]
    WorksAlongBatch,
    #[error("it joins along the batch")]
    JoinsAlongBatch,
    #[error("it multiplies along the batch")]
    MultipliesAlongBatch,
    #[error("its batch is not the first axis")]
    WindowBatchNotFirst,
    #[error("its operands have the batch on different axes")]
    BatchOnDifferentAxes,
    #[error("an operand's batch cannot be told from its other extents")]
    OperandBatchUnclear,
    #[error("the target itself cannot be copied")]
    TargetNotCopied,

    // Scores.
    #[error("the logits do not depend on any position")]
    LogitsWithoutPositions,
    #[error("its classes are not known")]
    ClassesUnknown,
    #[error("its operands do not have the same classes")]
    ClassesDiffer,
    #[error("it mixes classes")]
    MixesClasses,
    #[error("too many operations follow the product that makes the classes")]
    ProductTooFar,
    #[error("it still has positions")]
    PositionsLeft,
    #[error("its other operand differs between samples")]
    OperandDiffersBetweenSamples,

    // Where copies come from.
    #[error("asked for by the strategy")]
    AskedFor,
    #[error("nothing is lost, but there are too many positions")]
    TooManyPositions,
}

impl Why {
    /// What there is to say, with the names of settings left to whoever says it.
    pub(super) fn message(&self) -> Message {
        match self {
            Self::AskedFor => message!["asked for by ", Setting::Strategy.to("dense")],
            Self::Both(first, second) => first.message().with("; ").with(second.message()),
            other => other.to_string().into(),
        }
    }

    /// This, after what spoke against a cheaper form, where that is something else.
    pub(super) fn after(self, first: Option<Self>) -> Self {
        match first {
            Some(first) if first != self => Self::Both(Box::new(first), Box::new(self)),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reasons_are_said_in_a_row_and_one_only_once() {
        let both = Why::WorksAlongBatch.after(Some(Why::MixesPositions(2)));
        assert_eq!(both.message().to_string(), "it mixes positions (axis 2); it works along the batch");
        assert_eq!(Why::WorksAlongBatch.after(Some(Why::WorksAlongBatch)), Why::WorksAlongBatch);
        assert_eq!(Why::WorksAlongBatch.after(None), Why::WorksAlongBatch);
    }

    #[test]
    fn settings_are_named_by_whoever_speaks() {
        assert_eq!(Why::AskedFor.message().to_string(), "asked for by `strategy: dense`");
    }
}
