//! How many instructions a lock and its release take, in the core and through the layer: figures
//! that do not depend on what else the machine does.
//!
//! ```sh
//! cargo bench -p redsync-tower --bench instructions
//! cargo bench -p redsync-tower --bench instructions --features metrics
//! ```
//!
//! The first command measures without the feature `metrics`, the second with it and a recorder that
//! counts. The program runs itself under `valgrind --tool=callgrind`, twice for each figure, with
//! different numbers of locks: the difference is without the start and the end. If the environment
//! variable `REDIS_URLS` has the URLs of running servers, separated by commas, they are measured
//! too. What the system does is not counted.

use std::{
    convert::Infallible,
    env,
    future::ready,
    process::{self, Command},
    time::Duration,
};

use http::{Request, Response};
use redsync_tower::{RedlockLayer, key, redsync::Redsync};
use tokio::runtime::Builder;
use tower::{Layer, Service};

const FEW: u64 = 1000;
const MANY: u64 = 3000;

/// This many locks with names of their own are under way at the same time, as in a service under
/// load.
const TASKS: u64 = 20;

const MEMORY: &str = "memory";

const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<_> = env::args().collect();
    match &*arguments {
        [_, what, nodes, locks] => perform(what, nodes, locks.parse().expect("a number")),
        _ => measure(),
    }
}

/// Prints the figures.
fn measure() {
    let feature = if cfg!(feature = "metrics") {
        "with"
    } else {
        "without"
    };
    println!("instructions for a lock and its release on 3 nodes, {feature} metrics");
    let redis = env::var("REDIS_URLS").ok();
    for nodes in [Some(MEMORY.to_owned()), redis].into_iter().flatten() {
        for what in ["core", "layer"] {
            let both = instructions(what, &nodes, MANY) - instructions(what, &nodes, FEW);
            let kind = if nodes == MEMORY { MEMORY } else { "redis" };
            println!("{what:>6}, {kind}: {}", both / (MANY - FEW));
        }
    }
}

/// The instructions of this program with these arguments.
fn instructions(what: &str, nodes: &str, locks: u64) -> u64 {
    let itself = env::current_exe().expect("the path of this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(itself)
        .args([what, nodes, &locks.to_string()])
        .output()
        .expect("valgrind, which has to be installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.split_once("Collected :").and_then(|(_, after)| {
        let number = after.split_whitespace().next()?;
        number.parse().ok().filter(|_| output.status.success())
    });
    collected.unwrap_or_else(|| {
        eprintln!("{log}");
        process::abort()
    })
}

/// Makes this number of locks.
fn perform(what: &str, nodes: &str, locks: u64) {
    #[cfg(feature = "metrics")]
    ::metrics::set_global_recorder(recorder::Counting).expect("the only recorder");
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let redsync = match nodes {
            MEMORY => Redsync::in_memory(3),
            urls => Redsync::connect(urls.split(',')).expect("nodes"),
        };
        // Valgrind makes this program fifty times slower.
        let patient = redsync.with_defaults(|mutex| mutex.with_node_timeout(PATIENCE));
        let redsync = patient.expect("a valid time limit");
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (redsync, name) = (redsync.clone(), format!("order:{task}"));
                let locks = locks / TASKS;
                match what {
                    "core" => tokio::spawn(core(redsync, name, locks)),
                    _ => tokio::spawn(layer(redsync, name, locks)),
                }
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        redsync.drain().await;
    });
}

/// Locks as the layer does.
async fn core(redsync: Redsync, name: String, locks: u64) {
    for _ in 0..locks {
        let mut guard = redsync.mutex(&*name).try_lock().await.expect("free");
        guard.keep_alive();
        guard.release().await.expect("a majority");
    }
}

async fn layer(redsync: Redsync, name: String, locks: u64) {
    let inner = tower::service_fn(|_: Request<String>| {
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let mut service = RedlockLayer::new(redsync, key::header("name")).layer(inner);
    for _ in 0..locks {
        let request = Request::post("/")
            .header("name", &*name)
            .body(String::new());
        let response = service.call(request.expect("a request")).await;
        assert!(response.expect("no error").status().is_success());
    }
}

/// A recorder that does no more than to count and to add up.
#[cfg(feature = "metrics")]
mod recorder {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit,
    };

    pub(super) struct Counting;

    /// The numbers of values up to powers of two.
    struct Buckets([AtomicU64; 64]);

    impl HistogramFn for Buckets {
        fn record(&self, value: f64) {
            let bucket = ((value * 1e9) as u64).leading_zeros() as usize;
            // Nobody reads them, so their order does not matter.
            self.0[bucket % 64].fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Recorder for Counting {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(Arc::new(AtomicU64::new(0)))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(Arc::new(AtomicU64::new(0)))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            let buckets = Buckets(std::array::from_fn(|_| AtomicU64::new(0)));
            Histogram::from_arc(Arc::new(buckets))
        }
    }
}
