//! The watch that a waiter at the head keeps on the nodes.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use smallvec::SmallVec;

use crate::{
    node::{Reporters, WakeUp, Watching},
    nodes::Nodes,
    quorum::{USUAL_NODES, majority},
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
    /// The watch of each node that has not answered yet.
    nodes: SmallVec<[Watching; USUAL_NODES]>,
    reporters: Reporters,
    free: usize,
    quorum: usize,
    has_changed: bool,
    /// Whether a node could not be watched, or can no longer be.
    has_failed: bool,
}

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
    pub(super) fn start(nodes: &Nodes, names: &Arc<[Arc<str>]>, own: &[bool]) -> Self {
        let reporters = Reporters::default();
        let others = (0..nodes.len()).filter(|node| !own.get(*node).is_some_and(|own| *own));
        let watched = others.map(|node| nodes.watch(node, names, &reporters));
        Self::of(watched.collect(), reporters, nodes.len())
    }

    /// Watches all nodes for an acquisition of the names. This watch ends with the first node that
    /// reports one, as a change.
    pub(super) fn acquired(nodes: &Nodes, names: &Arc<[Arc<str>]>) -> Self {
        let watched = (0..nodes.len()).map(|node| nodes.watch_acquired(node, names));
        Self::of(watched.collect(), Reporters::default(), nodes.len())
    }

    fn of(nodes: SmallVec<[Watching; USUAL_NODES]>, reporters: Reporters, all: usize) -> Self {
        Self {
            free: all - nodes.len(),
            nodes,
            reporters,
            quorum: majority(all),
            has_changed: false,
            has_failed: false,
        }
    }

    /// Whether a quorum reports the next change. Some nodes may not have answered yet, because they
    /// cannot say when they have.
    pub(super) fn works(&self) -> bool {
        self.reporters.count() >= self.quorum
    }

    /// Whether a quorum has said that a name is held, and reports the next change.
    pub(super) fn is_answered(&self) -> bool {
        self.reporters.answered() >= self.quorum
    }

    /// Whether nothing has come of it yet, so that it can go on.
    pub(super) const fn is_whole(&self) -> bool {
        !self.has_failed
    }

    /// Resolves at the end of the watch, after which it is of no use.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        let Self {
            nodes,
            free,
            has_changed,
            has_failed,
            ..
        } = self;
        nodes.retain(|node| {
            let Poll::Ready(seen) = node.as_mut().poll(cx) else {
                return true;
            };
            match seen {
                Ok(WakeUp::Free) => *free += 1,
                Ok(WakeUp::Changed) => *has_changed = true,
                Err(error) => {
                    *has_failed = true;
                    tracing::trace!(%error, "a node cannot be watched");
                }
            }
            false
        });
        self.watched().map_or(Poll::Pending, Poll::Ready)
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

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        task::Waker,
    };

    use super::*;
    use crate::node::NodeError;

    type Seen = Poll<Result<WakeUp, NodeError>>;

    const NOTHING: Seen = Poll::Pending;
    const FREE: Seen = Poll::Ready(Ok(WakeUp::Free));
    const CHANGED: Seen = Poll::Ready(Ok(WakeUp::Changed));
    const FAILED: Seen = Poll::Ready(Err(NodeError::TimedOut));

    /// A watch of all nodes but our own, which have seen this.
    fn watch<const N: usize>(seen: [Seen; N], all: usize) -> Watch {
        let watching = seen.into_iter().map(|seen| -> Watching {
            match seen {
                Poll::Ready(seen) => Box::pin(ready(seen)),
                Poll::Pending => Box::pin(pending()),
            }
        });
        Watch::of(watching.collect(), Reporters::default(), all)
    }

    fn poll(watch: &mut Watch) -> Poll<Watched> {
        watch.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn watched<const N: usize>(seen: [Seen; N], all: usize) -> Poll<Watched> {
        poll(&mut watch(seen, all))
    }

    fn free(has_changed: bool) -> Poll<Watched> {
        Poll::Ready(Watched::Free { has_changed })
    }

    #[test]
    fn a_name_is_free_when_a_quorum_says_so() {
        assert_eq!(watched([NOTHING, NOTHING, NOTHING], 3), Poll::Pending);
        assert_eq!(watched([FREE, NOTHING, NOTHING], 3), Poll::Pending);
        assert_eq!(watched([FREE, NOTHING, FREE], 3), free(false));
    }

    #[test]
    fn nodes_with_nothing_but_an_own_key_count_as_free() {
        assert_eq!(watched([NOTHING, NOTHING], 3), Poll::Pending);
        assert_eq!(watched([NOTHING, FREE], 3), free(false));
        assert_eq!(watched([NOTHING, NOTHING], 5), free(false));
    }

    #[test]
    fn one_change_is_enough() {
        assert_eq!(watched([NOTHING, CHANGED, NOTHING], 3), free(true));
        assert_eq!(watched([FAILED, CHANGED, FAILED], 3), free(true));
    }

    #[test]
    fn there_is_no_wake_up_if_too_few_nodes_can_be_watched() {
        assert_eq!(watched([FAILED, NOTHING, NOTHING], 3), Poll::Pending);
        assert_eq!(watched([FAILED, NOTHING, FREE], 3), Poll::Pending);
        let blind = Poll::Ready(Watched::Blind);
        assert_eq!(watched([FAILED, NOTHING, FAILED], 3), blind);
        assert_eq!(watched([FAILED, FREE, FAILED], 3), blind);
    }

    #[test]
    fn a_watch_of_which_a_node_has_failed_is_not_whole() {
        let mut intact = watch([FREE, NOTHING, NOTHING], 3);
        assert!(poll(&mut intact).is_pending() && intact.is_whole());
        let mut failed = watch([FAILED, NOTHING, NOTHING], 3);
        assert!(failed.is_whole());
        assert!(poll(&mut failed).is_pending() && !failed.is_whole());
    }

    #[test]
    fn a_watch_works_when_a_quorum_reports() {
        let watch = watch([NOTHING, NOTHING, NOTHING], 3);
        let mut reporting = Vec::new();
        for works in [false, true, true] {
            reporting.push(watch.reporters.begin());
            assert_eq!(watch.works(), works);
        }
        for works in [true, false] {
            reporting.pop();
            assert_eq!(watch.works(), works);
        }
    }

    #[test]
    fn a_watch_is_answered_when_a_quorum_has_said_that_a_name_is_held() {
        let watch = watch([NOTHING, NOTHING, NOTHING], 3);
        let _asked = [(); 3].map(|()| watch.reporters.begin_unanswered());
        assert!(watch.works() && !watch.is_answered());
        let _one = watch.reporters.begin();
        assert!(!watch.is_answered());
        let other = watch.reporters.begin();
        assert!(watch.is_answered());
        drop(other);
        assert!(watch.works() && !watch.is_answered());
    }
}
