use std::{fmt, time::Duration};

use redsync::{Lost, Validity};
use tokio::time::Instant;

/// The lock that is held for a request: what a handler can ask about it.
///
/// [`Redlock`](crate::Redlock) puts it into the request's extensions. With the feature `axum` it is
/// an extractor; on a route where no lock is held it rejects with 500, and `Option<HeldLock>` is
/// [`None`].
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, http::StatusCode, routing::post};
/// use redsync_tower::HeldLock;
///
/// async fn import(lock: HeldLock) -> StatusCode {
///     for _ in 0..10 {
///         if lock.is_lost() {
///             return StatusCode::INTERNAL_SERVER_ERROR;
///         }
///         // ... one more step ...
///     }
///     StatusCode::NO_CONTENT
/// }
///
/// let app: Router = Router::new().route("/import", post(import));
/// # }
/// ```
#[derive(Clone)]
pub struct HeldLock(Validity);

impl HeldLock {
    pub(crate) const fn new(validity: Validity) -> Self {
        Self(validity)
    }

    /// The name that is locked, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The instant up to which the lock is held if it is not extended.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.0.until()
    }

    /// How long the lock is held from now if it is not extended; zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// Whether the lock is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Resolves when the lock is lost, for work that a dropped handler does not end: a task or a
    /// thread of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn lost(&self) -> Lost {
        self.0.lost()
    }
}

impl fmt::Debug for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock")
            .field("name", &self.name())
            .field("remaining", &self.remaining())
            .finish()
    }
}

#[cfg(feature = "axum")]
mod extractor {
    use std::convert::Infallible;

    use axum::extract::{FromRequestParts, OptionalFromRequestParts};
    use http::request::Parts;

    use super::HeldLock;
    use crate::{KeyError, LockRejection};

    impl<S: Sync> FromRequestParts<S> for HeldLock {
        type Rejection = LockRejection;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LockRejection> {
            let held = parts.extensions.get::<Self>().cloned();
            held.ok_or_else(|| {
                KeyError::Misconfigured("a handler asks for its lock, and holds none".into()).into()
            })
        }
    }

    impl<S: Sync> OptionalFromRequestParts<S> for HeldLock {
        type Rejection = Infallible;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
            Ok(parts.extensions.get::<Self>().cloned())
        }
    }
}
