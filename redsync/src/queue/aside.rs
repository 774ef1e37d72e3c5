//! How a waiter that searches for a permit steps aside.
//!
//! A holder of a semaphore hands its permit over to the next waiter. If that waiter is about to find
//! another permit that is free, and got this one instead, it would leave before it has found it. So
//! would all others, and where holds are shorter than a search, permits would stay free for ever. So
//! a waiter *steps aside* while it searches: a permit that is handed over passes it, and goes to the
//! next waiter that does not search. It keeps its place in the queue.

use std::sync::atomic::Ordering;

use crate::sync::{AtomicBool, AtomicUsize};

/// How many permits pass a waiter at most, for each permit of its semaphore. A search takes two
/// rounds if a permit is free. So all permits are found if they are held for half of a round or
/// longer.
const MOST_PASSES: usize = 4;

/// Whether a waiter has stepped aside, and how many permits have passed it.
///
/// It is asked, and passes are counted, while the book is locked.
#[derive(Default)]
pub(super) struct Aside {
    is_aside: AtomicBool,
    passes: AtomicUsize,
}

impl Aside {
    /// Steps aside, or back. It costs a pass too many or too few at most if the book is asked at
    /// the same time.
    pub(super) fn step(&self, aside: bool) {
        // Relaxed, like the others: nothing else is ordered by these.
        self.is_aside.store(aside, Ordering::Relaxed);
    }

    /// Whether one more permit may pass the waiter, if there are this many.
    pub(super) fn lets_pass(&self, permits: usize) -> bool {
        self.is_aside.load(Ordering::Relaxed)
            && self.passes.load(Ordering::Relaxed) < MOST_PASSES * permits
    }

    /// Counts a permit that passes the waiter. The book is locked, so nobody else counts.
    pub(super) fn passed(&self) {
        let passes = self.passes.load(Ordering::Relaxed);
        self.passes.store(passes + 1, Ordering::Relaxed);
    }
}
