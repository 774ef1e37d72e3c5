//! What becomes of a lock that is given up: the next waiter of this process gets it, or it is
//! released.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    lease::{Answers, Lease},
    quorum::{round::RoundVotes, tally::Verdict},
    shared::Shared,
};

/// The keys of a lease, to be given up when this is dropped.
pub(crate) struct Holding {
    lease: Arc<Lease>,
    shared: Arc<Shared>,
    is_given_up: bool,
}

impl Holding {
    pub(crate) const fn new(lease: Arc<Lease>, shared: Arc<Shared>) -> Self {
        Self {
            lease,
            shared,
            is_given_up: false,
        }
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Hands the lock over to the next waiter of this process ([`None`]), or releases it.
    pub(crate) fn give_up(mut self) -> Option<Releasing> {
        self.is_given_up = true;
        (!self.hand_over()).then(|| self.release())
    }

    /// Releases the keys of an attempt that has failed. Nobody is notified: they were not held.
    pub(crate) fn undo(mut self) -> Answers {
        self.is_given_up = true;
        self.lease.release()
    }

    /// Leaves the keys to anyone who knows their owner value.
    pub(crate) fn leave(mut self) {
        self.is_given_up = true;
        self.lease.end();
        // Waiters do not watch the nodes while the lock is held in this process.
        self.notify();
    }

    fn hand_over(&self) -> bool {
        self.shared.queues.hand_over(&self.lease)
    }

    fn release(&self) -> Releasing {
        Releasing {
            answers: self.lease.release(),
            notifies: Notifies {
                lease: Arc::clone(&self.lease),
                shared: Arc::clone(&self.shared),
                is_done: false,
            },
        }
    }

    fn notify(&self) {
        self.shared.queues.notify(&self.lease.entry().names);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.is_given_up || self.hand_over() {
            return;
        }
        if self.lease.hold().was_held() && !self.shared.queues.is_empty() {
            let releasing = self.release();
            // Waiters are notified when the release is known.
            (self.lease).finish_in_background(async move {
                releasing.await;
            });
        } else {
            // What has not been answered goes on in the background.
            drop(self.lease.release());
        }
    }
}

pin_project! {
    /// A release, after which the waiters of this process are notified that the lock may be free.
    pub(crate) struct Releasing {
        // Dropped first: when the waiters are notified, the commands are on their way.
        #[pin]
        answers: Answers,
        notifies: Notifies,
    }
}

impl Releasing {
    /// The votes, after the verdict. They are given once.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        self.answers.take_votes()
    }
}

impl Future for Releasing {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let this = self.project();
        let verdict = ready!(this.answers.poll(cx));
        this.notifies.now();
        Poll::Ready(verdict)
    }
}

/// Notifies waiters, once.
struct Notifies {
    lease: Arc<Lease>,
    shared: Arc<Shared>,
    is_done: bool,
}

impl Notifies {
    fn now(&mut self) {
        if !self.is_done {
            self.is_done = true;
            self.shared.queues.notify(&self.lease.entry().names);
        }
    }
}

impl Drop for Notifies {
    fn drop(&mut self) {
        self.now();
    }
}
