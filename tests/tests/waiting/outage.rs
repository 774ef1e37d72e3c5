//! A queue while the nodes are away.

use std::time::Duration;

use redsync::{LockError, Redsync};
use redsync_tests::{Servers, faulty::Fault};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{NAME, SOON, WAIT, Watched, ms};

const PAUSE: Duration = ms(200);

fn redsync(nodes: &[Watched]) -> Redsync {
    Redsync::new(nodes.to_vec())
        .and_then(|redsync| redsync.with_defaults(|mutex| mutex.with_retry_delay(PAUSE)))
        .expect("a configuration that works")
}

/// How nodes can be away.
fn faults() -> [Fault; 2] {
    [Fault::unreachable(), Fault::lost_request()]
}

#[tokio::test(start_paused = true)]
async fn all_waiters_in_a_queue_soon_fail_in_an_outage() {
    for fault in faults() {
        for first_come in [false, true] {
            let nodes = [Watched::new(), Watched::new(), Watched::new()];
            let here = redsync(&nodes);
            let there = redsync(&nodes);
            let mutex = (here.mutex(NAME)).with_outage_attempts(2);
            let held = there.mutex(NAME).lock().await.unwrap();
            let mut tasks = JoinSet::new();
            let away = || {
                nodes[..2]
                    .iter()
                    .for_each(|watched| watched.node.always(fault.clone()))
            };
            if first_come {
                away();
            }
            for _ in 0..16 {
                let waiter = mutex.lock_within(WAIT);
                tasks.spawn(waiter);
                sleep(ms(1)).await;
            }
            away();
            let start = Instant::now();
            for result in tasks.join_all().await {
                assert!(
                    matches!(result, Err(LockError::Unavailable(_))),
                    "{result:?}"
                );
            }
            // An attempt that notices the outage, and another; each takes no longer than the limit of a
            // node. The nodes still send wake-ups, so the first may be due in two seconds.
            let took = start.elapsed();
            assert!(
                took <= Duration::from_secs(2) + 3 * (PAUSE + ms(400)),
                "{took:?}"
            );
            drop(held);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_served_when_the_nodes_are_back() {
    for fault in faults() {
        let nodes = [Watched::new(), Watched::new(), Watched::new()];
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME);
        let held = mutex.lock().await.unwrap();
        let mut tasks = JoinSet::new();
        for _ in 0..16 {
            tasks.spawn(use_it(mutex.lock_within(WAIT)));
            sleep(ms(1)).await;
        }
        for watched in &nodes[1..] {
            watched.node.always(fault.clone());
        }
        // Not handed over: the time for that is over.
        sleep(ms(100)).await;
        drop(held);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(tasks.len(), 16);
        assert!(tasks.try_join_next().is_none());
        for watched in &nodes {
            watched.node.always(Fault::none());
        }
        let start = Instant::now();
        tasks.join_all().await;
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

async fn use_it(lock: redsync::future::Lock) {
    let guard = lock.await.expect("a lock");
    sleep(ms(1)).await;
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_over_is_forgotten() {
    let nodes = [Watched::new(), Watched::new(), Watched::new()];
    let (here, there) = (redsync(&nodes), redsync(&nodes));
    let mutex = here.mutex(NAME).with_outage_attempts(3);
    let mut held = there.mutex(NAME).lock().await.unwrap();
    held.keep_alive();
    let waiters: Vec<_> = [(); 4].map(|()| mutex.lock_within(WAIT)).into();
    let mut tasks = JoinSet::new();
    for waiter in waiters {
        tasks.spawn(waiter);
        sleep(ms(1)).await;
    }
    for _ in 0..20 {
        // For one attempt of the head, and not long enough for the holder to notice.
        for watched in &nodes[..2] {
            watched.node.always(Fault::unreachable());
        }
        sleep(PAUSE - ms(20)).await;
        for watched in &nodes[..2] {
            watched.node.always(Fault::none());
        }
        sleep(3 * PAUSE).await;
    }
    assert!(tasks.try_join_next().is_none());
    drop(held);
    for result in tasks.join_all().await {
        drop(result.expect("a lock"));
    }
}

#[tokio::test]
async fn a_queue_is_served_when_killed_servers_are_back() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls())
        .and_then(|redsync| {
            redsync.with_defaults(|mutex| {
                (mutex.with_retry_delay(PAUSE)).with_node_timeout(Duration::from_secs(3))
            })
        })
        .unwrap();
    let mutex = redsync.mutex(NAME);
    let impatient = redsync.mutex("impatient").with_outage_attempts(2);
    let (held, other) = (mutex.lock().await.unwrap(), impatient.lock().await.unwrap());
    let (mut patient_ones, mut impatient_ones) = (JoinSet::new(), JoinSet::new());
    for _ in 0..16 {
        patient_ones.spawn(use_it(mutex.lock_within(WAIT)));
        impatient_ones.spawn(impatient.lock_within(WAIT));
    }
    crate::until_waiting(&mutex, 16).await;
    crate::until_waiting(&impatient, 16).await;
    servers[0].kill();
    servers[1].kill();
    let start = Instant::now();
    let refused = timeout(SOON, impatient_ones.join_all()).await;
    for result in refused.expect("an end") {
        assert!(
            matches!(result, Err(LockError::Unavailable(_))),
            "{result:?}"
        );
    }
    println!(
        "16 in the queue: all know of an outage after {:?}",
        start.elapsed()
    );
    drop((held, other));
    assert!(patient_ones.try_join_next().is_none());
    servers[0].restart();
    servers[1].restart();
    let start = Instant::now();
    timeout(SOON, patient_ones.join_all())
        .await
        .expect("an end");
    println!("16 in the queue: all served {:?} after it", start.elapsed());
}
