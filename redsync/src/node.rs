//! Nodes: the voters on a lock.
//!
//! A node is one independent store that keeps a key with an owner value for a while. It is asked
//! to [acquire](Node::acquire), [extend](Node::extend), [release](Node::release) and
//! [inspect](Node::inspect), and answers each with a vote or a [`NodeError`]. What a quorum of
//! votes means is not its business.
//!
//! * [`MemoryNode`] lives in this process: for a service that runs once, and for tests.
//! * [`RedisNode`] is a Redis or Valkey server, behind the client library of your choice: see
//!   [`redis`].
//! * Anything else can be one: implement [`Node`], and test it against what is promised below with
//!   the module `contract` (feature `contract`).
//!
//! # What a node has to promise
//!
//! Each of the operations is atomic. A key that was acquired or extended is kept for at least the
//! expiry by the node's own clock, across a restart too, or the node stays away after a restart
//! for the longest expiry in use. A future returned by an operation stays pending until it is
//! settled whether the node does what it was asked (or the connection is gone); it is not the
//! node that limits the time. An operation is sent at most once: to send an acquisition again
//! after its answer was lost is not safe.
//!
//! # Example
//!
//! A node that counts, around one that works:
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use redsync::{FencingToken, NodeError, Redsync};
//! use redsync::node::{AcquireVote, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote, Entry};
//!
//! struct Counting(MemoryNode, AtomicUsize);
//!
//! impl Node for Counting {
//!     fn address(&self) -> &str {
//!         self.0.address()
//!     }
//!
//!     async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
//!         self.1.fetch_add(1, Ordering::Relaxed);
//!         self.0.acquire(entry).await
//!     }
//!
//!     async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
//!         self.0.raise(entry, token).await
//!     }
//!
//!     async fn extend(
//!         &self,
//!         entry: &Entry,
//!         token: Option<FencingToken>,
//!         set_if_absent: bool,
//!     ) -> Result<ExtendVote, NodeError> {
//!         self.0.extend(entry, token, set_if_absent).await
//!     }
//!
//!     async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
//!         self.0.release(entry).await
//!     }
//!
//!     async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
//!         self.0.inspect(name).await
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let redsync = Redsync::new([Counting(MemoryNode::new(), AtomicUsize::new(0))])?;
//! redsync.mutex("order:42").lock().await?;
//! # Ok(())
//! # }
//! ```

mod answers;
#[cfg(feature = "contract")]
pub mod contract;
mod entry;
mod erased;
mod error;
mod memory;
mod question;
pub mod redis;
mod watchers;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

#[doc(hidden)]
pub use self::question::{Answer, Operation, Question};
pub use self::{
    answers::{AcquireVote, ExtendVote, Holder, Holders, RaiseVote, ReleaseVote, WakeUp},
    entry::Entry,
    erased::AnyNode,
    error::NodeError,
    memory::MemoryNode,
};
pub(crate) use self::{
    entry::sorted,
    erased::Answering,
    question::{Asker, NodeAnswer},
};
use crate::FencingToken;

/// For how long shared holders are kept out after they have kept an exclusive one out, so that it
/// comes in between two of them: the longest default pause between tries, twice.
pub(crate) const WRITER_TURN: Duration = Duration::from_millis(500);

/// One voter. See the [module docs](self) for what it has to promise.
pub trait Node: Send + Sync + 'static {
    /// Where the node is, without credentials: what errors and logs call it. Two nodes of one
    /// [`Redsync`](crate::Redsync) have different addresses.
    fn address(&self) -> &str;

    /// Takes all names of `entry` for its expiry, or none.
    ///
    /// An exclusive lock needs each name to be free; a shared one needs it to be free or shared, and
    /// no exclusive one to have been refused for that reason a moment ago (or a stream of shared
    /// holders would keep it out).
    ///
    /// Where a name is held with this very value, this acquisition has succeeded before, and its
    /// expiry is left alone.
    ///
    /// With `entry.fenced`, every name's counter grows by a stride, and to the wall clock's seconds
    /// times a million if that is more; all are set to the largest of them, which is returned. See
    /// [`fence`](crate::fence).
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the future leaves open whether the names are taken.
    fn acquire(&self, entry: &Entry)
    -> impl Future<Output = Result<AcquireVote, NodeError>> + Send;

    /// Raises the counters of the names to `token`, if the names are held on `entry` and no counter
    /// is above `token`.
    fn raise(
        &self,
        entry: &Entry,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send;

    /// Lets the names live for at least the expiry from now, if all are held on `entry`.
    ///
    /// With `set_if_absent`, names that are missing are set, if all others are held:
    /// [`Healed`](ExtendVote::Healed). A life is never shortened. With a token, counters below it
    /// are raised to it.
    fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send;

    /// Gives up those of the names that are held on `entry`.
    fn release(&self, entry: &Entry)
    -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send;

    /// Who holds `name`.
    fn inspect(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Holders>, NodeError>> + Send;

    /// Resolves when one of the names may have become free: released by anyone, or expired. At once
    /// if all are free when it is asked.
    ///
    /// It is what wakes those who wait for a lock that another process holds. A hint: it may resolve
    /// for no reason, and a try follows. Nor is it relied on: those who wait also try now and then of
    /// their own accord, which is all that happens on a node that does not implement this, and so
    /// never resolves or answers with an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the watch.
    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        let _ = names;
        std::future::ready(Err(NodeError::NotSent))
    }

    /// What tells this server from every other, such as Redis' run id; [`None`] if that cannot be
    /// told. Asked once, before the node's first vote, so that a server that is reachable under
    /// two addresses does not get two votes.
    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Takes a question into a list, to be sent with those of other locks, or gives it back to be
    /// asked by one of the functions above. For this crate's own Redis nodes.
    #[doc(hidden)]
    fn take(&self, question: Question, now: Instant) -> Result<(), Question> {
        let _ = now;
        Err(question)
    }
}
