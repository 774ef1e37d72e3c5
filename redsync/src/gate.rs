//! The gate: how many attempts of a process are under way at the same time.
//!
//! Without a gate, a process that wants more locks than its nodes can grant would begin attempts that
//! wait at the nodes until their time is over. The nodes would work for nothing. An attempt that waits
//! at the gate costs the nodes nothing, and one that passes is answered in time. Attempts pass in the
//! order in which they came.

use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// The largest number of attempts that are under way. Nodes that grant 2,600 locks a second answer this
/// many within the default time limit of 400 ms. If nodes take 20 ms to answer, this many allow 50,000
/// attempts a second.
const MAX_ATTEMPTS: usize = 1024;

/// Limits the attempts of one [`Redsync`](crate::Redsync).
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

/// A place among the attempts that are under way. It is free again when this is dropped.
pub(crate) struct Pass(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_ATTEMPTS)))
    }

    /// Passes at once, unless too many attempts are under way or others wait.
    pub(crate) fn try_pass(&self) -> Option<Pass> {
        let permit = Arc::clone(&self.0).try_acquire_owned();
        permit.ok().map(Pass)
    }

    /// Waits for a place, up to a limit.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the others move up.
    pub(crate) async fn pass_by(&self, limit: Instant) -> Option<Pass> {
        if let Some(pass) = self.try_pass() {
            return Some(pass);
        }
        let permit = timeout_at(limit, Arc::clone(&self.0).acquire_owned()).await;
        // It is never closed.
        permit.ok()?.ok().map(Pass)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::{FutureExt, poll_immediate};

    use super::*;

    #[tokio::test]
    async fn attempts_at_the_gate_pass_in_order_when_a_place_is_free() {
        let gate = Gate::new();
        let mut passes: Vec<_> = (0..MAX_ATTEMPTS)
            .map(|_| gate.try_pass().unwrap())
            .collect();
        assert!(gate.try_pass().is_none());
        let limit = Instant::now() + Duration::from_secs(60);
        let (mut first, mut second) = (gate.pass_by(limit).boxed(), gate.pass_by(limit).boxed());
        assert!(poll_immediate(&mut first).await.is_none());
        assert!(poll_immediate(&mut second).await.is_none());
        passes.pop();
        assert!(poll_immediate(&mut second).await.is_none());
        // No newcomer passes before the waiting ones.
        assert!(gate.try_pass().is_none());
        assert!(poll_immediate(&mut first).await.flatten().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_at_the_gate_has_a_limit() {
        let gate = Gate::new();
        let passes: Vec<_> = (0..MAX_ATTEMPTS).map(|_| gate.try_pass()).collect();
        let limit = Instant::now() + Duration::from_secs(1);
        assert!(gate.pass_by(limit).await.is_none());
        assert_eq!(Instant::now(), limit);
        drop(passes);
        assert!(gate.pass_by(limit).await.is_some());
    }
}
