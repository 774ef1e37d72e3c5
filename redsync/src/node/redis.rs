//! Redis and Valkey servers as nodes.
//!
//! A [`RedisNode`] turns a vote into commands; a [`Driver`] sends one command over one client
//! library and gives back the reply. deadpool-redis is the driver at hand ([`Deadpool`]); another
//! client library is one small file.
//!
//! # Which server
//!
//! Redis 6.0 or Valkey 7.2, or newer. A node is a server of its own: never a replica of another
//! node, which would vote twice and forget on failover. Keys must outlive a restart
//! (`appendonly yes` with `appendfsync always`), or the server must stay away after one for the
//! longest expiry in use; redis.io, "Distributed Locks with Redis", says why. Eviction must be off
//! (`maxmemory-policy noeviction`, the default).
//!
//! # What the keys look like
//!
//! As go-redsync's: a plain string key, its name the mutex' name and its value the owner value,
//! set with `SET NX PX`. A Go and a Rust service can share a mutex.

mod deadpool;
mod script;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub use self::deadpool::Deadpool;
use self::script::Script;
use super::{AcquireVote, ExtendVote, Holder, Node, ReleaseVote};
use crate::{ConfigError, NodeError, OwnerValue};

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
    Status(String),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// Several replies.
    Array(Vec<Self>),
}

/// A Redis or Valkey server as a node. See the [module docs](self).
pub struct RedisNode<D = Deadpool> {
    driver: D,
}

impl RedisNode {
    /// A node at a URL, such as `redis://user:password@10.0.0.1:6379/0` or
    /// `unix:///run/redis.sock`. It connects when it is first asked for a vote.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for what is not compiled in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Deadpool::connect(url).map(Self::new)
    }
}

impl<D: Driver> RedisNode<D> {
    /// A node behind a driver, for instance a pool the service has already:
    ///
    /// ```
    /// use redsync::{Redsync, node::{RedisNode, redis::Deadpool}};
    ///
    /// let config = deadpool_redis::Config::from_url("redis://127.0.0.1:6379");
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool));
    /// let redsync = Redsync::new([node])?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub const fn new(driver: D) -> Self {
        Self { driver }
    }
}

impl<D: Driver> Node for RedisNode<D> {
    fn address(&self) -> &str {
        self.driver.address()
    }

    async fn acquire(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
    ) -> Result<AcquireVote, NodeError> {
        let expiry = expiry.as_millis().to_string();
        let set = ["SET", key, value.as_str(), "NX", "PX", &expiry].map(str::as_bytes);
        match self.driver.command(&set).await? {
            Reply::Status(_) => Ok(AcquireVote::Acquired),
            // Held, and only now is it worth a second question by whom. If by this very value,
            // something on the way delivered the command twice.
            Reply::Nil => Ok(match self.inspect(key).await {
                Ok(Some(holder)) if holder.value == *value => AcquireVote::Acquired,
                Ok(Some(holder)) => AcquireVote::Taken {
                    remaining: holder.remaining,
                },
                Ok(None) => AcquireVote::Taken {
                    remaining: Some(Duration::ZERO),
                },
                // That it is held, the node has said already.
                Err(_) => AcquireVote::Taken { remaining: None },
            }),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn extend(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        static EXTEND: Script = Script::new(include_str!("redis/extend.lua"));
        let expiry = expiry.as_millis().to_string();
        let set_if_absent = if set_if_absent { "1" } else { "0" };
        let args = [value.as_str(), &expiry, set_if_absent];
        match EXTEND.run(&self.driver, key, &args).await? {
            Reply::Integer(2) => Ok(ExtendVote::Healed),
            Reply::Integer(1) => Ok(ExtendVote::Extended),
            Reply::Integer(0) => Ok(ExtendVote::NotOwner),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn release(&self, key: &str, value: &OwnerValue) -> Result<ReleaseVote, NodeError> {
        static RELEASE: Script = Script::new(include_str!("redis/release.lua"));
        match RELEASE.run(&self.driver, key, &[value.as_str()]).await? {
            Reply::Integer(1) => Ok(ReleaseVote::Released),
            Reply::Integer(0) => Ok(ReleaseVote::NotOwner),
            reply => Err(unexpected(&reply)),
        }
    }

    async fn inspect(&self, key: &str) -> Result<Option<Holder>, NodeError> {
        static INSPECT: Script = Script::new(include_str!("redis/inspect.lua"));
        match INSPECT.run(&self.driver, key, &[]).await? {
            Reply::Nil => Ok(None),
            Reply::Array(mut parts) => match (parts.pop(), parts.pop()) {
                (Some(Reply::Integer(remaining)), Some(Reply::Bytes(value))) => Ok(Some(Holder {
                    // What is not UTF-8 is not ours, and stays different from ours.
                    value: OwnerValue::from(String::from_utf8_lossy(&value).into_owned()),
                    // Negative: the key has no expiry.
                    remaining: u64::try_from(remaining).ok().map(Duration::from_millis),
                })),
                _ => Err(NodeError::Unexpected("a malformed array".into())),
            },
            reply => Err(unexpected(&reply)),
        }
    }

    async fn identity(&self) -> Result<Option<String>, NodeError> {
        match self.driver.command(&[b"INFO", b"server"]).await {
            Ok(Reply::Bytes(info)) => Ok(run_id(&String::from_utf8_lossy(&info))),
            Ok(Reply::Status(info)) => Ok(run_id(&info)),
            Ok(_) => Ok(None),
            // A user who may lock need not be one who may ask for INFO; or there is no INFO.
            Err(NodeError::Refused { code, .. }) if matches!(&*code, "NOPERM" | "ERR") => Ok(None),
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
pub(crate) fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NodeError {
    NodeError::Unreachable(Arc::from(error.into()))
}
