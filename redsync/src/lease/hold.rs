//! Whether a lease is held, and until when.

use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The holder's own view: by this process's clock, whatever the nodes know.
pub(crate) struct Hold {
    /// The end of the validity: up to then the holder may believe that it holds the lock.
    until: Mutex<Instant>,
    /// Whether a quorum has granted, once.
    was_held: AtomicBool,
    /// Whether the keys have been released, handed over or left to others: nothing more is acquired
    /// or extended for this lease.
    has_ended: AtomicBool,
    /// Whether its loss has been reported.
    loss_is_reported: AtomicBool,
    /// Fires when the validity ends before its time. Made when somebody wants to know.
    ended_early: OnceLock<CancellationToken>,
}

impl Hold {
    /// Not held yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            until: Mutex::new(now),
            was_held: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            loss_is_reported: AtomicBool::new(false),
            ended_early: OnceLock::new(),
        }
    }

    fn lock_until(&self) -> MutexGuard<'_, Instant> {
        // An assignment is whole.
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn until(&self) -> Instant {
        *self.lock_until()
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until()
    }

    /// Whether a quorum has granted, whatever has come since.
    pub(crate) fn was_held(&self) -> bool {
        // Written by the task that owns the lease before it shares it: nothing has to be ordered.
        self.was_held.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        // Acquire, with the release in `end`: a thread that sees the end also sees the shorter
        // validity, and so never sends an extension on the strength of the old one.
        self.has_ended.load(Ordering::Acquire)
    }

    /// Begins the validity of a lock that has just been acquired.
    pub(crate) fn begin(&self, until: Instant) {
        *self.lock_until() = until;
        self.was_held.store(true, Ordering::Relaxed);
    }

    /// Prolongs the validity, unless it is over: what is lost stays lost.
    pub(crate) fn prolong(&self, until: Instant) -> bool {
        let mut current = self.lock_until();
        let is_valid = Instant::now() < *current;
        if is_valid {
            *current = until.max(*current);
        }
        is_valid
    }

    /// Ends the validity at an instant that has come. Says whether it was not over before.
    pub(crate) fn cut_short(&self, now: Instant) -> bool {
        let was_valid = {
            let mut until = self.lock_until();
            let was_valid = now < *until;
            *until = now.min(*until);
            was_valid
        };
        if let Some(ended) = self.ended_early.get() {
            ended.cancel();
        }
        was_valid
    }

    /// Ends the validity because the keys are given up. Says whether this is the first time.
    pub(crate) fn end(&self, now: Instant) -> bool {
        let is_first = !self.has_ended.swap(true, Ordering::AcqRel);
        self.cut_short(now);
        is_first
    }

    /// Whether the loss of the lock is still to be reported. It is reported once.
    pub(crate) fn report_loss(&self) -> bool {
        // Only this flag counts, whatever else the two reporters have seen.
        self.was_held() && !self.loss_is_reported.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn ended_early(&self) -> &CancellationToken {
        // A caller reads `until` after this, and so misses no end that came before.
        self.ended_early.get_or_init(CancellationToken::new)
    }
}
