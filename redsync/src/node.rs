//! Nodes: the stores that vote on locks.
//!
//! A node is an independent store that keeps a key with an owner value for a limited time. Its
//! operations [acquire](Node::acquire), [extend](Node::extend), [release](Node::release) and
//! [inspect](Node::inspect) a lock. It answers each of them with a vote or a [`NodeError`]. A node
//! knows nothing of the other nodes; the votes are counted elsewhere.
//!
//! * [`MemoryNode`] keeps locks in the memory of this process: for a service with a single
//!   instance, and for tests.
//! * [`RedisNode`](redis::RedisNode) is a Redis or Valkey server, reached through the client
//!   library of your choice: see [`redis`].
//! * For any other store, implement [`Node`], and test the promises below with the module
//!   `contract` (feature `contract`).
//! * To observe or change some operations of another node, implement [`NodeWrapper`]: see its
//!   [example](NodeWrapper#example).
//!
//! # What a node has to promise
//!
//! * Each operation is atomic.
//! * After a name has been acquired or extended, the node keeps it for at least the expiry, by its
//!   own clock. This holds across a restart, unless the node stays away after the restart for the
//!   longest expiry in use.
//! * The future of an operation stays pending until it is certain whether the node carries the
//!   operation out, or until the connection is lost. The node does not limit the time itself.
//! * An operation is sent at most once. It is not safe to send an acquisition again after its
//!   answer was lost.

#[cfg(feature = "contract")]
pub mod contract;
mod entry;
mod erased;
mod error;
mod holders;
mod memory;
mod question;
pub mod redis;
#[cfg(test)]
mod taking;
mod vote;
mod watchers;
mod wrapper;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::FutureExt;
use tokio::time::Instant;

pub use self::{
    entry::Entry,
    erased::AnyNode,
    error::NodeError,
    holders::{Holder, Holders},
    memory::MemoryNode,
    vote::{AcquireVote, ExtendVote, RaiseVote, ReleaseVote},
    watchers::{Reporters, WakeUp},
    wrapper::NodeWrapper,
};
pub(crate) use self::{
    entry::sorted,
    erased::{Answering, Watching},
    question::{Answer, Asker, NodeAnswer, Operation, Question},
};
#[cfg(test)]
pub(crate) use self::{memory::State as MemoryState, taking::Taking};
use crate::FencingToken;

/// For how long at least a node reserves a name for an exclusive acquisition that will be repeated
/// and has found shared holders. The node admits no new ones, so that the exclusive one enters when
/// those holders have left. The reservation is longer than the default pauses between attempts, so
/// that the next attempt renews it: see `options/retry.rs`.
pub(crate) const EXCLUSIVE_NEXT: Duration = Duration::from_millis(500);

/// For how long a node reserves a name when it makes a reservation, or renews one, which it does only
/// if less than [`EXCLUSIVE_NEXT`] is left. Both change the key, which wakes the exclusive waiters of
/// all processes. If each of their attempts changed it, they would wake each other for as long as
/// there are shared holders. With these figures, they are woken four times a second at most by each
/// node, however many they are.
pub(crate) const EXCLUSIVE_NEXT_AT_MOST: Duration = Duration::from_millis(750);

/// A store that votes on locks. See the [module docs](self) for what it has to promise.
pub trait Node: Send + Sync + 'static {
    /// Returns the node's address, without credentials. It identifies the node in errors, logs and
    /// metrics. The nodes of one [`Redsync`](crate::Redsync) must have different addresses.
    fn address(&self) -> &str;

    /// Acquires all names of `entry` for its expiry, or none.
    ///
    /// An exclusive acquisition requires that each name is free. A shared acquisition requires that
    /// each name is free or has shared holders. It is also refused while a name is reserved: for at
    /// least 500 ms, and at most 750 ms, after shared holders kept out an exclusive acquisition that
    /// will be [repeated](Entry::repeated). Otherwise a stream of shared holders could keep it out
    /// for ever. An acquisition that is refused changes nothing else, and unless it makes or renews
    /// a reservation, it should not wake those who [watch](Self::watch).
    ///
    /// If a name is already held with the same owner value, the same acquisition has arrived
    /// before. It succeeds again, and leaves the expiry as it is.
    ///
    /// If `entry.fenced`, the counter of every name grows by a stride of 64, and at least to the
    /// seconds of the wall clock times a million. Then all counters are set to the largest of them,
    /// which is returned. See [`fence`](crate::fence).
    ///
    /// # Errors
    ///
    /// A [`NodeError`] if the node gave no vote. Its variants say whether the node may have
    /// acquired the names nevertheless.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after its first poll, the names may or may not be acquired.
    fn acquire(&self, entry: &Entry)
    -> impl Future<Output = Result<AcquireVote, NodeError>> + Send;

    /// Raises the counters of all names to `token`, if `entry` holds the names and no counter is
    /// above `token`. See [`fence`](crate::fence).
    ///
    /// # Errors, cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    fn raise(
        &self,
        entry: &Entry,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send;

    /// Keeps all names for at least the expiry from now, if `entry` holds all of them.
    ///
    /// It never shortens the time for which a name is kept. With `set_if_absent`, it also sets the
    /// names that are missing, provided that no other entry holds one of the names; the answer is
    /// then [`Healed`](ExtendVote::Healed). With a token, it raises lower counters to the token.
    ///
    /// # Errors, cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send;

    /// Releases those of the names that `entry` holds. If `entry` is exclusive and
    /// [`repeated`](Entry::repeated), shared holders that were refused for it are admitted again.
    ///
    /// # Errors, cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    fn release(&self, entry: &Entry)
    -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send;

    /// Releases those of the names that `entry` holds, and keeps them for `time`, which is not
    /// zero: from then on they are free. It may shorten the time for which a name is kept. For a
    /// lock with a [minimum hold](crate::Mutex::with_min_hold) that is released before the minimum
    /// is over.
    ///
    /// Up to then, another owner has the names: an extension of `entry` that arrives late is
    /// answered with [`NotOwner`](ExtendVote::NotOwner), and changes nothing. This crate's own
    /// nodes append `:released` to the owner value. If the same release after a time arrives again,
    /// it succeeds again, and changes nothing.
    ///
    /// # Errors, cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    fn release_after(
        &self,
        entry: &Entry,
        time: Duration,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send;

    /// Returns the holders of `name`, or [`None`] if it is free.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn inspect(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Holders>, NodeError>> + Send;

    /// Resolves when one of the names may have become free, because any client released it or it
    /// has expired; at once if all names are free at the time of the call.
    ///
    /// This *wake-up* notifies waiters whose lock another process holds. It is a hint, never proof:
    /// it may come for no reason, and an attempt then follows. It may also be missing: waiters make
    /// attempts after pauses, too. While this is pending on a majority of nodes, these pauses grow
    /// to ten seconds. On a node that does not implement this method, waiters only poll.
    ///
    /// # Errors
    ///
    /// Any error means that the node has no wake-ups for now; return one as soon as that is known.
    /// The default implementation returns [`NodeError::NotSent`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch.
    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        let _ = names;
        std::future::ready(Err(NodeError::NotSent))
    }

    /// Does the same as [`watch`](Self::watch), and is counted among the nodes that report from the
    /// moment when the node has said that a name is held. A node that cannot say so counts for as
    /// long as its answer is pending, as one that has yet to answer. For this crate's own Redis
    /// nodes.
    #[doc(hidden)]
    fn watch_counted(
        &self,
        names: &[Arc<str>],
        reporters: &Reporters,
    ) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        let reporting = reporters.begin_unanswered();
        self.watch(names).map(move |seen| {
            drop(reporting);
            seen
        })
    }

    /// Resolves when one of the names has been acquired by any client. If they are not all free at
    /// the time of the call, it first waits until they are.
    ///
    /// A process that leaves a name free for others learns from this when another has come. Without
    /// it, the process leaves the name free for longer than it has to.
    ///
    /// # Errors
    ///
    /// Any error means that the node does not report acquisitions for now. The default
    /// implementation returns [`NodeError::NotSent`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch.
    fn watch_acquired(
        &self,
        names: &[Arc<str>],
    ) -> impl Future<Output = Result<(), NodeError>> + Send {
        let _ = names;
        std::future::ready(Err(NodeError::NotSent))
    }

    /// Returns a text that identifies the server, such as the run id of Redis; [`None`] if it is
    /// unknown.
    ///
    /// It is asked before the node's first vote, so that a server with two addresses does not get
    /// two votes. A [drain](crate::Redsync::drain) that takes long asks again, to make contact, and
    /// discards the answer.
    ///
    /// # Errors
    ///
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Adds a question to the list of those that are sent together, or returns it, to be asked
    /// through one of the methods above. For this crate's own Redis nodes.
    #[doc(hidden)]
    fn take(&self, question: Question, now: Instant) -> Result<(), Question> {
        let _ = now;
        Err(question)
    }
}
