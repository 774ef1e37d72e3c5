//! How many allocations a lock costs.

use allocation_counter::measure;
use redsync::{Redsync, Released};
use redsync_tests::Servers;
use tokio::runtime::Builder;

const LOCKS: u64 = 10;
const SAMPLES: usize = 101;

/// Everything runs on one thread, so that the allocations of the connections' tasks count, too.
#[test]
fn an_uncontended_lock_and_its_release_allocate_little() {
    let servers = Servers::start(3);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let redsync = Redsync::connect(servers.urls()).unwrap();
    // Each step waits for all nodes. Otherwise the answer of the slowest node would arrive during the
    // next step, sometimes together with an answer that belongs to that, and the figure would depend
    // on the load of the machine.
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
