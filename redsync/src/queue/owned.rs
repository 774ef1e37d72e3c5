//! A lease with an owner. When the owner ends it, the lock is handed over to the next waiter of
//! this process, or released.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::Queues;
use crate::{
    lease::{Lease, Pending},
    quorum::{cast::RoundVotes, tally::Verdict},
    services::Waiting as _,
};

/// A lease with an owner. If this is dropped, the keys are handed over or released.
pub(crate) struct OwnedLease {
    lease: Arc<Lease>,
    queues: Arc<Queues>,
    has_ended: bool,
}

impl OwnedLease {
    pub(crate) const fn new(lease: Arc<Lease>, queues: Arc<Queues>) -> Self {
        Self {
            lease,
            queues,
            has_ended: false,
        }
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Hands the lock over to the next waiter of this process, or releases it. Returns [`None`] if
    /// it was handed over.
    pub(crate) fn end_hold(mut self) -> Option<Releasing> {
        self.has_ended = true;
        (!self.hand_over()).then(|| self.release())
    }

    /// Releases the keys of an attempt that has failed. Nobody is notified, as the lock was not
    /// held.
    pub(crate) fn undo(mut self) -> Pending {
        self.has_ended = true;
        self.lease.release()
    }

    /// Leaves the keys to anyone who knows their owner value.
    pub(crate) fn leave(mut self) {
        self.has_ended = true;
        self.lease.end();
        // Waiters do not watch the nodes while the lock is held in this process.
        notify(&self.queues, &self.lease);
    }

    fn hand_over(&self) -> bool {
        self.queues.hand_over(&self.lease)
    }

    fn release(&self) -> Releasing {
        Releasing {
            pending: self.lease.release(),
            notifies: Notifies {
                lease: Arc::clone(&self.lease),
                queues: Arc::clone(&self.queues),
                is_done: false,
            },
        }
    }
}

impl Drop for OwnedLease {
    fn drop(&mut self) {
        if self.has_ended || self.hand_over() {
            return;
        }
        // Commands that have not been answered go on in the background.
        if !self.lease.was_held() {
            drop(self.lease.give_up());
        } else if self.queues.is_empty() {
            // A waiter that joins after this question watches the nodes: see `Queues::is_empty`.
            drop(self.lease.release());
        } else {
            let releasing = self.release();
            // Waiters are notified when the release is confirmed.
            (self.lease).finish_in_background(async move {
                releasing.await;
            });
        }
    }
}

pin_project! {
    /// A release, after which the waiters of this process are notified that the lock may be free.
    pub(crate) struct Releasing {
        // Dropped first: when the waiters are notified, the commands are on their way.
        #[pin]
        pending: Pending,
        notifies: Notifies,
    }
}

impl Releasing {
    /// Takes the votes, after the verdict. Only the first call returns them.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        self.pending.take_votes()
    }
}

impl Future for Releasing {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let this = self.project();
        let verdict = ready!(this.pending.poll(cx));
        this.notifies.now();
        Poll::Ready(verdict)
    }
}

/// Notifies waiters, once.
struct Notifies {
    lease: Arc<Lease>,
    queues: Arc<Queues>,
    is_done: bool,
}

impl Notifies {
    fn now(&mut self) {
        if !self.is_done {
            self.is_done = true;
            notify(&self.queues, &self.lease);
        }
    }
}

impl Drop for Notifies {
    fn drop(&mut self) {
        self.now();
    }
}

/// Notifies the waiters for the names of a lease that has ended.
fn notify(queues: &Queues, ended: &Lease) {
    queues.notify(ended.queues(), ended.entry().mode);
}
