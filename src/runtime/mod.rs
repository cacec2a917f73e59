//! Finding, loading and calling OpenVINO: the only place that names its bindings.
//!
//! The library is loaded when it is first needed, so everything else works without one. The
//! bindings panic where a C function is missing or a string holds a NUL; both are ruled out
//! before they are called.

#[cfg(feature = "explain")]
mod convert;
mod error;
mod find;
mod network;
mod pool;
mod port;
mod tensor;

use std::path::{Path, PathBuf};

use openvino::{
    CompiledModel, Core, DeviceType, InferRequest, InferenceErrorKind, PropertyKey, RwPropertyKey,
};

#[cfg(feature = "explain")]
pub(crate) use convert::Converted;
pub use error::RuntimeError;
pub(crate) use network::{Network, Port, Source};
pub(crate) use pool::{Hint, Pool, Serving};
pub use tensor::Tensor;

use crate::interrupt::Interrupt;
use crate::ir::ElementType;

/// Which runtime to load, and where it is to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// OpenVINO's C library or a folder that holds it; searched for where absent.
    pub library: Option<PathBuf>,
    /// Device name as OpenVINO spells it: `CPU`, `GPU.0`, `AUTO`, `HETERO:GPU,CPU`, …
    pub device: String,
    /// What numbers are computed in.
    pub precision: Precision,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { library: None, device: "CPU".to_owned(), precision: Precision::default() }
    }
}

/// What numbers a device computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precision {
    /// Single precision, wherever the device can, and no quantization that the model does not ask for.
    #[default]
    F32,
    /// As the device likes best: f16 on GPUs, bf16 on CPUs that have it.
    Device,
}

/// Devices that hand work on to others.
const VIRTUAL: [&str; 4] = ["AUTO", "MULTI", "HETERO", "BATCH"];

/// The devices that compute, behind a device's name.
fn computing(core: &Core, device: &str) -> Vec<String> {
    let (head, listed) = device.split_once(':').unwrap_or((device, ""));
    if !VIRTUAL.contains(&head) {
        return vec![device.to_owned()];
    }
    // `CPU(4)` says how many requests or images there are, `-GPU` what is not to be used.
    let name = |entry: &str| entry.split('(').next().unwrap_or(entry).trim().to_owned();
    let named: Vec<String> =
        listed.split(',').map(name).filter(|name| !name.is_empty() && !name.starts_with('-')).collect();
    if !named.is_empty() {
        return named;
    }
    let available = core.available_devices().unwrap_or_default();
    available.iter().map(|device| device.as_ref().to_owned()).collect()
}

/// A loaded OpenVINO runtime.
///
/// Computes in `f32`, where nothing else is asked for, and is tuned for latency, wherever the device has these settings:
/// machines with bf16 units would otherwise round by default.
pub(crate) struct Runtime {
    core: Core,
    device: String,
    /// The devices that compute.
    computing: Vec<String>,
    version: String,
    library: PathBuf,
    interrupt: Interrupt,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, version, library, core: _, computing: _, interrupt: _ } = self;
        f.debug_struct("Runtime")
            .field("device", device)
            .field("version", version)
            .field("library", library)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Finds and loads OpenVINO. A process keeps the first library that it loads.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] and [`RuntimeError::NotALibrary`] where there is none,
    /// [`RuntimeError::Load`] where it cannot be opened or is too old,
    /// [`RuntimeError::Argument`] where the device's name cannot be one.
    pub(crate) fn load(options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        let device = options.device.clone();
        if device.is_empty() || device.contains('\0') {
            return Err(RuntimeError::Argument(format!("{device:?} is no device name")));
        }
        let library = load_library(options.library.as_deref())?;
        let load = |message: String| RuntimeError::Load { path: library.clone(), message };
        let mut core = Core::new().map_err(|e| load(e.to_string()))?;
        let version = openvino::version().build_number;
        let exact = [
            (RwPropertyKey::HintInferencePrecision, "f32"),
            (RwPropertyKey::Other("DYNAMIC_QUANTIZATION_GROUP_SIZE".into()), "0"),
        ];
        // On those that compute: a virtual device takes no such properties, and is spoiled by them.
        let computing = computing(&core, &device);
        for computing in &computing {
            let exact = exact.iter().filter(|_| options.precision == Precision::F32);
            for (key, value) in exact.chain(&[(RwPropertyKey::HintPerformanceMode, "LATENCY")]) {
                // Devices without the property compute as they do; an unknown device fails at compile
                // time with a message of its own.
                let _ = core.set_property(&DeviceType::from(computing.as_str()), key, value);
            }
        }
        Ok(Self { core, device, computing, version, library, interrupt: Interrupt::default() })
    }

    /// Lets models that are compiled from now on refuse to run once `interrupt` is set.
    pub(crate) fn heed(&mut self, interrupt: &Interrupt) {
        self.interrupt = interrupt.clone();
    }

    /// Build number of the runtime (`2026.4.1-…`).
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The library that was loaded.
    pub(crate) fn library(&self) -> &Path {
        &self.library
    }

    /// The precision in which the devices say that they compute; `None` where they do not say.
    pub(crate) fn precision(&self) -> Option<String> {
        let [device] = &self.computing[..] else { return None };
        let key = PropertyKey::Rw(RwPropertyKey::HintInferencePrecision);
        self.core.get_property(&DeviceType::from(device.as_str()), &key).ok()
    }

    /// The device in use.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Reads an IR and compiles it for the device.
    ///
    /// `weights` need not be named like `xml`: several graphs may share one BIN.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] with OpenVINO's reason, [`RuntimeError::Argument`] where a path is
    /// not UTF-8.
    pub(crate) fn compile(&mut self, xml: &Path, weights: &Path) -> Result<Session, RuntimeError> {
        let path = xml.display();
        // Without constants there may be no BIN, and OpenVINO refuses a path that leads nowhere.
        let weights = if weights.exists() { utf8(weights)? } else { "" };
        let model = self
            .core
            .read_model_from_file(utf8(xml)?, weights)
            .map_err(RuntimeError::call(format!("read {path}")))?;
        let mut compiled = self
            .core
            .compile_model(&model, DeviceType::from(self.device.as_str()))
            .map_err(RuntimeError::call(format!("compile {path} for {}", self.device)))?;
        let request = compiled
            .create_infer_request()
            .map_err(RuntimeError::call(format!("create a request for {path}")))?;
        let count = |found: Result<usize, openvino::InferenceError>| {
            found.map_err(RuntimeError::call(format!("count the inputs and outputs of {path}")))
        };
        let inputs = count(compiled.get_input_size())?;
        let outputs = count(compiled.get_output_size())?;
        let interrupt = self.interrupt.clone();
        let bound = vec![None; inputs];
        Ok(Session {
            request,
            compiled,
            name: path.to_string(),
            inputs,
            outputs,
            interrupt,
            bound,
            forgets: false,
        })
    }
}

/// A compiled model, ready to run.
pub(crate) struct Session {
    // Declared before the model, so that it is dropped first.
    request: InferRequest,
    compiled: CompiledModel,
    name: String,
    inputs: usize,
    outputs: usize,
    interrupt: Interrupt,
    /// What is bound, where state is to be forgotten.
    bound: Vec<Option<Tensor>>,
    forgets: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, inputs, outputs, .. } = self;
        f.debug_struct("Session")
            .field("name", name)
            .field("inputs", inputs)
            .field("outputs", outputs)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Lets every inference begin with the model's first state, where it has any: each has a request of its own.
    pub(crate) fn forget(mut self, forgets: bool) -> Self {
        self.forgets = forgets;
        self
    }

    /// Runs the model: one tensor per input in, one per output out, in file order.
    ///
    /// # Errors
    /// [`RuntimeError::Argument`] where the count of inputs is wrong, else [`RuntimeError::Call`].
    pub(crate) fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RuntimeError> {
        self.bind(inputs)?;
        self.infer()?;
        (0..self.outputs).map(|index| self.output(index)).collect()
    }

    /// Sets all inputs for the calls of [`Session::infer`] that follow.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(crate) fn bind(&mut self, inputs: &[Tensor]) -> Result<(), RuntimeError> {
        if inputs.len() != self.inputs {
            return Err(RuntimeError::Argument(format!(
                "{} has {} inputs, but {} tensors were given",
                self.name,
                self.inputs,
                inputs.len()
            )));
        }
        inputs.iter().enumerate().try_for_each(|(index, tensor)| self.bind_one(index, tensor))
    }

    /// Sets one input, counted in file order.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub(crate) fn bind_one(&mut self, index: usize, tensor: &Tensor) -> Result<(), RuntimeError> {
        if let Some(bound) = self.bound.get_mut(index).filter(|_| self.forgets) {
            *bound = Some(tensor.clone());
        }
        self.write(index, tensor)
    }

    fn write(&mut self, index: usize, tensor: &Tensor) -> Result<(), RuntimeError> {
        let action = || format!("set input {index} of {} to {tensor}", self.name);
        let scalar = tensor.shape().is_empty();
        let mut native = if scalar {
            // The C API has no shape without dimensions, so that a scalar can only be written to
            // where the request keeps it.
            let port = self.compiled.get_input_by_index(index).map_err(RuntimeError::call(action()))?;
            let name = port::OwnedPort::from(port).get_name().map_err(RuntimeError::call(action()))?;
            self.request.get_tensor(&name).map_err(RuntimeError::call(action()))?
        } else {
            let shape = native_shape(tensor.shape())?;
            openvino::Tensor::new(native_element(tensor.element())?, &shape)
                .map_err(RuntimeError::call(action()))?
        };
        if !tensor.is_empty() {
            let data = native.get_raw_data_mut().map_err(RuntimeError::call(action()))?;
            if data.len() != tensor.bytes().len() {
                return Err(RuntimeError::Argument(format!(
                    "OpenVINO keeps {tensor} in {} bytes, not in {}",
                    data.len(),
                    tensor.bytes().len()
                )));
            }
            data.copy_from_slice(tensor.bytes());
        }
        if scalar {
            return Ok(());
        }
        let message = RuntimeError::call(action());
        self.request.set_input_tensor_by_index(index, &native).map_err(message)
    }

    /// Runs the model on the inputs that are set.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] with OpenVINO's reason, [`RuntimeError::Interrupted`] where that was asked for.
    pub(crate) fn infer(&mut self) -> Result<(), RuntimeError> {
        if self.interrupt.is_set() {
            return Err(RuntimeError::Interrupted);
        }
        if self.forgets {
            let made = self.compiled.create_infer_request();
            self.request = made.map_err(RuntimeError::call(format!("create a request for {}", self.name)))?;
            for index in 0..self.bound.len() {
                let bound = self.bound[index].take();
                if let Some(tensor) = &bound {
                    self.write(index, tensor)?;
                }
                self.bound[index] = bound;
            }
        }
        self.request.infer().map_err(RuntimeError::call(format!("run {}", self.name)))
    }

    /// Copies an output of the last run, counted in file order.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] where there is no such output.
    pub(crate) fn output(&self, index: usize) -> Result<Tensor, RuntimeError> {
        read_output(&self.request, index, &self.name)
    }
}

fn read_output(request: &InferRequest, index: usize, name: &str) -> Result<Tensor, RuntimeError> {
    let action = || format!("read output {index} of {name}");
    let native = request.get_output_tensor_by_index(index).map_err(RuntimeError::call(action()))?;
    let element = native.get_element_type().map_err(RuntimeError::call(action()))?;
    let dims: Vec<usize> = match native.get_shape() {
        Ok(shape) => {
            let dims = shape.get_dimensions().iter().map(|dim| usize::try_from(*dim));
            dims.collect::<Result<_, _>>().map_err(RuntimeError::call(action()))?
        }
        // The C API cannot express the shape of a scalar.
        Err(e) if e.kind == InferenceErrorKind::InvalidCParam && native.get_size() == Ok(1) => Vec::new(),
        Err(e) => return Err(RuntimeError::call(action())(e)),
    };
    // The data pointer of an empty tensor may be null, which the bindings do not expect.
    let bytes = if dims.contains(&0) {
        Vec::new()
    } else {
        native.get_raw_data().map_err(RuntimeError::call(action()))?.to_vec()
    };
    Tensor::new(ir_element(element)?, dims, bytes)
}

fn load_library(named: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let candidates = find::find(named)?;
    let mut refused = None;
    for path in candidates.paths {
        let attempt = path.clone();
        // The bindings unwrap the parts of the version string, and panic where a symbol is missing.
        let loaded = std::panic::catch_unwind(move || openvino_sys::library::load_from(attempt))
            .unwrap_or_else(|_| Err("it lacks functions that are needed".to_owned()));
        let message = match loaded {
            Ok(()) => return Ok(path),
            Err(message) => message,
        };
        // A library that opened stays loaded for good; only one that did not leaves room for others.
        let opened = !message.contains("could not be opened");
        let error = RuntimeError::Load { path, message };
        if opened || candidates.explicit {
            return Err(error);
        }
        refused.get_or_insert(error);
    }
    Err(refused.unwrap_or(RuntimeError::NotFound { searched: candidates.searched }))
}

fn utf8(path: &Path) -> Result<&str, RuntimeError> {
    path.to_str()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| RuntimeError::Argument(format!("OpenVINO cannot open {}: not UTF-8", path.display())))
}

fn native_shape(shape: &[usize]) -> Result<openvino::Shape, RuntimeError> {
    let dims: Result<Vec<i64>, _> = shape.iter().map(|dim| i64::try_from(*dim)).collect();
    let dims = dims.map_err(|_| RuntimeError::Argument(format!("no tensor has the shape {shape:?}")))?;
    openvino::Shape::new(&dims).map_err(RuntimeError::call(format!("make the shape {shape:?}")))
}

macro_rules! elements {
    ($($ours:ident $theirs:ident),* $(,)?) => {
        fn native_element(element: ElementType) -> Result<openvino::ElementType, RuntimeError> {
            match element {
                $(ElementType::$ours => Ok(openvino::ElementType::$theirs),)*
                other => Err(RuntimeError::Argument(format!("inputs of type {other} are not supported"))),
            }
        }

        fn ir_element(element: openvino::ElementType) -> Result<ElementType, RuntimeError> {
            match element {
                $(openvino::ElementType::$theirs => Ok(ElementType::$ours),)*
                other => Err(RuntimeError::Argument(format!("outputs of type {other} are not supported"))),
            }
        }
    };
}

elements! {
    Boolean Boolean, BF16 Bf16, F16 F16, F32 F32, F64 F64, I4 I4, I8 I8, I16 I16, I32 I32, I64 I64,
    U1 U1, U2 U2, U3 U3, U4 U4, U6 U6, U8 U8, U16 U16, U32 U32, U64 U64, NF4 NF4,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_must_be_one() {
        for device in ["", "CPU\0"] {
            let options = RuntimeOptions { device: device.to_owned(), ..RuntimeOptions::default() };
            assert!(matches!(Runtime::load(&options), Err(RuntimeError::Argument(_))));
        }
    }

    #[test]
    fn a_named_folder_without_a_library_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            RuntimeOptions { library: Some(folder.path().to_path_buf()), ..RuntimeOptions::default() };
        assert!(matches!(Runtime::load(&options), Err(RuntimeError::NotALibrary { .. })));
    }
}
