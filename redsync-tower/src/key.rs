//! From a request to the name that is locked.
//!
//! * [`path`] takes parameters of the matched path: `order:{id}` (feature `axum`).
//! * [`header`] takes a header, such as `idempotency-key`.
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

mod header;
#[cfg(feature = "axum")]
mod path;

use std::{borrow::Cow, error::Error, fmt};

use http::Request;

pub use self::header::{HeaderKey, header};
#[cfg(feature = "axum")]
pub use self::path::{PathKey, path};

/// Finds the name to lock in a request. Implemented by the functions of this [module](self), and
/// by closures from `&Request<B>`.
pub trait Key<B> {
    /// The name to lock, or [`None`] to let the request pass unlocked.
    ///
    /// # Errors
    ///
    /// A [`KeyError`] says whose mistake it is that there is no name.
    fn key(&self, request: &mut Request<B>) -> Result<Option<LockKey>, KeyError>;
}

impl<F, B, T> Key<B> for F
where
    F: Fn(&Request<B>) -> T,
    T: IntoLockKey,
{
    fn key(&self, request: &mut Request<B>) -> Result<Option<LockKey>, KeyError> {
        self(request).into_lock_key()
    }
}

/// The name that a request locks: the name of a [`Mutex`](redsync::Mutex).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKey(String);

impl LockKey {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for LockKey {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl From<&str> for LockKey {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<LockKey> for String {
    fn from(key: LockKey) -> Self {
        key.0
    }
}

/// What a closure may return for a key.
pub trait IntoLockKey {
    /// The key, no key, or why there is none.
    ///
    /// # Errors
    ///
    /// What the closure said.
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError>;
}

impl IntoLockKey for LockKey {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self))
    }
}

impl IntoLockKey for String {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl IntoLockKey for &'static str {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        Ok(Some(self.into()))
    }
}

impl<T: IntoLockKey> IntoLockKey for Option<T> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self.map_or(Ok(None), T::into_lock_key)
    }
}

impl<T: IntoLockKey> IntoLockKey for Result<T, KeyError> {
    fn into_lock_key(self) -> Result<Option<LockKey>, KeyError> {
        self?.into_lock_key()
    }
}

/// Why a request has no key although it needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The client's mistake: answered with 400 and these words.
    BadRequest(Cow<'static, str>),
    /// The program's mistake: answered with 500; these words go to the log.
    Misconfigured(Cow<'static, str>),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(words) | Self::Misconfigured(words) => f.write_str(words),
        }
    }
}

impl Error for KeyError {}
