//! How a waiter that searches for a permit steps aside.
//!
//! A holder of a semaphore hands its permit over to the next waiter. If that waiter is about to find
//! another permit that is free, and got this one instead, it would leave before it has found it. So
//! would all others, and where holds are shorter than a search, permits would stay free for ever. So
//! a waiter *steps aside* while it searches: a permit that is handed over passes it, and goes to the
//! next waiter that does not search. It keeps its place in the queue.

use tokio::time::Instant;

use crate::sync::Mutex;

/// How many permits pass a waiter at most, for each permit of its semaphore. A search takes two
/// rounds if a permit is free. So even if permits are held for only half of a round, each of them can
/// pass the waiter for as long as it searches.
const MOST_PASSES: usize = 4;

/// Whether a waiter has stepped aside, and how many permits have passed it.
#[derive(Default)]
pub(super) struct Aside(Mutex<State>);

#[derive(Default)]
struct State {
    /// Up to when the waiter steps aside, if it does.
    until: Option<Instant>,
    passes: usize,
}

impl Aside {
    /// Steps aside up to an instant, or back.
    pub(super) fn step(&self, until: Option<Instant>) {
        self.0.lock().until = until;
    }

    /// Whether one more permit may pass the waiter now, if there are this many.
    pub(super) fn lets_pass(&self, permits: usize, now: Instant) -> bool {
        let State { until, passes } = *self.0.lock();
        until.is_some_and(|until| now < until) && passes < MOST_PASSES * permits
    }

    /// Counts a permit that passes the waiter.
    pub(super) fn passed(&self) {
        self.0.lock().passes += 1;
    }
}
