//! Nodes that wrap other nodes.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    AcquireVote, Entry, ExtendVote, Holders, Node, NodeError, RaiseVote, ReleaseVote, WakeUp,
};
use crate::FencingToken;

/// A [`Node`] that wraps another node, to observe or change some of its operations.
///
/// It implements `Node`. Each method calls the method of the same name on the [inner](Self::inner)
/// node, unless the wrapper overrides it. [`Node`] says what each method has to promise, with its
/// errors and its cancel safety.
///
/// A wrapper is asked for one operation at a time. So around a
/// [`RedisNode`](super::redis::RedisNode) it costs some speed: the commands of different locks are
/// not put together into one list.
///
/// # Example
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use redsync::{NodeError, Redsync};
/// use redsync::node::{AcquireVote, Entry, MemoryNode, Node, NodeWrapper};
///
/// /// Counts the acquisitions.
/// struct Counting(MemoryNode, AtomicUsize);
///
/// impl NodeWrapper for Counting {
///     type Inner = MemoryNode;
///
///     fn inner(&self) -> &MemoryNode {
///         &self.0
///     }
///
///     async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.acquire(entry).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let redsync = Redsync::new([Counting(MemoryNode::new(), AtomicUsize::new(0))])?;
/// redsync.mutex("order:42").lock().await?;
/// # Ok(())
/// # }
/// ```
pub trait NodeWrapper: Send + Sync + 'static {
    /// The type of the wrapped node.
    type Inner: Node;

    /// Returns the wrapped node.
    fn inner(&self) -> &Self::Inner;

    /// See [`Node::address`].
    fn address(&self) -> &str {
        self.inner().address()
    }

    /// See [`Node::acquire`].
    fn acquire(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<AcquireVote, NodeError>> + Send {
        self.inner().acquire(entry)
    }

    /// See [`Node::raise`].
    fn raise(
        &self,
        entry: &Entry,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send {
        self.inner().raise(entry, token)
    }

    /// See [`Node::extend`].
    fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send {
        self.inner().extend(entry, token, set_if_absent)
    }

    /// See [`Node::release`].
    fn release(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send {
        self.inner().release(entry)
    }

    /// See [`Node::release_after`].
    fn release_after(
        &self,
        entry: &Entry,
        time: Duration,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send {
        self.inner().release_after(entry, time)
    }

    /// See [`Node::inspect`].
    fn inspect(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Holders>, NodeError>> + Send {
        self.inner().inspect(name)
    }

    /// See [`Node::watch`].
    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        self.inner().watch(names)
    }

    /// See [`Node::watch_acquired`].
    fn watch_acquired(
        &self,
        names: &[Arc<str>],
    ) -> impl Future<Output = Result<(), NodeError>> + Send {
        self.inner().watch_acquired(names)
    }

    /// See [`Node::identity`].
    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        self.inner().identity()
    }
}

// A type that is not a node should rather implement `Node`.
#[diagnostic::do_not_recommend]
impl<W: NodeWrapper> Node for W {
    fn address(&self) -> &str {
        NodeWrapper::address(self)
    }

    fn acquire(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<AcquireVote, NodeError>> + Send {
        NodeWrapper::acquire(self, entry)
    }

    fn raise(
        &self,
        entry: &Entry,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send {
        NodeWrapper::raise(self, entry, token)
    }

    fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send {
        NodeWrapper::extend(self, entry, token, set_if_absent)
    }

    fn release(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send {
        NodeWrapper::release(self, entry)
    }

    fn release_after(
        &self,
        entry: &Entry,
        time: Duration,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send {
        NodeWrapper::release_after(self, entry, time)
    }

    fn inspect(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Holders>, NodeError>> + Send {
        NodeWrapper::inspect(self, name)
    }

    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        NodeWrapper::watch(self, names)
    }

    fn watch_acquired(
        &self,
        names: &[Arc<str>],
    ) -> impl Future<Output = Result<(), NodeError>> + Send {
        NodeWrapper::watch_acquired(self, names)
    }

    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        NodeWrapper::identity(self)
    }
}
