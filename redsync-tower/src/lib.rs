//! A tower layer that lets requests for one resource run one at a time, on every machine.
//!
//! [`RedlockLayer`] derives a name from a request, holds the lock of that name on a majority of
//! independent Redis or Valkey nodes (see [`redsync`]) while the inner service works on it, and
//! answers itself where the lock cannot be had.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use redsync::Redsync;
//! use redsync_tower::{HeldLock, RedlockLayer, key};
//!
//! async fn show() -> &'static str {
//!     "an order"
//! }
//!
//! async fn update(lock: HeldLock) -> String {
//!     format!("updated while {} was locked", lock.name())
//! }
//!
//! // Redsync::connect(["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"])?
//! let redsync = Redsync::in_memory(3);
//! let lock = RedlockLayer::new(redsync, key::path("order:{id}"))
//!     .with_wait(Duration::from_secs(2));
//!
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(show).put(update).route_layer(lock));
//! # }
//! ```
//!
//! # Which requests
//!
//! `MethodRouter::route_layer`, as above, is the place: it sees only requests that a handler of the
//! route will get. `Router::layer`, and even `Router::route_layer`, also see those that are answered
//! with 405, and `Router::layer` those that are answered with 404, which [`key::path`] takes for a
//! mistake in the program (500). Limits of concurrency and buffers go outside: a request that waits for
//! its lock keeps its place in what is inside. Safe methods (GET, HEAD, OPTIONS, TRACE) pass without a lock;
//! [`with_methods`](RedlockLayer::with_methods) says otherwise. [`key`] is about names.
//!
//! # Reads and writes
//!
//! With [`with_shared_reads`](RedlockLayer::with_shared_reads) safe methods lock too, shared: reads run
//! side by side, and writes alone. A key can ask for a shared lock by itself
//! ([`LockKey::shared`]), and can have several names, which are locked all or none
//! ([`LockKey::and`]).
//!
//! # Waiting
//!
//! By default a request for what is locked is refused at once, with 409 (Conflict).
//! [`with_wait`](RedlockLayer::with_wait) lets it wait, and then refuses with 423 (Locked);
//! [`with_preferred_wait`](RedlockLayer::with_preferred_wait) lets the client say how long, and
//! [`with_max_waiting`](RedlockLayer::with_max_waiting) says how many may wait. When too few nodes can
//! be reached the answer is 503, within about a second, unless the layer
//! [fails open](RedlockLayer::with_fail_open). [`LockRejection`] has the whole table;
//! [`with_response`](RedlockLayer::with_response) replaces the answers, and
//! [`with_contention_status`](RedlockLayer::with_contention_status) one status.
//!
//! # How long it is held
//!
//! Until the inner service has answered. The release is waited for before the response goes out, so
//! that a client that sends its next request at once does not meet its own lock. With
//! [`Hold::UntilBodyEnd`] the lock is held until the response's body has been sent, and
//! [`HeldLock::detach`] gives it to a job that goes on (or to an upgraded connection).
//!
//! If the service panics, if the client hangs up, or if a layer outside drops the request, such as a
//! timeout, the lock is released in the background. (That a client has hung up is for the server to
//! notice. hyper does not while there are bytes of the client's that nobody has read, such as a body that
//! the handler leaves or a pipelined request: a timeout outside, or
//! [`with_max_hold`](redsync::Mutex::with_max_hold), bounds that.)
//! [`Redsync::drain`](redsync::Redsync::drain) waits for what goes on in the background at a shutdown:
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn serve(app: axum::Router, redsync: redsync::Redsync, signal: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).with_graceful_shutdown(signal).await?;
//! redsync.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! # When it takes longer than the expiry
//!
//! The lock is extended in the background while the service works
//! ([`with_keep_alive`](RedlockLayer::with_keep_alive)), for as long as the
//! [mutex may be held](redsync::Mutex::with_max_hold). If that fails until the validity ends, or if the
//! nodes say that the lock is gone, it is lost: the service's future is dropped and the answer is 500,
//! without `Retry-After`, since what has been done is unknown. With [`OnLoss::Finish`] the service goes
//! on and its response is marked. A handler that has started tasks or threads of its own can tell them
//! by [`HeldLock::lost`].
//!
//! A process that is paused can still act late. Where that must not happen, the resource has to refuse
//! it, by a [fencing token](redsync::fence): [`with_fencing`](RedlockLayer::with_fencing) and
//! [`HeldLock::fencing_token`].
//!
//! # Locks inside locks
//!
//! A layer that finds its key locked by a layer outside, for this very request, lets it pass; how long
//! the lock is held, and what becomes of it, is then as the layer outside says. (A request is known by
//! its extensions. A sub-request that carries them counts as the same one, and has to have ended before
//! the handler does.) But a handler that calls its own service over HTTP for the same resource waits for itself, until the
//! limit of the wait, and gets 423. Two layers that lock two names on one route should do so in the
//! same order everywhere, or two requests can wait for each other, until the limit of the wait; one
//! key with both names cannot.
//!
//! # What is logged
//!
//! With [`tracing`](https://docs.rs/tracing), each lock has a debug span `lock`, in which the inner
//! service runs, with the fields `name`, `outcome` (`acquired`, `taken`, `timed_out`, `unavailable`,
//! `lost` or `error`), `wait_ms`, `hold_ms` and `fencing_token`. In it, `locked`, `refused` and
//! `released` are debug events; a lost lock, a release that no majority confirmed and an outage are
//! warnings; a layer that cannot work is an error. Names are those of the locks: what they are made of,
//! such as the value of a header, is in the log.

mod body;
mod errand;
mod future;
#[cfg(feature = "grpc")]
mod grpc;
mod held;
pub mod key;
mod layer;
mod metrics;
mod prefer;
mod record;
mod rejection;
mod service;
mod waiting;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    held::{HeldLock, NotLocked},
    key::{IntoLockKey, Key, KeyError, LockKey},
    layer::{Hold, OnLoss, RedlockLayer},
    rejection::{LockRejection, LockRejectionReason},
    service::Redlock,
};
