//! The hold of a lease: whether it is valid, and until when.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sync::Mutex;

/// The validity as the holder sees it: by the clock of this process, independent of the nodes.
pub(crate) struct Hold {
    /// The end of the validity: up to then the holder may believe that it holds the lock.
    until: Mutex<Instant>,
    /// Whether a quorum has granted.
    was_held: AtomicBool,
    /// Whether the keys have been released, handed over or left to others: nothing more is acquired
    /// or extended for this lease.
    has_ended: AtomicBool,
    /// Whether the loss of the lock has been reported.
    loss_is_reported: AtomicBool,
    /// Fires when the validity ends early. Made when somebody first waits for it.
    ended_early: OnceLock<CancellationToken>,
}

impl Hold {
    /// A hold that has not begun.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            until: Mutex::new(now),
            was_held: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            loss_is_reported: AtomicBool::new(false),
            ended_early: OnceLock::new(),
        }
    }

    pub(crate) fn until(&self) -> Instant {
        *self.until.lock()
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until()
    }

    /// Whether a quorum has granted, at any time.
    pub(crate) fn was_held(&self) -> bool {
        // Relaxed: the task that owns the lease writes this before it shares the lease with anyone
        // who reads it.
        self.was_held.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        // Acquire, paired with the release in `end`. The end is written before the validity is cut
        // short. So a thread that sees the shorter validity also sees the end, and does not take it
        // for a loss.
        self.has_ended.load(Ordering::Acquire)
    }

    /// Begins the validity of a lock that has just been acquired.
    pub(crate) fn begin(&self, until: Instant) {
        *self.until.lock() = until;
        self.was_held.store(true, Ordering::Relaxed);
    }

    /// Prolongs the validity, unless it has ended: a lost lock stays lost. Returns whether it was
    /// still valid.
    pub(crate) fn prolong(&self, until: Instant) -> bool {
        let mut current = self.until.lock();
        let is_valid = Instant::now() < *current;
        if is_valid {
            *current = until.max(*current);
        }
        is_valid
    }

    /// Ends the validity at `now`. Returns whether it was still valid.
    pub(crate) fn cut_short(&self, now: Instant) -> bool {
        let was_valid = {
            let mut until = self.until.lock();
            let was_valid = now < *until;
            *until = now.min(*until);
            was_valid
        };
        if let Some(ended) = self.ended_early.get() {
            ended.cancel();
        }
        was_valid
    }

    /// Ends the hold, because the lease ends. Returns whether this is the first time.
    pub(crate) fn end(&self, now: Instant) -> bool {
        let is_first = !self.has_ended.swap(true, Ordering::AcqRel);
        self.cut_short(now);
        is_first
    }

    /// Returns whether the loss of the lock has to be reported now. It is reported once.
    pub(crate) fn report_loss(&self) -> bool {
        // Relaxed: only one of two reporters may see false, and nothing else is ordered by the
        // flag.
        self.was_held() && !self.loss_is_reported.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn ended_early(&self) -> &CancellationToken {
        // A caller reads `until` after this, so it does not miss an end that came before.
        self.ended_early.get_or_init(CancellationToken::new)
    }
}
