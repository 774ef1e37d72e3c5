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
//! use redsync::{Redsync, node::{RedisNode, redis::Deadpool}};
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

#[macro_use]
mod script;
#[cfg(feature = "deadpool-redis")]
mod deadpool;
mod delete;
#[cfg(feature = "fred")]
mod fred;
#[cfg(feature = "redis-rs")]
mod multiplexed;
#[cfg(feature = "deadpool-redis")]
mod pool;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod post;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod redis_rs;
#[cfg(all(
    any(feature = "deadpool-redis", feature = "redis-rs"),
    feature = "tls-rustls"
))]
mod tls;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod url;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
mod wake_ups;

use std::{borrow::Cow, fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::FutureExt;
use tokio::time::timeout;

#[cfg(feature = "fred")]
pub use self::fred::Fred;
#[cfg(feature = "redis-rs")]
pub use self::multiplexed::Multiplexed;
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
use self::wake_ups::WakeUps;
#[cfg(feature = "deadpool-redis")]
pub use self::{deadpool::Deadpool, pool::Pool};
use self::{delete::DeleteIfEqual, script::Script};
use super::{
    AcquireVote, ExtendVote, Holder, Holders, Mode, Node, RaiseVote, ReleaseVote, Seen, Terms,
    WRITER_TURN,
};
#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
use crate::ConfigError;
use crate::{
    FencingToken, NodeError, OwnerValue,
    fence::{RETENTION, STRIDE},
};

/// How long it may take to say who holds a name.
const SECOND_QUESTION: Duration = Duration::from_millis(100);

/// Sends commands to one server.
pub trait Driver: Send + Sync + 'static {
    /// Where the server is, without credentials.
    fn address(&self) -> &str;

    /// Sends one command, and waits for its reply for as long as the connection lives.
    ///
    /// # Errors
    ///
    /// [`NodeError::Unreachable`] if the command was certainly not sent,
    /// [`NodeError::Disconnected`] if it may have been, [`NodeError::Refused`] if the server
    /// answered with an error.
    ///
    /// # Cancel safety
    ///
    /// A command whose future is dropped may or may not be carried out. A driver never sends a
    /// command a second time.
    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send;
}

/// A server's reply, as far as locks need to tell replies apart.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: a missing key, or a condition that was not met.
    Nil,
    /// A status such as `OK`.
    Status(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// Several replies.
    Array(Vec<Self>),
}

/// A Redis or Valkey server as a node. See the [module docs](self).
pub struct RedisNode<D = DefaultDriver> {
    driver: D,
    delete_if_equal: DeleteIfEqual,
    #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
    wake_ups: Option<WakeUps>,
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
    /// use redsync::{Redsync, node::{RedisNode, redis::Deadpool}};
    ///
    /// let config = deadpool_redis::Config::from_url("redis://127.0.0.1:6379");
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool));
    /// let redsync = Redsync::new([node])?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new(driver: D) -> Self {
        Self {
            driver,
            delete_if_equal: DeleteIfEqual::new(),
            #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
            wake_ups: None,
        }
    }

    /// The same node, with [wake-ups](self#wake-ups) from the server at a URL: the one that the driver
    /// sends to. Nodes made by [`connect`](RedisNode::connect) have them.
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::{RedisNode, redis::Deadpool}};
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
        let wake_ups = WakeUps::new(url::parse(url)?).map_err(|error| url::refused(url, error))?;
        Ok(Self {
            wake_ups: Some(wake_ups),
            ..self
        })
    }
}

impl<D: Driver> RedisNode<D> {
    /// The commonest lock, one name and nothing else, as go-redsync sets it.
    async fn set_if_absent(&self, terms: &Terms) -> Result<bool, NodeError> {
        let expiry = millis(terms.expiry);
        let set = [
            "SET",
            &terms.names[0],
            terms.value.as_str(),
            "NX",
            "PX",
            &expiry,
        ];
        match self.driver.command(&set.map(str::as_bytes)).await? {
            Reply::Status(_) => Ok(true),
            Reply::Nil => Ok(false),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Of a lock that was not set.
    async fn not_set(&self, terms: &Terms) -> Result<AcquireVote, NodeError> {
        // Held, and only now is it worth a second question by whom; but that it is held, the node has
        // said already, and is not to be forgotten over a late answer.
        let found = timeout(SECOND_QUESTION, self.inspect(&terms.names[0])).await;
        match found.unwrap_or(Err(NodeError::TimedOut)) {
            Ok(Some(found)) if found.mode == Mode::Exclusive => {
                let holder = found.holders.into_iter().next();
                Ok(match holder {
                    // Something on the way has delivered the command twice.
                    Some(holder) if holder.value == terms.value => {
                        AcquireVote::Acquired { number: None }
                    }
                    holder => AcquireVote::Taken {
                        remaining: holder.and_then(|holder| holder.remaining),
                    },
                })
            }
            // Shared, and wanted exclusively; or free by now.
            Ok(_) => self.acquire_by_script(terms).await,
            Err(_) => Ok(AcquireVote::Taken { remaining: None }),
        }
    }

    async fn acquire_by_script(&self, terms: &Terms) -> Result<AcquireVote, NodeError> {
        static ACQUIRE: Script = script!("acquire");
        static SHARE: Script = script!("share");
        let (value, expiry) = (terms.value.as_str(), millis(terms.expiry));
        let reply = match terms.mode {
            Mode::Exclusive => {
                let names = terms.names.len().to_string();
                let (stride, retention) = (STRIDE.to_string(), millis(RETENTION));
                let turn = millis(WRITER_TURN);
                let args = [value, &expiry, &names, &stride, &retention, &turn];
                (ACQUIRE.run(&self.driver, &keys(terms, terms.fenced), &args)).await?
            }
            Mode::Shared => {
                let args = [value, &expiry];
                SHARE.run(&self.driver, &keys(terms, false), &args).await?
            }
        };
        let Reply::Array(parts) = &reply else {
            return Err(unexpected(&reply));
        };
        match &parts[..] {
            [Reply::Integer(1)] => Ok(AcquireVote::Acquired { number: None }),
            [Reply::Integer(1), Reply::Bytes(number)] => Ok(AcquireVote::Acquired {
                number: Some(parse(number)?),
            }),
            [Reply::Integer(0), Reply::Integer(left)] => Ok(AcquireVote::Taken {
                remaining: remaining(*left),
            }),
            _ => Err(unexpected(&reply)),
        }
    }
}

impl<D: Driver> Node for RedisNode<D> {
    fn address(&self) -> &str {
        self.driver.address()
    }

    async fn acquire(&self, terms: &Terms) -> Result<AcquireVote, NodeError> {
        // What is rare is boxed: futures of locks are many, and should be small.
        if terms.names.len() > 1 || terms.fenced || terms.mode == Mode::Shared {
            return self.acquire_by_script(terms).boxed().await;
        }
        if self.set_if_absent(terms).await? {
            return Ok(AcquireVote::Acquired { number: None });
        }
        self.not_set(terms).boxed().await
    }

    async fn raise(&self, terms: &Terms, token: FencingToken) -> Result<RaiseVote, NodeError> {
        static RAISE: Script = script!("raise");
        let token = token.to_string();
        let names = terms.names.len().to_string();
        let args = [terms.value.as_str(), &token, &names, &millis(RETENTION)];
        match RAISE.run(&self.driver, &keys(terms, true), &args).await? {
            Reply::Integer(1) => Ok(RaiseVote::Raised),
            Reply::Integer(0) => Ok(RaiseVote::Refused),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn extend(
        &self,
        terms: &Terms,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        static EXTEND: Script = script!("extend");
        let names = terms.names.len().to_string();
        let set_if_absent = if set_if_absent { "1" } else { "0" };
        let number = token.map_or_else(String::new, |token| token.to_string());
        let args = [
            terms.value.as_str(),
            &millis(terms.expiry),
            &names,
            mode(terms),
            set_if_absent,
            &number,
            &millis(RETENTION),
        ];
        match (EXTEND.run(&self.driver, &keys(terms, token.is_some()), &args)).await? {
            Reply::Integer(2) => Ok(ExtendVote::Healed),
            Reply::Integer(1) => Ok(ExtendVote::Extended),
            Reply::Integer(0) => Ok(ExtendVote::NotOwner),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn release(&self, terms: &Terms) -> Result<ReleaseVote, NodeError> {
        static RELEASE: Script = script!("release");
        static DELETE: Script = Script::new(include_str!("redis/delete.lua"));
        let value = terms.value.as_str();
        let reply = match (&*terms.names, terms.mode) {
            ([name], Mode::Exclusive) => {
                match self.delete_if_equal.run(&self.driver, name, value).await? {
                    Some(true) => return Ok(ReleaseVote::Released),
                    Some(false) => return Ok(ReleaseVote::NotOwner),
                    None => DELETE.run(&self.driver, &[name], &[value]).await?,
                }
            }
            (names, _) => {
                let args = [value, mode(terms)];
                RELEASE.run(&self.driver, names, &args).boxed().await?
            }
        };
        match reply {
            Reply::Integer(1) => Ok(ReleaseVote::Released),
            Reply::Integer(0) => Ok(ReleaseVote::NotOwner),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        static INSPECT: Script = Script::new(include_str!("redis/inspect.lua"));
        let reply = INSPECT.run(&self.driver, &[name], &[]).await?;
        let parts = match &reply {
            Reply::Nil => return Ok(None),
            Reply::Array(parts) => &parts[..],
            _ => return Err(unexpected(&reply)),
        };
        let (mode, holders) = match parts {
            [Reply::Bytes(mode), holders @ ..] if mode == b"exclusive" => {
                (Mode::Exclusive, holders)
            }
            [Reply::Bytes(mode), holders @ ..] if mode == b"shared" => (Mode::Shared, holders),
            _ => return Err(unexpected(&reply)),
        };
        let holders = holders.chunks(2).map(|holder| match holder {
            [Reply::Bytes(value), Reply::Integer(left)] => Ok(Holder {
                // What is not UTF-8 is not ours, and stays different from ours.
                value: OwnerValue::from(String::from_utf8_lossy(value).into_owned()),
                remaining: remaining(*left),
            }),
            _ => Err(unexpected(&reply)),
        });
        Ok(Some(Holders {
            mode,
            holders: holders.collect::<Result<_, _>>()?,
        }))
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<Seen, NodeError> {
        #[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
        if let Some(wake_ups) = &self.wake_ups {
            return wake_ups.watch(names).await;
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

const fn mode(terms: &Terms) -> &'static str {
    match terms.mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

/// The names, and where they are asked for their counters.
fn keys(terms: &Terms, counters: bool) -> Vec<Cow<'_, str>> {
    let names = terms.names.iter().map(|name| Cow::Borrowed(&**name));
    let counters = (counters.then_some(&terms.names).into_iter()).flat_map(|names| names.iter());
    names
        .chain(counters.map(|name| Cow::Owned(counter_key(name))))
        .collect()
}

/// The key of a name's counter, which in a cluster has to be in the name's slot: that of its first
/// `{...}` if it has one, else that of the whole. (That cannot be had for a name with a `}` or `{}` and
/// no `{...}`, which a cluster then refuses to fence: `CROSSSLOT`.)
fn counter_key(name: &str) -> String {
    let has_tag = (name.split_once('{'))
        .and_then(|(_, rest)| rest.split_once('}'))
        .is_some_and(|(tag, _)| !tag.is_empty());
    if has_tag {
        format!("{name}:fence")
    } else {
        format!("{{{name}}}:fence")
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Negative: the key has no expiry.
fn remaining(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

fn parse(number: &[u8]) -> Result<FencingToken, NodeError> {
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok());
    number
        .map(FencingToken::new)
        .ok_or_else(|| NodeError::Unexpected("a counter that is no number".into()))
}

fn unexpected(reply: &Reply) -> NodeError {
    NodeError::Unexpected(format!("{reply:?}").into())
}

/// What kind of reply it is, not what it says: that may be an owner value.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "nothing",
            Self::Status(_) => "a status",
            Self::Integer(_) => "a number",
            Self::Bytes(_) => "a string",
            Self::Array(_) => "an array",
        })
    }
}

/// What a driver says of a server it could not reach.
#[cfg(any(feature = "deadpool-redis", feature = "fred", feature = "redis-rs"))]
fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NodeError {
    NodeError::Unreachable(Arc::from(error.into()))
}
