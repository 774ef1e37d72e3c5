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
    // Makes the counters of exclusive locks, at zero. Those of shared locks are made for the first
    // of them.
    ModeMetrics::new(Mode::Exclusive);
}

/// The locks of one [`Redsync`](crate::Redsync), with a handle for each figure.
#[derive(Default)]
pub(crate) struct LockMetrics {
    exclusive: OnceLock<ModeMetrics>,
    shared: OnceLock<ModeMetrics>,
}

/// The counters are made together, so that all of them exist from the first call that locks.
/// Otherwise a monitoring system would first see a counter when it is 1, and not that it has grown.
struct ModeMetrics {
    mode: &'static str,
    acquisitions: Handles<Outcome, Counter>,
    lost: Counter,
    waits: Handles<Outcome, Histogram>,
    hold: OnceLock<Histogram>,
}

impl ModeMetrics {
    fn new(mode: Mode) -> Self {
        let mode = mode.as_str();
        Self {
            mode,
            acquisitions: Handles::all(|outcome| acquisitions(outcome, mode)),
            lost: counter!(LOST, "mode" => mode),
            waits: Handles::default(),
            hold: OnceLock::new(),
        }
    }

    fn acquisition(&self, outcome: Outcome, since: Instant) {
        let mode = self.mode;
        let count = |outcome| acquisitions(outcome, mode);
        self.acquisitions.get_or_make(outcome, count).increment(1);
        let wait = |outcome| histogram!(WAIT, "outcome" => outcome, "mode" => mode);
        self.waits
            .get_or_make(outcome, wait)
            .record(since.elapsed());
    }
}

fn acquisitions(outcome: &'static str, mode: &'static str) -> Counter {
    counter!(ACQUISITIONS, "outcome" => outcome, "mode" => mode)
}

impl LockMetrics {
    fn of(&self, mode: Mode) -> &ModeMetrics {
        let metrics = match mode {
            Mode::Exclusive => &self.exclusive,
            Mode::Shared => &self.shared,
        };
        metrics.get_or_init(|| ModeMetrics::new(mode))
    }

    /// Counts a lost lock.
    pub(crate) fn lost(&self, mode: Mode) {
        self.of(mode).lost.increment(1);
    }

    /// Records for how long a lock was held.
    pub(crate) fn held(&self, mode: Mode, since: Instant) {
        let metrics = self.of(mode);
        let held = || histogram!(HOLD, "mode" => metrics.mode);
        metrics.hold.get_or_init(held).record(since.elapsed());
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
        // From now on, its counters exist.
        metrics.of(mode);
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
        let metrics = self.metrics.of(self.mode);
        metrics.acquisition(outcome, self.since);
    }
}

impl Drop for Acquisition {
    fn drop(&mut self) {
        if self.is_open {
            self.record(Outcome::Dropped);
        }
    }
}
