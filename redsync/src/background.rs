//! What goes on after its caller has left: late answers, and releases by drop.

use std::{fmt, future::Future, time::Duration};

use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// The background tasks of one [`Redsync`](crate::Redsync), so that
/// [`drain`](crate::Redsync::drain) can wait for them.
#[derive(Clone)]
pub(crate) struct Background(TaskTracker);

impl Background {
    pub(crate) fn new() -> Self {
        let tracker = TaskTracker::new();
        // A tracker can be waited for once it is closed, and takes tasks all the same.
        tracker.close();
        Self(tracker)
    }

    /// Spawns the work on the runtime at hand, else on `home`, else drops it. It is given up after
    /// `limit`.
    pub(crate) fn spawn(
        &self,
        home: Option<&Handle>,
        limit: Duration,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let current = Handle::try_current().ok();
        let Some(handle) = current.as_ref().or(home) else {
            tracing::warn!("no tokio runtime to release a lock on; its keys are left to expire");
            return;
        };
        let limited = async move {
            if timeout(limit, work).await.is_err() {
                tracing::debug!("a node did not answer; its key is left to expire");
            }
        };
        // What the handle spawns after its runtime has shut down is dropped, not a panic.
        self.0.spawn_on(limited, handle);
    }

    pub(crate) fn delay(&self) -> DrainDelay {
        DrainDelay(self.0.token())
    }

    pub(crate) async fn drain(&self) {
        self.0.wait().await;
    }
}

/// Makes a drain wait until it, and all its clones, are dropped. See
/// [`Redsync::delay_drain`](crate::Redsync::delay_drain).
#[derive(Clone, Debug)]
pub struct DrainDelay(
    #[expect(dead_code, reason = "counted as long as it lives")] TaskTrackerToken,
);

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("tasks", &self.0.len())
            .finish()
    }
}
