//! A thread that wakes the keeper when no worker of its runtime would.
//!
//! A handler may block its thread. If that thread was the one that polled the runtime's timers, the
//! other workers sleep, and none of them takes over until it is woken. Meanwhile the keeper's timer
//! does not fire, and no reply is read. Nor does it help if the worker has woken a task before it
//! was blocked: the task sits in that worker's own slot, from which no other worker takes it. A
//! task that is woken from outside of the runtime, however, is given to a worker that sleeps, and
//! this worker polls the timers and the connections from then on.
//!
//! So there is one thread for the process, which sleeps until a keeper is due, and wakes it. If the
//! keeper does not run even then, its runtime stands still, and the keeper moves to another.
//!
//! The thread is started with the first guard that is kept alive. If it cannot be started, keepers
//! depend on their runtimes' timers alone.

use std::{
    collections::HashMap,
    mem,
    sync::LazyLock,
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use crate::sync::{Condvar, Mutex, MutexGuard};

/// If the keeper is this late, its runtime stands still, and the keeper moves to another. A runtime
/// that is merely busy runs a task that was woken well before, and a move takes a small part of the
/// validity.
pub(super) const LATE: Duration = Duration::from_millis(100);

/// Whether the thread runs.
static RUNS: LazyLock<bool> = LazyLock::new(start);

/// The thread's orders, and the notice that they have changed.
static ORDERS: LazyLock<Mutex<Orders>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

#[derive(Default)]
struct Orders {
    /// By the number of the keeper.
    alarms: HashMap<u64, Alarm>,
    jobs: Vec<Job>,
}

/// When to look after a keeper that has not run by then.
struct Alarm {
    at: Instant,
    /// Wakes the keeper, unless that was done.
    waker: Option<Waker>,
    /// Runs if the keeper does not run even then.
    if_late: Option<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// Watches over a keeper that is due at an instant, which replaces the instant set before.
///
/// With a waker, the thread wakes the keeper when it is due.
pub(super) fn watch_over(
    keeper: u64,
    due: Instant,
    waker: Option<Waker>,
    if_late: impl FnOnce() + Send + 'static,
) {
    if !*RUNS {
        return;
    }
    let at = if waker.is_some() { due } else { due + LATE };
    let mut orders = orders();
    let is_next = orders.alarms.values().all(|alarm| at < alarm.at);
    let alarm = Alarm {
        at,
        waker,
        if_late: Some(Box::new(if_late)),
    };
    orders.alarms.insert(keeper, alarm);
    drop(orders);
    if is_next {
        CHANGED.notify_one();
    }
}

/// Cancels the waking of the keeper with this number.
pub(super) fn forget(keeper: u64) {
    orders().alarms.remove(&keeper);
}

/// Runs a job on the thread: a job that must not run on a worker of the runtime.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    if !*RUNS {
        return job();
    }
    orders().jobs.push(Box::new(job));
    CHANGED.notify_one();
}

fn orders() -> MutexGuard<'static, Orders> {
    ORDERS.lock()
}

fn start() -> bool {
    let thread = thread::Builder::new().name("redsync-keeper".into());
    let started = thread.spawn(|| watch(&ORDERS, &CHANGED));
    started
        .inspect_err(|error| tracing::warn!(%error, "no thread to watch over extensions"))
        .is_ok()
}

fn watch(orders: &Mutex<Orders>, changed: &Condvar) {
    loop {
        for job in next(orders, changed) {
            // Not under the lock: a keeper that is woken gives new orders.
            job();
        }
    }
}

/// Sleeps until there is something to do.
fn next(orders: &Mutex<Orders>, changed: &Condvar) -> Vec<Job> {
    let mut orders = orders.lock();
    loop {
        let now = Instant::now();
        orders.take_due(now);
        if !orders.jobs.is_empty() {
            return mem::take(&mut orders.jobs);
        }
        let first = orders.alarms.values().map(|alarm| alarm.at).min();
        orders = changed.wait(orders, first.map(|first| first - now));
    }
}

impl Orders {
    /// Takes the alarms that are due, and makes jobs of them.
    fn take_due(&mut self, now: Instant) {
        let Self { alarms, jobs } = self;
        alarms.retain(|_, alarm| {
            if alarm.at > now {
                return true;
            }
            if let Some(waker) = alarm.waker.take() {
                alarm.at = now + LATE;
                jobs.push(Box::new(|| waker.wake()));
                return true;
            }
            jobs.extend(alarm.if_late.take());
            false
        });
    }
}
