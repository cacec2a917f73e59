//! What a file leaves open about its inputs, as the user says it.

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::ir::{Dim, InputShape, Shape, ShapeDisplay};
use crate::message::{Setting, message};

/// What is said about the inputs of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// Shapes under which it is read (`--input-shape`), as `ovc --input` does.
    pub shapes: Vec<InputShape>,
    /// Whether the file is given these shapes; it keeps its own otherwise (`--reshape`).
    pub reshape: bool,
    /// Rows and columns of an input that holds patches, not pixels (`--grid`).
    pub grid: Option<(usize, usize)>,
}

impl Given {
    /// Checks what holds for every model.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file is to be reshaped and no shape is given.
    pub fn check(&self) -> Result<()> {
        if self.reshape && self.shapes.is_empty() {
            return Err(Error::usage(message![Setting::Reshape, " needs ", Setting::InputShape]));
        }
        Ok(())
    }

    /// The inputs that shapes are given for, with what they are.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no input of a name, or its own shape is another.
    pub(crate) fn resolved(&self, graph: &Graph) -> Result<Vec<(NodeId, Shape)>> {
        self.shapes.iter().map(|shape| resolved(graph, shape)).collect()
    }
}

fn resolved(graph: &Graph, given: &InputShape) -> Result<(NodeId, Shape)> {
    let names = || graph.parameters().map(|(_, node)| node.name.as_str()).collect::<Vec<_>>().join("', '");
    let absent = |what: String| {
        Error::usage(message![Setting::InputShape, format!(": {what}; the model has '{}'", names())])
    };
    let mut inputs = graph.parameters().filter(|(_, node)| match &given.name {
        Some(name) => {
            node.name == *name || node.outputs.iter().any(|outlet| outlet.names.iter().any(|own| own == name))
        }
        None => true,
    });
    let (id, node) = match (inputs.next(), inputs.next(), &given.name) {
        (Some(found), None, _) | (Some(found), _, Some(_)) => found,
        (_, _, Some(name)) => return Err(absent(format!("no input '{name}'"))),
        _ => return Err(absent(format!("{given} names no input"))),
    };
    let Some(own) = node.outputs.first().map(|outlet| &outlet.fact.shape) else {
        return Err(absent(format!("'{}' has no output", node.name)));
    };
    let shape = given.shape();
    let any = node.op.attribute("shape").is_some_and(|text| text.trim() == "...");
    let agrees = |(own, given): (&Dim, &Dim)| *own == Dim::Dynamic || *given == Dim::Dynamic || own == given;
    if !any && (own.len() != shape.len() || !own.iter().zip(&shape).all(agrees)) {
        let own = ShapeDisplay(own);
        let text = format!(" gives '{}' the shape {}, and its own is {own}", node.name, ShapeDisplay(&shape));
        return Err(Error::usage(message![Setting::InputShape, text]));
    }
    // What the file says is not taken back.
    let narrower = |(at, given): (usize, &Dim)| match own.get(at) {
        Some(Dim::Fixed(own)) => Dim::Fixed(*own),
        _ => *given,
    };
    Ok((id, shape.iter().enumerate().map(narrower).collect()))
}
