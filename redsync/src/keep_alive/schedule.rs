//! The queue of due times: which guards are extended when.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::due::Times;
use crate::{lease::Lease, sync::Mutex};

/// The most extensions that are begun before replies are read: as many as a connection sends
/// together.
const MOST_BEGUN_AT_ONCE: usize = 256;

/// A guard that is kept alive, for as long as this exists.
pub(crate) struct KeptAlive {
    lease: Arc<Lease>,
    dates: Mutex<Dates>,
}

/// When a guard was extended last, and when it is due.
#[derive(Clone, Copy)]
struct Dates {
    last_start: Instant,
    /// An appointment at another time is outdated.
    next: Instant,
}

/// The guards that are kept alive, by the time at which each is due.
#[derive(Default)]
pub(super) struct Schedule {
    appointments: BinaryHeap<Reverse<Appointment>>,
}

struct Appointment {
    at: Instant,
    kept: Weak<KeptAlive>,
}

impl KeptAlive {
    pub(super) fn new(lease: &Arc<Lease>, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            lease: Arc::clone(lease),
            dates: Mutex::new(Dates {
                last_start: now,
                next: now,
            }),
        })
    }

    /// When the extension began that was begun last.
    pub(super) fn last_start(&self) -> Instant {
        self.dates.lock().last_start
    }

    pub(super) const fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    pub(super) fn times(&self) -> Times {
        Times {
            expiry: self.lease.options().timing.expiry(),
            until: self.lease.until(),
        }
    }
}

impl Schedule {
    /// Plans the next extension of a guard for `at`, or, if the lock cannot be extended any
    /// further, the report of its end. Returns when the guard is due.
    pub(super) fn plan(&mut self, kept: &Arc<KeptAlive>, at: Instant) -> Instant {
        let at = if kept.lease.is_at_its_end() {
            kept.lease.until()
        } else {
            at
        };
        self.insert(kept, at);
        at
    }

    fn insert(&mut self, kept: &Arc<KeptAlive>, at: Instant) {
        kept.dates.lock().next = at;
        if self.appointments.len() == self.appointments.capacity() {
            // Guards that were dropped stay in the queue until they are due. Remove them before the
            // queue grows.
            let lives = |it: &Reverse<Appointment>| it.0.kept.strong_count() > 0;
            self.appointments.retain(lives);
        }
        let kept = Arc::downgrade(kept);
        self.appointments.push(Reverse(Appointment { at, kept }));
    }

    /// When the next guard is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.appointments.peek().map(|Reverse(next)| next.at)
    }

    /// Takes guards that are due, to be extended, and plans the repetition.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<KeptAlive>> {
        let mut taken = Vec::new();
        while taken.len() < MOST_BEGUN_AT_ONCE
            && let Some(kept) = self.pop(now)
        {
            if kept.lease.has_ended() {
                continue;
            }
            if !kept.lease.is_lost() {
                let node_timeout = kept.lease.options().timing.node_timeout();
                let again = kept.times().without_result(now, node_timeout);
                kept.dates.lock().last_start = now;
                self.insert(&kept, again);
            }
            taken.push(kept);
        }
        taken
    }

    /// Takes the next guard that is due out of the queue.
    fn pop(&mut self, now: Instant) -> Option<Arc<KeptAlive>> {
        loop {
            if self.next()? > now {
                return None;
            }
            let Reverse(due) = self.appointments.pop()?;
            let kept = due
                .kept
                .upgrade()
                .filter(|kept| kept.dates.lock().next == due.at);
            if kept.is_some() {
                return kept;
            }
        }
    }
}

impl PartialEq for Appointment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Appointment {}

impl PartialOrd for Appointment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Appointment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
