//! Work that continues after its caller has left: late answers, and releases of dropped guards.

use std::{fmt, future::Future};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// The background work of one [`Redsync`](crate::Redsync). [`drain`](crate::Redsync::drain) waits
/// for it.
#[derive(Clone)]
pub(crate) struct Background(TaskTracker);

impl Background {
    pub(crate) fn new() -> Self {
        let tracker = TaskTracker::new();
        // Waiting for a tracker ends only after it is closed. A closed tracker still takes tasks.
        tracker.close();
        Self(tracker)
    }

    /// Spawns the work on the current runtime, or otherwise on `home`. If there is neither, the
    /// work is dropped. At `deadline`, it is abandoned.
    pub(crate) fn spawn(
        &self,
        home: Option<&Handle>,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let current = Handle::try_current().ok();
        let Some(handle) = current.as_ref().or(home) else {
            tracing::warn!("there is no tokio runtime to release a lock on; its keys will expire");
            return;
        };
        let limited = async move {
            if timeout_at(deadline, work).await.is_err() {
                tracing::debug!("a node did not answer; its key will expire");
            }
        };
        // If the runtime has shut down, this does not panic: the work is dropped.
        self.0.spawn_on(limited, handle);
    }

    pub(crate) fn guard(&self) -> DrainGuard {
        DrainGuard(self.0.token())
    }

    pub(crate) async fn drain(&self) {
        self.0.wait().await;
    }
}

/// A guard that makes [`drain`](crate::Redsync::drain) wait until it and all its clones are
/// dropped. See [`Redsync::drain_guard`](crate::Redsync::drain_guard).
#[derive(Clone, Debug)]
pub struct DrainGuard(
    #[expect(dead_code, reason = "counted for as long as it lives")] TaskTrackerToken,
);

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("tasks", &self.0.len())
            .finish()
    }
}
