//! How many allocations a lock costs, and how much memory a waiter takes.

use std::time::Duration;

use allocation_counter::measure;
use redsync::{Redsync, Released};
use redsync_tests::{RedisServer, Servers, wait::until};
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::sleep,
};

const LOCKS: u64 = 10;
const SAMPLES: usize = 101;

/// Everything runs on one thread, so that the allocations of the connections' tasks count, too.
#[test]
fn an_uncontended_lock_and_its_release_allocate_little() {
    let servers = Servers::start(3);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let redsync = Redsync::connect(servers.urls()).unwrap();
    // Each step waits for all nodes. Otherwise the answer of the slowest node would arrive during
    // the next step, sometimes together with an answer that belongs to that, and the figure would
    // depend on the load of the machine.
    let mutex = redsync.mutex("order:42").with_fail_fast(false);
    let sample = || {
        let lock_and_release = async {
            for _ in 0..LOCKS {
                let guard = mutex.lock().await.unwrap();
                assert_eq!(guard.release().await.unwrap(), Released::Held);
            }
        };
        measure(|| runtime.block_on(lock_and_release)).count_total
    };

    // Connections and buffers are made before the samples that count.
    for _ in 0..SAMPLES {
        sample();
    }
    // Buffers rarely grow, and when they do, it does not change the median.
    let mut counts: Vec<_> = (0..SAMPLES).map(|_| sample()).collect();
    counts.sort_unstable();
    let per_lock = counts[SAMPLES / 2] as f64 / LOCKS as f64;

    println!("allocations for a lock and its release on three nodes: {per_lock}");
    assert!(per_lock <= 25.0, "{per_lock} allocations");
}

/// How many names another process holds.
const NAMES: usize = 500;

/// How much memory a waiter may take, with its part of the buffers of connections.
const MEMORY: f64 = 8_000.0;

const SOON: Duration = Duration::from_secs(120);

#[test]
fn a_waiter_takes_little_memory() {
    let servers = Servers::start(3);
    let name = |number: usize| format!("order:{number}");
    for server in &servers {
        for number in 0..NAMES {
            server.command(&["SET", &name(number), "theirs", "PX", "300000"]);
        }
    }
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let mut waiters = JoinSet::new();
    let mut taken = measure(|| {
        runtime.block_on(async {
            for number in 0..NAMES {
                let mutex = redsync.mutex(name(number)).with_node_timeout(SOON);
                waiters.spawn(mutex.lock_within(10 * SOON));
            }
            // So that each has been polled.
            yield_now().await;
        });
    })
    .bytes_current;
    // While they ask the servers, they take more.
    let mut goes_on = || {
        taken += measure(|| runtime.block_on(async { sleep(Duration::from_millis(20)).await }))
            .bytes_current;
        taken as f64 / NAMES as f64
    };
    let tracked = |server: &RedisServer| server.info("tracking_total_keys") == NAMES as u64;
    until("all are watched, and take little", SOON, || {
        let each = goes_on();
        servers.iter().all(tracked) && each <= MEMORY
    });
    let each = goes_on();
    println!("memory of a waiter on three nodes: {each} bytes");
    assert!(each <= MEMORY, "{each} bytes");
}
