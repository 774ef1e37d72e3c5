//! A panic in a recorder of metrics, which is code of the service, ends the call that it reaches, and leaves
//! no lock and no work in the background.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, set_default_local_recorder,
};
use redsync::Redsync;
use tokio::time::{sleep, timeout};

use crate::{NAME, ms, nodes, redsync};

/// A recorder that panics once, at its call with this number. The calls are counted from [`armed`](Self::armed) on.
#[derive(Clone)]
struct Panicking {
    calls: Arc<AtomicUsize>,
    at: usize,
}

/// The count of calls before that: no call has such a number.
const UNARMED: usize = usize::MAX / 2;

impl Panicking {
    fn unarmed(at: usize) -> Self {
        let calls = Arc::new(AtomicUsize::new(UNARMED));
        Self { calls, at }
    }

    fn armed(&self) {
        self.calls.store(0, Ordering::Relaxed);
    }

    /// Returns whether it has panicked, which it will not do from here on.
    fn disarmed(&self) -> bool {
        self.calls.swap(UNARMED, Ordering::Relaxed) > self.at
    }

    fn called(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.at {
            panic!("an expected panic");
        }
    }
}

impl CounterFn for Panicking {
    fn increment(&self, _: u64) {
        self.called();
    }

    fn absolute(&self, _: u64) {
        self.called();
    }
}

impl HistogramFn for Panicking {
    fn record(&self, _: f64) {
        self.called();
    }
}

impl Recorder for Panicking {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.clone()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

/// Locks one after the other, which are kept alive and end in different ways.
async fn use_locks(redsync: &Redsync) {
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let mutex = redsync.mutex(NAME).with_fencing(number == 3);
            tokio::spawn(async move {
                let mut guard = mutex.lock_within(Duration::from_secs(60)).await.unwrap();
                guard.keep_alive();
                sleep(ms(500)).await;
                match number {
                    0 => drop(guard),
                    _ => drop(guard.release().await),
                }
            })
        })
        .collect();
    for task in tasks {
        // It may have panicked.
        let _ = task.await;
    }
}

#[test]
fn a_panic_of_any_call_of_the_recorder_leaves_nothing() {
    for at in 0.. {
        let recorder = &*Box::leak(Box::new(Panicking::unarmed(at)));
        let _local = set_default_local_recorder(recorder);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let has_panicked = runtime.block_on(async {
            let nodes = nodes::<3>();
            let redsync = redsync(&nodes);
            let mut other = redsync.mutex("another").lock().await.unwrap();
            other.keep_alive();
            recorder.armed();
            let minute = Duration::from_secs(60);
            let used = timeout(minute, use_locks(&redsync)).await;
            used.expect("no waiter is forgotten");
            let has_panicked = recorder.disarmed();
            assert!(!other.is_lost(), "call {at} ended the keeper of all locks");
            drop(other);
            let drained = timeout(minute, redsync.drain()).await;
            drained.expect("nothing waits for ever");
            let free = self::redsync(&nodes).mutex(NAME).try_lock().await;
            drop(free.unwrap_or_else(|error| panic!("call {at}: {error}")));
            has_panicked
        });
        if !has_panicked {
            assert!(at > 20, "it is called for each lock and each answer");
            return;
        }
    }
}
