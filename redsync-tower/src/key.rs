//! Keys: which names a request locks.
//!
//! A [`RedlockLayer`](crate::RedlockLayer) gives each request to its [`Key`]. The key returns the
//! [`LockKey`] to lock, or [`None`] for a request that needs no lock.
//!
//! | key | the name comes from |
//! |---|---|
//! | [`path`] | parameters of the matched path, as in `order:{id}` (feature `axum`) |
//! | [`header`] | a header, such as `device-id` |
//! | [`extension`] | an extension that an outer layer has inserted, such as the tenant |
//! | [`from_extractor`], [`from_extractor_with_state`] | any axum extractor (feature `axum`) |
//! | [`body`] | the request body, which is buffered up to a limit |
//! | [`from_fn`] | an async function that takes the request and returns it |
//! | a closure | anything that the closure reads from `&Request<_>` |
#![doc = include_str!("docs/keys.md")]

mod body;
mod body_first;
mod error;
mod extension;
#[cfg(feature = "axum")]
mod extractor;
mod function;
mod header;
mod lock_key;
#[cfg(feature = "axum")]
mod path;
mod read;

use std::future::{Future, Ready, ready};

use http::Request;

pub use self::{
    body::{BodyKey, body},
    body_first::{BodyFirst, BodyFirstFuture},
    error::KeyError,
    extension::{ExtensionKey, extension},
    function::{FnKey, from_fn},
    header::{HeaderKey, header},
    lock_key::{IntoLockKey, LockKey},
    read::BufferedBody,
};
#[cfg(feature = "axum")]
pub use self::{
    extractor::{ExtractorKey, from_extractor, from_extractor_with_state},
    path::{PathKey, path},
};

/// Finds the names that a request locks.
///
/// The functions of the [`key`](crate::key) module return implementations. A closure from
/// `&Request<B>` to something that [converts into a key](IntoLockKey) is one too.
///
/// ```
/// use std::future::{Ready, ready};
///
/// use http::Request;
/// use redsync::Redsync;
/// use redsync_tower::{
///     RedlockLayer,
///     key::{Key, KeyOutput, LockKey},
/// };
///
/// /// Locks the request's path.
/// #[derive(Clone)]
/// struct WholePath;
///
/// impl<B> Key<B> for WholePath {
///     type Future = Ready<KeyOutput<B>>;
///
///     fn key(&self, request: Request<B>) -> Self::Future {
///         let key = LockKey::from(request.uri().path());
///         ready((request, Ok(Some(key))))
///     }
/// }
///
/// let layer = RedlockLayer::new(Redsync::in_memory(3), WholePath);
/// ```
pub trait Key<B> {
    /// The future that [`key`](Self::key) returns.
    type Future: Future<Output = KeyOutput<B>>;

    /// Takes the request and returns it with its key, with [`None`] if the request needs no lock,
    /// or with a [`KeyError`] if it needs a lock but has no valid key.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the request is dropped with it. No lock has been acquired yet.
    fn key(&self, request: Request<B>) -> Self::Future;
}

/// The output of a [`Key`]: the request, and its key if it needs a lock.
pub type KeyOutput<B> = (Request<B>, Result<Option<LockKey>, KeyError>);

impl<F, B, T> Key<B> for F
where
    F: Fn(&Request<B>) -> T,
    T: IntoLockKey,
{
    type Future = Ready<KeyOutput<B>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = self(&request).into_lock_key();
        ready((request, key))
    }
}
