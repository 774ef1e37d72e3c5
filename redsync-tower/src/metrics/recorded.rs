//! Metrics that are recorded, with the feature `metrics`.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram,
};

use crate::{outcome::Outcome, rejection::LockRejectionReason as Reason};

const REQUESTS: &str = "redsync_tower_requests_total";
const WAIT: &str = "redsync_tower_wait_seconds";
const HOLD: &str = "redsync_tower_hold_seconds";

/// The metrics of a layer and its clones.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Handles>);

#[derive(Default)]
struct Handles {
    requests: PerOutcome<Counter>,
    waits: PerOutcome<Histogram>,
    holds: OnceLock<Histogram>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Counts a request at its end.
    pub(crate) fn request(&self, outcome: Outcome) {
        let requests = self.0.requests.of(outcome).get_or_init(|| {
            let words = "Requests that needed a lock, by outcome";
            describe_counter!(REQUESTS, Unit::Count, words);
            counter!(REQUESTS, "outcome" => outcome.label())
        });
        requests.increment(1);
    }

    /// Records how long a request waited for its lock.
    pub(crate) fn wait(&self, outcome: Outcome, wait: Duration) {
        let waits = self.0.waits.of(outcome).get_or_init(|| {
            let words = "Time for which a request waited for its lock, by outcome";
            describe_histogram!(WAIT, Unit::Seconds, words);
            histogram!(WAIT, "outcome" => outcome.label())
        });
        waits.record(wait);
    }

    /// Records how long a request held its lock.
    pub(crate) fn hold(&self, hold: Duration) {
        let holds = self.0.holds.get_or_init(|| {
            let words = "Time for which a request held its lock";
            describe_histogram!(HOLD, Unit::Seconds, words);
            histogram!(HOLD)
        });
        holds.record(hold);
    }
}

/// A handle for each outcome, each made when it is first needed.
struct PerOutcome<H> {
    acquired: OnceLock<H>,
    detached: OnceLock<H>,
    dropped: OnceLock<H>,
    failed_open: OnceLock<H>,
    rejected: [OnceLock<H>; Reason::COUNT],
}

impl<H> PerOutcome<H> {
    fn of(&self, outcome: Outcome) -> &OnceLock<H> {
        match outcome {
            Outcome::Acquired => &self.acquired,
            Outcome::Detached => &self.detached,
            Outcome::Dropped => &self.dropped,
            Outcome::FailedOpen => &self.failed_open,
            Outcome::Rejected(reason) => &self.rejected[reason as usize],
        }
    }
}

impl<H> Default for PerOutcome<H> {
    fn default() -> Self {
        Self {
            acquired: OnceLock::new(),
            detached: OnceLock::new(),
            dropped: OnceLock::new(),
            failed_open: OnceLock::new(),
            rejected: [const { OnceLock::new() }; Reason::COUNT],
        }
    }
}
