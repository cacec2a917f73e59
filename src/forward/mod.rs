//! Evaluating the head on K masked feature maps without making them.
//!
//! ReciproCAM (arXiv 2209.14074) asks for the logits of K copies of the features, each with one
//! position kept and the others zero. Here the head is evaluated on a *symbolic* mosaic whose
//! values take the cheapest form that an operation allows; only where one really mixes
//! positions are the copies made (the dense form).
//!
//! The forms, cheapest first, and who knows their transfer rules: one-hot (`onehot.rs`), one value for
//! each position (`position.rs`), one row for each token that differs (`distinct.rs`), one row for each copy
//! (`dense.rs`). `attention.rs` knows what
//! attention makes of masked keys and values, `levels.rs` what is not linear in weighted masks, `rest.rs` what stands
//! where they blank. `narrow` narrows the head to the tokens that are read before
//! it is lowered, `mask.rs` makes the masks. `scores.rs` turns the logits' form into `[N, classes, h, w]`
//! and picks classes.

mod attention;
mod dense;
mod distinct;
mod form;
mod head;
mod levels;
mod mask;
mod narrow;
mod onehot;
mod pool;
mod position;
mod rest;
mod scores;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::analysis::{Labels, Target};
use crate::graph::{Node, NodeId, OutletId, Size};
use crate::message::{Message, Setting, message};
use crate::model::Model;
use crate::ops::Action;
use crate::patch::Patch;
use crate::place::Place;
use crate::refusal::Reason;
use crate::tasks::Logits;

pub(crate) use form::FormKind;
use form::{Background, Distinct, Form};
use head::between;
pub use mask::Kernel;
pub(crate) use mask::Mask;
pub(crate) use narrow::{Narrowed, narrow};
pub(crate) use scores::Order;

/// Which forms a lowering may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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
    /// The form of its result.
    pub form: FormKind,
    /// Why it has no cheaper form, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Message>,
}

/// A rule does not apply; says why. The caller goes on with the next dearer form.
type Why = String;

/// The head of a model, evaluated symbolically.
#[derive(Debug)]
pub(crate) struct Lowering<'p, 'm> {
    patch: &'p mut Patch<'m>,
    labels: &'p Labels,
    target: &'p Target,
    mask: Mask,
    forms: BTreeMap<OutletId, Form>,
    copies: BTreeMap<OutletId, OutletId>,
    /// What stands for a value of the original, of all masks or where a mask keeps it: blanked class tokens, and
    /// what was computed with them.
    replaced: BTreeMap<OutletId, OutletId>,
    /// For one-hot values that are not linear in the masks: what they are at each weight.
    levels: BTreeMap<OutletId, Vec<OutletId>>,
    /// Whether the function that is being lowered is not linear.
    bent: bool,
    steps: Vec<Step>,
    memory: Memory,
}

/// Activations of the dense form.
#[derive(Debug, Default)]
struct Memory {
    /// Bytes of each dense value.
    bytes: BTreeMap<OutletId, u64>,
    /// Where, and why, the first copies were made.
    lost: Option<(Place, Message)>,
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
    pub(crate) fn new(
        patch: &'p mut Patch<'m>,
        labels: &'p Labels,
        target: &'p Target,
        mask: Mask,
        logits: &Logits,
        strategy: Strategy,
        budget: u64,
    ) -> Result<Self, Reason> {
        let model = patch.model();
        let masked = target.masked();
        let head = between(model, &masked, logits.outlet.node);
        if head.is_empty() {
            return Err(Reason::NotOnPath);
        }
        let form = Form::OneHot { background: Background::Zero };
        let mut lowering = Self {
            patch,
            labels,
            target,
            mask,
            forms: masked.iter().map(|outlet| (*outlet, form.clone())).collect(),
            copies: BTreeMap::new(),
            replaced: BTreeMap::new(),
            levels: BTreeMap::new(),
            bent: false,
            steps: Vec::new(),
            memory: Memory::default(),
        };
        if strategy == Strategy::Dense {
            for outlet in masked {
                let place = lowering.node(outlet).place();
                let copies =
                    lowering.dense(outlet).map_err(|why| Reason::Operation { place, why: why.into() })?;
                lowering.forms.insert(outlet, Form::Dense(copies));
                lowering.lose(outlet, message!["asked for by ", Setting::Strategy.to("dense")]);
            }
        }
        for &id in &head {
            lowering.step(id)?;
        }
        lowering.check_budget(&head, budget)?;
        Ok(lowering)
    }

    /// What became of each operation, in order of evaluation.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Most bytes of copies that are alive at one time, an unknown batch counted as one sample; 0 where nothing
    /// was copied, `None` where other extents are unknown.
    pub(crate) fn dense_bytes(&self, logits: &Logits) -> Option<u64> {
        let head = between(self.model(), &self.target.masked(), logits.outlet.node);
        (!self.memory.unknown).then(|| self.peak(&head))
    }

    /// The layer of an outlet, for messages.
    pub(crate) fn place(&self, outlet: OutletId) -> Place {
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

    /// A value that does not depend on the mask.
    fn same(&self, outlet: OutletId) -> OutletId {
        self.replaced.get(&outlet).copied().unwrap_or(outlet)
    }

    /// What a one-hot value is where a mask keeps it.
    fn hot(&self, outlet: OutletId) -> OutletId {
        self.same(outlet)
    }

    fn step(&mut self, id: NodeId) -> Result<(), Reason> {
        let node = self.model().node(id);
        if node.inputs.iter().all(|input| self.form(*input).is_none()) {
            self.replace(id, node);
            return Ok(());
        }
        let action = self.model().action(id);
        if let Some(rows) = self.prefix_tokens(id, node, action) {
            if rows != OutletId::new(id, 0) {
                self.replaced.insert(OutletId::new(id, 0), rows);
            }
            return Ok(());
        }
        let mut why = None;
        self.bent = false;
        let cheapest = self.cheapest(id, node, action, &mut why);
        let copied = cheapest.is_none();
        let forms = match cheapest {
            Some(forms) => {
                self.bend(id, node, &forms);
                if forms.iter().all(|form| matches!(form, Form::OneHot { .. })) {
                    self.replace(id, node);
                }
                forms
            }
            None => {
                let reason = why.clone().unwrap_or_default();
                let failed = |why: Why| Reason::Operation { place: node.place(), why: why.into() };
                let copied = self.dense_node(id, node, action).map_err(|dense| {
                    failed(if reason.is_empty() || reason == dense {
                        dense
                    } else {
                        format!("{reason}; {dense}")
                    })
                })?;
                if self.memory.lost.is_none() && self.positional(OutletId::new(id, 0)) {
                    self.memory.lost = Some((node.place(), reason.into()));
                }
                copied.into_iter().map(Form::Dense).collect()
            }
        };
        let form = match forms.first() {
            Some(Form::OneHot { .. }) if !self.mask.binary() => FormKind::Masked,
            Some(Form::OneHot { .. }) => FormKind::OneHot,
            // The weights of an attention are the same for all channels: K rows of them are no loss.
            Some(Form::Dense(_)) if !copied && self.positional(OutletId::new(id, 0)) => FormKind::Weights,
            Some(Form::PerPosition(_)) => FormKind::PerPosition,
            Some(Form::Distinct(_)) => FormKind::Distinct,
            // Copies of what has no positions left are as many values as the other layout has.
            Some(Form::Dense(_)) if !self.positional(OutletId::new(id, 0)) => FormKind::PerPosition,
            _ => FormKind::Dense,
        };
        self.steps.push(Step {
            layer: node.name.clone(),
            op: node.op.type_name().to_owned(),
            form,
            why: why.map(Message::from),
        });
        for (slot, form) in forms.into_iter().enumerate() {
            let outlet = OutletId::new(id, slot);
            match &form {
                Form::Dense(_) => self.account(outlet),
                Form::Distinct(distinct) => {
                    self.account_tensor(outlet, distinct.outlet, self.k().dim().fixed());
                }
                Form::OneHot { .. } | Form::PerPosition(_) => {}
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
        let kinds: BTreeSet<FormKind> =
            node.inputs.iter().filter_map(|input| self.form(*input)).map(Form::kind).collect();
        let tried = match kinds.into_iter().collect::<Vec<_>>()[..] {
            [FormKind::OneHot] => self.onehot_node(id, node, action),
            [FormKind::PerPosition] => self.position_node(id, node, action),
            [FormKind::OneHot, FormKind::Dense] if matches!(action, Action::MatMul { .. }) => {
                self.weighted_values(id, node, action)
            }
            [FormKind::OneHot, FormKind::PerPosition] => {
                Err("a pooled value is combined with an unpooled one".to_owned())
            }
            ref kinds if kinds.contains(&FormKind::Distinct) => self.distinct_node(id, node, action),
            // Once there are copies, every cheaper operand is copied as well.
            _ => return None,
        };
        let tried = match tried {
            Err(reason) if self.few_distinct(node) => {
                *why = Some(reason.clone());
                self.distinct_node(id, node, action).map_err(|distinct| format!("{reason}; {distinct}"))
            }
            tried => tried,
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

    fn lose(&mut self, outlet: OutletId, why: Message) {
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

    /// Counts a tensor that has not the shape of a value's copies: the weights of an attention, distinct tokens.
    ///
    /// `rows` are those of one sample, where the batch is not known.
    fn account_tensor(&mut self, outlet: OutletId, tensor: OutletId, rows: Option<usize>) {
        let fact = self.patch.fact(tensor);
        let extents = fact.shape.iter().enumerate();
        let mut extents = extents.map(|(axis, dim)| dim.fixed().or(if axis == 0 { rows } else { None }));
        let elements = extents.try_fold(1u64, |all, extent| all.checked_mul(extent? as u64));
        let bits = fact.element.bits().unwrap_or(32) as u64;
        match elements.and_then(|elements| elements.checked_mul(bits.div_ceil(8))) {
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
            _ if needed <= budget => Ok(()),
            Some((place, why)) => {
                Err(Reason::Budget { needed, budget, place: place.clone(), why: why.clone() })
            }
            None => {
                let place = self.node(self.target.outlet).place();
                let why = "nothing is lost, but there are too many positions".into();
                Err(Reason::Budget { needed, budget, place, why })
            }
        }
    }

    /// The original's extents, with unknown ones read from the original at inference; the batch from the
    /// target, which is there in any case.
    fn original_sizes(&self, outlet: OutletId) -> Vec<Size> {
        let mut sizes = self.patch.sizes(outlet);
        let batch = self.labels.get(outlet).and_then(|axes| {
            let batch = axes.batch()?;
            (axes.0[batch].atoms.len() == 1).then_some(batch)
        });
        if let Some(size @ Size::Of(..)) = batch.map(|batch| &mut sizes[batch]) {
            *size = Size::Of(self.target.outlet, self.target.layout.batch);
        }
        sizes
    }

    /// Clones a node whose operands are others than in the original.
    fn replace(&mut self, id: NodeId, node: &Node) {
        if !node.inputs.iter().any(|input| self.replaced.contains_key(input)) {
            return;
        }
        let inputs = node.inputs.iter().map(|input| self.same(*input)).collect();
        let facts = node.outputs.iter().map(|outlet| outlet.fact.clone()).collect();
        let first = self.patch.add(&node.name, node.op.clone(), inputs, facts);
        for slot in 0..node.outputs.len() {
            self.replaced.insert(OutletId::new(id, slot), OutletId::new(first.node, first.slot + slot));
        }
    }
}
