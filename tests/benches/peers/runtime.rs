//! The runtime of one measurement.

use std::future::Future;

use tokio::runtime::Builder;

use crate::setting::Threads;

/// Runs a future to its end, on a worker thread of the runtime, as services do. Everything that the
/// future has spawned ends with it.
pub(crate) fn run<T: Send + 'static>(
    threads: Threads,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut builder = match threads {
        Threads::Single => Builder::new_current_thread(),
        Threads::Multi => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads for a runtime");
    let task = runtime.spawn(future);
    runtime
        .block_on(task)
        .expect("a measurement that does not panic")
}
