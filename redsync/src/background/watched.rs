//! Work on a runtime that may stand still: another runtime watches over it.
//!
//! A runtime with a single thread runs only while a thread blocks on it. So work that was left to it
//! may wait for ever, and so may everything that waits for this work. If the runtime that watches ends
//! before the work is done, the watch moves to another one that is known.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    runtimes::{Runtimes, STANDSTILL, stands_still},
    sync::Mutex,
};

/// The work. None while it is polled, and when it is done.
struct Watched(Mutex<Option<BoxFuture<'static, ()>>>);

/// Polls the work on its own runtime.
struct Runner(Arc<Watched>);

/// Watches over work from another runtime than the one that it is on.
struct Watch {
    watched: Weak<Watched>,
    /// The runtime of the work.
    runtime: Handle,
    runtimes: Arc<Runtimes>,
    /// Whether the work was dropped, because its runtime stands still.
    has_dropped: bool,
}

/// Spawns work on a runtime. If that stands still, the work is dropped on the other one.
pub(super) fn spawn(
    work: impl Future<Output = ()> + Send + 'static,
    runtime: &Handle,
    other: &Handle,
    runtimes: &Arc<Runtimes>,
) {
    let watched = Arc::new(Watched(Mutex::new(Some(work.boxed()))));
    let watch = Watch {
        watched: Arc::downgrade(&watched),
        runtime: runtime.clone(),
        runtimes: Arc::clone(runtimes),
        has_dropped: false,
    };
    other.spawn(watch.run());
    runtime.spawn(Runner(watched));
}

impl Watch {
    /// Checks the work until it is done, and drops it if its runtime stands still.
    async fn run(mut self) {
        while !self.is_over() {
            sleep(STANDSTILL).await;
            if self.is_over() {
                return;
            }
            if !stands_still(&self.runtime).await {
                continue;
            }
            // The task above did not run, so the work was not polled either.
            let watched = self.watched.upgrade();
            let work = watched.and_then(|watched| watched.0.lock().take());
            self.has_dropped = work.is_some();
            drop(work);
        }
    }

    /// Whether the work is done, or was dropped.
    fn is_over(&self) -> bool {
        self.has_dropped || self.watched.strong_count() == 0
    }
}

impl Drop for Watch {
    /// If the work is not over, the runtime of this watch has ended. If no other is known, nobody
    /// watches any longer.
    fn drop(&mut self) {
        if self.is_over() {
            return;
        }
        if let Some(other) = self.runtimes.besides(self.runtime.id()) {
            let watch = Self {
                watched: Weak::clone(&self.watched),
                runtime: self.runtime.clone(),
                runtimes: Arc::clone(&self.runtimes),
                has_dropped: false,
            };
            other.spawn(watch.run());
        }
    }
}

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Not under the lock, because this may run the code of a user's node.
        let work = self.0.0.lock().take();
        let Some(mut work) = work else {
            return Poll::Ready(());
        };
        let polled = work.poll_unpin(cx);
        if polled.is_pending() {
            *self.0.0.lock() = Some(work);
        }
        polled
    }
}

impl Drop for Runner {
    /// If the work is not done, its runtime has ended.
    fn drop(&mut self) {
        let work = self.0.0.lock().take();
        drop(work);
    }
}
