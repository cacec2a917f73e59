//! Models as the runtime reads them: from files of any kind that it knows, or from memory.

use std::path::Path;

use openvino::{Model, Node, PartialShape};

use super::port::OwnedPort;
use super::{Runtime, RuntimeError, ir_element, utf8};
use crate::ir::ElementType;

/// Where a model comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A file that the runtime reads: an IR, ONNX, TensorFlow Lite, …
    File {
        /// The file.
        path: &'a Path,
        /// The BIN of an IR, where it is not named like the XML.
        weights: Option<&'a Path>,
    },
    /// An IR in memory.
    Memory {
        /// What to call it in messages.
        name: &'a str,
        /// The XML.
        xml: &'a [u8],
        /// The BIN, in pieces that follow each other.
        weights: &'a [&'a [u8]],
    },
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// One of its tensor names; empty where it has none.
    pub name: String,
    /// Element type, where it is one that tensors can have.
    pub element: Option<ElementType>,
    /// Extents, `None` for those known only at inference; `None` as a whole where the rank is not known.
    pub shape: Option<Vec<Option<usize>>>,
}

impl Port {
    fn new(node: &Node) -> Self {
        let shape = node.get_partial_shape().ok().and_then(|shape| {
            let rank = shape.get_rank();
            let fixed = rank.get_min() == rank.get_max() && rank.get_max() >= 0;
            let extent = |dim: &openvino::Dimension| {
                let (min, max) = (dim.get_min(), dim.get_max());
                (min == max).then(|| usize::try_from(max).ok()).flatten()
            };
            fixed.then(|| shape.get_dimensions().iter().map(extent).collect())
        });
        let element = node.get_element_type().ok().and_then(|element| ir_element(element).ok());
        Self { name: node.get_name().unwrap_or_default(), element, shape }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.name {
            "" => write!(f, "one without a name ")?,
            name => write!(f, "'{name}' ")?,
        }
        if let Some(element) = &self.element {
            write!(f, "{element}")?;
        }
        let Some(shape) = &self.shape else { return write!(f, "[...]") };
        let dims: Vec<String> =
            shape.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string())).collect();
        write!(f, "[{}]", dims.join(","))
    }
}

/// A model that was read and can be compiled.
pub(crate) struct Network {
    pub(super) model: Model,
    pub(super) name: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, inputs, outputs, model: _ } = self;
        f.debug_struct("Network")
            .field("name", name)
            .field("inputs", inputs)
            .field("outputs", outputs)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Inputs in the model's order.
    pub(crate) fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs in the model's order.
    pub(crate) fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Fixes the shape of one input, counted from 0.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] where the model cannot have it.
    pub(crate) fn reshape(&mut self, input: usize, shape: &[usize]) -> Result<(), RuntimeError> {
        let action = || format!("reshape input {input} of {} to {shape:?}", self.name);
        let dims: Result<Vec<i64>, _> = shape.iter().map(|dim| i64::try_from(*dim)).collect();
        let dims = dims.map_err(RuntimeError::call(action()))?;
        let rank = i64::try_from(dims.len()).map_err(RuntimeError::call(action()))?;
        let partial = PartialShape::new_static(rank, &dims).map_err(RuntimeError::call(action()))?;
        let message = RuntimeError::call(action());
        self.model.reshape_by_port_indexes(&[(input, &partial)]).map_err(message)?;
        let (inputs, outputs) = ports(&self.model, &self.name)?;
        (self.inputs, self.outputs) = (inputs, outputs);
        Ok(())
    }
}

fn ports(model: &Model, name: &str) -> Result<(Vec<Port>, Vec<Port>), RuntimeError> {
    let failed = || RuntimeError::call(format!("list the inputs and outputs of {name}"));
    let inputs: Result<Vec<Port>, _> = (0..model.get_inputs_len().map_err(failed())?)
        .map(|index| model.get_input_by_index(index).map(|node| Port::new(&OwnedPort::from(node))))
        .collect();
    let outputs: Result<Vec<Port>, _> = (0..model.get_outputs_len().map_err(failed())?)
        .map(|index| model.get_output_by_index(index).map(|node| Port::new(&OwnedPort::from(node))))
        .collect();
    Ok((inputs.map_err(failed())?, outputs.map_err(failed())?))
}

impl Runtime {
    /// Reads a model.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] with OpenVINO's reason, [`RuntimeError::Argument`] where a path is not UTF-8.
    pub(crate) fn read(&mut self, source: Source<'_>) -> Result<Network, RuntimeError> {
        let (model, name) = match source {
            Source::File { path, weights } => {
                let action = RuntimeError::call(format!("read {}", path.display()));
                let weights = weights.filter(|weights| weights.exists()).map(utf8).transpose()?;
                let read = self.core.read_model_from_file(utf8(path)?, weights.unwrap_or(""));
                (read.map_err(action)?, path.display().to_string())
            }
            Source::Memory { name, xml, weights } => {
                let action = || RuntimeError::call(format!("read {name} from memory"));
                let bytes: usize = weights.iter().map(|part| part.len()).sum();
                let mut tensor = None;
                if bytes > 0 {
                    let shape = super::native_shape(&[bytes])?;
                    let mut whole =
                        openvino::Tensor::new(openvino::ElementType::U8, &shape).map_err(action())?;
                    let mut rest = whole.get_raw_data_mut().map_err(action())?;
                    for part in weights {
                        let (here, after) = rest.split_at_mut(part.len());
                        here.copy_from_slice(part);
                        rest = after;
                    }
                    tensor = Some(whole);
                }
                let read = self.core.read_model_from_buffer(xml, tensor.as_ref());
                (read.map_err(action())?, name.to_owned())
            }
        };
        let (inputs, outputs) = ports(&model, &name)?;
        Ok(Network { model, name, inputs, outputs })
    }
}
