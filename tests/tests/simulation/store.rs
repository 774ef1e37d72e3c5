//! What is behind the network: keys in memory, and flaws that break the promise of a node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use redsync::node::{AcquireVote, ExtendVote, Holder, MemoryNode, Node, ReleaseVote};
use redsync::{NodeError, OwnerValue};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    GrantsEverything,
    LosesKeys,
    FastClock,
    ReleasesForAnybody,
}

pub(crate) struct Store {
    keys: MemoryNode,
    flaw: Flaw,
    /// How much of an expiry passes for others by the time it has passed here.
    clock: f64,
    operations: AtomicU64,
}

impl Store {
    pub(crate) fn new(rng: &mut Rng, flaw: Flaw) -> Self {
        // The drift factor of 0.01 allows for that.
        let clock = match flaw {
            Flaw::FastClock => 0.9,
            _ => 0.02_f64.mul_add(rng.f64(), 0.9905),
        };
        Self {
            keys: MemoryNode::new(),
            flaw,
            clock,
            operations: AtomicU64::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    fn operate(&self) {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        if self.flaw == Flaw::LosesKeys && number % 50 == 49 {
            self.keys.clear();
        }
    }
}

impl Node for Store {
    fn address(&self) -> &str {
        self.keys.address()
    }

    async fn acquire(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
    ) -> Result<AcquireVote, NodeError> {
        self.operate();
        if self.flaw == Flaw::GrantsEverything {
            return Ok(AcquireVote::Acquired);
        }
        let expiry = expiry.mul_f64(self.clock);
        self.keys.acquire(key, value, expiry).await
    }

    async fn extend(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.operate();
        let expiry = expiry.mul_f64(self.clock);
        self.keys.extend(key, value, expiry, set_if_absent).await
    }

    async fn release(&self, key: &str, value: &OwnerValue) -> Result<ReleaseVote, NodeError> {
        self.operate();
        if self.flaw == Flaw::ReleasesForAnybody {
            self.keys.clear();
        }
        self.keys.release(key, value).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Holder>, NodeError> {
        self.operate();
        let holder = self.keys.inspect(key).await?;
        // Told by this node's clock.
        Ok(holder.map(|holder| Holder {
            remaining: holder.remaining.map(|left| left.div_f64(self.clock)),
            ..holder
        }))
    }
}
