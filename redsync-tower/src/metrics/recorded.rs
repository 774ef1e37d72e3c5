//! Metrics that are recorded, with the feature `metrics`.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};

use crate::{outcome::Outcome, rejection::LockRejectionReason as Reason};

const WAITING: &str = "redsync_tower_waiting";
const HOLDING: &str = "redsync_tower_holding";
const REQUESTS: &str = "redsync_tower_requests_total";
const WAIT: &str = "redsync_tower_wait_seconds";
const HOLD: &str = "redsync_tower_hold_seconds";

/// The metrics of a layer and its clones.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Handles>);

struct Handles {
    /// The label of the layer, if it has one.
    layer: Option<Label>,
    waiting: OnceLock<Gauge>,
    holding: OnceLock<Gauge>,
    requests: PerOutcome<Counter>,
    waits: PerOutcome<Histogram>,
    holds: OnceLock<Histogram>,
}

impl Metrics {
    pub(crate) fn new(layer: Option<&'static str>) -> Self {
        Self(Arc::new(Handles {
            layer: layer.map(|layer| Label::from_static_parts("layer", layer)),
            waiting: OnceLock::new(),
            holding: OnceLock::new(),
            requests: PerOutcome::default(),
            waits: PerOutcome::default(),
            holds: OnceLock::new(),
        }))
    }

    /// Changes the number of requests that wait for their locks.
    pub(crate) fn waiting(&self, change: f64) {
        let waiting = self.0.waiting.get_or_init(|| {
            let words = "Requests that wait for their locks";
            describe_gauge!(WAITING, Unit::Count, words);
            gauge!(WAITING, self.0.labels(None))
        });
        waiting.increment(change);
    }

    /// Changes the number of requests that hold their locks.
    pub(crate) fn holding(&self, change: f64) {
        let holding = self.0.holding.get_or_init(|| {
            let words = "Requests that hold their locks";
            describe_gauge!(HOLDING, Unit::Count, words);
            gauge!(HOLDING, self.0.labels(None))
        });
        holding.increment(change);
    }

    /// Counts a request at its end.
    pub(crate) fn request(&self, outcome: Outcome) {
        let requests = self.0.requests.of(outcome).get_or_init(|| {
            let words = "Requests that needed a lock, by outcome";
            describe_counter!(REQUESTS, Unit::Count, words);
            counter!(REQUESTS, self.0.labels(Some(outcome)))
        });
        requests.increment(1);
    }

    /// Records how long a request waited for its lock.
    pub(crate) fn wait(&self, outcome: Outcome, wait: Duration) {
        let waits = self.0.waits.of(outcome).get_or_init(|| {
            let words = "Time for which a request waited for its lock, by outcome";
            describe_histogram!(WAIT, Unit::Seconds, words);
            histogram!(WAIT, self.0.labels(Some(outcome)))
        });
        waits.record(wait);
    }

    /// Records how long a request held its lock.
    pub(crate) fn hold(&self, hold: Duration) {
        let holds = self.0.holds.get_or_init(|| {
            let words = "Time for which a request held its lock";
            describe_histogram!(HOLD, Unit::Seconds, words);
            histogram!(HOLD, self.0.labels(None))
        });
        holds.record(hold);
    }
}

impl Handles {
    fn labels(&self, outcome: Option<Outcome>) -> Vec<Label> {
        let outcome = outcome.map(|outcome| Label::from_static_parts("outcome", outcome.label()));
        self.layer.clone().into_iter().chain(outcome).collect()
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
