//! Turns between processes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redsync::Redsync;
use redsync_tests::{Servers, faulty::Fault};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{NAME, WAIT, drowsy, ms, told::Told};

const TASKS: usize = 12;

/// Two processes' tasks go in and out until there have been so many sections. How many each task had.
async fn sections(processes: [Redsync; 2], total: u32, hold: Duration) -> [Vec<u32>; 2] {
    let left = Arc::new(AtomicU32::new(total));
    let inside = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for (process, redsync) in processes.iter().enumerate() {
        for _ in 0..TASKS {
            let mutex = redsync.mutex(NAME).with_fencing(true);
            let (left, inside) = (Arc::clone(&left), Arc::clone(&inside));
            tasks.spawn(async move {
                let mut had = 0;
                while left.load(Ordering::SeqCst) > 0 {
                    let guard = mutex.lock_within(WAIT).await.expect("a lock");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    sleep(hold).await;
                    let ended = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    });
                    had += u32::from(ended.is_ok());
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(guard);
                }
                (process, had)
            });
        }
    }
    let mut had = [Vec::new(), Vec::new()];
    for (process, sections) in tasks.join_all().await {
        had[process].push(sections);
    }
    had
}

#[tokio::test]
async fn processes_with_many_who_wait_have_turns_about() {
    let servers = Servers::start(3);
    let processes = [(); 2].map(|()| {
        let redsync = Redsync::connect(servers.urls()).unwrap();
        redsync
            .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)))
            .unwrap()
    });
    let total = 2000;
    let start = Instant::now();
    let had = sections(processes, total, ms(2)).await;
    let shares = had.clone().map(|had| had.iter().sum::<u32>());
    let least = had
        .each_ref()
        .map(|had| had.iter().min().copied().unwrap_or(0));
    println!(
        "{total} sections of two processes of {TASKS} tasks in {:?}: {shares:?}, at least {least:?} a task",
        start.elapsed()
    );
    assert!(shares.iter().all(|share| *share >= total / 4), "{shares:?}");
    assert!(least.iter().all(|had| *had > 0), "{had:?}");
}

/// One process always has somebody who waits, the other one now and then: it is not kept out.
#[tokio::test(start_paused = true)]
async fn who_comes_now_and_then_is_not_kept_out() {
    let nodes: Vec<_> = (0..3)
        .map(|_| Told {
            after: ms(1),
            ..Told::new()
        })
        .collect();
    for told in &nodes {
        let late = Fault::late_request(ms(1)).and_late_reply(ms(1));
        told.node.always(late);
    }
    let [busy, quiet] = [(); 2].map(|()| drowsy(Redsync::new(nodes.clone()).unwrap()));
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
    for _ in 0..100 {
        let start = Instant::now();
        let guard = timeout(WAIT, quiet.mutex(NAME).lock_within(WAIT)).await;
        longest = longest.max(start.elapsed());
        drop(guard.expect("an end").expect("a lock"));
        sleep(ms(fastrand::u64(1..300))).await;
    }
    println!("a hundred who come now and then: the longest waits {longest:?}");
    // A turn, and what it takes to lose a race or two.
    assert!(longest < ms(500), "{longest:?}");
    tasks.shutdown().await;
}
