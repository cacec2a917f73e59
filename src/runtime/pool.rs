//! One compiled model and as many requests as keep the device busy.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use openvino::{CompiledModel, DeviceType, InferRequest, PropertyKey, RwPropertyKey};

use super::{Network, Runtime, RuntimeError, Tensor, native_element, native_shape, read_output};
use crate::ir::ElementType;

/// How a model is to be served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Serving {
    pub(crate) hint: Hint,
    /// How many requests run at the same time; `None` leaves it to the device.
    pub(crate) requests: Option<usize>,
    /// Whether each inference begins with the model's first state: it has one, which the last one changed.
    pub(crate) forgets: bool,
}

/// What a model is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// One inference at a time, as soon as possible.
    Latency,
    /// Many inferences, as many as possible in a given time.
    Throughput,
}

impl Hint {
    fn value(self) -> &'static str {
        match self {
            Self::Latency => "LATENCY",
            Self::Throughput => "THROUGHPUT",
        }
    }
}

/// Longer than any inference takes, in milliseconds; the C API cannot wait without a limit.
const FOREVER: i64 = 1000 * 60 * 60 * 24 * 365;

/// A compiled model of one input, with requests that run at the same time.
pub(crate) struct Pool {
    // Declared before the model, so that they are dropped first.
    slots: Vec<Slot>,
    compiled: Mutex<CompiledModel>,
    forgets: bool,
    name: String,
}

struct Slot {
    request: InferRequest,
    /// Bound to the request for good: whoever fills it saves a copy.
    input: openvino::Tensor,
}

impl Slot {
    fn new(compiled: &mut CompiledModel, input: openvino::Tensor) -> Result<Self, openvino::InferenceError> {
        let mut request = compiled.create_infer_request()?;
        request.set_input_tensor_by_index(0, &input)?;
        Ok(Self { request, input })
    }

    /// Takes a new request, in which state is that of the beginning: the C API has no reset.
    fn forget(&mut self, compiled: &Mutex<CompiledModel>) -> Result<(), openvino::InferenceError> {
        self.request = compiled.lock().unwrap_or_else(PoisonError::into_inner).create_infer_request()?;
        self.request.set_input_tensor_by_index(0, &self.input)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("requests", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Compiles a model of one input, whose tensors are `element` of `shape`.
    ///
    /// # Errors
    /// [`RuntimeError::Call`] with OpenVINO's reason, [`RuntimeError::Argument`] where there are several
    /// inputs.
    pub(crate) fn pool(
        &mut self,
        network: &Network,
        (element, shape): (ElementType, &[usize]),
        serving: Serving,
    ) -> Result<Pool, RuntimeError> {
        let name = network.name.clone();
        if network.inputs().len() != 1 {
            let count = network.inputs().len();
            return Err(RuntimeError::Argument(format!("{name} has {count} inputs, one is needed")));
        }
        let device = self.device.clone();
        // As at loading: devices without the property compute as they do.
        for computing in &self.computing {
            let key = RwPropertyKey::HintPerformanceMode;
            let _ = self.core.set_property(&DeviceType::from(computing.as_str()), &key, serving.hint.value());
        }
        let mut compiled = self
            .core
            .compile_model(&network.model, DeviceType::from(device.as_str()))
            .map_err(RuntimeError::call(format!("compile {name} for {device}")))?;
        let optimal = || -> Option<usize> {
            let found = compiled.get_property(&PropertyKey::OptimalNumberOfInferRequests).ok()?;
            found.trim().parse().ok()
        };
        let count = serving.requests.or_else(optimal).unwrap_or(1).clamp(1, 1024);
        let (native, dims) = (native_element(element)?, native_shape(shape)?);
        let slots: Result<Vec<Slot>, openvino::InferenceError> =
            (0..count).map(|_| Slot::new(&mut compiled, openvino::Tensor::new(native, &dims)?)).collect();
        let slots = slots.map_err(RuntimeError::call(format!("create {count} requests for {name}")))?;
        Ok(Pool { slots, compiled: Mutex::new(compiled), forgets: serving.forgets, name })
    }
}

impl Pool {
    /// How many inferences run at the same time.
    pub(crate) fn requests(&self) -> usize {
        self.slots.len()
    }

    /// Runs inferences 0 to `jobs - 1`, several at a time.
    ///
    /// `fill` writes the input of one of them, `read` takes what is wanted from the tensors of `wanted`
    /// outputs; both run on threads of their own, one for each request. `each` gets the results on the
    /// calling thread, in the order in which they come; where it fails, no further job is begun.
    ///
    /// # Errors
    /// The first error of OpenVINO, `fill`, `read` or `each`.
    pub(crate) fn run<R, E>(
        &mut self,
        jobs: usize,
        wanted: &[usize],
        fill: impl Fn(usize, &mut [u8]) -> Result<(), E> + Sync,
        read: impl Fn(usize, Vec<Tensor>) -> Result<R, E> + Sync,
        mut each: impl FnMut(usize, R) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Send,
        E: From<RuntimeError> + Send,
    {
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (name, compiled, forgets) = (&self.name, &self.compiled, self.forgets);
        let one = |slot: &mut Slot, job: usize| -> Result<R, E> {
            let input = slot.input.get_raw_data_mut().map_err(RuntimeError::call(format!("fill {name}")));
            fill(job, input?)?;
            if forgets {
                slot.forget(compiled).map_err(RuntimeError::call(format!("create a request for {name}")))?;
            }
            let request = &mut slot.request;
            // Not `infer`, which would compute on this thread and not on the device's streams.
            let run = request.infer_async().and_then(|()| request.wait(FOREVER));
            run.map_err(RuntimeError::call(format!("run {name}")))?;
            let outputs = wanted.iter().map(|index| read_output(request, *index, name));
            read(job, outputs.collect::<Result<_, _>>()?)
        };
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for slot in self.slots.iter_mut().take(jobs) {
                let (send, one, next, stopped) = (send.clone(), &one, &next, &stopped);
                scope.spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        if job >= jobs || send.send((job, one(slot, job))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            let mut outcome = Ok(());
            for (job, result) in receive {
                if outcome.is_ok() {
                    outcome = result.and_then(|result| each(job, result));
                    stopped.store(outcome.is_err(), Ordering::Relaxed);
                }
            }
            outcome
        })
    }
}
