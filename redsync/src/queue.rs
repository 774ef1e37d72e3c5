//! The queues of this process, one for each name: first come, first served.
//!
//! A waiter for several names has a ticket in the queue of each, with one number, taken at once
//! under one lock. So all queues agree on the order of any two waiters: of all that wait, the one
//! with the smallest number is at the head of all its queues, and there is no deadlock. A waiter
//! that is at the [head](order) of all its queues acts: it asks the nodes. It has to be notified
//! when that begins, and when the name is released in this process.
//!
//! Shared waiters at the head enter together. The first of them acts, and the others with the same
//! names follow it: they neither watch the nodes nor poll them, and are notified when it holds the
//! lock.

pub(crate) mod fairness;
pub(crate) mod hand_over;
mod order;

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use self::{
    fairness::{Fairness, Sign},
    order::{Number, Order},
};
use crate::{LockError, Mode, lease::Lease, request::Request};

/// The queues of one [`Redsync`](crate::Redsync).
#[derive(Default)]
pub(crate) struct Queues {
    /// How many wait, so that a lock that nobody waits for is not looked up. See
    /// [`is_empty`](Self::is_empty).
    waiting: AtomicUsize,
    book: Mutex<Book>,
}

/// What the lock protects: the queues of all names that somebody waits for.
#[derive(Default)]
struct Book {
    by_name: HashMap<Arc<str>, Queue>,
    waiting: usize,
    last: Number,
}

#[derive(Default)]
struct Queue {
    order: Order<Arc<Waiter>>,
    /// The exclusive holder of this process, as far as it is known.
    holder: Weak<Lease>,
    /// Whether the last holder of this process was a shared one, as far as it is known.
    was_shared: bool,
    /// How many attempts in a row found no quorum of nodes.
    outages: u32,
    fairness: Fairness,
}

struct Waiter {
    number: Number,
    request: Request,
    /// What it has been notified of and has not read yet. Written while the book is locked.
    notice: Mutex<Option<Notice>>,
    notify: Notify,
}

/// What a waiter is notified of. A stronger notice replaces a weaker one.
#[derive(Clone)]
pub(crate) enum Notice {
    /// It has moved to the head, or the name was released here: it may be for this waiter to act.
    Act,
    /// A waiter of this process shares the names now, so that it can share them too.
    Share,
    /// It holds the lock, and has left the queues.
    HandedOver(Arc<Lease>),
}

/// What a waiter goes by besides its notices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Whether it is for this waiter to act.
    pub(crate) may_act: bool,
    /// How many attempts in a row found no quorum of nodes, by those that made them.
    pub(crate) outages: u32,
    /// Whether it wants to exclude shared holders of this process. That they have gone cannot be
    /// seen by whether the name is free: a node keeps it for a while for an exclusive one.
    pub(crate) is_behind_shared: bool,
}

/// The waiters to wake. A waker is foreign code, so it is called after the book is unlocked.
///
/// A waiter that leaves between its notice and its wake-up has passed the notice on when it left.
type ToWake = SmallVec<[Arc<Waiter>; 1]>;

/// A ticket of a waiter in the queue of each of its names. Dropped, it leaves them, and others move
/// up.
pub(crate) struct Ticket {
    queues: Arc<Queues>,
    waiter: Arc<Waiter>,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, Book> {
        // No change of the book panics half-way.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the book, and wakes those that were notified by it.
    fn change<T>(&self, change: impl FnOnce(&mut Book, &mut ToWake) -> T) -> T {
        let mut to_wake = ToWake::new();
        let mut book = self.lock();
        let changed = change(&mut book, &mut to_wake);
        // Relaxed: see `is_empty`. The lock orders the writers.
        self.waiting.store(book.waiting, Ordering::Relaxed);
        drop(book);
        for waiter in to_wake {
            waiter.notify.notify_one();
        }
        changed
    }

    /// Whether nobody waits for anything.
    ///
    /// A holder asks when it gives its lock up, and notifies nobody if so, while a newcomer joins.
    /// One of the two sees the other:
    ///
    /// * A newcomer that joins an empty queue does not know of the holder, so it watches the nodes.
    ///   It asks them after it has joined: either the release has reached them, and it finds the
    ///   name free, or the release comes later, and is a wake-up. It does not need the holder.
    /// * A waiter does not watch the nodes only if its queue names a holder of this process. That
    ///   was written under the lock, while the waiter or others were in the queue, by the task that
    ///   had acquired the lock or handed it over; the holder does all it does after that. So it
    ///   reads a count of then or later (of one atomic variable, nobody reads an older value than
    ///   it knows of already). If it reads zero, then all have left since, the queue with its
    ///   holder was removed, and whoever has joined after that is a newcomer as above.
    ///
    /// So the count orders nothing else, and `Relaxed` is enough. A newcomer on nodes that cannot
    /// be watched has no such help if it joins after the holder has read the count: it polls.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether one of the names has a queue, so that a newcomer has to join it.
    ///
    /// A queue that begins at the same time may be missed: the newcomer then makes one attempt, as
    /// if it had come a moment earlier.
    pub(crate) fn has_queue_for(&self, request: &Request) -> bool {
        !self.is_empty() && {
            let book = self.lock();
            (request.names.iter()).any(|name| book.by_name.contains_key(name))
        }
    }

    /// Joins the queue of each of the names, at their ends.
    pub(crate) fn join(self: &Arc<Self>, request: Request) -> Result<Ticket, LockError> {
        let waiter = self.change(|book, _| {
            let limit = request.options.queueing.max_waiting;
            let is_full =
                |name: &Arc<str>| book.queue(name).map_or(0, |queue| queue.order.len()) >= limit;
            if request.names.iter().any(is_full) {
                let name = Arc::clone(&request.label);
                return Err(LockError::TooManyWaiting { name, limit });
            }
            book.last += 1;
            let waiter = Arc::new(Waiter {
                number: book.last,
                request,
                notice: Mutex::new(None),
                notify: Notify::new(),
            });
            book.insert(&waiter);
            Ok(waiter)
        })?;
        Ok(Ticket {
            queues: Arc::clone(self),
            waiter,
        })
    }

    /// Hands a lock over to the waiter at the head, if it wants exactly this. Returns whether.
    ///
    /// All of it happens under one lock, up to the notice: a waiter that leaves does so before, and
    /// then it is another's, or after, and then it finds the lock in its notice and gives it up.
    pub(crate) fn hand_over(&self, lease: &Lease) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = Instant::now();
        self.change(|book, to_wake| {
            let names = &lease.entry().names;
            let head = (names.first())
                .and_then(|name| book.queue(name)?.order.writer())
                .filter(|head| book.is_head(head));
            let Some(head) = head.map(Arc::clone) else {
                return false;
            };
            let time = head.request.options.hand_over_time();
            let times = book.queues(&head.request.names);
            let times = times.map(|queue| queue.fairness.hand_over_time(time, now));
            let Some(passed) = lease.hand_over(&head.request, times.min().unwrap_or(time)) else {
                return false;
            };
            book.remove(&head);
            book.each_queue(names, |queue| queue.acquired(&passed));
            // Nobody else moves up: all names are held.
            head.notify(Notice::HandedOver(passed), to_wake);
            true
        })
    }

    /// A lock was released: notifies the waiters at the head of the queues of its names.
    pub(crate) fn notify(&self, released: &Lease) {
        if self.is_empty() {
            return;
        }
        let entry = released.entry();
        self.change(|book, to_wake| {
            let was_shared = entry.mode == Mode::Shared;
            book.each_queue(&entry.names, |queue| queue.was_shared = was_shared);
            book.notify_heads(&entry.names, 0, to_wake);
        });
    }
}

impl Queue {
    /// This process holds the name, by a waiter that has left.
    fn acquired(&mut self, lease: &Arc<Lease>) {
        self.was_shared = lease.entry().mode == Mode::Shared;
        if !self.was_shared {
            self.holder = Arc::downgrade(lease);
        }
    }
}

impl Book {
    fn queue(&self, name: &str) -> Option<&Queue> {
        self.by_name.get(name)
    }

    fn queues(&self, names: &[Arc<str>]) -> impl Iterator<Item = &Queue> {
        names.iter().filter_map(|name| self.by_name.get(name))
    }

    fn each_queue(&mut self, names: &[Arc<str>], mut change: impl FnMut(&mut Queue)) {
        for name in names {
            if let Some(queue) = self.by_name.get_mut(name) {
                change(queue);
            }
        }
    }

    fn insert(&mut self, waiter: &Arc<Waiter>) {
        for name in waiter.request.names.iter() {
            let queue = self.by_name.entry(Arc::clone(name)).or_default();
            queue
                .order
                .insert(waiter.number, waiter.mode(), Arc::clone(waiter));
        }
        self.waiting += 1;
    }

    /// Takes a waiter out of its queues, and queues away that are empty then. Returns whether it was
    /// still in them.
    fn remove(&mut self, waiter: &Waiter) -> bool {
        let mut was_there = false;
        for name in waiter.request.names.iter() {
            let Some(queue) = self.by_name.get_mut(name) else {
                continue;
            };
            was_there |= (queue.order.remove(waiter.number, waiter.mode())).is_some();
            if queue.order.is_empty() {
                self.by_name.remove(name);
            }
        }
        // What was allocated for a crowd is not kept when it has gone.
        if self.by_name.len() < self.by_name.capacity() / 4 {
            self.by_name.shrink_to_fit();
        }
        self.waiting -= usize::from(was_there);
        was_there
    }

    /// Whether a waiter is at the head of all its queues.
    fn is_head(&self, waiter: &Waiter) -> bool {
        let names = &waiter.request.names;
        names.iter().all(|name| {
            let queue = self.queue(name);
            queue.is_some_and(|queue| queue.order.is_head(waiter.number, waiter.mode()))
        })
    }

    /// Whether a waiter at the head acts, or another one acts for it: of shared waiters with the
    /// same names in a run, the first.
    ///
    /// If a waiter is at the head of all its queues, so is an earlier one with the same names in
    /// the run of one of them: what stands before it stands before the later one, too.
    fn leads(&self, waiter: &Waiter) -> bool {
        let names = &waiter.request.names;
        waiter.mode() == Mode::Exclusive || {
            let queue = names.first().and_then(|name| self.queue(name));
            let same = |other: &&Arc<Waiter>| other.request.names == *names;
            let first = queue.and_then(|queue| queue.order.run().find(same));
            first.is_some_and(|first| first.number == waiter.number)
        }
    }

    fn is_held_here(&self, names: &[Arc<str>]) -> bool {
        self.queues(names).any(|queue| {
            let holder = queue.holder.upgrade();
            holder.is_some_and(|holder| !holder.has_ended() && !holder.is_lost())
        })
    }

    /// Whether no other waiter acts before this one, or for it.
    fn is_first(&self, waiter: &Waiter) -> bool {
        self.is_head(waiter) && self.leads(waiter)
    }

    /// Whether it is for a waiter to ask the nodes.
    fn may_act(&self, waiter: &Waiter) -> bool {
        self.is_first(waiter) && !self.is_held_here(&waiter.request.names)
    }

    /// Notifies those whose number is above `after`, and before which no other acts. One of the names
    /// may be held here: the waiter asks for that when it reads the notice.
    fn notify_heads(&self, names: &[Arc<str>], after: Number, to_wake: &mut ToWake) {
        let heads = (self.queues(names)).flat_map(|queue| queue.order.heads());
        for head in heads.filter(|head| head.number > after && self.is_first(head)) {
            head.notify(Notice::Act, to_wake);
        }
    }

    /// A waiter holds its names shared now, and has left the queues: notifies those that can share
    /// them, and an exclusive one that has moved to the head.
    fn notify_run(&self, holder: &Waiter, to_wake: &mut ToWake) {
        let names = &holder.request.names;
        let runs = (self.queues(names)).flat_map(|queue| queue.order.run());
        let can_share = |waiter: &&Arc<Waiter>| {
            let mut wanted = waiter.request.names.iter();
            wanted.all(|name| names.contains(name)) && self.is_head(waiter)
        };
        for waiter in runs.filter(can_share) {
            waiter.notify(Notice::Share, to_wake);
        }
        let writers = (self.queues(names)).filter_map(|queue| queue.order.writer());
        let has_moved_up = |writer: &&Arc<Waiter>| writer.number > holder.number;
        for writer in writers.filter(has_moved_up) {
            if self.is_first(writer) {
                writer.notify(Notice::Act, to_wake);
            }
        }
    }
}

impl Waiter {
    fn mode(&self) -> Mode {
        self.request.options.kind.mode
    }

    fn notice(&self) -> MutexGuard<'_, Option<Notice>> {
        // An assignment is whole.
        self.notice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a notice, unless a stronger one is there.
    fn notify(self: &Arc<Self>, notice: Notice, to_wake: &mut ToWake) {
        let mut current = self.notice();
        if current
            .as_ref()
            .is_none_or(|current| current.strength() < notice.strength())
        {
            *current = Some(notice);
        }
        drop(current);
        to_wake.push(Arc::clone(self));
    }
}

impl Notice {
    const fn strength(&self) -> u8 {
        match self {
            Self::Act => 0,
            Self::Share => 1,
            Self::HandedOver(_) => 2,
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
        self.waiter.notice().take()
    }

    /// The lock, if it was handed over to this waiter. Any other notice stays.
    pub(crate) fn take_handed_over(&self) -> Option<Arc<Lease>> {
        let mut notice = self.waiter.notice();
        match mem::take(&mut *notice) {
            Some(Notice::HandedOver(lease)) => Some(lease),
            other => {
                *notice = other;
                None
            }
        }
    }

    fn with_queues<T>(&self, mut ask: impl FnMut(&mut Queue) -> T) -> SmallVec<[T; 1]> {
        let mut answers = SmallVec::new();
        let mut book = self.queues.lock();
        book.each_queue(&self.request().names, |queue| answers.push(ask(queue)));
        answers
    }

    pub(crate) fn standing(&self) -> Standing {
        let book = self.queues.lock();
        let names = &self.request().names;
        let outages = book.queues(names).map(|queue| queue.outages);
        Standing {
            may_act: book.may_act(&self.waiter),
            outages: outages.max().unwrap_or(0),
            is_behind_shared: self.waiter.mode() == Mode::Exclusive
                && book.queues(names).any(|queue| queue.was_shared),
        }
    }

    /// Whether this process is known to hold one of the names exclusively.
    pub(crate) fn is_held_here(&self) -> bool {
        self.queues.lock().is_held_here(&self.request().names)
    }

    /// How long to stay back, now that the name was released here. With several names, which of
    /// them other processes want is not known: what holds for one holds for all.
    pub(crate) fn stay_back(&self) -> Option<Duration> {
        let time = self.request().options.hand_over_time();
        let now = Instant::now();
        let stays = self.with_queues(|queue| queue.fairness.stay_back(time, now));
        stays.into_iter().flatten().max()
    }

    /// The name has changed hands among others: how often to check that it is free before the next
    /// attempt.
    pub(crate) fn changed_hands(&self) -> u32 {
        let checks = self.with_queues(|queue| queue.fairness.changed_hands());
        checks.into_iter().max().unwrap_or_default()
    }

    /// Notes a sign of other processes.
    pub(crate) fn note(&self, sign: Sign) {
        let now = Instant::now();
        self.with_queues(|queue| queue.fairness.note(sign, now));
    }

    /// Reports to the other waiters how many attempts in a row found no quorum of nodes.
    pub(crate) fn report_outages(&self, outages: u32) {
        self.with_queues(|queue| queue.outages = outages);
    }

    /// Leaves with a lock that was acquired. Others of a run of shared waiters follow.
    pub(crate) fn leave_with(&self, lease: &Arc<Lease>) {
        let (waiter, names) = (&self.waiter, &self.request().names);
        self.queues.change(|book, to_wake| {
            book.each_queue(names, |queue| {
                queue.acquired(lease);
                queue.outages = 0;
                match waiter.mode() {
                    Mode::Exclusive => queue.fairness.acquired(),
                    Mode::Shared => queue.fairness.acquired_shared(),
                }
            });
            book.remove(waiter);
            // After an exclusive one nobody has anything to do: all its names are held.
            if waiter.mode() == Mode::Shared {
                book.notify_run(waiter, to_wake);
            }
        });
    }

    /// Joins again where it was: what was handed over to it came too late to be used.
    pub(crate) fn rejoin(&self) {
        self.queues.change(|book, _| book.insert(&self.waiter));
    }

    /// Leaves the queues, and lets others move up. A notice that it has not acted on is theirs.
    pub(crate) fn leave(&self) {
        let waiter = &self.waiter;
        self.queues.change(|book, to_wake| {
            // If another acts for it, it leaves nothing that somebody has to go on with.
            let led = book.leads(waiter);
            if book.remove(waiter) && led {
                // Those before it were there already: only later ones have moved up.
                book.notify_heads(&waiter.request.names, waiter.number, to_wake);
            }
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
    }
}
