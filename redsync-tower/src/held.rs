//! The lock of a request, as its handler sees it.

use std::{fmt, sync::Arc, time::Duration};

use redsync::{FencingToken, Guard, Mutex, Printable, Validity, future::Lost};
use tokio::time::Instant;

use crate::slot::GuardSlot;

/// The lock that is held for a request.
///
/// The layer inserts it into the request's extensions. If several layers lock, it is the innermost
/// layer's.
///
/// With the feature `axum` it is also an extractor. On a route where no lock is held, `HeldLock`
/// rejects the request with 500, and `Option<HeldLock>` is [`None`].
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
pub struct HeldLock {
    validity: Validity,
    slot: GuardSlot,
    /// The lock that an outer layer holds for the same request.
    outer: Option<Arc<Self>>,
}

/// Marks a request that passed without its lock.
///
/// It is in the request's extensions if too few nodes answered, or if they answered too late, and
/// the layer [fails open](crate::RedlockLayer::with_fail_open).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NotLocked;

impl HeldLock {
    pub(crate) fn new(validity: Validity, slot: GuardSlot, outer: Option<Self>) -> Self {
        Self {
            validity,
            slot,
            outer: outer.map(Arc::new),
        }
    }

    /// Whether this lock, or that of an outer layer, makes it unnecessary to lock the mutex.
    pub(crate) fn covers(&self, mutex: &Mutex) -> bool {
        (self.slot.is_attached() && mutex.is_covered_by(&self.validity))
            || self.outer.as_ref().is_some_and(|outer| outer.covers(mutex))
    }

    /// Takes the lock away from the request, for a background job or an upgraded connection.
    ///
    /// The request no longer releases the lock; dropping or releasing the guard does. If the layer
    /// [keeps locks alive](crate::RedlockLayer::with_keep_alive), this one is still kept alive. If
    /// it is lost while the handler runs, the handler is not aborted.
    ///
    /// [`Redsync::drain`](redsync::Redsync::drain) waits until the guard has been released or
    /// dropped, so a process that drains at its shutdown leaves no key of a detached lock. The job
    /// has to end at a shutdown, or the drain needs a time limit.
    ///
    /// Returns [`None`] if the lock was detached before, or if the request has ended. The latter is
    /// usually a mistake, so there is a warning event: an upgraded connection begins after its
    /// request has ended, so its lock has to be detached before (see
    /// [WebSockets](crate#websockets)).
    ///
    /// ```
    /// use http::StatusCode;
    /// use redsync_tower::HeldLock;
    ///
    /// async fn rebuild(lock: HeldLock) -> StatusCode {
    ///     let Some(guard) = lock.detach() else {
    ///         return StatusCode::INTERNAL_SERVER_ERROR;
    ///     };
    ///     tokio::spawn(async move {
    ///         // ... rebuild ...
    ///         let _ = guard.release().await;
    ///     });
    ///     StatusCode::ACCEPTED
    /// }
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn detach(&self) -> Option<Guard> {
        let guard = self.slot.detach();
        if guard.is_none() && !self.slot.is_detached() {
            let name = Printable(self.name());
            tracing::warn!(%name, "too late to detach the lock: its request has ended");
        }
        guard
    }

    /// Returns the [fencing token](redsync::fence), if the layer [has fencing
    /// on](crate::RedlockLayer::with_fencing) and the lock is exclusive.
    ///
    /// A resource that remembers the largest token can refuse the writes of an earlier holder. The
    /// number, which fits into an `i64`, is [`FencingToken::get`].
    ///
    /// ```
    /// use redsync_tower::HeldLock;
    ///
    /// async fn update(lock: HeldLock) {
    ///     let token = lock.fencing_token().expect("the layer has fencing on").get();
    ///     // UPDATE orders SET .., token = $token WHERE id = $id AND token <= $token
    ///     # let _ = token;
    /// }
    /// ```
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.validity.fencing_token()
    }

    /// Returns the locked name as it is on the nodes, with all prefixes. Several names are
    /// separated by `, `. It can contain whatever the client has sent: for a log, use
    /// [`Printable`](redsync::Printable).
    #[must_use]
    pub fn name(&self) -> &str {
        self.validity.name()
    }

    /// Returns the instant until which the lock is valid if it is not extended.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.validity.until()
    }

    /// Returns how long the lock is valid from now on if it is not extended. The result is zero if
    /// the lock is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.validity.remaining()
    }

    /// Returns whether the lock is lost or released.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.validity.is_lost()
    }

    /// Resolves when the lock is lost or released.
    ///
    /// The layer aborts the handler itself. This is for work that does not end with the handler,
    /// such as tasks and threads that the handler has started.
    ///
    /// ```
    /// use redsync_tower::HeldLock;
    ///
    /// async fn import(lock: HeldLock) {
    ///     tokio::spawn(async move {
    ///         tokio::select! {
    ///             () = copy_rows() => {}
    ///             () = lock.lost() => {} // stop writing
    ///         }
    ///     });
    /// }
    /// # async fn copy_rows() {}
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the lock.
    pub fn lost(&self) -> Lost {
        self.validity.lost()
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
    use crate::{key::KeyError, mistake, rejection::LockRejection};

    impl<S: Sync> FromRequestParts<S> for HeldLock {
        type Rejection = LockRejection;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LockRejection> {
            let held = parts.extensions.get::<Self>().cloned();
            held.ok_or_else(|| {
                let problem = "a handler extracts `HeldLock`, but no lock is held for its request";
                let rejection = KeyError::Misconfigured(problem.into()).into();
                mistake::report(&rejection, &parts.method, &parts.uri, &parts.extensions);
                rejection
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
