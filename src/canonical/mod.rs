//! One way of writing for what exporters write in many ways.
//!
//! Each file has one rewrite. It changes the graph in memory only: the file keeps what it has, and every outlet of the file
//! holds the values that it held. A node that is rewritten gets another operation on other inputs with the same result;
//! what it needs beside that is added behind the nodes of the file, and comes into a model only where a branch reads it.

mod einsum;
mod flattened;
mod guards;
mod rewriter;
mod stacked;
mod strided;
mod transposed;

use crate::error::Result;
use crate::graph::Graph;
use crate::ir::Weights;
use crate::ops::{Constants, Extents, Semantics, describe};
use rewriter::Rewriter;

type Rewrite = fn(&mut Rewriter<'_>);

/// In the order in which they see each other's results.
const REWRITES: &[Rewrite] = &[
    guards::rewrite,
    strided::rewrite,
    stacked::rewrite,
    einsum::rewrite,
    transposed::rewrite,
    flattened::rewrite,
    // What undid a join may be left to move ones.
    transposed::rewrite,
];

/// Rewrites a graph, and says what its nodes do and what is known of its extents.
///
/// # Errors
/// [`Error::Layer`](crate::Error::Layer) where a rewrite makes a cycle, which none does.
pub(crate) fn canonical(mut graph: Graph, weights: &Weights) -> Result<(Graph, Vec<Semantics>, Extents)> {
    let (mut semantics, mut extents) = described(&mut graph, weights);
    for rewrite in REWRITES {
        let constants = Constants::new(&graph, weights, &extents.of);
        let mut rewriter = Rewriter::new(&graph, constants, &semantics, &extents);
        rewrite(&mut rewriter);
        if let Some(rewritten) = rewriter.finish()? {
            graph = rewritten;
            (semantics, extents) = described(&mut graph, weights);
        }
    }
    Ok((graph, semantics, extents))
}

fn described(graph: &mut Graph, weights: &Weights) -> (Vec<Semantics>, Extents) {
    let (mut semantics, mut extents) = (Vec::new(), Extents::default());
    describe(graph, weights, &mut extents, &mut semantics);
    (semantics, extents)
}
