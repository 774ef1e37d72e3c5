//! The queue of each name in this process: first come, first served.

mod fairness;
pub(crate) mod hand_over;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use self::fairness::Fairness;
use crate::{LockError, Mode, lease::Lease, request::Request};

/// The queues of one [`Redsync`](crate::Redsync): one for each name that somebody waits for.
#[derive(Default)]
pub(crate) struct Queues {
    /// How many wait, so that those who meet nobody need not look.
    waiting: AtomicUsize,
    /// How many of them for several names at once.
    waiting_for_several: AtomicUsize,
    /// By their names, as what errors call them does not tell several names from one with commas.
    queues: Mutex<HashMap<Arc<[Arc<str>]>, Queue>>,
}

#[derive(Default)]
struct Queue {
    waiters: VecDeque<Arc<Waiter>>,
    /// Who of this process is known to hold the name.
    holder: Weak<Lease>,
    /// How many tries in a row found no quorum of nodes.
    outages: u32,
    fairness: Fairness,
}

struct Waiter {
    request: Request,
    /// Rung for the one at the head when there may be something to do, and for one that was handed
    /// the lock.
    bell: Notify,
    handed: Mutex<Option<Arc<Lease>>>,
}

/// A place in the queue. Dropped, it is given up: the next one moves up, and a lock that was handed
/// here goes on to them.
pub(crate) struct Ticket {
    queues: Arc<Queues>,
    waiter: Arc<Waiter>,
}

impl Queues {
    fn queues(&self) -> MutexGuard<'_, HashMap<Arc<[Arc<str>]>, Queue>> {
        // No operation on it panics half-way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Whether somebody waits for the same, so that whoever comes now has to wait behind them.
    pub(crate) fn has_queue_for(&self, request: &Request) -> bool {
        !self.is_empty() && self.queues().contains_key(&request.names)
    }

    /// Takes a place at the end of the queue.
    pub(crate) fn join(self: &Arc<Self>, request: Request) -> Result<Ticket, LockError> {
        let waiter = Arc::new(Waiter {
            request,
            bell: Notify::new(),
            handed: Mutex::new(None),
        });
        let request = &waiter.request;
        let mut queues = self.queues();
        let waiting = (queues.get(&request.names)).map_or(0, |queue| queue.waiters.len());
        let limit = request.options.queueing.max_waiting;
        if waiting >= limit {
            let name = Arc::clone(&request.label);
            return Err(LockError::TooManyWaiting { name, limit });
        }
        let queue = queues.entry(Arc::clone(&request.names)).or_default();
        queue.waiters.push_back(Arc::clone(&waiter));
        self.count(request);
        drop(queues);
        Ok(Ticket {
            queues: Arc::clone(self),
            waiter,
        })
    }

    /// Hands a lock over to the waiter at the head of its queue; whether it may be.
    pub(crate) fn hand_over(&self, lease: &Lease) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = Instant::now();
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(&lease.entry().names) else {
            return false;
        };
        let Some(next) = queue.waiters.front() else {
            return false;
        };
        let turn = queue
            .fairness
            .turn(next.request.options.hand_over_time(), now);
        let Some(passed) = lease.hand_over(&next.request, turn) else {
            return false;
        };
        queue.holder = Arc::downgrade(&passed);
        let next = self.leave(&mut queues, &lease.entry().names, 0);
        drop(queues);
        next.handed().replace(passed);
        next.bell.notify_one();
        true
    }

    /// Notifies the waiters for one of these names that it may be free.
    pub(crate) fn notify(&self, names: &[Arc<str>]) {
        if self.is_empty() {
            return;
        }
        let queues = self.queues();
        if names.len() == 1 && self.waiting_for_several.load(Ordering::SeqCst) == 0 {
            let head = queues.get(names).and_then(|queue| queue.waiters.front());
            head.inspect(|head| head.bell.notify_one());
            return;
        }
        for head in queues.values().filter_map(|queue| queue.waiters.front()) {
            if head.request.names.iter().any(|name| names.contains(name)) {
                head.bell.notify_one();
            }
        }
    }

    fn count(&self, request: &Request) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if request.names.len() > 1 {
            self.waiting_for_several.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Takes the one at a position out of a queue, and the queue away if that was the last.
    fn leave(
        &self,
        queues: &mut HashMap<Arc<[Arc<str>]>, Queue>,
        names: &[Arc<str>],
        position: usize,
    ) -> Arc<Waiter> {
        let queue = queues.get_mut(names).expect("who waits has a queue");
        let left = queue.waiters.remove(position).expect("a position in it");
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if left.request.names.len() > 1 {
            self.waiting_for_several.fetch_sub(1, Ordering::SeqCst);
        }
        if queue.waiters.is_empty() {
            queues.remove(names);
            // What was allocated for a crowd need not be kept when it has gone.
            if queues.len() < queues.capacity() / 4 {
                queues.shrink_to_fit();
            }
        }
        left
    }
}

impl Waiter {
    fn handed(&self) -> MutexGuard<'_, Option<Arc<Lease>>> {
        // An assignment is whole.
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(crate) fn request(&self) -> &Request {
        &self.waiter.request
    }

    /// Resolves when there may be something to do.
    pub(crate) fn rung(&self) -> Notified<'_> {
        self.waiter.bell.notified()
    }

    /// The lock, if it was handed here.
    pub(crate) fn take(&self) -> Option<Arc<Lease>> {
        self.waiter.handed().take()
    }

    fn with_queue<T>(&self, ask: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let mut queues = self.queues.queues();
        let queue = queues.get_mut(&self.request().names)?;
        Some(ask(queue))
    }

    /// Whether it falls to this one to try.
    pub(crate) fn is_head(&self) -> bool {
        let is_head = |queue: &mut Queue| {
            (queue.waiters.front()).is_some_and(|head| Arc::ptr_eq(head, &self.waiter))
        };
        self.with_queue(is_head).unwrap_or_default()
    }

    /// Whether this process is known to hold the name, so that trying is of no use.
    pub(crate) fn is_held_here(&self) -> bool {
        let holder = self.with_queue(|queue| queue.holder.upgrade()).flatten();
        holder.is_some_and(|holder| !holder.has_ended() && !holder.is_lost())
    }

    /// The turn of another has ended: how many looks to give way for.
    pub(crate) fn saw_turn_end(&self) -> u32 {
        self.with_queue(|queue| queue.fairness.turn_ended())
            .unwrap_or_default()
    }

    /// Another process was seen to want the name: it is to have its turn soon.
    pub(crate) fn saw_rival(&self) {
        self.with_queue(|queue| queue.fairness.seen(Instant::now()));
    }

    /// For how long to stay back, now that the name was released here.
    pub(crate) fn courtesy(&self) -> Option<Duration> {
        let turn = self.request().options.hand_over_time();
        let pause = |queue: &mut Queue| queue.fairness.courtesy(turn, Instant::now());
        self.with_queue(pause).flatten()
    }

    /// Nobody came while this one stayed back.
    pub(crate) fn nobody_came(&self, pause: Duration) {
        self.with_queue(|queue| queue.fairness.nobody_came(pause));
    }

    /// How many tries in a row found no quorum of nodes, by those who tried.
    pub(crate) fn outages(&self) -> u32 {
        self.with_queue(|queue| queue.outages).unwrap_or_default()
    }

    pub(crate) fn report_outages(&self, outages: u32) {
        self.with_queue(|queue| queue.outages = outages);
    }

    /// Leaves with a lock that was acquired.
    pub(crate) fn leave_with(&self, lease: &Arc<Lease>) {
        let exclusive = self.request().options.kind.mode == Mode::Exclusive;
        self.with_queue(|queue| {
            queue.outages = 0;
            queue.fairness.own_turn_begins();
            if exclusive {
                queue.holder = Arc::downgrade(lease);
            }
        });
        // Others may share it.
        self.give_up(!exclusive);
    }

    /// Goes to the head: what was handed here came too late to be used.
    pub(crate) fn back_to_head(&self) {
        let request = self.request();
        let mut queues = self.queues.queues();
        let queue = queues.entry(Arc::clone(&request.names)).or_default();
        queue.waiters.push_front(Arc::clone(&self.waiter));
        self.queues.count(request);
    }

    pub(crate) fn give_up(&self, rings: bool) {
        let mut queues = self.queues.queues();
        let names = &self.request().names;
        let position = queues.get(names).and_then(|queue| {
            let mut waiters = queue.waiters.iter();
            waiters.position(|waiter| Arc::ptr_eq(waiter, &self.waiter))
        });
        let Some(position) = position else {
            return;
        };
        self.queues.leave(&mut queues, names, position);
        let next = queues.get(names).and_then(|queue| queue.waiters.front());
        if let Some(next) = next.filter(|_| rings && position == 0) {
            next.bell.notify_one();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Perhaps called to do something, and gone before it was done.
        self.give_up(true);
    }
}
