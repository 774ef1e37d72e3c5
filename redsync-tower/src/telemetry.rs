//! The span of a lock, its events and its metrics.
//!
//! The section "Tracing" of the crate docs has the table of fields and outcomes. A request's
//! telemetry goes through the stages of [`Stage`]. If it is dropped before the last stage, the
//! request was dropped or its handler panicked, and this is recorded.

use std::{mem, sync::Arc, thread, time::Duration};

use redsync::{LockError, Mutex, Printable, ReleaseError, Released, Validity};
use tokio::time::Instant;
use tracing::{
    Span,
    field::{Empty, display},
};

use crate::{
    common::Common,
    holders,
    outcome::Outcome,
    rejection::{LockRejection, LockRejectionReason as Reason},
    slot::GuardSlot,
};

/// Records what happens to the lock of one request.
pub(crate) struct Telemetry {
    common: Arc<Common>,
    span: Span,
    stage: Stage,
    /// When the stage began.
    since: Instant,
    /// How long the request has waited, if its wait has ended.
    wait: Duration,
    /// The mutex, if an event is to say who holds it.
    inspected: Option<Mutex>,
}

enum Stage {
    /// The request has not asked for a lock.
    Idle,
    Waiting,
    Holding {
        validity: Validity,
        slot: GuardSlot,
    },
    Ended,
}

impl Telemetry {
    pub(crate) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            span: Span::none(),
            stage: Stage::Idle,
            since: Instant::now(),
            wait: Duration::ZERO,
            inspected: None,
        }
    }

    pub(crate) const fn span(&self) -> &Span {
        &self.span
    }

    /// Records that the request asks for its lock.
    pub(crate) fn waiting(&mut self, mutex: &Mutex) {
        self.span = tracing::debug_span!(
            "lock",
            layer = self.common.config.observing.label,
            name = Empty,
            mode = Empty,
            wait_ms = Empty,
            attempts = Empty,
            hold_ms = Empty,
            fencing_token = Empty,
            outcome = Empty,
        );
        if !self.span.is_disabled() {
            let names: Vec<_> = mutex.keys().collect();
            let name = Printable(names.join(", "));
            self.span.record("name", display(name));
            self.span.record("mode", mutex.mode().as_str());
        }
        if self.common.config.observing.logs_holders {
            self.inspected = Some(mutex.clone());
        }
        self.enter(Stage::Waiting);
    }

    /// Records that the request has acquired its lock, in this number of attempts.
    pub(crate) fn acquired(&mut self, attempts: u32, validity: Validity, slot: GuardSlot) {
        let wait = self.record_wait(Some(attempts), Outcome::Acquired);
        if let Some(token) = validity.fencing_token() {
            self.span.record("fencing_token", token.get());
        }
        let name = Printable(validity.name());
        self.span
            .in_scope(|| tracing::debug!(%name, ?wait, "locked"));
        self.enter(Stage::Holding { validity, slot });
    }

    /// Records that the request passes although it has not acquired its lock.
    pub(crate) fn failed_open(&mut self, error: &LockError) {
        let wait = self.record_wait(error.attempts(), Outcome::FailedOpen);
        self.span
            .in_scope(|| tracing::warn!(%error, ?wait, "the request passes without its lock"));
        self.end(Outcome::FailedOpen);
    }

    /// Records that the request has not acquired its lock. It is about to be refused.
    pub(crate) fn not_acquired(&mut self, error: &LockError) {
        let wait = self.record_wait(error.attempts(), Outcome::Rejected(Reason::of(error)));
        self.span.in_scope(|| match error {
            // An outage has no line for each request: the core reports its beginning and its end.
            LockError::TooLate(_) => tracing::warn!(%error, ?wait, "the lock came too late"),
            error => tracing::debug!(%error, ?wait, "the lock was not acquired"),
        });
        if let LockError::Taken(_) | LockError::TimedOut(_) = error
            && let Some(mutex) = self.inspected.take()
        {
            holders::log(mutex, &self.common.live.inspections, self.span.clone());
        }
    }

    /// Records that the request does not wait any longer, because the service shuts down.
    pub(crate) fn sent_away(&mut self) {
        self.record_wait(None, Outcome::Rejected(Reason::ShuttingDown));
    }

    /// Records that the layer answers the request itself.
    pub(crate) fn refused(&mut self, rejection: &LockRejection) {
        let (reason, status) = (rejection.reason(), rejection.status().as_u16());
        self.span
            .in_scope(|| tracing::debug!(?reason, status, "refused"));
        // The callback may panic, so all is recorded before.
        self.end(Outcome::Rejected(reason));
        if let Some(on_refused) = &self.common.config.observing.on_refused {
            on_refused(rejection, self.wait, &self.span);
        }
    }

    /// Records that the lock is lost. The inner service is about to be dropped.
    pub(crate) fn aborted(&mut self) {
        let hold = self.record_hold();
        let name = self.name();
        self.span
            .in_scope(|| tracing::warn!(%name, ?hold, "the lock was lost; the request is aborted"));
        self.end_of_hold(Some(hold));
    }

    /// Records that the release has ended. Returns whether the lock was lost before.
    pub(crate) fn released(&mut self, released: &Result<Released, ReleaseError>) -> bool {
        let hold = self.record_hold();
        let name = self.name();
        let lost = self.span.in_scope(|| match released {
            Ok(Released::Held) => {
                tracing::debug!(%name, ?hold, "released");
                false
            }
            Ok(Released::AlreadyLost) => {
                tracing::warn!(%name, ?hold, "the lock was lost");
                true
            }
            // The release began within the validity, so the lock was held until then.
            Err(error) => {
                tracing::warn!(%name, ?hold, %error, "no majority confirmed the release");
                false
            }
        });
        self.end_of_hold(lost.then_some(hold));
        lost
    }

    /// Records that the response body has ended. The lock is released in the background.
    pub(crate) fn body_ended(&mut self, lost: bool) {
        let hold = self.record_hold();
        let name = self.name();
        self.span.in_scope(|| {
            if lost {
                tracing::warn!(%name, ?hold, "the lock was lost before the body had ended");
            } else {
                tracing::debug!(%name, ?hold, "released in the background");
            }
        });
        self.end_of_hold(lost.then_some(hold));
    }

    /// Records that the request has ended after the handler had detached the lock.
    pub(crate) fn detached(&mut self) {
        let hold = self.record_hold_so_far();
        let name = self.name();
        self.span
            .in_scope(|| tracing::debug!(%name, ?hold, "detached"));
        self.end(Outcome::Detached);
    }

    /// The locked name, or an empty string if no lock is held.
    fn name(&self) -> Printable<&str> {
        Printable(match &self.stage {
            Stage::Holding { validity, .. } => validity.name(),
            Stage::Idle | Stage::Waiting | Stage::Ended => "",
        })
    }

    /// Enters a stage, and returns the one that has ended.
    fn enter(&mut self, stage: Stage) -> Stage {
        self.count(-1.0);
        let ended = mem::replace(&mut self.stage, stage);
        self.count(1.0);
        self.since = Instant::now();
        ended
    }

    /// Counts the request where its stage is counted.
    fn count(&self, change: f64) {
        match self.stage {
            Stage::Waiting => self.common.metrics.waiting(change),
            Stage::Holding { .. } => self.common.metrics.holding(change),
            Stage::Idle | Stage::Ended => {}
        }
    }

    /// Records how long the request has waited. Call it once, at the end of the wait.
    fn record_wait(&mut self, attempts: Option<u32>, outcome: Outcome) -> Duration {
        let wait = self.since.elapsed();
        self.wait = wait;
        self.span.record("wait_ms", wait.as_millis() as u64);
        if let Some(attempts) = attempts {
            self.span.record("attempts", attempts);
        }
        self.common.metrics.wait(outcome, wait);
        wait
    }

    /// Records how long the request has held its lock. Call it once, at the end of the hold.
    fn record_hold(&self) -> Duration {
        let hold = self.record_hold_so_far();
        self.common.live.usual_hold.add(hold);
        hold
    }

    /// Records the hold of a request whose handler goes on holding the lock.
    fn record_hold_so_far(&self) -> Duration {
        let hold = self.since.elapsed();
        self.span.record("hold_ms", hold.as_millis() as u64);
        self.common.metrics.hold(hold);
        hold
    }

    /// `lost_after` is how long the lock has been held, if it is lost.
    fn end_of_hold(&mut self, lost_after: Option<Duration>) {
        let Some(hold) = lost_after else {
            self.end(Outcome::Acquired);
            return;
        };
        // The callback may panic, so all is recorded before.
        let ended = self.end(Outcome::Rejected(Reason::Lost));
        if let (Some(on_lost), Stage::Holding { validity, .. }) =
            (&self.common.config.observing.on_lost, ended)
            // A body can be dropped by a panic, and a second panic would abort the process.
            && !thread::panicking()
        {
            on_lost(validity.name(), hold, &self.span);
        }
    }

    /// Records the outcome, and returns the stage that has ended.
    fn end(&mut self, outcome: Outcome) -> Stage {
        let ended = self.enter(Stage::Ended);
        self.span.record("outcome", outcome.label());
        self.common.metrics.request(outcome);
        ended
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        match &self.stage {
            Stage::Idle | Stage::Ended => return,
            Stage::Waiting => {
                self.record_wait(None, Outcome::Dropped);
            }
            Stage::Holding { slot, .. } if slot.is_detached() => return self.detached(),
            Stage::Holding { validity, .. } => {
                let hold = self.record_hold();
                let name = Printable(validity.name());
                self.span
                    .in_scope(|| tracing::debug!(%name, ?hold, "released in the background"));
            }
        }
        self.end(Outcome::Dropped);
    }
}
