//! Rule 1: a lock is valid for the expiry less the time that acquiring took, less drift.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use redsync::LockError;
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::{EXPIRY, NAME, VALIDITY, assert_no_keys, assert_unavailable, ms, nodes, redsync};

#[tokio::test(start_paused = true)]
async fn a_lock_is_valid_for_the_expiry_less_drift() {
    let nodes = nodes::<3>();
    let start = Instant::now();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    assert_eq!(guard.until() - start, VALIDITY);

    let guard = redsync(&nodes)
        .mutex("other")
        .with_drift_factor(0.1)
        .lock()
        .await
        .unwrap();
    assert_eq!(guard.until() - start, ms(898));
}

#[tokio::test(start_paused = true)]
async fn the_expiry_is_cut_to_the_whole_milliseconds_that_nodes_are_sent() {
    let nodes = nodes::<1>();
    let start = Instant::now();
    let guard = redsync(&nodes)
        .mutex(NAME)
        .with_expiry(Duration::from_micros(1_000_999))
        .lock()
        .await
        .unwrap();
    let kept = nodes[0].holder(NAME).await.unwrap().remaining;
    assert_eq!(kept, Some(EXPIRY));
    assert_eq!(guard.until() - start, VALIDITY);
}

#[tokio::test(start_paused = true)]
async fn the_validity_counts_from_before_the_first_message() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always(Fault::late_request(ms(70)).and_late_reply(ms(50)));
        node.identify_as(redsync::node::Node::address(node));
    }
    let start = Instant::now();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    // One round trip for the node's identity, and one for its vote.
    assert_eq!(start.elapsed(), ms(240));
    assert_eq!(guard.until() - start, VALIDITY);
    assert_eq!(guard.remaining(), VALIDITY - ms(240));
}

#[tokio::test(start_paused = true)]
async fn the_validity_of_a_later_attempt_counts_from_its_own_start() {
    let nodes = nodes::<3>();
    crate::occupy(&nodes, ms(100)).await;
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let attempts = nodes[0].sent(Operation::Acquire);
    assert!(attempts.len() > 1);
    assert_eq!(guard.until() - attempts[attempts.len() - 1], VALIDITY);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_lock_is_valid_for_as_long_as_a_majority_keeps_it_less_drift() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let value = redsync.mutex(NAME).lock().await.unwrap().into_parts().value;
    sleep(ms(500)).await;
    for node in &nodes {
        node.always(Fault::late_reply(ms(40)));
    }
    let start = Instant::now();
    let guard = redsync.mutex(NAME).resume(value).await.unwrap();
    // A hundredth of the 500 ms that are left, and 2 ms.
    assert_eq!(guard.until() - start, ms(500 - 5 - 2));
}

#[tokio::test(start_paused = true)]
async fn a_lock_with_too_little_validity_is_not_acquired_and_is_released() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always_on(Operation::Acquire, Fault::late_reply(ms(100)));
    }
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_min_validity(ms(888));
    let error = mutex.try_lock().await.unwrap_err();
    let LockError::TooLate(votes) = &error else {
        panic!("{error:?}")
    };
    assert!(votes.granted() >= 2);
    assert!(!error.is_contention());
    assert!(error.to_string().contains("too late"), "{error}");
    redsync.drain().await;
    assert_no_keys(&nodes);

    let mutex = mutex.with_min_validity(ms(887));
    assert_eq!(mutex.try_lock().await.unwrap().remaining(), ms(888));
}

#[tokio::test(start_paused = true)]
async fn the_least_validity_is_a_tenth_of_the_expiry_by_default() {
    for (delay, enough) in [(887, true), (888, false)] {
        let nodes = nodes::<1>();
        nodes[0].always(Fault::late_reply(ms(delay)));
        let mutex = redsync(&nodes).mutex(NAME).with_node_timeout(EXPIRY);
        assert_eq!(mutex.try_lock().await.is_ok(), enough, "after {delay} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_read_after_the_last_answer() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mut lock = pin!(redsync.mutex(NAME).with_node_timeout(EXPIRY).try_lock());
    assert!(lock.as_mut().now_or_never().is_none());
    // The answers come at once, but the process is paused.
    sleep(ms(900)).await;
    let result = lock.await;
    assert!(matches!(result, Err(LockError::TooLate(_))), "{result:?}");
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn answers_to_an_earlier_attempt_do_not_count() {
    let nodes = nodes::<3>();
    for node in &nodes[..2] {
        // It grants, but its answer comes when the second attempt is under way. The requests of the
        // second attempt are lost.
        node.once(Operation::Acquire, Fault::late_reply(ms(300)));
        node.once(Operation::Acquire, Fault::lost_request());
    }
    nodes[2].always(Fault::unreachable());
    let start = Instant::now();
    let result = redsync(&nodes).mutex(NAME).with_tries(2).lock().await;
    assert_unavailable(&result);
    assert_eq!(start.elapsed(), ms(250 + 20 + 250));
}

#[tokio::test(start_paused = true)]
async fn no_other_client_acquires_the_lock_before_its_validity_has_ended() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let value = redsync.mutex(NAME).lock().await.unwrap();
    let until = value.until();
    // As if the holder's process had died.
    let _ = value.into_parts().value;
    let rival = redsync.mutex(NAME).with_retry_delay(ms(1)).with_tries(2000);
    let guard = rival.lock().await.unwrap();
    assert!(Instant::now() >= until);
    sleep(ms(1)).await;
    guard.release().await.unwrap();
}
