//! The end of a program.

use tokio::signal;

/// Handles Ctrl-C from now on, and on Unix SIGTERM, which is what process managers and orchestrators
/// send. The future resolves at the first of them.
///
/// Call this before the program serves: a signal without a handler ends it at once, with its locks.
///
/// # Panics
///
/// If no handler can be installed for a signal, or outside of a runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> {
    let stop = stop();
    async move {
        stop.await;
        tracing::info!("shutting down");
    }
}

#[cfg(unix)]
fn stop() -> impl Future<Output = ()> {
    use signal::unix::{SignalKind, signal};
    let handler = |kind| signal(kind).expect("a handler for a signal");
    let mut interrupt = handler(SignalKind::interrupt());
    let mut terminate = handler(SignalKind::terminate());
    async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn stop() {
    signal::ctrl_c().await.expect("a handler for Ctrl-C");
}
