//! Waiting for a condition rather than for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);

/// Blocks until `condition` holds.
///
/// This blocks a runtime with one thread, and its background tasks with it. For what the process
/// itself is to do, use [`until_async`].
///
/// # Panics
///
/// If it does not hold within `limit`. The message then contains `what`, the name of the condition.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        thread::sleep(PAUSE);
    }
}

/// Waits until `condition` holds, without blocking the runtime.
///
/// # Panics
///
/// If it does not hold within `limit`. The message then contains `what`, the name of the condition.
pub async fn until_async(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
