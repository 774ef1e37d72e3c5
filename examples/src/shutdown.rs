//! The end of a program.

use tokio::signal;

/// Resolves at Ctrl-C, and on Unix at SIGTERM, which is what process managers and orchestrators send.
///
/// # Panics
///
/// If no handler can be installed for a signal.
pub async fn shutdown_signal() {
    let interrupt = async { signal::ctrl_c().await.expect("a handler for Ctrl-C") };
    #[cfg(unix)]
    let terminate = async {
        signal::unix::signal(signal::unix::SignalKind::terminate())
            .expect("a handler for SIGTERM")
            .recv()
            .await;
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tracing::info!("shutting down");
}
