//! Fairness between processes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use redsync::{Redsync, node::MemoryNode};
use redsync_tests::{FaultyNode, Servers, faulty::Fault};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{NAME, WAIT, Watched, drowsy, ms};

const TASKS: usize = 12;

/// Lets the tasks of two processes lock until there have been this number of sections. Returns how many
/// each task got.
async fn sections(processes: [Redsync; 2], total: u32, hold: Duration) -> [Vec<u32>; 2] {
    let left = Arc::new(AtomicU32::new(total));
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for (process, redsync) in processes.iter().enumerate() {
        for _ in 0..TASKS {
            let mutex = redsync.mutex(NAME).with_fencing(true);
            let (left, inside) = (Arc::clone(&left), Arc::clone(&inside));
            tasks.spawn(async move {
                let mut acquired = 0;
                while left.load(Ordering::SeqCst) > 0 {
                    let guard = mutex.lock_within(WAIT).await.expect("a lock");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    sleep(hold).await;
                    let ended = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    });
                    acquired += u32::from(ended.is_ok());
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(guard);
                }
                (process, acquired)
            });
        }
    }
    let mut acquired = [Vec::new(), Vec::new()];
    for (process, sections) in tasks.join_all().await {
        acquired[process].push(sections);
    }
    acquired
}

#[tokio::test]
async fn processes_with_many_waiters_alternate() {
    let servers = Servers::start(3);
    let processes = [(); 2].map(|()| {
        let redsync = Redsync::connect(servers.urls()).unwrap();
        redsync
            .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)))
            .unwrap()
    });
    let total = 2000;
    let start = Instant::now();
    let acquired = sections(processes, total, ms(2)).await;
    let shares = acquired
        .clone()
        .map(|acquired| acquired.iter().sum::<u32>());
    let least = acquired
        .each_ref()
        .map(|acquired| acquired.iter().min().copied().unwrap_or(0));
    println!(
        "{total} sections of two processes of {TASKS} tasks in {:?}: {shares:?}, at least {least:?} a task",
        start.elapsed()
    );
    assert!(shares.iter().all(|share| *share >= total / 4), "{shares:?}");
    assert!(least.iter().all(|acquired| *acquired > 0), "{acquired:?}");
}

/// Nodes as seen from so far away: a message takes that time, and another to come back.
pub(crate) fn from_afar(stores: &[MemoryNode], distance: Duration) -> Redsync {
    let nodes = stores.iter().map(|store| {
        let node = FaultyNode::around(store.clone());
        node.always(Fault::late_request(distance).and_late_reply(distance));
        Watched {
            node,
            after: distance,
        }
    });
    drowsy(Redsync::new(nodes).unwrap())
}

/// One process always has somebody who waits, the other one now and then. The longest that waits.
async fn longest_wait(busy: Duration, quiet: Duration, times: u32) -> Duration {
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let (busy, quiet) = (from_afar(&stores, busy), from_afar(&stores, quiet));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let mutex = busy.mutex(NAME);
        tasks.spawn(async move {
            loop {
                let guard = mutex.lock_within(WAIT).await.expect("a lock");
                sleep(ms(2)).await;
                guard.release().await.expect("an answer");
            }
        });
    }
    sleep(ms(100)).await;
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let guard = timeout(WAIT, quiet.mutex(NAME).lock_within(WAIT)).await;
        longest = longest.max(start.elapsed());
        drop(guard.expect("an end").expect("a lock"));
        sleep(ms(fastrand::u64(1..300))).await;
    }
    tasks.shutdown().await;
    longest
}

#[tokio::test(start_paused = true)]
async fn a_process_that_comes_now_and_then_is_not_kept_out() {
    let longest = longest_wait(ms(1), ms(1), 100).await;
    println!("a hundred who come now and then: the longest waits {longest:?}");
    // The time for hand-overs, and what it takes to lose a race or two.
    assert!(longest < ms(500), "{longest:?}");
}

/// Whoever is nearer has seen that nobody came, and has the name again, before the other can come.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_farther_from_the_nodes_is_not_kept_out() {
    for far in [2, 4, 8] {
        let longest = longest_wait(ms(1), ms(far), 20).await;
        println!("twenty who are {far} times as far away: the longest waits {longest:?}");
        // The other stays back for long enough once in four seconds.
        assert!(longest < Duration::from_secs(10), "{far}: {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_lost_some_races_wins_others() {
    const HOLD: Duration = ms(50);
    const PROCESSES: usize = 4;
    fastrand::seed(7);
    let mut random = Rng::with_seed(7);
    let nodes: [_; 3] = std::array::from_fn(|_| Watched {
        after: ms(1),
        ..Watched::new()
    });
    for node in &nodes {
        let mut random = random.fork();
        node.node.plan(move |_| {
            let late = |random: &mut Rng| ms(random.u64(..3));
            Fault::late_request(late(&mut random)).and_late_reply(late(&mut random))
        });
    }
    let end = Instant::now() + ms(30_000);
    let mut tasks = JoinSet::new();
    for _ in 0..PROCESSES {
        let mutex = Redsync::new(nodes.clone()).unwrap().mutex(NAME);
        tasks.spawn(async move {
            let mut longest = Duration::ZERO;
            while Instant::now() < end {
                let begin = Instant::now();
                let guard = mutex.lock_within(WAIT).await.unwrap();
                longest = longest.max(begin.elapsed());
                sleep(HOLD).await;
                guard.release().await.unwrap();
            }
            longest
        });
    }
    let longest = tasks.join_all().await.into_iter().max().unwrap();
    // In turn, it would be the time of three others.
    println!("{longest:?}");
    assert!(longest < 10 * HOLD * (PROCESSES as u32 - 1), "{longest:?}");
}
