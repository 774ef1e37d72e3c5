//! Hand-overs: what may be handed over, for how long, and with which token.

use std::collections::HashSet;

use redsync::{FencingToken, Guard, LockError, Mutex, Redsync, Released};
use redsync_tests::faulty::{FaultyNode, Operation};
use tokio::time::{Duration, Instant, advance, sleep};

use crate::{NAME, WAIT, Watched, got, in_memory, ms, poll_once, queue};

const EXPIRY: Duration = Duration::from_secs(8);

/// Nodes that record what they were asked.
fn asked() -> (Redsync, Vec<FaultyNode>) {
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    let redsync = crate::drowsy(Redsync::new(nodes.clone()).expect("nodes"));
    let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(EXPIRY));
    let nodes = nodes.into_iter().map(|watched| watched.node).collect();
    (redsync.expect("a configuration that works"), nodes)
}

fn count(nodes: &[FaultyNode], operation: Operation) -> usize {
    let asked = nodes[0].operations();
    asked
        .into_iter()
        .filter(|asked| *asked == operation)
        .count()
}

/// Lets a waiter wait for `wanted`, releases `held`, and returns whether it was handed over.
async fn is_handed(held: Guard, wanted: Mutex, nodes: &[FaultyNode]) -> bool {
    let task = tokio::spawn(wanted.lock_within(WAIT));
    // Until the first attempt is over; less than the time for hand-overs.
    sleep(ms(1)).await;
    let before = count(nodes, Operation::Acquire);
    let releases = count(nodes, Operation::Release);
    assert_eq!(held.release().await.expect("an answer"), Released::Held);
    let next = task.await.expect("no panic").expect("a lock");
    let handed = count(nodes, Operation::Acquire) == before;
    assert_eq!(handed, count(nodes, Operation::Release) == releases);
    drop(next);
    handed
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_handed_over_without_a_message_to_the_nodes() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME);
    for mutex in [
        mutex.clone(),
        mutex.with_fencing(true),
        redsync.mutex_many(["a", "b"]),
    ] {
        let held = mutex.lock().await.unwrap();
        assert!(is_handed(held, mutex, &nodes).await);
        redsync.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_exactly_the_same_lock_is_handed_over() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME);
    let others = [
        (mutex.shared(), mutex.shared().with_tries(9)),
        (mutex.clone(), mutex.shared()),
        (mutex.shared(), mutex.clone()),
        (mutex.clone(), mutex.clone().with_expiry(2 * EXPIRY)),
        (mutex.clone(), mutex.clone().with_fencing(true)),
        (mutex.clone().with_fencing(true), mutex.clone()),
        (mutex.clone(), redsync.mutex_many([NAME, "order:43"])),
        (redsync.mutex_many([NAME, "order:43"]), mutex.clone()),
        (mutex.clone(), mutex.clone().with_hand_over(0, ms(50))),
        (mutex.clone(), mutex.clone().with_hand_over(9, ms(0))),
        (mutex.clone().with_hand_over(0, ms(50)), mutex.clone()),
        (mutex.clone().with_hand_over(9, ms(0)), mutex.clone()),
        (mutex.clone(), mutex.clone().with_drift_factor(0.5)),
    ];
    for (number, (held, wanted)) in others.into_iter().enumerate() {
        let both_shared = number == 0;
        let held = held.lock().await.unwrap();
        if both_shared {
            drop(wanted.lock().await.unwrap());
        } else {
            assert!(!is_handed(held, wanted, &nodes).await, "pair {number}");
        }
        redsync.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_for_one_name_that_looks_like_two_is_not_in_their_queues() {
    let ([redsync], _) = in_memory();
    let both = redsync.mutex_many(["a", "b"]).lock().await.unwrap();
    let waiter = queue(redsync.mutex_many(["a", "b"]).lock()).await;
    // Their errors and logs call them the same.
    let one = redsync.mutex("a, b").lock_within(WAIT);
    let start = Instant::now();
    drop(one.await.unwrap());
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(both);
    drop(waiter.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_value_was_exposed_is_released() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME);

    let held = mutex.lock().await.unwrap();
    let _ = held.expose_value();
    assert!(!is_handed(held, mutex.clone(), &nodes).await);
    redsync.drain().await;

    let parts = mutex.lock().await.unwrap().into_parts();
    let resumed = mutex.resume(parts).await.unwrap();
    assert!(!is_handed(resumed, mutex.clone(), &nodes).await);
    redsync.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_taken_apart_is_left_to_the_owner_of_its_parts() {
    let ([here, there], _) = in_memory();
    let mutex = here.mutex(NAME);
    let first = mutex.lock().await.unwrap();
    let second = queue(mutex.lock_within(WAIT)).await;
    let third = tokio::spawn(queue(mutex.lock_within(WAIT)).await);
    drop(first);
    let parts = second.await.unwrap().into_parts();
    // Somebody else goes on with it and releases it.
    sleep(ms(10)).await;
    assert!(!third.is_finished());
    let start = Instant::now();
    let elsewhere = there.mutex(NAME).resume(parts).await.unwrap();
    elsewhere.release().await.unwrap();
    drop(third.await.unwrap().unwrap());
    crate::assert_before_a_poll(start);
}

#[tokio::test(start_paused = true)]
async fn without_hand_overs_each_release_reaches_the_nodes() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    for (hand_overs, values) in [(0, 11), (1, 6), (100_000, 1)] {
        let mutex = mutex.clone().with_hand_over(hand_overs, ms(50));
        let mut guard = mutex.lock().await.unwrap();
        let mut seen = HashSet::new();
        for _ in 0..10 {
            seen.insert(holder(&mutex).await);
            let waiter = queue(mutex.lock_within(WAIT)).await;
            guard.release().await.unwrap();
            guard = waiter.await.unwrap();
        }
        seen.insert(holder(&mutex).await);
        assert_eq!(seen.len(), values, "{hand_overs} hand-overs");
        drop(guard);
        redsync.drain().await;
    }
}

/// The holder that the nodes report.
async fn holder(mutex: &Mutex) -> String {
    let inspected = mutex.inspect().await.expect("names");
    let holders = inspected[0].holders.as_ref().expect("a node in memory");
    format!("{:?}", holders[0].fingerprint)
}

#[tokio::test(start_paused = true)]
async fn hand_overs_end() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME);
    for (held_for, handed) in [(40, true), (51, false)] {
        let held = mutex.lock().await.unwrap();
        sleep(ms(held_for)).await;
        assert_eq!(is_handed(held, mutex.clone(), &nodes).await, handed);
        redsync.drain().await;
    }
    // The time counts from the acquisition, however short each hold is.
    let mut guard = mutex.lock().await.unwrap();
    let start = count(&nodes, Operation::Acquire);
    for _ in 0..20 {
        let waiter = tokio::spawn(mutex.lock_within(WAIT));
        sleep(ms(10)).await;
        drop(guard);
        guard = waiter.await.unwrap().unwrap();
    }
    let tries = count(&nodes, Operation::Acquire) - start;
    // Those of newcomers, and one each time that the time is over.
    assert!((20 + 2..=20 + 5).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn hand_overs_last_no_longer_than_a_part_of_the_expiry() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME).with_hand_over(u32::MAX, Duration::MAX);
    let held = mutex.lock().await.unwrap();
    sleep(EXPIRY / 16).await;
    assert!(!is_handed(held, mutex, &nodes).await);
}

#[tokio::test(start_paused = true)]
async fn tokens_grow_over_more_hand_overs_than_a_stride_has() {
    let ([here, there], _) = in_memory();
    let mutex = here.mutex(NAME).with_fencing(true);
    let mut last = FencingToken::new(0);
    for extends in [false, true] {
        let mut consecutive = 0;
        let mut guard = mutex.lock().await.unwrap();
        for round in 0..300 {
            let token = guard.fencing_token().unwrap();
            assert!(token > last, "{token} after {last}");
            consecutive += u32::from(token.get() == last.get() + 1);
            last = token;
            if extends && round % 5 == 0 {
                // Lifts the nodes' counters, which would make up for numbers that are not its own.
                guard.extend().await.unwrap();
            }
            let waiter = queue(mutex.lock_within(WAIT)).await;
            drop(guard);
            guard = waiter.await.unwrap();
        }
        assert!(consecutive > 280, "{consecutive} hand-overs");
        last = guard.fencing_token().unwrap();
        guard.release().await.unwrap();
        let elsewhere = there.mutex(NAME).with_fencing(true).lock().await.unwrap();
        assert!(elsewhere.fencing_token() > Some(last));
        last = elsewhere.fencing_token().unwrap();
        elsewhere.release().await.unwrap();
        here.drain().await;
        there.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_grow_where_the_nodes_counters_differ() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME).with_fencing(true);
    let mut last = None;
    for round in 0..60 {
        // Those who hold it lift the counters of some nodes, and raise those of others.
        let away = &nodes[round % 3];
        away.always(redsync_tests::faulty::Fault::unreachable());
        let guard = mutex.lock_within(WAIT).await.unwrap();
        assert!(guard.fencing_token() > last);
        let waiter = tokio::spawn(mutex.lock_within(WAIT));
        sleep(ms(1)).await;
        let old = guard.fencing_token();
        drop(guard);
        let guard = waiter.await.unwrap().unwrap();
        assert!(guard.fencing_token() > old);
        if round % 2 == 0 {
            guard.extend().await.unwrap();
        }
        last = guard.fencing_token();
        away.always(redsync_tests::faulty::Fault::none());
        drop(guard);
        redsync.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_takes_it_late_gets_the_remaining_validity_or_a_new_lock() {
    for late in [ms(0), ms(1000), ms(6000), ms(7200), ms(7900), ms(9000)] {
        let (redsync, nodes) = asked();
        let mutex = redsync
            .mutex(NAME)
            .with_min_validity(Duration::from_secs(1));
        let held = mutex.lock().await.unwrap();
        let until = held.until();
        let mut waiter = Box::pin(mutex.lock_within(WAIT));
        assert!(poll_once(&mut waiter).await.is_pending());
        sleep(ms(1)).await;
        assert!(poll_once(&mut waiter).await.is_pending());
        drop(held);
        // The task is not polled meanwhile.
        advance(late).await;
        let guard = waiter.await.unwrap();
        assert!(
            guard.remaining() > Duration::from_secs(1),
            "{late:?}: {:?}",
            guard.remaining()
        );
        let handed = late < ms(6500);
        assert_eq!(handed, guard.until() == until, "{late:?}");
        drop(guard);
        redsync.drain().await;
        assert!(nodes.iter().all(|node| node.inner().is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_with_too_little_validity_is_released() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME).with_hand_over(u32::MAX, Duration::MAX);
    // It may be held for no longer than that.
    let short = mutex.clone().with_max_hold(ms(1200));
    let held = short.lock().await.unwrap();
    sleep(ms(450)).await;
    assert!(!is_handed(held, mutex.clone(), &nodes).await);
    redsync.drain().await;
    // Enough to be handed over, and no more.
    let held = short.lock().await.unwrap();
    let until = held.until();
    let waiter = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    drop(held);
    let guard = waiter.await.unwrap().unwrap();
    assert_eq!(guard.until(), until);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_lost_is_not_handed_over() {
    let (redsync, nodes) = asked();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let waiter = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    for node in &nodes {
        node.inner().clear();
    }
    held.extend().await.unwrap_err();
    let taken = waiter.await.unwrap().unwrap();
    assert_eq!(held.release().await.unwrap(), Released::AlreadyLost);
    assert!(taken.remaining() > Duration::from_secs(7));
    assert!(taken.verify().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_new_holder_extends_for_itself() {
    let (redsync, _) = asked();
    let mutex = redsync.mutex(NAME);
    let mut held = mutex.lock().await.unwrap();
    held.keep_alive();
    let waiter = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    drop(held);
    let mut guard = waiter.await.unwrap().unwrap();
    guard.keep_alive();
    sleep(5 * EXPIRY).await;
    assert!(!guard.is_lost());
    let other = mutex.try_lock().await;
    assert!(matches!(other, Err(LockError::Taken(_))), "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handed_lock_that_nobody_takes_is_free_after_its_expiry() {
    let (redsync, _) = asked();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    // Waits, and is then forgotten in a variable.
    let mut forgotten = Box::pin(mutex.lock_within(WAIT));
    assert!(poll_once(&mut forgotten).await.is_pending());
    sleep(ms(1)).await;
    assert!(poll_once(&mut forgotten).await.is_pending());
    let next = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    let start = Instant::now();
    drop(held);
    let guard = next.await.unwrap().unwrap();
    assert!(start.elapsed() < 3 * EXPIRY, "{:?}", start.elapsed());
    let until = guard.until();
    // And the late one comes after it.
    assert!(poll_once(&mut forgotten).await.is_pending());
    drop(guard);
    sleep(ms(1)).await;
    let late = got(poll_once(&mut forgotten).await);
    assert!(late.until() >= until && late.remaining() > EXPIRY / 10);
}
