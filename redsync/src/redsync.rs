//! The nodes, and the defaults their mutexes share.

use std::{fmt, sync::Arc};

use crate::{
    ConfigError, DrainGuard, Mutex, NodeVote, Vote, Votes, metrics,
    node::{AnyNode, MemoryNode, sorted},
    options::Options,
    shared::Shared,
};

/// The nodes that vote on locks, and the defaults of the mutexes made from here. Cheap to clone.
///
/// Use an odd number of independent nodes: three survive the loss of one, five of two. One is
/// allowed, and is as available as that server; an even number is allowed, and is no better than
/// the odd number below it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use redsync::Redsync;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Or Redsync::connect(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?
/// let redsync = Redsync::in_memory(3)
///     .with_defaults(|mutex| mutex.with_expiry(Duration::from_secs(5)).with_key_prefix("shop:"))?;
///
/// let guard = redsync.mutex("order:42").lock().await?;
/// assert_eq!(guard.name(), "shop:order:42");
/// // ... work on the order ...
/// guard.release().await?;
///
/// // At shutdown, for what was dropped rather than released:
/// redsync.drain().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Redsync {
    shared: Arc<Shared>,
    defaults: Arc<Options>,
}

impl Redsync {
    /// Mutexes on the given nodes.
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
    /// [`ConfigError::NoNodes`] if there is none, [`ConfigError::DuplicateNode`] if two have the
    /// same address. A server that is given twice under different addresses is found out when it
    /// is first asked to acquire: it has one vote in acquisitions, and its other address is an error
    /// ([`NodeError::SameServer`]) in each of them. Servers that do not tell who they are (a user
    /// without the permission for `INFO`) are not found out.
    pub fn new<N: Into<AnyNode>>(nodes: impl IntoIterator<Item = N>) -> Result<Self, ConfigError> {
        let shared = Shared::new(nodes.into_iter().map(Into::into))?;
        metrics::describe();
        Ok(Self {
            shared,
            defaults: Options::checked_default(),
        })
    }

    /// Mutexes on the Redis or Valkey servers at the given URLs, such as
    /// `redis://user:password@10.0.0.1:6379`. Connections are made when they are first needed, so
    /// that a service can start while a server is down.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] for a URL that does not parse, else as [`new`](Self::new).
    #[cfg(feature = "deadpool-redis")]
    pub fn connect<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, ConfigError> {
        let nodes: Result<Vec<_>, _> = urls
            .into_iter()
            .map(|url| crate::node::redis::RedisNode::connect(url.as_ref()))
            .collect();
        Self::new(nodes?)
    }

    /// Mutexes on nodes in this process: for a service that runs once, for development and tests.
    ///
    /// # Panics
    ///
    /// If `nodes` is zero.
    #[must_use]
    pub fn in_memory(nodes: usize) -> Self {
        Self::new((0..nodes).map(|_| MemoryNode::new())).expect("at least one node")
    }

    /// Changes the defaults of all mutexes made from here on: whatever can be said of a
    /// [`Mutex`].
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] if they cannot work.
    pub fn with_defaults(self, change: impl FnOnce(Mutex) -> Mutex) -> Result<Self, ConfigError> {
        let mut defaults = change(self.mutex("")).into_options();
        defaults.check()?;
        Arc::make_mut(&mut defaults).checked = true;
        Ok(Self { defaults, ..self })
    }

    /// A mutex of the given name.
    #[must_use]
    pub fn mutex(&self, name: impl Into<Arc<str>>) -> Mutex {
        self.mutex_of([name.into()].into())
    }

    fn mutex_of(&self, names: Arc<[Arc<str>]>) -> Mutex {
        Mutex::new(Arc::clone(&self.shared), names, Arc::clone(&self.defaults))
    }

    /// A mutex of several names, acquired all or none in one round trip per node. They are sorted,
    /// and each counts once, so that two that overlap cannot wait for each other for ever.
    ///
    /// A node that is a Redis Cluster needs them in one slot: give them a common `{tag}`.
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

    /// Asks every node whether it answers, for a log line at the start of a service or a health
    /// check. A vote is [`Granted`](crate::Vote::Granted) or [`Failed`](crate::Vote::Failed).
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
    /// It takes at most the [node time limit](Mutex::with_node_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn probe(&self) -> Votes {
        // With the prefix: a user may be permitted no other keys.
        let name: Arc<str> = format!("{}redsync:probe", self.defaults.key_prefix).into();
        let nodes = &self.shared.nodes;
        let (limit, names) = (self.defaults.timing.node_timeout(), [name]);
        let answers = nodes.ask_all(limit, async |node| {
            nodes.admit(node).await?;
            nodes.inspect(node, &names).await
        });
        let answers = answers.await.into_iter().enumerate();
        let votes = answers.map(|(node, answer)| NodeVote {
            address: Arc::clone(nodes.address(node)),
            vote: answer.map_or_else(Vote::Failed, |_| Vote::Granted),
        });
        let votes = votes.collect();
        let [name] = names;
        Votes {
            name,
            nodes: nodes.len(),
            attempt: 1,
            votes,
        }
    }

    /// Waits until everything that goes on in the background is done: releases of guards that
    /// were dropped, and answers that were late; and whatever [delays](Self::drain_guard) it. For the
    /// end of a graceful shutdown.
    ///
    /// It takes long only if a node hangs: at most an expiry or 30 s, whichever is shorter, and 5 s.
    /// (A runtime that is not run any more does not get on with what was spawned on it, and this
    /// does not end.)
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the work goes on.
    pub async fn drain(&self) {
        self.shared.nodes.background().drain().await;
    }

    /// Makes [`drain`](Self::drain) wait until what this returns is dropped: for code that will give a
    /// lock up soon and is not a task in the background itself. A server may say that it has shut down
    /// a moment before it drops its last request, and with it a guard.
    #[must_use = "what is dropped at once delays nothing"]
    pub fn drain_guard(&self) -> DrainGuard {
        self.shared.nodes.background().guard()
    }
}

impl fmt::Debug for Redsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redsync")
            .field("nodes", &self.shared.nodes)
            .field("defaults", &self.defaults)
            .field("background", self.shared.nodes.background())
            .finish()
    }
}
