//! Where positions end: pooling a one-hot map, or multiplying each position with weights of its own.
//!
//! The result for mask k needs nothing but position k of the map and what stands everywhere else, so the
//! results of all masks are laid out where the positions were.

use super::{Background, Form, Lowering, Why};
use crate::graph::{Node, NodeId, OpKind, OutletId, Size};
use crate::ir::ElementType;
use crate::ops::Reduction;

impl Lowering<'_, '_> {
    /// `out[n,o,k] = sum_c weight[k,o,c] map[n,c,k]`: a product for each position. Background must be zero.
    pub(super) fn per_position_product(
        &mut self,
        id: NodeId,
        node: &Node,
        map: OutletId,
        weight: OutletId,
    ) -> Result<Vec<Form>, Why> {
        if self.rest(map) != Some(Background::Zero) {
            return Err("a value outside the mask meets a weight of its own at every position".to_owned());
        }
        self.vector(OutletId::new(id, 0))?;
        let hint = &node.name;
        let map = self.channels_first(map)?;
        let sizes = self.patch.sizes(map);
        let flat = [sizes[0].clone(), sizes[1].clone(), self.k()];
        let columns = self.patch.reshape(&format!("{hint}/positions"), map, &flat);
        // [K,C,N], so that the positions are the batch of the product.
        let columns = self.patch.transpose(&format!("{hint}/positions"), columns, &[2, 1, 0]);
        let product = self.patch.matmul(hint, weight, columns, (false, false));
        let product = self.patch.transpose(hint, product, &[2, 1, 0]);
        let out = self.patch.sizes(product)[1].clone();
        let (h, w) = self.target.layout.grid.clone();
        let value = self.patch.reshape(hint, product, &[sizes[0].clone(), out, h, w]);
        Ok(vec![Form::PerPosition(value)])
    }

    /// A one-hot map's original as `[N,C,h,w]`.
    fn channels_first(&mut self, outlet: OutletId) -> Result<OutletId, Why> {
        let positions = self.positions(outlet)?;
        let batch = self.batch(outlet)?;
        let fact = self.patch.fact(outlet).clone();
        let others: Vec<usize> =
            (0..fact.rank()).filter(|axis| *axis != batch && !positions.contains(axis)).collect();
        let many: Vec<usize> = others.iter().copied().filter(|axis| !fact.shape[*axis].is_one()).collect();
        if many.len() > 1 {
            return Err("it has more than one axis of channels".to_owned());
        }
        let channels = many.first().map_or(Size::Fixed(1), |axis| self.patch.sizes(outlet)[*axis].clone());
        let order: Vec<usize> = std::iter::once(batch).chain(others).chain(positions).collect();
        let hint = format!("{}/nchw", self.node(outlet).name);
        let batch = self.patch.sizes(outlet)[batch].clone();
        let value = self.patch.transpose(&hint, self.hot(outlet), &order);
        let (h, w) = self.target.layout.grid.clone();
        // A map that has these axes already needs nothing; tokens are laid out again.
        if self.patch.fact(value).rank() == 4 && self.positions(outlet)?.len() == 2 {
            return Ok(value);
        }
        Ok(self.patch.reshape(&hint, value, &[batch, channels, h, w]))
    }

    /// Pooling over all positions: one vector for each mask.
    pub(super) fn pool(
        &mut self,
        id: NodeId,
        map: OutletId,
        reduction: Reduction,
        axes: &[usize],
    ) -> Result<Vec<Form>, Why> {
        self.no_prefix(map)?;
        if self.hot(map) != map {
            return Err("what it pools was computed with blanked tokens".to_owned());
        }
        self.binary_masks()?;
        let positions = self.positions(map)?;
        let fact = self.patch.fact(map).clone();
        if !positions.iter().all(|axis| axes.contains(axis)) {
            return Err("it pools over a part of the positions".to_owned());
        }
        if axes.iter().any(|axis| !positions.contains(axis) && !fact.shape[*axis].is_one()) {
            return Err("it pools over more than the positions".to_owned());
        }
        let node = self.model().node(id);
        let out = OutletId::new(id, 0);
        let value = self.pooled(&node.name, map, reduction, &positions)?;
        let Ok((_, _)) = self.vector(out) else {
            return self.pooled_copies(out, value, &positions).map(|copies| vec![Form::Dense(copies)]);
        };
        let batch = self.batch(map)?;
        let last = positions.iter().max().copied().unwrap_or(0);
        let channels_last = batch == 0 && (last + 1..fact.rank()).any(|axis| !fact.shape[axis].is_one());
        if channels_last {
            return self.pooled_copies(out, value, &positions).map(|copies| vec![Form::Dense(copies)]);
        }
        let value = self.as_nchw(&node.name, map, value)?;
        Ok(vec![Form::PerPosition(value)])
    }

    /// The result for mask k at the place of position k, in the layout of the map.
    fn pooled(
        &mut self,
        hint: &str,
        map: OutletId,
        reduction: Reduction,
        positions: &[usize],
    ) -> Result<OutletId, Why> {
        let element = self.patch.fact(map).element;
        if !element.is_float() {
            return Err("it pools what are no real numbers".to_owned());
        }
        let rest = self.rest(map).unwrap_or(Background::Zero);
        let k = self.k();
        let uniform = match rest {
            Background::Zero => true,
            Background::Value(value) => {
                let rank = self.patch.fact(value).rank();
                let shift = self.patch.fact(map).rank() - rank;
                let shape = &self.patch.fact(value).shape;
                positions.iter().all(|axis| axis.checked_sub(shift).is_none_or(|axis| shape[axis].is_one()))
            }
        };
        Ok(match (reduction, rest) {
            (Reduction::Mean, Background::Zero) => self.over_k(hint, map, &k, element),
            (Reduction::Sum, Background::Zero) => map,
            (Reduction::Mean | Reduction::Sum, Background::Value(rest)) => {
                // hot + (K-1) rest, or hot - rest[k] + sum of rest.
                let sum = if uniform {
                    let count = self.patch.size_float("positions", &k, element);
                    let all = self.patch.binary(&format!("{hint}/rest"), OpKind::Multiply, rest, count);
                    let others = self.patch.binary(&format!("{hint}/rest"), OpKind::Subtract, all, rest);
                    self.patch.binary(hint, OpKind::Add, map, others)
                } else {
                    let rest = self.at_every_position(hint, map, rest, positions);
                    let all =
                        self.patch.reduce(&format!("{hint}/rest"), OpKind::ReduceSum, rest, positions, true);
                    let difference = self.patch.binary(hint, OpKind::Subtract, map, rest);
                    self.patch.binary(hint, OpKind::Add, difference, all)
                };
                if reduction == Reduction::Mean { self.over_k(hint, sum, &k, element) } else { sum }
            }
            (Reduction::Max | Reduction::Min, rest) if uniform => {
                let rest = match rest {
                    Background::Value(rest) => rest,
                    Background::Zero => self.patch.float("zero", element, 0.0),
                };
                let kind = if reduction == Reduction::Max { OpKind::Maximum } else { OpKind::Minimum };
                self.patch.binary(hint, kind, map, rest)
            }
            _ => return Err("no rule for this reduction of a one-hot mosaic".to_owned()),
        })
    }

    /// A rest with all axes of the map and all of its positions, where it differs along some of them.
    fn at_every_position(
        &mut self,
        hint: &str,
        map: OutletId,
        rest: OutletId,
        positions: &[usize],
    ) -> OutletId {
        let hint = format!("{hint}/rest");
        let rank = self.patch.fact(map).rank();
        let missing: Vec<usize> = (0..rank - self.patch.fact(rest).rank()).collect();
        let rest = if missing.is_empty() { rest } else { self.patch.unsqueeze(&hint, rest, &missing) };
        let full = self.patch.sizes(map);
        let mut sizes = self.patch.sizes(rest);
        let mut whole = true;
        for axis in positions {
            whole &= !self.patch.fact(rest).shape[*axis].is_one() || full[*axis] == Size::Fixed(1);
            sizes[*axis] = full[*axis].clone();
        }
        if whole { rest } else { self.patch.broadcast_to(&hint, rest, &sizes) }
    }

    fn over_k(&mut self, hint: &str, value: OutletId, k: &Size, element: ElementType) -> OutletId {
        #[allow(clippy::cast_precision_loss)]
        if let Size::Fixed(k) = k {
            let part = self.patch.float("positions_inverse", element, 1.0 / *k as f32);
            return self.patch.binary(hint, OpKind::Multiply, value, part);
        }
        let count = self.patch.size_float("positions", k, element);
        self.patch.binary(hint, OpKind::Divide, value, count)
    }

    /// A pooled map in its own layout, made `[N,C,h,w]`.
    fn as_nchw(&mut self, hint: &str, map: OutletId, value: OutletId) -> Result<OutletId, Why> {
        if value == map {
            return self.channels_first(map);
        }
        let positions = self.positions(map)?;
        let batch = self.batch(map)?;
        let rank = self.patch.fact(map).rank();
        let others: Vec<usize> =
            (0..rank).filter(|axis| *axis != batch && !positions.contains(axis)).collect();
        let order: Vec<usize> =
            std::iter::once(batch).chain(others.iter().copied()).chain(positions.clone()).collect();
        let sizes = self.patch.sizes(map);
        let channels = Size::product(others.iter().map(|axis| sizes[*axis].clone()));
        let moved = self.patch.transpose(hint, value, &order);
        if rank == 4 && positions.len() == 2 {
            return Ok(moved);
        }
        let (h, w) = self.target.layout.grid.clone();
        Ok(self.patch.reshape(hint, moved, &[sizes[batch].clone(), channels, h, w]))
    }

    /// A pooled map in its own layout as copies: `[N, positions…, rest…]` to the shape of `out` with N·K.
    fn pooled_copies(
        &mut self,
        out: OutletId,
        value: OutletId,
        positions: &[usize],
    ) -> Result<OutletId, Why> {
        let rank = self.patch.fact(value).rank();
        let others: Vec<usize> = (1..rank).filter(|axis| !positions.contains(axis)).collect();
        if self.batch(out)? != 0 || positions.contains(&0) {
            return Err("the batch is not its first axis".to_owned());
        }
        let order: Vec<usize> = std::iter::once(0).chain(positions.iter().copied()).chain(others).collect();
        let hint = self.node(out).name.clone();
        let moved = self.patch.transpose(&hint, value, &order);
        let sizes = self.dense_sizes(out)?;
        Ok(self.patch.reshape(&hint, moved, &sizes))
    }
}
