//! Nodes with faults that also tell when a name changes.

use std::{sync::Arc, time::Duration};

use redsync::{
    NodeError,
    node::{MemoryNode, Node, NodeWrapper, WakeUp},
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

impl NodeWrapper for Watched {
    type Inner = FaultyNode<MemoryNode>;

    fn inner(&self) -> &FaultyNode<MemoryNode> {
        &self.node
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

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        sleep(self.after).await;
        self.node.inner().watch_acquired(names).await?;
        sleep(self.after).await;
        Ok(())
    }
}
