//! Figures of locks, by mode and outcome.

use std::sync::{Arc, OnceLock};

use ::metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram,
};
use tokio::time::Instant;

use super::labels::{Handles, Outcome};
use crate::{LockError, Mode};

const ACQUISITIONS: &str = "redsync_acquisitions_total";
const WAIT: &str = "redsync_wait_seconds";
const HOLD: &str = "redsync_hold_seconds";
const LOST: &str = "redsync_lost_total";

pub(super) fn describe() {
    let (count, seconds) = (Unit::Count, Unit::Seconds);
    describe_counter!(ACQUISITIONS, count, "Calls that lock, by outcome");
    describe_histogram!(WAIT, seconds, "Time from a call that locks to its outcome");
    describe_histogram!(HOLD, seconds, "Time that a lock was held");
    let lost = "Locks whose validity ended before they were released";
    describe_counter!(LOST, count, lost);
}

/// The locks of one [`Redsync`](crate::Redsync), with a handle for each figure.
#[derive(Default)]
pub(crate) struct LockMetrics {
    exclusive: ModeMetrics,
    shared: ModeMetrics,
}

#[derive(Default)]
struct ModeMetrics {
    outcomes: Handles<Outcome, (Counter, Histogram)>,
    hold: OnceLock<Histogram>,
    lost: OnceLock<Counter>,
}

impl LockMetrics {
    const fn of(&self, mode: Mode) -> &ModeMetrics {
        match mode {
            Mode::Exclusive => &self.exclusive,
            Mode::Shared => &self.shared,
        }
    }

    fn acquisition(&self, mode: Mode, outcome: Outcome, since: Instant) {
        let (count, wait) = self.of(mode).outcomes.get_or_make(outcome, |outcome| {
            let mode = mode.as_str();
            (
                counter!(ACQUISITIONS, "outcome" => outcome, "mode" => mode),
                histogram!(WAIT, "outcome" => outcome, "mode" => mode),
            )
        });
        count.increment(1);
        wait.record(since.elapsed());
    }

    /// Counts a lost lock.
    pub(crate) fn lost(&self, mode: Mode) {
        let lost = || counter!(LOST, "mode" => mode.as_str());
        self.of(mode).lost.get_or_init(lost).increment(1);
    }

    /// Records for how long a lock was held.
    pub(crate) fn held(&self, mode: Mode, since: Instant) {
        let held = || histogram!(HOLD, "mode" => mode.as_str());
        self.of(mode).hold.get_or_init(held).record(since.elapsed());
    }
}

/// A call that locks. It is counted when its outcome is known, or when it is dropped before that.
pub(crate) struct Acquisition {
    metrics: Arc<LockMetrics>,
    since: Instant,
    mode: Mode,
    is_open: bool,
}

impl Acquisition {
    pub(crate) fn begin(metrics: &Arc<LockMetrics>, mode: Mode) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            since: Instant::now(),
            mode,
            is_open: true,
        }
    }

    pub(crate) fn end<T>(&mut self, result: &Result<T, LockError>) {
        self.record(result.into());
    }

    fn record(&mut self, outcome: Outcome) {
        self.is_open = false;
        self.metrics.acquisition(self.mode, outcome, self.since);
    }
}

impl Drop for Acquisition {
    fn drop(&mut self) {
        if self.is_open {
            self.record(Outcome::Dropped);
        }
    }
}
