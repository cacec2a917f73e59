//! Settings that change nothing for the way in which maps are made.

use super::black_box::Effort;
use super::procedure::Procedure;
use super::reader::Reader;
use super::{AiseOptions, BlackBox, ExplainOptions, RiseOptions};
use crate::message::{Message, Setting};
use crate::options::no_effect;

/// A setting, whether it was changed, whom it is for, and whether that is what is done.
type Use = (Setting, bool, &'static str, bool);

/// Whether a branch was to be made just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Built {
    /// It was.
    Yes,
    /// None fits.
    Refused,
    /// None was wanted.
    No,
}

/// A note for each setting that was changed and has no effect. Of branches themselves, notes come with them.
pub(super) fn without_effect(
    options: &ExplainOptions,
    procedure: &Procedure,
    reader: &Reader,
    built: Built,
) -> Vec<Message> {
    let black_box = match procedure {
        Procedure::BlackBox(method) => Some(*method),
        Procedure::WhiteBox { .. } => None,
    };
    let all = [of_answers(options, reader), of_black_boxes(options, black_box), of_branches(options, built)];
    let idle = all.into_iter().flatten().filter(|(_, given, _, used)| *given && !used);
    idle.map(|(setting, _, whose, _)| no_effect(setting, whose)).collect()
}

fn of_answers(options: &ExplainOptions, reader: &Reader) -> Vec<Use> {
    let separate = "of detectors, and of classes that stand for themselves";
    let scores = matches!(reader, Reader::Classes(_));
    vec![
        (Setting::Threshold, options.threshold.is_some(), separate, reader.uses_threshold()),
        (Setting::Activation, options.activation.is_some(), "of class scores", scores),
    ]
}

fn of_black_boxes(options: &ExplainOptions, method: Option<BlackBox>) -> Vec<Use> {
    let (rise, usual) = (&options.rise, RiseOptions::default());
    let (whose, used) = ("of RISE", method == Some(BlackBox::Rise));
    let of_rise = [
        (Setting::Masks, rise.masks != usual.masks),
        (Setting::Cells, rise.cells != usual.cells),
        (Setting::Probability, (rise.probability - usual.probability).abs() > 0.0),
        (Setting::Seed, rise.seed != usual.seed),
        (Setting::Divisor, rise.divisor != usual.divisor),
    ];
    let mut all: Vec<Use> =
        of_rise.into_iter().map(|(setting, given)| (setting, given, whose, used)).collect();
    let iterations = options.aise != AiseOptions::default();
    all.push((Setting::Iterations, iterations, "of AISE", method == Some(BlackBox::Aise)));
    all.push((Setting::Effort, options.effort != Effort::default(), "of black boxes", method.is_some()));
    all
}

fn of_branches(options: &ExplainOptions, built: Built) -> Vec<Use> {
    let (given, usual) = (&options.branch, ExplainOptions::default().branch);
    // What may be why no branch fits has that effect.
    let deciding = [
        (Setting::Method, given.method.is_some()),
        (Setting::Task, given.task.is_some()),
        (Setting::Anchors, given.anchors.is_some()),
        (Setting::TargetLayers, given.target_layers != usual.target_layers),
        (Setting::Block, given.block != usual.block),
        (Setting::ClassToken, given.class_token != usual.class_token),
        (Setting::Strategy, given.strategy != usual.strategy),
        (Setting::MemoryBudget, given.memory_budget != usual.memory_budget),
    ];
    let others = [
        (Setting::SaliencySize, given.saliency_size != usual.saliency_size),
        (Setting::Kernel, given.kernel != usual.kernel),
        (Setting::Scaling, given.scaling != usual.scaling),
        (Setting::SaliencyType, given.saliency_type != usual.saliency_type),
        (Setting::Quantized, given.quantized != usual.quantized),
    ];
    let whose = "of branches, and none is built";
    let deciding = deciding.map(|(setting, given)| (setting, given, whose, built != Built::No));
    let others = others.map(|(setting, given)| (setting, given, whose, built == Built::Yes));
    deciding.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Classes;

    #[test]
    fn what_is_not_used_is_said() {
        let mut options =
            ExplainOptions { effort: Effort::Speed, threshold: Some(0.3), ..Default::default() };
        options.rise.masks = Some(5);
        options.aise.iterations = Some(5);
        options.branch.block = 2;
        options.branch.saliency_size = (7, 7);
        let said = |procedure: &Procedure, built| -> Vec<String> {
            let notes = without_effect(&options, procedure, &Reader::Nothing, built);
            notes.iter().map(|note| note.to_string().split(' ').next().unwrap().to_owned()).collect()
        };
        let white = Procedure::WhiteBox { map: 0, classes: Classes::All };
        assert_eq!(said(&white, Built::Yes), ["`threshold`", "`masks`", "`iterations`", "`effort`"]);
        assert_eq!(said(&white, Built::No)[4..], ["`block`", "`saliency_size`"]);
        let rise = Procedure::BlackBox(BlackBox::Rise);
        assert_eq!(said(&rise, Built::No), ["`threshold`", "`iterations`", "`block`", "`saliency_size`"]);
        let aise = Procedure::BlackBox(BlackBox::Aise);
        assert_eq!(said(&aise, Built::Refused), ["`threshold`", "`masks`", "`saliency_size`"]);
        assert!(without_effect(&ExplainOptions::default(), &aise, &Reader::Nothing, Built::No).is_empty());
    }
}
