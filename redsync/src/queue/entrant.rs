//! The record of a waiter in its queues, and the notices that are left in it.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use smallvec::SmallVec;
use tokio::{sync::Notify, time::Instant};

use super::{aside::Aside, order::Number};
use crate::{
    Mode,
    lease::Lease,
    request::Request,
    sync::{Mutex, MutexGuard},
};

/// The record of a waiter in its queues.
pub(super) struct Entrant {
    pub(super) number: Number,
    pub(super) request: Request,
    /// The notice that it has not read yet. It is written while the book is locked, and read
    /// without that: a waiter may read a notice before it is woken for it, and then finds none.
    notice: Mutex<Option<Notice>>,
    /// Up to the waiter with this number, those that can share the names with this one were
    /// notified together with it; zero if they were not.
    shared_up_to: AtomicU64,
    pub(super) aside: Aside,
    pub(super) notify: Notify,
}

/// A notice to a waiter. A stronger notice replaces a weaker one.
pub(crate) enum Notice {
    /// The waiter that acts has found no quorum of nodes.
    Outage,
    /// The waiter has moved to the head, or the name was released here: it may now be the one that
    /// acts.
    Act,
    /// A waiter of this process shares the names now, so that it can share them too.
    Share,
    /// The waiter holds the lock, which was handed over to it, and has left the queues.
    HandedOver(Arc<Lease>),
}

/// The waiters to wake. A waker is foreign code, so it is called after the book is unlocked.
///
/// If a waiter leaves after its notice and before it is woken, it notifies the waiters behind it.
pub(super) type ToWake = SmallVec<[Arc<Entrant>; 1]>;

impl Entrant {
    pub(super) fn new(number: Number, request: Request) -> Arc<Self> {
        Arc::new(Self {
            number,
            request,
            notice: Mutex::new(None),
            shared_up_to: AtomicU64::new(0),
            aside: Aside::default(),
            notify: Notify::new(),
        })
    }

    pub(super) fn mode(&self) -> Mode {
        self.request.options.kind.mode
    }

    /// Whether a permit that is handed over passes this waiter, because it searches for another.
    pub(super) fn lets_pass(&self, now: Instant) -> bool {
        self.aside.lets_pass(self.request.permits().count(), now)
    }

    /// The number of the last waiter that was notified together with this one that it can share the
    /// names.
    pub(super) fn shared_up_to(&self) -> Number {
        // Relaxed, like the others: an outdated number costs a notice too many.
        self.shared_up_to.load(Ordering::Relaxed)
    }

    /// Leaves the notice that it can share the names, as do all others up to the one with this
    /// number.
    pub(super) fn notify_to_share_up_to(self: &Arc<Self>, last: Number, to_wake: &mut ToWake) {
        self.shared_up_to.store(last, Ordering::Relaxed);
        self.notify(Notice::Share, to_wake);
    }

    /// Notes a failed attempt: the others may have failed too, and wait for this one.
    pub(super) fn note_failure(&self) {
        self.shared_up_to.store(0, Ordering::Relaxed);
    }

    fn notice(&self) -> MutexGuard<'_, Option<Notice>> {
        self.notice.lock()
    }

    /// Leaves a notice, unless a stronger one is there.
    pub(super) fn notify(self: &Arc<Self>, notice: Notice, to_wake: &mut ToWake) {
        let mut current = self.notice();
        let strength = current.as_ref().map(Notice::strength);
        if strength < Some(notice.strength()) {
            *current = Some(notice);
        }
        drop(current);
        to_wake.push(Arc::clone(self));
    }

    pub(super) fn take_notice(&self) -> Option<Notice> {
        self.notice().take()
    }

    /// Whether a lock was handed over to this waiter, which it has not taken.
    pub(super) fn has_lock(&self) -> bool {
        matches!(*self.notice(), Some(Notice::HandedOver(_)))
    }

    /// The lock, if it was handed over to this waiter. Any other notice stays.
    pub(super) fn take_handed_over(&self) -> Option<Arc<Lease>> {
        let mut notice = self.notice();
        match mem::take(&mut *notice) {
            Some(Notice::HandedOver(lease)) => Some(lease),
            other => {
                *notice = other;
                None
            }
        }
    }
}

impl Notice {
    const fn strength(&self) -> u8 {
        match self {
            Self::Outage => 0,
            Self::Act => 1,
            Self::Share => 2,
            Self::HandedOver(_) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    /// Which of some notices is there, after they were left one after the other.
    fn left(notices: impl IntoIterator<Item = Notice>) -> Option<u8> {
        let request = Request::new(&["a".into()].into(), &Arc::new(Options::default()));
        let entrant = Entrant::new(1, request.expect("a request"));
        let mut woken = ToWake::new();
        for notice in notices {
            entrant.notify(notice, &mut woken);
        }
        entrant.take_notice().map(|notice| notice.strength())
    }

    #[test]
    fn a_stronger_notice_replaces_a_weaker_one() {
        let [outage, act, share] =
            [Notice::Outage, Notice::Act, Notice::Share].map(|notice| notice.strength());
        assert_eq!(left([]), None);
        assert_eq!(left([Notice::Outage]), Some(outage));
        assert_eq!(left([Notice::Outage, Notice::Act]), Some(act));
        assert_eq!(left([Notice::Act, Notice::Outage]), Some(act));
        assert_eq!(left([Notice::Act, Notice::Share]), Some(share));
        assert_eq!(left([Notice::Share, Notice::Act]), Some(share));
        assert!(outage < act && act < share);
    }
}
