//! How processes that cannot see each other share a name.
//!
//! Processes that wait for one name do not know of each other. A process can see that the name was
//! held while nobody here held it, and how often it changed hands. From that it derives how long it
//! may keep the name for its own waiters, how long it [stays back](stays) after it has released it,
//! and whether another process [comes first](changes). Now and then it leaves the name
//! [open](openings) for clients that poll.
//!
//! All of this is advice: it decides when a waiter makes an attempt, and never whether it holds the
//! lock. Each [constant](constants) has beside it the figure that a benchmark gives without it.

mod changes;
mod constants;
mod openings;
mod stays;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::constants::{DIVISION_PAUSE, FAILED_WAKE_UPS, OWN_RELEASE};
use self::{
    changes::Changes,
    constants::{BLIND_PART, CONTENDED_PART, LEAST_TIME, WANTED_FOR},
    openings::Openings,
    stays::Stays,
};

/// A sign of other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Another process has held the name.
    Held,
    /// This process stayed back for this long, and no other process came.
    NobodyCame(Duration),
    /// The name was left open, and somebody came.
    Came,
}

/// How a process stays back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stay {
    /// For this long, so that processes that were notified come first.
    For(Duration),
    /// Until somebody comes, and for no longer than this, so that a client that polls can come.
    Open(Duration),
}

/// The knowledge of other processes that the queue of one name has.
#[derive(Default)]
pub(crate) struct Fairness {
    /// When another process was last seen with the name.
    seen: Option<Instant>,
    stays: Stays,
    openings: Openings,
    changes: Changes,
}

impl Fairness {
    pub(crate) fn note(&mut self, sign: Sign, now: Instant) {
        match sign {
            Sign::Held => {
                // A client that polls does not come sooner for hand-overs that end sooner. If it
                // holds the name for 5 ms, there are 20,878 sections without this.
                if !self.openings.have_visitor(now) {
                    self.seen = Some(now);
                }
            }
            Sign::NobodyCame(stay) => self.stays.was_too_short(stay),
            Sign::Came => self.openings.visited(now),
        }
    }

    fn is_contended(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now - seen < WANTED_FOR)
    }

    /// Returns how long the lock may be handed over in this process. Without other processes, that
    /// is `time`.
    pub(crate) fn fair_hand_over_time(&self, time: Duration, now: Instant) -> Duration {
        if self.is_contended(now) {
            time / CONTENDED_PART
        } else {
            time
        }
    }

    /// Returns how to stay back now that the name was released here, if at all. `time` is the time
    /// for hand-overs, and `share` is how much of its time the name may be open.
    pub(crate) fn stay_back(&mut self, time: Duration, share: f64, now: Instant) -> Option<Stay> {
        let time = time.max(LEAST_TIME);
        if self.is_contended(now) {
            if let Some(stay) = self.stays.for_known(time) {
                return Some(Stay::For(stay));
            }
            self.seen = None;
        }
        if let Some(left) = self.openings.left(share, now) {
            return Some(Stay::Open(left));
        }
        self.stays.by_chance(time, now).map(Stay::For)
    }

    /// Returns for how long to leave the name open, if at all, now that the nodes report it as
    /// free. It may have been released here, by a holder that the queue does not know.
    pub(crate) fn opening(&mut self, share: f64, now: Instant) -> Option<Duration> {
        if self.is_contended(now) {
            return None;
        }
        self.openings.left(share, now)
    }

    /// Notes that the name has changed hands among other processes. Returns how many times it has
    /// to be found free before the next attempt, so that others come first.
    pub(crate) const fn changed_hands(&mut self) -> u32 {
        self.changes.count()
    }

    /// Notes that this process has acquired the name.
    pub(crate) fn acquired(&mut self) {
        self.openings.close();
        self.changes.restart();
    }

    /// Notes that this process has acquired the name for a shared holder, perhaps beside others of
    /// its own.
    pub(crate) fn acquired_shared(&mut self) {
        self.openings.close();
        self.changes.restart_in_run();
    }
}

/// Draws at random how long to stay back if the nodes do not report when the name is free.
pub(crate) fn blind_stay(time: Duration) -> Duration {
    (time / BLIND_PART).mul_f64(fastrand::f64())
}

/// Draws at random whether to pause for the [`DIVISION_PAUSE`] after an attempt in which this
/// process and others each acquired only some of the nodes. Without such pauses, they would all
/// collide again: the wait is then 321 ms, and the smallest share 0.44.
pub(crate) fn pauses_after_division() -> bool {
    fastrand::bool()
}

#[cfg(test)]
mod tests;
