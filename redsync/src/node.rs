//! Nodes: who votes on a lock.
//!
//! A node is one independent store that keeps a key with an owner value for a while. It is asked
//! to [acquire](Node::acquire), [extend](Node::extend), [release](Node::release) and
//! [inspect](Node::inspect), and answers each with a vote or a [`NodeError`]. What a quorum of
//! votes means is not its business.
//!
//! * [`MemoryNode`] lives in this process: for a service that runs once, and for tests.
//! * `RedisNode` (feature `deadpool-redis`, on by default) is a Redis or Valkey server.
//! * Anything else can be one: implement [`Node`].
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
//! use std::{sync::atomic::{AtomicUsize, Ordering}, time::Duration};
//! use redsync::{NodeError, OwnerValue, Redsync};
//! use redsync::node::{AcquireVote, ExtendVote, Holder, MemoryNode, Node, ReleaseVote};
//!
//! struct Counting(MemoryNode, AtomicUsize);
//!
//! impl Node for Counting {
//!     fn address(&self) -> &str {
//!         self.0.address()
//!     }
//!
//!     async fn acquire(&self, key: &str, value: &OwnerValue, expiry: Duration)
//!         -> Result<AcquireVote, NodeError>
//!     {
//!         self.1.fetch_add(1, Ordering::Relaxed);
//!         self.0.acquire(key, value, expiry).await
//!     }
//!
//!     async fn extend(&self, key: &str, value: &OwnerValue, expiry: Duration, set_if_absent: bool)
//!         -> Result<ExtendVote, NodeError>
//!     {
//!         self.0.extend(key, value, expiry, set_if_absent).await
//!     }
//!
//!     async fn release(&self, key: &str, value: &OwnerValue) -> Result<ReleaseVote, NodeError> {
//!         self.0.release(key, value).await
//!     }
//!
//!     async fn inspect(&self, key: &str) -> Result<Option<Holder>, NodeError> {
//!         self.0.inspect(key).await
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

mod memory;
#[cfg(feature = "deadpool-redis")]
pub mod redis;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};

pub use self::memory::MemoryNode;
#[cfg(feature = "deadpool-redis")]
pub use self::redis::RedisNode;
use crate::{NodeError, OwnerValue};

/// One voter. See the [module docs](self) for what it has to promise.
pub trait Node: Send + Sync + 'static {
    /// Where the node is, without credentials: what errors and logs call it. Two nodes of one
    /// [`Redsync`](crate::Redsync) have different addresses.
    fn address(&self) -> &str;

    /// Sets `key` to `value` for `expiry` (whole milliseconds) if there is no such key.
    ///
    /// If the key already has this very value, this acquisition has succeeded before, and its
    /// expiry is left alone: [`Acquired`](AcquireVote::Acquired).
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the future leaves open whether the key is set.
    fn acquire(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
    ) -> impl Future<Output = Result<AcquireVote, NodeError>> + Send;

    /// Lets `key` live for at least `expiry` from now if its value is `value`.
    ///
    /// With `set_if_absent`, a missing key is set: [`Healed`](ExtendVote::Healed). The life of a
    /// key is never shortened.
    fn extend(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send;

    /// Deletes `key` if its value is `value`.
    fn release(
        &self,
        key: &str,
        value: &OwnerValue,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send;

    /// Who holds `key`.
    fn inspect(&self, key: &str) -> impl Future<Output = Result<Option<Holder>, NodeError>> + Send;

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
    /// The key has the value.
    Acquired,
    /// Another holds the key.
    Taken {
        /// How long the node will keep it, if that is known.
        remaining: Option<Duration>,
    },
}

/// A node's answer to [`Node::extend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendVote {
    /// The key had the value, and lives on.
    Extended,
    /// The key was missing and was set again.
    Healed,
    /// The key is missing or has another value.
    NotOwner,
}

/// A node's answer to [`Node::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseVote {
    /// The key had the value, and is deleted.
    Released,
    /// The key was missing or has another value.
    NotOwner,
}

/// Who holds a key on a node, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner value.
    pub value: OwnerValue,
    /// How long the node will keep the key, if that is known.
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
}

/// [`Node`] as an object: the same operations, boxed.
pub(crate) trait ErasedNode: Send + Sync {
    fn address(&self) -> &str;
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
        expiry: Duration,
    ) -> BoxFuture<'a, Result<AcquireVote, NodeError>>;
    fn extend<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> BoxFuture<'a, Result<ExtendVote, NodeError>>;
    fn release<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
    ) -> BoxFuture<'a, Result<ReleaseVote, NodeError>>;
    fn inspect<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Holder>, NodeError>>;
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, NodeError>>;
}

impl<N: Node> ErasedNode for N {
    fn address(&self) -> &str {
        Node::address(self)
    }

    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
        expiry: Duration,
    ) -> BoxFuture<'a, Result<AcquireVote, NodeError>> {
        Node::acquire(self, key, value, expiry).boxed()
    }

    fn extend<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> BoxFuture<'a, Result<ExtendVote, NodeError>> {
        Node::extend(self, key, value, expiry, set_if_absent).boxed()
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        value: &'a OwnerValue,
    ) -> BoxFuture<'a, Result<ReleaseVote, NodeError>> {
        Node::release(self, key, value).boxed()
    }

    fn inspect<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Holder>, NodeError>> {
        Node::inspect(self, key).boxed()
    }

    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, NodeError>> {
        Node::identity(self).boxed()
    }
}
