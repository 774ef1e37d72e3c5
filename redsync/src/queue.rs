//! The queues of this process, one for each name: first come, first served.
//!
//! A waiter for several names has one [ticket] for the queues of all of them. It has the same
//! number in each, and joins them at once, under one lock. So all queues agree on the order of any
//! two waiters. The waiter with the smallest number is at the head of all its queues, so there is
//! no deadlock.
//!
//! A waiter that is at the [head](order) of all its queues *acts*: it asks the nodes. It is
//! notified when it gets there, and then whenever the name is released in this process.
//!
//! Shared waiters at the head enter together. The first of them acts, and those with the same names
//! follow it: they neither watch the nodes nor poll them, and are notified when it holds the lock.
//!
//! When a holder is done, the lock is [handed over](hand_over) to the waiter at the head, or
//! [released](owned).

mod aside;
mod book;
mod entrant;
pub(crate) mod fairness;
mod hand_over;
mod holder;
mod notices;
mod order;
mod owned;
mod past;
mod ticket;

use std::sync::{Arc, atomic::Ordering};

use self::{book::Book, entrant::ToWake};
pub(crate) use self::{
    book::Standing,
    entrant::Notice,
    owned::{OwnedLease, Releasing},
    ticket::Ticket,
};
use crate::{
    Mode,
    lease::Lease,
    request::Request,
    services::Waiting,
    sync::{AtomicUsize, Mutex},
};

/// The queues of one [`Redsync`](crate::Redsync).
#[derive(Default)]
pub(crate) struct Queues {
    /// The number of waiters. If it is zero, a released lock need not be looked up. See
    /// [`is_empty`](Self::is_empty).
    waiting: AtomicUsize,
    book: Mutex<Book>,
}

impl Queues {
    /// Asks the book something.
    fn ask<T>(&self, ask: impl FnOnce(&mut Book) -> T) -> T {
        self.with_book(ask).0
    }

    /// Changes the book, and wakes the waiters that the change notified.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &mut ToWake) -> T) -> T {
        let mut to_wake = ToWake::new();
        let (changed, ownerless) = self.with_book(|book| {
            let changed = change(book, &mut to_wake);
            // Relaxed, for the reason that `is_empty` gives. The lock orders the writers.
            self.waiting.store(book.waiting(), Ordering::Relaxed);
            changed
        });
        for entrant in to_wake {
            entrant.notify.notify_one();
        }
        // This runs code of users, which may block or panic.
        drop(ownerless);
        changed
    }

    /// Locks the book for as long as it is used. Also returns the leases that lost their last owner
    /// meanwhile, to be dropped now that it is unlocked.
    fn with_book<T>(&self, used: impl FnOnce(&mut Book) -> T) -> (T, Vec<Lease>) {
        let mut book = self.book.lock();
        let result = used(&mut book);
        (result, book.ownerless.take())
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
    ///   reads an older value of an atomic variable than it has already seen. (A waiter can find a
    ///   lock that was handed over to it before that count is stored. The count before includes
    ///   this waiter itself, and is not zero.) If the holder reads zero, then all waiters have left
    ///   since, and the queue was removed with its record. A waiter that joins after that is a
    ///   newcomer as above.
    ///
    /// Nothing else is ordered by the count, so `Relaxed` is enough. `ticket/tests/memory.rs` tries
    /// this in all orders of threads and memory.
    ///
    /// On nodes that cannot be watched, a newcomer may join just after the holder has read the
    /// count. It then waits for a poll.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether one of the names has a queue, so that a newcomer has to join it.
    ///
    /// A queue that begins at the same time may be missed. The newcomer then makes one attempt, as
    /// if it had arrived a moment earlier.
    pub(crate) fn has_queue_for(&self, request: &Request) -> bool {
        !self.is_empty() && self.ask(|book| book.has_queue_for(&request.names))
    }
}

impl Waiting for Queues {
    /// Notifies the waiters at the heads of the queues.
    fn notify(&self, names: &[Arc<str>], mode: Mode) {
        if !self.is_empty() {
            self.change(|book, to_wake| book.notify_ended(names, mode, to_wake));
        }
    }
}
