//! What is left of a million names.

use std::{
    fs,
    time::{Duration, Instant},
};

use redsync::Redsync;

use crate::{WAIT, poll_once, process, process::Process};

const NAMES: u32 = 1_000_000;

/// The memory of this process in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The expiry of a lock that nobody releases.
const SHORT: Duration = Duration::from_millis(300);

/// Locks each name. For each fifth name there are two waiters: one is served, and one leaves. For each tenth,
/// both leave, and the lock is left to expire.
async fn touch(redsync: &Redsync, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let is_left = number % 10 == 0;
        let mutex = redsync.mutex(format!("order:{number}"));
        // Any other outlives its waiters also where the process has to pause.
        let mutex = if is_left {
            mutex.with_expiry(SHORT)
        } else {
            mutex
        };
        let guard = mutex.lock().await.expect("a lock");
        if number % 5 == 0 {
            let mut served = Box::pin(mutex.lock_within(WAIT));
            let mut leaves = Box::pin(mutex.lock_within(WAIT));
            let polled = [
                poll_once(&mut served).await.is_pending(),
                poll_once(&mut leaves).await.is_pending(),
            ];
            assert!(is_left || polled == [true, true], "both wait");
            if is_left {
                // From the nodes, which tell.
                drop(guard.into_parts().value);
                drop(served);
            } else {
                drop(guard);
                drop(served.await.expect("a lock"));
            }
            drop(leaves);
        } else {
            drop(guard);
        }
        if number % 64 == 0 {
            // Else what goes on in the background would pile up.
            redsync.drain().await;
        }
    }
    redsync.drain().await;
}

/// In a process of its own, because only the memory of a whole process can be seen.
#[tokio::test]
#[ignore = "another test starts it as a child process"]
async fn child_process_that_touches_a_million_names() {
    if process::urls().is_none() {
        return;
    }
    let redsync = Redsync::in_memory(1)
        .with_defaults(|mutex| mutex.with_expiry(WAIT))
        .unwrap();
    // What is kept for as many as there are at a time.
    touch(&redsync, 0..NAMES / 10).await;
    let before = resident();
    touch(&redsync, NAMES / 10..NAMES + NAMES / 10).await;
    let after = resident();
    process::say(&match (before, after) {
        (Some(before), Some(after)) => after.saturating_sub(before).to_string(),
        _ => "unknown".to_owned(),
    });
}

#[test]
fn memory_is_given_back_after_a_million_names() {
    let start = Instant::now();
    let grown = Process::start("memory::child_process_that_touches_a_million_names", &[]).said();
    println!(
        "a million names: {grown} KiB more than after the first, in {:?}",
        start.elapsed()
    );
    if let Ok(grown) = grown.parse::<u64>() {
        // A word for each of the names would be as much.
        assert!(grown < 8 * 1024, "{grown} KiB");
    }
}
