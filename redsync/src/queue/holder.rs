//! The record that a queue keeps of a holder of this process.

use std::{
    cell::RefCell,
    mem,
    sync::{Arc, Weak},
};

use crate::lease::Lease;

/// A holder of this process, as the queues of its names know it. Its lease may have ended, and may
/// be gone.
pub(super) struct Holder {
    pub(super) keys: Arc<[Arc<str>]>,
    lease: Weak<Lease>,
}

/// The leases that lost their last owner while a queue asked them something.
///
/// A lease owns what users have put into their options, so it must not be dropped while the book is
/// locked: the drop runs code of users, which may lock the book anew.
#[derive(Default)]
pub(super) struct Ownerless(RefCell<Vec<Lease>>);

impl Holder {
    pub(super) fn new(lease: &Arc<Lease>) -> Self {
        Self {
            keys: Arc::clone(&lease.entry().names),
            lease: Arc::downgrade(lease),
        }
    }

    /// Whether it holds its lock, or has ended and its release may be under way.
    pub(super) fn may_have_keys(&self) -> bool {
        self.lease.strong_count() > 0
    }

    /// Whether it still holds its lock.
    pub(super) fn holds(&self, ownerless: &Ownerless) -> bool {
        let Some(lease) = self.lease.upgrade() else {
            return false;
        };
        let holds = !lease.has_ended() && !lease.is_lost();
        ownerless.0.borrow_mut().extend(Arc::into_inner(lease));
        holds
    }
}

impl Ownerless {
    /// Takes them, to be dropped after the book is unlocked.
    pub(super) fn take(&self) -> Vec<Lease> {
        mem::take(&mut *self.0.borrow_mut())
    }
}
