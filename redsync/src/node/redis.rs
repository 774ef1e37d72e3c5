//! Redis and Valkey servers as nodes.
//!
//! A [`RedisNode`] turns a vote into commands; a [`Driver`] sends one command over one client
//! library and gives back the reply. The drivers at hand, each behind the feature of its name:
//!
//! | feature | driver | over |
//! |---|---|---|
//! | `deadpool-redis` (default) | `Deadpool` | a URL, or a pool of deadpool-redis |
//! | `sentinel`, `cluster` | `Deadpool` | its pools for these, see [below](#sentinel-and-cluster) |
//! | `redis-rs` | `Multiplexed` | a `ConnectionManager` or `MultiplexedConnection` of redis-rs |
//! | `fred` | `Fred` | a `Client` of fred |
//!
//! `Deadpool` is the one to take where nothing else is in use: it finds out about connections that
//! have died in silence and bounds what waits on a server that hangs. The feature `tls-rustls` adds
//! TLS to each of them. Another client library is one small file: implement [`Driver`], and test it
//! with the module `contract` (feature `contract`).
//!
//! # Which server
//!
//! Redis 6.0 or Valkey 7.2, or newer. A node is a server of its own: never a replica of another
//! node, which would vote twice and forget on failover. Keys must outlive a restart
//! (`appendonly yes` with `appendfsync always`), or the server must stay away after one for the
//! longest expiry in use; redis.io, "Distributed Locks with Redis", says why. Eviction must be off
//! (`maxmemory-policy noeviction`, the default).
//!
//! A user of an ACL needs, on the names and on `{name}:fence`, `SET` for exclusive locks, and for
//! all that is done by scripts `EVAL`, `EVALSHA`, `DEL`, `GET`, `INCRBY`, `PEXPIRE`, `PEXPIREAT`,
//! `PTTL`, `TIME`, `TYPE`, `ZADD`, `ZCARD`, `ZRANGE`, `ZREM`, `ZREMRANGEBYSCORE`, `ZREVRANGE` and
//! `ZSCORE`.
//! `DELIFEQ` (Valkey 9.0) or `DELEX` (Redis 8.4) makes releasing cheaper, `INFO` lets it be noticed
//! that two addresses are one server, and `CLIENT` and `EXISTS` are for [wake-ups](#wake-ups).
//!
//! # Sentinel and Cluster
//!
//! The primary of a Sentinel, or a whole Cluster, is one node, with one vote. Both replicate
//! asynchronously, so a failover can lose a key that was just set, as a restart without data does;
//! a majority of such nodes bears a minority of failovers, one alone none.
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
//! such as `{shop-7}:order:1`. Two nodes on one cluster are not noticed to be one.
//!
//! redis-rs' cluster connections send a command again when its connection breaks, which deadpool's
//! pool for Cluster cannot turn off. An acquisition can so be carried out twice, the second time
//! perhaps when its lock is released already: nobody then holds the name until it expires. A
//! `ClusterConnection` from `ClusterClientBuilder::retries(0)`, in a `Multiplexed`, sends once (and
//! answers with an error for a try when slots have moved).
//!
//! # Wake-ups
//!
//! Who waits for a name is told by the server when it is released, deleted or expires: it is read over a
//! connection that tracks what was read over it (`CLIENT TRACKING`; redis.io, "Client-side caching
//! reference"), and on which nothing else is ever sent. It is made when somebody waits for the first
//! time, by nodes from [`RedisNode::connect`](RedisNode#method.connect) (which
//! [`Redsync::connect`](crate::Redsync#method.connect) makes) and those that were given a URL
//! [for it](RedisNode#method.with_wake_ups). It speaks RESP3. Where that cannot
//! be had (a proxy, a user who may not `CLIENT TRACKING`, Sentinel and Cluster), those who wait poll.
//!
//! # What the keys look like
//!
//! As go-redsync's: an exclusive lock is a plain string key, its name the mutex' name and its value
//! the owner value, set with `SET NX PX`. A Go and a Rust service can share a mutex.
//!
//! What go-redsync does not have leaves its clients correct. A shared lock is a sorted set under the
//! mutex' name, which they see as taken and cannot delete. The counter of a fenced lock is a key
//! beside it, `{name}:fence`, about a hundred bytes for a day. (Mind it in an ACL: it begins with a
//! brace.) Keys of other types, and sorted sets that are no locks, count as taken and are left alone.

mod command;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod connection;
mod dialect;
mod driver;
mod drivers;
mod exchange;
mod reply;
#[macro_use]
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

/// How long it may take to say who holds a name.
const SECOND_QUESTION: Duration = Duration::from_millis(100);

/// A Redis or Valkey server as a node. See the [module docs](self).
pub struct RedisNode<D = DefaultDriver> {
    driver: D,
    dialect: Arc<Dialect>,
    #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
    tracking: Option<Tracking>,
}

#[cfg(feature = "deadpool-redis")]
type DefaultDriver = Deadpool;
/// None at hand: a node says which.
#[cfg(not(feature = "deadpool-redis"))]
type DefaultDriver = std::convert::Infallible;

#[cfg(feature = "deadpool-redis")]
impl RedisNode {
    /// A node at a URL, such as `redis://user:password@10.0.0.1:6379/0` or
    /// `unix:///run/redis.sock`. It connects when it is first asked for a vote.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for what is not compiled in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Self::new(Deadpool::connect(url)?).with_wake_ups(url)
    }
}

impl<D: Driver> RedisNode<D> {
    /// A node behind a driver, for instance a pool the service has already:
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

    /// The same node, with [wake-ups](self#wake-ups) from the server at a URL: the one that the driver
    /// sends to. Nodes made by [`connect`](RedisNode::connect) have them.
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
    /// [`ConfigError::Url`] if the URL does not parse or asks for what is not compiled in.
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
    /// Says what has to be said about one operation, a command at a time.
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

/// Makes of an answer what the operation answers.
macro_rules! answered {
    ($answer:expr, $operation:ident) => {
        match $answer.await? {
            Answer::$operation(vote) => Ok(vote),
            _ => unreachable!("an exchange answers what it was asked"),
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
            // A user who may lock need not be one who may ask for INFO; or there is no INFO.
            Err(NodeError::Refused { code, .. }) if matches!(&*code, "NOPERM" | "ERR") => Ok(None),
            // A cluster answers with what each of its servers says.
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
