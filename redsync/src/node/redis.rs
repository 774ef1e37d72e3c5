//! Redis and Valkey servers as nodes.
//!
//! A [`RedisNode`] translates each operation of a [`Node`] into commands, and the replies into a
//! vote. A [`Driver`] sends a command through a client library and returns the reply. These drivers
//! exist, each behind a feature:
//!
//! | feature | driver | takes |
//! |---|---|---|
//! | `deadpool-redis` (default) | `Deadpool` | a URL, or a pool of deadpool-redis |
//! | `sentinel`, `cluster` | `Deadpool` | a pool of deadpool-redis for [Sentinel or Cluster](#sentinel-and-cluster) |
//! | `redis-rs` | `Multiplexed` | a `ConnectionManager` or `MultiplexedConnection` of redis-rs |
//! | `fred` | `Fred` | a `Client` of fred |
//!
//! Take `Deadpool` unless your service already uses another client: it detects connections that
//! have died silently, and limits how many commands wait for a server that hangs. The feature
//! `tls-rustls` adds TLS to each driver. To use another client library, implement [`Driver`], which
//! takes one small file, and test it with the module `contract` (feature `contract`).
//!
//! # Requirements for the servers
//!
//! * **Version**: Redis 6.0 or Valkey 7.2, or newer.
//! * **Independence**: every node is a server of its own, never a replica of another node. A
//!   replica would repeat the vote of its primary, and could lose a key in a failover.
//! * **Persistence**: keys must outlive a restart (`appendonly yes` and `appendfsync always`).
//!   Otherwise the server must stay away after a restart for the longest expiry in use. The reason
//!   is explained at redis.io, "Distributed Locks with Redis".
//! * **Eviction**: it must be off (`maxmemory-policy noeviction`, the default).
//! * **Permissions**: if the server has an ACL, the user needs these commands on the keys of the
//!   names and on the keys `{name}:fence`:
//!
//! | commands | used for |
//! |---|---|
//! | `SET` | exclusive locks |
//! | `EVAL`, `EVALSHA`, `DEL`, `GET`, `INCRBY`, `PEXPIRE`, `PEXPIREAT`, `PTTL`, `TIME`, `TYPE`, `ZADD`, `ZCARD`, `ZRANGE`, `ZREM`, `ZREMRANGEBYSCORE`, `ZREVRANGE`, `ZSCORE` | scripts, which do everything else |
//! | `DELIFEQ` (Valkey 9.0) or `DELEX` (Redis 8.4) | optional: cheaper releases |
//! | `INFO` | optional: detecting that two addresses lead to one server |
//! | `CLIENT`, `EXISTS` | optional: [wake-ups](#wake-ups) |
//!
//! # Sentinel and Cluster
//!
//! The primary that a Sentinel manages, or a whole Cluster, is one node with one vote. Both
//! replicate asynchronously, so a failover can lose a key that was just set, like a restart without
//! data. With several such nodes, a lock tolerates failovers on a minority of them; with a single
//! one, it tolerates none.
//!
//! ```no_run
//! # #[cfg(feature = "sentinel")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use deadpool_redis::sentinel::{Config, Runtime, SentinelServerType};
//! use redsync::{Redsync, node::{redis::{Deadpool, RedisNode}}};
//!
//! let sentinels = ["redis://10.0.0.1:26379".to_owned(), "redis://10.0.0.2:26379".to_owned()];
//! let config = Config::from_urls(sentinels, "locks".to_owned(), SentinelServerType::Master);
//! let pool = config.create_pool(Some(Runtime::Tokio1))?;
//! let redsync = Redsync::new([RedisNode::new(Deadpool::new("locks", pool))])?;
//! # Ok(())
//! # }
//! ```
//!
//! In a cluster, the names of one lock have to be in one slot: give them a common part in braces,
//! such as `{shop-7}:order:1`. Two nodes that lead to the same cluster are not detected.
//!
//! A cluster connection of redis-rs sends a command again if its connection is lost. The Cluster
//! pool of deadpool-redis cannot turn this off. So an acquisition may be carried out twice, the
//! second time perhaps after its lock was released; then the name is taken until it expires,
//! although nobody holds it. To avoid this, use the driver `Multiplexed` with a `ClusterConnection`
//! that was built with `ClusterClientBuilder::retries(0)`. It sends each command once. (When slots
//! have moved, one attempt then fails.)
//!
//! # Wake-ups
//!
//! A server notifies the waiters for a name when the name is released, is deleted or expires. For
//! this, a node reads the name on a connection with client tracking (`CLIENT TRACKING`; redis.io,
//! "Client-side caching reference"). This connection speaks RESP3 and serves no other purpose. It
//! is made when the first waiter needs it.
//!
//! Wake-ups are on for nodes that were made by [`RedisNode::connect`](RedisNode#method.connect) or
//! by [`Redsync::connect`](crate::Redsync#method.connect). For a node with another driver,
//! [`with_wake_ups`](RedisNode#method.with_wake_ups) turns them on. There are no wake-ups with
//! Sentinel and Cluster, behind a proxy that does not support tracking, or if the user has no
//! permission for `CLIENT TRACKING`. Waiters then poll.
//!
//! # The keys
//!
//! * An **exclusive lock** is a string at the name of the mutex. Its value is the owner value, and
//!   it is set by `SET NX PX`, as in go-redsync. So a Go service and a Rust service can share a
//!   mutex.
//! * A **shared lock** is a sorted set at the name of the mutex. To a go-redsync client the name is
//!   taken, and the client cannot delete it.
//! * The **counter** of a fenced lock is a string beside it: that of `order:42` is at
//!   `{order:42}:fence`, and that of `{shop-7}:order:42`, which already has a part in braces, is at
//!   `{shop-7}:order:42:fence`. An ACL has to permit these keys. A counter takes about a hundred
//!   bytes, and stays for a day after the last acquisition.
//! * **Other keys**, including sorted sets that are not locks, count as taken and are not changed.

mod command;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod connection;
mod dialect;
mod driver;
mod drivers;
mod exchange;
mod reply;
mod script;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod tracking;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::FutureExt;
use tokio::time::{Instant, timeout};

#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
pub use self::connection::shared::SharedConnection;
#[cfg(feature = "fred")]
pub use self::drivers::Fred;
#[cfg(feature = "redis-rs")]
pub use self::drivers::Multiplexed;
#[cfg(feature = "deadpool-redis")]
pub use self::drivers::{Deadpool, Pool};
#[doc(hidden)]
pub use self::exchange::Conversation;
use self::{
    command::Command,
    dialect::Dialect,
    exchange::{Exchange, holders, is_unknown},
    script::{By, INSPECT},
};
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
use self::{connection::url, tracking::Tracking};
pub use self::{driver::Driver, reply::Reply};
use super::{
    AcquireVote, Answer, Entry, ExtendVote, Holders, Node, NodeAnswer, NodeError, Operation,
    Question, RaiseVote, ReleaseVote, WakeUp,
};
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
use crate::ConfigError;
use crate::FencingToken;

/// How long to wait for the answer to the second question, which asks who holds a name.
const SECOND_QUESTION: Duration = Duration::from_millis(100);

/// A Redis or Valkey server as a node. See the [module docs](self) for what the server has to
/// provide.
pub struct RedisNode<D = DefaultDriver> {
    driver: D,
    dialect: Arc<Dialect>,
    #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
    tracking: Option<Tracking>,
}

#[cfg(feature = "deadpool-redis")]
type DefaultDriver = Deadpool;
/// There is no default driver without the feature; the type has to be given.
#[cfg(not(feature = "deadpool-redis"))]
type DefaultDriver = std::convert::Infallible;

#[cfg(feature = "deadpool-redis")]
impl RedisNode {
    /// Creates a node for the server at a URL, such as `redis://user:password@10.0.0.1:6379/0` or
    /// `unix:///run/redis.sock`. It connects when it is first asked for a vote, and has
    /// [wake-ups](self#wake-ups).
    ///
    /// ```
    /// use redsync::{Redsync, node::redis::RedisNode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let redsync = Redsync::new([RedisNode::connect("redis://127.0.0.1:6379")?])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for a feature that is not compiled
    /// in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Self::new(Deadpool::connect(url)?).with_wake_ups(url)
    }
}

impl<D: Driver> RedisNode<D> {
    /// Creates a node with a driver, for instance on a pool that the service already has:
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::redis::{Deadpool, RedisNode}};
    ///
    /// let config = deadpool_redis::Config::from_url("redis://127.0.0.1:6379");
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool));
    /// let redsync = Redsync::new([node])?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(driver: D) -> Self {
        Self {
            driver,
            dialect: Arc::default(),
            #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
            tracking: None,
        }
    }

    /// Turns on [wake-ups](self#wake-ups). The URL has to lead to the same server as the driver.
    /// Nodes made by [`connect`](RedisNode#method.connect) have wake-ups already.
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::redis::{Deadpool, RedisNode}};
    ///
    /// let url = "redis://127.0.0.1:6379";
    /// let config = deadpool_redis::Config::from_url(url);
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool)).with_wake_ups(url)?;
    /// let redsync = Redsync::new([node])?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for a feature that is not compiled
    /// in.
    #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
    pub fn with_wake_ups(self, url: &str) -> Result<Self, ConfigError> {
        let tracking = Tracking::new(url::parse(url)?).map_err(|error| url::refused(url, error))?;
        Ok(Self {
            tracking: Some(tracking),
            ..self
        })
    }
}

impl<D: Driver> RedisNode<D> {
    /// Carries out one operation, sending one command at a time.
    async fn converse(
        &self,
        entry: &Entry,
        operation: Operation,
        token: Option<FencingToken>,
    ) -> NodeAnswer {
        let mut exchange = Exchange::new(operation, entry, &self.dialect);
        loop {
            let mut command = Command::default();
            exchange.write(entry, token, &mut command);
            let args = command.args();
            let reply = self.driver.command(&args);
            let reply = match exchange.interim() {
                None => reply.await,
                Some(answer) => match timeout(SECOND_QUESTION, reply).boxed().await {
                    Ok(reply) => reply,
                    Err(_) => return Ok(answer),
                },
            };
            if let Some(answer) = exchange.reply(entry, Some(&self.dialect), reply) {
                return answer;
            }
        }
    }
}

/// Extracts the vote of an operation from its answer.
macro_rules! answered {
    ($answer:expr, $operation:ident) => {
        match $answer.await? {
            Answer::$operation(vote) => Ok(vote),
            _ => unreachable!("an exchange answers its own operation"),
        }
    };
}

impl<D: Driver> Node for RedisNode<D> {
    fn address(&self) -> &str {
        self.driver.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        answered!(self.converse(entry, Operation::Acquire, None), Acquire)
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        answered!(self.converse(entry, Operation::Raise, Some(token)), Raise)
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        let operation = if set_if_absent {
            Operation::Heal
        } else {
            Operation::Extend
        };
        answered!(self.converse(entry, operation, token), Extend)
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        answered!(self.converse(entry, Operation::Release, None), Release)
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        let ask = async |by| {
            let mut command = Command::default();
            INSPECT.write(by, 1, &mut command);
            command::Arguments::arg(&mut command, name.as_bytes());
            self.driver.command(&command.args()).await
        };
        let reply = match ask(By::Hash).await {
            Err(error) if is_unknown(&error) => ask(By::Code).await,
            reply => reply,
        };
        holders(&reply?)
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
        if let Some(tracking) = &self.tracking {
            return tracking.watch(names).await;
        }
        let _ = names;
        Err(NodeError::NotSent)
    }

    async fn identity(&self) -> Result<Option<String>, NodeError> {
        match self.driver.command(&[b"INFO", b"server"]).await {
            Ok(Reply::Bytes(info)) => Ok(run_id(&String::from_utf8_lossy(&info))),
            Ok(Reply::Status(info)) => Ok(run_id(&info)),
            // The user has no permission for INFO, or a proxy does not know it. Locking works all
            // the same.
            Err(NodeError::Refused { code, .. }) if matches!(&*code, "NOPERM" | "ERR") => Ok(None),
            // A cluster returns one answer for each of its servers.
            Ok(_) | Err(NodeError::Unexpected(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&self, question: Question, now: Instant) -> Result<(), Question> {
        let conversation = Conversation::new(question, &self.dialect);
        (self.driver.take(conversation, now)).map_err(Conversation::into_question)
    }
}

impl<D: Driver> fmt::Debug for RedisNode<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisNode")
            .field(&self.driver.address())
            .finish()
    }
}

fn run_id(info: &str) -> Option<String> {
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Some(id.trim().to_owned())
}
