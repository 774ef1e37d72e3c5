//! A minimum hold: the keys stay for as long, whichever way the lock ends.

mod late;
mod work;

use std::time::Duration;

use redsync::{
    ConfigError, Guard, LockError, Mutex, Redsync, Released,
    node::{MemoryNode, Node as _},
};
use redsync_tests::{
    Servers,
    faulty::{Fault, Operation},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{MILLI, faulty, memory, patient};

const EXPIRY: Duration = Duration::from_secs(60);
const MINIMUM: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn job(redsync: &Redsync) -> Mutex {
    let mutex = redsync.mutex("job").with_expiry(EXPIRY);
    mutex.with_min_hold(MINIMUM)
}

/// A waiter that no poll helps.
fn wait_for_job(redsync: &Redsync) -> JoinHandle<Result<Guard, LockError>> {
    let mutex = redsync.mutex("job").with_expiry(EXPIRY);
    let mutex = mutex.with_retry_delay(Duration::from_secs(300));
    tokio::spawn(mutex.lock_within(Duration::from_secs(200)))
}

/// Ends a hold in each way.
const ENDS: [fn(Guard); 3] = [
    |guard| drop(guard),
    |guard| drop(guard.release()),
    |guard| {
        tokio::spawn(async move {
            let released = guard.release().await;
            assert_eq!(released.unwrap(), Released::Held);
        });
    },
];

/// Mutexes whose keys nodes keep in different ways.
const KINDS: [fn(&Redsync) -> Mutex; 4] = [
    job,
    |redsync| job(redsync).with_fencing(true),
    |redsync| job(redsync).shared(),
    |redsync| {
        let several = redsync.mutex_many(["job", "other"]).with_expiry(EXPIRY);
        several.with_min_hold(MINIMUM)
    },
];

async fn is_free(mutex: &Mutex) -> bool {
    match mutex.try_lock().await {
        // Its own keys are not of interest.
        Ok(guard) => {
            drop(guard);
            true
        }
        Err(LockError::Taken(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_ends_early_stays_up_to_the_minimum_and_no_longer() {
    for end in ENDS {
        for mutex in KINDS {
            let (redsync, nodes) = memory();
            let other = Redsync::new(nodes.clone()).unwrap();
            let start = Instant::now();
            let mut guard = mutex(&redsync).lock().await.unwrap();
            guard.keep_alive();
            sleep(SECOND).await;
            end(guard);
            redsync.drain().await;
            // A drain does not wait for the end.
            assert!(start.elapsed() < 2 * SECOND);
            sleep(MINIMUM - start.elapsed() - MILLI).await;
            assert!(!is_free(&other.mutex("job")).await);
            sleep(2 * MILLI).await;
            assert!(is_free(&other.mutex("job")).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_held_for_longer_is_free_at_once() {
    for end in ENDS {
        let (redsync, _) = memory();
        let mut guard = job(&redsync).lock().await.unwrap();
        guard.keep_alive();
        sleep(MINIMUM + SECOND).await;
        end(guard);
        redsync.drain().await;
        sleep(MILLI).await;
        assert!(is_free(&redsync.mutex("job")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_on_instances_whose_clocks_differ_runs_once() {
    let (redsync, nodes) = memory();
    let mut runs = 0;
    let mut all = vec![redsync];
    for _ in 0..4 {
        all.push(Redsync::new(nodes.clone()).unwrap());
    }
    for redsync in &all {
        if let Ok(guard) = job(redsync).try_lock().await {
            runs += 1;
            sleep(MILLI).await;
            guard.release().await.unwrap();
        }
        sleep(5 * SECOND).await;
    }
    assert_eq!(runs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_the_lock_when_the_minimum_is_over() {
    let (redsync, nodes) = memory();
    let there = Redsync::new(nodes.clone()).unwrap();
    let start = Instant::now();
    let guard = job(&redsync).lock().await.unwrap();
    let waiters = [&redsync, &there].map(wait_for_job);
    // Soon enough for a hand-over.
    sleep(MILLI).await;
    drop(guard);
    for waiter in waiters {
        drop(waiter.await.unwrap().unwrap());
        let waited = start.elapsed();
        assert!(waited >= MINIMUM && waited < MINIMUM + SECOND, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_not_acquired_leaves_nothing() {
    let (redsync, nodes) = faulty();
    let taken = job(&redsync).lock().await.unwrap();
    let refused = job(&redsync).try_lock().await;
    assert!(matches!(refused, Err(LockError::Taken(_))));
    drop(taken);
    // A majority does not answer.
    for node in &nodes[1..] {
        node.always_on(Operation::Acquire, Fault::lost_reply());
    }
    sleep(MINIMUM).await;
    assert!(job(&redsync).try_lock().await.is_err());
    sleep(SECOND).await;
    assert!(nodes[0].inner().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_the_release_does_not_reach_keeps_the_key_for_the_minimum_all_the_same() {
    let (redsync, nodes) = faulty();
    let start = Instant::now();
    let guard = job(&redsync).with_fail_fast(false).lock().await.unwrap();
    for node in &nodes {
        node.always(Fault::unreachable());
    }
    drop(guard);
    redsync.drain().await;
    assert!(start.elapsed() > MINIMUM && start.elapsed() < EXPIRY);
    for node in &nodes {
        assert!(node.holder("job").await.is_some());
    }
}

#[test]
fn a_minimum_that_is_longer_than_the_expiry_is_refused() {
    let (redsync, _) = memory();
    job(&redsync).with_min_hold(EXPIRY).check().unwrap();
    let longer = job(&redsync).with_min_hold(EXPIRY + MILLI).check();
    let Err(ConfigError::Option { option, must, .. }) = longer else {
        panic!("{longer:?}");
    };
    assert_eq!((option, must), ("min_hold", "at most the expiry"));
}

#[tokio::test]
async fn servers_keep_the_keys_for_the_rest_of_the_minimum() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let several = redsync
        .mutex_many(["{job}:1", "{job}:2"])
        .with_expiry(EXPIRY);
    let shared = redsync.mutex("job").with_expiry(EXPIRY).shared();
    for mutex in [
        job(&redsync),
        several.with_min_hold(MINIMUM),
        shared.with_min_hold(MINIMUM),
    ] {
        let mut guard = mutex.with_fail_fast(false).lock().await.unwrap();
        guard.keep_alive();
        guard.extend().await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        redsync.drain().await;
        for server in &servers {
            let keys = server.keys();
            assert!(!keys.is_empty());
            for key in keys {
                let left = server.pttl(&key);
                assert!(left > 0 && left <= 30_000, "{key}: {left}");
            }
            server.flush();
        }
    }
    // The rest of a short minimum is over soon.
    let quick = redsync
        .mutex("quick")
        .with_min_hold(Duration::from_millis(200));
    drop(quick.lock().await.unwrap());
    let next = timeout(Duration::from_secs(30), quick.lock()).await;
    drop(next.unwrap().unwrap());
}

/// The longest life of the key on a node.
async fn left(node: &MemoryNode) -> Duration {
    let found = node.inspect("job").await.unwrap();
    let holders = found.map(|found| found.holders).unwrap_or_default();
    let left = holders.into_iter().filter_map(|holder| holder.remaining);
    left.max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_administrator_ends_the_rest_of_a_minimum_and_the_waiters_of_all_processes_act() {
    let (redsync, nodes) = memory();
    let there = Redsync::new(nodes.clone()).unwrap();
    let start = Instant::now();
    let guard = job(&redsync).lock().await.unwrap();
    let waiters = [&redsync, &there].map(wait_for_job);
    sleep(SECOND).await;
    drop(guard);
    sleep(SECOND).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    // One that has nothing to do with the lock.
    let third = Redsync::new(nodes).unwrap();
    third.mutex("job").force_release().await.unwrap();
    for waiter in waiters {
        drop(waiter.await.unwrap().unwrap());
    }
    assert!(start.elapsed() < 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_taken_from_its_holder_is_left_to_the_next() {
    for end in ENDS_OF_LOST {
        let (redsync, nodes) = memory();
        let there = Redsync::new(nodes.clone()).unwrap();
        let guard = job(&redsync).lock().await.unwrap();
        there.mutex("job").force_release().await.unwrap();
        let next = there.mutex("job").with_expiry(SECOND).lock().await.unwrap();
        end(guard);
        redsync.drain().await;
        assert!(next.verify().await.unwrap());
        assert!(left(&nodes[0]).await <= SECOND);
    }
}

/// Ends a hold whose lock is lost.
const ENDS_OF_LOST: [fn(Guard); 2] = [
    |guard| drop(guard),
    |guard| {
        tokio::spawn(async move {
            let released = guard.release().await;
            assert_eq!(released.unwrap(), Released::AlreadyLost);
        });
    },
];

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_with_its_maximum_leaves_the_keys_for_the_minimum() {
    for end in ENDS_OF_LOST {
        let (redsync, nodes) = memory();
        let start = Instant::now();
        let guard = job(&redsync).with_max_hold(10 * SECOND).lock().await;
        let guard = guard.unwrap();
        guard.lost().await;
        end(guard);
        redsync.drain().await;
        tokio::task::yield_now().await;
        assert_eq!(left(&nodes[0]).await, MINIMUM - start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn each_permit_of_a_semaphore_stays_for_its_own_minimum() {
    let (redsync, _) = memory();
    let mutex = redsync.semaphore("job", 2).with_expiry(EXPIRY);
    let mutex = mutex
        .with_min_hold(MINIMUM)
        .with_retry_delay(Duration::from_secs(300));
    let start = Instant::now();
    drop(mutex.lock().await.unwrap());
    sleep(10 * SECOND).await;
    drop(mutex.lock().await.unwrap());
    for (number, ends) in [(3, MINIMUM), (4, MINIMUM + 10 * SECOND)] {
        let guard = mutex.lock_within(Duration::from_secs(200)).await.unwrap();
        let waited = start.elapsed();
        assert!(
            waited >= ends && waited < ends + SECOND,
            "{number}: {waited:?}"
        );
        drop(guard);
    }
}

#[tokio::test(start_paused = true)]
async fn the_minimum_of_a_resumed_lock_starts_again_and_prolongs_its_keys() {
    let (redsync, nodes) = memory();
    let mutex = job(&redsync).with_fencing(true);
    let parts = mutex.lock().await.unwrap().into_parts();
    // Nothing is released meanwhile.
    sleep(EXPIRY - 10 * SECOND).await;
    let resumed = mutex.resume(parts).await.unwrap();
    resumed.release().await.unwrap();
    redsync.drain().await;
    assert_eq!(left(&nodes[0]).await, MINIMUM);
    assert!(!is_free(&mutex).await);
}

#[tokio::test(start_paused = true)]
async fn the_minimum_of_the_mutex_that_resumes_a_lock_applies() {
    let (redsync, nodes) = memory();
    let plain = redsync.mutex("job").with_expiry(EXPIRY);
    let parts = job(&redsync).lock().await.unwrap().into_parts();
    let resumed = plain.resume(parts).await.unwrap();
    resumed.release().await.unwrap();
    assert!(left(&nodes[0]).await.is_zero());
    let parts = plain.lock().await.unwrap().into_parts();
    let resumed = job(&redsync).resume(parts).await.unwrap();
    resumed.release().await.unwrap();
    assert_eq!(left(&nodes[0]).await, MINIMUM);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_released_cannot_be_resumed_in_the_rest_of_its_minimum() {
    for kind in KINDS {
        let (redsync, nodes) = memory();
        let guard = kind(&redsync).lock().await.unwrap();
        let value = guard.expose_value().clone();
        guard.release().await.unwrap();
        // Nor by the value that the nodes have now.
        let found = nodes[0].inspect("job").await.unwrap().unwrap();
        let left_there = found.holders[0].value.clone();
        assert_ne!(left_there, value);
        for value in [value, left_there] {
            let resumed = kind(&redsync).resume(value).await;
            assert!(matches!(resumed, Err(LockError::NotHeld(_))), "{resumed:?}");
        }
        assert_eq!(left(&nodes[0]).await, MINIMUM);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_holder_is_shown_up_to_the_end_of_its_minimum() {
    for kind in KINDS {
        let (redsync, _) = memory();
        let label = || Ok::<_, std::convert::Infallible>("pod-7".to_owned());
        let guard = kind(&redsync).with_owner_label(label).lock().await.unwrap();
        let fingerprint = guard.expose_value().fingerprint();
        guard.release().await.unwrap();
        for node in redsync.mutex("job").inspect().await.unwrap() {
            let holders = node.holders.unwrap();
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0].label.as_deref(), Some("pod-7"));
            assert_eq!(holders[0].fingerprint, fingerprint);
            assert_eq!(holders[0].remaining, Some(MINIMUM));
        }
    }
}

#[test]
fn a_guard_that_is_dropped_outside_of_a_runtime_keeps_its_keys_for_the_minimum() {
    let (redsync, nodes) = memory();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let guards = ["job", "other"].map(|name| {
        let mutex = redsync.mutex(name).with_expiry(EXPIRY);
        let mutex = mutex.with_min_hold(MINIMUM);
        first.block_on(mutex.lock()).unwrap()
    });
    drop(second.block_on(redsync.mutex("third").lock()).unwrap());
    let [here, there] = guards;
    // A thread that belongs to no runtime.
    drop(here);
    second.block_on(redsync.drain());
    let life = second.block_on(left(&nodes[0]));
    assert!(!life.is_zero() && life <= MINIMUM, "{life:?}");
    // The runtime of the lock has ended.
    drop(first);
    drop(there);
    second.block_on(redsync.drain());
    let other = second.block_on(nodes[0].inspect("other")).unwrap().unwrap();
    let life = other.holders[0].remaining.unwrap();
    assert!(life <= MINIMUM, "{life:?}");
}
