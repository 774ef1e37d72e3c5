//! Explorations: a scenario in hundreds of orders.

use std::{
    io::{self, Write},
    panic::{catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use shuttle::{
    Config, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread::JoinHandle,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::advance,
};

use super::{EXPLORER, Explorer, USES};

/// The same orders in each run.
const SEED: u64 = 42;

/// How many times the order of two steps of different threads has to be chosen for a mistake to
/// show, at most: what the scheduler with priorities is made for.
const DEPTH: usize = 3;

/// A scenario takes hundreds or a few thousand steps. One that takes so many does not end.
const MOST_STEPS: usize = 200_000;

/// Runs a scenario in as many orders as this, of which half are chosen by chance, and half by
/// priorities that change a few times. Prints how many there were, also if the output of tests is
/// captured.
pub(crate) fn explore(title: &str, orders: usize, scenario: fn(&Arc<Runtime>)) {
    let (begun, outcome) = (Instant::now(), run_all(orders, scenario));
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Nothing depends on it.
    let _ = writeln!(
        io::stderr(),
        "{title}: {orders} interleavings, {seconds:.1} s"
    );
}

/// Runs a scenario with a planted mistake. In one of the orders it has to panic with this message.
pub(crate) fn find(title: &str, orders: usize, message: &str, scenario: fn(&Arc<Runtime>)) {
    let panic = run_all(orders, scenario).expect_err("the mistake is not found");
    let found = panic.downcast_ref::<&str>().copied();
    let found = found.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    assert_eq!(found, Some(message));
    // Nothing depends on it.
    let _ = writeln!(io::stderr(), "{title}: found");
}

fn run_all(orders: usize, scenario: fn(&Arc<Runtime>)) -> thread::Result<()> {
    // One after the other, because all share the mutex of the watchdog's orders.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    EXPLORER.set(Some(Explorer::Shuttle));
    let outcome = catch_unwind(|| {
        run(RandomScheduler::new_from_seed(SEED, orders / 2), scenario);
        run(
            PctScheduler::new_from_seed(SEED, DEPTH, orders - orders / 2),
            scenario,
        );
    });
    EXPLORER.set(None);
    outcome
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn(&Arc<Runtime>)) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.stack_size = 1 << 20;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let runtime = Arc::new(runtime.expect("a runtime"));
        let _entered = runtime.enter();
        scenario(&runtime);
    });
}

/// A thread that runs the tasks of a runtime, and lets time pass while all others wait.
pub(crate) struct Background {
    thread: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
}

/// How many times in a row the thread has to find that no other has done anything. Fewer prove
/// nothing: by chance, it may be chosen several times in a row although others could go on.
const IDLE: u32 = 40;

impl Background {
    pub(crate) fn run(runtime: &Arc<Runtime>) -> Self {
        let runtime = Arc::clone(runtime);
        let (is_over, passed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stop, time) = (Arc::clone(&is_over), Arc::clone(&passed));
        let thread = shuttle::thread::spawn(move || {
            let mut idle = 0;
            while !stop.load(Ordering::Relaxed) {
                let before = USES.get();
                runtime.block_on(yield_now());
                shuttle::thread::yield_now();
                idle = if USES.get() == before { idle + 1 } else { 0 };
                if idle >= IDLE {
                    runtime.block_on(advance(Duration::from_millis(1)));
                    time.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            thread,
            is_over,
            passed,
        }
    }

    /// Ends the thread. Returns for how long all threads have waited.
    pub(crate) fn end(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the background");
        Duration::from_millis(self.passed.load(Ordering::Relaxed))
    }
}
