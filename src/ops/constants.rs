//! What can be told of tensors before inference: constants, known shapes, and what is computed from them.

use super::extents::Known;
use crate::graph::{Fact, Graph, Node, OpKind, OutletId, SymInt};
use crate::ir::{ElementType, Weights};

/// Integer constants longer than this are data, not axes or shapes.
pub(crate) const MAX_INTEGERS: usize = 4096;

/// A graph with its weights, as far as operations ask for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constants<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    /// By node and slot, as far as nodes were looked at.
    known: &'a [Vec<Known>],
}

impl<'a> Constants<'a> {
    pub(crate) fn new(graph: &'a Graph, weights: &'a Weights, known: &'a [Vec<Known>]) -> Self {
        Self { graph, weights, known }
    }

    /// What is known of an outlet.
    pub(super) fn known(self, outlet: OutletId) -> Option<&'a Known> {
        self.known.get(outlet.node.index())?.get(outlet.slot)
    }

    /// The shape of an outlet, where it is known before inference.
    pub(super) fn fixed_dims(self, outlet: OutletId) -> Option<Vec<usize>> {
        self.fact(outlet).shape.iter().map(|dim| dim.fixed()).collect()
    }

    /// An extent of an output of a node, where it is known before inference.
    pub(super) fn out_extent(self, node: &Node, slot: usize, axis: usize) -> Option<usize> {
        node.outputs.get(slot)?.fact.shape.get(axis)?.fixed()
    }

    /// The numbers of a constant, where all are whole.
    pub(super) fn whole_numbers(self, outlet: OutletId) -> Option<Vec<Option<SymInt>>> {
        #[allow(clippy::cast_possible_truncation)]
        let whole = |value: f64| (value.fract() == 0.0 && value.abs() < 1e9).then_some(value as i64);
        self.numbers(outlet)?.into_iter().map(|value| Some(Some(SymInt::Number(whole(value)?)))).collect()
    }

    pub(super) fn graph(self) -> &'a Graph {
        self.graph
    }

    pub(super) fn fact(self, outlet: OutletId) -> &'a Fact {
        self.graph.fact(outlet)
    }

    /// The single number of a constant scalar, whatever its type.
    pub(crate) fn scalar(self, outlet: OutletId) -> Option<f64> {
        let [value] = self.numbers(outlet)?[..] else { return None };
        Some(value)
    }

    /// The numbers of a constant, row-major, whatever its type; `None` where there are too many to be anything but
    /// data.
    pub(crate) fn numbers(self, outlet: OutletId) -> Option<Vec<f64>> {
        macro_rules! read {
            ($bytes:expr, $type:ty) => {
                $bytes
                    .chunks_exact(size_of::<$type>())
                    .map(|chunk| Some(f64::from(<$type>::from_le_bytes(chunk.try_into().ok()?))))
                    .collect()
            };
        }
        let mut node = self.graph.node(outlet.node);
        // Conversions and reshapes leave numbers what they are.
        while (node.op.kind == OpKind::Convert || node.op.kind.is_reshape())
            && let Some(input) = node.inputs.first()
        {
            node = self.graph.node(input.node);
        }
        if node.op.kind != OpKind::Const {
            return None;
        }
        let bytes = self.bytes(node)?;
        if bytes.len() > MAX_INTEGERS * 8 {
            return None;
        }
        match node.outputs.first()?.fact.element {
            ElementType::F32 => read!(bytes, f32),
            ElementType::F64 => read!(bytes, f64),
            ElementType::F16 => read!(bytes, half::f16),
            ElementType::BF16 => read!(bytes, half::bf16),
            #[allow(clippy::cast_precision_loss)]
            _ => Some(self.of_const(node)?.into_iter().map(|value| value as f64).collect()),
        }
    }

    fn bytes(self, node: &'a Node) -> Option<&'a [u8]> {
        if let Some(contents) = &node.contents {
            return Some(contents);
        }
        let number = |name| node.op.attribute(name)?.trim().parse::<usize>().ok();
        self.weights.bytes(number("offset")?, number("size")?)
    }

    /// The integers of a Const, as long as those of an axis or a shape.
    pub(super) fn of_const(self, node: &Node) -> Option<Vec<i64>> {
        self.bytes(node).filter(|bytes| bytes.len() <= MAX_INTEGERS * 8)?;
        self.read_integers(node)
    }

    /// The integers of a constant, however many they are.
    pub(crate) fn all_integers(self, outlet: OutletId) -> Option<Vec<i64>> {
        let mut node = self.graph.node(outlet.node);
        while node.op.kind == OpKind::Convert
            && let Some(input) = node.inputs.first()
        {
            node = self.graph.node(input.node);
        }
        if node.op.kind == OpKind::Const { self.read_integers(node) } else { None }
    }

    fn read_integers(self, node: &Node) -> Option<Vec<i64>> {
        macro_rules! read {
            ($bytes:expr, $type:ty) => {
                $bytes
                    .chunks_exact(size_of::<$type>())
                    .map(|chunk| i64::try_from(<$type>::from_le_bytes(chunk.try_into().ok()?)).ok())
                    .collect()
            };
        }
        let element = node.outputs.first()?.fact.element;
        let bytes = self.bytes(node)?;
        match element {
            ElementType::I64 => read!(bytes, i64),
            ElementType::I32 => read!(bytes, i32),
            ElementType::I16 => read!(bytes, i16),
            ElementType::I8 => read!(bytes, i8),
            ElementType::U64 => read!(bytes, u64),
            ElementType::U32 => read!(bytes, u32),
            ElementType::U16 => read!(bytes, u16),
            ElementType::U8 => read!(bytes, u8),
            _ => None,
        }
    }
}
