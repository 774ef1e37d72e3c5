//! The entry point: the nodes, and the defaults of the mutexes on them.

use std::{fmt, sync::Arc};

use crate::{
    ConfigError, DrainGuard, Mutex, Votes,
    common::Common,
    metrics,
    node::{AnyNode, MemoryNode, sorted},
    options::Options,
    probe::probe,
};

/// Makes mutexes on a set of nodes, with default options. Cheap to clone.
///
/// Use an odd number of independent nodes: three tolerate the loss of one, five the loss of two. A
/// single node is allowed; locks are then as available as that server. An even number is allowed
/// too, but tolerates no more losses than the odd number below it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use redsync::Redsync;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // For servers: Redsync::connect(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?
/// let redsync = Redsync::in_memory(3)
///     .with_defaults(|mutex| mutex.with_expiry(Duration::from_secs(5)).with_key_prefix("shop:"))?;
///
/// let guard = redsync.mutex("order:42").lock().await?;
/// assert_eq!(guard.name(), "shop:order:42");
/// // ... work on the order ...
/// guard.release().await?;
///
/// // At shutdown, wait until the locks of dropped guards have been released.
/// redsync.drain().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Redsync {
    common: Arc<Common>,
    defaults: Arc<Options>,
}

impl Redsync {
    /// Creates a `Redsync` on the given nodes, which may be of different types (see
    /// [`AnyNode`]).
    ///
    /// ```
    /// use redsync::{Redsync, node::MemoryNode};
    ///
    /// let redsync = Redsync::new([MemoryNode::new(), MemoryNode::new(), MemoryNode::new()])?;
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoNodes`] if there are no nodes, [`ConfigError::DuplicateNode`] if two nodes
    /// have the same address.
    ///
    /// If one server is given under two addresses, this is detected at the first acquisition. The
    /// server then has a single vote, and its second address answers every acquisition with
    /// [`NodeError::SameServer`](crate::NodeError::SameServer). It is not detected if the server
    /// does not reveal its identity, for instance because the user lacks the permission for `INFO`.
    pub fn new<N: Into<AnyNode>>(nodes: impl IntoIterator<Item = N>) -> Result<Self, ConfigError> {
        let common = Common::new(nodes.into_iter().map(Into::into))?;
        metrics::describe();
        Ok(Self {
            common,
            defaults: Arc::default(),
        })
    }

    /// Creates a `Redsync` on the Redis or Valkey servers at the given URLs, such as
    /// `redis://user:password@10.0.0.1:6379`. Connections are made when they are first needed, so
    /// a service can start while a server is down.
    ///
    /// ```
    /// use redsync::Redsync;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let redsync = Redsync::connect(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// To name the connections on the servers, make the nodes one by one: see
    /// [`RedisNode::with_client_name`](crate::node::redis::RedisNode::with_client_name).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if a URL does not parse or asks for a feature that is not compiled in;
    /// otherwise as [`new`](Self::new).
    #[cfg(feature = "deadpool-redis")]
    pub fn connect<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, ConfigError> {
        let nodes: Result<Vec<_>, _> = urls
            .into_iter()
            .map(|url| crate::node::redis::RedisNode::connect(url.as_ref()))
            .collect();
        Self::new(nodes?)
    }

    /// Creates a `Redsync` on nodes in the memory of this process: for a service with a single
    /// instance, for development and for tests. See [`MemoryNode`].
    ///
    /// ```
    /// use redsync::Redsync;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let redsync = Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `nodes` is zero.
    #[must_use]
    pub fn in_memory(nodes: usize) -> Self {
        Self::new((0..nodes).map(|_| MemoryNode::new())).expect("at least one node")
    }

    /// Changes the defaults of all mutexes that are made from the result. Every option of a
    /// [`Mutex`] can have a default.
    ///
    /// ```
    /// use std::time::Duration;
    /// use redsync::Redsync;
    ///
    /// let redsync = Redsync::in_memory(3)
    ///     .with_defaults(|mutex| mutex.with_expiry(Duration::from_secs(5)).with_key_prefix("shop:"))?;
    /// assert!(redsync.mutex("order:42").keys().eq(["shop:order:42"]));
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] if the options are invalid.
    pub fn with_defaults(self, change: impl FnOnce(Mutex) -> Mutex) -> Result<Self, ConfigError> {
        let defaults = change(self.mutex("")).into_options();
        defaults.check()?;
        Ok(Self { defaults, ..self })
    }

    /// Creates a mutex with the given name.
    ///
    /// A name that cannot be used, such as an empty one, is reported when the mutex is locked, or
    /// by [`Mutex::check`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// assert_eq!(guard.name(), "order:42");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn mutex(&self, name: impl Into<Arc<str>>) -> Mutex {
        self.mutex_of([name.into()].into())
    }

    fn mutex_of(&self, names: Arc<[Arc<str>]>) -> Mutex {
        Mutex::new(Arc::clone(&self.common), names, Arc::clone(&self.defaults))
    }

    /// Creates a mutex with several names, which are acquired all or none, in one round trip per
    /// node. The names are sorted and deduplicated. Two mutexes whose names overlap cannot
    /// deadlock.
    ///
    /// If a node is a Redis Cluster, the names have to be in one slot: give them a common `{tag}`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let transfer = redsync.mutex_many(["account:2", "account:1"]).lock().await?;
    /// assert!(redsync.mutex("account:1").try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn mutex_many<N: Into<Arc<str>>>(&self, names: impl IntoIterator<Item = N>) -> Mutex {
        self.mutex_of(sorted(names))
    }

    /// Creates a semaphore: a mutex with this many permits, which can have as many holders at the
    /// same time, in all processes together. It is a [`mutex`](Self::mutex) with
    /// [`with_permits`](Mutex::with_permits), and without fencing if there is more than one permit.
    ///
    /// Each permit is a lock of its own, and a holder holds one of them. So all that holds for a
    /// lock holds for a permit: its [`Guard`](crate::Guard), its expiry, waiting, hand-overs,
    /// keep-alive.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// // At most three exports at the same time, whichever instances make them.
    /// let exports = redsync.semaphore("export", 3);
    /// let guard = exports.lock().await?;
    /// // ... export ...
    /// guard.release().await?;
    ///
    /// assert!(exports.keys().eq(["export", "export:permit-2", "export:permit-3"]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Names
    ///
    /// The key of the first permit is the name itself, and that of permit *n* is the name with
    /// `:permit-n`. Names that end like this are reserved. With one permit, a semaphore is the
    /// mutex of that name, for go-redsync as well.
    ///
    /// So the number of permits can be changed while instances run: as long as some of them have
    /// the old number and some the new one, the larger of the two is the limit.
    ///
    /// # Waiting
    ///
    /// The waiters of a process get permits in the order in which they came. A permit that is
    /// released here is handed over to the first of them, and wake-ups for any permit notify it.
    /// While the first one searches for a permit that is free, it steps aside: permits that are
    /// released here go to those behind it. (A semaphore of eight permits lets at most 32 pass one
    /// waiter.) So a process with many waiters uses many permits, even if each is held for less time
    /// than it takes to see that another is free and to acquire it (about two round trips to the
    /// nodes). With eight that are held for 5 ms each, on nodes that take 5 ms to answer, 6.9 are in
    /// use if the nodes report at once that one is free, 2.9 if a watch takes 5 ms to begin and 5 ms
    /// to report, and 3.6 if the nodes send no wake-ups.
    ///
    /// # Cost
    ///
    /// An attempt begins with a permit at random, so that the attempts of many spread, and goes on
    /// to the next if that one is taken. So it makes one round if a permit was seen to become free,
    /// a few if some are taken, and one for each permit if all are. A waiter at the head of the
    /// queue watches all permits. This is for a small number of permits: there are at most
    /// [`Mutex::MAX_PERMITS`].
    ///
    /// At its deadline, a call begins no further round, unless its last attempt begins at the
    /// deadline. That attempt, and [`Mutex::try_lock`], try every permit: each round takes as long
    /// as the nodes take to answer, and at most the [node time limit](Mutex::with_node_timeout).
    ///
    /// A key that is not a lock takes the place of one permit. It is an error only if there is such
    /// a key in the place of each.
    ///
    /// # Why there is no cheaper way
    ///
    /// If each node counted its holders and admitted *k* of them, majorities would not limit them
    /// to *k*. With *k* = 2 and three nodes, the clients A, B and C can be admitted by nodes 1 and
    /// 2, 2 and 3, and 3 and 1: each node has admitted two, and all three clients have a majority.
    /// If a client needed all nodes instead, no node could fail; and clients that each get some
    /// nodes would keep places from each other that nobody uses. Any two majorities have a node in
    /// common, which excludes a *second* holder of one key, and no more than that. So *k* holders
    /// need *k* keys.
    ///
    /// There are no [fencing tokens](crate::fence): the tokens of *k* keys are *k* sequences, and a
    /// resource could not tell which of two holders came later.
    #[must_use]
    pub fn semaphore(&self, name: impl Into<Arc<str>>, permits: usize) -> Mutex {
        let mutex = self.mutex(name).with_permits(permits);
        if permits > 1 {
            mutex.with_fencing(false)
        } else {
            mutex
        }
    }

    /// Acquires, extends and releases a lock of its own on every node, and returns which of them did
    /// all of it.
    /// Each vote is [`Granted`](crate::Vote::Granted) or [`Failed`](crate::Vote::Failed). Call it
    /// when a service starts, to log the result, or for a health check.
    ///
    /// It finds every node that cannot be reached, is read-only or out of memory, lacks replicas
    /// that it needs for a write, or does not permit its user what a plain exclusive lock needs.
    /// The name begins with the default [key prefix](Mutex::with_key_prefix) and `redsync:probe:`,
    /// and is used once, so that probes do not meet. A lock that a node cannot release expires.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let redsync = Redsync::in_memory(3);
    /// let votes = redsync.probe().await;
    /// assert!(votes.granted() >= votes.quorum(), "no quorum: {votes}");
    /// # }
    /// ```
    ///
    /// It takes at most three times the [node time limit](Mutex::with_node_timeout), which is 400 ms by
    /// default.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock is released in the background.
    #[doc(alias = "health")]
    pub async fn probe(&self) -> Votes {
        probe(&self.common, &self.defaults).await
    }

    /// Waits until the work in the background is done: the releases of dropped guards, and the
    /// answers of slow nodes. It also waits until every [`DrainGuard`](Self::drain_guard) is
    /// dropped, and for the locks that [delay it](crate::Guard::delay_drain). Call it at the end of
    /// a graceful shutdown.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// drop(redsync.mutex("order:42").lock().await?);
    /// redsync.drain().await;
    /// assert!(redsync.mutex("order:42").try_lock().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It takes long only if a node hangs, or if a connection went silent over which a lock was
    /// being acquired: then up to the expiry or 30 s, whichever is shorter, plus 5 s. After the
    /// release of a lock that was [resumed](Mutex::resume), it may take up to the
    /// [node time limit](Mutex::with_node_timeout) plus a second. If work was left to a
    /// current-thread runtime that nobody drives any longer, it moves after about two seconds to
    /// another runtime on which this `Redsync` was used, or to the runtime of the drain. Only a
    /// drain outside of any runtime waits for ever if there is no other.
    ///
    /// From time to time, a drain that takes long asks every node who it is. So a connection whose
    /// replies such a runtime has not read is replaced.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the work continues.
    pub async fn drain(&self) {
        let Common {
            nodes, services, ..
        } = &*self.common;
        let limit = self.defaults.timing.node_timeout();
        (services.background.drain(|| nodes.contact(limit))).await;
    }

    /// Returns a guard that makes [`drain`](Self::drain) wait until it is dropped.
    ///
    /// It is for code that is about to release a lock. For instance, a server may report that it
    /// has shut down a moment before it drops its last request, and a [`Guard`](crate::Guard) with
    /// it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let in_flight = redsync.drain_guard();
    /// let request = tokio::spawn(async move {
    ///     // ... handle the request ...
    ///     drop(in_flight);
    /// });
    /// redsync.drain().await; // waits for the request
    /// # request.await.unwrap();
    /// # }
    /// ```
    #[must_use = "a guard that is dropped at once delays nothing"]
    pub fn drain_guard(&self) -> DrainGuard {
        self.common.services.background.guard()
    }
}

impl fmt::Debug for Redsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redsync")
            .field("nodes", &self.common.nodes)
            .field("defaults", &self.defaults)
            .field("background", &self.common.services.background)
            .finish()
    }
}
