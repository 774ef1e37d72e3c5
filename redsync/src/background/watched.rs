//! Work on a runtime that may stand still: another runtime watches over it.
//!
//! A runtime with a single thread runs only while a thread blocks on it. So work that was left to
//! it may wait for ever, and so may everything that waits for this work. If the runtime that
//! watches ends before the work is done, the watch moves to another one that is known. If none is
//! known, it begins when one is.

use std::{
    future::Future,
    mem,
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
    watches: Weak<Watches>,
    /// Whether the work was dropped, because its runtime stands still.
    has_dropped: bool,
}

/// The runtimes that can watch, and the watches that have not begun, because no other runtime than
/// that of the work is known.
pub(super) struct Watches {
    runtimes: Arc<Runtimes>,
    kept: Mutex<Vec<Watch>>,
}

impl Watches {
    pub(super) fn new(runtimes: &Arc<Runtimes>) -> Arc<Self> {
        Arc::new(Self {
            runtimes: Arc::clone(runtimes),
            kept: Mutex::default(),
        })
    }

    /// Spawns work on a runtime. If that stands still, the work is dropped on another one.
    pub(super) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
        runtime: &Handle,
    ) {
        let watched = Arc::new(Watched(Mutex::new(Some(work.boxed()))));
        self.begin(Watch {
            watched: Arc::downgrade(&watched),
            runtime: runtime.clone(),
            watches: Arc::downgrade(self),
            has_dropped: false,
        });
        runtime.spawn(Runner(watched));
    }

    /// Begins the watches that can begin by now.
    pub(super) fn begin_kept(&self) {
        let kept = mem::take(&mut *self.kept.lock());
        for watch in kept {
            self.begin(watch);
        }
    }

    fn begin(&self, watch: Watch) {
        match self.runtimes.besides(watch.runtime.id()) {
            Some(other) => drop(other.spawn(watch.run())),
            None => self.keep(watch),
        }
    }

    fn keep(&self, watch: Watch) {
        let mut kept = self.kept.lock();
        let mut over = Vec::new();
        if kept.len() == kept.capacity() {
            (over, *kept) = kept.drain(..).partition(Watch::is_over);
            // So that this takes a constant time on average.
            let len = kept.len();
            kept.reserve(len + 1);
        }
        kept.push(watch);
        drop(kept);
        // Not under the lock: a runtime whose last handle is dropped may run the code of others.
        drop(over);
    }
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
    /// If the work is not over, the runtime of this watch has ended.
    fn drop(&mut self) {
        if self.is_over() {
            return;
        }
        if let Some(watches) = self.watches.upgrade() {
            watches.begin(Self {
                watched: Weak::clone(&self.watched),
                runtime: self.runtime.clone(),
                watches: Weak::clone(&self.watches),
                has_dropped: false,
            });
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
