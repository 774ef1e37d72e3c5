//! The queues of this process, one for each name: first come, first served.
//!
//! A waiter for several names has a ticket in the queue of each. All its tickets have the same
//! number, and it takes them at once, under one lock. So all queues agree on the order of any two
//! waiters. The waiter with the smallest number is at the head of all its queues, so there is no
//! deadlock.
//!
//! A waiter that is at the [head](order) of all its queues *acts*: it asks the nodes. It is
//! notified when it gets there, and then whenever the name is released in this process.
//!
//! Shared waiters at the head enter together. The first of them acts, and those with the same names
//! follow it: they neither watch the nodes nor poll them, and are notified when it holds the lock.

mod book;
pub(crate) mod fairness;
mod order;

use std::{
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;
use tokio::{sync::futures::Notified, time::Instant};

pub(crate) use self::book::{Notice, Standing};
use self::{
    book::{Book, Queue, ToWake, Waiter},
    fairness::Sign,
};
use crate::{LockError, Mode, lease::Lease, request::Request, sync::Mutex};

/// The queues of one [`Redsync`](crate::Redsync).
#[derive(Default)]
pub(crate) struct Queues {
    /// The number of waiters. If it is zero, a released lock need not be looked up. See
    /// [`is_empty`](Self::is_empty).
    waiting: AtomicUsize,
    book: Mutex<Book>,
}

/// A waiter's tickets, one in the queue of each of its names. They [leave](Self::leave) the queues
/// when its [`Recipient`](crate::hand_over::Recipient) is dropped.
pub(crate) struct Ticket {
    queues: Arc<Queues>,
    waiter: Arc<Waiter>,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }

    /// Changes the book, and wakes the waiters that the change notified.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &mut ToWake) -> T) -> T {
        let mut to_wake = ToWake::new();
        let mut book = self.lock();
        let changed = change(&mut book, &mut to_wake);
        // Relaxed, for the reason that `is_empty` gives. The lock orders the writers.
        self.waiting.store(book.waiting(), Ordering::Relaxed);
        drop(book);
        for waiter in to_wake {
            waiter.notify.notify_one();
        }
        changed
    }

    /// Whether no queue has a waiter.
    ///
    /// A holder asks this when it releases its lock. If there is no waiter, it notifies nobody,
    /// while a newcomer may be about to join. The newcomer does not miss the release:
    ///
    /// * A newcomer to an empty queue does not know of the holder, so it watches the nodes. It asks
    ///   them after it has joined. Either the release has reached them by then, and the newcomer
    ///   finds the name free; or the release reaches them later, and causes a wake-up. No notice
    ///   from the holder is needed.
    /// * A waiter at the head leaves the nodes unwatched only if its queue has a record of a holder
    ///   of this process. That record was written under the lock, while the queue had a waiter, by
    ///   the task that then became the holder or handed the lock over to it. All that the holder
    ///   does happens after that, so it reads the count of that moment or a later one: no thread
    ///   reads an older value of an atomic variable than it has already seen. If the holder reads
    ///   zero, then all waiters have left since, and the queue was removed with its record. A
    ///   waiter that joins after that is a newcomer as above.
    ///
    /// Nothing else is ordered by the count, so `Relaxed` is enough. On nodes that cannot be
    /// watched, a newcomer may join just after the holder has read the count. It then waits for a
    /// poll.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether one of the names has a queue, so that a newcomer has to join it.
    ///
    /// A queue that begins at the same time may be missed. The newcomer then makes one attempt, as
    /// if it had arrived a moment earlier.
    pub(crate) fn has_queue_for(&self, request: &Request) -> bool {
        !self.is_empty() && self.lock().has_queue_for(&request.names)
    }

    /// Joins the queue of each of the names, at its end.
    pub(crate) fn join(self: &Arc<Self>, request: Request) -> Result<Ticket, LockError> {
        let waiter = self.change(|book, _| book.join(request))?;
        Ok(Ticket {
            queues: Arc::clone(self),
            waiter,
        })
    }

    /// Hands a lock over to the waiter at the head, if that waiter wants exactly this lock. Returns
    /// whether it did.
    ///
    /// All of it, up to the notice, happens under one lock. If the waiter leaves before that, the
    /// lock goes to the next one. If it leaves after that, it finds the lock in its notice, and
    /// hands it over or releases it.
    pub(crate) fn hand_over(&self, lease: &Lease) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = Instant::now();
        self.change(|book, to_wake| {
            let names = &lease.entry().names;
            let next = names.first().and_then(|name| book.next_exclusive(name));
            let Some(next) = next.map(Arc::clone) else {
                return false;
            };
            let time = next.request.options.hand_over_time();
            let times = book.queues(&next.request.names);
            let times = times.map(|queue| queue.fairness.hand_over_time(time, now));
            let Some(passed) = lease.hand_over(&next.request, times.min().unwrap_or(time)) else {
                return false;
            };
            book.remove(&next);
            book.each_queue(names, |queue| queue.acquired(&passed));
            // Nobody acts now: all names are held.
            next.notify(Notice::HandedOver(passed), to_wake);
            true
        })
    }

    /// Notifies the waiters at the heads of the queues for the names of a lock that was released.
    pub(crate) fn notify(&self, released: &Lease) {
        if !self.is_empty() {
            self.change(|book, to_wake| book.notify_released(released, to_wake));
        }
    }
}

impl Ticket {
    pub(crate) fn request(&self) -> &Request {
        &self.waiter.request
    }

    /// Resolves when there is a notice.
    ///
    /// # Cancel safety
    ///
    /// A notice is not lost if the future is dropped.
    pub(crate) fn notified(&self) -> Notified<'_> {
        self.waiter.notify.notified()
    }

    pub(crate) fn take_notice(&self) -> Option<Notice> {
        self.waiter.take_notice()
    }

    /// The lock, if it was handed over to this waiter. Any other notice stays.
    pub(crate) fn take_handed_over(&self) -> Option<Arc<Lease>> {
        self.waiter.take_handed_over()
    }

    pub(crate) fn standing(&self) -> Standing {
        self.queues.lock().standing(&self.waiter)
    }

    fn each_queue<T>(&self, mut ask: impl FnMut(&mut Queue) -> T) -> SmallVec<[T; 1]> {
        let mut answers = SmallVec::new();
        let mut book = self.queues.lock();
        book.each_queue(&self.request().names, |queue| answers.push(ask(queue)));
        answers
    }

    /// Returns how long to stay back, now that the name was released here. With several names, it
    /// is not known which of them other processes want, so the longest time counts.
    pub(crate) fn stay_back(&self) -> Option<Duration> {
        let time = self.request().options.hand_over_time();
        let now = Instant::now();
        let stays = self.each_queue(|queue| queue.fairness.stay_back(time, now));
        stays.into_iter().flatten().max()
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

    /// Reports to the other waiters how many attempts in a row found no quorum of nodes.
    pub(crate) fn report_outages(&self, outages: u32) {
        self.each_queue(|queue| queue.outages = outages);
    }

    /// Leaves the queues, as this waiter has acquired its lock. If the lock is shared, the waiters
    /// that can share it are notified.
    pub(crate) fn leave_with(&self, lease: &Arc<Lease>) {
        let waiter = &self.waiter;
        self.queues.change(|book, to_wake| {
            book.each_queue(&waiter.request.names, |queue| {
                queue.acquired(lease);
                queue.outages = 0;
                match waiter.mode() {
                    Mode::Exclusive => queue.fairness.acquired(),
                    Mode::Shared => queue.fairness.acquired_shared(),
                }
            });
            book.remove(waiter);
            // If the lock is exclusive, nobody acts now: all names are held.
            if waiter.mode() == Mode::Shared {
                book.notify_shared(waiter, to_wake);
            }
        });
    }

    /// Joins the queues again at the old position, with the same number, because the lock that was
    /// handed over to this waiter has too little validity left.
    pub(crate) fn rejoin(&self) {
        self.queues.change(|book, _| book.insert(&self.waiter));
    }

    /// Leaves the queues, and lets others move up. They are notified, so that a notice on which
    /// this waiter has not acted is not lost.
    pub(crate) fn leave(&self) {
        let waiter = &self.waiter;
        self.queues.change(|book, to_wake| {
            // If a follower leaves, nobody moves up: the waiter that acts for it stands before
            // everyone behind it.
            let follows = book.follows(waiter);
            if book.remove(waiter) && !follows {
                book.notify_behind(waiter, to_wake);
            }
        });
    }
}
