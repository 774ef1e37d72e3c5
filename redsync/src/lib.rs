//! A distributed mutex on independent Redis or Valkey nodes: the Redlock algorithm, safe to drop,
//! and interoperable with [go-redsync](https://github.com/go-redsync/redsync).
//!
//! Several copies of a service run, and no two of them may work on one order, account or job at
//! the same time:
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use redsync::Redsync;
//!
//! # #[cfg(feature = "deadpool-redis")]
//! let redsync = Redsync::connect(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?;
//! # #[cfg(not(feature = "deadpool-redis"))]
//! # let redsync = Redsync::in_memory(3);
//!
//! let guard = redsync.mutex("order:42").lock().await?;
//! // ... nobody else works on order 42 ...
//! guard.release().await?; // or drop it, and it is released in the background
//! # Ok(())
//! # }
//! ```
//!
//! A [`Redsync`] is the nodes; a [`Mutex`] is a name and its options, without state; a [`Guard`]
//! is a lock that is held. Services that speak HTTP will rather want the crate `redsync-tower`,
//! which locks around a handler.
//!
//! # What it promises
//!
//! A lock is held when a majority of the nodes has set its key, and it is valid for the expiry
//! less the time that took, less a part for drift. **Within its validity no other holds it**,
//! provided that
//!
//! * the nodes are independent (none is a replica of another),
//! * their clocks and this process' run at rates that differ by less than the
//!   [drift factor](Mutex::with_drift_factor), and
//! * a node that restarts has its keys still, or stays away for the longest expiry in use.
//!
//! # What it does not promise
//!
//! A process can be paused (by a garbage collector, a hypervisor, a closed laptop) after it has
//! looked at its validity and before it acts. No lock with an expiry can rule out that it then
//! acts late, when another holds the lock. [`Guard::lost`] tells as early as can be told; where
//! correctness depends on it, the resource itself has to refuse what is late, by a
//! [fencing token](fence). See Martin Kleppmann, "How to do distributed locking", and antirez, "Is
//! Redlock safe?".
//!
//! # More than one name and one holder
//!
//! * [`Mutex::shared`] and [`Mutex::read`]: many shared holders or one exclusive.
//! * [`Redsync::mutex_many`]: several names, all or none, in one round trip per node.
//! * [`Mutex::run`]: work under a lock that is extended meanwhile.
//! * [`Guard::into_parts`] and [`Mutex::resume`]: a lock that goes to another process.
//! * [`Mutex::inspect`]: who holds it, by what each node says.
//!
//! There is no semaphore ("at most k holders"): it does not follow from majorities. If each of three
//! nodes lets k = 2 in, three holders can each have two of the nodes. Any two majorities share a
//! node, which is enough for one holder and says nothing about k + 1. What is safe is k names, tried
//! in random order: `job:0` to `job:k-1`.
//!
//! # Waiting
//!
//! [`Mutex::lock`] and [`Mutex::lock_within`] wait for a lock that is held. They do not poll for it
//! like many, each for himself:
//!
//! * Those of one process that wait for a name stand in line, first come, first served, and only the
//!   one at the head asks the nodes. [`Mutex::try_lock`] does not stand in line.
//! * A guard that is given up is *handed on* to the head of the line, without a message to the nodes:
//!   for a while, and a shorter one if other processes want the name too. Then it is released, so that
//!   they have their turn. [`Mutex::with_hand_off`] says how long, or turns it off.
//! * Redis tells whoever waits in another process that the name has been released, by whomever, or has
//!   expired ([`Node::watch`](node::Node::watch)): that is a *wake-up*, and costs those who release
//!   nothing.
//! * When the nodes say for how long they will keep the name for a holder who may have crashed, there is
//!   a try when that is over.
//! * And there are tries after [pauses](Mutex::with_retry_delay), as in go-redsync, for nodes that cannot
//!   tell and wake-ups that get lost. Only these count as [tries](Mutex::with_tries).
//!
//! [`Mutex::with_max_waiting`] says how many may stand in line.
//!
//! # Dropping
//!
//! Every future here can be dropped at any time, and every guard too: what was put on a node is
//! taken off again by a task in the background, which needs a tokio runtime at hand (without one,
//! keys expire). [`Redsync::drain`] waits for such tasks.
//!
//! # What is counted
//!
//! With the feature `metrics`, through the [`metrics`](https://docs.rs/metrics) facade:
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `redsync_acquisitions_total` | counter | `mode`, `outcome` | calls that wanted a lock, each once, when it is known what came of it |
//! | `redsync_wait_seconds` | histogram | `mode`, `outcome` | from such a call to its outcome |
//! | `redsync_hold_seconds` | histogram | `mode` | from having a lock (or resuming it) to giving the guard up |
//! | `redsync_lost_total` | counter | `mode` | locks that are known to have been lost, each once: by [`Guard::keep_alive`] when it happens, else when the guard is given up |
//! | `redsync_node_seconds` | histogram | `node`, `command` | from sending a command to its answer, or to where it was given up |
//! | `redsync_node_errors_total` | counter | `node`, `command`, `kind` | commands that a node answered with an error, or not |
//!
//! | label | values |
//! |---|---|
//! | `mode` | `exclusive`, `shared` |
//! | `outcome` | `acquired`, `taken`, `timed_out`, `unavailable`, `misconfigured`; `dropped` for a future that was dropped |
//! | `node` | the node's [address](node::Node::address) |
//! | `command` | `identity`, `acquire`, `raise`, `extend`, `release`, `inspect` |
//! | `kind` | the [`NodeError`]: `unreachable`, `disconnected`, `refused`, `overloaded`, `timed_out`, `unexpected`; `unanswered` where it was not waited for any longer |
//!
//! Names of locks are in no label. A node that hangs is counted late, when its answer is given up in the
//! background. Figures are described when a [`Redsync`] is made: install the recorder before.
//!
//! # For those who come from go-redsync
//!
//! | go-redsync v4 | here |
//! |---|---|
//! | `redsync.New(pools...)` | [`Redsync::new`], [`Redsync::connect`](Redsync#method.connect) |
//! | `rs.NewMutex(name, options...)` | [`Redsync::mutex`] |
//! | `WithExpiry` | [`Mutex::with_expiry`] |
//! | `WithTries` | [`Mutex::with_tries`] |
//! | `WithRetryDelay`, `WithRetryDelayFunc` | [`Mutex::with_retry_delay`], [`Mutex::with_retry_delay_fn`] |
//! | `WithDriftFactor` | [`Mutex::with_drift_factor`] |
//! | `WithTimeoutFactor` | [`Mutex::with_timeout_factor`], or the absolute [`Mutex::with_node_timeout`] |
//! | `WithGenValueFunc` | [`Mutex::with_value_fn`], to which random bits are always added |
//! | `WithValue` | [`Mutex::resume`], with [`Guard::into_parts`] |
//! | `WithFailFast` | [`Mutex::with_fail_fast`], true by default |
//! | `WithShufflePools` | [`Mutex::with_shuffled_nodes`] |
//! | `WithSetNXOnExtend` | [`Mutex::with_set_if_absent_on_extend`] |
//! | `Lock`, `LockContext` | [`Mutex::lock`], [`Mutex::lock_within`], [`Mutex::lock_until`] |
//! | `TryLock`, `TryLockContext` | [`Mutex::try_lock`] |
//! | `Unlock`, `UnlockContext` | [`Guard::release`], or drop the guard |
//! | `Extend`, `ExtendContext` | [`Guard::extend`], [`Guard::keep_alive`] |
//! | `Valid`, `ValidContext` | [`Guard::valid`] |
//! | `Until`, `Name`, `Value` | [`Guard::until`], [`Guard::name`], [`Guard::value`] |
//! | `ErrTaken`, `ErrNodeTaken` | [`LockError::Taken`], [`Vote::Refused`] |
//! | `RedisError` | [`NodeError`] in [`Vote::Failed`] |
//! | `ErrFailed` | [`LockError::Unavailable`] |
//! | `ErrExtendFailed` | [`ExtendError`] |
//! | `ErrLockAlreadyExpired` | [`Released::AlreadyLost`] |
//!
//! A Go and a Rust service exclude each other on one name: the keys are the same.
//!
//! # Features
//!
//! * `deadpool-redis` (default): Redis and Valkey nodes through [deadpool-redis], by URL or with pools
//!   of your own.
//! * `sentinel`, `cluster`: nodes through deadpool-redis' pools for these.
//! * `redis-rs`: nodes through connections of redis-rs that you have already.
//! * `fred`: nodes through clients of fred.
//! * `tls-rustls`: `rediss://`.
//! * `metrics`: counters and histograms.
//! * `serde`: [`GuardParts`] and [`FencingToken`] can be written and read.
//! * `contract`: tests for nodes and drivers of your own.
//!
//! Without any there is no Redis client at all: [`Node`](node::Node) for nodes of your own,
//! [`Driver`](node::redis::Driver) for another client library, and the
//! [`MemoryNode`](node::MemoryNode).
//!
//! [deadpool-redis]: https://docs.rs/deadpool-redis

#![cfg_attr(docsrs, feature(doc_cfg))]
// Nodes that take the questions of many locks at once are those on redis-rs. Without them, nothing
// uses what is there for them.
#![cfg_attr(
    not(any(feature = "deadpool-redis", feature = "redis-rs")),
    allow(dead_code)
)]

mod acquire;
mod background;
mod config;
mod error;
pub mod fence;
mod guard;
mod inspect;
mod keep_alive;
mod lease;
mod metrics;
mod mode;
mod mutex;
pub mod node;
mod nodes;
mod options;
mod queue;
mod quorum;
mod redsync;
mod request;
mod shared;
mod value;

/// The futures of [`Mutex`] and [`Guard`], for types that have to name them.
pub mod future {
    pub use crate::{
        guard::{Lost, Release},
        mutex::Lock,
    };
}

pub use self::{
    background::DrainGuard,
    config::ConfigError,
    error::{ExtendError, LockError, ReleaseError, RunError},
    fence::FencingToken,
    guard::{Guard, GuardParts, Released, Resume, Validity},
    inspect::{Inspection, NameHolder},
    mode::Mode,
    mutex::Mutex,
    node::NodeError,
    quorum::votes::{NodeVote, Vote, Votes},
    redsync::Redsync,
    value::{Fingerprint, OwnerValue},
};
