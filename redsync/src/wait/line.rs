//! Who waits for a name in this process, in the order in which they came.

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

use super::others::Others;
use crate::{
    LockError,
    claim::{Claim, Holding},
    node::Mode,
    wanted::Wanted,
};

/// The lines of one [`Redsync`](crate::Redsync): one for each name that somebody waits for.
#[derive(Default)]
pub(crate) struct Lines {
    /// How many wait, so that those who meet nobody need not look.
    waiting: AtomicUsize,
    /// How many of them for several names at once.
    waiting_for_several: AtomicUsize,
    /// By their names, as what errors call them does not tell several names from one with commas.
    lines: Mutex<HashMap<Arc<[Arc<str>]>, Line>>,
}

#[derive(Default)]
struct Line {
    waiters: VecDeque<Arc<Waiter>>,
    /// Who of this process is known to hold the name.
    holder: Weak<Claim>,
    /// How many tries in a row found no quorum of nodes.
    outages: u32,
    others: Others,
}

struct Waiter {
    wanted: Wanted,
    /// Rung for the one at the head when there may be something to do, and for one that was handed
    /// the lock.
    bell: Notify,
    handed: Mutex<Option<Holding>>,
}

/// A place in the line. Dropped, it is given up: the next one moves up, and a lock that was handed
/// here goes on to them.
pub(super) struct Place {
    lines: Arc<Lines>,
    waiter: Arc<Waiter>,
}

impl Lines {
    fn lines(&self) -> MutexGuard<'_, HashMap<Arc<[Arc<str>]>, Line>> {
        // No operation on it panics half-way.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Whether somebody waits for the same, so that whoever comes now has to wait behind them.
    pub(crate) fn has_line_for(&self, wanted: &Wanted) -> bool {
        !self.is_empty() && self.lines().contains_key(&wanted.names)
    }

    /// Takes a place at the end of the line.
    pub(super) fn join(self: &Arc<Self>, wanted: Wanted) -> Result<Place, LockError> {
        let waiter = Arc::new(Waiter {
            wanted,
            bell: Notify::new(),
            handed: Mutex::new(None),
        });
        let wanted = &waiter.wanted;
        let mut lines = self.lines();
        let waiting = (lines.get(&wanted.names)).map_or(0, |line| line.waiters.len());
        let limit = wanted.options.max_waiting;
        if waiting >= limit {
            let name = Arc::clone(&wanted.label);
            return Err(LockError::TooManyWaiting { name, limit });
        }
        let line = lines.entry(Arc::clone(&wanted.names)).or_default();
        line.waiters.push_back(Arc::clone(&waiter));
        self.count(wanted);
        drop(lines);
        Ok(Place {
            lines: Arc::clone(self),
            waiter,
        })
    }

    /// Passes a lock on to the one at the head of its line; whether it may be.
    pub(crate) fn pass(&self, claim: &Claim) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = Instant::now();
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&claim.terms().names) else {
            return false;
        };
        let Some(next) = line.waiters.front() else {
            return false;
        };
        let turn = line.others.turn(next.wanted.options.turn(), now);
        let Some(passed) = claim.pass(&next.wanted, turn, now) else {
            return false;
        };
        line.holder = Arc::downgrade(&passed);
        let next = self.leave(&mut lines, &claim.terms().names, 0);
        drop(lines);
        next.handed().replace(Holding::new(passed));
        next.bell.notify_one();
        true
    }

    /// Tells those who wait for one of these names that it may be free.
    pub(crate) fn freed(&self, names: &[Arc<str>]) {
        if self.is_empty() {
            return;
        }
        let lines = self.lines();
        if names.len() == 1 && self.waiting_for_several.load(Ordering::SeqCst) == 0 {
            let head = lines.get(names).and_then(|line| line.waiters.front());
            head.inspect(|head| head.bell.notify_one());
            return;
        }
        for head in lines.values().filter_map(|line| line.waiters.front()) {
            if head.wanted.names.iter().any(|name| names.contains(name)) {
                head.bell.notify_one();
            }
        }
    }

    fn count(&self, wanted: &Wanted) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if wanted.names.len() > 1 {
            self.waiting_for_several.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Takes the one at a position out of a line, and the line away if that was the last.
    fn leave(
        &self,
        lines: &mut HashMap<Arc<[Arc<str>]>, Line>,
        names: &[Arc<str>],
        position: usize,
    ) -> Arc<Waiter> {
        let line = lines.get_mut(names).expect("who waits has a line");
        let left = line.waiters.remove(position).expect("a position in it");
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if left.wanted.names.len() > 1 {
            self.waiting_for_several.fetch_sub(1, Ordering::SeqCst);
        }
        if line.waiters.is_empty() {
            lines.remove(names);
            // What was allocated for a crowd need not be kept when it has gone.
            if lines.len() < lines.capacity() / 4 {
                lines.shrink_to_fit();
            }
        }
        left
    }
}

impl Waiter {
    fn handed(&self) -> MutexGuard<'_, Option<Holding>> {
        // An assignment is whole.
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn wanted(&self) -> &Wanted {
        &self.waiter.wanted
    }

    /// Resolves when there may be something to do.
    pub(super) fn rung(&self) -> Notified<'_> {
        self.waiter.bell.notified()
    }

    /// The lock, if it was handed here.
    pub(super) fn take(&self) -> Option<Holding> {
        self.waiter.handed().take()
    }

    fn with_line<T>(&self, ask: impl FnOnce(&mut Line) -> T) -> Option<T> {
        let mut lines = self.lines.lines();
        let line = lines.get_mut(&self.wanted().names)?;
        Some(ask(line))
    }

    /// Whether it falls to this one to try.
    pub(super) fn is_head(&self) -> bool {
        let is_head = |line: &mut Line| {
            (line.waiters.front()).is_some_and(|head| Arc::ptr_eq(head, &self.waiter))
        };
        self.with_line(is_head).unwrap_or_default()
    }

    /// Whether this process is known to hold the name, so that trying is of no use.
    pub(super) fn is_held_here(&self) -> bool {
        let holder = self.with_line(|line| line.holder.upgrade()).flatten();
        holder.is_some_and(|holder| !holder.is_released() && !holder.is_lost())
    }

    /// The turn of another has ended: how many looks to give way for.
    pub(super) fn saw_turn_end(&self) -> u32 {
        self.with_line(|line| line.others.turn_ended())
            .unwrap_or_default()
    }

    /// Another process was seen to want the name: it is to have its turn soon.
    pub(super) fn saw_rival(&self) {
        self.with_line(|line| line.others.seen(Instant::now()));
    }

    /// For how long to stay back, now that the name was released here.
    pub(super) fn courtesy(&self) -> Option<Duration> {
        let turn = self.wanted().options.turn();
        let pause = |line: &mut Line| line.others.courtesy(turn, Instant::now());
        self.with_line(pause).flatten()
    }

    /// Nobody came while this one stayed back.
    pub(super) fn nobody_came(&self, pause: Duration) {
        self.with_line(|line| line.others.nobody_came(pause));
    }

    /// How many tries in a row found no quorum of nodes, by those who tried.
    pub(super) fn outages(&self) -> u32 {
        self.with_line(|line| line.outages).unwrap_or_default()
    }

    pub(super) fn report_outages(&self, outages: u32) {
        self.with_line(|line| line.outages = outages);
    }

    /// Leaves with a lock that was acquired.
    pub(super) fn leave_with(self, claim: &Arc<Claim>) {
        let exclusive = self.wanted().options.mode == Mode::Exclusive;
        self.with_line(|line| {
            line.outages = 0;
            line.others.own_turn_begins();
            if exclusive {
                line.holder = Arc::downgrade(claim);
            }
        });
        // Others may share it.
        self.give_up(!exclusive);
    }

    /// Goes to the head: what was handed here came too late to be used.
    pub(super) fn back_to_head(&self) {
        let wanted = self.wanted();
        let mut lines = self.lines.lines();
        let line = lines.entry(Arc::clone(&wanted.names)).or_default();
        line.waiters.push_front(Arc::clone(&self.waiter));
        self.lines.count(wanted);
    }

    fn give_up(&self, rings: bool) {
        let mut lines = self.lines.lines();
        let names = &self.wanted().names;
        let position = lines.get(names).and_then(|line| {
            let mut waiters = line.waiters.iter();
            waiters.position(|waiter| Arc::ptr_eq(waiter, &self.waiter))
        });
        let Some(position) = position else {
            return;
        };
        self.lines.leave(&mut lines, names, position);
        let next = lines.get(names).and_then(|line| line.waiters.front());
        if let Some(next) = next.filter(|_| rings && position == 0) {
            next.bell.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Perhaps called to do something, and gone before it was done.
        self.give_up(true);
        // Goes on to the next, or is released.
        let handed = self.take();
        drop(handed);
    }
}
