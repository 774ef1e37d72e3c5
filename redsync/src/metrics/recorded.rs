//! Figures that are recorded, with the feature `metrics`.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use ::metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram,
};
use tokio::time::Instant;

use crate::{LockError, Mode, NodeError};

const ACQUISITIONS: &str = "redsync_acquisitions_total";
const WAIT: &str = "redsync_wait_seconds";
const HOLD: &str = "redsync_hold_seconds";
const LOST: &str = "redsync_lost_total";
const NODE: &str = "redsync_node_seconds";
const NODE_ERRORS: &str = "redsync_node_errors_total";

/// Registers the descriptions of the figures. It does no harm to do this more than once per
/// recorder.
pub(crate) fn describe() {
    let (count, seconds) = (Unit::Count, Unit::Seconds);
    describe_counter!(ACQUISITIONS, count, "Calls that lock, by outcome");
    describe_histogram!(WAIT, seconds, "Time from a call that locks to its outcome");
    describe_histogram!(HOLD, seconds, "Time that a lock was held");
    describe_counter!(
        LOST,
        count,
        "Locks whose validity ended before they were released"
    );
    describe_histogram!(NODE, seconds, "Time that a node took to answer a command");
    describe_counter!(
        NODE_ERRORS,
        count,
        "Commands that failed on a node or were not answered"
    );
}

/// The locks of one [`Redsync`](crate::Redsync), with a handle for each figure.
#[derive(Default)]
pub(crate) struct LockMetrics {
    modes: [ModeMetrics; 2],
}

#[derive(Default)]
struct ModeMetrics {
    outcomes: [OnceLock<(Counter, Histogram)>; OUTCOMES.len()],
    hold: OnceLock<Histogram>,
    lost: OnceLock<Counter>,
}

const OUTCOMES: [&str; 8] = [
    "acquired",
    "taken",
    "timed_out",
    "unavailable",
    "too_late",
    "too_many_waiting",
    "misconfigured",
    DROPPED,
];

const DROPPED: &str = "dropped";

impl LockMetrics {
    const fn of(&self, mode: Mode) -> &ModeMetrics {
        match mode {
            Mode::Exclusive => &self.modes[0],
            Mode::Shared => &self.modes[1],
        }
    }

    fn acquisition(&self, mode: Mode, outcome: &'static str, since: Instant) {
        let index = OUTCOMES.iter().position(|known| *known == outcome);
        let handles = index.map(|index| &self.of(mode).outcomes[index]);
        let mode = mode.as_str();
        let make = || {
            (
                counter!(ACQUISITIONS, "outcome" => outcome, "mode" => mode),
                histogram!(WAIT, "outcome" => outcome, "mode" => mode),
            )
        };
        with_handle(handles, make, |(count, wait)| {
            count.increment(1);
            wait.record(since.elapsed());
        });
    }

    /// Counts a lost lock.
    pub(crate) fn lost(&self, mode: Mode) {
        let lost = || counter!(LOST, "mode" => mode.as_str());
        self.of(mode).lost.get_or_init(lost).increment(1);
    }

    /// Records for how long a lock was held.
    pub(crate) fn held(&self, mode: Mode, hold: &HoldTime) {
        if let Some(since) = hold.since.get() {
            let held = || histogram!(HOLD, "mode" => mode.as_str());
            self.of(mode).hold.get_or_init(held).record(since.elapsed());
        }
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
        self.record(match result {
            Ok(_) => "acquired",
            Err(LockError::Taken(_)) => "taken",
            Err(LockError::TimedOut(_)) => "timed_out",
            Err(LockError::Unavailable(_)) => "unavailable",
            Err(LockError::TooLate(_)) => "too_late",
            Err(LockError::TooManyWaiting { .. }) => "too_many_waiting",
            Err(_) => "misconfigured",
        });
    }

    fn record(&mut self, outcome: &'static str) {
        self.is_open = false;
        self.metrics.acquisition(self.mode, outcome, self.since);
    }
}

impl Drop for Acquisition {
    fn drop(&mut self) {
        if self.is_open {
            self.record(DROPPED);
        }
    }
}

/// The time that a lock is held.
pub(crate) struct HoldTime {
    since: OnceLock<Instant>,
}

impl HoldTime {
    pub(crate) const fn new() -> Self {
        Self {
            since: OnceLock::new(),
        }
    }

    pub(crate) fn begin(&self) {
        self.since.get_or_init(Instant::now);
    }
}

/// The commands of one node, with a handle for each figure.
pub(crate) struct NodeMetrics {
    address: Arc<str>,
    operations: [OperationMetrics; OPERATIONS.len()],
}

const OPERATIONS: [&str; 6] = [
    "identity", "acquire", "raise", "extend", "release", "inspect",
];

#[derive(Default)]
struct OperationMetrics {
    seconds: OnceLock<Histogram>,
    errors: [OnceLock<Counter>; KINDS.len()],
}

const KINDS: [&str; 9] = [
    "timed_out",
    "unreachable",
    "disconnected",
    "refused",
    "same_server",
    "overloaded",
    "not_sent",
    "unexpected",
    UNANSWERED,
];

const UNANSWERED: &str = "unanswered";

impl NodeMetrics {
    pub(crate) fn new(address: &Arc<str>) -> Self {
        Self {
            address: Arc::clone(address),
            operations: Default::default(),
        }
    }

    /// Records the answer to a command that began at `since`.
    pub(crate) fn answered(
        &self,
        operation: &'static str,
        since: Instant,
        error: Option<&NodeError>,
    ) {
        self.record(operation, since, error.map(kind));
    }

    /// Records that nobody waits any longer for the answer to a command that began at `since`.
    pub(crate) fn unanswered(&self, operation: &'static str, since: Instant) {
        self.record(operation, since, Some(UNANSWERED));
    }

    /// Waits for an answer, and records it. If the future is dropped, the command is recorded as
    /// unanswered.
    pub(crate) async fn time<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let mut timed = Timed {
            metrics: self,
            operation,
            since: Instant::now(),
            error: Some(UNANSWERED),
        };
        let answer = answer.await;
        timed.error = answer.as_ref().err().map(kind);
        answer
    }

    fn record(&self, operation: &'static str, since: Instant, error: Option<&'static str>) {
        let index = OPERATIONS.iter().position(|known| *known == operation);
        let handles = index.map(|index| &self.operations[index]);
        let address = || String::from(&*self.address);
        with_handle(
            handles.map(|handles| &handles.seconds),
            || histogram!(NODE, "node" => address(), "operation" => operation),
            |seconds| seconds.record(since.elapsed()),
        );
        let Some(kind) = error else {
            return;
        };
        let index = KINDS.iter().position(|known| *known == kind);
        let errors = handles.and_then(|handles| Some(&handles.errors[index?]));
        with_handle(
            errors,
            || counter!(NODE_ERRORS, "node" => address(), "operation" => operation, "kind" => kind),
            |errors| errors.increment(1),
        );
    }
}

/// Uses a handle. If its labels are among the listed ones, it is made once; otherwise each time, so that
/// a label that is missing in a list is slow rather than lost.
fn with_handle<T>(listed: Option<&OnceLock<T>>, make: impl FnOnce() -> T, record: impl FnOnce(&T)) {
    match listed {
        Some(handle) => record(handle.get_or_init(make)),
        None => record(&make()),
    }
}

struct Timed<'a> {
    metrics: &'a NodeMetrics,
    operation: &'static str,
    since: Instant,
    error: Option<&'static str>,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.metrics.record(self.operation, self.since, self.error);
    }
}

const fn kind(error: &NodeError) -> &'static str {
    match error {
        NodeError::TimedOut => "timed_out",
        NodeError::Unreachable(_) => "unreachable",
        NodeError::Disconnected(_) => "disconnected",
        NodeError::Refused { .. } => "refused",
        NodeError::SameServer { .. } => "same_server",
        NodeError::Overloaded => "overloaded",
        NodeError::NotSent => "not_sent",
        NodeError::Unexpected(_) => "unexpected",
    }
}
