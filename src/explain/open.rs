//! Opening a model: which method, on which outputs, fed how.

use std::path::Path;

use super::black_box::{Aim, BoxHead, RiseMasks};
use super::engine::Engine;
use super::names::ClassNames;
use super::scores::{Activation, ClassHead, ScoreSource, beside_boxes, candidates, in_graph, one_per_box};
use super::way::{Head, Shown, Way};
use super::{BlackBox, ExplainOptions, Explainer, Mode, Settings};
use crate::analysis::{InputFacts, Labels};
use crate::error::{Error, Result};
use crate::insert::insert;
use crate::insertion::Outcome;
use crate::ir::{ModelInfo, section};
use crate::message::{Message, Setting, message};
use crate::methods::Method;
use crate::model::Model;
use crate::preprocess::{Declared, ImageInput, PreprocessOptions, Preprocessing};
use crate::report::Report;
use crate::runtime::{Hint, Network, Port, Runtime, Source};
use crate::tasks::Logits;

/// A model that was read, with the way that was found.
struct Opened {
    network: Network,
    /// The name of the map's output and of the method; `None` in black-box mode.
    white: Option<(String, String, Shown)>,
    /// The output that the branch explains.
    explains: Option<String>,
    notes: Vec<Message>,
}

impl Explainer {
    /// Reads a model, finds a method and compiles it.
    ///
    /// # Errors
    /// [`Error::Runtime`] where there is no OpenVINO or it refuses the model or the device;
    /// [`Error::Refused`] where white-box mode was asked for and nothing fits; [`Error::Usage`] where the
    /// model takes no image or options name what is not there.
    pub fn open(model: &Path, options: &ExplainOptions) -> Result<Self> {
        open(model, options)
    }
}

fn open(path: &Path, options: &ExplainOptions) -> Result<Explainer> {
    options.check()?;
    let mut runtime = Runtime::load(&options.runtime)?;
    let ir = match read_ir(path, options) {
        // Files that are not there are no reason to try anything else.
        Err(error @ (Error::Io { .. } | Error::Weights { .. })) => return Err(error),
        ir => ir,
    };
    let opened = match &ir {
        Ok(model) => open_ir(&mut runtime, path, model, options)?,
        Err(why) => open_other(&mut runtime, path, why, options)?,
    };
    let model = ir.as_ref().ok();
    let Opened { mut network, white, explains, mut notes } = opened;
    let info = model.map(|model| ModelInfo::read(model.document().rt_info())).unwrap_or_default();
    let facts = model.map(facts).unwrap_or_default();
    let input = image_input(&mut network, &options.preprocess, &facts, &info)?;
    let preprocessing = Preprocessing::settle(&options.preprocess, &facts, &info, &input)?;
    let mut head = match &options.score_function {
        Some(function) => {
            let names = network.outputs().iter().map(|port| port.name.clone()).collect();
            Head::Classes(ClassHead {
                source: ScoreSource::Function(function.clone(), names),
                name: "scores of a function of the caller's own".to_owned(),
                classes: None,
                activation: Some(Activation::None),
                separate: false,
            })
        }
        None => head(&network, model, &input, explains.as_deref(), options, &mut notes)?,
    };
    if let (Head::Classes(head), Some(activation)) = (&mut head, options.activation) {
        head.activation = Some(activation);
        head.separate = activation == Activation::Sigmoid;
    }
    if options.score_function.is_some() && input.batch != 1 {
        return Err(Error::usage(format!(
            "a function that makes scores sees one image at a time; the model's batch is {}",
            input.batch
        )));
    }
    if matches!(head, Head::Boxes(_)) && input.batch != 1 {
        return Err(Error::usage(format!(
            "boxes of a batch of {} images cannot be told apart; export the model with a batch of 1",
            input.batch
        )));
    }
    let way = match (&white, &head) {
        (Some((output, _, shown)), _) => {
            let map = network.outputs().iter().position(|port| port.name == *output);
            let missing = || Error::runtime(format!("the runtime shows no output '{output}'"));
            Way::WhiteBox { map: map.ok_or_else(missing)?, shown: shown.clone() }
        }
        (None, Head::Unknown) => {
            return Err(Error::usage(format!(
                "{}: no output holds class scores [N, classes] or boxes: {}",
                path.display(),
                outputs(&network)
            )));
        }
        (None, Head::Boxes(_)) if options.black_box == Some(BlackBox::Rise) => {
            return Err(Error::usage("RISE explains class scores; use aise for detectors".to_owned()));
        }
        (None, _) => Way::BlackBox(options.black_box.unwrap_or(BlackBox::Aise)),
    };
    let names = match &options.labels {
        Some(path) => ClassNames::read(path)?,
        None => ClassNames::new(info.labels),
    };
    let classes = match &head {
        Head::Classes(head) => head.classes,
        _ => None,
    };
    if let Some(classes) = classes {
        names.check(classes)?;
    }
    let listed = options.targets.resolve(&names, classes)?;
    let many = options.many || matches!(way, Way::BlackBox(_));
    let (hint, requests) = if many {
        (Hint::Throughput, options.requests)
    } else {
        (Hint::Latency, options.requests.or(Some(1)))
    };
    let pool = runtime.pool(&network, (input.element, &input.shape()), hint, requests)?;
    let method = match (&way, white) {
        (Way::BlackBox(method), _) => method.title().to_owned(),
        (_, white) => white.map(|(_, title, _)| title).unwrap_or_default(),
    };
    let settings = Settings {
        model: path.to_path_buf(),
        mode: if matches!(way, Way::BlackBox(_)) { "black-box" } else { "white-box" },
        method,
        explains: match &head {
            Head::Classes(head) => head.name.clone(),
            Head::Boxes(_) => "boxes".to_owned(),
            Head::Unknown => String::new(),
        },
        activation: match &head {
            Head::Classes(head) => head.activation,
            _ => None,
        },
        input: input.clone(),
        preprocessing: preprocessing.clone(),
        effort: matches!(way, Way::BlackBox(_)).then_some(options.effort),
        masks: (way == Way::BlackBox(BlackBox::Rise)).then(|| RiseMasks::new(options.effort, &options.rise)),
        iterations: (way == Way::BlackBox(BlackBox::Aise))
            .then(|| Aim::class(options.effort, &options.aise).iterations),
        requests: pool.requests(),
        runtime: format!("OpenVINO {}, {}", runtime.version(), runtime.device()),
        notes,
    };
    let engine = Engine::new(pool, input);
    Ok(Explainer {
        engine,
        head,
        way,
        preprocessing,
        names,
        listed,
        options: options.clone(),
        settings,
        _runtime: runtime,
    })
}

/// The IR at `path`, or why the file is none that can be looked into.
fn read_ir(path: &Path, options: &ExplainOptions) -> std::result::Result<Model, Error> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xml")) {
        return Model::read(path, options.weights.as_deref());
    }
    std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    Err(Error::usage(format!("{} is no OpenVINO IR, so its graph is not looked into", path.display())))
}

fn open_ir(runtime: &mut Runtime, path: &Path, model: &Model, options: &ExplainOptions) -> Result<Opened> {
    let mut notes = Vec::new();
    let from_file = || Source::File { path, weights: Some(model.weights().path()) };
    if options.mode != Mode::BlackBox && options.black_box.is_none() {
        match insert(model, &options.branch) {
            Ok(Outcome::Inserted(insertion)) => {
                let report = insertion.report();
                let whole = model.weights().bytes(0, model.weights().len()).unwrap_or(&[]);
                let weights = [whole, insertion.bin_tail()];
                let name = path.display().to_string();
                let source = Source::Memory { name: &name, xml: insertion.xml(), weights: &weights };
                let network = runtime.read(source)?;
                if explains_boxes(&network, report, &options.branch.output_name) {
                    let why =
                        format!("the outputs are boxes, and {} explains class scores", report.method.title());
                    if options.mode == Mode::WhiteBox {
                        return Err(Error::usage(format!("no white-box method: {why}")));
                    }
                    notes.push(format!("black-box mode: {why}").into());
                    return Ok(Opened {
                        network: runtime.read(from_file())?,
                        white: None,
                        explains: None,
                        notes,
                    });
                }
                notes.extend(report.notes.iter().cloned());
                let shown = Shown::recorded(Some(&report.targets));
                let output = options.branch.output_name.clone();
                let white = Some((output, report.method.title().to_owned(), shown));
                return Ok(Opened {
                    network,
                    white,
                    explains: Some(report.subject.explains().to_owned()),
                    notes,
                });
            }
            Ok(Outcome::AlreadyThere { output }) => {
                let network = runtime.read(from_file())?;
                let record = section(model.document().rt_info());
                let record = |name| record.and_then(|record| record.get(&[name]));
                let method = match record("method") {
                    Some(name) => name
                        .parse::<Method>()
                        .map_or_else(|_| name.to_owned(), |method| method.title().to_owned()),
                    None => "the model's own map".to_owned(),
                };
                notes.push(already_there(&output));
                let white = Some((output, method, Shown::recorded(record("targets"))));
                return Ok(Opened { network, white, explains: None, notes });
            }
            Err(refusal @ Error::Refused(_)) if options.mode == Mode::Auto => {
                notes.push(message!["black-box mode, because there is "].with(refusal.message()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Opened { network: runtime.read(from_file())?, white: None, explains: None, notes })
}

fn already_there(output: &str) -> Message {
    format!("the model has the output '{output}' already, which is used as it is").into()
}

/// Whether a branch that is made for class scores was built on a detector's boxes.
fn explains_boxes(network: &Network, report: &Report, map: &str) -> bool {
    let explained = network.outputs().iter().position(|port| port.name == report.subject.explains());
    let Some((index, port)) = explained.and_then(|index| Some((index, network.outputs().get(index)?))) else {
        return false;
    };
    let batch = port.shape.as_deref().and_then(|shape| *shape.first()?).unwrap_or(1);
    matches!(report.method, Method::ReciproCam | Method::VitReciproCam)
        && (BoxHead::find(network.outputs()).is_some_and(|boxes| boxes.outputs().contains(&index))
            || one_per_box(network, batch, map).contains(&index))
}

/// A file that only the runtime can read.
fn open_other(runtime: &mut Runtime, path: &Path, why: &Error, options: &ExplainOptions) -> Result<Opened> {
    let network = runtime.read(Source::File { path, weights: options.weights.as_deref() })?;
    let there = network.outputs().iter().any(|port| port.name == options.branch.output_name);
    let mut notes = Vec::new();
    let mut white = None;
    match options.mode {
        _ if options.black_box.is_some() => {}
        Mode::BlackBox => {}
        _ if there => {
            let name = options.branch.output_name.clone();
            notes.push(already_there(&name));
            white = Some((name, "the model's own map".to_owned(), Shown::All));
        }
        Mode::WhiteBox => {
            return Err(Error::usage(message!["no white-box method: "].with(why.message())));
        }
        Mode::Auto => notes.push(message!["black-box mode: "].with(why.message())),
    }
    Ok(Opened { network, white, explains: None, notes })
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
    let shown = network.inputs().iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
    let nothing = Declared { element: None, dims: None, shown: &shown };
    let [port] = network.inputs() else { return Err(nothing.no_image("it has several inputs or none")) };
    let declared = Declared { element: port.element, dims: port.shape.as_deref(), shown: &shown };
    let input = ImageInput::settle(declared, (options.layout, options.size), facts, info)?;
    if port.shape.as_ref().is_none_or(|dims| dims.contains(&None)) {
        network.reshape(0, &input.shape())?;
    }
    Ok(input)
}

fn outputs(network: &Network) -> String {
    network.outputs().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds the output that holds the answer.
fn head(
    network: &Network,
    model: Option<&Model>,
    input: &ImageInput,
    explains: Option<&str>,
    options: &ExplainOptions,
    notes: &mut Vec<Message>,
) -> Result<Head> {
    let map = &options.branch.output_name;
    let mut fitting = candidates(network, input.batch);
    fitting.retain(|(index, _)| network.outputs().get(*index).is_some_and(|port| port.name != *map));
    let wanted = options.branch.output.as_deref();
    let boxes = BoxHead::find(network.outputs());
    // Scores and labels of boxes look like class scores by their shape.
    let of_boxes = boxes.map(BoxHead::outputs).unwrap_or_default();
    // So do scores of boxes of a single class.
    let mut single = one_per_box(network, input.batch, map);
    fitting.retain(|(index, _)| !of_boxes.contains(index) && !single.contains(index));
    // The graph knows more than shapes: names of layers, and which output is the likeliest.
    let places = model.map(|model| by_likelihood(model, explains.or(wanted))).transpose();
    let places = match places {
        Ok(places) => places.unwrap_or_default(),
        // What a branch explains need not be an output; what a user names has to be.
        Err(error) if boxes.is_none() && explains.is_none() => return Err(error),
        Err(_) => Vec::new(),
    };
    let named = |name: &str| {
        let by_name = |(index, _): &&(usize, Option<usize>)| {
            network.outputs().get(*index).is_some_and(|port| port.name == name)
        };
        fitting.iter().find(by_name).copied()
    };
    let found = match (places.first(), explains.or(wanted)) {
        _ if boxes.is_some() && wanted.is_none() && explains.is_none() => None,
        (Some(place), _) => fitting.iter().find(|(index, _)| index == place).copied(),
        (None, Some(name)) => named(name),
        (None, None) => fitting.first().copied(),
    };
    let asked = explains.or(wanted);
    single.retain(|index| {
        asked.is_none_or(|name| network.outputs().get(*index).is_some_and(|port| port.name == name))
    });
    let one = || match single[..] {
        [output] => Some((output, Some(1))),
        _ => None,
    };
    if found.is_none()
        && boxes.is_none()
        && let Some((output, classes)) = beside_boxes(network, input.batch, asked).or_else(one)
        && network.outputs().get(output).is_some_and(|port| port.name != *map)
    {
        if options.activation == Some(Activation::Softmax) {
            return Err(Error::usage(message![
                Setting::Activation.to("softmax"),
                ": the scores of boxes stand for themselves; give sigmoid or none"
            ]));
        }
        let name = network.outputs().get(output).map(|port| port.name.clone()).unwrap_or_default();
        notes.push(format!("'{name}' has scores for each box; a class has the largest of any box").into());
        let activated = model.and_then(|model| in_graph(model, output)).map(|_| Activation::None);
        let (activation, separate) = (activated, activated.is_some());
        let source = ScoreSource::Boxes(output);
        return Ok(Head::Classes(ClassHead { source, name, classes, activation, separate }));
    }
    let Some((output, classes)) = found else {
        if let Some(wanted) = wanted.filter(|_| explains.is_none()) {
            let message =
                format!("no output '{wanted}' with scores [N, classes]; the model has {}", outputs(network));
            return Err(Error::usage(message));
        }
        return Ok(boxes.map_or(Head::Unknown, Head::Boxes));
    };
    let name = network.outputs().get(output).map(|port| port.name.clone()).unwrap_or_default();
    if wanted.is_none() && fitting.len() > 1 && explains.is_none() {
        let several = format!("several outputs hold scores; '{name}' is explained (choose with ");
        notes.push(message![several, Setting::Output, ")"]);
    }
    let in_graph = model.and_then(|model| in_graph(model, output));
    let activation = match (in_graph, model) {
        (Some(_), _) => Some(Activation::None),
        // What the graph does not end in, it leaves to be done.
        (None, Some(_)) => Some(Activation::Softmax),
        (None, None) => None,
    };
    let separate = in_graph == Some(Activation::Sigmoid);
    Ok(Head::Classes(ClassHead { source: ScoreSource::Output(output), name, classes, activation, separate }))
}

/// Places of the outputs that can be logits, the likeliest first.
fn by_likelihood(model: &Model, wanted: Option<&str>) -> Result<Vec<usize>> {
    let labels = Labels::new(model);
    let (found, _) = Logits::find(model, &labels, wanted)?;
    let graph = model.graph();
    let place = |logits: &Logits| graph.outputs().position(|output| output.name() == logits.output);
    Ok(found.iter().filter_map(place).collect())
}
