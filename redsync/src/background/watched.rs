//! Work on a runtime that may stand still: another runtime watches over it.
//!
//! A runtime with a single thread runs only while a thread blocks on it. So work that was left to it
//! may wait for ever, and so may everything that waits for this work.

use std::{
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::sync::Mutex;

/// A runtime that does not run a task for this long stands still. Work on it is checked at this
/// interval.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The work. None while it is polled, and when it is done.
struct Watched(Mutex<Option<BoxFuture<'static, ()>>>);

/// Polls the work on its own runtime.
struct Runner(Arc<Watched>);

/// Spawns work on a runtime. If that stands still, the work is dropped on the other one.
pub(super) fn spawn(
    work: impl Future<Output = ()> + Send + 'static,
    runtime: &Handle,
    other: &Handle,
) {
    let watched = Arc::new(Watched(Mutex::new(Some(work.boxed()))));
    other.spawn(watch(Arc::downgrade(&watched), runtime.clone()));
    runtime.spawn(Runner(watched));
}

/// Checks the work until it is done, and drops it if its runtime stands still.
async fn watch(watched: Weak<Watched>, runtime: Handle) {
    loop {
        sleep(STANDSTILL).await;
        if watched.strong_count() == 0 {
            return;
        }
        let runs = timeout(STANDSTILL, runtime.spawn(ready(()))).await.is_ok();
        let Some(watched) = watched.upgrade() else {
            return;
        };
        if runs {
            continue;
        }
        // The task above did not run, so the work was not polled either.
        let work = watched.0.lock().take();
        if work.is_some() {
            return drop(work);
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
