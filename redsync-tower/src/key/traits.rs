//! The [`Key`] trait, and its implementation for closures.

use std::future::{Future, Ready, ready};

use http::Request;

use super::{
    error::KeyError,
    lock_key::{IntoLockKey, LockKey},
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

    /// Takes the request and returns it with its key, with [`None`] if the request needs no lock, or
    /// with a [`KeyError`] if it needs a lock but has no valid key.
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
