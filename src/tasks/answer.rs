//! What a model says of a photo, and where: asked once by whoever runs it.

use super::outputs::{BoxForm, Outputs};
use super::{BesideBoxes, Logits, ScoreMaps, Subject, is_embedding};
use crate::analysis::{Labels, Step, walk};
use crate::error::Result;
use crate::graph::{OpKind, OutletId};
use crate::message::{Message, Setting, message};
use crate::model::Model;
use crate::ops::{Activation, Passage, source};

/// Where a model's answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Class scores of each image, `[N, classes]`.
    Scores(ScoreOutput),
    /// Class scores of each box, `[N, boxes, classes]` or of one class `[N, boxes]`.
    BoxScores(ScoreOutput),
    /// Boxes of a detector, with scores and labels.
    Boxes(BoxForm),
    /// None of these.
    Unknown,
}

/// An output that holds scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScoreOutput {
    /// Its place among the model's outputs.
    pub(crate) output: usize,
    /// Its name.
    pub(crate) name: String,
    /// Number of classes, where it is known before inference.
    pub(crate) classes: Option<usize>,
    /// What the scores are.
    pub(crate) ending: Ending,
    /// The output that lists the classes of these scores, which are the best of all.
    pub(crate) ranks: Option<usize>,
}

/// What the graph ends in, behind operations that only move scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Not known, as the graph is not.
    Unseen,
    /// No activation.
    Logits,
    /// This one.
    Activated(Activation),
}

/// A model that is asked, and what is known of it already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Its outputs, with the extents that they have when it is run.
    pub(crate) outputs: &'a Outputs,
    /// The model itself, where its graph can be looked into. It may lack the map of a branch, which comes last.
    pub(crate) model: Option<&'a Model>,
    /// Images that it takes at a time.
    pub(crate) batch: usize,
    /// What a branch that was built for it explains.
    pub(crate) explained: Option<&'a Subject>,
    /// Number of classes, where something else says it.
    pub(crate) classes: Option<usize>,
    /// The output that the caller names; what a branch explains goes before it.
    pub(crate) wanted: Option<&'a str>,
}

/// Which output is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Whichever holds the answer.
    Any,
    /// The one at that place.
    Output(usize),
    /// None that there is: a branch explains what is no output, or there is none of that name.
    NoOutput,
}

impl Asked {
    fn allows(self, output: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Output(asked) => asked == output,
            Self::NoOutput => false,
        }
    }
}

impl Answer {
    /// Finds the output that holds the answer; and what is worth knowing about that.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) where there is no output of the name that the caller gives.
    pub(crate) fn find(question: &Question<'_>) -> Result<(Self, Vec<Message>)> {
        let Question { outputs, batch, .. } = *question;
        // The best of all scores and their classes look like boxes with labels where there are five.
        let ranked =
            |form: &BoxForm| form.outputs().into_iter().any(|output| question.ranks(output).is_some());
        let boxes = outputs.boxes().filter(|form| !ranked(form));
        let asked = question.asked(boxes)?;
        // Scores and labels of boxes look like class scores by their shapes, as do scores of boxes of a single class.
        let of_boxes = boxes.map(BoxForm::outputs).unwrap_or_default();
        let mut single = outputs.one_for_each_box(batch);
        let mut fitting = outputs.class_scores(batch);
        fitting.retain(|(output, _)| !of_boxes.contains(output) && !single.contains(output));
        if asked == Asked::Any {
            fitting.retain(|(output, _)| !question.holds_embedding(*output));
        }
        let likeliest = match asked {
            Asked::Any if boxes.is_some() => None,
            Asked::Any => question.likeliest().or_else(|| Some(fitting.first()?.0)),
            Asked::Output(output) => Some(output),
            Asked::NoOutput => None,
        };
        let found = fitting.iter().find(|(output, _)| Some(*output) == likeliest);
        if let Some(&(output, classes)) = found {
            let score = question.scores(output, classes);
            let mut notes = Vec::new();
            if asked == Asked::Any && fitting.len() > 1 {
                let several =
                    format!("several outputs hold scores; '{}' is explained (choose with ", score.name);
                notes.push(message![several, Setting::Output, ")"]);
            }
            return Ok((Self::Scores(score), notes));
        }
        if let Some(boxes) = boxes {
            return Ok((Self::Boxes(boxes), Vec::new()));
        }
        single.retain(|output| asked.allows(*output));
        let one = match single[..] {
            [output] => Some((output, Some(1))),
            _ => None,
        };
        let beside = outputs.scores_beside_boxes(batch, |output| asked.allows(output));
        Ok(match beside.or(one) {
            Some((output, classes)) => {
                let scores = question.scores(output, classes);
                let note =
                    format!("'{}' has scores for each box; a class has the largest of any box", scores.name);
                (Self::BoxScores(scores), vec![note.into()])
            }
            None => match question.listed(asked) {
                Some(form) => (Self::Boxes(form), Vec::new()),
                None => (Self::Unknown, Vec::new()),
            },
        })
    }
}

impl Question<'_> {
    fn asked(&self, boxes: Option<BoxForm>) -> Result<Asked> {
        let of_branch = match (self.explained, self.model) {
            (Some(Subject::Scores(logits)), _) => Some(Some(logits.place)),
            (Some(Subject::Maps(maps)), Some(model)) => {
                Some(model.graph().output(&maps.explains).map(|output| output.place))
            }
            (Some(Subject::Maps(_)), None) => Some(None),
            (None, _) => None,
        };
        let place = match (of_branch, self.wanted) {
            (Some(place), _) => place,
            (None, None) => return Ok(Asked::Any),
            (None, Some(name)) => match self.model.map(|model| (model.graph(), model.graph().output(name))) {
                Some((_, Some(output))) => Some(output.place),
                Some((graph, None)) if boxes.is_none() => return Err(graph.unknown_output(name)),
                _ => self.outputs.place(name),
            },
        };
        Ok(place.map_or(Asked::NoOutput, Asked::Output))
    }

    /// Boxes with scores of each class in one output: as the graph says where its heads are found.
    fn listed(&self, asked: Asked) -> Option<BoxForm> {
        let found = match (self.explained, self.model) {
            (Some(Subject::Maps(maps)), Some(model)) => Some((maps.beside_boxes.clone(), model)),
            (Some(_), _) | (None, None) => None,
            (None, Some(model)) => {
                let maps = ScoreMaps::find(model, &Labels::new(model), self.wanted).ok();
                maps.map(|maps| (maps.beside_boxes, model))
            }
        };
        if let Some((Some(BesideBoxes { output, columns, classes, objectness }), model)) = found {
            let output = model.graph().output(&output)?.place;
            let (first, classes) = (classes.start, classes.len());
            return Some(BoxForm::Candidates { output, columns, first, classes, objectness });
        }
        let form = self.outputs.listed(self.classes)?;
        form.outputs()
            .into_iter()
            .all(|output| asked.allows(output) || asked == Asked::NoOutput)
            .then_some(form)
    }

    fn holds_embedding(&self, output: usize) -> bool {
        let outlet = |model: &Model| model.graph().outputs().nth(output).map(|output| output.outlet);
        self.model.is_some_and(|model| outlet(model).is_some_and(|outlet| is_embedding(model, outlet)))
    }

    /// The output that the graph says are class scores. It knows more than shapes do.
    fn likeliest(&self) -> Option<usize> {
        let model = self.model?;
        // Without a name of an output there is none that could be missing.
        let (found, _) = Logits::find(model, &Labels::new(model), None).ok()?;
        found.first().map(|logits| logits.place)
    }

    fn ranks(&self, output: usize) -> Option<(usize, Option<usize>)> {
        ranks(self.model?, output)
    }

    fn scores(&self, output: usize, classes: Option<usize>) -> ScoreOutput {
        let by_graph = || self.model?.graph().outputs().nth(output).map(|output| output.name());
        // What has no name goes by its layer's.
        let name = Some(self.outputs.name(output)).filter(|name| !name.is_empty()).or_else(by_graph);
        let name = name.unwrap_or_default().to_owned();
        let ending = self.model.map_or(Ending::Unseen, |model| Ending::of(model, output));
        match self.ranks(output) {
            Some((ranks, classes)) => ScoreOutput { output, name, classes, ending, ranks: Some(ranks) },
            None => ScoreOutput { output, name, classes, ending, ranks: None },
        }
    }
}

/// The output that lists the classes of an output's scores, where a TopK chose them; and how many classes there are.
pub(crate) fn ranks(model: &Model, output: usize) -> Option<(usize, Option<usize>)> {
    let best = best_of(model, output).filter(|best| best.slot == 0)?;
    let lists = |place: &usize| best_of(model, *place) == Some(OutletId::new(best.node, 1));
    let place = (0..model.graph().outputs().count()).find(lists)?;
    let scores = source(model.node(best.node))?;
    // Beside the classes, the batch is the only axis of an extent.
    let classes = model.graph().fact(scores).shape.iter().rfind(|dim| !dim.is_one());
    Some((place, classes.and_then(|dim| dim.fixed())))
}

/// The output of a TopK that an output shows, behind what leaves scores at their places.
fn best_of(model: &Model, output: usize) -> Option<OutletId> {
    let chosen = |step: &Step| model.node(step.result.node).op.kind == OpKind::TopK;
    let outlet = model.graph().outputs().nth(output)?.outlet;
    let stays = |step: &Step| step.passage != Passage::Select || chosen(step);
    walk(model, outlet).take_while(stays).find(chosen).map(|step| step.result)
}

impl Ending {
    fn of(model: &Model, output: usize) -> Self {
        let Some(output) = model.graph().outputs().nth(output) else { return Self::Unseen };
        for step in walk(model, output.outlet) {
            match step.passage {
                Passage::Activation(activation) => return Self::Activated(activation),
                Passage::Same | Passage::Reorder => {}
                // The best of all scores are scores as well.
                Passage::Select if model.node(step.result.node).op.kind == OpKind::TopK => {}
                Passage::Select | Passage::Stop => break,
            }
        }
        Self::Logits
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tasks::{Asked, Decision, Looked};

    /// The answer of a fixture, perhaps with a branch for what is likeliest explained, and what there is to note.
    fn ask(name: &str, wanted: Option<&str>, with_branch: bool) -> Result<(Answer, Vec<Message>)> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/small/{name}.xml"));
        let model = Model::read(&path, None).unwrap();
        let labels = Labels::new(&model);
        let looked = Looked { model: &model, labels: &labels, output: None, layers: &[], anchors: None };
        let task = Decision::new(&looked, Asked::default()).unwrap().task;
        let subjects = task.room().find(&looked).unwrap().subjects;
        let explained = with_branch.then(|| subjects.first().unwrap());
        let outputs = Outputs::of(model.graph());
        let classes = None;
        Answer::find(&Question {
            outputs: &outputs,
            model: Some(&model),
            batch: 1,
            explained,
            wanted,
            classes,
        })
    }

    fn answer(name: &str) -> Answer {
        ask(name, None, false).unwrap().0
    }

    fn scores(output: usize, name: &str, classes: usize, ending: Ending) -> ScoreOutput {
        ScoreOutput { output, name: name.to_owned(), classes: Some(classes), ending, ranks: None }
    }

    #[test]
    fn class_scores_are_found_with_what_they_are() {
        for (name, ending) in [
            ("cnn_static", Ending::Logits),
            ("cnn_softmax", Ending::Activated(Activation::Softmax)),
            ("cnn_sigmoid", Ending::Activated(Activation::Sigmoid)),
        ] {
            assert_eq!(answer(name), Answer::Scores(scores(0, "logits", 5, ending)), "{name}");
        }
    }

    #[test]
    fn of_several_outputs_the_graph_says_which_is_the_likeliest() {
        let logits = Answer::Scores(scores(1, "logits", 5, Ending::Logits));
        let (found, notes) = ask("cnn_two_outputs", None, false).unwrap();
        assert_eq!((found, notes.len()), (logits.clone(), 0), "an embedding lists no scores");
        // What a branch explains goes before what the caller names.
        let (found, notes) = ask("cnn_two_outputs", Some("embedding"), true).unwrap();
        assert_eq!((found, notes.len()), (logits, 0));
        let (found, _) = ask("cnn_two_outputs", Some("embedding"), false).unwrap();
        assert_eq!(found, Answer::Scores(scores(0, "embedding", 12, Ending::Logits)));
        ask("cnn_two_outputs", Some("nothing"), false).unwrap_err();
    }

    #[test]
    fn scores_of_boxes_are_told_from_class_scores() {
        let softmax = Ending::Activated(Activation::Softmax);
        let ssd = Answer::BoxScores(scores(1, "scores", 5, softmax));
        // By the tensor, and by the layer that makes it.
        for wanted in [None, Some("scores"), Some("__module.activation/aten::softmax/Softmax")] {
            assert_eq!(ask("det_ssd", wanted, false).unwrap().0, ssd, "{wanted:?}");
        }
        assert_eq!(ask("det_ssd", None, true).unwrap().0, ssd);
        assert_eq!(ask("det_ssd", Some("boxes"), false).unwrap().0, Answer::Unknown);
        let faces = Answer::BoxScores(scores(1, "scores", 1, Ending::Logits));
        assert_eq!(answer("det_blazeface"), faces, "of a single class");
    }

    #[test]
    fn boxes_are_found_in_their_forms() {
        let labelled = Answer::Boxes(BoxForm::Scored { boxes: 0, labels: 1 });
        assert_eq!(answer("det_ssd_labels"), labelled);
        assert_eq!(ask("det_ssd_labels", Some("nothing"), false).unwrap().0, labelled);
        assert_eq!(answer("det_ssd_output"), Answer::Boxes(BoxForm::DetectionOutput { output: 0 }));
        // Boxes and scores in one output, where the heads say which of its columns are what.
        let beside = |classes: usize, objectness: Option<usize>| {
            let first = if objectness.is_some() { 5 } else { 4 };
            let columns = first + classes;
            Answer::Boxes(BoxForm::Candidates { output: 0, columns, first, classes, objectness })
        };
        assert_eq!(answer("det_yolov8"), beside(5, None));
        assert_eq!(answer("det_yolox_decoded"), beside(5, Some(4)));
        assert_eq!(answer("segmentation"), Answer::Unknown);
    }

    #[test]
    fn a_branch_on_what_is_no_output_leaves_none_to_explain() {
        assert!(matches!(ask("det_atss_nms", None, false).unwrap().0, Answer::Scores(_)));
        assert_eq!(ask("det_atss_nms", None, true).unwrap().0, Answer::Unknown);
    }
}
