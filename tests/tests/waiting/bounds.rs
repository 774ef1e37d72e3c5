//! How many may wait.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use redsync::{LockError, Redsync};
use redsync_tests::faulty::{Fault, FaultyNode};
use tokio::time::{Instant, sleep};

use crate::{NAME, SOON, WAIT, in_memory, ms, queue, waiting};

#[tokio::test(start_paused = true)]
async fn the_number_of_waiters_is_limited_and_a_waiter_that_leaves_makes_room() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME).with_max_waiting(3);
    let held = mutex.lock().await.unwrap();
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(queue(mutex.lock_within(WAIT)).await);
    }
    let start = Instant::now();
    for _ in 0..2 {
        let refused = mutex.lock().await.unwrap_err();
        assert!(
            matches!(&refused, LockError::TooManyWaiting { name, limit: 3, .. } if **name == *NAME),
            "{refused:?}"
        );
    }
    // Not of other names; nor who would not wait.
    drop(
        redsync
            .mutex("other")
            .with_max_waiting(0)
            .lock()
            .await
            .unwrap(),
    );
    assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);

    // One goes away.
    drop(waiters.remove(1));
    waiters.push(queue(mutex.lock_within(WAIT)).await);
    assert!(waiting(&mutex, 3).await);

    // One is served, and its place is free at once.
    drop(held);
    assert!(!waiting(&mutex, 3).await);
    let guard = waiters.remove(0).await.unwrap();
    waiters.push(queue(mutex.lock_within(WAIT)).await);
    assert!(waiting(&mutex, 3).await);

    // One leaves.
    drop(waiters.pop());
    let refused = queue(mutex.lock_within(ms(5))).await.await;
    assert!(
        matches!(refused, Err(LockError::TimedOut(_))),
        "{refused:?}"
    );
    assert!(!waiting(&mutex, 3).await);
    drop(guard);
    for waiter in waiters {
        drop(waiter.await.unwrap());
    }
    sleep(ms(1)).await;
    assert!(!waiting(&mutex, 1).await);
}

#[tokio::test(start_paused = true)]
async fn nobody_has_to_wait_for_a_lock_that_is_free() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME).with_max_waiting(0);
    let held = mutex.lock().await.unwrap();
    let refused = mutex.lock().await;
    assert!(matches!(refused, Err(LockError::TooManyWaiting { .. })));
    drop(held);
    redsync.drain().await;
    drop(mutex.lock().await.unwrap());
}

#[tokio::test]
async fn futures_that_have_locked_and_are_kept_make_room_for_other_attempts() {
    let redsync = Redsync::in_memory(3);
    let (mut futures, mut guards) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let mut lock = Box::pin(redsync.mutex(format!("job:{number}")).try_lock());
        guards.push(lock.as_mut().await.unwrap());
        futures.push(lock);
    }
}

#[tokio::test(start_paused = true)]
async fn futures_that_are_kept_and_not_polled_keep_no_other_attempt_out_for_long() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    for node in &nodes {
        node.always(Fault::late_reply(ms(5)));
    }
    let redsync = Redsync::new(nodes).unwrap();
    // So that the nodes are admitted.
    drop(redsync.mutex(NAME).lock().await.unwrap());
    let mut kept = Vec::new();
    // More than may be under way: the last ones wait at the gate.
    for number in 0..100 {
        kept.push(queue(redsync.mutex(format!("job:{number}")).lock()).await);
    }
    drop(redsync.mutex("other").lock().await.unwrap());
}

/// The guard is in the options of the call that is refused, and in nothing else.
#[tokio::main(flavor = "current_thread")]
async fn refuse_a_call_that_owns_a_guard() {
    let ([redsync], nodes) = in_memory();
    let mutex = redsync.mutex(NAME).with_max_waiting(1);
    let _held = mutex.lock().await.unwrap();
    let _waiter = queue(mutex.lock_within(WAIT)).await;
    let guard = Arc::new(redsync.mutex("other").lock().await.unwrap());
    let owns = move |_| {
        let _ = &guard;
        ms(1)
    };
    let call = mutex.clone().with_retry_delay_fn(owns).lock();
    assert!(matches!(call.await, Err(LockError::TooManyWaiting { .. })));
    redsync.drain().await;
    assert!(nodes.iter().all(|node| node.len() == 1));
}

#[test]
fn a_call_that_is_refused_may_release_a_lock() {
    // On a thread of its own, which would otherwise wait for itself.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        refuse_a_call_that_owns_a_guard();
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(SOON).is_ok());
}
