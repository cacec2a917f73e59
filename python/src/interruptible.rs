//! Long work that Ctrl-C stops.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How long a signal may wait to be seen.
const POLL: Duration = Duration::from_millis(50);

/// Does `work` on a thread of its own, without the interpreter's lock, and looks for signals meanwhile.
///
/// # Errors
/// What a signal's handler raises, `KeyboardInterrupt` as a rule: then `stop` was called, and whatever the
/// work gave is dropped.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    stop: impl Fn(),
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        let worker = scope.spawn(move || {
            // Dropped when the work ends, however it ends.
            let _done = done;
            work()
        });
        let mut signal = Ok(());
        let ended = std::sync::Mutex::new(ended);
        while signal.is_ok() {
            let waited = py.detach(|| match ended.lock() {
                Ok(ended) => ended.recv_timeout(POLL),
                Err(_) => Err(RecvTimeoutError::Disconnected),
            });
            match waited {
                Err(RecvTimeoutError::Timeout) => signal = py.check_signals(),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if signal.is_err() {
            stop();
        }
        let result = py.detach(|| worker.join());
        signal?;
        result.map_err(|_| PyRuntimeError::new_err("the work ended in a panic; please report this"))
    })
}
