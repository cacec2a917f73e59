//! Opening a model: what it says of a photo and where, how maps are made, and what it is fed.

use std::path::Path;

use super::black_box::{Aim, RiseMasks};
use super::engine::Engine;
use super::file::ModelFile;
use super::idle::{Built, without_effect};
use super::names::ClassNames;
use super::procedure::Procedure;
use super::reader::Reader;
use super::scores::ClassScores;
use super::{BlackBox, ExplainOptions, Explainer, Mode, Settings, Threshold};
use crate::analysis::{InputFacts, Labels};
use crate::build::{Beside, CLASS_SCORES};
use crate::error::{Error, Result};
use crate::given::Given;
use crate::insert::{answers, insert_with};
use crate::insertion::{Insertion, Outcome};
use crate::ir::{Classes, InputShape, ModelInfo, key, section};
use crate::message::{Message, Setting, message};
use crate::methods::Method;
use crate::model::Model;
use crate::options::Choice;
use crate::preprocess::{Declared, ImageInput, Placed, PreprocessOptions, Preprocessing};
use crate::refusal::Refusal;
use crate::runtime::{Hint, Network, Pool, Port, Runtime, Serving, Source};
use crate::tasks::{Answer, BoxForm, Logits, Outputs, Question, Signature, Subject, ranks};

/// A model that was read.
struct Opened {
    network: Network,
    /// Where its maps are; `None` in black-box mode.
    map: Option<MapOutput>,
    /// What a branch explains that was built for it just now.
    explained: Option<Subject>,
    /// Why there is no branch, where one was looked for.
    refused: Option<Box<Refusal>>,
    notes: Vec<Message>,
}

/// An output that holds maps.
struct MapOutput {
    name: String,
    /// What made them, for people.
    method: String,
    classes: Classes,
    /// Where they lie in the input, where that is recorded.
    placed: Option<Placed>,
}

impl Opened {
    /// Its outputs only are looked at.
    fn closed(network: Network, notes: Vec<Message>) -> Self {
        Self { network, map: None, explained: None, refused: None, notes }
    }
}

impl Explainer {
    /// Reads a model, finds a method and compiles it.
    ///
    /// # Errors
    /// [`Error::Runtime`] where there is no OpenVINO or it refuses the model or the device;
    /// [`Error::Refused`] where white-box mode was asked for and nothing fits; [`Error::Usage`] where the
    /// model takes no image or options name what is not there.
    pub fn open(model: &Path, options: &ExplainOptions) -> Result<Self> {
        let (mut explainer, own) = open(model, options)?;
        let Some(own) = own else { return Ok(explainer) };
        if explainer.function_follows(&own)? {
            return Ok(explainer);
        }
        let method = &explainer.settings.method;
        let why = message![format!(
            "the function that makes scores orders classes otherwise than '{}', which {method} explains",
            own.name
        )];
        if options.mode == Mode::WhiteBox {
            let remedy = message!["; leave it out, or give ", Setting::Mode.to(Choice::name(Mode::BlackBox))];
            return Err(Error::usage(why.with(remedy)));
        }
        drop(explainer);
        let (mut explainer, _) = open(model, &ExplainOptions { mode: Mode::BlackBox, ..options.clone() })?;
        explainer.settings.notes.push(message!["black-box mode: "].with(why));
        Ok(explainer)
    }
}

/// The phases: which file it is and whether a branch fits, the image input, where the answer is, how maps are made,
/// which classes are meant, and the compiled model.
///
/// Beside it come the scores that its maps explain, where a function of the caller's makes those that are read.
fn open(path: &Path, options: &ExplainOptions) -> Result<(Explainer, Option<ClassScores>)> {
    options.check()?;
    let mut runtime = Runtime::load(&options.runtime)?;
    let mut file = ModelFile::new(path, runtime.library(), options)?;
    file.ir = file.ir.map(|model| of_its_size(model, options));
    let mut opened = match &file.ir {
        Ok(model) => open_ir(&mut runtime, &file.ir_path(), model, options)?,
        Err(why) => open_other(&mut runtime, path, why, options)?,
    };
    opened.notes.splice(..0, file.note());
    let model = file.ir.as_ref().ok();
    let info = model.map(|model| ModelInfo::read(model.document().rt_info())).unwrap_or_default();
    let facts = model.map(facts).unwrap_or_default();
    let input = image_input(&mut opened.network, &options.preprocess, &facts, &info)?;
    let preprocessing = Preprocessing::settle(&options.preprocess, &facts, &info, &input)?;
    let (reader, boxes) = reader(&mut opened, (model, &info), input.batch, options)?;
    let procedure = procedure(&opened, &reader, model, options)?;
    let own = explained(&mut opened, (model, &info), input.batch, options)?;
    let built = match (&opened.explained, &opened.refused) {
        (Some(_), _) => Built::Yes,
        (None, Some(_)) => Built::Refused,
        (None, None) => Built::No,
    };
    opened.notes.extend(without_effect(options, &procedure, &reader, built));
    let threshold = Threshold::settle(options.threshold, &info);
    let names = names(&reader, info, options)?;
    if let Some(classes) = reader.classes() {
        reader.check_names(&names, classes)?;
    }
    let listed = options.targets.resolve(&names, reader.classes())?;
    let forgets = model.is_some_and(|model| model.graph().has_state());
    let pool = pool(&mut runtime, &opened.network, &input, (&procedure, forgets), options)?;
    let running = (pool.requests(), format!("OpenVINO {}, {}", runtime.version(), runtime.device()));
    let placed = opened.map.as_ref().and_then(|map| map.placed);
    let settings =
        settings(path, opened, &reader, &procedure, (&input, &preprocessing), (threshold, running), options);
    let explainer = Explainer {
        engine: Engine::new(pool, input),
        reader,
        procedure,
        preprocessing,
        placed,
        boxes,
        names,
        listed,
        threshold,
        options: options.clone(),
        settings,
        _runtime: runtime,
    };
    Ok((explainer, own))
}

fn open_ir(runtime: &mut Runtime, path: &Path, model: &Model, options: &ExplainOptions) -> Result<Opened> {
    let mut whole = || runtime.read(Source::File { path, weights: Some(model.weights().path()) });
    if options.mode == Mode::BlackBox || options.black_box.is_some() {
        return Ok(Opened::closed(whole()?, Vec::new()));
    }
    match insert_with(model, &options.branch, Beside::ClassScores) {
        Ok(Outcome::Inserted(insertion)) => match of_boxes(model, &insertion) {
            None => with_branch(runtime, path, model, &insertion, options),
            Some(why) if options.mode == Mode::WhiteBox => Err(no_white_box(why.into())),
            Some(why) => Ok(Opened::closed(whole()?, vec![format!("black-box mode: {why}").into()])),
        },
        Ok(Outcome::AlreadyThere { output }) => Ok(with_own_map(whole()?, model, output)),
        Err(Error::Refused(refusal)) if options.mode == Mode::Auto => {
            let note = message!["black-box mode, because there is "].with(refusal.brief());
            Ok(Opened { refused: Some(refusal), ..Opened::closed(whole()?, vec![note]) })
        }
        Err(Error::Refused(refusal)) if options.score_function.is_some() || answers(model) => {
            Err(Error::Refused(Box::new(refusal.advise(otherwise(options)))))
        }
        Err(error) => Err(error),
    }
}

/// The model under the shape that its only input gets here, where the file leaves that open; as it is where that says
/// nothing of its use.
fn of_its_size(model: Model, options: &ExplainOptions) -> Model {
    let given = || -> Option<Given> {
        let mut inputs = model.graph().parameters();
        let ((_, node), None) = (inputs.next()?, inputs.next()) else { return None };
        let fact = &node.outputs.first()?.fact;
        let dims: Vec<Option<usize>> = fact.shape.iter().map(|dim| dim.fixed()).collect();
        if !dims.contains(&None) {
            return None;
        }
        let (facts, info) = (facts(&model), ModelInfo::read(model.document().rt_info()));
        let declared = Declared { element: Some(fact.element), dims: Some(&dims), shown: "" };
        let asked = (options.preprocess.layout, options.preprocess.size);
        let input = ImageInput::settle(declared, asked, &facts, &info).ok()?;
        let shape = InputShape { name: Some(node.name.clone()), dims: input.shape().map(Some).to_vec() };
        Some(Given { shapes: vec![shape], ..Given::default() })
    };
    let given = given();
    let under = given.and_then(|given| model.clone().given(&given).ok());
    under.unwrap_or(model)
}

/// The refusal where only a branch would do, and the graph is not there or is not asked.
fn no_white_box(why: Message) -> Error {
    let refusal = Refusal::new("white-box method".to_owned(), Vec::new());
    let instead = message!["as a black box it is explained with ", Setting::Mode.to("black-box")];
    Error::Refused(Box::new(refusal.advise(why).advise(instead)))
}

/// What to do where nothing but a branch was to do, and none fits.
fn otherwise(options: &ExplainOptions) -> Message {
    match options.branch.method {
        Some(_) => message!["leave ", Setting::Method, " out to have what fits, if need be as a black box"],
        None => message!["leave ", Setting::Mode, " out to have it explained as a black box"],
    }
}

/// Why a branch is not used that was made for class scores, where it was built on a detector's boxes.
fn of_boxes(model: &Model, insertion: &Insertion<'_>) -> Option<String> {
    let method = insertion.report().method;
    match insertion.subject() {
        Subject::Scores(logits)
            if matches!(method, Method::ReciproCam | Method::VitReciproCam)
                && Outputs::of(model.graph()).belongs_to_boxes(logits.place)
                && ranks(model, logits.place).is_none() =>
        {
            Some(format!("the outputs are boxes, and {} explains class scores", method.title()))
        }
        _ => None,
    }
}

/// The model with a branch, in memory.
fn with_branch(
    runtime: &mut Runtime,
    path: &Path,
    model: &Model,
    insertion: &Insertion<'_>,
    options: &ExplainOptions,
) -> Result<Opened> {
    let whole = model.weights().bytes(0, model.weights().len()).unwrap_or(&[]);
    let weights = [whole, insertion.bin_tail()];
    let name = path.display().to_string();
    let network = runtime.read(Source::Memory { name: &name, xml: insertion.xml(), weights: &weights })?;
    let report = insertion.report();
    let map = MapOutput {
        name: options.branch.output_name.clone(),
        method: report.method.title().to_owned(),
        classes: recorded_classes(Some(&report.targets)),
        placed: Placed::read(|key| insertion.recorded(key)),
    };
    let (explained, notes) = (insertion.subject().clone(), report.notes.clone());
    Ok(Opened { network, map: Some(map), explained: Some(explained), refused: None, notes })
}

/// A model with a map of its own, perhaps of a branch that was added earlier.
fn with_own_map(network: Network, model: &Model, output: String) -> Opened {
    let found = section(model.document().rt_info());
    let record = |name: &str| found.and_then(|record| record.get(&[name]));
    let method = match record(key::METHOD) {
        Some(name) => {
            name.parse::<Method>().map_or_else(|_| name.to_owned(), |method| method.title().to_owned())
        }
        None => OWN_MAP.to_owned(),
    };
    let classes = recorded_classes(record(key::TARGETS));
    let placed = Placed::read(record);
    let notes = vec![already_there(&output)];
    let map = MapOutput { name: output, method, classes, placed };
    Opened { map: Some(map), ..Opened::closed(network, notes) }
}

/// What is called the method where nothing says what made a map.
const OWN_MAP: &str = "the model's own map";

fn already_there(output: &str) -> Message {
    format!("the model has the output '{output}' already, which is used as it is").into()
}

/// The classes that have a map, as it is recorded; all where nothing is, or nothing that can be read.
fn recorded_classes(text: Option<&str>) -> Classes {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A file that only the runtime can read.
fn open_other(runtime: &mut Runtime, path: &Path, why: &Error, options: &ExplainOptions) -> Result<Opened> {
    let network = runtime.read(Source::File { path, weights: options.weights.as_deref() })?;
    let output = &options.branch.output_name;
    let there = network.outputs().iter().any(|port| port.name == *output);
    match options.mode {
        _ if options.black_box.is_some() => Ok(Opened::closed(network, Vec::new())),
        Mode::BlackBox => Ok(Opened::closed(network, Vec::new())),
        _ if there => {
            let (method, classes) = (OWN_MAP.to_owned(), Classes::All);
            let map = MapOutput { name: output.clone(), method, classes, placed: None };
            let notes = vec![already_there(output)];
            Ok(Opened { map: Some(map), ..Opened::closed(network, notes) })
        }
        Mode::WhiteBox => Err(no_white_box(why.message())),
        Mode::Auto => Ok(Opened::closed(network, vec![message!["black-box mode: "].with(why.message())])),
    }
}

/// What the graph says of its only input.
fn facts(model: &Model) -> InputFacts {
    let mut inputs = model.graph().parameters();
    match (inputs.next(), inputs.next()) {
        (Some((id, _)), None) => InputFacts::of(model, id),
        _ => InputFacts::default(),
    }
}

/// The model's image input, with the extents fixed that the model leaves open.
fn image_input(
    network: &mut Network,
    options: &PreprocessOptions,
    facts: &InputFacts,
    info: &ModelInfo,
) -> Result<ImageInput> {
    let shown = list(network.inputs());
    let nothing = Declared { element: None, dims: None, shown: &shown };
    let port = match network.inputs() {
        [port] => port,
        [] => return Err(nothing.no_image("it has no inputs")),
        _ => {
            return Err(nothing.no_image(
                "it has several inputs, and a photo is all that is fed here; inserted into the model, maps come with its \
                 answers wherever it is run",
            ));
        }
    };
    let declared = Declared { element: port.element, dims: port.shape.as_deref(), shown: &shown };
    let input = ImageInput::settle(declared, (options.layout, options.size), facts, info)?;
    if port.shape.as_ref().is_none_or(|dims| dims.contains(&None)) {
        network.reshape(0, &input.shape())?;
    }
    Ok(input)
}

fn list(ports: &[Port]) -> String {
    ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ")
}

/// How the answer is read: by the caller's function, or from where `tasks` finds it.
fn reader(
    opened: &mut Opened,
    (model, info): (Option<&Model>, &ModelInfo),
    batch: usize,
    options: &ExplainOptions,
) -> Result<(Reader, Option<BoxForm>)> {
    let (mut reader, boxes) = match &options.score_function {
        Some(function) => {
            let names = opened.network.outputs().iter().map(|port| port.name.clone()).collect();
            (Reader::Classes(ClassScores::of_function(function.clone(), names)), None)
        }
        None => found(opened, (model, info), batch, options)?,
    };
    if let (Reader::Classes(scores), Some(activation)) = (&mut reader, options.activation) {
        scores.choose(activation)?;
    }
    if options.score_function.is_some() && batch != 1 {
        return Err(Error::usage(format!(
            "a function that makes scores sees one image at a time; the model's batch is {batch}"
        )));
    }
    if matches!(reader, Reader::Boxes(_)) && batch != 1 {
        return Err(Error::usage(format!(
            "boxes of a batch of {batch} images cannot be told apart; export the model with a batch of 1"
        )));
    }
    Ok((reader, boxes))
}

/// The scores that maps of the model explain, where a function of the caller's makes those that are read. A map for no
/// class goes with any.
fn explained(
    opened: &mut Opened,
    (model, info): (Option<&Model>, &ModelInfo),
    batch: usize,
    options: &ExplainOptions,
) -> Result<Option<ClassScores>> {
    let of_classes = opened.map.as_ref().is_some_and(|map| map.method != Method::ActivationMap.title());
    if options.score_function.is_none() || !of_classes {
        return Ok(None);
    }
    let notes = opened.notes.len();
    let found = found(opened, (model, info), batch, options)?;
    opened.notes.truncate(notes);
    Ok(match found {
        (Reader::Classes(scores), _) => Some(scores),
        (Reader::Boxes(_) | Reader::Nothing, _) => None,
    })
}

/// Asks what the model says, and where. Of a detector with a branch these are scores of its maps, and its boxes where it
/// has any.
fn found(
    opened: &mut Opened,
    (model, info): (Option<&Model>, &ModelInfo),
    batch: usize,
    options: &ExplainOptions,
) -> Result<(Reader, Option<BoxForm>)> {
    let ports = opened.network.outputs();
    let signature = |port: &Port| Signature {
        name: port.name.clone(),
        element: port.element,
        shape: port.shape.clone().unwrap_or_default(),
    };
    let outputs =
        Outputs::new(ports.iter().map(signature).collect(), &[&options.branch.output_name, CLASS_SCORES]);
    let (explained, wanted) = (opened.explained.as_ref(), options.branch.output.as_deref());
    let classes = Some(info.labels.len()).filter(|count| *count > 0);
    let question = Question { outputs: &outputs, model, batch, explained, wanted, classes };
    let (answer, notes) = Answer::find(&question)?;
    let of_maps = ports.iter().position(|port| port.name == CLASS_SCORES);
    if let (Some(Subject::Maps(maps)), Some(output)) = (explained, of_maps) {
        let boxes = match answer {
            Answer::Boxes(form) if batch == 1 => Some(form),
            _ => None,
        };
        return Ok((Reader::Classes(ClassScores::of_maps(output, maps)), boxes));
    }
    let reader = match (answer, wanted.filter(|_| explained.is_none())) {
        (Answer::Scores(found), _) => Reader::Classes(ClassScores::of_images(found, info)?),
        (Answer::BoxScores(found), _) => Reader::Classes(ClassScores::of_boxes(found)),
        (_, Some(wanted)) => {
            return Err(Error::usage(format!(
                "no output '{wanted}' with scores [N, classes]; the model has {}",
                list(ports)
            )));
        }
        (Answer::Boxes(form), None) => Reader::Boxes(form),
        (Answer::Unknown, None) => Reader::Nothing,
    };
    opened.notes.extend(notes);
    Ok((reader, None))
}

/// Names of the classes: of a file, or as `info` has them for the scores that are read.
fn names(reader: &Reader, info: ModelInfo, options: &ExplainOptions) -> Result<ClassNames> {
    if let Some(path) = &options.labels {
        return ClassNames::read(path);
    }
    let mut labels = info.labels;
    if let Reader::Classes(scores @ ClassScores { hierarchy, classes, .. }) = reader
        && !scores.per_box()
    {
        match (hierarchy, classes) {
            // They have an order of their own.
            (Some(hierarchy), _) => labels.clone_from(&hierarchy.names),
            // Of no and yes, the number is for yes.
            (None, Some(1)) if labels.len() == 2 => {
                let no = labels.remove(0);
                return Ok(ClassNames::of_one(labels, no));
            }
            // As Model API reads them: the first class is none of those that have a name.
            (None, Some(classes)) if !labels.is_empty() && labels.len() + 1 == *classes => {
                labels.insert(0, "other".to_owned());
            }
            _ => {}
        }
    }
    Ok(ClassNames::new(labels))
}

fn procedure(
    opened: &Opened,
    reader: &Reader,
    model: Option<&Model>,
    options: &ExplainOptions,
) -> Result<Procedure> {
    let ports = opened.network.outputs();
    match (&opened.map, reader) {
        (Some(MapOutput { name, classes, .. }), _) => {
            let map = ports.iter().position(|port| port.name == *name);
            let missing = || Error::runtime(format!("the runtime shows no output '{name}'"));
            Ok(Procedure::WhiteBox { map: map.ok_or_else(missing)?, classes: classes.clone() })
        }
        (None, Reader::Nothing) => Err(nothing_to_explain(opened, model)),
        (None, Reader::Boxes(_)) if options.black_box == Some(BlackBox::Rise) => {
            Err(Error::usage("RISE explains class scores; use aise for detectors".to_owned()))
        }
        (None, _) => Ok(Procedure::BlackBox(options.black_box.unwrap_or(BlackBox::Aise))),
    }
}

/// The refusal of a model whose graph takes no branch, and whose outputs say nothing that could be watched.
fn nothing_to_explain(opened: &Opened, model: Option<&Model>) -> Error {
    let outputs = list(opened.network.outputs());
    let none = format!("no output holds class scores [N, classes] or boxes, as a black box needs: {outputs}");
    let refusal = opened.refused.as_deref().cloned();
    let refusal = refusal.unwrap_or_else(|| {
        let found = model.and_then(|model| Logits::find(model, &Labels::new(model), None).ok());
        Refusal::new("method".to_owned(), found.map(|(_, dismissed)| dismissed).unwrap_or_default())
    });
    Error::Refused(Box::new(refusal.advise(none.into())))
}

/// Compiles the model for as many inferences as are to come.
fn pool(
    runtime: &mut Runtime,
    network: &Network,
    input: &ImageInput,
    (procedure, forgets): (&Procedure, bool),
    options: &ExplainOptions,
) -> Result<Pool> {
    let many = options.many || matches!(procedure, Procedure::BlackBox(_));
    let (hint, requests) = if many {
        (Hint::Throughput, options.requests)
    } else {
        (Hint::Latency, options.requests.or(Some(1)))
    };
    let serving = Serving { hint, requests, forgets };
    Ok(runtime.pool(network, (input.element, &input.shape()), serving)?)
}

/// What is applied, for people and programs; `running` are the requests and the runtime.
fn settings(
    path: &Path,
    opened: Opened,
    reader: &Reader,
    procedure: &Procedure,
    (input, preprocessing): (&ImageInput, &Preprocessing),
    (threshold, (requests, runtime)): (Threshold, (usize, String)),
    options: &ExplainOptions,
) -> Settings {
    let black_box = match procedure {
        Procedure::BlackBox(method) => Some(*method),
        Procedure::WhiteBox { .. } => None,
    };
    let method = match black_box {
        Some(method) => method.title().to_owned(),
        None => opened.map.map(|map| map.method).unwrap_or_default(),
    };
    Settings {
        model: path.to_path_buf(),
        mode: if black_box.is_some() { "black-box" } else { "white-box" },
        method,
        explains: reader.name().to_owned(),
        activation: reader.activation(),
        threshold: reader.uses_threshold().then_some(threshold),
        input: input.clone(),
        preprocessing: preprocessing.clone(),
        effort: black_box.map(|_| options.effort),
        masks: (black_box == Some(BlackBox::Rise)).then(|| RiseMasks::new(options.effort, &options.rise)),
        iterations: (black_box == Some(BlackBox::Aise))
            .then(|| Aim::class(options.effort, &options.aise).iterations),
        requests,
        runtime,
        notes: opened.notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_classes_are_read() {
        assert_eq!(recorded_classes(None), Classes::All);
        assert_eq!(recorded_classes(Some("all")), Classes::All);
        assert_eq!(recorded_classes(Some("top5")), Classes::Top(5));
        assert_eq!(recorded_classes(Some("281,3")), Classes::Listed(vec![281, 3]));
        assert_eq!(recorded_classes(Some("the best")), Classes::All);
    }
}
