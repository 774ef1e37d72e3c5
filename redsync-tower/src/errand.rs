//! What goes with a request from the beginning to the end: the layer's configuration, and what is
//! known and logged about its lock.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Response};
use redsync::{
    DrainDelay, FencingToken, Guard, Lock, LockError, Mutex, ReleaseError, Released, Validity,
};
use tokio::time::Instant;
use tracing::{Span, field::Empty};

use crate::{LockRejection, layer::Config, prefer};

#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) config: Arc<Config>,
    /// That of the lock, once it is known which.
    pub(crate) span: Span,
    /// Since when it has been waited for, and then since when it has been held.
    since: Instant,
    preferred_wait: Option<Duration>,
    /// That of the lock, once it is had.
    validity: Option<Validity>,
    /// From when a lock may be had until the guard is gone.
    delays_drain: Option<DrainDelay>,
}

impl Errand {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            span: Span::none(),
            since: Instant::now(),
            preferred_wait: None,
            validity: None,
            delays_drain: None,
        }
    }

    /// Begins to wait for the lock.
    pub(crate) fn lock(&mut self, mutex: &Mutex, headers: &HeaderMap) -> Lock {
        self.span = tracing::debug_span!(
            "lock",
            name = Empty,
            outcome = Empty,
            wait_ms = Empty,
            hold_ms = Empty,
            fencing_token = Empty,
        );
        if !self.span.is_disabled() {
            let names: Vec<_> = mutex.names().collect();
            self.span.record("name", names.join(", "));
        }
        self.delays_drain = Some(self.config.delay_drain());
        self.since = Instant::now();
        self.preferred_wait = self.config.preferred_wait(headers);
        self.config.lock(mutex, self.preferred_wait)
    }

    pub(crate) fn locked(&mut self, result: &Result<Guard, LockError>) {
        let wait = self.since.elapsed();
        self.since = Instant::now();
        self.span.record("wait_ms", wait.as_millis() as u64);
        self.span.record("outcome", outcome(result));
        match result {
            Ok(guard) => {
                let token = guard.fencing_token().map(FencingToken::get);
                self.span.record("fencing_token", token);
                self.validity = Some(guard.validity());
                tracing::debug!(name = guard.name(), ?wait, "locked");
            }
            Err(error @ LockError::Unavailable(_)) if self.config.fail_open => {
                tracing::warn!(%error, ?wait, "a request passes without its lock");
                self.delays_drain = None;
            }
            Err(error @ LockError::Unavailable(_)) => {
                tracing::warn!(%error, ?wait, "locks are unavailable");
            }
            Err(error) => tracing::debug!(%error, ?wait, "not locked"),
        }
    }

    /// The request is answered by the layer.
    pub(crate) fn refused(&self, rejection: &LockRejection) {
        let (reason, status) = (rejection.reason(), rejection.status().as_u16());
        self.span
            .in_scope(|| tracing::debug!(?reason, status, "refused"));
    }

    /// The name that is locked.
    fn name(&self) -> &str {
        self.validity.as_ref().map_or("", Validity::name)
    }

    pub(crate) fn aborted(&self) {
        let hold = self.hold();
        self.span.record("outcome", "lost");
        self.span
            .in_scope(|| tracing::warn!(?hold, "the lock was lost; the request is aborted"));
    }

    /// Whether the lock was lost before it was released.
    pub(crate) fn released(&self, released: &Result<Released, ReleaseError>) -> bool {
        let _entered = self.span.enter();
        let (name, hold) = (self.name(), self.hold());
        match released {
            Ok(Released::Held) => tracing::debug!(name, ?hold, "released"),
            Ok(Released::AlreadyLost) => {
                self.span.record("outcome", "lost");
                tracing::warn!(name, ?hold, "the lock was lost");
                return true;
            }
            // Held by this process' clock, which is what was promised.
            Err(error) => tracing::warn!(name, ?hold, %error, "not known to be released"),
        }
        false
    }

    /// For how long the lock has been held.
    fn hold(&self) -> Duration {
        let hold = self.since.elapsed();
        self.span.record("hold_ms", hold.as_millis() as u64);
        hold
    }

    /// The end of a lock that was held until the response's body had ended.
    pub(crate) fn body_ended(&self, lost: bool) {
        let _entered = self.span.enter();
        let (name, hold) = (self.name(), self.hold());
        if lost {
            self.span.record("outcome", "lost");
            tracing::warn!(name, ?hold, "the lock was lost before the body had ended");
        } else {
            tracing::debug!(name, ?hold, "released in the background");
        }
    }

    /// The response, saying that it was waited as the client preferred, if it was.
    pub(crate) fn finish<B>(&mut self, mut response: Response<B>) -> Response<B> {
        // A body that holds the lock on has a part of its own in that.
        self.delays_drain = None;
        if let Some(wait) = self.preferred_wait {
            let headers = response.headers_mut();
            headers.append(prefer::PREFERENCE_APPLIED, prefer::applied(wait));
        }
        response
    }
}

/// How the span names what came of waiting for a lock.
const fn outcome(result: &Result<Guard, LockError>) -> &'static str {
    match result {
        Ok(_) => "acquired",
        Err(LockError::Taken(_)) => "taken",
        Err(LockError::TimedOut(_)) => "timed_out",
        Err(LockError::Unavailable(_)) => "unavailable",
        Err(_) => "error",
    }
}
