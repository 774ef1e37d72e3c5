//! The nodes behind the network: keys in memory, and flaws that break the promise of a node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use redsync::node::{
    AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote,
};
use redsync::{FencingToken, NodeError};

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
    /// How much real time passes in a second of this node's clock.
    clock: f64,
    operations: AtomicU64,
}

impl Store {
    pub(crate) fn new(rng: &mut Rng, flaw: Flaw) -> Self {
        // The drift factor of 0.01 allows for this difference.
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

    /// The entry with its expiry as this node's clock measures it.
    fn measured(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        entry.expiry = entry.expiry.mul_f64(self.clock);
        entry
    }
}

impl Node for Store {
    fn address(&self) -> &str {
        self.keys.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.operate();
        if self.flaw == Flaw::GrantsEverything {
            return Ok(AcquireVote::Acquired { number: None });
        }
        self.keys.acquire(&self.measured(entry)).await
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.operate();
        self.keys.raise(entry, token).await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.operate();
        let entry = self.measured(entry);
        self.keys.extend(&entry, token, set_if_absent).await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.operate();
        if self.flaw == Flaw::ReleasesForAnybody {
            self.keys.clear();
        }
        self.keys.release(entry).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        self.operate();
        let time = time.mul_f64(self.clock);
        self.keys.release_after(entry, time).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        self.operate();
        let mut found = self.keys.inspect(name).await?;
        for holder in found.iter_mut().flat_map(|found| &mut found.holders) {
            // Measured by this node's clock.
            holder.remaining = holder.remaining.map(|left| left.div_f64(self.clock));
        }
        Ok(found)
    }
}
