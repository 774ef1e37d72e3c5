//! More locks than the nodes can grant.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use crate::{
    busy::{BusyNode, redsync},
    ms,
};

/// A node does a command in this time, so it grants and releases 500 locks a second.
const PACE: Duration = ms(1);
const CAPACITY: usize = 500;

const SECONDS: usize = 3;
const WAIT: Duration = ms(1_000);

/// The load is offered in steps.
const STEP: Duration = ms(10);

#[tokio::test(start_paused = true)]
async fn a_load_beyond_what_nodes_can_do_leaves_goodput() {
    for times in [2, 4] {
        let nodes = [PACE; 3].map(BusyNode::with_pace);
        let redsync = redsync(&nodes);
        let (mut calls, mut steps) = (JoinSet::new(), interval(STEP));
        for _ in 0..SECONDS * 100 {
            steps.tick().await;
            for _ in 0..times * CAPACITY / 100 {
                let mutex = redsync.mutex(format!("name:{}", calls.len()));
                calls.spawn(async move {
                    let begun = Instant::now();
                    let granted = match mutex.lock_within(WAIT).await {
                        Ok(guard) => guard.release().await.is_ok(),
                        Err(_) => false,
                    };
                    (granted, begun.elapsed())
                });
            }
        }
        let calls = calls.join_all().await;
        let granted = calls.iter().filter(|(granted, _)| *granted).count();
        let possible = SECONDS * CAPACITY;
        assert!(
            granted * 10 >= possible * 8,
            "{granted} of {possible} locks were granted, of {times} times as many"
        );
        let late = calls.iter().filter(|(_, took)| *took > WAIT * 3 / 2);
        assert!(late.count() * 100 <= calls.len());
        // The nodes did no more for the calls that could not succeed.
        for node in &nodes {
            let sent = node.acquisitions();
            assert!(
                sent * 10 <= granted * 11,
                "{sent} attempts, {granted} granted"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_overload_the_next_lock_is_granted_at_once() {
    let nodes = [PACE; 3].map(BusyNode::with_pace);
    let redsync = redsync(&nodes);
    let calls: JoinSet<_> = (0..10 * CAPACITY)
        .map(|name| redsync.mutex(format!("name:{name}")).lock_within(WAIT))
        .collect();
    drop(calls.join_all().await);
    redsync.drain().await;
    let begun = Instant::now();
    let _guard = redsync.mutex("after").try_lock().await.unwrap();
    assert!(begun.elapsed() <= 2 * PACE);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_behind_others_of_its_process_needs_no_place_among_the_attempts() {
    let nodes = [PACE; 3].map(BusyNode::with_pace);
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex("name");
    let holder = mutex.lock().await.unwrap();
    let first = tokio::spawn(mutex.lock_within(WAIT));
    sleep(10 * PACE).await;
    let calls: JoinSet<_> = (0..CAPACITY)
        .map(|name| redsync.mutex(format!("name:{name}")).lock_within(WAIT))
        .collect();
    sleep(PACE).await;
    let second = tokio::spawn(mutex.lock_within(WAIT / 20));
    sleep(PACE).await;
    drop(holder);
    drop(first.await.unwrap().unwrap());
    let handed_over = second.await.unwrap();
    assert!(handed_over.is_ok(), "{handed_over:?}");
    drop(calls);
}
