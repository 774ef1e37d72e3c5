//! Nodes: who votes on a lock.
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
//! use redsync::node::{AcquireVote, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote, Terms};
//!
//! struct Counting(MemoryNode, AtomicUsize);
//!
//! impl Node for Counting {
//!     fn address(&self) -> &str {
//!         self.0.address()
//!     }
//!
//!     async fn acquire(&self, terms: &Terms) -> Result<AcquireVote, NodeError> {
//!         self.1.fetch_add(1, Ordering::Relaxed);
//!         self.0.acquire(terms).await
//!     }
//!
//!     async fn raise(&self, terms: &Terms, token: FencingToken) -> Result<RaiseVote, NodeError> {
//!         self.0.raise(terms, token).await
//!     }
//!
//!     async fn extend(
//!         &self,
//!         terms: &Terms,
//!         token: Option<FencingToken>,
//!         set_if_absent: bool,
//!     ) -> Result<ExtendVote, NodeError> {
//!         self.0.extend(terms, token, set_if_absent).await
//!     }
//!
//!     async fn release(&self, terms: &Terms) -> Result<ReleaseVote, NodeError> {
//!         self.0.release(terms).await
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

mod bells;
#[cfg(feature = "contract")]
pub mod contract;
mod memory;
pub mod redis;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};

pub use self::{memory::MemoryNode, redis::RedisNode};
use crate::{FencingToken, NodeError, OwnerValue, claim::Voter, metrics};

/// What is locked, by whom, and how: what a node is told in every operation on a lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// The names: at least one, sorted, no two alike. They are acquired all or none.
    pub names: Arc<[Arc<str>]>,
    /// The owner value.
    pub value: OwnerValue,
    /// How long the names are kept; whole milliseconds.
    pub expiry: Duration,
    /// Exclusive or shared.
    pub mode: Mode,
    /// Whether an acquisition returns a number for a [fencing token](crate::fence).
    pub fenced: bool,
}

/// Whether a lock tolerates others of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// One holder.
    #[default]
    Exclusive,
    /// Any number of shared holders, and no exclusive one.
    Shared,
}

/// Names as terms have them: sorted, no two alike.
pub(crate) fn sorted<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}

impl Terms {
    /// Exclusive, unfenced terms for one name.
    #[must_use]
    pub fn new(name: &str, value: OwnerValue, expiry: Duration) -> Self {
        Self {
            names: [name.into()].into(),
            value,
            expiry,
            mode: Mode::Exclusive,
            fenced: false,
        }
    }

    /// The same for several names.
    #[must_use]
    pub fn with_names<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = sorted(names);
        self
    }

    /// The same in another mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The same, with a fencing token or without.
    #[must_use]
    pub const fn with_fencing(mut self, fenced: bool) -> Self {
        self.fenced = fenced;
        self
    }
}

/// For how long shared holders are kept out after they have kept an exclusive one out, so that it
/// comes in between two of them: the longest default pause between tries, twice.
pub(crate) const WRITER_TURN: Duration = Duration::from_millis(500);

/// One voter. See the [module docs](self) for what it has to promise.
pub trait Node: Send + Sync + 'static {
    /// Where the node is, without credentials: what errors and logs call it. Two nodes of one
    /// [`Redsync`](crate::Redsync) have different addresses.
    fn address(&self) -> &str;

    /// Takes all names of `terms` for its expiry, or none.
    ///
    /// An exclusive lock needs each name to be free; a shared one needs it to be free or shared, and
    /// no exclusive one to have been refused for that reason a moment ago (or a stream of shared
    /// holders would keep it out).
    ///
    /// Where a name is held with this very value, this acquisition has succeeded before, and its
    /// expiry is left alone.
    ///
    /// With `terms.fenced`, every name's counter grows by a stride, and to the wall clock's seconds
    /// times a million if that is more; all are set to the largest of them, which is returned. See
    /// [`fence`](crate::fence).
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the future leaves open whether the names are taken.
    fn acquire(&self, terms: &Terms)
    -> impl Future<Output = Result<AcquireVote, NodeError>> + Send;

    /// Raises the counters of the names to `token`, if the names are held on `terms` and no counter
    /// is above `token`.
    fn raise(
        &self,
        terms: &Terms,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send;

    /// Lets the names live for at least the expiry from now, if all are held on `terms`.
    ///
    /// With `set_if_absent`, names that are missing are set, if all others are held:
    /// [`Healed`](ExtendVote::Healed). A life is never shortened. With a token, counters below it
    /// are raised to it.
    fn extend(
        &self,
        terms: &Terms,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send;

    /// Gives up those of the names that are held on `terms`.
    fn release(&self, terms: &Terms)
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
    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<Seen, NodeError>> + Send {
        let _ = names;
        std::future::ready(Err(NodeError::NotSent))
    }

    /// What tells this server from every other, such as Redis' run id; [`None`] if that cannot be
    /// told. Asked once, before the node's first vote, so that a server that is reachable under
    /// two addresses does not get two votes.
    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        std::future::ready(Ok(None))
    }
}

/// A node's answer to [`Node::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireVote {
    /// The names are held on these terms.
    Acquired {
        /// The counters' number, on fenced terms.
        number: Option<FencingToken>,
    },
    /// Another holds one of the names.
    Taken {
        /// How long the node will keep it, if that is known.
        remaining: Option<Duration>,
    },
}

/// A node's answer to [`Node::raise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseVote {
    /// The counters are at the token, and the token is claimed on this node.
    Raised,
    /// A name is not held on these terms, or a counter is above the token.
    Refused,
}

/// A node's answer to [`Node::extend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendVote {
    /// All names were held, and live on.
    Extended,
    /// Some names were missing and were set again; the others live on.
    Healed,
    /// A name is missing or held by another. None was touched.
    NotOwner,
}

/// A node's answer to [`Node::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseVote {
    /// All names were held, and are free.
    Released,
    /// A name was missing or held by another. The others, if any, are free.
    NotOwner,
}

/// A node's answer to [`Node::watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All names were free when it was asked.
    Free,
    /// A name was held, and something has changed since.
    Changed,
}

/// Who holds a name on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Exclusive or shared.
    pub mode: Mode,
    /// The holders: one if exclusive.
    pub holders: Vec<Holder>,
}

/// One holder of a name on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner value.
    pub value: OwnerValue,
    /// How long the node will keep it, if that is known.
    pub remaining: Option<Duration>,
}

/// Any node, its type erased: what [`Redsync::new`](crate::Redsync::new) takes, so that nodes of
/// different types can be mixed.
///
/// ```
/// use redsync::{Redsync, node::{AnyNode, MemoryNode}};
///
/// let nodes: Vec<AnyNode> = vec![MemoryNode::new().into(), MemoryNode::new().into()];
/// let redsync = Redsync::new(nodes)?;
/// # Ok::<_, redsync::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct AnyNode(Arc<dyn ErasedNode>);

impl<N: Node> From<N> for AnyNode {
    fn from(node: N) -> Self {
        Self(Arc::new(node))
    }
}

impl fmt::Debug for AnyNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyNode").field(&self.0.address()).finish()
    }
}

impl AnyNode {
    pub(crate) fn get(&self) -> &dyn ErasedNode {
        &*self.0
    }

    pub(crate) fn voter(&self) -> Arc<dyn ErasedNode> {
        Arc::clone(&self.0)
    }
}

/// [`Node`] as an object: the same operations, boxed.
pub(crate) trait ErasedNode: Voter + Send + Sync {
    fn address(&self) -> &str;
    fn raise<'a>(&'a self, terms: &'a Terms, token: FencingToken) -> Voting<'a, RaiseVote>;
    fn extend<'a>(
        &'a self,
        terms: &'a Terms,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Voting<'a, ExtendVote>;
    fn inspect<'a>(&'a self, name: &'a str) -> Voting<'a, Option<Holders>>;
    fn watch<'a>(&'a self, names: &'a [Arc<str>]) -> Voting<'a, Seen>;
    fn identity(&self) -> Voting<'_, Option<String>>;
}

type Voting<'a, T> = BoxFuture<'a, Result<T, NodeError>>;

impl<N: Node> ErasedNode for N {
    fn address(&self) -> &str {
        Node::address(self)
    }

    fn raise<'a>(&'a self, terms: &'a Terms, token: FencingToken) -> Voting<'a, RaiseVote> {
        metrics::command(
            Node::address(self),
            "raise",
            Node::raise(self, terms, token),
        )
        .boxed()
    }

    fn extend<'a>(
        &'a self,
        terms: &'a Terms,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Voting<'a, ExtendVote> {
        metrics::command(
            Node::address(self),
            "extend",
            Node::extend(self, terms, token, set_if_absent),
        )
        .boxed()
    }

    fn inspect<'a>(&'a self, name: &'a str) -> Voting<'a, Option<Holders>> {
        metrics::command(Node::address(self), "inspect", Node::inspect(self, name)).boxed()
    }

    fn watch<'a>(&'a self, names: &'a [Arc<str>]) -> Voting<'a, Seen> {
        Node::watch(self, names).boxed()
    }

    fn identity(&self) -> Voting<'_, Option<String>> {
        metrics::command(Node::address(self), "identity", Node::identity(self)).boxed()
    }
}
