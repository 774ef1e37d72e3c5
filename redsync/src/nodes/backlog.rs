//! The backlog of a node: the releases that it has not carried out, and that are repeated.
//!
//! In an outage, each lock that ends may leave one. So a release does not ask the node again by
//! itself. The [repeater](super::repeater) asks for all of them, one at a time while the node
//! fails.

use std::{
    collections::VecDeque,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Notify, time::Instant};

use crate::{node::Question, sync::Mutex};

#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    /// Whether releases are repeated. So an answer of a node without a backlog does not lock the
    /// mutex.
    is_repeated: AtomicBool,
    /// Notifies the repeater that the counts have changed.
    counted: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Whether a repeater is responsible for those that wait.
    has_repeater: bool,
    counts: Counts,
}

/// A release that waits to be repeated.
pub(super) struct Waiting {
    pub(super) release: Question,
    /// When its pursuit ends.
    pub(super) until: Instant,
}

/// How many releases the node has carried out, and how many it has not, while it had a backlog.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    succeeded: usize,
    failed: usize,
}

impl Backlog {
    /// Adds a release, which is repeated up to the end of its pursuit. Returns whether it needs a
    /// repeater, because the backlog has none.
    #[must_use]
    pub(super) fn add(&self, release: Question, until: Instant) -> bool {
        let mut state = self.state.lock();
        state.waiting.push_back(Waiting { release, until });
        state.counts.failed += 1;
        let has_repeater = mem::replace(&mut state.has_repeater, true);
        // Relaxed: see `succeeded`.
        self.is_repeated.store(true, Ordering::Relaxed);
        drop(state);
        self.counted.notify_one();
        !has_repeater
    }

    /// Notes that the node has carried out a release.
    pub(super) fn succeeded(&self) {
        // Relaxed: this is about the answers to what the repeater has asked, which it did after it
        // was made, and so after the flag was set. The mutex orders the writers.
        if self.is_repeated.load(Ordering::Relaxed) {
            self.state.lock().counts.succeeded += 1;
            self.counted.notify_one();
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Takes the first releases, up to this number.
    pub(super) fn take(&self, most: usize) -> Vec<Waiting> {
        let waiting = &mut self.state.lock().waiting;
        waiting.drain(..most.min(waiting.len())).collect()
    }

    /// Drops the releases whose pursuit has ended. Returns when the next one ends.
    pub(super) fn drop_over(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let is_over = |waiting: &Waiting| waiting.until <= now;
        let mut over = VecDeque::new();
        if state.waiting.iter().any(is_over) {
            (over, state.waiting) = state.waiting.drain(..).partition(is_over);
        }
        let next = state.waiting.iter().map(|waiting| waiting.until).min();
        drop(state);
        // Not under the lock, because the asker learns that its question is dropped.
        drop(over);
        next
    }

    /// Lets the repeater end if nothing is left to repeat.
    pub(super) fn ends(&self) -> bool {
        let mut state = self.state.lock();
        let ends = state.waiting.is_empty();
        if ends {
            state.has_repeater = false;
            // Relaxed: see `succeeded`.
            self.is_repeated.store(false, Ordering::Relaxed);
        }
        ends
    }

    /// Takes all releases from a repeater that cannot continue.
    pub(super) fn abandon(&self) -> VecDeque<Waiting> {
        let mut state = self.state.lock();
        state.has_repeater = false;
        mem::take(&mut state.waiting)
    }

    /// Resolves when this number of releases have succeeded since an earlier count, or one has
    /// failed. Returns whether all have succeeded.
    pub(super) async fn batch_has_succeeded(&self, size: usize, before: Counts) -> bool {
        loop {
            let now = self.counts();
            if now.failed > before.failed {
                return false;
            }
            if now.succeeded - before.succeeded >= size {
                return true;
            }
            // There is one repeater, and a notice that comes before this is kept for it.
            self.counted.notified().await;
        }
    }
}
