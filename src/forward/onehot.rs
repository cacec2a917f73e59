//! Transfer rules of the one-hot form.
//!
//! An operation that treats positions one by one leaves the value at k what it is in the original
//! graph; only `rest` has to be worked out, and that has no positions. Pooling over all positions
//! gives one vector for each k.

use super::{Background, Form, Lowering, Why};
use crate::analysis::{Atom, Role};
use crate::graph::{Node, NodeId, OpKind, OutletId, Size};
use crate::ir::Dim;
use crate::ops::{Action, Extent, Reduction, Selection, Window, WindowKind, Zero, is_linear};

impl Lowering<'_, '_> {
    pub(super) fn onehot_node(&mut self, id: NodeId, node: &Node, action: &Action) -> Result<Vec<Form>, Why> {
        let Some(&first) = node.inputs.first() else { return Err("it has no inputs".to_owned()) };
        match action {
            Action::Elementwise(zero) => self.elementwise(id, node, *zero),
            Action::Pointwise(zero) => {
                self.only_first(node)?;
                if !is_linear(&node.op.kind, &[true]) {
                    self.bends();
                }
                match self.rest(first) {
                    Some(Background::Zero) if *zero == Zero::Kept => self.one(id, Background::Zero),
                    _ => {
                        self.plain_parameters(node)?;
                        self.clone_rest(id, node)
                    }
                }
            }
            Action::Within { axes, zero } => {
                self.only_first(node)?;
                if self.softmax_over_positions(first, node, axes) {
                    return self.attention_weights(id, node, first);
                }
                self.apart(first, axes)?;
                self.bends();
                match self.rest(first) {
                    Some(Background::Zero) if *zero == Zero::Kept => self.one(id, Background::Zero),
                    _ => self.clone_rest(id, node),
                }
            }
            Action::Reduce { reduction, axes, .. } => {
                let positions = self.positions(first)?;
                if positions.iter().any(|axis| axes.contains(axis)) {
                    return self.pool(id, first, *reduction, axes);
                }
                self.apart(first, axes)?;
                if !matches!(reduction, Reduction::Mean | Reduction::Sum) {
                    self.bends();
                }
                self.clone_rest(id, node)
            }
            Action::Window(Window { kind, extent }) => self.window(id, node, *kind, *extent),
            Action::MatMul { transpose_a, transpose_b } => self.matmul(id, node, *transpose_a, *transpose_b),
            Action::Transpose { order } => {
                self.positions(OutletId::new(id, 0))?;
                match self.rest(first) {
                    Some(Background::Zero) => self.one(id, Background::Zero),
                    _ => {
                        let (rest, _) = self.full_rest(first)?;
                        let rest = self.patch.transpose(&format!("{}/rest", node.name), rest, order);
                        self.one(id, Background::Value(rest))
                    }
                }
            }
            Action::Reshape => self.reshape(id, node, first),
            Action::Select(parts) => self.pick_onehot(id, node, first, parts),
            Action::Concat { axis } => self.concat(id, node, *axis),
            Action::Attention => self.attention(id, node),
            Action::Resample { .. } => Err("it moves positions".to_owned()),
            Action::ShapeOf | Action::Opaque | Action::Unfold { .. } => {
                Err("no rule for this operation on a one-hot mosaic".to_owned())
            }
        }
    }

    fn one(&self, id: NodeId, rest: Background) -> Result<Vec<Form>, Why> {
        self.positions(OutletId::new(id, 0))?;
        Ok(vec![Form::OneHot { background: rest }])
    }

    /// Axes of the positions, which must carry nothing else.
    pub(super) fn positions(&self, outlet: OutletId) -> Result<Vec<usize>, Why> {
        let axes = self.labels.get(outlet).ok_or("which of its axes are height and width is lost here")?;
        let positional = axes.positional();
        let mut count = Some(1usize);
        let mut atoms: Vec<Atom> = Vec::new();
        for &axis in &positional {
            let entry = &axes.0[axis];
            if entry.atoms.iter().any(|atom| !matches!(atom.role, Role::Height | Role::Width)) {
                return Err("positions share an axis with something else".to_owned());
            }
            for atom in &entry.atoms {
                count = count.and_then(|count: usize| count.checked_mul(atom.size.fixed()?));
            }
            atoms.extend(&entry.atoms);
        }
        // Rows before columns, each from its coarsest part to its finest: position k is where it was.
        let in_order = atoms.windows(2).all(|pair| match (pair[0].role, pair[1].role) {
            (Role::Height, Role::Width) => true,
            (a, b) if a == b => {
                pair[1].size.fixed().and_then(|size| size.checked_mul(pair[1].stride)) == Some(pair[0].stride)
            }
            _ => false,
        });
        if !in_order {
            return Err("its positions are not in the order of the target's".to_owned());
        }
        match (count, self.k().dim()) {
            _ if positional.is_empty() => Err("height and width are lost here".to_owned()),
            (Some(count), Dim::Fixed(k)) if count != k => Err("the grid changes here".to_owned()),
            _ => Ok(positional),
        }
    }

    pub(super) fn batch(&self, outlet: OutletId) -> Result<usize, Why> {
        let axes = self.labels.get(outlet).ok_or("which of its axes is the batch is lost here")?;
        axes.batch().ok_or_else(|| "which of its axes is the batch is lost here".to_owned())
    }

    /// The batch, and what stands inside of it on the same axis: the heads of `[N * heads, tokens, channels]`.
    pub(super) fn batch_and_groups(&self, outlet: OutletId) -> Result<(Size, Size), Why> {
        let batch = self.batch(outlet)?;
        let atoms = self.labels.get(outlet).map_or(&[][..], |axes| &axes.0[batch].atoms);
        let at = atoms.iter().position(|atom| atom.role == Role::Batch).ok_or("the batch is lost here")?;
        if !atoms[..at].iter().all(|atom| atom.size.is_one()) {
            return Err("something stands outside of the batch on its axis".to_owned());
        }
        let inside = atoms[at + 1..].iter().map(Atom::extent).collect::<Option<Vec<_>>>();
        let inside = inside.map(Size::product).ok_or("an extent beside the batch is not known")?;
        let samples = match atoms[at].size {
            Dim::Fixed(samples) => Size::Fixed(samples),
            Dim::Dynamic => Size::Of(self.target.outlet, self.target.layout.batch),
        };
        Ok((samples, inside))
    }

    /// Checks that none of `axes` carries positions or the batch.
    pub(super) fn apart(&self, outlet: OutletId, axes: &[usize]) -> Result<(), Why> {
        let positions = self.positions(outlet)?;
        let batch = self.batch(outlet)?;
        match axes.iter().find(|axis| positions.contains(axis) || **axis == batch) {
            Some(axis) if *axis == batch => Err(format!("it works along the batch (axis {axis})")),
            Some(axis) => Err(format!("it mixes positions (axis {axis})")),
            None => Ok(()),
        }
    }

    /// Checks that only the first input depends on the mask.
    pub(super) fn only_first(&self, node: &Node) -> Result<(), Why> {
        match node.inputs.iter().skip(1).any(|input| self.form(*input).is_some()) {
            true => Err("a parameter of it depends on the masked features".to_owned()),
            false => Ok(()),
        }
    }

    /// Checks that every parameter of a function is one number: which axis others belong to (the slope
    /// of a `PRelu`) depends on the extents of the data.
    pub(super) fn plain_parameters(&self, node: &Node) -> Result<(), Why> {
        let plain = |input: &OutletId| self.patch.fact(*input).shape.iter().all(|dim| dim.is_one());
        match node.inputs.iter().skip(1).all(plain) {
            true => Ok(()),
            false => Err("it has a parameter for each channel".to_owned()),
        }
    }

    fn elementwise(&mut self, id: NodeId, node: &Node, zero: Zero) -> Result<Vec<Form>, Why> {
        let out = OutletId::new(id, 0);
        self.positions(out)?;
        // Two mosaics must agree on where their positions are.
        for input in node.inputs.iter().filter(|input| self.form(**input).is_some()) {
            let rank = self.patch.fact(*input).rank();
            let shift = node.outputs[0].fact.rank() - rank;
            let positions: Vec<usize> = self.positions(*input)?.iter().map(|axis| axis + shift).collect();
            if positions != self.positions(out)? {
                return Err("its operands have their positions on different axes".to_owned());
            }
        }
        let varies: Vec<bool> = node.inputs.iter().map(|input| self.form(*input).is_some()).collect();
        if !is_linear(&node.op.kind, &varies) {
            self.bends();
        }
        let is_zero = |this: &Self, i: usize| {
            node.inputs.get(i).is_some_and(|input| this.rest(*input) == Some(Background::Zero))
        };
        let all = 0..node.inputs.len();
        let stays = match zero {
            Zero::Kept | Zero::All => all.clone().all(|i| is_zero(self, i)),
            Zero::Absorbing => all.clone().any(|i| is_zero(self, i)),
            Zero::First => is_zero(self, 0),
            Zero::Lost => false,
        };
        if stays {
            return self.one(id, Background::Zero);
        }
        let mut inputs = Vec::new();
        for input in &node.inputs {
            inputs.push(match self.rest(*input) {
                // FakeQuantize, for one, wants its data in full.
                Some(_) if zero == Zero::Lost => self.full_rest(*input)?.0,
                Some(Background::Value(value)) => value,
                Some(Background::Zero) => {
                    let element = self.patch.fact(*input).element;
                    self.patch.float("zero", element, 0.0)
                }
                None => self.same(*input),
            });
        }
        let zeros = |this: &Self, i: usize| is_zero(this, i);
        // 0 + s is s.
        if node.op.kind == OpKind::Add
            && inputs.len() == 2
            && let Some(i) = (0..2).find(|i| zeros(self, 1 - *i))
        {
            return self.one(id, Background::Value(inputs[i]));
        }
        let element = node.outputs[0].fact.element;
        let rest = self.patch.elementwise(&format!("{}/rest", node.name), node.op.clone(), inputs, element);
        self.one(id, Background::Value(rest))
    }

    fn concat(&mut self, id: NodeId, node: &Node, axis: usize) -> Result<Vec<Form>, Why> {
        let out = OutletId::new(id, 0);
        for input in node.inputs.iter().filter(|input| self.form(**input).is_some()) {
            if self.positions(*input)? != self.positions(out)? {
                return Err("its operands have their positions on different axes".to_owned());
            }
        }
        if self.positions(out)?.contains(&axis) {
            return self.behind_prefix(id, node, axis);
        }
        self.apart(out, &[axis])?;
        if node.inputs.iter().all(|input| self.rest(*input) == Some(Background::Zero)) {
            return self.one(id, Background::Zero);
        }
        if node.inputs.iter().any(|input| self.form(*input).is_none()) {
            return Err("it joins masked features with others".to_owned());
        }
        let (parts, _) = self.full_rests(&node.inputs)?;
        let rest = self.patch.concat(&format!("{}/rest", node.name), &parts, axis);
        self.one(id, Background::Value(rest))
    }

    /// Tokens that are not masked put before those that are: a class token.
    fn behind_prefix(&mut self, id: NodeId, node: &Node, axis: usize) -> Result<Vec<Form>, Why> {
        let others = || Err("it joins masked positions with others".to_owned());
        let Some((last, before)) = node.inputs.split_last() else { return others() };
        let out = OutletId::new(id, 0);
        if !self.mask.class_token
            || before.iter().any(|input| self.form(*input).is_some())
            || self.form(*last).is_none()
            || self.prefix(out) == self.prefix(*last)
        {
            return others();
        }
        if self.rest(*last) == Some(Background::Zero) {
            return self.one(id, Background::Zero);
        }
        let (rest, spread) = self.full_rest(*last)?;
        if !spread.positions {
            return self.one(id, Background::Value(rest));
        }
        // What stands at those tokens has no weight.
        let mut sizes = self.patch.sizes(rest);
        sizes[axis] = Size::Fixed(self.prefix(out) - self.prefix(*last));
        let hint = format!("{}/rest", node.name);
        let element = self.patch.fact(rest).element;
        let zero = self.patch.float(&hint, element, 0.0);
        let zeros = self.patch.broadcast_to(&hint, zero, &sizes);
        let rest = self.patch.concat(&hint, &[zeros, rest], axis);
        self.one(id, Background::Value(rest))
    }

    fn pick_onehot(
        &mut self,
        id: NodeId,
        node: &Node,
        first: OutletId,
        parts: &[Vec<Selection>],
    ) -> Result<Vec<Form>, Why> {
        let positions = self.positions(first)?;
        let along = parts.iter().flatten().find(|pick| positions.contains(&pick.axis));
        if along.is_none() {
            for picks in parts {
                self.apart(first, &picks.iter().map(|pick| pick.axis).collect::<Vec<_>>())?;
            }
            if self.rest(first) == Some(Background::Zero) {
                return Ok(vec![Form::OneHot { background: Background::Zero }; node.outputs.len()]);
            }
        }
        let (rest, spread) = self.full_rest(first)?;
        if let Some(pick) = along {
            // Only tokens before the grid's may go.
            let (prefix, out) = (self.prefix(first), OutletId::new(id, 0));
            let grid_stays = pick.to_end && pick.step == 1 && pick.start.is_some_and(|start| start <= prefix);
            if !grid_stays || pick.drops || !matches!(parts, [picks] if picks.len() == 1) {
                return Err(format!("it takes a part of the positions (axis {})", pick.axis));
            }
            if self.rest(first) == Some(Background::Zero) {
                return self.one(out.node, Background::Zero);
            }
            if !spread.positions {
                return self.one(out.node, Background::Value(rest));
            }
        }
        let shape = |this: &Self, slot: usize| this.rest_shape(OutletId::new(id, slot), spread);
        let rests = self.pick(node, parts, rest, shape)?;
        Ok(rests.into_iter().map(|rest| Form::OneHot { background: Background::Value(rest) }).collect())
    }

    /// Tokens before the grid's, picked from a masked value: no mask changes them. `None` where that is not
    /// what a node does.
    pub(super) fn prefix_tokens(&mut self, id: NodeId, node: &Node, action: &Action) -> Option<OutletId> {
        let Action::Select(parts) = action else { return None };
        let [picks] = &parts[..] else { return None };
        let ([pick], first) = (&picks[..], *node.inputs.first()?) else { return None };
        self.rest(first)?;
        let start = pick.start.filter(|_| pick.drops || pick.step == 1)?;
        let length = if pick.drops { 1 } else { node.outputs[0].fact.shape.get(pick.axis)?.fixed()? };
        let prefix = self.labels.get(first)?.0.get(pick.axis)?.prefix;
        let out = OutletId::new(id, 0);
        match start.checked_add(length)? <= prefix {
            true if self.mask.class_token => Some(out),
            true => {
                // Blanked like the others.
                let (rest, spread) = self.full_rest(first).ok()?;
                if spread.positions {
                    return None;
                }
                let hint = format!("{}/blank", node.name);
                let rest = if pick.drops { self.patch.squeeze(&hint, rest, &[pick.axis]) } else { rest };
                let sizes = self.original_sizes(out);
                Some(self.patch.broadcast_to(&hint, rest, &sizes))
            }
            false => None,
        }
    }

    fn reshape(&mut self, id: NodeId, node: &Node, first: OutletId) -> Result<Vec<Form>, Why> {
        let out = OutletId::new(id, 0);
        match self.rest(first) {
            // Positions may share an axis with channels (a flattened map) while nothing is added to them.
            Some(Background::Zero) if self.positional(out) && self.labels.get(out).is_some() => {
                Ok(vec![Form::OneHot { background: Background::Zero }])
            }
            _ => {
                let rest = self.reshaped_rest(id, node)?;
                self.one(id, Background::Value(rest))
            }
        }
    }

    fn window(
        &mut self,
        id: NodeId,
        node: &Node,
        kind: WindowKind,
        extent: Extent,
    ) -> Result<Vec<Form>, Why> {
        let first = node.inputs[0];
        self.only_first(node)?;
        match (kind, extent) {
            (WindowKind::Pool(reduction), Extent::Whole) => {
                let axes: Vec<usize> = (2..node.outputs[0].fact.rank()).collect();
                self.pool(id, first, reduction, &axes)
            }
            (WindowKind::Pool(_), Extent::Point) => {
                let rest = self.rest(first).unwrap_or(Background::Zero);
                self.one(id, rest)
            }
            (WindowKind::Convolution, Extent::Whole) => {
                self.binary_masks()?;
                // [O,C,h,w]: for each position the [O,C] matrix that meets it.
                let weight = node.inputs[1];
                let shape = self.patch.fact(weight).shape.clone();
                let positions =
                    Size::product(shape[2..].iter().filter_map(|dim| dim.fixed()).map(Size::Fixed));
                let sizes = [Self::fixed(shape[0])?, Self::fixed(shape[1])?, positions];
                let hint = format!("{}/weight", node.name);
                let weight = self.patch.reshape(&hint, weight, &sizes);
                let weight = self.patch.transpose(&hint, weight, &[2, 0, 1]);
                self.per_position_product(id, node, first, weight)
            }
            (_, Extent::Point) => match self.rest(first) {
                Some(Background::Zero) => self.one(id, Background::Zero),
                _ => self.clone_rest(id, node),
            },
            _ => Err("its kernel reaches from one position to others".to_owned()),
        }
    }

    fn matmul(&mut self, id: NodeId, node: &Node, ta: bool, tb: bool) -> Result<Vec<Form>, Why> {
        let [a, b] = node.inputs[..] else { return Err("it has not two operands".to_owned()) };
        let (value, other, transposed, left) = match (self.rest(a), self.rest(b)) {
            (Some(_), Some(_)) => return Err("it multiplies masked features with each other".to_owned()),
            (Some(_), None) => (a, b, ta, true),
            _ => (b, a, !tb, false),
        };
        let other = self.same(other);
        let rank = self.patch.fact(value).rank();
        if rank < 2 || self.patch.fact(other).rank() < 2 {
            return Err("an operand has less than two axes".to_owned());
        }
        let contracted = if transposed { rank - 2 } else { rank - 1 };
        if left && self.flattened(value, contracted) {
            return self.flattened_product(id, node, value, other, tb, contracted);
        }
        self.apart(value, &[contracted])?;
        match self.rest(value) {
            Some(Background::Zero) => self.one(id, Background::Zero),
            _ => {
                // Queries differ between samples, and so does what they make of the rest.
                let (rest, _) = self.full_rest(value)?;
                let (a, b) = if left { (rest, other) } else { (other, rest) };
                let rest = self.patch.matmul(&format!("{}/rest", node.name), a, b, (ta, tb));
                self.one(id, Background::Value(rest))
            }
        }
    }

    /// Whether an axis is positions and channels together: a flattened map.
    fn flattened(&self, outlet: OutletId, axis: usize) -> bool {
        self.labels.get(outlet).is_some_and(|axes| axes.0[axis].positional())
    }

    /// A flattened map times a matrix: for each position, the rows of the matrix that meet it.
    fn flattened_product(
        &mut self,
        id: NodeId,
        node: &Node,
        value: OutletId,
        weight: OutletId,
        transpose: bool,
        axis: usize,
    ) -> Result<Vec<Form>, Why> {
        self.binary_masks()?;
        if self.patch.fact(weight).rank() != 2
            || self.labels.get(value).is_none_or(|axes| axes.positional() != [axis])
        {
            return Err("it multiplies along positions".to_owned());
        }
        let atoms = self.labels.get(value).map(|axes| axes.0[axis].atoms.clone()).unwrap_or_default();
        let roles: Vec<Role> = atoms.iter().map(|atom| atom.role).collect();
        let channels_first = match roles[..] {
            [Role::Other, Role::Height, Role::Width] => true,
            [Role::Height, Role::Width, Role::Other] => false,
            _ => return Err("positions and channels are interleaved".to_owned()),
        };
        let k = fixed_size(&self.k())?;
        let other = atoms[if channels_first { 0 } else { 2 }].size;
        let shape = self.patch.fact(weight).shape.clone();
        let out = Self::fixed(if transpose { shape[0] } else { shape[1] })?;
        let channels = Self::fixed(other)?;
        let hint = format!("{}/weight", node.name);
        // To [K,O,C], from [O, C·K] or [C·K, O] with either order inside.
        let (sizes, order) = match (transpose, channels_first) {
            (true, true) => ([out, channels, k], [2, 0, 1]),
            (true, false) => ([out, k, channels], [1, 0, 2]),
            (false, true) => ([channels, k, out], [1, 2, 0]),
            (false, false) => ([k, channels, out], [0, 2, 1]),
        };
        let weight = self.patch.reshape(&hint, weight, &sizes);
        let weight = self.patch.transpose(&hint, weight, &order);
        let source = self.unflattened(value).ok_or("the map behind the flattened one was not found")?;
        self.per_position_product(id, node, source, weight)
    }

    /// The feature map that was flattened into `outlet`: positions on axes of their own.
    fn unflattened(&self, outlet: OutletId) -> Option<OutletId> {
        let mut at = outlet;
        while self.positions(at).is_err() {
            let node = self.node(at);
            if !node.op.kind.is_reshape() {
                return None;
            }
            at = *node.inputs.first()?;
        }
        Some(at)
    }
}

fn fixed_size(size: &Size) -> Result<Size, Why> {
    match size {
        Size::Fixed(_) => Ok(size.clone()),
        _ => Err("the number of positions is not known, but its weight depends on it".to_owned()),
    }
}
