//! A node that takes questions, as a Redis node does, and leaves it to the test when they are
//! answered.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, NodeError, Question, RaiseVote,
    ReleaseVote, WakeUp,
};
use crate::FencingToken;

/// A node whose questions go to a function. What is asked in another way is answered by the store.
pub(crate) struct Taking<F> {
    store: MemoryNode,
    take: F,
}

impl<F: Fn(Question) -> Result<(), Question>> Taking<F> {
    pub(crate) const fn new(store: MemoryNode, take: F) -> Self {
        Self { store, take }
    }
}

impl<F: Fn(Question) -> Result<(), Question> + Send + Sync + 'static> Node for Taking<F> {
    fn address(&self) -> &str {
        self.store.address()
    }

    fn take(&self, question: Question, _: Instant) -> Result<(), Question> {
        (self.take)(question)
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.store.watch(names).await
    }

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        self.store.watch_acquired(names).await
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.store.acquire(entry).await
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        self.store.raise(entry, token).await
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        self.store.extend(entry, token, set_if_absent).await
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.store.release(entry).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        self.store.release_after(entry, time).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        self.store.inspect(name).await
    }
}
