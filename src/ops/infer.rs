//! Symbolic shapes: how the dimensions of a result follow from those of the operands.
//!
//! A file gives numbers, or nothing at all, for dimensions; what OpenVINO cannot tell before inference is written as
//! unknown even where it is the same as another unknown one, or a number of its parts. Here each unknown dimension has a
//! symbol, and most follow from an operation's [`Action`]. Semantics: OpenVINO operation sets 1 to 16.

use super::constants::Constants;
use super::extents::{Elements, Known};
use super::fold;
use super::window::{kernel, rounds_up};
use super::{Action, Equation, Selection, Window, WindowKind};
use crate::graph::{Node, NodeId, OpKind, OutletId, SymInt, Symbols};
use crate::ir::Dim;

type Dims = Vec<SymInt>;

/// What is known of all outputs of a node.
pub(super) fn known(
    constants: Constants<'_>,
    id: NodeId,
    node: &Node,
    action: &Action,
    symbols: &mut Symbols,
) -> Vec<Known> {
    let outlets = node.outputs.iter().enumerate().map(|(slot, outlet)| {
        let declared = &outlet.fact.shape;
        let open = declared.contains(&Dim::Dynamic);
        let inferred = if open { Rule { constants, node, slot }.dims(action, symbols) } else { None };
        let inferred = inferred.filter(|dims| dims.len() == declared.len());
        learn(constants, node, action, symbols);
        let settled = node.op.kind == OpKind::Parameter || matches!(action, Action::Window(_));
        let dims: Dims = declared
            .iter()
            .enumerate()
            .map(|(axis, dim)| match (dim, inferred.as_ref().map(|dims| &dims[axis])) {
                (Dim::Fixed(extent), _) => SymInt::from(*extent),
                (_, Some(inferred)) if inferred.number().is_none_or(|number| number >= 0) => inferred.clone(),
                _ if settled => symbols.dimension(OutletId::new(id, slot), axis),
                _ => symbols.unknown(OutletId::new(id, slot), axis),
            })
            .collect();
        let elements = match node.op.kind {
            OpKind::Const | OpKind::Parameter => None,
            _ => fold::evaluate(constants, node, slot, &dims, symbols),
        };
        Known { dims, elements }
    });
    outlets.collect()
}

/// Notes which extents have to be numbers: what meets a number beyond 1 element by element.
fn learn(constants: Constants<'_>, node: &Node, action: &Action, symbols: &mut Symbols) {
    let (Action::Elementwise(_), [a, b]) = (action, &node.inputs[..]) else { return };
    let Some((a, b)) = constants.known(*a).zip(constants.known(*b)) else { return };
    for (a, b) in a.dims.iter().rev().zip(b.dims.iter().rev()) {
        for (open, number) in [(a, b), (b, a)] {
            if let Some(number) = number.number().filter(|number| *number > 1) {
                symbols.note(open, number);
            }
        }
    }
}

struct Rule<'a> {
    constants: Constants<'a>,
    node: &'a Node,
    slot: usize,
}

impl Rule<'_> {
    fn of(&self, input: usize) -> Option<Dims> {
        Some(self.constants.known(*self.node.inputs.get(input)?)?.dims.clone())
    }

    fn all(&self) -> Option<Vec<Dims>> {
        (0..self.node.inputs.len()).map(|input| self.of(input)).collect()
    }

    /// The dimensions of the output; `None` where no rule tells.
    fn dims(&self, action: &Action, symbols: &mut Symbols) -> Option<Dims> {
        match action {
            Action::Elementwise(_) => broadcast(&self.all()?),
            Action::Pointwise(_) | Action::Within { .. } => self.of(0),
            Action::Reduce { axes, keep_dims, .. } => {
                let kept = self.of(0)?.into_iter().enumerate();
                let kept = kept.filter_map(|(axis, dim)| match axes.contains(&axis) {
                    true => keep_dims.then_some(SymInt::Number(1)),
                    false => Some(dim),
                });
                Some(kept.collect())
            }
            Action::Window(window) => self.window(window, symbols),
            Action::MatMul { transpose_a, transpose_b } => self.matmul(*transpose_a, *transpose_b),
            Action::Einsum(equation) => self.einsum(equation),
            Action::Attention => {
                let [queries, values] = [self.of(0)?, self.of(2)?];
                let (mut dims, last) = (queries, values.last()?.clone());
                *dims.last_mut()? = last;
                Some(dims)
            }
            Action::Transpose { order } => {
                let input = self.of(0)?;
                order.iter().map(|axis| input.get(*axis).cloned()).collect()
            }
            Action::Reshape => self.reshape(),
            Action::Select(parts) => self.select(parts.get(self.slot)?, symbols),
            Action::Unfold { axis, .. } => {
                let (mut dims, patches) = (self.of(0)?, self.of(1)?);
                (*axis < dims.len()).then(|| dims.splice(*axis..=*axis, patches))?;
                Some(dims)
            }
            Action::Concat { axis } => {
                let parts = self.all()?;
                let mut dims = parts.first()?.clone();
                for (at, dim) in dims.iter_mut().enumerate() {
                    let along = || parts.iter().filter_map(|part| part.get(at));
                    *dim = match at == *axis {
                        true => along().try_fold(SymInt::Number(0), |sum, part| sum.plus(part))?,
                        // All parts are alike there; a number says most.
                        false => along().find(|part| part.number().is_some()).unwrap_or(dim).clone(),
                    };
                }
                Some(dims)
            }
            Action::Resample { .. } => self.resample(),
            Action::ShapeOf => None,
            Action::Opaque => self.opaque(),
        }
    }

    fn window(&self, window: &Window, symbols: &mut Symbols) -> Option<Dims> {
        let (node, input) = (self.node, self.of(0)?);
        let channels = match window.kind {
            WindowKind::Convolution => self.of(1)?.first()?.clone(),
            WindowKind::GroupConvolution => SymInt::product(&self.of(1)?[..2])?,
            WindowKind::Pool(_) => input.get(1)?.clone(),
        };
        let mut dims = vec![input.first()?.clone(), channels];
        if matches!(node.op.kind, OpKind::AdaptiveAvgPool | OpKind::AdaptiveMaxPool) {
            let sizes = self.constants.input_elements(node, 1)?;
            dims.extend(sizes.into_iter().collect::<Option<Vec<_>>>()?);
            return Some(dims);
        }
        let kernel = kernel(self.constants, node)?;
        for (at, dim) in input.iter().skip(2).enumerate() {
            let listed = |name: &str, otherwise: i64| match node.op.integers(name) {
                Some(list) => list.get(at).copied(),
                None => Some(otherwise),
            };
            let stride = listed("strides", 1)?;
            let reach =
                listed("dilations", 1)?.checked_mul(i64::try_from(kernel.get(at)?.fixed()?).ok()? - 1)?;
            dims.push(match node.op.attribute("auto_pad") {
                // As many as there are strides.
                Some("same_upper" | "same_lower") => up(symbols, dim, stride)?,
                auto => {
                    let pads = match auto {
                        Some("valid") => 0,
                        _ => listed("pads_begin", 0)?.checked_add(listed("pads_end", 0)?)?,
                    };
                    let room = dim.plus(&SymInt::Number(pads.checked_sub(reach)?.checked_sub(1)?))?;
                    let steps = if rounds_up(node) {
                        up(symbols, &room, stride)
                    } else {
                        symbols.quotient(&room, stride)
                    };
                    steps?.plus(&SymInt::Number(1))?
                }
            });
        }
        Some(dims)
    }

    fn matmul(&self, transpose_a: bool, transpose_b: bool) -> Option<Dims> {
        let (mut a, mut b) = (self.of(0)?, self.of(1)?);
        if a.len() < 2 || b.len() < 2 {
            return None;
        }
        let ends = |dims: &mut Dims, transposed: bool| {
            let (last, row) = (dims.pop()?, dims.pop()?);
            Some(if transposed { (last, row) } else { (row, last) })
        };
        let (rows, _) = ends(&mut a, transpose_a)?;
        let (_, columns) = ends(&mut b, transpose_b)?;
        let mut dims = broadcast(&[a, b])?;
        dims.extend([rows, columns]);
        Some(dims)
    }

    fn einsum(&self, equation: &Equation) -> Option<Dims> {
        let operands = self.all()?;
        let axis = |letter: &char| {
            let mut found = operands
                .iter()
                .zip(&equation.operands)
                .filter_map(|(dims, letters)| dims.get(letters.iter().position(|other| other == letter)?));
            found.next().cloned()
        };
        equation.result.iter().map(axis).collect()
    }

    fn reshape(&self) -> Option<Dims> {
        let (node, input) = (self.node, self.of(0)?);
        let rank = node.outputs.first()?.fact.rank();
        if node.op.kind != OpKind::Reshape {
            return self.with_or_without_ones(input, rank);
        }
        let target = self.constants.input_elements(node, 1)?;
        let special_zero = node.op.flag("special_zero");
        let mut dims: Vec<Option<SymInt>> = Vec::new();
        let mut open = None;
        for (axis, element) in target.into_iter().enumerate() {
            dims.push(match element {
                Some(SymInt::Number(0)) if special_zero => Some(input.get(axis)?.clone()),
                Some(SymInt::Number(-1)) => {
                    open = Some(axis);
                    None
                }
                // A declared number says more than its symbol.
                element => element,
            });
        }
        if let Some(axis) = open {
            let others = dims.iter().enumerate().filter(|(other, _)| *other != axis);
            let others = others.map(|(_, dim)| dim.clone()).collect::<Option<Vec<_>>>();
            dims[axis] =
                others.and_then(|others| SymInt::product(&input)?.divided(&SymInt::product(&others)?));
        }
        // What is left of the count of elements, where one dimension alone is not known.
        let missing: Vec<usize> = (0..dims.len()).filter(|axis| dims[*axis].is_none()).collect();
        if let [axis] = missing[..] {
            let others: Vec<SymInt> = dims.iter().flatten().cloned().collect();
            dims[axis] = SymInt::product(&input)?.divided(&SymInt::product(&others)?);
        }
        dims.into_iter().collect()
    }

    /// Squeeze and Unsqueeze.
    fn with_or_without_ones(&self, input: Dims, rank: usize) -> Option<Dims> {
        let axes = self.constants.input_integers(self.node, 1);
        let unsqueeze = self.node.op.kind == OpKind::Unsqueeze;
        let around = if unsqueeze { rank } else { input.len() };
        let places: Vec<usize> = match axes {
            Some(axes) => super::axes(&axes, around)?,
            None if unsqueeze => return None,
            None => (0..input.len()).filter(|axis| input[*axis] == SymInt::Number(1)).collect(),
        };
        if unsqueeze {
            let mut rest = input.into_iter();
            return (0..rank)
                .map(|axis| if places.contains(&axis) { Some(SymInt::Number(1)) } else { rest.next() })
                .collect();
        }
        let kept = input.into_iter().enumerate().filter(|(axis, _)| !places.contains(axis));
        Some(kept.map(|(_, dim)| dim).collect())
    }

    fn select(&self, picks: &[Selection], symbols: &mut Symbols) -> Option<Dims> {
        let (node, input) = (self.node, self.of(0)?);
        let mut dims: Vec<Option<SymInt>> = input.iter().cloned().map(Some).collect();
        for pick in picks {
            let whole = input.get(pick.axis)?;
            dims[pick.axis] = match &node.op.kind {
                _ if pick.drops => None,
                OpKind::Split => Some(whole.divided(&SymInt::from(node.outputs.len()))?),
                OpKind::VariadicSplit => {
                    let lengths = self.constants.input_elements(node, 2)?;
                    Some(lengths.get(self.slot)?.clone().filter(|length| length.number() != Some(-1))?)
                }
                OpKind::Gather => Some(SymInt::product(&self.of(1)?)?),
                _ => Some(pick.length(whole, symbols)?),
            };
        }
        Some(dims.into_iter().flatten().collect())
    }

    fn resample(&self) -> Option<Dims> {
        let (node, mut dims) = (self.node, self.of(0)?);
        match &node.op.kind {
            OpKind::Pad => {
                let both = [1, 2].map(|input| self.constants.input_elements(node, input));
                for pads in both {
                    for (dim, pad) in dims.iter_mut().zip(pads?) {
                        *dim = dim.plus(&pad?)?;
                    }
                }
                Some(dims)
            }
            OpKind::Interpolate => self.interpolated(dims),
            _ => Some(dims),
        }
    }

    fn interpolated(&self, mut dims: Dims) -> Option<Dims> {
        let node = self.node;
        let (sizes, axes) = match node.op.opset.as_str() {
            "opset1" => return None,
            "opset11" => (1, 2),
            _ => (1, 3),
        };
        if node.op.attribute("shape_calculation_mode") != Some("sizes") {
            return None;
        }
        let sizes: Elements = self.constants.input_elements(node, sizes)?;
        let listed = match node.inputs.get(axes) {
            Some(_) => super::axes(&self.constants.input_integers(node, axes)?, dims.len())?,
            None => (0..dims.len()).collect(),
        };
        for (axis, size) in listed.into_iter().zip(sizes) {
            dims[axis] = size?;
        }
        Some(dims)
    }

    fn opaque(&self) -> Option<Dims> {
        let node = self.node;
        match &node.op.kind {
            OpKind::Broadcast => {
                let target = self.constants.input_elements(node, 1)?.into_iter().collect::<Option<Dims>>()?;
                match node.op.attribute("mode") {
                    Some("bidirectional") => broadcast(&[self.of(0)?, target]),
                    _ => Some(target),
                }
            }
            OpKind::Tile => {
                let (mut dims, repeats) = (self.of(0)?, self.constants.input_elements(node, 1)?);
                if dims.len() != repeats.len() {
                    return None;
                }
                for (dim, repeat) in dims.iter_mut().zip(repeats) {
                    *dim = dim.times(&repeat?)?;
                }
                Some(dims)
            }
            OpKind::Gather if node.op.integer("batch_dims").unwrap_or(0) == 0 => {
                let (mut dims, indices) = (self.of(0)?, self.of(1)?);
                let axis = super::axis(self.constants.input_integers(node, 2)?.first().copied(), dims.len())?;
                dims.splice(axis..=axis, indices);
                Some(dims)
            }
            OpKind::ScatterUpdate
            | OpKind::ScatterElementsUpdate
            | OpKind::ScatterNdUpdate
            | OpKind::Result => self.of(0),
            _ => None,
        }
    }
}

/// `dim / stride`, rounded up.
fn up(symbols: &mut Symbols, dim: &SymInt, stride: i64) -> Option<SymInt> {
    symbols.quotient(&dim.plus(&SymInt::Number(stride.checked_sub(1)?))?, stride)
}

/// Dimensions that broadcast as numpy does; `None` where two meet of which neither is known to be the larger.
fn broadcast(shapes: &[Dims]) -> Option<Dims> {
    let rank = shapes.iter().map(Vec::len).max()?;
    let one = SymInt::Number(1);
    (0..rank)
        .map(|axis| {
            let mut along = shapes.iter().filter_map(|dims| dims.get((axis + dims.len()).checked_sub(rank)?));
            along.try_fold(one.clone(), |wide, dim| match (wide.number(), dim.number()) {
                _ if wide == *dim || *dim == one => Some(wide),
                _ if wide == one => Some(dim.clone()),
                // What meets a number beyond 1 is that number in the end.
                (Some(_), None) => Some(wide),
                (None, Some(_)) => Some(dim.clone()),
                _ => None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_extents_broadcast_as_far_as_they_are_alike() {
        let mut symbols = Symbols::default();
        let mut new = |axis| symbols.dimension(OutletId::new(NodeId(0), 0), axis);
        let (n, h) = (new(0), new(2));
        let dims = |list: &[&SymInt]| list.iter().map(|dim| (*dim).clone()).collect::<Dims>();
        let one = SymInt::Number(1);
        let many = SymInt::Number(197);
        assert_eq!(broadcast(&[dims(&[&n, &h]), dims(&[&one, &h])]), Some(dims(&[&n, &h])));
        assert_eq!(broadcast(&[dims(&[&n, &h]), dims(&[&many])]), Some(dims(&[&n, &many])));
        assert_eq!(broadcast(&[dims(&[&n]), dims(&[&h])]), None);
        assert_eq!(broadcast(&[dims(&[&one]), dims(&[&h])]), Some(dims(&[&h])));
    }

    #[test]
    fn windows_that_round_up_count_what_they_begin() {
        let mut symbols = Symbols::default();
        assert_eq!(up(&mut symbols, &SymInt::Number(7), 2), Some(SymInt::Number(4)));
        assert_eq!(up(&mut symbols, &SymInt::Number(8), 2), Some(SymInt::Number(4)));
    }
}
