//! The ticket of a waiter, with which a lock can be handed over to it.

use std::{mem, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::{sync::futures::Notified, time::Instant};

use super::{
    Queues,
    book::{Queue, Standing},
    entrant::{Entrant, Notice},
    fairness::{Sign, Stay},
    owned::OwnedLease,
};
use crate::{
    LockError, Mode,
    lease::Lease,
    request::{Permits, Request},
};

/// The ticket of a waiter that is in the queue of each of its names.
///
/// If it is dropped, it leaves the queues, and a lock that was handed over to it goes to the next
/// waiter or is released.
pub(crate) struct Ticket {
    queues: Arc<Queues>,
    entrant: Arc<Entrant>,
}

impl Ticket {
    /// Joins the queue of each of the names, at its end.
    pub(crate) fn join(request: Request, queues: &Arc<Queues>) -> Result<Self, LockError> {
        match queues.change(|book, _| book.join(request)) {
            Ok(entrant) => Ok(Self {
                queues: Arc::clone(queues),
                entrant,
            }),
            Err(refused) => Err(LockError::TooManyWaiting {
                name: refused.label.to_name(),
                limit: refused.options.queueing.max_waiting,
            }),
        }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.entrant.request
    }

    /// Resolves when there is a notice.
    ///
    /// # Cancel safety
    ///
    /// A notice is not lost if the future is dropped.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.entrant.notify.notified()
    }

    pub(crate) fn take_notice(&self) -> Option<Notice> {
        self.entrant.take_notice()
    }

    /// Whether a lock was handed over to this waiter, which it has not taken.
    pub(crate) fn has_lock(&self) -> bool {
        self.entrant.has_lock()
    }

    /// The lock, if it was handed over to this waiter. Any other notice stays.
    pub(crate) fn take_handed_over(&self) -> Option<OwnedLease> {
        let lease = self.entrant.take_handed_over()?;
        Some(self.owned(lease))
    }

    /// The lock of a [notice](Notice::HandedOver), which this waiter now holds.
    pub(crate) fn owned(&self, lease: Arc<Lease>) -> OwnedLease {
        OwnedLease::new(lease, Arc::clone(&self.queues))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.queues.ask(|book| book.standing(&self.entrant))
    }

    /// The permits to try.
    pub(crate) fn permits(&self) -> Permits {
        self.queues.ask(|book| book.permits(self.request()))
    }

    /// The permits of a semaphore that are known to be held here, or to be released here: a bit for
    /// each of them.
    pub(crate) fn permits_here(&self) -> u64 {
        if self.request().is_semaphore() {
            self.queues.ask(|book| book.permits_here(self.request()))
        } else {
            0
        }
    }

    /// Whether there is another exclusive waiter for one of the names.
    pub(crate) fn has_rival(&self) -> bool {
        self.queues.ask(|book| book.has_rival(&self.entrant))
    }

    /// Whether shared waiters at the head of one of its queues come before this one.
    pub(crate) fn has_shared_ahead(&self) -> bool {
        (self.queues).ask(|book| book.has_shared_ahead(&self.entrant))
    }

    /// Notes that an attempt of this waiter has failed.
    pub(crate) fn note_failure(&self) {
        self.entrant.note_failure();
    }

    /// Steps [aside](super::aside) up to an instant, or back.
    pub(crate) fn step_aside(&self, until: Option<Instant>) {
        self.entrant.aside.step(until);
    }

    fn each_queue<T>(&self, mut ask: impl FnMut(&mut Queue) -> T) -> SmallVec<[T; 1]> {
        let mut answers = SmallVec::new();
        (self.queues).ask(|book| {
            book.each_queue(&self.request().names, |queue| answers.push(ask(queue)));
        });
        answers
    }

    /// Returns how to stay back, now that the name was released here. With several names, it is not
    /// known which of them other processes want, so the longest stay counts.
    pub(crate) fn stay_back(&self) -> Option<Stay> {
        let time = self.request().options.hand_over_time();
        let (share, now) = (self.open_share(), Instant::now());
        let stays = self.each_queue(|queue| queue.fairness.stay_back(time, share, now));
        stays.into_iter().flatten().max()
    }

    /// Returns for how long to leave the name open, if at all, now that the nodes report it as
    /// free.
    pub(crate) fn opening(&self) -> Option<Duration> {
        let (share, now) = (self.open_share(), Instant::now());
        let openings = self.each_queue(|queue| queue.fairness.opening(share, now));
        openings.into_iter().flatten().max()
    }

    /// For how much of its time the name may be left open for clients that poll, which know of no
    /// permits.
    fn open_share(&self) -> f64 {
        if self.request().is_semaphore() {
            0.0
        } else {
            self.request().options.queueing.open_share
        }
    }

    /// Notes that the name has changed hands among other processes. Returns how many times it has
    /// to be found free before the next attempt.
    pub(crate) fn changed_hands(&self) -> u32 {
        let checks = self.each_queue(|queue| queue.fairness.changed_hands());
        checks.into_iter().max().unwrap_or(0)
    }

    /// Notes a sign of other processes.
    pub(crate) fn note(&self, sign: Sign) {
        let now = Instant::now();
        self.each_queue(|queue| queue.fairness.note(sign, now));
    }

    /// Reports to the other waiters how many attempts in a row found no quorum of nodes. They are
    /// notified of the first.
    pub(crate) fn report_outages(&self, outages: u32) {
        let before = self.each_queue(|queue| mem::replace(&mut queue.outages, outages));
        if outages > 0 && before.contains(&0) {
            let finder = &self.entrant;
            (self.queues).change(|book, to_wake| book.notify_outage(finder, to_wake));
        }
    }

    /// Leaves the queues, as this waiter has acquired its lock. If the lock is shared, the waiters
    /// that can share it are notified.
    pub(crate) fn leave_with(&self, lease: &Arc<Lease>) {
        let entrant = &self.entrant;
        self.queues.change(|book, to_wake| {
            book.each_queue(&entrant.request.names, |queue| {
                queue.acquired(lease);
                queue.outages = 0;
                match entrant.mode() {
                    Mode::Exclusive => queue.fairness.acquired(),
                    Mode::Shared => queue.fairness.acquired_shared(),
                }
            });
            book.remove(entrant);
            match entrant.mode() {
                Mode::Exclusive => book.notify_for_rest(entrant, to_wake),
                Mode::Shared => book.notify_shared(entrant, to_wake),
            }
        });
    }

    /// Joins the queues again at the old position, with the same number, because the lock that was
    /// handed over to this waiter has too little validity left.
    pub(crate) fn rejoin(&self) {
        self.queues.change(|book, _| book.insert(&self.entrant));
    }

    /// Leaves the queues, and lets others move up. They are notified, so that a notice on which
    /// this waiter has not acted is not lost.
    fn leave(&self) {
        let entrant = &self.entrant;
        self.queues.change(|book, to_wake| {
            // If a follower leaves, nobody moves up: the waiter that acts for it is before
            // everyone behind it.
            let follows = book.follows(entrant);
            if book.remove(entrant) && !follows {
                book.notify_behind(entrant, to_wake);
            }
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // First: from here on nothing is handed over to this waiter.
        self.leave();
        drop(self.take_handed_over());
    }
}

#[cfg(test)]
mod tests;
