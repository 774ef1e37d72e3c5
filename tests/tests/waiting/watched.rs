//! Nodes with faults that also tell when a name changes.

use std::{sync::Arc, time::Duration};

use redsync::{
    FencingToken, NodeError,
    node::{
        AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote, WakeUp,
    },
};
use redsync_tests::FaultyNode;
use tokio::time::sleep;

/// A node whose watch is not subject to its faults, but takes a time of its own.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) node: FaultyNode<MemoryNode>,
    pub(crate) after: Duration,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Self {
            node: FaultyNode::new(),
            after: Duration::ZERO,
        }
    }
}

impl Node for Watched {
    fn address(&self) -> &str {
        self.node.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.node.acquire(entry).await
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.node.raise(entry, token).await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.node.extend(entry, token, set_if_absent).await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.node.release(entry).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        self.node.inspect(name).await
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        if !self.after.is_zero() {
            sleep(self.after).await;
        }
        let seen = self.node.inner().watch(names).await;
        if !self.after.is_zero() {
            sleep(self.after).await;
        }
        seen
    }
}
