//! A distributed mutex on independent Redis or Valkey nodes: the Redlock algorithm, safe to drop,
//! and interoperable with [go-redsync](https://github.com/go-redsync/redsync).
//!
//! Several instances of a service run, and only one of them at a time may work on a given order,
//! account or job:
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
//! // ... no other instance works on order 42 ...
//! guard.release().await?; // or drop the guard, and the lock is released in the background
//! # Ok(())
//! # }
//! ```
//!
//! A [`Redsync`] knows the nodes and makes mutexes. A [`Mutex`] is a name with its options; it has
//! no state. A [`Guard`] is a lock that is held. For an HTTP service, the crate `redsync-tower` has
//! a layer that holds a lock while a handler runs.
//!
//! The package is called `redsync-core`, and its library `redsync`.
//!
//! # What it promises
//!
//! A lock is acquired when a majority of the nodes, the *quorum*, has set its key. It is valid for
//! the [expiry](Mutex::with_expiry), less the time that acquiring it took, less an allowance for
//! clock drift. **While a lock is valid, nobody else holds it**, provided that
//!
//! * the nodes are independent: none is a replica of another,
//! * the clocks of the nodes and of this process run at rates that differ by less than the [drift
//!   factor](Mutex::with_drift_factor),
//! * a node that restarts still has its keys, or stays away for the longest expiry in use, and
//! * no node evicts keys (`maxmemory-policy noeviction`, which is the default).
//!
//! The algorithm is described at redis.io, "[Distributed Locks with Redis]".
//!
//! # What it does not promise
//!
//! A process can be paused after it has checked that its lock is valid and before it acts: by the
//! operating system, by a hypervisor, or because a laptop was closed. It then acts late, perhaps
//! while another process holds the lock. No lock with an expiry can prevent this. [`Guard::lost`]
//! resolves as soon as the validity ends. Where correctness depends on it, the resource itself has
//! to refuse late writes, by means of a [fencing token](fence). See Martin Kleppmann, "[How to do
//! distributed locking]", and Salvatore Sanfilippo's answer, "[Is Redlock safe?]".
//!
//! # More than one name, more than one holder
//!
//! * [`Mutex::shared`] allows many shared holders or one exclusive holder.
//! * [`Redsync::mutex_many`] locks several names, all or none, in one round trip per node.
//! * [`Redsync::semaphore`] allows up to a number of holders.
//! * [`Mutex::run`] runs work under a lock, and extends the lock meanwhile.
//! * [`Guard::into_parts`] and [`Mutex::resume`] pass a lock to another process.
//! * [`Mutex::inspect`] shows which holders each node reports.
//!
#![doc = include_str!("docs/options.md")]
//! # Waiting
//!
//! [`Mutex::lock`] and [`Mutex::lock_within`] wait while another holder has the lock. Waiters do
//! not each poll the nodes. The page [Waiting for a lock](future::Lock#waiting-for-a-lock)
//! describes the whole path, with a diagram. In short:
//!
//! * **Queue.** A process has a queue of waiters for each name, first come, first served. Only the
//!   waiter at the head asks the nodes. [`Mutex::try_lock`] does not wait, so it does not enter the
//!   queue. [`Mutex::with_max_waiting`] limits its length.
//! * **Hand-over.** When a guard is released or dropped, the lock is handed over to the waiter at
//!   the head of the queue, without a message to the nodes. After a while the lock is released
//!   instead, so that other processes can acquire it; sooner, if they are known to want the name.
//!   [`Mutex::with_hand_over`] sets the limits, or turns hand-overs off.
//! * **Wake-ups.** A Redis node notifies the waiters of other processes when the name is released,
//!   by any client, and when it expires. A release is no slower for that. See
//!   [`Node::watch`](node::Node::watch).
//! * **Expiry.** Nodes report how long they will keep the key of the present holder, which may have
//!   crashed. A waiter makes an attempt when that time is over.
//! * **Polling.** Attempts also follow after [pauses](Mutex::with_retry_delay), as in go-redsync:
//!   for nodes without wake-ups, and for wake-ups that are lost. While a majority of nodes can
//!   wake, they are rare. Only these attempts count towards [`Mutex::with_tries`].
//!
//! # Dropping
//!
//! Every future of this crate can be dropped at any time, and so can every guard. Keys that were
//! set on nodes are then released by a task in the background. The task needs a tokio runtime;
//! without one, the keys expire. [`Redsync::drain`] waits for these tasks.
#![doc = include_str!("docs/metrics.md")]
//! # Pages
//!
//! The [`guide`] has pages on [deployment](guide::deployment), for [operators](guide::operators),
//! on what is [promised](guide::promises) and [proven](guide::proven), on [speed](guide::speed) and
//! [what a process carries](guide::scale), and for users of [go-redsync](guide::from_go_redsync)
//! and [rslock](guide::from_rslock). [`node::redis`] says what servers have to provide.
//!
//! # Features
//!
//! * `deadpool-redis` (default): Redis and Valkey nodes through [deadpool-redis], from a URL or
//!   from your own pool.
//! * `sentinel`, `cluster`: nodes through the pools that deadpool-redis has for Sentinel and
//!   Cluster.
//! * `redis-rs`: nodes through your own connections of redis-rs.
//! * `fred`: nodes through your own clients of fred.
//! * `tls-rustls`: `rediss://` URLs.
//! * `metrics`: counters and histograms.
//! * `serde`: [`GuardParts`], [`Mode`] and [`FencingToken`] implement `Serialize` and
//!   `Deserialize`.
//! * `contract`: tests for your own nodes and drivers.
//!
//! With none of these features, the crate depends on no Redis client. It still has the
//! [`MemoryNode`](node::MemoryNode), the trait [`Node`](node::Node) for other kinds of nodes, and
//! the trait [`Driver`](node::redis::Driver) for other client libraries.
//!
//! [deadpool-redis]: https://docs.rs/deadpool-redis
//! [Distributed Locks with Redis]: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
//! [How to do distributed locking]: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
//! [Is Redlock safe?]: http://antirez.com/news/101

#![cfg_attr(docsrs, feature(doc_cfg), doc(auto_cfg(hide(feature = "_redis"))))]

mod acquire;
mod background;
mod common;
mod config_error;
mod error;
pub mod fence;
mod gate;
mod guard;
pub mod guide;
mod inspect;
mod keep_alive;
mod lease;
mod metrics;
mod mode;
#[cfg(test)]
mod model;
mod mutex;
pub mod node;
mod nodes;
mod observed;
mod options;
mod printable;
mod probe;
mod queue;
mod quorum;
mod redsync;
mod request;
mod runtimes;
mod services;
mod sync;
#[cfg(test)]
mod threads;
mod value;

/// The futures that [`Mutex`] and [`Guard`] return, for code that has to name their types.
pub mod future {
    pub use crate::{
        guard::{Lost, Release},
        mutex::Lock,
    };
}

#[doc(no_inline)]
pub use tokio_util::sync::CancellationToken;

pub use self::{
    background::DrainGuard,
    config_error::ConfigError,
    error::{ExtendError, LockError, ReleaseError, RunError, VerifyError},
    fence::FencingToken,
    guard::{Guard, GuardParts, Released, Resume, Validity},
    inspect::{Inspection, NameHolder},
    mode::Mode,
    mutex::Mutex,
    node::NodeError,
    printable::Printable,
    quorum::votes::{NodeVote, Vote, Votes},
    redsync::Redsync,
    value::{Fingerprint, OwnerValue},
};
