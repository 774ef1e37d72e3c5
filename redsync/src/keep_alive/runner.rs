//! The task that extends guards, and the runtime on which it runs.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    renewal::Renewal,
    schedule::{KeptAlive, Schedule},
    watchdog,
};
use crate::{
    runtimes::{Runtimes, has_workers},
    sync::{Mutex, MutexGuard},
};

/// If the task is this late, it is started again, even if there is no other runtime. The default
/// expiry of 8 s leaves time for several such starts.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The tasks of a keeper: the present one, and the earlier ones that it has replaced.
pub(super) struct Tasks {
    /// The number by which the watchdog knows this keeper.
    number: u64,
    runtimes: Arc<Runtimes>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    /// The present task, if there is one.
    runner: Option<Running>,
    /// The number of the latest task. All earlier tasks end themselves.
    latest: u64,
}

struct Running {
    runtime: Id,
    /// When the task wakes by itself.
    alarm: Instant,
    waker: Option<Waker>,
}

impl Tasks {
    pub(super) fn new(runtimes: &Arc<Runtimes>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            // Relaxed: the number only has to be unique.
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            runtimes: Arc::clone(runtimes),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Plans the first extension of a guard that comes from the runtime `here`, and lets a task
    /// run by then.
    pub(super) fn keep(
        self: &Arc<Self>,
        kept: &Arc<KeptAlive>,
        first: Instant,
        here: &Handle,
        now: Instant,
    ) {
        self.runtimes.note(here);
        let mut state = self.state();
        let next = state.schedule.plan(kept, first);
        match &mut state.runner {
            Some(running) if running.is_late(here, now) => {
                drop(state);
                tracing::debug!("the runtime that extends locks stands still; using this one");
                self.run_on(here);
            }
            Some(running) if next < running.alarm => {
                running.alarm = next;
                let waker = running.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    off_this_worker(here, move || waker.wake());
                }
            }
            Some(_) => {}
            None => {
                drop(state);
                self.run_on(here);
            }
        }
    }

    /// Starts a task on the given runtime. It replaces the present one.
    fn run_on(self: &Arc<Self>, runtime: &Handle) {
        let mut state = self.state();
        state.latest += 1;
        let runner = Runner {
            tasks: Arc::clone(self),
            number: state.latest,
            runtime: runtime.id(),
            has_workers: has_workers(runtime),
            has_finished: false,
        };
        state.runner = Some(Running {
            runtime: runtime.id(),
            // It is polled as soon as its runtime can, and checks what is due.
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
        let tasks = Arc::downgrade(self);
        let if_late = move || {
            if let Some(tasks) = tasks.upgrade() {
                tasks.leave_runtime();
            }
        };
        watchdog::watch_over(self.number, due.into_std(), waker, if_late);
    }

    /// Moves to another runtime, if one is known, because the present one stands still.
    fn leave_runtime(self: &Arc<Self>) {
        let present = (self.state().runner.as_ref()).map(|running| running.runtime);
        if let Some(other) = present.and_then(|present| self.runtimes.besides(present)) {
            tracing::debug!("the runtime that extends locks stands still; using another");
            self.run_on(&other);
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        watchdog::forget(self.number);
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

impl Running {
    /// Whether to replace the task by one on the runtime `other`.
    fn is_late(&self, other: &Handle, now: Instant) -> bool {
        let is_same = self.runtime == other.id();
        now > self.alarm + if is_same { STANDSTILL } else { watchdog::LATE }
    }
}

/// The task that extends guards.
struct Runner {
    tasks: Arc<Tasks>,
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
        poll_fn(|cx| self.poll(cx, &mut renewals, alarm.as_mut())).await;
        self.has_finished = true;
    }

    /// Begins the extensions that are due, takes the results of others, and sleeps until the next
    /// is due. Resolves when nothing is left to do, or when another task has replaced this one.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        renewals: &mut FuturesUnordered<Renewal>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let mut state = self.tasks.state();
            if state.latest != self.number {
                return Poll::Ready(());
            }
            let due = state.schedule.take_due(now);
            drop(state);
            // Without the lock, because this may run the code of a user's node.
            renewals.extend(due.iter().filter_map(|kept| Renewal::begin(kept, now)));
            while let Poll::Ready(Some(renewed)) = renewals.poll_next_unpin(cx) {
                if let Some((kept, next)) = renewed.next() {
                    self.tasks.state().schedule.plan(&kept, next);
                }
            }

            let mut state = self.tasks.state();
            if state.latest != self.number {
                return Poll::Ready(());
            }
            let next = match state.schedule.next() {
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
                self.tasks.watch_over(next, waker);
            }
            drop(state);
            ready!(alarm.as_mut().poll(cx));
        }
    }
}

impl Drop for Runner {
    /// If the task is dropped before it has finished, its runtime has ended, and the guards have to
    /// be extended on another.
    fn drop(&mut self) {
        let mut state = self.tasks.state();
        if state.latest != self.number {
            return;
        }
        watchdog::forget(self.tasks.number);
        if self.has_finished {
            return;
        }
        state.runner = None;
        drop(state);
        if let Some(other) = self.tasks.runtimes.besides(self.runtime) {
            self.tasks.run_on(&other);
        }
    }
}
