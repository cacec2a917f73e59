//! How much memory copies take: bytes of those that are alive at one time.

use std::collections::{BTreeMap, HashMap};

use super::why::Why;
use crate::graph::{Fact, Graph, NodeId, OutletId};
use crate::place::Place;
use crate::refusal::Reason;

/// What takes memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MemoryKey {
    /// Copies of a value, or of its distinct tokens.
    Value(OutletId),
    /// The weights of an attention, which no value of the original stands for.
    Weights(NodeId),
}

impl MemoryKey {
    /// The operation whose evaluation makes it.
    fn node(self) -> NodeId {
        match self {
            Self::Value(outlet) => outlet.node,
            Self::Weights(node) => node,
        }
    }
}

/// Where copies were made first.
#[derive(Debug, Clone)]
struct Lost {
    place: Place,
    /// Why; nothing where other copies are the reason.
    why: Option<Why>,
}

/// Activations that exist for each mask.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bytes: BTreeMap<MemoryKey, u64>,
    lost: Option<Lost>,
    /// Whether an extent is unknown, so that bytes cannot be told.
    unknown: bool,
}

impl Memory {
    /// Counts bytes; `None` where an extent is not known.
    pub(super) fn count(&mut self, key: MemoryKey, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => {
                self.bytes.insert(key, bytes);
            }
            None => self.unknown = true,
        }
    }

    /// Notes that nothing cheaper than copies is left from here on, and why.
    pub(super) fn lose(&mut self, place: Place, why: Option<Why>) {
        self.lost = Some(Lost { place, why });
    }

    /// Whether copies were made already.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Most bytes that are alive at one time, where known.
    pub(super) fn known_peak(&self, graph: &Graph, head: &[NodeId]) -> Option<u64> {
        (!self.unknown).then(|| self.peak(graph, head))
    }

    /// Most bytes alive at one time when the head is evaluated in order.
    fn peak(&self, graph: &Graph, head: &[NodeId]) -> u64 {
        let places: HashMap<NodeId, usize> = head.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut events: Vec<(usize, i128)> = Vec::new();
        for (key, bytes) in &self.bytes {
            let node = key.node();
            let first = places.get(&node).copied().unwrap_or(0);
            let readers = graph.users(node).iter().filter_map(|user| places.get(user));
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

    /// Checks that no more than `budget` bytes are alive at one time; `target` is where the head starts.
    ///
    /// # Errors
    /// [`Reason::Budget`] where they are.
    pub(super) fn check(
        &self,
        graph: &Graph,
        head: &[NodeId],
        budget: u64,
        target: OutletId,
    ) -> Result<(), Reason> {
        let needed = self.peak(graph, head);
        if needed <= budget {
            return Ok(());
        }
        let lost = self.lost.clone();
        let Lost { place, why } = lost.unwrap_or_else(|| Lost {
            place: graph.node(target.node).place(),
            why: Some(Why::TooManyPositions),
        });
        let why = why.map(|why| why.message()).unwrap_or_default();
        Err(Reason::Budget { needed, budget, place, why })
    }
}

/// Bytes of a tensor that has not the shape of a value's copies; `rows` are those of one sample, where the batch,
/// its first axis, is not known.
pub(super) fn tensor_bytes(fact: &Fact, rows: Option<usize>) -> Option<u64> {
    let extents = fact.shape.iter().enumerate();
    let mut extents = extents.map(|(axis, dim)| dim.fixed().or(if axis == 0 { rows } else { None }));
    let elements = extents.try_fold(1u64, |all, extent| all.checked_mul(extent? as u64));
    elements.and_then(|elements| elements.checked_mul(element_bytes(fact)))
}

/// Bytes of one element; of a type whose size is not known as many as most have.
pub(super) fn element_bytes(fact: &Fact) -> u64 {
    (fact.element.bits().unwrap_or(32) as u64).div_ceil(8)
}
