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
//! its lock keeps its place in what is inside.
//!
//! Safe methods (GET, HEAD, OPTIONS, TRACE) pass without a lock, at no cost;
//! [`with_methods`](RedlockLayer::with_methods) says otherwise.
//!
//! What is locked is for the [`key`] to say: parameters of the path, a header, an extension, what an
//! extractor finds, the body, an async function or a closure. [`with_prefix`](RedlockLayer::with_prefix)
//! goes before all names of a layer, and
//! [`with_hashed_names`](RedlockLayer::with_hashed_names) keeps personal data out of the nodes and logs.
//!
//! # Reads and writes
//!
//! With [`with_shared_reads`](RedlockLayer::with_shared_reads) safe methods lock too, shared: reads run
//! side by side, and writes alone. A key can ask for a shared lock by itself
//! ([`LockKey::shared`]), and can have several names, which are locked all or none
//! ([`LockKey::and`]).
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum::{Router, routing::get};
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let catalog = RedlockLayer::new(redsync, key::path("catalog:{shop}")).with_shared_reads(true);
//!
//! let app: Router = Router::new().route(
//!     "/shops/{shop}/catalog",
//!     get(async || "many read").put(async || "one writes").route_layer(catalog),
//! );
//! # }
//! ```
//!
//! # Waiting
//!
//! By default a request for what is locked is refused at once, with 409 (Conflict).
//! [`with_wait`](RedlockLayer::with_wait) lets it wait, and then refuses with 423 (Locked);
//! [`with_preferred_wait`](RedlockLayer::with_preferred_wait) lets the client say how long, and
//! [`with_max_waiting`](RedlockLayer::with_max_waiting) says how many may wait. When too few nodes can
//! be reached the answer is 503, within about a second, unless the layer
//! [fails open](RedlockLayer::with_fail_open).
//!
//! ```
//! # use std::time::Duration;
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
//!     .with_wait(Duration::from_secs(2)) // or as `Prefer: wait=N` says, up to 10 s
//!     .with_preferred_wait(Duration::from_secs(10))
//!     .with_max_waiting(20)
//!     .with_max_waiting_in_all(1000);
//! ```
//!
//! # Answers
//!
//! [`LockRejection`] has the whole table of them. They are problem details (RFC 9457) with a `type` for
//! each reason, and `Retry-After` where trying again is of use.
//! [`with_contention_status`](RedlockLayer::with_contention_status) changes one status,
//! [`with_problem_types`](RedlockLayer::with_problem_types) the types, and
//! [`with_response`](RedlockLayer::with_response) everything.
//!
//! ```
//! # use http::StatusCode;
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
//!     .with_contention_status(StatusCode::CONFLICT) // also after a wait
//!     .with_problem_types("https://api.example.com/problems#");
//! ```
//!
//! # How long it is held
//!
//! Until the inner service has answered. The release is waited for before the response goes out, so
//! that a client that sends its next request at once does not meet its own lock. With
//! [`Hold::UntilBodyEnd`] the lock is held until the response's body has been sent, and
//! [`HeldLock::detach`] gives it to a job that goes on (or to an upgraded connection).
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum::{Router, body::Body, routing::post};
//! # use redsync::Redsync;
//! # use redsync_tower::{Hold, RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let lock = RedlockLayer::new(redsync, key::path("export:{id}")).with_hold(Hold::UntilBodyEnd);
//!
//! async fn export() -> Body {
//!     // ... a stream that is worked on while it is sent ...
//!     # Body::empty()
//! }
//! let app: Router = Router::new().route("/exports/{id}", post(export).route_layer(lock));
//! # }
//! ```
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
//! ```
//! # #[cfg(feature = "axum")] {
//! # use std::time::Duration;
//! # use axum::{Router, extract::Path, http::StatusCode, routing::put};
//! # use redsync::{FencingToken, Redsync};
//! # use redsync_tower::{HeldLock, RedlockLayer, key};
//! # async fn save(_: u64, _: Option<FencingToken>) {}
//! let redsync = Redsync::in_memory(3)
//!     .with_defaults(|mutex| mutex.with_max_hold(Duration::from_secs(60)))?;
//! let lock = RedlockLayer::new(redsync, key::path("order:{id}")).with_fencing(true);
//!
//! async fn update(lock: HeldLock, Path(id): Path<u64>) -> StatusCode {
//!     // UPDATE orders SET .., token = $token WHERE id = $id AND token < $token
//!     save(id, lock.fencing_token()).await;
//!     StatusCode::NO_CONTENT
//! }
//! let app: Router = Router::new().route("/orders/{id}", put(update).route_layer(lock));
//! # }
//! # Ok::<_, redsync::ConfigError>(())
//! ```
//!
//! # Locks inside locks
//!
//! A layer that finds its key locked by a layer outside, for this very request, lets it pass; how long
//! the lock is held, and what becomes of it, is then as the layer outside says. (A request is known by
//! its extensions. A sub-request that carries them counts as the same one, and has to have ended before
//! the handler does.)
//!
//! **A handler that calls its own service over HTTP for the same resource meets its own lock**: it is
//! answered with 409 at once, or waits for itself up to the limit of the wait, and gets 423. Call the
//! function behind the route instead, or leave the layer off the inner one.
//!
//! Two layers that lock two names on one route should do so in the same order everywhere, or two
//! requests can wait for each other, until the limit of the wait; one key with both names cannot.
//!
//! # A layer that may be there or not
//!
//! With axum, put it there or don't: `MethodRouter` is the same type with and without.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum::{Router, routing::put};
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let lock = Some(RedlockLayer::new(Redsync::in_memory(3), key::path("order:{id}")));
//! let mut orders = put(async || "updated");
//! if let Some(lock) = lock {
//!     orders = orders.route_layer(lock);
//! }
//! let app: Router = Router::new().route("/orders/{id}", orders);
//! # }
//! ```
//!
//! tower's `option_layer` needs both ways to have one type of response. The layer's has a body of its
//! own, [`ResponseBody`], so that has to be made into the other's again, right outside:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum::{Router, response::IntoResponse, routing::put};
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! use tower::util::{MapResponseLayer, option_layer};
//!
//! # let lock = Some(RedlockLayer::new(Redsync::in_memory(3), key::path("order:{id}")));
//! let lock = lock.map(|lock| (MapResponseLayer::new(IntoResponse::into_response), lock));
//! let orders = put(async || "updated").route_layer(option_layer(lock));
//! let app: Router = Router::new().route("/orders/{id}", orders);
//! # }
//! ```
//!
//! # gRPC
//!
//! With the feature `grpc`, requests whose `content-type` is `application/grpc` are refused as gRPC has
//! it: `ABORTED` for contention, `UNAVAILABLE` for an outage;
//! `LockRejection::to_grpc_response` has the table. It is a handful of headers, for tonic of any version
//! and for any other library.
//!
//! gRPC requests are all POST, so all lock; and their paths have no parameters, so that [`key::path`]
//! does not work. A key is in the metadata, which are headers, by [`key::header`] or a closure:
//!
//! ```
//! # use http::Request;
//! # use redsync::Redsync;
//! # use redsync_tower::{KeyError, RedlockLayer};
//! # let redsync = Redsync::in_memory(3);
//! let lock = RedlockLayer::new(redsync, |request: &Request<_>| {
//!     // Calls that only read.
//!     if request.uri().path().starts_with("/shop.Orders/Get") {
//!         return Ok(None);
//!     }
//!     let order = request.headers().get("order-id").and_then(|id| id.to_str().ok());
//!     match order {
//!         Some(id) => Ok(Some(format!("order:{id}"))),
//!         None => Err(KeyError::BadRequest("the metadata have no `order-id`".into())),
//!     }
//! });
//! // tonic::transport::Server::builder().layer(lock).add_service(orders)
//! # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
//! #     Ok(http::Response::default())
//! # }
//! # use tower::{Layer, Service};
//! # drop(lock.layer(tower::service_fn(handle)).call(Request::new(())));
//! ```
//!
//! A service has answered when its response begins: for calls that stream their answer, and to hold the
//! lock until the status in the trailers has been sent, there is [`Hold::UntilBodyEnd`]. In a handler,
//! [`HeldLock`] is in the request's extensions.
//!
//! # What is logged
//!
//! With [`tracing`](https://docs.rs/tracing), each lock has a debug span `lock`, in which the inner
//! service runs:
//!
//! | field | what |
//! |---|---|
//! | `name` | the key on the nodes, with all prefixes; several are separated by `, ` |
//! | `mode` | `exclusive` or `shared` |
//! | `wait_ms` | how long the lock was waited for, in ms, whether it was had or not |
//! | `attempts` | how many tries that took |
//! | `hold_ms` | how long the request held it, in ms: until its release was confirmed, or the request was dropped or panicked; if it was [detached](HeldLock::detach), until the request was answered |
//! | `fencing_token` | if the layer is [fenced](RedlockLayer::with_fencing) |
//! | `outcome` | what came of it, at the end |
//!
//! | outcome | |
//! |---|---|
//! | `acquired` | the lock was held until the response, or the end of its body |
//! | `detached` | the handler gave it to another |
//! | `dropped` | the request was dropped, or its handler panicked |
//! | `lost` | the lock was lost meanwhile |
//! | `failed_open` | the request passed without its lock |
//! | `taken`, `timed_out`, `too_many_waiting`, `unavailable`, `bad_request`, `misconfigured` | it was refused, with that [reason](LockRejectionReason) |
//!
//! In it, `locked`, `refused` and `released` are debug events; a lost lock, a release that no majority
//! confirmed and an outage are warnings; a layer that cannot work is an error. The core has events of
//! its own, about tries and nodes. The owner value, which is a credential, is nowhere. Names are:
//! if they have personal data in them, see [`with_hashed_names`](RedlockLayer::with_hashed_names).
//!
//! # What is counted
//!
//! With the feature `metrics`, through the [`metrics`](https://docs.rs/metrics) facade, about requests
//! that need a lock:
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `redsync_tower_requests_total` | counter | `outcome` | requests, each once, at its end |
//! | `redsync_tower_wait_seconds` | histogram | `outcome` | for how long they waited for their locks, and what that led to: `acquired`, `dropped`, `failed_open` or a refusal |
//! | `redsync_tower_hold_seconds` | histogram | | for how long they held them |
//!
//! The outcomes are those of the span; requests that pass unlocked, as by their method, are not counted.
//! Names of locks are in no label. The core counts locks and nodes, [in names of its
//! own](redsync#what-is-counted): a request's lock is in its figures too, beside those that were locked
//! otherwise, so the two are not to be added up. Figures are described when the layer is made: install
//! the recorder before.
//!
//! # Features
//!
//! * `axum` (default): [`key::path`], [`key::from_extractor`], and [`HeldLock`] as an extractor.
//! * `grpc`: answers that gRPC clients understand.
//! * `metrics`: counters and histograms, the core's too.

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
