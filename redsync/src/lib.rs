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
//! correctness depends on it, the resource itself has to refuse what is late, for instance by a
//! version number in the row that is written. See Martin Kleppmann, "How to do distributed
//! locking", and antirez, "Is Redlock safe?".
//!
//! # Dropping
//!
//! Every future here can be dropped at any time, and every guard too: what was put on a node is
//! taken off again by a task in the background, which needs a tokio runtime at hand (without one,
//! keys expire). [`Redsync::drain`] waits for such tasks.
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
//! | `WithValue` | [`Mutex::resume`] |
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
//! * `deadpool-redis` (default): Redis and Valkey nodes through [deadpool-redis].
//!
//! Without it there is no Redis at all: [`Node`](node::Node) for nodes of your own, and the
//! [`MemoryNode`](node::MemoryNode).
//!
//! [deadpool-redis]: https://docs.rs/deadpool-redis

mod attempt;
mod background;
mod claim;
mod error;
mod guard;
mod keepalive;
mod mutex;
pub mod node;
mod options;
mod quorum;
mod redsync;
mod retry;
mod round;
mod value;

pub use self::{
    error::{ConfigError, ExtendError, LockError, NodeError, ReleaseError},
    guard::{Guard, Lost, Release, Released, Validity},
    mutex::{Lock, Mutex},
    quorum::{NodeVote, Vote, Votes},
    redsync::Redsync,
    value::OwnerValue,
};
