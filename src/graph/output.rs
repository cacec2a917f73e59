//! The outputs of a model, and how people name them.

use super::{Graph, NodeId, OutletId};
use crate::error::Error;

/// An output of a model: a Result and what feeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output<'a> {
    /// Its place among the model's outputs, in file order.
    pub place: usize,
    /// The Result.
    pub result: NodeId,
    /// What feeds it.
    pub outlet: OutletId,
    /// Its names: the Result's own, or those of the tensor that feeds it.
    pub names: &'a [String],
    layer: &'a str,
    result_layer: &'a str,
}

impl<'a> Output<'a> {
    /// The name to show: its first, or that of the layer that makes it.
    pub(crate) fn name(&self) -> &'a str {
        self.names.first().map_or(self.layer, String::as_str)
    }

    /// Whether somebody means it by that name: of the tensor, of the layer that makes it, or of the Result.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name) || self.layer == name || self.result_layer == name
    }
}

impl Graph {
    /// The model's outputs, in file order.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Output<'_>> {
        self.results().enumerate().map(|(place, (result, outlet))| Output {
            place,
            result,
            outlet,
            names: self.output_names(result, outlet),
            layer: &self.node(outlet.node).name,
            result_layer: &self.node(result).name,
        })
    }

    /// The output of that name: of a tensor, else of the layer that makes it, else of the Result.
    pub(crate) fn output(&self, name: &str) -> Option<Output<'_>> {
        let by_tensor = self.outputs().find(|output| output.names.iter().any(|own| own == name));
        by_tensor.or_else(|| self.outputs().find(|output| output.is(name)))
    }

    /// The error for an output that is not there.
    pub(crate) fn unknown_output(&self, wanted: &str) -> Error {
        let names: Vec<&str> = self.outputs().map(|output| output.name()).collect();
        Error::usage(format!("no output '{wanted}'; the model has '{}'", names.join("', '")))
    }
}
