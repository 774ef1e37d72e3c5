//! Keys: which names a request locks.
//!
//! A [`RedlockLayer`](crate::RedlockLayer) gives each request to its [`Key`]. The key returns the
//! [`LockKey`] to lock, or [`None`] for a request that needs no lock.
//!
//! | key | the name comes from |
//! |---|---|
//! | [`path`] | parameters of the matched path, as in `order:{id}` (feature `axum`) |
//! | [`header`] | a header, such as `idempotency-key` |
//! | [`extension`] | an extension that an outer layer has inserted, such as the tenant |
//! | [`from_extractor`] | any axum extractor (feature `axum`) |
//! | [`body`] | the request body, which is buffered up to a limit |
//! | [`from_fn`] | an async function that takes the request and returns it |
//! | a closure | anything that the closure reads from `&Request<_>` |
//!
//! # Path parameters
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::put};
//! use redsync::Redsync;
//! use redsync_tower::{RedlockLayer, key};
//!
//! let lock = RedlockLayer::new(Redsync::in_memory(3), key::path("order:{id}"));
//! let app: Router = Router::new()
//!     .route("/orders/{id}", put(async || "updated").route_layer(lock));
//! # }
//! ```
//!
//! [`path`] compares text. `/orders/42` and `/orders/042` lock two names, although a handler with
//! `Path<u64>` reads the same number from both. If the handler parses the parameter, take the key
//! from the same extractor, so that equal values have equal names:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! # use axum::extract::Path;
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let lock = RedlockLayer::new(
//!     redsync,
//!     key::from_extractor(|Path(id): Path<u64>| format!("order:{id}")),
//! );
//! # }
//! ```
//!
//! # Client-supplied headers
//!
//! The value of a [`header`] is the client's choice. Two clients that choose the same value exclude
//! each other, unless the name also contains the authenticated principal. An extractor of both does
//! that:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Extension, extract::Path};
//! use redsync::Redsync;
//! use redsync_tower::{RedlockLayer, key};
//!
//! /// Inserted by the authentication layer.
//! #[derive(Clone)]
//! struct User(u64);
//!
//! # let redsync = Redsync::in_memory(3);
//! let lock = RedlockLayer::new(redsync, key::from_extractor(
//!     |(Extension(user), Path(id)): (Extension<User>, Path<String>)| format!("{}:{id}", user.0),
//! ));
//! # }
//! ```
//!
//! A part that comes before a separator must not be able to contain the separator. A number cannot.
//! With two strings, `a:b` and `c` would have the same name as `a` and `b:c`.
//!
//! # Closures
//!
//! A closure returns a [`LockKey`], a [`String`] or an [`Option`] of either; [`None`] means that the
//! request needs no lock. To refuse the request, it returns a [`Result`] with a [`KeyError`].
//!
//! ```
//! use http::Request;
//! use redsync::Redsync;
//! use redsync_tower::{RedlockLayer, key::LockKey};
//!
//! #[derive(Clone)]
//! struct Tenant(String);
//!
//! let layer = RedlockLayer::new(Redsync::in_memory(3), |request: &Request<_>| {
//!     let Tenant(tenant) = request.extensions().get::<Tenant>()?;
//!     Some(LockKey::from(format!("tenant:{tenant}")))
//! });
//! # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
//! #     Ok(http::Response::default())
//! # }
//! # use tower::{Layer, Service};
//! # drop(layer.layer(tower::service_fn(handle)).call(Request::new(())));
//! ```
//!
//! # Several names
//!
//! A [`LockKey`] can contain several names, which are locked all or none, and it can ask for a
//! [shared](LockKey::shared) lock:
//!
//! ```
//! use redsync_tower::key::LockKey;
//!
//! let transfer = LockKey::from("account:1").and("account:2");
//! let read = LockKey::from("catalog").shared();
//! ```
//!
//! # Long names
//!
//! A name of more than 200 bytes, counted with the layer's prefix, is shortened to its first 64 bytes
//! and its SHA-256. Different names stay different.

mod body;
mod error;
mod extension;
#[cfg(feature = "axum")]
mod extractor;
mod function;
mod header;
mod lock_key;
pub(crate) mod naming;
#[cfg(feature = "axum")]
mod path;
mod traits;

pub use self::{
    body::{BodyKey, body},
    error::KeyError,
    extension::{ExtensionKey, extension},
    function::{FnKey, from_fn},
    header::{HeaderKey, header},
    lock_key::{IntoLockKey, LockKey},
    traits::{Key, KeyOutput},
};
#[cfg(feature = "axum")]
pub use self::{
    extractor::{ExtractorKey, from_extractor},
    path::{PathKey, path},
};
