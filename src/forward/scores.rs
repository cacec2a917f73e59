//! From the form of the logits to `[N, classes, h, w]`, for all classes or for some.

use super::{Form, Lowering, Why};
use crate::graph::{Node, Op, OpKind, OutletId, Size};
use crate::ir::{Classes, Dim};
use crate::ops::{Action, Extent, Window, WindowKind, Zero};
use crate::tasks::Logits;

/// Logits of every class under every mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scores {
    /// The tensor.
    pub outlet: OutletId,
    /// Its axes.
    pub order: Order,
}

/// Order of the axes of [`Scores`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[N, classes, h, w]`.
    Map,
    /// `[N, classes, K]`.
    ClassesFirst,
    /// `[N, K, classes]`.
    PositionsFirst,
}

impl Scores {
    /// Axes of the positions.
    pub(crate) fn positions(&self) -> &'static [usize] {
        match self.order {
            Order::Map => &[2, 3],
            Order::ClassesFirst => &[2],
            Order::PositionsFirst => &[1],
        }
    }
}

impl Lowering<'_, '_> {
    /// The scores of the wanted classes.
    ///
    /// # Errors
    /// A reason in words where the logits' form cannot be laid out.
    pub(crate) fn scores(&mut self, logits: &Logits, classes: &Classes) -> Result<Scores, String> {
        let Some(selection) = self.selection(logits, classes) else { return self.all(logits) };
        if let Ok(outlet) = self.selected(logits.outlet, &selection, &mut Vec::new()) {
            return Ok(Scores { outlet, order: Order::ClassesFirst });
        }
        // The last product could not be restricted: evaluate all classes and take some.
        let all = self.all(logits)?;
        let all = self.classes_first(all);
        let outlet = self.take("targets", all, &selection, 1);
        Ok(Scores { outlet, order: Order::ClassesFirst })
    }

    fn all(&mut self, logits: &Logits) -> Result<Scores, Why> {
        match self.form(logits.outlet).cloned() {
            Some(Form::PerPosition(outlet)) => Ok(Scores { outlet, order: Order::Map }),
            Some(Form::Dense(rows)) => {
                let outlet = self.rows_of_samples("scores", logits.outlet, rows, logits.batch, logits.class);
                Ok(Scores { outlet, order: Order::PositionsFirst })
            }
            _ => Err("the logits do not depend on any position".to_owned()),
        }
    }

    /// The copies of a vector as `[N,K,C]`, whichever of batch and channels comes first in the original.
    fn rows_of_samples(
        &mut self,
        hint: &str,
        outlet: OutletId,
        copies: OutletId,
        batch: usize,
        channel: usize,
    ) -> OutletId {
        let others = (0..self.patch.fact(copies).rank()).filter(|axis| *axis != batch && *axis != channel);
        let order: Vec<usize> = [batch, channel].into_iter().chain(others).collect();
        let sizes = self.original_sizes(outlet);
        let sizes = [sizes[batch].clone(), self.k(), sizes[channel].clone()];
        let copies = if batch < channel { copies } else { self.patch.transpose(hint, copies, &order) };
        self.patch.reshape(hint, copies, &sizes)
    }

    fn classes_first(&mut self, scores: Scores) -> OutletId {
        match scores.order {
            Order::ClassesFirst => scores.outlet,
            Order::PositionsFirst => self.patch.transpose("scores", scores.outlet, &[0, 2, 1]),
            Order::Map => {
                let sizes = self.patch.sizes(scores.outlet);
                let sizes = [sizes[0].clone(), sizes[1].clone(), self.k()];
                self.patch.reshape("scores", scores.outlet, &sizes)
            }
        }
    }

    /// Class indices: `[k]` for a list, `[N,k]` where each sample has its own.
    fn selection(&mut self, logits: &Logits, classes: &Classes) -> Option<Selection> {
        match classes {
            Classes::All => None,
            Classes::Listed(list) => {
                let list: Vec<i64> =
                    list.iter().map(|class| i64::try_from(*class).unwrap_or(i64::MAX)).collect();
                let indices = self.patch.integers("targets/indices", &list);
                Some(Selection { indices, count: list.len(), per_sample: false })
            }
            Classes::Top(count) => {
                let sizes = self.original_sizes(logits.outlet);
                let flat = [sizes[logits.batch].clone(), sizes[logits.class].clone()];
                let flat = self.patch.reshape("targets/logits", logits.original, &flat);
                let indices = self.patch.top_indices("targets", flat, *count);
                Some(Selection { indices, count: *count, per_sample: true })
            }
        }
    }

    /// A value whose channels are classes, `[N,k,K]`, of the selected classes only.
    ///
    /// Walks back over what treats classes one by one to the products that make them, and takes
    /// just the wanted rows of their weights. `seen` are values on the way, and what became of them.
    fn selected(
        &mut self,
        outlet: OutletId,
        selection: &Selection,
        seen: &mut Seen,
    ) -> Result<OutletId, Why> {
        if let Some((_, known)) = seen.iter().find(|(other, _)| *other == outlet) {
            return known.ok_or_else(|| "its classes are not known".to_owned());
        }
        if seen.len() == MAX_SEEN {
            return Err("too many operations follow the product that makes the classes".to_owned());
        }
        let at = seen.len();
        seen.push((outlet, None));
        let found = self.selected_value(outlet, selection, seen)?;
        seen[at].1 = Some(found);
        Ok(found)
    }

    fn selected_value(
        &mut self,
        outlet: OutletId,
        selection: &Selection,
        seen: &mut Seen,
    ) -> Result<OutletId, Why> {
        let node = self.node(outlet);
        if self.form(outlet).is_none() || outlet.slot != 0 {
            return Err("it does not depend on the mask".to_owned());
        }
        let (_, class) = self.vector(outlet)?;
        let hint = format!("{}/targets", node.name);
        match self.model().action(outlet.node) {
            Action::Elementwise(_) => {
                let rank = node.outputs[0].fact.rank();
                let mut inputs = Vec::new();
                for input in &node.inputs {
                    inputs.push(match self.form(*input) {
                        Some(_) => {
                            let (_, own) = self.vector(*input)?;
                            let fact = self.patch.fact(*input);
                            // A score that counts for all classes has no row of its own for each.
                            let same = fact.shape[own] == node.outputs[0].fact.shape[class];
                            if !same || own + rank != class + fact.rank() {
                                return Err("its operands do not have the same classes".to_owned());
                            }
                            self.selected(*input, selection, seen)?
                        }
                        None => self.beside_selected(&hint, *input, rank, class, selection)?,
                    });
                }
                Ok(self.selected_clone(&hint, node, inputs))
            }
            Action::Pointwise(Zero::Kept | Zero::Lost) if node.inputs.len() == 1 => {
                let x = self.selected(node.inputs[0], selection, seen)?;
                Ok(self.selected_clone(&hint, node, vec![x]))
            }
            Action::Reshape | Action::Transpose { .. } => {
                let input = node.inputs[0];
                self.vector(input)?;
                self.selected(input, selection, seen)
            }
            Action::MatMul { transpose_a: false, transpose_b } => {
                let [x, weight] = node.inputs[..] else { return Err("it has not two operands".to_owned()) };
                let rank = self.patch.fact(x).rank();
                if self.form(weight).is_some()
                    || self.patch.fact(weight).rank() != 2
                    || self.vector(x)?.1 + 1 != rank
                {
                    return Err("it is no product of channels with one matrix".to_owned());
                }
                let order = if *transpose_b { [0, 1] } else { [1, 0] };
                let weight = self.patch.transpose(&hint, weight, &order);
                self.selected_product(&hint, x, weight, selection)
            }
            Action::Window(Window {
                kind: WindowKind::Convolution,
                extent: Extent::Point | Extent::Whole,
            }) => {
                let [x, weight] = node.inputs[..] else { return Err("it has not two operands".to_owned()) };
                if self.form(weight).is_some() {
                    return Err("its weight depends on the mask".to_owned());
                }
                self.vector(x)?;
                let sizes = self.patch.sizes(weight);
                let weight = self.patch.reshape(&hint, weight, &sizes[..2]);
                self.selected_product(&hint, x, weight, selection)
            }
            _ => Err("it mixes classes".to_owned()),
        }
    }

    fn selected_clone(&mut self, hint: &str, node: &Node, inputs: Vec<OutletId>) -> OutletId {
        let element = node.outputs[0].fact.element;
        self.patch.elementwise(hint, node.op.clone(), inputs, element)
    }

    /// Rows of `weight` `[classes, C]` times the vectors `x` of all positions.
    fn selected_product(
        &mut self,
        hint: &str,
        x: OutletId,
        weight: OutletId,
        selection: &Selection,
    ) -> Result<OutletId, Why> {
        let rows = self.patch.gather(hint, weight, selection.indices, 0);
        let (value, transposed) = match self.form(x).cloned() {
            Some(Form::PerPosition(value)) => {
                let sizes = self.patch.sizes(value);
                let sizes = [sizes[0].clone(), sizes[1].clone(), self.k()];
                (self.patch.reshape(&format!("{hint}/features"), value, &sizes), false)
            }
            Some(Form::Dense(value)) => {
                let (batch, channel) = self.vector(x)?;
                let hint = format!("{hint}/features");
                (self.rows_of_samples(&hint, x, value, batch, channel), true)
            }
            _ => return Err("it still has positions".to_owned()),
        };
        // A matrix for all samples gets a batch of 1 by broadcasting.
        Ok(self.patch.matmul(hint, rows, value, (false, transposed)))
    }

    /// The entries of the selected classes of an operand that does not depend on the mask: `[N?,k,1]`.
    fn beside_selected(
        &mut self,
        hint: &str,
        outlet: OutletId,
        rank: usize,
        class: usize,
        selection: &Selection,
    ) -> Result<OutletId, Why> {
        let shape = self.patch.fact(outlet).shape.clone();
        if shape.iter().all(|dim| dim.is_one()) && shape.len() <= 3 {
            return Ok(outlet);
        }
        let axis = (class + shape.len()).checked_sub(rank);
        let others = shape.iter().enumerate().all(|(i, dim)| Some(i) == axis || dim.is_one());
        let size = axis.map(|axis| self.patch.sizes(outlet)[axis].clone());
        match (size, others) {
            (Some(size), true) => {
                let hint = format!("{hint}/operand");
                let flat = self.patch.reshape(&hint, outlet, std::slice::from_ref(&size));
                let taken = if size == Size::Fixed(1) {
                    flat
                } else {
                    self.patch.gather(&hint, flat, selection.indices, 0)
                };
                let last = self.patch.fact(taken).rank();
                Ok(self.patch.unsqueeze(&hint, taken, &[last]))
            }
            _ => Err("its other operand differs between samples".to_owned()),
        }
    }

    /// Takes the selected entries of `[N,classes,K]` along `axis`.
    fn take(&mut self, hint: &str, x: OutletId, selection: &Selection, axis: usize) -> OutletId {
        if !selection.per_sample {
            return self.patch.gather(hint, x, selection.indices, axis);
        }
        let mut fact = self.patch.fact(x).clone();
        fact.shape[axis] = Dim::Fixed(selection.count);
        let at = self.patch.integer(&format!("{hint}/axis"), i64::try_from(axis).unwrap_or(1));
        let op = Op::new(OpKind::Gather, "opset8").with("batch_dims", 1);
        self.patch.add(hint, op, vec![x, selection.indices, at], vec![fact])
    }
}

/// Values whose selected classes were asked for, and those classes once they are known.
type Seen = Vec<(OutletId, Option<OutletId>)>;

/// Logits are a few operations behind the product that makes them; a limit keeps the recursion shallow.
const MAX_SEEN: usize = 256;

/// Class indices in the graph.
#[derive(Debug, Clone, Copy)]
struct Selection {
    indices: OutletId,
    count: usize,
    per_sample: bool,
}
