//! The pursuit of answers: how long the background waits for answers whose caller has left.

use std::time::Duration;

use tokio::time::Instant;

use crate::{node::Operation, options::Timing};

/// The longest pursuit. A key that could not be released by then stays until it expires. A restart
/// or a failover of a server takes less, and a process that ends does not wait for much longer.
const MAX_PURSUIT: Duration = Duration::from_secs(30);

/// How much longer to wait for a release than for an acquisition, because the release may have to
/// follow the acquisition.
const RELEASE_MARGIN: Duration = Duration::from_secs(5);

/// How long the answers to a command are pursued.
#[derive(Clone, Copy)]
pub(crate) struct Pursuit(Duration);

impl Pursuit {
    pub(super) fn new(timing: &Timing) -> Self {
        Self(timing.expiry().min(MAX_PURSUIT))
    }

    /// When to stop waiting for the answers of a round that started at `start`. A release may be
    /// repeated, and all repetitions share one limit.
    pub(crate) fn end(self, operation: Operation, start: Instant, now: Instant) -> Instant {
        match operation {
            Operation::Release => start + self.0 + RELEASE_MARGIN,
            _ => now + self.0,
        }
    }
}
