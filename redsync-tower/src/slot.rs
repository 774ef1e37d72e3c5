//! The guard of a request, which the request's future, its handler and its telemetry share.
//!
//! The future owns the guard as a [`RequestLock`], which releases it when dropped. The handler may
//! take the guard out ([`GuardSlot::detach`]); from then on the lock is no longer the request's.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

use redsync::{DrainGuard, Guard, future::Release};

use crate::sync::lock;

/// A guard that can be taken out once.
#[derive(Clone)]
pub(crate) struct GuardSlot(Arc<Mutex<Content>>);

enum Content {
    Guard(Guard),
    /// The handler has taken the guard.
    Detached,
    /// The request has released the lock, or is about to.
    Released,
}

impl GuardSlot {
    fn new(guard: Guard) -> Self {
        Self(Arc::new(Mutex::new(Content::Guard(guard))))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.0)
    }

    /// Takes the guard, if it is there, and leaves `rest`.
    fn replace(&self, rest: Content) -> Option<Guard> {
        let mut content = self.content();
        if !matches!(*content, Content::Guard(_)) {
            return None;
        }
        match mem::replace(&mut *content, rest) {
            Content::Guard(guard) => Some(guard),
            Content::Detached | Content::Released => None,
        }
    }

    /// Takes the guard for the handler. A drain waits for it, as for the request.
    pub(crate) fn detach(&self) -> Option<Guard> {
        let mut guard = self.replace(Content::Detached)?;
        guard.delay_drain();
        Some(guard)
    }

    /// Whether the handler has taken the guard.
    pub(crate) fn is_detached(&self) -> bool {
        matches!(*self.content(), Content::Detached)
    }

    /// Whether the guard is still the request's. Its lock may be lost.
    pub(crate) fn is_attached(&self) -> bool {
        matches!(*self.content(), Content::Guard(_))
    }
}

/// The lock that a request holds. Dropping it releases the lock in the background, unless the
/// handler has detached it.
pub(crate) struct RequestLock {
    slot: GuardSlot,
    /// Dropped after the guard, so that a drain does not miss the release.
    _drain_guard: Option<DrainGuard>,
}

impl RequestLock {
    pub(crate) fn new(guard: Guard, drain_guard: Option<DrainGuard>) -> Self {
        Self {
            slot: GuardSlot::new(guard),
            _drain_guard: drain_guard,
        }
    }

    pub(crate) fn slot(&self) -> GuardSlot {
        self.slot.clone()
    }

    /// Whether the request holds the lock, and the lock is not lost.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&*self.slot.content(), Content::Guard(guard) if !guard.is_lost())
    }

    /// Whether the guard is still the request's. Its lock may be lost.
    pub(crate) fn is_attached(&self) -> bool {
        self.slot.is_attached()
    }

    /// Begins to release the lock. Returns [`None`] if the handler has detached it.
    pub(crate) fn release(&self) -> Option<Release> {
        Some(self.slot.replace(Content::Released)?.release())
    }

    /// Releases the lock in the background, and returns whether it was lost. Returns [`None`] if
    /// the handler has detached it.
    pub(crate) fn release_in_background(&self) -> Option<bool> {
        let guard = self.slot.replace(Content::Released)?;
        Some(guard.is_lost())
    }
}

impl Drop for RequestLock {
    fn drop(&mut self) {
        drop(self.slot.replace(Content::Released));
    }
}
