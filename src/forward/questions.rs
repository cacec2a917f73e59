//! Questions about the values of a head. Nothing here adds a node.

use super::form::{Background, Form};
use super::mask::Mask;
use super::memory::element_bytes;
use super::values::Values;
use super::why::Why;
use crate::analysis::{Atom, Axes, Labels, Role, Target};
use crate::graph::{Fact, Node, OutletId, Size};
use crate::ir::{Dim, Shape};
use crate::model::Model;
use crate::patch::Patch;

/// Everything that is known while a head is evaluated, to be looked at only.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) model: &'a Model,
    pub(super) patch: &'a Patch<'a>,
    pub(super) labels: &'a Labels,
    pub(super) target: &'a Target,
    pub(super) mask: Mask,
    pub(super) values: &'a Values,
}

/// Along which axes, channels aside, a background differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spread {
    /// Between samples.
    pub(super) batch: bool,
    /// Between positions.
    pub(super) positions: bool,
}

impl Spread {
    /// Along what either of two differs.
    pub(super) fn with(self, other: Self) -> Self {
        Self { batch: self.batch || other.batch, positions: self.positions || other.positions }
    }
}

/// Values and their forms.
impl<'a> View<'a> {
    /// The operation that makes a value in the original.
    pub(super) fn node(self, outlet: OutletId) -> &'a Node {
        self.model.node(outlet.node)
    }

    /// Type and shape of a value of the original or the patch.
    pub(super) fn fact(self, outlet: OutletId) -> &'a Fact {
        self.patch.fact(outlet)
    }

    /// The form of a value; `None` where it does not depend on the mask.
    pub(super) fn form(self, outlet: OutletId) -> Option<&'a Form> {
        self.values.form(outlet)
    }

    /// Whether a value depends on the mask.
    pub(super) fn masked(self, outlet: OutletId) -> bool {
        self.form(outlet).is_some()
    }

    /// Whether any operation of the original reads a value.
    pub(super) fn is_read(self, outlet: OutletId) -> bool {
        let mut users = self.model.graph().users(outlet.node).iter();
        users.any(|user| self.model.node(*user).inputs.contains(&outlet))
    }

    /// What stands at the blanked positions of a one-hot value; `None` where a value has another form.
    pub(super) fn background(self, outlet: OutletId) -> Option<Background> {
        match self.form(outlet) {
            Some(Form::OneHot { background }) => Some(*background),
            _ => None,
        }
    }

    /// A value as it is where no mask blanks it: of one that no mask touches, what it is under all of them.
    pub(super) fn unblanked(self, outlet: OutletId) -> OutletId {
        self.values.replaced.get(&outlet).copied().unwrap_or(outlet)
    }

    /// Whether a masked value is known only weight by weight.
    pub(super) fn nonlinear(self, outlet: OutletId) -> bool {
        self.values.at_weights.contains_key(&outlet)
    }

    /// Number of masks.
    pub(super) fn k(self) -> Size {
        self.target.layout.count()
    }

    /// Checks that only the first input depends on the mask.
    pub(super) fn only_first(self, node: &Node) -> Result<(), Why> {
        match node.inputs.iter().skip(1).any(|input| self.masked(*input)) {
            true => Err(Why::MaskedParameter),
            false => Ok(()),
        }
    }

    /// Checks that every parameter of a function is one number: which axis others belong to (the slope
    /// of a `PRelu`) depends on the extents of the data.
    pub(super) fn plain_parameters(self, node: &Node) -> Result<(), Why> {
        match node.inputs.iter().skip(1).all(|input| self.plain(*input)) {
            true => Ok(()),
            false => Err(Why::ParameterForEachChannel),
        }
    }

    /// Whether a value is one number.
    pub(super) fn plain(self, outlet: OutletId) -> bool {
        self.fact(outlet).shape.iter().all(|dim| dim.is_one())
    }
}

/// What the axes of a value are.
impl<'a> View<'a> {
    fn axes(self, outlet: OutletId) -> Option<&'a Axes> {
        self.labels.get(outlet)
    }

    /// Axes of the positions, which must carry nothing else.
    pub(super) fn positions(self, outlet: OutletId) -> Result<Vec<usize>, Why> {
        let axes = self.axes(outlet).ok_or(Why::PositionsUnknown)?;
        let positional = axes.positional();
        let mut count = Some(1usize);
        let mut atoms: Vec<Atom> = Vec::new();
        for &axis in &positional {
            let entry = &axes.0[axis];
            if !entry.atoms.iter().all(|atom| matches!(atom.role, Role::Height | Role::Width)) {
                return Err(Why::PositionsShared);
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
            return Err(Why::PositionsReordered);
        }
        match (count, self.k().dim()) {
            _ if positional.is_empty() => Err(Why::PositionsLost),
            (Some(count), Dim::Fixed(k)) if count != k => Err(Why::GridChanges),
            _ => Ok(positional),
        }
    }

    /// Whether a value still has positions, as far as is known.
    pub(super) fn positional(self, outlet: OutletId) -> bool {
        self.axes(outlet).is_none_or(|axes| !axes.positional().is_empty())
    }

    /// Tokens before the grid's on the axis of a value's positions.
    pub(super) fn prefix(self, outlet: OutletId) -> usize {
        let axes = self.axes(outlet);
        axes.and_then(|axes| axes.0.iter().map(|axis| axis.prefix).max()).unwrap_or(0)
    }

    /// Checks that a value has positions only.
    pub(super) fn no_prefix(self, outlet: OutletId) -> Result<(), Why> {
        match self.prefix(outlet) {
            0 => Ok(()),
            _ => Err(Why::PrefixTakesPart),
        }
    }

    /// The axis of the batch.
    pub(super) fn batch(self, outlet: OutletId) -> Result<usize, Why> {
        self.axes(outlet).and_then(Axes::batch).ok_or(Why::BatchUnknown)
    }

    /// The factors of the batch's axis, and which of them the batch is.
    pub(super) fn batch_atoms(self, outlet: OutletId) -> Result<(&'a [Atom], usize), Why> {
        let batch = self.batch(outlet)?;
        let atoms = self.axes(outlet).map_or(&[][..], |axes| &axes.0[batch].atoms);
        let at = atoms.iter().position(|atom| atom.role == Role::Batch).ok_or(Why::BatchLost)?;
        Ok((atoms, at))
    }

    /// The batch, and what stands inside of it on the same axis: the heads of `[N * heads, tokens, channels]`.
    pub(super) fn batch_and_groups(self, outlet: OutletId) -> Result<(Size, Size), Why> {
        let (atoms, at) = self.batch_atoms(outlet)?;
        if !atoms[..at].iter().all(|atom| atom.size.is_one()) {
            return Err(Why::OutsideOfBatch);
        }
        let inside = extent_of(&atoms[at + 1..])?;
        let samples = match atoms[at].size {
            Dim::Fixed(samples) => Size::Fixed(samples),
            Dim::Dynamic => Size::Of(self.target.outlet, self.target.layout.batch),
        };
        Ok((samples, inside))
    }

    /// Checks that none of `axes` carries positions or the batch.
    pub(super) fn apart(self, outlet: OutletId, axes: &[usize]) -> Result<(), Why> {
        let positions = self.positions(outlet)?;
        let batch = self.batch(outlet)?;
        match axes.iter().find(|axis| positions.contains(axis) || **axis == batch) {
            Some(axis) if *axis == batch => Err(Why::WorksAlongBatchAxis(*axis)),
            Some(axis) => Err(Why::MixesPositions(*axis)),
            None => Ok(()),
        }
    }

    /// Checks that none of `axes` is the batch.
    pub(super) fn not_batch(self, outlet: OutletId, axes: &[usize]) -> Result<(), Why> {
        match axes.contains(&self.batch(outlet)?) {
            true => Err(Why::WorksAlongBatch),
            false => Ok(()),
        }
    }

    /// Axes of batch and channels where every other axis has extent 1.
    pub(super) fn vector(self, outlet: OutletId) -> Result<(usize, usize), Why> {
        let axes = self.axes(outlet).ok_or(Why::BatchUnknown)?;
        let batch = axes.batch().filter(|axis| axes.0[*axis].atoms.len() == 1).ok_or(Why::BatchShared)?;
        let shape = &self.fact(outlet).shape;
        let others: Vec<usize> = (0..shape.len()).filter(|axis| *axis != batch).collect();
        let many: Vec<usize> = others.iter().copied().filter(|axis| !shape[*axis].is_one()).collect();
        match (&many[..], &others[..]) {
            ([channel], _) | ([], [channel, ..]) => Ok((batch, *channel)),
            _ => Err(Why::NoVector),
        }
    }
}

/// Extents.
impl View<'_> {
    /// The original's extents, with unknown ones read from the original at inference; the batch from the
    /// target, which is there in any case.
    pub(super) fn original_sizes(self, outlet: OutletId) -> Vec<Size> {
        let mut sizes = self.patch.sizes(outlet);
        let batch = self.axes(outlet).and_then(|axes| {
            let batch = axes.batch()?;
            (axes.0[batch].atoms.len() == 1).then_some(batch)
        });
        if let Some(size @ Size::Of(..)) = batch.map(|batch| &mut sizes[batch]) {
            *size = Size::Of(self.target.outlet, self.target.layout.batch);
        }
        sizes
    }

    /// The extents of a value's copies: the original's, with N·K for N.
    pub(super) fn copies_sizes(self, outlet: OutletId) -> Result<Vec<Size>, Why> {
        let batch = self.batch(outlet)?;
        let mut sizes = self.original_sizes(outlet);
        sizes[batch] = Size::product([sizes[batch].clone(), self.k()]);
        Ok(sizes)
    }

    /// Type and shape of a value's copies.
    pub(super) fn copies_fact(self, outlet: OutletId) -> Result<Fact, Why> {
        Ok(Fact::new(self.fact(outlet).element, shape_of(&self.copies_sizes(outlet)?)))
    }

    /// Bytes of a value's copies, an unknown batch counted as one sample; `None` where another extent is not known.
    pub(super) fn copies_bytes(self, outlet: OutletId) -> Option<u64> {
        let fact = self.model.graph().fact(outlet);
        let batch = self.axes(outlet).and_then(Axes::batch);
        let each = fact.shape.iter().enumerate().try_fold(1u64, |elements, (axis, dim)| {
            let extent = if batch == Some(axis) { dim.fixed().unwrap_or(1) } else { dim.fixed()? };
            elements.checked_mul(extent as u64)
        });
        let masks = self.k().dim().fixed().map(|k| k as u64);
        let (each, masks) = each.zip(masks)?;
        each.checked_mul(masks)?.checked_mul(element_bytes(fact))
    }

    /// Along what the background of a one-hot value differs.
    pub(super) fn spread(self, outlet: OutletId) -> Result<Spread, Why> {
        let Some(Background::Value(value)) = self.background(outlet) else { return Ok(Spread::default()) };
        let have = &self.fact(value).shape;
        let rank = self.fact(outlet).rank();
        let along = |axis: usize| {
            (axis + have.len())
                .checked_sub(rank)
                .and_then(|axis| have.get(axis))
                .is_some_and(|dim| !dim.is_one())
        };
        let positions = self.positions(outlet)?.into_iter().any(along);
        Ok(Spread { batch: along(self.batch(outlet)?), positions })
    }

    /// Extents of a background that has all channels of a value: batch and positions are 1 where it does not
    /// differ along them.
    pub(super) fn background_sizes(self, outlet: OutletId, spread: Spread) -> Result<Vec<Size>, Why> {
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

    /// Checks that masks can weigh the elements of a value.
    pub(super) fn real(self, outlet: OutletId) -> Result<(), Why> {
        match self.fact(outlet).element.is_float() {
            true => Ok(()),
            false => Err(Why::NoRealNumbers),
        }
    }
}

/// Distinct tokens: how many there are.
impl View<'_> {
    /// Number of masks, where it is known before inference.
    pub(super) fn known_k(self) -> Result<usize, Why> {
        self.k().dim().fixed().ok_or(Why::UnknownGrid)
    }

    /// Rows that stand for all tokens of a value: those before the grid's, those that a mask keeps, and one that stands
    /// for all others.
    pub(super) fn distinct_rows(self, prefix: usize) -> usize {
        prefix + self.mask.kept_each() + 1
    }

    /// Whether all operands of a node that depend on the mask are masked tokens, few of which differ.
    pub(super) fn few_distinct(self, node: &Node) -> bool {
        let mut masked = node.inputs.iter().filter(|input| self.masked(**input)).peekable();
        let few = |outlet: &OutletId| {
            let prefix = self.prefix(*outlet);
            let tokens = self.k().dim().fixed().map(|k| k + prefix);
            self.background(*outlet).is_some()
                && tokens.is_some_and(|tokens| 2 * self.distinct_rows(prefix) <= tokens)
        };
        masked.peek().is_some() && masked.all(few)
    }

    /// Extents of a value's copies with distinct tokens on `axes`.
    pub(super) fn distinct_sizes(self, outlet: OutletId, axes: &[usize]) -> Result<Vec<Size>, Why> {
        let mut sizes = self.copies_sizes(outlet)?;
        for axis in axes {
            // An attention's keys have no label of their own; they are as many as its queries.
            let tokens = self.fact(outlet).shape[*axis].fixed().ok_or(Why::UnknownTokens)?;
            let prefix = tokens.checked_sub(self.known_k()?).ok_or(Why::NotOverTokens)?;
            sizes[*axis] = Size::Fixed(self.distinct_rows(prefix));
        }
        Ok(sizes)
    }

    /// How many tokens each distinct one stands for, `[K, rows]`.
    pub(super) fn distinct_counts(self, prefix: usize) -> Result<Vec<f32>, Why> {
        Ok(self.mask.kept(&self.target.layout.grid)?.counts(prefix))
    }
}

/// The extent of some factors of an axis.
pub(super) fn extent_of(atoms: &[Atom]) -> Result<Size, Why> {
    let sizes = atoms.iter().map(Atom::extent).collect::<Option<Vec<_>>>();
    sizes.map(Size::product).ok_or(Why::UnknownBesideBatch)
}

/// Extents as a shape.
pub(super) fn shape_of(sizes: &[Size]) -> Shape {
    sizes.iter().map(Size::dim).collect()
}
