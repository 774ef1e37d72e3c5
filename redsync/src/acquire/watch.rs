//! The watch that a waiter at the head keeps on the nodes.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{
    future::{BoxFuture, FutureExt},
    stream::{FuturesUnordered, StreamExt},
};

use crate::{
    node::{NodeError, WakeUp},
    nodes::Nodes,
    quorum::majority,
};

/// A watch of the nodes, which ends when the names may be free on a quorum of them: when a quorum
/// reports them as free, or when one node reports that they have changed. One is enough, because a
/// holder releases on all nodes at once: the others are about to report the same, and waiting for
/// them would take as long as a round.
///
/// # Cancel safety
///
/// If it is dropped, it stops watching. Nothing else changes.
pub(super) struct Watch {
    nodes: FuturesUnordered<Watching>,
    free: usize,
    quorum: usize,
    has_changed: bool,
    is_done: bool,
}

type Watching = BoxFuture<'static, Result<WakeUp, NodeError>>;

/// The end of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// The names may be free on a quorum of the nodes.
    Free {
        /// Whether a node reported a change, so that the names were held when the watch began.
        has_changed: bool,
    },
    /// Too few nodes can be watched: there will be no wake-up.
    Blind,
}

impl Watch {
    /// Watches all nodes except those marked as `own`, which hold nothing but a key that is about
    /// to be released.
    pub(super) fn start(nodes: &Arc<Nodes>, names: &Arc<[Arc<str>]>, own: &[bool]) -> Self {
        let all = nodes.len();
        let others = (0..all).filter(|node| !own.get(*node).is_some_and(|own| *own));
        let watched: FuturesUnordered<_> = others
            .map(|node| {
                let (nodes, names) = (Arc::clone(nodes), Arc::clone(names));
                async move { nodes.watch(node, &names).await }.boxed()
            })
            .collect();
        Self::of(watched, all)
    }

    /// Watches all nodes for an acquisition of the names. This watch ends with the first node that
    /// reports one, as a change.
    pub(super) fn acquired(nodes: &Arc<Nodes>, names: &Arc<[Arc<str>]>) -> Self {
        let watched = (0..nodes.len()).map(|node| {
            let (nodes, names) = (Arc::clone(nodes), Arc::clone(names));
            async move {
                let acquired = nodes.watch_acquired(node, &names).await;
                acquired.map(|()| WakeUp::Changed)
            }
            .boxed()
        });
        Self::of(watched.collect(), nodes.len())
    }

    fn of(watched: FuturesUnordered<Watching>, all: usize) -> Self {
        Self {
            free: all - watched.len(),
            nodes: watched,
            quorum: majority(all),
            has_changed: false,
            is_done: false,
        }
    }

    /// Resolves once, and never again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        loop {
            if self.is_done {
                return Poll::Pending;
            }
            if let Some(watched) = self.watched() {
                self.is_done = true;
                return Poll::Ready(watched);
            }
            // Watches are left: otherwise the result would be `Blind`.
            match ready!(self.nodes.poll_next_unpin(cx)) {
                Some(Ok(WakeUp::Free)) => self.free += 1,
                Some(Ok(WakeUp::Changed)) => self.has_changed = true,
                Some(Err(error)) => tracing::trace!(%error, "a node cannot be watched"),
                None => return Poll::Pending,
            }
        }
    }

    fn watched(&self) -> Option<Watched> {
        let has_changed = self.has_changed;
        if has_changed || self.free >= self.quorum {
            return Some(Watched::Free { has_changed });
        }
        let can_be_free = self.free + self.nodes.len() >= self.quorum;
        (!can_be_free).then_some(Watched::Blind)
    }
}
