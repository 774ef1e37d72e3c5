//! One task that extends all guards of a [`Redsync`](crate::Redsync) for as long as they are kept
//! alive.
//!
//! The keeper has a queue of due times. It extends a lock whenever a third of the expiry has
//! passed, until the lock is lost or has reached its maximum hold time. After a failure, it repeats
//! the extension after a twelfth, or sooner if little validity is left. It spawns no task per
//! guard, and sends extensions that are due at the same time together.
//!
//! # Threads
//!
//! The extension of a lock must not depend on the thread that works under it: a handler may block
//! that thread for longer than the expiry. On a multi-thread runtime the keeper is therefore woken
//! by a [thread of its own](watchdog) when it is due.
//!
//! The keeper runs on the runtime on which it was first needed. If that runtime ends or stands still,
//! the keeper moves to another one that a guard came from. If there is none, it moves with the next
//! guard that is kept alive.
//!
//! # Load
//!
//! If nodes answer late because they are busy, the keeper must not add to their load. So it repeats
//! a round that has no result only after a quarter of the validity that is left, and not before the
//! node time limit. The next third counts from the answer, up to half of the expiry after the start
//! of the round. So the extensions of guards that were locked together spread out over time.

mod watchdog;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, MutexGuard, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use pin_project_lite::pin_project;
use tokio::{
    runtime::{Handle, Id, RuntimeFlavor},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    ExtendError,
    lease::{Extension, Lease},
    sync::Mutex,
};

/// If the keeper is this late, it is started again, even if there is no other runtime.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The most extensions that are begun before replies are read.
const SLICE: usize = 256;

/// Extends guards for as long as they are kept alive.
pub(crate) struct Keeper {
    /// The number by which the watchdog knows this keeper.
    number: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    due: BinaryHeap<Reverse<Due>>,
    /// The present task, if there is one.
    runner: Option<Running>,
    /// The runtimes that have ended since a keeper last ran.
    ended: Vec<Id>,
    /// The number of the latest task. All earlier tasks end themselves.
    latest: u64,
}

struct Running {
    runtime: Id,
    /// When the task wakes by itself.
    alarm: Instant,
    waker: Option<Waker>,
}

/// A guard that is kept alive, for as long as this exists.
pub(crate) struct KeptAlive {
    lease: Arc<Lease>,
    /// When the guard is due. An entry of the queue with another time is outdated.
    next: Mutex<Instant>,
}

impl KeptAlive {
    fn next(&self) -> MutexGuard<'_, Instant> {
        self.next.lock()
    }
}

struct Due {
    at: Instant,
    kept: Weak<KeptAlive>,
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Keeps a lock alive for as long as the returned value exists.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn keep(self: &Arc<Self>, lease: &Arc<Lease>) -> Arc<KeptAlive> {
        let current = Handle::current();
        let now = Instant::now();
        let kept = Arc::new(KeptAlive {
            lease: Arc::clone(lease),
            next: Mutex::new(now),
        });
        let expiry = lease.options().timing.expiry();
        // A lock that was resumed may be valid for less than an expiry.
        let third = (expiry / 3).min(lease.until().saturating_duration_since(now) / 3);
        let next = due_at(lease, now + third);
        let mut state = self.state();
        state.schedule(&kept, next);
        match &mut state.runner {
            Some(running) if running.is_late(&current, now) => {
                drop(state);
                tracing::debug!("the runtime that extends locks stands still; using this one");
                self.run_on(&current);
            }
            Some(running) if next < running.alarm => {
                running.alarm = next;
                let waker = running.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    off_this_worker(&current, move || waker.wake());
                }
            }
            Some(_) => {}
            None => {
                drop(state);
                self.run_on(&current);
            }
        }
        kept
    }

    /// Starts a task on the given runtime. It replaces the present one.
    fn run_on(self: &Arc<Self>, runtime: &Handle) {
        let mut state = self.state();
        state.latest += 1;
        let runner = Runner {
            keeper: Arc::clone(self),
            number: state.latest,
            runtime: runtime.id(),
            has_workers: has_workers(runtime),
            has_finished: false,
        };
        state.runner = Some(Running {
            runtime: runtime.id(),
            // It is polled as soon as its runtime can, and finds out what is due.
            alarm: Instant::now(),
            waker: None,
        });
        self.watch_over(Instant::now(), None);
        drop(state);
        let spawning = runtime.clone();
        off_this_worker(runtime, move || drop(spawning.spawn(runner.run())));
    }

    /// Lets the [`watchdog`] look after the present task. Called under the lock, so that the orders
    /// for a task come after those for the task before it.
    fn watch_over(self: &Arc<Self>, due: Instant, waker: Option<Waker>) {
        let keeper = Arc::downgrade(self);
        let if_late = move || {
            if let Some(keeper) = keeper.upgrade() {
                keeper.leave_runtime();
            }
        };
        watchdog::watch_over(self.number, due.into_std(), waker, if_late);
    }

    /// Moves to the runtime of another guard, if there is one, because the present one stands still.
    fn leave_runtime(self: &Arc<Self>) {
        let state = self.state();
        let Some(present) = state.runner.as_ref().map(|running| running.runtime) else {
            return;
        };
        let home = state.home_besides(present);
        drop(state);
        if let Some(home) = home {
            tracing::debug!("the runtime that extends locks stands still; using another");
            self.run_on(&home);
        }
    }
}

/// Returns when a lock is due if its next extension is planned for `at`. A lock that cannot be
/// extended any further is due at the end of its validity.
fn due_at(lease: &Lease, at: Instant) -> Instant {
    if lease.is_at_its_end() {
        lease.until()
    } else {
        at
    }
}

/// Schedules a task in such a way that no worker keeps it to itself.
fn off_this_worker(runtime: &Handle, schedule: impl FnOnce() + Send + 'static) {
    if has_workers(runtime) {
        watchdog::run(schedule);
    } else {
        schedule();
    }
}

fn has_workers(runtime: &Handle) -> bool {
    runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
}

impl Default for Keeper {
    fn default() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            // Relaxed: the number only has to be unique.
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            state: Mutex::default(),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        watchdog::forget(self.number);
    }
}

impl Running {
    /// Whether to replace the task by one on the runtime `other`.
    fn is_late(&self, other: &Handle, now: Instant) -> bool {
        let is_same = self.runtime == other.id();
        now > self.alarm + if is_same { STANDSTILL } else { watchdog::LATE }
    }
}

impl State {
    fn schedule(&mut self, kept: &Arc<KeptAlive>, at: Instant) {
        *kept.next() = at;
        if self.due.len() == self.due.capacity() {
            // Guards that were dropped stay in the queue until they are due. Remove them before the
            // queue grows.
            self.due.retain(|Reverse(due)| due.kept.strong_count() > 0);
        }
        let kept = Arc::downgrade(kept);
        self.due.push(Reverse(Due { at, kept }));
    }

    /// A runtime that a guard came from, if there is one that has not ended and is not the given one.
    fn home_besides(&self, present: Id) -> Option<Handle> {
        let homes = (self.due.iter())
            .filter_map(|Reverse(due)| due.kept.upgrade())
            .filter_map(|kept| kept.lease.home().cloned());
        homes
            .filter(|home| home.id() != present && !self.ended.contains(&home.id()))
            // One thread that blocks does not stop a runtime of several.
            .max_by_key(has_workers)
    }

    /// Takes guards that are due, to be extended, and schedules the repetition.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<KeptAlive>> {
        let mut taken = Vec::new();
        while taken.len() < SLICE
            && let Some(kept) = self.pop(now)
        {
            if kept.lease.has_ended() {
                continue;
            }
            if !kept.lease.is_lost() {
                // The answers to the first round still count, for as long as the lock is valid.
                let until = kept.lease.until();
                let quarter = until.saturating_duration_since(now) / 4;
                let again = now + quarter.max(kept.lease.options().timing.node_timeout());
                self.schedule(&kept, again.min(until));
            }
            taken.push(kept);
        }
        taken
    }

    /// Takes the next guard that is due out of the queue.
    fn pop(&mut self, now: Instant) -> Option<Arc<KeptAlive>> {
        loop {
            if self.due.peek()?.0.at > now {
                return None;
            }
            let Reverse(due) = self.due.pop()?;
            let kept = due.kept.upgrade().filter(|kept| *kept.next() == due.at);
            if kept.is_some() {
                return kept;
            }
        }
    }
}

/// The task that extends guards.
struct Runner {
    keeper: Arc<Keeper>,
    number: u64,
    runtime: Id,
    /// Whether the watchdog wakes it, besides the runtime's own timer.
    has_workers: bool,
    has_finished: bool,
}

impl Runner {
    async fn run(mut self) {
        let mut renewals = FuturesUnordered::new();
        let mut alarm = pin!(sleep_until(Instant::now()));
        std::future::poll_fn(|cx| self.poll(cx, &mut renewals, alarm.as_mut())).await;
        self.has_finished = true;
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        renewals: &mut FuturesUnordered<Renewal>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let mut state = self.keeper.state();
            if state.latest != self.number {
                return Poll::Ready(());
            }
            state.ended.clear();
            let due = state.take_due(now);
            drop(state);
            // Without the lock, because this may run the code of a user's node.
            renewals.extend(due.iter().filter_map(|kept| begin(kept, now)));
            while let Poll::Ready(Some(renewed)) = renewals.poll_next_unpin(cx) {
                self.renewed(renewed);
            }

            let mut state = self.keeper.state();
            if state.latest != self.number {
                return Poll::Ready(());
            }
            let next = state.due.peek().map(|Reverse(due)| due.at);
            let next = match next {
                Some(next) => next,
                None if renewals.is_empty() => {
                    // Under the same lock under which the queue was found empty.
                    state.runner = None;
                    return Poll::Ready(());
                }
                None => now + STANDSTILL,
            };
            state.runner = Some(Running {
                runtime: self.runtime,
                alarm: next,
                waker: Some(cx.waker().clone()),
            });
            if alarm.deadline() != next {
                alarm.as_mut().reset(next);
                let waker = self.has_workers.then(|| cx.waker().clone());
                self.keeper.watch_over(next, waker);
            }
            drop(state);
            ready!(alarm.as_mut().poll(cx));
        }
    }

    fn renewed(&self, renewed: Renewed) {
        let Some(kept) = renewed.kept.upgrade() else {
            return;
        };
        let lease = &kept.lease;
        let (expiry, until) = (lease.options().timing.expiry(), lease.until());
        let next = match renewed.result {
            Ok(()) => (Instant::now() + expiry / 3).min(renewed.start + expiry / 2),
            Err(error @ ExtendError::Failed(_)) => {
                tracing::debug!(name = %lease.label(), %error, "not extended");
                let quarter = until.saturating_duration_since(renewed.start) / 4;
                renewed.start + (expiry / 12).min(quarter)
            }
            Err(ExtendError::Lost) => return report_loss(lease),
        };
        (self.keeper.state()).schedule(&kept, due_at(lease, next));
    }
}

/// Begins to extend a lock that is due, unless it has been lost.
fn begin(kept: &Arc<KeptAlive>, now: Instant) -> Option<Renewal> {
    if kept.lease.is_lost() {
        report_loss(&kept.lease);
        return None;
    }
    Some(Renewal {
        extension: Extension::within_validity(&kept.lease),
        kept: Arc::downgrade(kept),
        start: now,
    })
}

fn report_loss(lease: &Lease) {
    if !lease.has_ended() {
        lease.report_loss();
    }
}

impl Drop for Runner {
    /// If the task is dropped before it has finished, its runtime has ended, and the guards have to
    /// be extended on another.
    fn drop(&mut self) {
        let mut state = self.keeper.state();
        if state.latest != self.number {
            return;
        }
        watchdog::forget(self.keeper.number);
        if self.has_finished {
            return;
        }
        state.runner = None;
        state.ended.push(self.runtime);
        // A runtime that has ended would drop the task, and this function would run again.
        let home = state.home_besides(self.runtime);
        drop(state);
        if let Some(home) = home {
            self.keeper.run_on(&home);
        }
    }
}

pin_project! {
    /// One extension of a guard that is kept alive.
    struct Renewal {
        kept: Weak<KeptAlive>,
        start: Instant,
        #[pin]
        extension: Extension,
    }
}

struct Renewed {
    kept: Weak<KeptAlive>,
    start: Instant,
    result: Result<(), ExtendError>,
}

impl Future for Renewal {
    type Output = Renewed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Renewed> {
        let this = self.project();
        let result = ready!(this.extension.poll(cx));
        Poll::Ready(Renewed {
            kept: Weak::clone(this.kept),
            start: *this.start,
            result,
        })
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
