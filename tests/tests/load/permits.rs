//! Ten thousand waiters for the permits of one semaphore.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use redsync::Redsync;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    busy::{BusyNode, redsync},
    ms,
};

const WAITERS: usize = 10_000;
const PERMITS: usize = 4;

/// Longer than all of them take.
const WAIT: Duration = ms(3_600_000);

/// The semaphore of a process whose polls are at the usual pace.
fn exports(redsync: &Redsync) -> redsync::Mutex {
    redsync.semaphore("export", PERMITS).with_expiry(WAIT)
}

#[tokio::test(start_paused = true)]
async fn waiters_for_a_semaphore_cost_no_commands_and_are_all_granted_in_order() {
    let nodes = [ms(0); 3].map(BusyNode::late);
    let (here, there) = (redsync(&nodes), redsync(&nodes));
    let mut held = Vec::new();
    for _ in 0..PERMITS {
        held.push(exports(&there).lock().await.unwrap());
    }
    let granted = Arc::<Mutex<Vec<usize>>>::default();
    let (inside, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut waiters = JoinSet::new();
    for number in 0..WAITERS {
        let mutex = exports(&here);
        let granted = Arc::clone(&granted);
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        waiters.spawn(async move {
            let guard = mutex.lock_within(WAIT).await.unwrap();
            most.fetch_max(1 + inside.fetch_add(1, Relaxed), Relaxed);
            granted.lock().unwrap().push(number);
            sleep(ms(1)).await;
            inside.fetch_sub(1, Relaxed);
            guard.release().await.unwrap();
        });
    }
    // The first attempts of all, and from then on the one at the head.
    sleep(ms(10_000)).await;
    let before: Vec<_> = nodes.iter().map(BusyNode::acquisitions).collect();
    sleep(ms(60_000)).await;
    for (node, before) in nodes.iter().zip(&before) {
        let sent = node.acquisitions() - before;
        println!("{sent} attempts in a minute, {before} before");
        assert!(sent <= 60 * PERMITS, "{sent}");
    }

    let before: Vec<_> = nodes.iter().map(BusyNode::acquisitions).collect();
    drop(held);
    while let Some(waiter) = waiters.join_next().await {
        waiter.unwrap();
    }
    let granted = std::mem::take(&mut *granted.lock().unwrap());
    assert_eq!(granted.len(), WAITERS);
    assert!(most.load(Relaxed) <= PERMITS);
    // Those whose permits are acquired at the same time may be reported in another order.
    let late = |(at, number): (usize, &usize)| number.abs_diff(at) > 2 * PERMITS;
    assert_eq!(granted.iter().enumerate().filter(|it| late(*it)).count(), 0);
    for (node, before) in nodes.iter().zip(&before) {
        let sent = node.acquisitions() - before;
        println!("{sent} attempts for {WAITERS} permits");
        // Nearly all of them are handed over.
        assert!(sent <= WAITERS / 20, "{sent}");
    }
    here.drain().await;
    there.drain().await;
}
