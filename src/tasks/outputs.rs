//! What a model's outputs look like: class scores, boxes, scores of boxes.
//!
//! Judged by names, element types and shapes alone, so that the same rules serve the graph of an IR and a file that
//! only the runtime can read. What an output is made of is asked elsewhere: of the graph, by the rooms.

use crate::graph::Graph;
use crate::ir::ElementType;

/// Coordinates of a box.
#[cfg(feature = "explain")]
const BOX: usize = 4;
/// What is known of an output from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The name to show.
    pub(crate) name: String,
    /// Element type, where it is known.
    pub(crate) element: Option<ElementType>,
    /// Extents, `None` for those known only at inference; none at all where the rank is not known.
    pub(crate) shape: Vec<Option<usize>>,
}

impl Signature {
    /// Whether its last axis holds four coordinates, perhaps with scores and a label beside.
    fn has_coordinates(&self) -> bool {
        self.shape.len() >= 2 && matches!(self.shape.last(), Some(Some(4..=7)))
    }
}

/// All outputs of a model, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outputs {
    signatures: Vec<Signature>,
    /// Those that are no answers of the model's, but of a branch.
    ours: Vec<usize>,
}

impl Outputs {
    /// Those of a graph.
    pub(crate) fn of(graph: &Graph) -> Self {
        let signature = |output: crate::graph::Output<'_>| {
            let fact = graph.fact(output.outlet);
            Signature {
                name: output.name().to_owned(),
                element: Some(fact.element),
                shape: fact.shape.iter().map(|dim| dim.fixed()).collect(),
            }
        };
        Self { signatures: graph.outputs().map(signature).collect(), ours: Vec::new() }
    }

    /// The name of one of them; empty where there is no such.
    pub(crate) fn name(&self, output: usize) -> &str {
        self.signatures.get(output).map_or("", |signature| &signature.name)
    }

    /// The model's own: their places among all, and what they look like.
    fn own(&self) -> impl Iterator<Item = (usize, &Signature)> {
        self.signatures.iter().enumerate().filter(|(place, _)| !self.ours.contains(place))
    }

    /// Whether an output has boxes: four coordinates, perhaps with scores and a label beside.
    pub(super) fn have_boxes(&self) -> bool {
        self.own().any(|(_, output)| output.has_coordinates())
    }

    /// Two outputs `[N,boxes,4 or more]` and `[N,boxes,classes]`, if there are such. Four coordinates are likelier
    /// than some with keypoints beside them.
    pub(super) fn pair(&self) -> Option<(usize, usize)> {
        let listed = || {
            self.own().filter_map(|(place, output)| match output.shape[..] {
                [_, boxes, Some(fields)] if boxes != Some(1) => Some((place, boxes, fields)),
                _ => None,
            })
        };
        let exact = listed().find(|(.., fields)| *fields == 4);
        let (place, count, _) = exact.or_else(|| listed().find(|(.., fields)| *fields > 4))?;
        let (scores, ..) = listed().find(|(other, boxes, _)| *other != place && *boxes == count)?;
        Some((place, scores))
    }
}

/// Where a detector's boxes are, by the places of outputs.
#[cfg(feature = "explain")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoxForm {
    /// `[1,1,N,7]`: image, label, score, relative corners, as the operation DetectionOutput gives them.
    DetectionOutput {
        /// All of it.
        output: usize,
    },
    /// `[N,5]` or `[1,N,5]`: corners in pixels and score; labels `[N]` or `[1,N]`.
    Scored {
        /// Corners and scores.
        boxes: usize,
        /// Classes.
        labels: usize,
    },
    /// `[N,4]` or `[1,N,4]`, with scores and labels `[N]` or `[1,N]`.
    Apart {
        /// Corners.
        boxes: usize,
        /// Classes.
        labels: usize,
        /// Scores.
        scores: usize,
    },
    /// `[1,N,6 or more]`, corners in pixels, score, class, and what else is known of each; or candidates, which only their
    /// values tell apart from that.
    Listed {
        /// All of it.
        output: usize,
        /// Number of classes, where it is known.
        classes: Option<usize>,
    },
    /// `[1,columns,N]` or `[1,N,columns]`: boxes that are not suppressed, with a score for each class.
    Candidates {
        /// All of it.
        output: usize,
        /// Number of columns: the centre and sides of a box, or its corners, and the others.
        columns: usize,
        /// First column of class scores.
        first: usize,
        /// Number of classes.
        classes: usize,
        /// The column that class scores are to be multiplied by.
        objectness: Option<usize>,
    },
}

#[cfg(feature = "explain")]
impl BoxForm {
    /// The outputs that hold them: boxes, labels and scores, as far as they are apart.
    pub(crate) fn outputs(self) -> Vec<usize> {
        match self {
            Self::DetectionOutput { output }
            | Self::Listed { output, .. }
            | Self::Candidates { output, .. } => vec![output],
            Self::Scored { boxes, labels } => vec![boxes, labels],
            Self::Apart { boxes, labels, scores } => vec![boxes, labels, scores],
        }
    }
}

#[cfg(feature = "explain")]
impl Signature {
    fn is_float(&self) -> bool {
        self.element.is_some_and(ElementType::is_float)
    }

    fn starts_with(&self, batch: usize) -> bool {
        self.shape.first().is_some_and(|first| first.is_none_or(|first| first == batch))
    }

    /// `[N]` or `[1,N]`: something for each of N.
    fn is_list(&self) -> bool {
        matches!(self.shape[..], [_] | [Some(1), _])
    }

    /// Floats `[N,columns]` or `[1,N,columns]`.
    fn has_rows_of(&self, columns: usize) -> bool {
        let rows = self.shape.len() == 2 || matches!(self.shape[..], [Some(1), _, _]);
        self.is_float() && rows && self.shape.last() == Some(&Some(columns))
    }

    /// The classes of floats `[N,classes]` with further axes of extent 1, or of one number for each image; `None` within
    /// where known only at inference.
    fn classes(&self, batch: usize) -> Option<Option<usize>> {
        if self.shape[..] == [Some(batch)] && self.is_float() {
            return Some(Some(1));
        }
        let (classes, ones) = self.shape.get(1..)?.split_first()?;
        let lists = self.is_float() && self.starts_with(batch) && ones.iter().all(|dim| *dim == Some(1));
        lists.then_some(*classes)
    }

    /// Boxes and fields of floats `[N,boxes,fields]`, where a batch of 1 may be left out.
    fn fields_of_boxes(&self, batch: usize) -> Option<(Option<usize>, Option<usize>)> {
        match self.shape[..] {
            _ if !self.is_float() => None,
            [_, boxes, fields] => Some((boxes, fields)),
            [boxes, fields] if batch == 1 => Some((boxes, fields)),
            _ => None,
        }
    }
}

/// What the outputs hold by their looks, of a model that takes so many images at a time.
#[cfg(feature = "explain")]
impl Outputs {
    /// Outputs that somebody else has listed; those called as `ours` are are a branch's.
    pub(crate) fn new(signatures: Vec<Signature>, ours: &[&str]) -> Self {
        let names = signatures.iter().enumerate();
        let ours =
            names.filter(|(_, signature)| ours.contains(&&*signature.name)).map(|(place, _)| place).collect();
        Self { signatures, ours }
    }

    /// The place of the output of that name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.signatures.iter().position(|signature| signature.name == name)
    }

    /// Outputs that can be class scores: `[N,classes]`, with further axes of extent 1. Their places and numbers of
    /// classes.
    pub(super) fn class_scores(&self, batch: usize) -> Vec<(usize, Option<usize>)> {
        self.own().filter_map(|(place, output)| Some((place, output.classes(batch)?))).collect()
    }

    /// Outputs with one score for each box, `[N,boxes]` with further axes of extent 1, beside an output of boxes
    /// `[N,boxes,4 or more]`.
    pub(super) fn one_for_each_box(&self, batch: usize) -> Vec<usize> {
        let boxes = |output: &Signature, of: Option<usize>| {
            output.is_float()
                && output.starts_with(batch)
                && matches!(output.shape[..], [_, count, Some(4..)] if count == of)
        };
        let scores = self.class_scores(batch).into_iter().filter(|(_, count)| {
            count.is_some_and(|count| count > 1) && self.own().any(|(_, output)| boxes(output, *count))
        });
        scores.map(|(place, _)| place).collect()
    }

    /// The output `[N,boxes,classes]` beside one of boxes `[N,boxes,4]`, where there is one such pair, or one with the
    /// scores `wanted`. Its place and its number of classes.
    pub(super) fn scores_beside_boxes(
        &self,
        batch: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<(usize, Option<usize>)> {
        let listed =
            || self.own().filter_map(|(place, output)| Some((place, output.fields_of_boxes(batch)?)));
        let mut found = listed().filter(|(place, (count, fields))| {
            let boxes = |(other, beside): (usize, _)| other != *place && beside == (*count, Some(4));
            *fields != Some(4) && wanted(*place) && listed().any(boxes)
        });
        match (found.next(), found.next()) {
            (Some((place, (_, classes))), None) => Some((place, classes)),
            _ => None,
        }
    }

    /// Boxes in one of the usual forms.
    pub(crate) fn boxes(&self) -> Option<BoxForm> {
        let place = |fits: &dyn Fn(usize, &Signature) -> bool| {
            self.own().find(|(place, output)| fits(*place, output)).map(|(place, _)| place)
        };
        let sevens =
            |_, output: &Signature| output.is_float() && matches!(output.shape[..], [_, Some(1), _, Some(7)]);
        if let Some(output) = place(&sevens) {
            return Some(BoxForm::DetectionOutput { output });
        }
        let labels = place(&|_, output| {
            output.is_list() && (!output.is_float() || output.name.to_lowercase().contains("label"))
        })?;
        if let Some(boxes) = place(&|_, output| output.has_rows_of(5)) {
            return Some(BoxForm::Scored { boxes, labels });
        }
        let boxes = place(&|_, output| output.has_rows_of(4))?;
        let scores = place(&|place, output| {
            place != boxes && place != labels && output.is_list() && output.is_float()
        })?;
        Some(BoxForm::Apart { boxes, labels, scores })
    }

    /// Boxes that one output lists with all that is known of each, `classes` of them where that is known.
    pub(super) fn listed(&self, classes: Option<usize>) -> Option<BoxForm> {
        let lists = |output: &Signature| match output.shape[..] {
            [Some(1) | None, rows, columns] if output.is_float() => {
                rows.into_iter().chain(columns).min().is_none_or(|least| least > BOX)
            }
            _ => false,
        };
        let (output, _) = self.own().find(|(_, output)| lists(output))?;
        Some(BoxForm::Listed { output, classes })
    }

    /// Whether an output that could be class scores belongs to boxes: their scores or labels.
    pub(crate) fn belongs_to_boxes(&self, output: usize) -> bool {
        let first = self.signatures.get(output).and_then(|signature| *signature.shape.first()?);
        self.boxes().is_some_and(|boxes| boxes.outputs().contains(&output))
            || self.one_for_each_box(first.unwrap_or(1)).contains(&output)
    }
}

#[cfg(all(test, feature = "explain"))]
mod tests {
    use super::*;

    fn output(name: &str, element: ElementType, shape: &[usize]) -> Signature {
        let shape = shape.iter().map(|dim| (*dim > 0).then_some(*dim)).collect();
        Signature { name: name.to_owned(), element: Some(element), shape }
    }

    fn outputs(signatures: &[Signature]) -> Outputs {
        Outputs::new(signatures.to_vec(), &["saliency_map"])
    }

    #[test]
    fn each_form_is_recognised_and_classifiers_are_not() {
        let (f32, i64) = (ElementType::F32, ElementType::I64);
        let find = |signatures: &[Signature]| outputs(signatures).boxes();
        assert_eq!(find(&[output("out", f32, &[1, 1, 0, 7])]), Some(BoxForm::DetectionOutput { output: 0 }));
        let scored = [output("labels", i64, &[1, 0]), output("boxes", f32, &[1, 0, 5])];
        assert_eq!(find(&scored), Some(BoxForm::Scored { boxes: 1, labels: 0 }));
        let flat = [output("boxes", f32, &[0, 5]), output("labels", f32, &[0])];
        assert_eq!(find(&flat), Some(BoxForm::Scored { boxes: 0, labels: 1 }));
        let apart = [output("b", f32, &[0, 4]), output("s", f32, &[0]), output("l", i64, &[0])];
        assert_eq!(find(&apart), Some(BoxForm::Apart { boxes: 0, labels: 2, scores: 1 }));
        assert_eq!(find(&[output("logits", f32, &[1, 5])]), None);
        assert_eq!(find(&[output("logits", f32, &[1, 4]), output("embedding", f32, &[1, 64])]), None);
    }

    #[test]
    fn scores_of_boxes_are_no_class_scores() {
        let f32 = ElementType::F32;
        let faces = outputs(&[output("boxes", f32, &[1, 9, 16]), output("scores", f32, &[1, 9, 1])]);
        assert_eq!(faces.class_scores(1), [(1, Some(9))]);
        assert_eq!(faces.one_for_each_box(1), [1]);
        assert!(faces.belongs_to_boxes(1) && !faces.belongs_to_boxes(0));
        assert_eq!((faces.have_boxes(), faces.pair()), (false, Some((0, 1))));
        assert_eq!(faces.scores_beside_boxes(1, |_| true), None, "there are more than coordinates");
        let many = [output("s", f32, &[1, 9, 3]), output("b", f32, &[1, 9, 4]), output("t", f32, &[1, 9, 7])];
        assert_eq!(outputs(&many).scores_beside_boxes(1, |_| true), None, "either could be meant");
        assert_eq!(outputs(&many).scores_beside_boxes(1, |place| place == 2), Some((2, Some(7))));
        assert_eq!(outputs(&many[..2]).scores_beside_boxes(1, |_| true), Some((0, Some(3))));
        assert_eq!(outputs(&many[..2]).pair(), Some((1, 0)));
    }

    #[test]
    fn the_map_of_a_branch_is_no_answer() {
        let f32 = ElementType::F32;
        let with = outputs(&[output("saliency_map", f32, &[1, 5, 1, 1]), output("logits", f32, &[1, 5])]);
        assert_eq!(with.class_scores(1), [(1, Some(5))]);
        let boxes = [output("labels", ElementType::I64, &[1, 0]), output("saliency_map", f32, &[1, 5, 5])];
        assert_eq!(outputs(&boxes).boxes(), None);
    }
}
