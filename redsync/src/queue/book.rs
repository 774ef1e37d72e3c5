//! The data that the lock of all queues protects: the queue of each name, and where a waiter is in
//! its queues.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    entrant::Entrant,
    fairness::Fairness,
    holder::{Holder, Ownerless},
    order::{Number, Order},
    past::Past,
};
use crate::{
    Mode,
    lease::Lease,
    request::{Permits, Request},
};

/// The queues of all names that somebody waits for.
#[derive(Default)]
pub(super) struct Book {
    by_name: HashMap<Arc<str>, Queue>,
    past: Past,
    pub(super) ownerless: Ownerless,
    waiting: usize,
    last: Number,
}

/// The queue of a name.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) order: Order<Arc<Entrant>>,
    /// The last exclusive holders of this process, as far as they are known. There can be several
    /// if the name is that of a semaphore. Of those that have ended, the releases may be under way.
    holders: SmallVec<[Holder; 1]>,
    /// Whether the last holder of this process was a shared one, as far as it is known.
    pub(super) was_shared: bool,
    /// How many attempts in a row found no quorum of nodes.
    pub(super) outages: u32,
    pub(super) fairness: Fairness,
}

/// A waiter's view of its queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Whether this waiter is the one that acts.
    pub(crate) may_act: bool,
    /// How many attempts in a row found no quorum of nodes, as the waiters that made them report.
    pub(crate) outages: u32,
    /// Whether this process is known to hold one of the names exclusively.
    pub(crate) is_held_here: bool,
    /// Whether this waiter is exclusive and the last holders of this process were shared. A watch
    /// does not show whether these have left: a node that has refused an exclusive lock keeps the
    /// name reserved for a while, and does not report it as free.
    pub(crate) is_behind_shared: bool,
}

impl Queue {
    /// Notes that a waiter of this queue has acquired the lock, or that it was handed over to one.
    pub(super) fn acquired(&mut self, lease: &Arc<Lease>) {
        self.was_shared = lease.entry().mode == Mode::Shared;
        if !self.was_shared {
            let keys = &lease.entry().names;
            self.holders
                .retain(|holder| holder.may_have_keys() && holder.keys != *keys);
            self.holders.push(Holder::new(lease));
        }
    }

    /// Whether this process is known to hold a key exclusively.
    fn has_holder_of(&self, key: &Arc<str>, ownerless: &Ownerless) -> bool {
        let mut holders = self.holders.iter();
        holders.any(|holder| holder.keys.contains(key) && holder.holds(ownerless))
    }
}

impl Book {
    /// The number of the waiter that came last.
    pub(super) const fn last(&self) -> Number {
        self.last
    }

    /// The number of waiters in all queues.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn has_queue_for(&self, names: &[Arc<str>]) -> bool {
        self.queues(names).next().is_some()
    }

    pub(super) fn queues(&self, names: &[Arc<str>]) -> impl Iterator<Item = &Queue> {
        names.iter().filter_map(|name| self.by_name.get(name))
    }

    pub(super) fn each_queue(&mut self, names: &[Arc<str>], mut change: impl FnMut(&mut Queue)) {
        for name in names {
            if let Some(queue) = self.by_name.get_mut(name) {
                change(queue);
            }
        }
    }

    /// Adds a waiter at the end of the queue of each of its names. If one of them is full, the
    /// request is returned, to be dropped after the book is unlocked: it may own what users have
    /// put into its options.
    pub(super) fn join(&mut self, request: Request) -> Result<Arc<Entrant>, Request> {
        let longest = (self.queues(&request.names)).map(|queue| queue.order.len());
        if longest.max().unwrap_or(0) >= request.options.queueing.max_waiting {
            return Err(request);
        }
        self.last += 1;
        let entrant = Entrant::new(self.last, request);
        self.insert(&entrant);
        Ok(entrant)
    }

    /// Inserts a waiter where its number belongs.
    pub(super) fn insert(&mut self, entrant: &Arc<Entrant>) {
        for name in entrant.request.names.iter() {
            let queue = self.by_name.entry(Arc::clone(name));
            let queue = queue.or_insert_with(|| Queue {
                fairness: self.past.take(name, Instant::now()),
                ..Queue::default()
            });
            (queue.order).insert(entrant.number, entrant.mode(), Arc::clone(entrant));
        }
        self.waiting += 1;
    }

    /// Takes a waiter out of its queues, and removes the queues that are then empty. Returns
    /// whether the waiter was still in them.
    pub(super) fn remove(&mut self, entrant: &Entrant) -> bool {
        let mut was_there = false;
        for name in entrant.request.names.iter() {
            let Some(queue) = self.by_name.get_mut(name) else {
                continue;
            };
            let removed = queue.order.remove(entrant.number, entrant.mode());
            was_there |= removed.is_some();
            if queue.order.is_empty()
                && let Some((name, queue)) = self.by_name.remove_entry(name)
            {
                self.past.keep(name, queue.fairness, Instant::now());
            }
        }
        // Memory that was allocated for a crowd is freed when the crowd has gone.
        if self.by_name.len() < self.by_name.capacity() / 4 {
            self.by_name.shrink_to_fit();
        }
        self.waiting -= usize::from(was_there);
        was_there
    }

    /// The waiter to which a lock is handed over, if it wants exactly this lock: the exclusive one
    /// at the head of the queue of the first name, if it is at the head of all its queues. Waiters
    /// that have stepped aside are passed, as far as there is another for a permit behind them.
    pub(super) fn next_exclusive(&self, name: &str, now: Instant) -> Option<&Arc<Entrant>> {
        let mut run = self.by_name.get(name)?.order.exclusive_run().peekable();
        let first = *run.peek().filter(|first| self.is_head(first))?;
        let next = run.find(|waiter| !waiter.lets_pass(now));
        // Waiters for a permit are in one queue, so this one is next in all of its queues.
        next.filter(|next| next.request.is_semaphore())
            .or(Some(first))
    }

    /// Counts that a permit has passed the waiters before the one that got it.
    pub(super) fn count_passes(&self, name: &str, next: &Entrant) {
        let queue = self.by_name.get(name);
        let run = queue
            .into_iter()
            .flat_map(|queue| queue.order.exclusive_run());
        for passed in run.take_while(|waiter| waiter.number < next.number) {
            passed.aside.passed();
        }
    }

    /// Whether a waiter is at the head of all its queues.
    pub(super) fn is_head(&self, entrant: &Entrant) -> bool {
        entrant.request.names.iter().all(|name| {
            let queue = self.by_name.get(name);
            queue.is_some_and(|queue| queue.order.is_head(entrant.number, entrant.mode()))
        })
    }

    /// Whether a waiter at the head acts for itself. Of shared waiters with the same names in a
    /// run, the first acts for all.
    ///
    /// If a waiter is at the head of all its queues, so is the first one with its names: every
    /// waiter before the first is before the others, too.
    fn leads(&self, entrant: &Entrant) -> bool {
        entrant.mode() == Mode::Exclusive || {
            let first = self.first_of_run(&entrant.request.names);
            first.is_some_and(|first| first.number == entrant.number)
        }
    }

    /// The first shared waiter for exactly these names, if it is in the run of the first name.
    pub(super) fn first_of_run(&self, names: &[Arc<str>]) -> Option<&Arc<Entrant>> {
        let mut run = self.by_name.get(names.first()?)?.order.run();
        run.find(|waiter| waiter.request.names[..] == *names)
    }

    /// Whether no other waiter acts before this one, or for it.
    pub(super) fn is_first(&self, entrant: &Entrant) -> bool {
        self.is_head(entrant) && self.leads(entrant)
    }

    /// Whether this waiter is at the head, and another at the head acts for it.
    pub(super) fn follows(&self, entrant: &Entrant) -> bool {
        self.is_head(entrant) && !self.leads(entrant)
    }

    /// Whether shared waiters at the head of one of its queues come before this one.
    pub(super) fn has_shared_ahead(&self, entrant: &Entrant) -> bool {
        let queues = self.queues(&entrant.request.names);
        let mut first = queues.filter_map(|queue| queue.order.run().next());
        first.any(|first| first.number < entrant.number)
    }

    /// Whether another exclusive waiter wants one of the names of this one.
    pub(super) fn has_rival(&self, entrant: &Entrant) -> bool {
        let mut queues = self.queues(&entrant.request.names);
        queues.any(|queue| queue.order.has_exclusive_besides(entrant.number))
    }

    /// Whether one of the keys of a permit is held here.
    fn holds(&self, request: &Request, permit: &[Arc<str>]) -> bool {
        let mut names = request.names.iter().zip(permit);
        names.any(|(name, key)| {
            let queue = self.by_name.get(name);
            queue.is_some_and(|queue| queue.has_holder_of(key, &self.ownerless))
        })
    }

    /// Whether all permits are known to be held here.
    pub(super) fn is_held_here(&self, request: &Request) -> bool {
        (request.permits()).all(|permit| self.holds(request, permit))
    }

    /// The permits that are known to be held here, or to be released here: a bit for each of them.
    pub(super) fn permits_here(&self, request: &Request) -> u64 {
        let holders = self.queues(&request.names).flat_map(|it| &it.holders);
        let holders = holders.filter(|holder| holder.may_have_keys());
        holders.fold(0, |set, holder| {
            let mut permits = request.permits();
            let index = permits.position(|permit| *permit == holder.keys);
            index.map_or(set, |index| set | 1 << index)
        })
    }

    /// The permits that are not known to be held here.
    pub(super) fn permits(&self, request: &Request) -> Permits {
        Permits::of(request, |index| !self.holds(request, request.permit(index)))
    }

    pub(super) fn standing(&self, entrant: &Entrant) -> Standing {
        let names = &entrant.request.names;
        let outages = self.queues(names).map(|queue| queue.outages);
        let is_held_here = self.is_held_here(&entrant.request);
        Standing {
            may_act: self.is_first(entrant) && !is_held_here,
            outages: outages.max().unwrap_or(0),
            is_held_here,
            is_behind_shared: entrant.mode() == Mode::Exclusive
                && self.queues(names).any(|queue| queue.was_shared),
        }
    }
}

#[cfg(test)]
mod tests;
