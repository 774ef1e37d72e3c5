//! A thread that wakes the keeper when no worker of its runtime would.
//!
//! A handler may block its thread. If that thread was the one that polled the runtime's timers, no
//! other takes over as long as nothing wakes it: the other workers sleep, the keeper's timer does not
//! fire, and no reply is read. And a task that a worker wakes sits in that worker's own slot, from
//! which no other worker takes it. A task that is woken from outside of the runtime is given to a
//! worker that sleeps, and this worker polls the timers and the connections from then on.
//!
//! So there is one thread for the process, which sleeps until a keeper is due, and wakes it. It is
//! started with the first guard that is kept alive on a multi-thread runtime. If it cannot be started,
//! keepers depend on their runtimes' timers alone.

use std::{
    collections::HashMap,
    mem,
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
    time::Instant,
};

/// Whether the thread runs.
static RUNS: LazyLock<bool> = LazyLock::new(start);

/// The thread's orders, and the notice that they have changed.
static ORDERS: LazyLock<Mutex<Orders>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

#[derive(Default)]
struct Orders {
    /// By the number of the keeper: when to wake it.
    alarms: HashMap<u64, (Instant, Waker)>,
    jobs: Vec<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// Wakes the keeper of that number at an instant, instead of at any instant before.
pub(super) fn wake_at(keeper: u64, at: Instant, waker: Waker) {
    if !*RUNS {
        return;
    }
    let mut orders = orders();
    let is_next = orders.alarms.values().all(|(next, _)| at < *next);
    orders.alarms.insert(keeper, (at, waker));
    drop(orders);
    if is_next {
        CHANGED.notify_one();
    }
}

/// Wakes the keeper of that number no more.
pub(super) fn forget(keeper: u64) {
    orders().alarms.remove(&keeper);
}

/// Does something on the thread: for what must not be done by a worker of the runtime.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    if !*RUNS {
        return job();
    }
    orders().jobs.push(Box::new(job));
    CHANGED.notify_one();
}

fn orders() -> MutexGuard<'static, Orders> {
    // Nothing panics while they are changed.
    ORDERS.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (due, jobs) = next(orders, changed);
        // Not under the lock: a keeper that is woken gives new orders.
        due.into_iter().for_each(Waker::wake);
        jobs.into_iter().for_each(|job| job());
    }
}

/// Sleeps until there is something to do.
fn next(orders: &Mutex<Orders>, changed: &Condvar) -> (Vec<Waker>, Vec<Job>) {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        let is_due = |_: &u64, alarm: &mut (Instant, Waker)| alarm.0 <= now;
        let due = orders.alarms.extract_if(is_due);
        let due: Vec<_> = due.map(|(_, (_, waker))| waker).collect();
        if !due.is_empty() || !orders.jobs.is_empty() {
            return (due, mem::take(&mut orders.jobs));
        }
        orders = match orders.alarms.values().map(|(at, _)| *at).min() {
            Some(next) => {
                let waited = changed.wait_timeout(orders, next - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => (changed.wait(orders)).unwrap_or_else(PoisonError::into_inner),
        };
    }
}
