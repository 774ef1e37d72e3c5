//! A node that carries out commands one after another, and takes a while for each.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redsync::{
    FencingToken, Redsync,
    node::{AcquireVote, Entry, ExtendVote, MemoryNode, Node, NodeError, NodeWrapper, ReleaseVote},
};
use tokio::time::{Instant, sleep, sleep_until};

#[derive(Clone)]
pub(crate) struct BusyNode(Arc<State>);

struct State {
    inner: MemoryNode,
    /// How long a command takes.
    pace: Duration,
    /// How long the reply to an extension takes on its way back.
    reply: Duration,
    /// When all commands that have arrived are carried out.
    free_at: Mutex<Instant>,
    acquisitions: AtomicUsize,
    extensions: AtomicUsize,
}

impl BusyNode {
    pub(crate) fn with_pace(pace: Duration) -> Self {
        Self::new(pace, Duration::ZERO)
    }

    /// A node without a load of its own, whose replies to extensions are late.
    pub(crate) fn late(reply: Duration) -> Self {
        Self::new(Duration::ZERO, reply)
    }

    fn new(pace: Duration, reply: Duration) -> Self {
        Self(Arc::new(State {
            inner: MemoryNode::new(),
            pace,
            reply,
            free_at: Mutex::new(Instant::now()),
            acquisitions: AtomicUsize::new(0),
            extensions: AtomicUsize::new(0),
        }))
    }

    // Relaxed, here and below: there is only one thread.
    pub(crate) fn acquisitions(&self) -> usize {
        self.0.acquisitions.load(Ordering::Relaxed)
    }

    pub(crate) fn extensions(&self) -> usize {
        self.0.extensions.load(Ordering::Relaxed)
    }

    /// Waits for the turn of a command that arrives now.
    async fn turn(&self) {
        if self.0.pace.is_zero() {
            return;
        }
        let done = {
            let mut free_at = self.0.free_at.lock().unwrap();
            *free_at = (*free_at).max(Instant::now()) + self.0.pace;
            *free_at
        };
        sleep_until(done).await;
    }
}

impl NodeWrapper for BusyNode {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0.inner
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.0.acquisitions.fetch_add(1, Ordering::Relaxed);
        self.turn().await;
        self.inner().acquire(entry).await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.0.extensions.fetch_add(1, Ordering::Relaxed);
        self.turn().await;
        let vote = self.inner().extend(entry, token, set_if_absent).await;
        sleep(self.0.reply).await;
        vote
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.turn().await;
        self.inner().release(entry).await
    }
}

pub(crate) fn redsync(nodes: &[BusyNode]) -> Redsync {
    Redsync::new(nodes.iter().cloned()).unwrap()
}
