//! What stands where a mask blanks: the second half of the one-hot form.
//!
//! It starts as zero and becomes a value for each channel with the first bias. Products with an attention's
//! queries make it differ between samples, position embeddings between positions.

use super::{Background, Form, Lowering, Why};
use crate::graph::{Fact, Node, NodeId, OutletId, Size};
use crate::ir::{Dim, Shape};

/// Along which axes, channels aside, a rest differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spread {
    /// Between samples.
    pub(super) batch: bool,
    /// Between positions.
    pub(super) positions: bool,
}

impl Spread {
    fn with(self, other: Self) -> Self {
        Self { batch: self.batch || other.batch, positions: self.positions || other.positions }
    }
}

impl Lowering<'_, '_> {
    pub(super) fn rest(&self, outlet: OutletId) -> Option<Background> {
        match self.form(outlet) {
            Some(Form::OneHot { background: rest }) => Some(*rest),
            _ => None,
        }
    }

    /// Along what the rest of a one-hot value differs.
    pub(super) fn spread(&self, outlet: OutletId) -> Result<Spread, Why> {
        let Some(Background::Value(value)) = self.rest(outlet) else { return Ok(Spread::default()) };
        let have = &self.patch.fact(value).shape;
        let rank = self.patch.fact(outlet).rank();
        let along = |axis: usize| {
            (axis + have.len())
                .checked_sub(rank)
                .and_then(|axis| have.get(axis))
                .is_some_and(|dim| !dim.is_one())
        };
        let positions = self.positions(outlet)?.into_iter().any(along);
        Ok(Spread { batch: along(self.batch(outlet)?), positions })
    }

    /// Extents of a rest that has all channels of a value: batch and positions are 1 where it does not
    /// differ along them.
    fn rest_sizes(&self, outlet: OutletId, spread: Spread) -> Result<Vec<Size>, Why> {
        let mut sizes = self.original_sizes(outlet);
        if !spread.positions {
            for axis in self.positions(outlet)? {
                sizes[axis] = Size::Fixed(1);
            }
        }
        if !spread.batch {
            sizes[self.batch(outlet)?] = Size::Fixed(1);
        }
        Ok(sizes)
    }

    pub(super) fn rest_shape(&self, outlet: OutletId, spread: Spread) -> Result<Shape, Why> {
        Ok(self.rest_sizes(outlet, spread)?.iter().map(Size::dim).collect())
    }

    /// The rest as a tensor that has all channels: `[1,C,1,1]` for a map, as far as it does not differ between
    /// samples or positions.
    pub(super) fn full_rest(&mut self, outlet: OutletId) -> Result<(OutletId, Spread), Why> {
        let spread = self.spread(outlet)?;
        Ok((self.full_rest_along(outlet, spread)?, spread))
    }

    fn full_rest_along(&mut self, outlet: OutletId, spread: Spread) -> Result<OutletId, Why> {
        let sizes = self.rest_sizes(outlet, spread)?;
        let shape: Shape = sizes.iter().map(Size::dim).collect();
        let fact = self.model().graph().fact(outlet);
        let hint = format!("{}/rest", self.node(outlet).name);
        let value = match self.rest(outlet) {
            Some(Background::Value(value)) => value,
            _ => self.patch.float(&hint, fact.element, 0.0),
        };
        if self.patch.fact(value).shape == shape {
            return Ok(value);
        }
        let have = &self.patch.fact(value).shape;
        let fits = have.len() <= shape.len()
            && have.iter().rev().zip(shape.iter().rev()).all(|(have, want)| have.is_one() || have == want);
        match fits {
            true => Ok(self.patch.broadcast_to(&hint, value, &sizes)),
            false => Err("the value outside the mask has an extent that is not known".to_owned()),
        }
    }

    /// The rests of several values, alike in what they differ along.
    pub(super) fn full_rests(&mut self, outlets: &[OutletId]) -> Result<(Vec<OutletId>, Spread), Why> {
        let spreads = outlets.iter().map(|outlet| self.spread(*outlet)).collect::<Result<Vec<_>, _>>()?;
        let spread = spreads.into_iter().fold(Spread::default(), Spread::with);
        let rests = outlets.iter().map(|outlet| self.full_rest_along(*outlet, spread));
        Ok((rests.collect::<Result<_, _>>()?, spread))
    }

    /// Clones a node of one mosaic input on its rest.
    pub(super) fn clone_rest(&mut self, id: NodeId, node: &Node) -> Result<Vec<Form>, Why> {
        let (rest, spread) = self.full_rest(node.inputs[0])?;
        let mut forms = Vec::new();
        let mut facts = Vec::new();
        for (slot, outlet) in node.outputs.iter().enumerate() {
            let shape = self.rest_shape(OutletId::new(id, slot), spread)?;
            facts.push(Fact::new(outlet.fact.element, shape));
        }
        let inputs =
            node.inputs.iter().enumerate().map(|(i, input)| if i == 0 { rest } else { self.same(*input) });
        let inputs = inputs.collect();
        let cloned = self.patch.add(&format!("{}/rest", node.name), node.op.clone(), inputs, facts);
        for slot in 0..node.outputs.len() {
            forms.push(Form::OneHot { background: Background::Value(OutletId::new(cloned.node, slot)) });
        }
        Ok(forms)
    }

    /// The rest of a Reshape's result.
    pub(super) fn reshaped_rest(&mut self, id: NodeId, node: &Node) -> Result<OutletId, Why> {
        let mut spread = self.spread(node.inputs[0])?;
        // What shares the batch's axis differs along it.
        spread.batch |= self.batch_and_groups(OutletId::new(id, 0))?.1 != Size::Fixed(1);
        let rest = self.full_rest_along(node.inputs[0], spread)?;
        let sizes = self.rest_sizes(OutletId::new(id, 0), spread)?;
        Ok(self.patch.reshape(&format!("{}/rest", node.name), rest, &sizes))
    }

    /// A value less its rest, which makes it zero where a mask blanks.
    pub(super) fn above_rest(&mut self, outlet: OutletId) -> OutletId {
        self.less_rest(outlet, self.hot(outlet))
    }

    /// Tokens before the grid's on the axis of a value's positions.
    pub(super) fn prefix(&self, outlet: OutletId) -> usize {
        let axes = self.labels.get(outlet);
        axes.and_then(|axes| axes.0.iter().map(|axis| axis.prefix).max()).unwrap_or(0)
    }

    /// Checks that a value has positions only.
    pub(super) fn no_prefix(&self, outlet: OutletId) -> Result<(), Why> {
        match self.prefix(outlet) {
            0 => Ok(()),
            _ => Err("tokens that belong to no position take part as well".to_owned()),
        }
    }

    /// `[..]` of a known extent as a fixed size, for weights.
    pub(super) fn fixed(dim: Dim) -> Result<Size, Why> {
        dim.fixed().map(Size::Fixed).ok_or_else(|| "an extent of its weight is not known".to_owned())
    }
}
