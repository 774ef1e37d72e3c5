//! What is told about a lock and what came of it: the span, its events, and the counters.

use std::time::Duration;

use redsync::{Guard, LockError, Mutex, ReleaseError, Released, Validity, node::Mode};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

use crate::{LockRejection, LockRejectionReason as Reason, held::Slot, metrics};

// What can come of a lock, besides the reasons for a refusal.
const ACQUIRED: &str = "acquired";
const FAILED_OPEN: &str = "failed_open";
const DETACHED: &str = "detached";
const DROPPED: &str = "dropped";

/// The story of one lock. One that is dropped before it has ended tells so.
pub(crate) struct Record {
    span: Span,
    stage: Stage,
    since: Instant,
    /// The lock, once it is had.
    held: Option<(Validity, Slot)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unbegun,
    Waiting,
    Holding,
    Over,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            span: Span::none(),
            stage: Stage::Unbegun,
            since: Instant::now(),
            held: None,
        }
    }

    pub(crate) const fn span(&self) -> &Span {
        &self.span
    }

    /// A lock is wanted.
    pub(crate) fn wanted(&mut self, mutex: &Mutex) {
        self.span = tracing::debug_span!(
            "lock",
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
            self.span.record("name", names.join(", "));
            let mode = match mutex.mode() {
                Mode::Exclusive => "exclusive",
                Mode::Shared => "shared",
            };
            self.span.record("mode", mode);
        }
        self.stage = Stage::Waiting;
        self.since = Instant::now();
    }

    /// The lock is had.
    pub(crate) fn locked(&mut self, guard: &Guard) {
        let wait = self.since.elapsed();
        self.waited(wait, Some(guard.attempts()), ACQUIRED);
        if let Some(token) = guard.fencing_token() {
            self.span.record("fencing_token", token.get());
        }
        self.stage = Stage::Holding;
        self.since = Instant::now();
        self.span
            .in_scope(|| tracing::debug!(name = guard.name(), ?wait, "locked"));
    }

    pub(crate) fn holds(&mut self, validity: Validity, slot: Slot) {
        self.held = Some((validity, slot));
    }

    /// The lock is not had, and the request passes all the same.
    pub(crate) fn passed(&mut self, error: &LockError) {
        let wait = self.since.elapsed();
        self.waited(wait, attempts(error), FAILED_OPEN);
        self.span
            .in_scope(|| tracing::warn!(%error, ?wait, "a request passes without its lock"));
        self.end(FAILED_OPEN);
    }

    /// The lock is not had: why the request is refused.
    pub(crate) fn not_locked(&self, error: LockError) -> LockRejection {
        let _entered = self.span.enter();
        let (wait, attempts) = (self.since.elapsed(), attempts(&error));
        match &error {
            LockError::Unavailable(_) => tracing::warn!(%error, ?wait, "locks are unavailable"),
            error => tracing::debug!(%error, ?wait, "not locked"),
        }
        let rejection = LockRejection::from(error);
        self.waited(wait, attempts, rejection.reason().label());
        rejection
    }

    /// The request is answered by the layer.
    pub(crate) fn refused(&mut self, rejection: &LockRejection) {
        let (reason, status) = (rejection.reason(), rejection.status().as_u16());
        self.span
            .in_scope(|| tracing::debug!(?reason, status, "refused"));
        self.end(reason.label());
    }

    /// The lock is lost, and the work is to be dropped and refused.
    pub(crate) fn aborted(&self) {
        let hold = self.hold();
        let name = self.name();
        self.span
            .in_scope(|| tracing::warn!(name, ?hold, "the lock was lost; the request is aborted"));
    }

    /// Whether the lock was lost before it was released.
    pub(crate) fn released(&mut self, released: &Result<Released, ReleaseError>) -> bool {
        let span = self.span.clone();
        let _entered = span.enter();
        let hold = self.hold();
        let name = self.name();
        let lost = match released {
            Ok(Released::Held) => {
                tracing::debug!(name, ?hold, "released");
                false
            }
            Ok(Released::AlreadyLost) => {
                tracing::warn!(name, ?hold, "the lock was lost");
                true
            }
            // Held by this process' clock, which is what was promised.
            Err(error) => {
                tracing::warn!(name, ?hold, %error, "not known to be released");
                false
            }
        };
        self.end(if lost { Reason::Lost.label() } else { ACQUIRED });
        lost
    }

    /// The end of a lock that was held until the response's body had ended.
    pub(crate) fn body_ended(&mut self, lost: bool) {
        let span = self.span.clone();
        let _entered = span.enter();
        let hold = self.hold();
        let name = self.name();
        if lost {
            tracing::warn!(name, ?hold, "the lock was lost before the body had ended");
        } else {
            tracing::debug!(name, ?hold, "released in the background");
        }
        self.end(if lost { Reason::Lost.label() } else { ACQUIRED });
    }

    /// Another has the guard now.
    pub(crate) fn detached(&mut self) {
        let hold = self.hold();
        let name = self.name();
        self.span
            .in_scope(|| tracing::debug!(name, ?hold, "detached"));
        self.end(DETACHED);
    }

    /// The name that is locked.
    fn name(&self) -> &str {
        let held = self.held.as_ref();
        held.map_or("", |(validity, _)| validity.name())
    }

    /// The wait is over.
    fn waited(&self, wait: Duration, attempts: Option<u32>, outcome: &'static str) {
        self.span.record("wait_ms", wait.as_millis() as u64);
        if let Some(attempts) = attempts {
            self.span.record("attempts", attempts);
        }
        metrics::waited(outcome, wait);
    }

    /// For how long the request has held the lock.
    fn hold(&self) -> Duration {
        let hold = self.since.elapsed();
        self.span.record("hold_ms", hold.as_millis() as u64);
        metrics::held(hold);
        hold
    }

    fn end(&mut self, outcome: &'static str) {
        self.stage = Stage::Over;
        self.span.record("outcome", outcome);
        metrics::request(outcome);
    }
}

/// How many tries failed.
fn attempts(error: &LockError) -> Option<u32> {
    Some(error.votes()?.attempts())
}

impl Drop for Record {
    fn drop(&mut self) {
        match self.stage {
            Stage::Unbegun | Stage::Over => return,
            Stage::Waiting => self.waited(self.since.elapsed(), None, DROPPED),
            Stage::Holding => {
                if (self.held.as_ref()).is_some_and(|(_, slot)| slot.is_detached()) {
                    return self.detached();
                }
                let hold = self.hold();
                let name = self.name();
                self.span
                    .in_scope(|| tracing::debug!(name, ?hold, "released in the background"));
            }
        }
        self.end(DROPPED);
    }
}
