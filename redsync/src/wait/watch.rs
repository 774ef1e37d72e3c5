//! What the one at the head of a line learns from the nodes while it waits.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{
    future::{BoxFuture, FutureExt},
    stream::{FuturesUnordered, StreamExt},
};

use crate::{NodeError, Redsync, node::Seen, quorum::majority};

/// Waits until so many nodes have the names free that a quorum can be had.
///
/// # Cancel safety
///
/// Dropped, it stops watching; nothing else depends on it.
pub(super) struct Watch {
    nodes: FuturesUnordered<BoxFuture<'static, Result<Seen, NodeError>>>,
    free: usize,
    quorum: usize,
    changed: bool,
    told: bool,
}

/// What there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// A quorum is free.
    Free {
        /// Whether it was held when the watch began.
        changed: bool,
    },
    /// Too few nodes can be watched: there will be nothing to see.
    Blind,
}

impl Watch {
    /// Watches all nodes but those `own`, which hold nothing but what is about to be released.
    pub(super) fn start(redsync: &Redsync, names: &Arc<[Arc<str>]>, own: &[bool]) -> Self {
        let others =
            (0..redsync.nodes().len()).filter(|node| !own.get(*node).is_some_and(|own| *own));
        let nodes: FuturesUnordered<_> = others
            .map(|node| {
                let (redsync, names) = (redsync.clone(), Arc::clone(names));
                async move { redsync.nodes()[node].get().watch(&names).await }.boxed()
            })
            .collect();
        let all = redsync.nodes().len();
        Self {
            free: all - nodes.len(),
            nodes,
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
            let sight = if self.free >= self.quorum {
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
                Some(Ok(seen)) => {
                    self.free += 1;
                    self.changed |= seen == Seen::Changed;
                }
                Some(Err(error)) => tracing::trace!(%error, "a node cannot be watched"),
                None => return Poll::Pending,
            }
        }
    }
}
