//! The lazy mosaic: evaluating the head on K masked feature maps without making them.
//!
//! ReciproCAM (arXiv 2209.14074) asks for the logits of K copies of the features, each with one
//! position kept and the others zero. Here the head is evaluated on a *symbolic* mosaic whose
//! values take the cheapest [`Form`] that an operation allows; only where one really mixes
//! positions are the copies made ([`Form::Dense`]).
//!
//! The forms, cheapest first, and who knows their transfer rules: one-hot (`onehot.rs`), one value for
//! each position (`position.rs`), one row for each copy (`dense.rs`). `scores.rs` turns the logits'
//! form into `[N, classes, h, w]` and picks classes.

mod dense;
mod onehot;
mod pool;
mod position;
mod scores;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::analysis::{Labels, Logits, Reason, Target};
use crate::error::Place;
use crate::graph::{Flow, Node, NodeId, OutletId, Patch, Size};
use crate::ir::Dim;
use crate::model::Model;
use crate::ops::{Action, action};

pub use scores::{Classes, Order, Scores};

/// A value of the head under all K masks at once. K = h·w masks; mask k keeps position k.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// At position k as in the original graph; at every other position `rest`.
    ///
    /// The value at k is the original outlet itself, because every operation so far treats
    /// positions one by one.
    OneHot {
        /// The value at the masked positions.
        rest: Rest,
    },
    /// A vector for each mask: `[N,C,h,w]`, where the original is `[N,C]` (or has axes of extent 1 besides).
    ///
    /// What was a position of the map is now the number of a mask. No batch axis is made.
    PerPosition(OutletId),
    /// The original's shape with the batch N made N·K, masks innermost.
    Dense(OutletId),
}

/// What stands at the positions that a mask blanks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Zero.
    Zero,
    /// A tensor that broadcasts to the original's shape.
    Value(OutletId),
}

/// Which forms a lowering may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// The cheapest form that each operation allows.
    #[default]
    Auto,
    /// Copies from the start: slow, simple, and the oracle for the others.
    Dense,
}

/// What became of one operation of the head.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Its layer.
    pub layer: String,
    /// Its operation.
    pub op: String,
    /// The form of its result: `OneHot`, `PerPosition` or `Dense`.
    pub form: &'static str,
    /// Why it has no cheaper form, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A rule does not apply; says why. The caller goes on with the next dearer form.
type Why = String;

/// The head of a model, evaluated symbolically.
#[derive(Debug)]
pub struct Lowering<'p, 'm> {
    patch: &'p mut Patch<'m>,
    labels: &'p Labels,
    target: &'p Target,
    forms: BTreeMap<OutletId, Form>,
    copies: BTreeMap<OutletId, OutletId>,
    steps: Vec<Step>,
    memory: Memory,
}

/// Activations of the dense form.
#[derive(Debug, Default)]
struct Memory {
    /// Bytes of each dense value.
    bytes: BTreeMap<OutletId, u64>,
    /// Where, and why, the first copies were made.
    lost: Option<(Place, Why)>,
    /// Whether an extent is unknown, so that bytes cannot be told.
    unknown: bool,
}

impl<'p, 'm> Lowering<'p, 'm> {
    /// Evaluates everything between `target` and `logits`.
    ///
    /// # Errors
    /// [`Reason::Operation`] where an operation cannot even be copied, [`Reason::Budget`] where the
    /// copies alive at one time would take more than `budget` bytes, [`Reason::NotOnPath`]
    /// where the logits do not depend on the target.
    pub fn new(
        patch: &'p mut Patch<'m>,
        labels: &'p Labels,
        target: &'p Target,
        logits: &Logits,
        strategy: Strategy,
        budget: u64,
    ) -> Result<Self, Reason> {
        let model = patch.model();
        let head = head(model, target.outlet, logits.outlet.node);
        if head.is_empty() {
            return Err(Reason::NotOnPath);
        }
        let mut lowering = Self {
            patch,
            labels,
            target,
            forms: BTreeMap::from([(target.outlet, Form::OneHot { rest: Rest::Zero })]),
            copies: BTreeMap::new(),
            steps: Vec::new(),
            memory: Memory::default(),
        };
        if strategy == Strategy::Dense {
            let place = lowering.node(target.outlet).place();
            let copies = lowering.dense(target.outlet).map_err(|why| Reason::Operation { place, why })?;
            lowering.forms.insert(target.outlet, Form::Dense(copies));
            lowering.lose(target.outlet, "asked for by --lowering dense".to_owned());
        }
        for &id in &head {
            lowering.step(id)?;
        }
        lowering.check_budget(&head, budget)?;
        Ok(lowering)
    }

    /// What became of each operation, in order of evaluation.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Most bytes of copies that are alive at one time, an unknown batch counted as one sample; 0 where nothing
    /// was copied, `None` where other extents are unknown.
    pub fn dense_bytes(&self, logits: &Logits) -> Option<u64> {
        let head = head(self.model(), self.target.outlet, logits.outlet.node);
        (!self.memory.unknown).then(|| self.peak(&head))
    }

    /// The layer of an outlet, for messages.
    pub fn place(&self, outlet: OutletId) -> Place {
        self.node(outlet).place()
    }

    fn model(&self) -> &'m Model {
        self.patch.model()
    }

    fn node(&self, outlet: OutletId) -> &'m Node {
        self.model().node(outlet.node)
    }

    fn form(&self, outlet: OutletId) -> Option<&Form> {
        self.forms.get(&outlet)
    }

    /// Number of masks.
    fn k(&self) -> Size {
        self.target.layout.count()
    }

    fn step(&mut self, id: NodeId) -> Result<(), Reason> {
        let node = self.model().node(id);
        let action = action(self.model(), node);
        let mut why = None;
        let forms = self.cheapest(id, node, &action, &mut why);
        let forms = match forms {
            Some(forms) => forms,
            None => {
                let reason = why.clone().unwrap_or_default();
                let failed = |why: Why| Reason::Operation { place: node.place(), why };
                let copied = self.dense_node(id, node, &action).map_err(|dense| {
                    failed(if reason.is_empty() || reason == dense {
                        dense
                    } else {
                        format!("{reason}; {dense}")
                    })
                })?;
                if self.memory.lost.is_none() && self.positional(OutletId::new(id, 0)) {
                    self.memory.lost = Some((node.place(), reason));
                }
                copied.into_iter().map(Form::Dense).collect()
            }
        };
        let form = match forms.first() {
            Some(Form::OneHot { .. }) => "OneHot",
            Some(Form::PerPosition(_)) => "PerPosition",
            // Copies of what has no positions left are as many values as the other layout has.
            Some(Form::Dense(_)) if !self.positional(OutletId::new(id, 0)) => "PerPosition",
            _ => "Dense",
        };
        self.steps.push(Step { layer: node.name.clone(), op: node.op.kind.clone(), form, why });
        for (slot, form) in forms.into_iter().enumerate() {
            let outlet = OutletId::new(id, slot);
            if let Form::Dense(_) = form {
                self.account(outlet);
            }
            self.forms.insert(outlet, form);
        }
        Ok(())
    }

    /// The forms of a node's outputs where a rule cheaper than copying applies.
    fn cheapest(
        &mut self,
        id: NodeId,
        node: &Node,
        action: &Action,
        why: &mut Option<Why>,
    ) -> Option<Vec<Form>> {
        let forms: BTreeSet<&str> =
            node.inputs.iter().filter_map(|input| self.form(*input)).map(kind).collect();
        let tried = match forms.into_iter().collect::<Vec<_>>()[..] {
            ["OneHot"] => self.onehot_node(id, node, action),
            ["PerPosition"] => self.position_node(id, node, action),
            ["OneHot", "PerPosition"] => Err("a pooled value is combined with an unpooled one".to_owned()),
            // Once there are copies, every cheaper operand is copied as well.
            _ => return None,
        };
        // A rule that speaks of the first output only must not leave another one looking unmasked.
        let read = |slot: usize| {
            let outlet = OutletId::new(id, slot);
            let users = self.model().graph().users(id).iter();
            users.copied().any(|user| self.model().node(user).inputs.contains(&outlet))
        };
        let tried = tried.and_then(|forms| match (forms.len()..node.outputs.len()).any(read) {
            true => Err("a further output of it is read".to_owned()),
            false => Ok(forms),
        });
        tried.map_err(|reason| *why = Some(reason)).ok()
    }

    fn positional(&self, outlet: OutletId) -> bool {
        self.labels.get(outlet).is_none_or(|axes| !axes.positional().is_empty())
    }

    fn lose(&mut self, outlet: OutletId, why: Why) {
        self.memory.lost = Some((self.node(outlet).place(), why));
        self.account(outlet);
    }

    fn account(&mut self, outlet: OutletId) {
        let fact = self.model().graph().fact(outlet);
        let batch = self.labels.get(outlet).and_then(crate::analysis::Axes::batch);
        // An unknown batch counts as one sample.
        let each = fact.shape.iter().enumerate().try_fold(1u64, |bytes, (axis, dim)| {
            let extent = if batch == Some(axis) { dim.fixed().unwrap_or(1) } else { dim.fixed()? };
            bytes.checked_mul(extent as u64)
        });
        let bits = fact.element.bits().unwrap_or(32) as u64;
        let masks = self.k().dim().fixed().map(|k| k as u64);
        match each.zip(masks).and_then(|(each, masks)| each.checked_mul(masks)?.checked_mul(bits.div_ceil(8)))
        {
            Some(bytes) => {
                self.memory.bytes.insert(outlet, bytes);
            }
            None => self.memory.unknown = true,
        }
    }

    /// Most bytes alive at one time when the head is evaluated in order.
    fn peak(&self, head: &[NodeId]) -> u64 {
        let graph = self.model().graph();
        let places: HashMap<NodeId, usize> = head.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut events: Vec<(usize, i128)> = Vec::new();
        for (outlet, bytes) in &self.memory.bytes {
            let first = places.get(&outlet.node).copied().unwrap_or(0);
            let readers = graph.users(outlet.node).iter().filter_map(|user| places.get(user));
            let last = readers.max().copied().unwrap_or(first);
            events.push((first, i128::from(*bytes)));
            events.push((last + 1, -i128::from(*bytes)));
        }
        events.sort_unstable();
        let (mut now, mut most) = (0i128, 0i128);
        for (_, change) in events {
            now += change;
            most = most.max(now);
        }
        u64::try_from(most).unwrap_or(u64::MAX)
    }

    fn check_budget(&self, head: &[NodeId], budget: u64) -> Result<(), Reason> {
        let needed = self.peak(head);
        match &self.memory.lost {
            Some((place, why)) if needed > budget => {
                Err(Reason::Budget { needed, budget, place: place.clone(), why: why.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The original's extents, with unknown ones read from the original at inference.
    fn original_sizes(&self, outlet: OutletId) -> Vec<Size> {
        self.patch.sizes(outlet)
    }
}

fn kind(form: &Form) -> &'static str {
    match form {
        Form::OneHot { .. } => "OneHot",
        Form::PerPosition(_) => "PerPosition",
        Form::Dense(_) => "Dense",
    }
}

/// Nodes between the target and the logits, in order of evaluation.
fn head(model: &Model, target: OutletId, logits: NodeId) -> Vec<NodeId> {
    let graph = model.graph();
    let after = Flow::after(graph, target);
    let mut needed = BTreeSet::from([logits]);
    for &id in graph.order().iter().rev() {
        if needed.contains(&id) {
            needed.extend(graph.node(id).inputs.iter().map(|input| input.node));
        }
    }
    graph.order().iter().copied().filter(|id| after[id.0] && needed.contains(id)).collect()
}

/// An original shape with some axes shrunk to 1.
fn shrunk(shape: &[Dim], axes: &[usize]) -> Vec<Dim> {
    shape
        .iter()
        .enumerate()
        .map(|(axis, dim)| if axes.contains(&axis) { Dim::Fixed(1) } else { *dim })
        .collect()
}
