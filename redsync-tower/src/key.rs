//! From a request to what is locked.
//!
//! * [`path`] takes parameters of the matched path: `order:{id}` (feature `axum`).
//! * [`header`] takes a header, such as `idempotency-key`.
//! * [`extension`] takes what a layer outside has put into the request, such as the tenant.
//! * [`from_extractor`] takes any axum extractor (feature `axum`).
//! * [`body`] reads the body, up to a limit, and gives it back.
//! * [`from_fn`] is an async function that takes the request and gives it back.
//! * A closure takes whatever it finds in the request.
//!
//! # Paths
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
//! Parameters are taken decoded, and what could be mistaken for a part of the template is encoded
//! again: `/orders/1` and `/orders/%31` lock `order:1`, `/orders/a%3Ab` locks `order:a%3Ab`. So two
//! names from one template are the same only if all their values are.
//!
//! # Headers, and whose they are
//!
//! [`header`] takes what the client chose. Two clients that choose the same key exclude each other,
//! unless the principal is a part of it, which is one line with an extractor of both:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Extension, extract::Path};
//! use redsync::Redsync;
//! use redsync_tower::{RedlockLayer, key};
//!
//! /// What a layer outside has found out from the credentials.
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
//! What comes first should not be able to have the separator in it, as a number cannot: or `a:b` and `c`
//! are the same as `a` and `b:c`.
//!
//! # Bodies, and keys that are looked up
//!
//! [`body`] and [`from_fn`] take the request and give it back. They have examples of their own.
//!
//! # Closures
//!
//! A closure from `&Request<_>` returns a [`LockKey`], a [`String`], or an [`Option`] of one, where
//! [`None`] means that this request needs no lock. A [`Result`] with a [`KeyError`] can refuse.
//!
//! ```
//! use http::Request;
//! use redsync::Redsync;
//! use redsync_tower::{LockKey, RedlockLayer};
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
//! # Several names, and shared locks
//!
//! A [`LockKey`] can have several names, which are locked all or none, and can ask for a shared
//! lock:
//!
//! ```
//! use redsync_tower::LockKey;
//!
//! let transfer = LockKey::from("account:1").and("account:2");
//! let read = LockKey::from("catalog").shared();
//! ```
//!
//! # Long names
//!
//! What is longer than [`LockKey::MAX_NAME_LEN`] bytes is locked under its beginning and its SHA-256.

mod body;
mod extension;
#[cfg(feature = "axum")]
mod extractor;
mod function;
mod header;
mod lock_key;
#[cfg(feature = "axum")]
mod path;

use std::{
    borrow::Cow,
    error::Error,
    fmt,
    future::{Future, Ready, ready},
};

use http::{Request, StatusCode};

#[cfg(feature = "axum")]
pub use self::extractor::{ExtractorKey, from_extractor};
#[cfg(feature = "axum")]
pub use self::path::{PathKey, path};
pub use self::{
    body::{BodyKey, body},
    extension::{ExtensionKey, extension},
    function::{FnKey, from_fn},
    header::{HeaderKey, header},
    lock_key::{IntoLockKey, LockKey},
};

/// Finds what to lock in a request. Implemented by the functions of this [module](self), and by
/// closures from `&Request<B>`.
pub trait Key<B> {
    /// Resolves to the request and what to lock.
    type Future: Future<Output = Found<B>>;

    /// Takes the request, and gives it back with what to lock: [`None`] to let it pass unlocked, or a
    /// [`KeyError`] that says whose mistake it is that there is nothing to lock.
    fn key(&self, request: Request<B>) -> Self::Future;
}

/// A request, and what to lock for it.
pub type Found<B> = (Request<B>, Result<Option<LockKey>, KeyError>);

/// The future of a key that is found at once.
pub type ReadyKey<B> = Ready<Found<B>>;

impl<F, B, T> Key<B> for F
where
    F: Fn(&Request<B>) -> T,
    T: IntoLockKey,
{
    type Future = ReadyKey<B>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = self(&request).into_lock_key();
        ready((request, key))
    }
}

/// Why a request has no key although it needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The client's mistake: answered with 400 and these words.
    BadRequest(Cow<'static, str>),
    /// The client's mistake, with a status of its own.
    Rejected(StatusCode, Cow<'static, str>),
    /// The program's mistake: answered with 500; these words go to the log.
    Misconfigured(Cow<'static, str>),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(words) | Self::Rejected(_, words) | Self::Misconfigured(words) => {
                f.write_str(words)
            }
        }
    }
}

impl Error for KeyError {}
