//! Work that goes on after its caller has left: late answers, and releases by drop.

use std::{fmt, future::Future};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// The work in the background of one [`Redsync`](crate::Redsync), for which
/// [`drain`](crate::Redsync::drain) waits.
#[derive(Clone)]
pub(crate) struct Background(TaskTracker);

impl Background {
    pub(crate) fn new() -> Self {
        let tracker = TaskTracker::new();
        // A tracker can be waited for once it is closed, and it takes tasks all the same.
        tracker.close();
        Self(tracker)
    }

    /// Spawns the work on the runtime at hand, else on `home`, else drops it. It is given up at
    /// `deadline`.
    pub(crate) fn spawn(
        &self,
        home: Option<&Handle>,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let current = Handle::try_current().ok();
        let Some(handle) = current.as_ref().or(home) else {
            tracing::warn!("no tokio runtime to release a lock on; its keys are left to expire");
            return;
        };
        let limited = async move {
            if timeout_at(deadline, work).await.is_err() {
                tracing::debug!("a node did not answer; its key is left to expire");
            }
        };
        // What the handle spawns after its runtime has shut down is dropped, not a panic.
        self.0.spawn_on(limited, handle);
    }

    pub(crate) fn guard(&self) -> DrainGuard {
        DrainGuard(self.0.token())
    }

    pub(crate) async fn drain(&self) {
        self.0.wait().await;
    }
}

/// Makes [`drain`](crate::Redsync::drain) wait until this guard and all its clones are dropped. See
/// [`Redsync::drain_guard`](crate::Redsync::drain_guard).
#[derive(Clone, Debug)]
pub struct DrainGuard(
    #[expect(dead_code, reason = "counted as long as it lives")] TaskTrackerToken,
);

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("tasks", &self.0.len())
            .finish()
    }
}
