//! A [tower](https://docs.rs/tower) layer that runs requests for the same resource one at a time,
//! across all instances of a service.
//!
//! [`RedlockLayer`] finds the name of a lock in each request, such as `order:42`. It acquires that
//! lock on a majority of independent Redis or Valkey nodes (see [`redsync`]), holds it while the
//! inner service handles the request, and releases it. If it cannot acquire the lock, it answers
//! the request itself.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use redsync_tower::{HeldLock, RedlockLayer, key, redsync::Redsync};
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
//! # Overview
//!
//! * **What is locked**: a [`key`] takes the name from path parameters, a header, an extension, an
//!   extractor, the body or anything else in a request.
//! * **What the lock is not**: a memory. Two requests with one idempotency key that come one after
//!   the other are both carried out, unless the handler [stores its answers](key#idempotency-keys).
//! * **Which requests**: those whose method is not safe, and those for a [WebSocket](#websockets).
//!   Other GET, HEAD, OPTIONS and TRACE requests pass at no cost, unless
//!   [`with_methods`](RedlockLayer::with_methods) or
//!   [`with_shared_reads`](RedlockLayer::with_shared_reads) says otherwise.
//! * **If the lock is taken**: the request is refused at once with 409 (Conflict), or waits [up to
//!   a limit](RedlockLayer::with_wait) and is then refused with 423 (Locked). If too few nodes
//!   answer, the response is 503, and if they answer too late for the lock to be valid, 504.
//!   [`response`] describes the responses and how to change them.
//! * **If the client is slow to send the body**: the body can be [read
//!   first](RedlockLayer::with_body_first), before the lock is acquired.
//! * **How long the lock is held**: until the inner service has returned its response, or [until
//!   the body has been sent](HoldUntil). A handler can [take the lock over](HeldLock::detach) for a
//!   background job.
//! * **If the handler takes longer than the expiry**: the lock is [extended in the
//!   background](RedlockLayer::with_keep_alive).
//! * **If the lock is lost nevertheless**: the handler is [aborted](OnLoss), and the response is
//!   500. Work that does not end with the handler can watch [`HeldLock::lost`].
//! * **If the handler hangs**: it holds its lock until it is dropped, unless the layer has a
//!   [maximum hold](RedlockLayer::with_max_hold).
//! * **If the service shuts down**: requests that still wait are [sent
//!   away](RedlockLayer::with_shutdown).
//! * **If the process is paused**: no lock with an expiry can keep it from acting too late. A
//!   [fencing token](RedlockLayer::with_fencing) lets the resource refuse late writes.
#![doc = include_str!("docs/options.md")]
#![doc = include_str!("docs/composition.md")]
#![doc = include_str!("docs/telemetry.md")]
//! # Pages
//!
//! [`guide::hostile_clients`] says what a client can do with a lock, and what limits it.
//! [`redsync::guide`] has pages on [deployment](redsync::guide::deployment), for
//! [operators](redsync::guide::operators), and on what is [promised](redsync::guide::promises) and
//! [proven](redsync::guide::proven). [`key`] and [`response`] have their own.
//!
//! # Features
//!
//! * `axum` (default): [`key::path`] and [`key::from_extractor`], and [`HeldLock`] as an extractor.
//! * `grpc`: [`response::grpc`], for gRPC clients of any library.
//! * `metrics`: counters and histograms, those of the core included.
//! * `deadpool-redis` (default), `redis-rs`, `fred`, `sentinel`, `cluster`, `tls-rustls` and
//!   `serde`: those of [`redsync`], which this crate re-exports. A service needs no dependency on
//!   it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod common;
mod config;
mod context;
pub mod future;
pub mod guide;
mod held;
mod holders;
pub mod key;
mod layer;
mod live;
mod metrics;
mod mistake;
mod outcome;
mod rejection;
pub mod response;
mod service;
mod shutdown;
mod slot;
mod sync;
mod telemetry;

pub use redsync;

pub use self::{
    body::ResponseBody,
    config::{HoldUntil, OnLoss},
    held::{HeldLock, NotLocked},
    layer::RedlockLayer,
    rejection::{LockRejection, LockRejectionReason},
    service::Redlock,
};
