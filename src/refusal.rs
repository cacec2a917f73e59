//! Why a method does not fit a model, as values.

use std::fmt;
use std::mem::Discriminant;

use crate::message::{Message, Setting, message};
use crate::place::{Bytes, Place};

/// Things with the same reason that are named; of the others their number is said.
const NAMED: usize = 3;
/// Reasons of one kind that are told.
const TOLD: usize = 3;

/// A refusal: everything that was looked at, and why each of it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What was asked for (`ReciproCAM`).
    pub wanted: String,
    /// What was looked at, and what spoke against it.
    pub reasons: Vec<(String, Reason)>,
    /// What can be done instead.
    pub advice: Vec<Message>,
}

impl Refusal {
    pub(crate) fn new(wanted: String, reasons: Vec<(String, Reason)>) -> Self {
        Self { wanted, reasons, advice: Vec::new() }
    }

    /// What there is to say, with the names of settings left to whoever says it. What has the same reason is named
    /// together.
    pub fn message(&self) -> Message {
        let mut message = Message::from(format!("no {} for this model", self.wanted));
        let groups = self.groups();
        let mut told: Vec<(Discriminant<Reason>, usize)> = Vec::new();
        for (subjects, reason) in &groups {
            let kind = std::mem::discriminant(*reason);
            let count = match told.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    told.push((kind, 1));
                    1
                }
            };
            if count <= TOLD {
                message = message.with(format!("\n  {}: ", named(subjects))).with(reason.message());
            }
        }
        let more: usize = told.iter().map(|(_, count)| count.saturating_sub(TOLD)).sum();
        if more > 0 {
            message = message.with(format!("\n  and {more} more of the like"));
        }
        self.advice.iter().fold(message, |message, advice| message.with("\n  ").with(advice.clone()))
    }

    /// The same in a line: the first reason, how many more there are, and what can be done.
    #[cfg(feature = "explain")]
    pub(crate) fn brief(&self) -> Message {
        let mut message = Message::from(format!("no {} for this model", self.wanted));
        let groups = self.groups();
        if let Some((subjects, reason)) = groups.first() {
            message = message.with(format!(": {}: ", named(subjects))).with(reason.message());
        }
        if groups.len() > 1 {
            let more = format!(" ({} more with ", groups.len() - 1);
            message = message.with(message![more, Setting::Mode.to("white-box"), ")"]);
        }
        self.advice.iter().fold(message, |message, advice| message.with("; ").with(advice.clone()))
    }

    /// With something more that can be done.
    #[cfg(feature = "explain")]
    pub(crate) fn advise(mut self, advice: Message) -> Self {
        self.advice.push(advice);
        self
    }

    /// What was looked at, by the reasons.
    fn groups(&self) -> Vec<(Vec<&str>, &Reason)> {
        let mut groups: Vec<(Vec<&str>, &Reason)> = Vec::new();
        for (subject, reason) in &self.reasons {
            match groups.iter_mut().find(|(_, other)| *other == reason) {
                Some((subjects, _)) if subjects.contains(&&**subject) => {}
                Some((subjects, _)) => subjects.push(subject),
                None => groups.push((vec![subject], reason)),
            }
        }
        groups
    }
}

/// The first of several things, and how many more there are.
fn named(subjects: &[&str]) -> String {
    let shown = subjects.iter().take(NAMED).copied().collect::<Vec<_>>().join("; ");
    match subjects.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// One reason why something cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The model has no outputs at all.
    NoOutput,
    /// An output is not `[N, classes]`.
    NotLogits {
        /// Its type and shape.
        fact: String,
    },
    /// An output has height and width.
    HoldsMap {
        /// Its type and shape.
        fact: String,
    },
    /// An output is divided by its own length.
    Embedding,
    /// No data of any input arrives at the output.
    Constant,
    /// Other inputs than images make it.
    NotOfImages,
    /// What an output holds cannot be followed back to class scores of positions.
    NotFollowed,
    /// Nothing on the way to the output has height and width.
    NothingSpatial {
        /// How many values were looked at.
        looked: usize,
    },
    /// A value does not have one batch, one channel and one pair of height and width axes.
    NotAMap {
        /// What its axes are, where known.
        axes: Option<String>,
        /// Its type and shape.
        fact: String,
    },
    /// Height and width of tokens can be told neither now nor at inference.
    UnknownGrid,
    /// What was joined in a value runs along the image in different directions.
    PlacesContradict,
    /// The value does not hold real numbers.
    NotFloat {
        /// Its type and shape.
        fact: String,
    },
    /// The value does not reach the output.
    NotOnPath,
    /// No attention works on positions.
    NoAttention,
    /// Tokens before the grid's are among those of the target.
    ClassToken {
        /// How many.
        prefix: usize,
    },
    /// Boxes are scored region by region, by a second stage.
    TwoStage {
        /// The first layer that looks at regions.
        place: Place,
    },
    /// A detector's scores were made without height and width.
    NeverAMap {
        /// The layer that they were followed back to.
        layer: String,
        /// Its type and shape.
        fact: String,
    },
    /// An output has no axis of positions beside that of the classes.
    NoPositions {
        /// Its type and shape.
        fact: String,
    },
    /// The number of class channels is not known.
    UnknownClasses {
        /// The map.
        layer: String,
        /// Its type and shape.
        fact: String,
    },
    /// What class scores are multiplied by is not there for each scale and anchor.
    FactorsDoNotFit {
        /// The product.
        layer: String,
    },
    /// Several outputs, or groups of channels of one, could be the class scores.
    SeveralScores {
        /// Which.
        channels: Vec<String>,
    },
    /// An output that has the boxes whose scores another one has.
    HoldsBoxes {
        /// That one.
        scores: String,
    },
    /// Between the columns of boxes and those that could be class scores there are others.
    NotBehindBoxes {
        /// The columns that could be class scores.
        columns: String,
        /// How many columns lie before them.
        before: usize,
        /// What the others are made by.
        layer: String,
    },
    /// Scores whose rows are those of another input than the pictures.
    RowsOfAnother {
        /// Their type and shape.
        fact: String,
        /// That input.
        input: String,
    },
    /// Scales have different numbers of classes.
    ClassesDiffer {
        /// How many each has.
        counts: Vec<usize>,
    },
    /// What the class layers read is no map `[N,C,h,w]`.
    NoFeatures {
        /// The class map of the first scale.
        layer: String,
    },
    /// The method explains detectors, and needs their heads.
    NoHeads,
    /// The method explains lists of class scores, and there are maps.
    NoScores,
    /// An operation cannot be evaluated on a mosaic, in any form.
    Operation {
        /// Where.
        place: Place,
        /// Why not.
        why: Message,
    },
    /// The branch reads a value in the middle of what is computed in integers.
    ReadInIntegers {
        /// Where.
        place: Place,
        /// The FakeQuantize behind it.
        quantized: String,
    },
    /// The dense branch would need too much memory.
    Budget {
        /// Bytes of activations that would be alive at once.
        needed: u64,
        /// Bytes allowed.
        budget: u64,
        /// The layer where the lazy forms were lost.
        place: Place,
        /// Why they were lost there.
        why: Message,
    },
}

impl Reason {
    /// What there is to say, with the names of settings left to whoever says it.
    pub fn message(&self) -> Message {
        match self {
            Self::NoOutput => "the model has no outputs".into(),
            Self::NotLogits { fact } => format!("{fact} is no list of class scores [N, classes]").into(),
            Self::HoldsMap { fact } => format!(
                "{fact} has height and width; models for segmentation, depth and the like, whose answer is a map itself, \
                 are not explained yet"
            )
            .into(),
            Self::Embedding => message![
                "it is divided by its own length, as embeddings are, whose single numbers mean nothing; name it with ",
                Setting::Output,
                " to have them explained all the same"
            ],
            Self::RowsOfAnother { fact, input } => {
                format!("{fact} has a row for each of '{input}', and none for each image").into()
            }
            Self::Constant => "it does not depend on any input".into(),
            Self::NotOfImages => "no image takes part in it, only other inputs".into(),
            Self::NothingSpatial { looked } => message![
                format!(
                    "none of the {looked} values that all paths from the inputs pass has height and width; "
                ),
                Setting::ListTargets,
                " shows them, ",
                Setting::TargetLayers,
                " chooses another"
            ],
            Self::NotAMap { axes: Some(axes), fact } => {
                format!("{fact} is no feature map (its axes: {axes})").into()
            }
            Self::NotAMap { axes: None, fact } => {
                format!("{fact} is no feature map (what its axes mean is not known)").into()
            }
            Self::UnknownGrid => "the height and width of its token grid are not known".into(),
            Self::PlacesContradict => {
                "it joins what runs along the image in different directions (mirrored or transposed), so that none of \
                 its positions has a place there"
                    .into()
            }
            Self::NotFloat { fact } => format!("{fact} holds no real numbers").into(),
            Self::NoScores => "it explains lists of class scores [N, classes], and here are maps".into(),
            Self::NotOnPath => "it is the logits themselves, or does not reach them".into(),
            Self::NoAttention => "no attention on the way to it works on the positions of a grid".into(),
            Self::ClassToken { prefix } => format!(
                "its tokens start with {prefix} that belong to no position (class token); \
                 a one-hot mask would blank what the classifier reads"
            )
            .into(),
            Self::Operation { place, why } => message![format!("{place}: ")].with(why.clone()),
            Self::ReadInIntegers { place, quantized } => message![
                format!(
                    "{place} is computed in integers together with what follows it, and to read it changes what the \
                     model answers; read it as it is quantized, with "
                ),
                Setting::TargetLayers.to(quantized)
            ],
            Self::Budget { needed, budget, place, why } => message![
                format!("the dense branch needs {} of activations and ", Bytes(*needed)),
                Setting::MemoryBudget,
                format!(" allows {}; the cheaper forms are lost at {place}: ", Bytes(*budget))
            ]
            .with(why.clone()),
            Self::TwoStage { .. }
            | Self::NeverAMap { .. }
            | Self::NoPositions { .. }
            | Self::UnknownClasses { .. }
            | Self::FactorsDoNotFit { .. }
            | Self::SeveralScores { .. }
            | Self::NotBehindBoxes { .. }
            | Self::HoldsBoxes { .. }
            | Self::NotFollowed
            | Self::ClassesDiffer { .. }
            | Self::NoFeatures { .. }
            | Self::NoHeads => self.of_detector(),
        }
    }

    /// Reasons that concern detectors; [`Reason::message`] has the others.
    fn of_detector(&self) -> Message {
        match self {
            Self::TwoStage { place } => format!(
                "{place} looks at regions that a first stage proposed, so that class scores are no maps of the image"
            )
            .into(),
            Self::NeverAMap { layer, fact } => format!(
                "its scores come from '{layer}' {fact}, which has no height and width: they never were a map"
            )
            .into(),
            Self::NotFollowed => "it holds no class scores of positions that can be followed back".into(),
            Self::NoPositions { fact } => {
                format!("{fact} has no axis of boxes beside one of classes, as scores of a detector have")
                    .into()
            }
            Self::UnknownClasses { layer, fact } => {
                format!("the number of class channels of '{layer}' {fact} is not known").into()
            }
            Self::FactorsDoNotFit { layer } => message![
                format!(
                    "what the class scores are multiplied by at '{layer}' does not match their scales and anchors; \
                     name the class maps with "
                ),
                Setting::TargetLayers
            ],
            Self::SeveralScores { channels } => message![
                format!(
                    "which of {} are class scores cannot be told; name the class maps with ",
                    channels.join(", ")
                ),
                Setting::TargetLayers
            ],
            Self::HoldsBoxes { scores } => {
                format!("it holds boxes, whose class scores '{scores}' has").into()
            }
            Self::NotBehindBoxes { columns, before, layer } => message![
                format!(
                    "class scores stand right behind the box, but before columns {columns} there are {before}, and \
                     those of '{layer}' cannot be followed back to a map; name the class maps with "
                ),
                Setting::TargetLayers
            ],
            Self::ClassesDiffer { counts } => {
                let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
                format!("its scales have different numbers of classes: {}", counts.join(", ")).into()
            }
            Self::NoFeatures { layer } => {
                format!("'{layer}' and its like are not made by convolutions of feature maps [N,C,h,w]")
                    .into()
            }
            _ => message!["class maps explain detectors; use ", Setting::Task.to("detection")],
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_reason_is_named_together() {
        let lists = (0..90).map(|list| (format!("list {list}"), Reason::UnknownGrid));
        let layers = (0..7).map(|i| {
            let layer = format!("layer {i}");
            (format!("output {i}"), Reason::NeverAMap { layer, fact: "f32[1]".to_owned() })
        });
        let mut refusal = Refusal::new("map".to_owned(), lists.chain(layers).collect());
        refusal.advice.push(message!["try ", Setting::Task.to("detection")]);
        let text = refusal.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "  list 0; list 1; list 2; and 87 more: the height and width of its token grid are not known"
        );
        assert_eq!(lines[5..], ["  and 4 more of the like", "  try `task: detection`"], "{text}");
    }
}
