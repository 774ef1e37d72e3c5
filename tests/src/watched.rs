//! Nodes with faults that also tell when a name changes.

use std::{sync::Arc, time::Duration};

use redsync::{
    NodeError,
    node::{MemoryNode, Node, NodeWrapper, WakeUp},
};
use tokio::time::sleep;

use crate::FaultyNode;

/// A node whose watch is not subject to its faults, but takes a time of its own.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The node, whose faults are planned.
    pub node: FaultyNode<MemoryNode>,
    /// How long it takes to begin a watch, and to report.
    pub after: Duration,
}

impl Watched {
    /// An empty node without faults, which reports at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            node: FaultyNode::new(),
            after: Duration::ZERO,
        }
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self::new()
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
