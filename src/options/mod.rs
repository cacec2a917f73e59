//! What is to be inserted, and how.

mod idle;
mod values;

#[cfg(feature = "explain")]
pub(crate) use idle::no_effect;
#[cfg(feature = "explain")]
pub(crate) use values::choice;
pub(crate) use values::{Choice, or_auto};
pub use values::{anchors, byte_size, count, method, saliency_size, task};

use crate::analysis::Labels;
use crate::error::{Error, Result};
use crate::forward::{Kernel, Quantized, Strategy};
use crate::ir::{Classes, Dim, Record, key};
use crate::message::{Setting, message};
use crate::methods::{Encoding, Method, SaliencyType};
use crate::model::Model;
use crate::tasks::{Asked, Looked, Task};

/// What is to be inserted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The method; `None` chooses one that fits.
    pub method: Option<Method>,
    /// The output that is explained, by tensor or layer name; needed only where several fit.
    pub output: Option<String>,
    /// The input whose part in the output is explained, by tensor or layer name, where several are images.
    pub input: Option<String>,
    /// Whether the model is taken for a classifier or a detector; `None` decides from its outputs.
    pub task: Option<Task>,
    /// The target, by layer or tensor name; none finds it. Detectors take one for each scale.
    pub target_layers: Vec<String>,
    /// Detectors: anchors of each named target layer (`--num-anchors`); `None` finds them, or takes 1.
    pub anchors: Option<Vec<usize>>,
    /// Detectors: height and width of the maps; 23x23 by default.
    pub saliency_size: (usize, usize),
    /// ViTReciproCAM: the target is the input of this attention block, counted from the end; 1 is the last.
    pub block: usize,
    /// ViTReciproCAM: what a mask keeps around its position (`--mask`).
    pub kernel: Kernel,
    /// ViTReciproCAM: whether class tokens are kept too.
    pub class_token: bool,
    /// Classes that get a map (`--targets`).
    pub classes: Classes,
    /// Whether each map is scaled to 0..255: `255 (s - min) / (max - min + 1e-12)`. Needed for u8.
    pub scaling: bool,
    /// Element type of the maps.
    pub saliency_type: SaliencyType,
    /// Tensor name of the saliency output; `saliency_map` by default, as Model API knows it.
    pub output_name: String,
    /// Whether to add the output `feature_vector` `[N, C]` too, the target's mean over positions.
    pub feature_vector: bool,
    /// Tensor name of that output; `feature_vector` by default, as Model API knows it.
    pub feature_vector_name: String,
    /// Which forms the lowering may use (`--lowering`).
    pub strategy: Strategy,
    /// Quantized models: whether the quantization of activations is a part of the head (`--quantized`).
    pub quantized: Quantized,
    /// Most bytes of copied activations that a dense branch may keep alive, for one batch; 2 GiB by default.
    pub memory_budget: u64,
}

/// Tensor name of the saliency output where no other is chosen, as Model API knows it.
pub const SALIENCY_MAP: &str = "saliency_map";

/// Height and width of a detector's maps where no others are chosen.
pub const SALIENCY_SIZE: (usize, usize) = (23, 23);

/// Tensor name of the feature vector where no other is chosen, as Model API knows it.
pub const FEATURE_VECTOR: &str = "feature_vector";

impl Default for Options {
    fn default() -> Self {
        Self {
            method: None,
            output: None,
            input: None,
            task: None,
            target_layers: Vec::new(),
            anchors: None,
            saliency_size: SALIENCY_SIZE,
            block: 1,
            kernel: Kernel::default(),
            class_token: true,
            classes: Classes::All,
            scaling: true,
            saliency_type: SaliencyType::U8,
            output_name: SALIENCY_MAP.to_owned(),
            feature_vector: false,
            feature_vector_name: FEATURE_VECTOR.to_owned(),
            strategy: Strategy::Auto,
            quantized: Quantized::default(),
            memory_budget: 2 << 30,
        }
    }
}

impl Options {
    /// Checks what holds for every model and all that is done with it.
    ///
    /// # Errors
    /// [`Error::Usage`] where the output has no name.
    pub fn check(&self) -> Result<()> {
        if self.output_name.is_empty() {
            return Err(Error::usage(message![Setting::OutputName, " must not be empty"]));
        }
        if self.feature_vector_name.is_empty() {
            return Err(Error::usage(message![Setting::FeatureVectorName, " must not be empty"]));
        }
        Ok(())
    }

    /// Whether the maps fit into their type.
    ///
    /// # Errors
    /// [`Error::Usage`] where they do not.
    pub(crate) fn check_type(&self) -> Result<()> {
        if !self.scaling && self.saliency_type == SaliencyType::U8 {
            return Err(Error::usage(message![
                "scores that are not scaled do not fit into u8: use ",
                Setting::SaliencyType.to("f32"),
                " with ",
                Setting::Scaling.to(false)
            ]));
        }
        Ok(())
    }

    /// Whether there are the classes that are asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are not.
    pub(crate) fn check_classes(&self, count: Dim) -> Result<()> {
        let Dim::Fixed(count) = count else { return Ok(()) };
        let message = match &self.classes {
            Classes::Top(k) if *k > count => format!("top{k}: the model has {count} classes"),
            Classes::Listed(list) => match list.iter().find(|class| **class >= count) {
                Some(class) => format!("class {class}: the model has {count} classes, counted from 0"),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        Err(Error::usage(message![Setting::Classes, format!(" asks for {message}")]))
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding { scaling: self.scaling, saliency_type: self.saliency_type }
    }

    /// A model with what the options name of it.
    pub(crate) fn looked<'a>(&'a self, model: &'a Model, labels: &'a Labels) -> Looked<'a> {
        Looked {
            model,
            labels,
            output: self.output.as_deref(),
            layers: &self.target_layers,
            anchors: self.anchors.as_deref(),
        }
    }

    /// What the options say about the task.
    pub(crate) fn asked(&self) -> Asked<'static> {
        Asked { task: self.task, method: self.method.map(|method| (method.name(), method.subject())) }
    }

    /// Entries of the record that every method has; `targets` are the classes that have a map.
    pub(crate) fn record(&self, method: Method, targets: &Classes) -> Record {
        let mut record = Record::default();
        record.add(key::TOOL, env!("CARGO_PKG_NAME"));
        record.add(key::VERSION, env!("CARGO_PKG_VERSION"));
        record.add(key::METHOD, method.name());
        record.add(key::TARGETS, targets);
        record.add(key::SCALING, self.scaling);
        record.add(key::SALIENCY_TYPE, self.saliency_type.name());
        record.add(key::OUTPUT, &self.output_name);
        record
    }
}
