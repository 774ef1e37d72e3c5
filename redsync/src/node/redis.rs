//! Redis and Valkey servers as nodes.
//!
//! A [`RedisNode`] translates each operation of a [`Node`](super::Node) into commands, and the
//! replies into a vote. A [`Driver`] sends a command through a client library and returns the
//! reply. These drivers exist, each behind a feature:
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
//!   names, and for fencing tokens on the keys `{name}:fence`, as in the example of the page on
//!   [deployment](crate::guide::deployment#settings-of-each-server):
//!
//! | feature | commands |
//! |---|---|
//! | exclusive locks on one name, as in go-redsync | `SET`, `GET`, `DEL`, `PEXPIRE`, `EVAL`, `EVALSHA` |
//! | `resume`; [`LockError::NotALock`](crate::LockError::NotALock) in place of contention; for how long another holds a name; extensions on Redis 6 that never shorten a lock | and `PTTL` |
//! | several names | and `PTTL`, `TIME`, `TYPE` |
//! | fencing tokens | and `PTTL`, `TIME`, `TYPE`, `INCRBY` |
//! | shared locks | and `PTTL`, `TIME`, `TYPE`, `PEXPIREAT`, `ZADD`, `ZCARD`, `ZRANGE`, `ZREM`, `ZREMRANGEBYSCORE`, `ZREVRANGE`, `ZSCORE` |
//! | [wake-ups](#wake-ups) | `CLIENT TRACKING`, `EXISTS` |
//! | detecting that two addresses lead to one server | `INFO` |
//! | cheaper releases | `DELIFEQ` (Valkey 9.0) or `DELEX` (Redis 8.4) |
//!
//! * **Scripts**: before its first exclusive lock on one name, a server is asked whether it could
//!   extend and release it. If its user may neither run the scripts for that nor the command for
//!   cheaper releases, the server gets no lock, and its vote is the error
//!   [`NodeError::CannotRelease`](crate::NodeError::CannotRelease). If it may run only that
//!   command, its locks cannot be extended: each ends at its expiry. All other commands are
//!   optional: if the server or a proxy refuses one, with any error, the feature is missing, and
//!   nothing else. A proxy may also refuse a command by closing the connection. Unless the command
//!   was answered before, it is then not sent for a minute, and for twice as long each further
//!   time. Commands that were under way on that connection fail.
//!
//! [`Redsync::probe`](crate::Redsync::probe) tests whether servers do what a lock needs, when a
//! service starts or as a health check: it locks a name of its own on each.
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
//! * A **shared lock** is a sorted set at the name of the mutex. A go-redsync client sees the name
//!   as taken, and cannot delete the key.
//! * A lock that is released before the end of its **[minimum hold](crate::Mutex::with_min_hold)**
//!   keeps its key up to then. The owner value has `:released` behind it, and is nobody's any
//!   longer.
//! * The **counter** of a fenced lock is a string beside it: that of `order:42` is at
//!   `{order:42}:fence`, and that of `{shop-7}:order:42`, which already has a part in braces, is at
//!   `{shop-7}:order:42:fence`. An ACL has to permit these keys. A counter takes about a hundred
//!   bytes, and stays for a day after the last acquisition.
//! * **Other keys** are not locks, and are not changed: strings without an expiry, sorted sets that
//!   are not shared locks, and all other types. If a majority of the nodes has such a key, locking
//!   fails with [`LockError::NotALock`](crate::LockError::NotALock).

mod answer;
mod command;
#[cfg(feature = "_redis")]
mod connection;
mod content;
#[cfg(feature = "_redis")]
mod conversation;
mod dialect;
mod driver;
mod drivers;
mod exchange;
mod node;
mod reply;
mod script;
#[cfg(feature = "_redis")]
mod tracking;

#[cfg(feature = "redis-rs")]
pub use self::connection::kind::SharedConnection;
#[cfg(any(feature = "_redis", feature = "fred"))]
pub use self::drivers::*;
pub use self::{driver::Driver, node::RedisNode, reply::Reply};
