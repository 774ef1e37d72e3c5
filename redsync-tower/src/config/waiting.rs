//! How long a request waits for its lock, and whether it can go without.

use std::time::Duration;

use http::HeaderMap;
use redsync::{Mutex, future::Lock};
use tokio_util::sync::CancellationToken;

use crate::{response::prefer, shutdown::Shutdown};

/// The limits of a request's wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitPolicy {
    /// [`None`] or zero: one attempt.
    pub(crate) limit: Option<Duration>,
    /// The longest wait that a client may ask for, if it may.
    pub(crate) max_preferred: Option<Duration>,
    pub(crate) pending: PendingLimits,
    /// Cancelled when the service begins to shut down.
    pub(crate) shutdown: Option<CancellationToken>,
    /// Whether a request passes without its lock if too few nodes answer, or if they answer too
    /// late.
    pub(crate) fail_open: bool,
}

/// How many requests may be pending. [`None`]: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PendingLimits {
    pub(crate) per_key: Option<usize>,
    pub(crate) total: Option<usize>,
}

impl WaitPolicy {
    /// The wait that the client asks for, if it may, capped.
    pub(crate) fn preferred(&self, headers: &HeaderMap) -> Option<Duration> {
        let max = self.max_preferred?;
        prefer::wait(headers).map(|wait| wait.min(max))
    }

    /// Begins to acquire the lock. `preferred` takes precedence over the layer's limit.
    pub(crate) fn lock(&self, mutex: &Mutex, preferred: Option<Duration>) -> (Lock, Shutdown) {
        match preferred.or(self.limit) {
            Some(limit) if !limit.is_zero() => match Shutdown::of(self.shutdown.as_ref()) {
                Shutdown::HadBegun => (mutex.try_lock(), Shutdown::HadBegun),
                shutdown => (mutex.lock_within(limit), shutdown),
            },
            _ => (mutex.try_lock(), Shutdown::Unknown),
        }
    }
}
