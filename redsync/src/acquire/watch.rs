//! What the one at the head of a line learns from the nodes while it waits.

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

/// Waits until a quorum may be had: so many nodes have the names free, or one tells that it has changed.
/// Whoever releases does so on all nodes at once, and the others are about to tell the same; to wait
/// for them costs as long as a round.
///
/// # Cancel safety
///
/// Dropped, it stops watching; nothing else depends on it.
pub(super) struct Watch {
    nodes: FuturesUnordered<BoxFuture<'static, Result<WakeUp, NodeError>>>,
    free: usize,
    quorum: usize,
    changed: bool,
    told: bool,
}

/// What there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// A quorum may be free.
    Free {
        /// Whether it was held when the watch began.
        changed: bool,
    },
    /// Too few nodes can be watched: there will be nothing to see.
    Blind,
}

impl Watch {
    /// Watches all nodes but those `own`, which hold nothing but what is about to be released.
    pub(super) fn start(nodes: &Arc<Nodes>, names: &Arc<[Arc<str>]>, own: &[bool]) -> Self {
        let all = nodes.len();
        let others = (0..all).filter(|node| !own.get(*node).is_some_and(|own| *own));
        let watched: FuturesUnordered<_> = others
            .map(|node| {
                let (nodes, names) = (Arc::clone(nodes), Arc::clone(names));
                async move { nodes.node(node).get().watch(&names).await }.boxed()
            })
            .collect();
        Self {
            free: all - watched.len(),
            nodes: watched,
            quorum: majority(all),
            changed: false,
            told: false,
        }
    }

    /// Tells once, and then never again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Sight> {
        loop {
            if self.told {
                return Poll::Pending;
            }
            let sight = if self.changed || self.free >= self.quorum {
                let changed = self.changed;
                Some(Sight::Free { changed })
            } else {
                let blind = self.free + self.nodes.len() < self.quorum;
                blind.then_some(Sight::Blind)
            };
            if let Some(sight) = sight {
                self.told = true;
                return Poll::Ready(sight);
            }
            // There are some: else it would be blind.
            match ready!(self.nodes.poll_next_unpin(cx)) {
                Some(Ok(WakeUp::Free)) => self.free += 1,
                Some(Ok(WakeUp::Changed)) => self.changed = true,
                Some(Err(error)) => tracing::trace!(%error, "a node cannot be watched"),
                None => return Poll::Pending,
            }
        }
    }
}
