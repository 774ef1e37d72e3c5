//! Wake-ups between processes, ten thousand of them.

use redsync::{Guard, Redsync};
use redsync_tests::{Servers, wait::until_async};
use tokio::time::{Duration, Instant, timeout};

use crate::{POLL, SOON, WAIT, drowsy, process, process::Process};

/// How often each of the two processes waits for the other.
const ROUNDS: u32 = 5000;

const NAMES: [&str; 2] = ["ping", "pong"];

/// Two processes hold one name each. In turns, one process releases its name and waits for that of the
/// other, which waits for the released name and then releases its own. So each lock is acquired in the
/// moment in which the other process releases it.
async fn rally(redsync: &Redsync, mut own: usize, mut held: Guard) -> (Duration, Guard) {
    let mut longest = Duration::ZERO;
    let mut serves = own == 0;
    for round in 0..ROUNDS {
        let mutex = redsync.mutex(NAMES[1 - own]);
        let start;
        let next = if serves {
            if round % 4 < 2 {
                drop(held);
            } else {
                held.release().await.expect("an answer");
            }
            start = Instant::now();
            mutex.lock_within(WAIT).await
        } else {
            start = Instant::now();
            let next = mutex.lock_within(WAIT).await;
            drop(held);
            next
        };
        held = next.unwrap_or_else(|error| panic!("round {round}: {error}"));
        longest = longest.max(start.elapsed());
        assert!(longest < POLL / 2, "round {round}: it took {longest:?}");
        own = 1 - own;
        serves = !serves;
    }
    (longest, held)
}

#[tokio::test]
#[ignore = "another test starts it as a child process"]
async fn child_process_on_the_other_side() {
    let Some(urls) = process::urls() else { return };
    let redsync = drowsy(Redsync::connect(urls).unwrap());
    let held = redsync.mutex(NAMES[1]).lock().await.unwrap();
    process::say("holds");
    let (longest, held) = rally(&redsync, 1, held).await;
    drop(held);
    redsync.drain().await;
    process::say(&format!("{longest:?}"));
}

#[tokio::test]
async fn no_wake_up_is_lost_in_ten_thousand_rounds() {
    let servers = Servers::start(3);
    let redsync = drowsy(Redsync::connect(servers.urls()).unwrap());
    let held = redsync.mutex(NAMES[0]).lock().await.unwrap();
    let mut other = Process::start(
        "processes::child_process_on_the_other_side",
        &servers.urls(),
    );
    assert_eq!(other.said(), "holds");
    let start = Instant::now();
    let limit = 2 * SOON;
    let (longest, held) = timeout(limit, rally(&redsync, 0, held))
        .await
        .expect("a wake-up was lost, or the machine is too busy");
    let took = start.elapsed();
    held.release().await.expect("an answer");
    println!(
        "{} rounds between two processes in {took:?}: {:?} each, the longest {longest:?} here and {} there",
        2 * ROUNDS,
        took / (2 * ROUNDS),
        other.said(),
    );
    redsync.drain().await;
    until_async("nothing is left", SOON, async || {
        servers.iter().all(|server| server.keys().is_empty())
    })
    .await;
}
