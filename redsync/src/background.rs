//! Work that continues after its caller has left: late answers, and releases of dropped guards.

mod watched;

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use self::watched::Watches;
use crate::runtimes::{Runtimes, has_workers};

/// A drain that takes longer than this may wait for answers that nobody reads.
const PATIENCE: Duration = Duration::from_millis(500);

/// The background work of one [`Redsync`](crate::Redsync). [`drain`](crate::Redsync::drain) waits
/// for it.
#[derive(Clone)]
pub(crate) struct Background {
    tasks: TaskTracker,
    runtimes: Arc<Runtimes>,
    watches: Arc<Watches>,
}

impl Background {
    pub(crate) fn new() -> Self {
        let tasks = TaskTracker::new();
        // Waiting for a tracker ends only after it is closed. A closed tracker still takes tasks.
        tasks.close();
        let runtimes = Arc::default();
        Self {
            tasks,
            watches: Watches::new(&runtimes),
            runtimes,
        }
    }

    /// The runtimes that the work can run on.
    pub(crate) const fn runtimes(&self) -> &Arc<Runtimes> {
        &self.runtimes
    }

    /// Spawns work that has not begun, on a runtime that lives. Prefers the current one and `home`.
    /// If there is none, the work is dropped. At `deadline`, it is abandoned.
    pub(crate) fn spawn(
        &self,
        home: Option<&Handle>,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        if let Some(runtime) = self.runtimes.living(home) {
            self.spawn_on(&runtime, deadline, work);
        }
    }

    /// Spawns work that may have begun on the current runtime. If there is none, it has not begun
    /// on any that lives, and is spawned on `home`.
    ///
    /// It does not move to another runtime, because timers and connections belong to the runtime
    /// that they were made on. If that has ended, the work is dropped.
    pub(crate) fn spawn_here(
        &self,
        home: Option<&Handle>,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let current = Handle::try_current().ok();
        if let Some(runtime) = current.as_ref().or(home) {
            self.spawn_on(runtime, deadline, work);
        }
    }

    /// Spawns work on a runtime. If that has ended, this does not panic: the work is dropped. If it
    /// stands still, the work is dropped a while after another runtime is known.
    pub(crate) fn spawn_on(
        &self,
        runtime: &Handle,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn_to_the_end(runtime, async move {
            if timeout_at(deadline, work).await.is_err() {
                tracing::debug!("a node did not answer; its key will expire");
            }
        });
    }

    /// The same for work that ends by itself.
    pub(crate) fn spawn_to_the_end(
        &self,
        runtime: &Handle,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        if has_workers(runtime) {
            drop(self.tasks.spawn_on(work, runtime));
        } else {
            // Not the task but the work is counted, because the task may stand still.
            (self.watches).spawn(self.tasks.track_future(work), runtime);
        }
    }

    pub(crate) fn guard(&self) -> DrainGuard {
        DrainGuard(self.tasks.token())
    }

    /// Waits for the work. If that takes long, `unblock` is called over and over, and the current
    /// runtime watches over work on runtimes that may stand still.
    pub(crate) async fn drain<F: Future>(&self, unblock: impl Fn() -> F) {
        let mut done = pin!(self.tasks.wait());
        if self.runtimes.current().is_none() {
            // There are no timers.
            return done.await;
        }
        while timeout(PATIENCE, &mut done).await.is_err() {
            self.watches.begin_kept();
            if let Either::Left(_) = select(&mut done, pin!(unblock())).await {
                return;
            }
        }
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
            .field("tasks", &self.tasks.len())
            .finish()
    }
}
