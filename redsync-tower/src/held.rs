use std::{
    fmt,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use redsync::{FencingToken, Guard, Lost, Mutex, Validity};
use tokio::time::Instant;

/// The lock that is held for a request: what a handler can ask about it.
///
/// [`Redlock`](crate::Redlock) puts it into the request's extensions. With the feature `axum` it is
/// an extractor; on a route where no lock is held it rejects with 500, and `Option<HeldLock>` is
/// [`None`]. Where several layers lock, it is that of the innermost.
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
    guard: Slot,
    /// What a layer outside has locked for the same request.
    outer: Option<Arc<Self>>,
}

/// In the extensions of a request that passed without its lock, since too few nodes could be reached
/// and the layer [fails open](crate::RedlockLayer::with_fail_open).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NotLocked;

impl HeldLock {
    pub(crate) fn new(validity: Validity, guard: Slot, outer: Option<Self>) -> Self {
        Self {
            validity,
            guard,
            outer: outer.map(Arc::new),
        }
    }

    pub(crate) fn covers(&self, mutex: &Mutex) -> bool {
        (self.guard.is_occupied() && self.validity.covers(mutex))
            || self.outer.as_ref().is_some_and(|outer| outer.covers(mutex))
    }

    /// Takes the lock from the request: it is not released with the response, but by whoever has the
    /// guard now, such as a job that goes on in the background, or a connection that was upgraded.
    ///
    /// [`None`] if it was taken before, or the request has ended. It is extended as before. If it is
    /// lost while the handler still works, the handler is no longer aborted.
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
    #[must_use = "the guard, dropped, releases the lock"]
    pub fn detach(&self) -> Option<Guard> {
        self.guard.detach()
    }

    /// The number by which the resource can refuse who comes late, if the layer is
    /// [fenced](crate::RedlockLayer::with_fencing).
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.validity.fencing_token()
    }

    /// The name that is locked, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        self.validity.name()
    }

    /// The instant up to which the lock is held if it is not extended.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.validity.until()
    }

    /// How long the lock is held from now if it is not extended; zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.validity.remaining()
    }

    /// Whether the lock is lost, or released.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.validity.is_lost()
    }

    /// Resolves when the lock is lost, and when it is released: for work that a dropped handler does
    /// not end, such as a task or a thread of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
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

/// A guard that several know of, and one has.
#[derive(Clone)]
pub(crate) struct Slot(Arc<std::sync::Mutex<Content>>);

struct Content {
    guard: Option<Guard>,
    detached: bool,
}

impl Slot {
    pub(crate) fn new(guard: Guard) -> Self {
        let (guard, detached) = (Some(guard), false);
        Self(Arc::new(std::sync::Mutex::new(Content { guard, detached })))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Option<Guard> {
        self.content().guard.take()
    }

    fn detach(&self) -> Option<Guard> {
        let mut content = self.content();
        let guard = content.guard.take();
        content.detached |= guard.is_some();
        guard
    }

    /// Whether the guard was taken by the handler.
    pub(crate) fn is_detached(&self) -> bool {
        self.content().detached
    }

    /// Whether there is a guard, and its lock is not lost.
    pub(crate) fn is_held(&self) -> bool {
        let content = self.content();
        (content.guard.as_ref()).is_some_and(|guard| !guard.is_lost())
    }

    pub(crate) fn is_occupied(&self) -> bool {
        self.content().guard.is_some()
    }
}

/// The slot of the one who releases what is still in it in the end.
pub(crate) struct Tenure(pub(crate) Slot);

impl Drop for Tenure {
    fn drop(&mut self) {
        drop(self.0.take());
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
