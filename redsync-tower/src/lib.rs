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
//! with 405. Safe methods (GET, HEAD, OPTIONS, TRACE) pass without a lock;
//! [`with_methods`](RedlockLayer::with_methods) says otherwise. [`key`] is about names.
//!
//! # Waiting
//!
//! By default a request for what is locked is refused at once, with 409 (Conflict).
//! [`with_wait`](RedlockLayer::with_wait) lets it wait, and then refuses with 423 (Locked). When too
//! few nodes can be reached the answer is 503, within a second. [`LockRejection`] has the whole
//! table; [`with_response`](RedlockLayer::with_response) replaces the answers, and
//! [`with_contention_status`](RedlockLayer::with_contention_status) one status.
//!
//! # How long it is held
//!
//! Until the inner service has answered. The release is waited for before the response goes out, so
//! that a client that sends its next request at once does not meet its own lock. (A body that is
//! streamed is sent without the lock.) If the service panics, if the client hangs up, or if a layer
//! outside drops the request, such as a timeout, the lock is released in the background;
//! [`Redsync::drain`](redsync::Redsync::drain) waits for that at a shutdown:
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
//! ([`with_keep_alive`](RedlockLayer::with_keep_alive)). If that fails until the validity ends, or if
//! the nodes say that the lock is gone, it is lost: the service's future is dropped and the answer is
//! 500, without `Retry-After`, since what has been done is unknown. With [`OnLoss::Finish`] the
//! service goes on and its response is marked. A handler that has started tasks or threads of its
//! own can tell them by [`HeldLock::lost`].
//!
//! # Locks inside locks
//!
//! A handler that calls its own service for the same resource waits for itself, until the limit of
//! the wait. Two layers that lock two names on one route should do so in the same order everywhere,
//! or two requests can wait for each other, until the limit of the wait.
//!
//! # What is logged
//!
//! With [`tracing`](https://docs.rs/tracing): `locked` (with `name` and `wait`) and `released` (with
//! `name` and `hold`) as debug events; a lost lock, a release that no majority confirmed and an
//! outage as warnings; a layer that cannot work as an error.

mod body;
mod future;
mod held;
pub mod key;
mod layer;
mod rejection;
mod service;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    held::HeldLock,
    key::{IntoLockKey, Key, KeyError, LockKey},
    layer::{OnLoss, RedlockLayer},
    rejection::{LockRejection, LockRejectionReason},
    service::Redlock,
};
