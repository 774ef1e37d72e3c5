//! Rule 7: a node that hangs costs no more than the time limit.

use futures_util::poll;
use redsync::{ExtendError, Released};
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::{
    EXPIRY, NAME, NODE_TIMEOUT, VALIDITY, assert_no_keys, assert_taken, assert_unavailable, ms,
    nodes, redsync,
};

/// Uses a lock of five nodes of which some hang, in all ways that take a majority.
async fn assert_costs_no_time(hung: &[usize]) {
    for fault in [Fault::lost_request(), Fault::lost_reply()] {
        let nodes = nodes::<5>();
        for &node in hung {
            nodes[node].always(fault.clone());
        }
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME);
        let start = Instant::now();
        let guard = mutex.lock().await.unwrap();
        assert_taken(&mutex.try_lock().await);
        guard.extend().await.unwrap();
        assert!(guard.verify().await.unwrap());
        let guard = mutex.resume(guard.into_parts().value).await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        mutex.lock().await.unwrap().release().await.unwrap();
        assert_eq!(start.elapsed(), ms(0), "{hung:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_node_of_five_costs_no_time() {
    for hung in 0..5 {
        assert_costs_no_time(&[hung]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_hung_nodes_of_five_cost_no_time() {
    for first in 0..5 {
        for second in first + 1..5 {
            assert_costs_no_time(&[first, second]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_majority_costs_the_limit_and_no_more() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_expiry(ms(10_000));
    let guard = mutex.lock().await.unwrap();
    let until = guard.until();
    for node in &nodes[..2] {
        node.always(Fault::lost_request());
    }
    let start = Instant::now();
    assert_unavailable(&redsync.mutex("other").try_lock().await);
    assert_eq!(start.elapsed(), NODE_TIMEOUT);

    let start = Instant::now();
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Failed(_))), "{result:?}");
    assert_eq!(start.elapsed(), NODE_TIMEOUT);
    assert_eq!(guard.until(), until);

    let start = Instant::now();
    let undecided = guard.verify().await.unwrap_err();
    assert!(
        undecided.votes().granted() < undecided.votes().quorum(),
        "{undecided}"
    );
    assert_eq!(start.elapsed(), NODE_TIMEOUT);

    let start = Instant::now();
    assert_unavailable(&mutex.resume(guard.expose_value().clone()).await);
    assert_eq!(start.elapsed(), NODE_TIMEOUT);

    let start = Instant::now();
    let inspected = mutex.inspect().await.unwrap();
    assert_eq!(
        inspected.iter().filter(|node| node.holders.is_ok()).count(),
        1
    );
    assert_eq!(start.elapsed(), NODE_TIMEOUT);

    let start = Instant::now();
    guard.release().await.unwrap_err();
    assert_eq!(start.elapsed(), NODE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_limit_covers_the_question_for_a_node_s_identity() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.identify_as(redsync::node::Node::address(node));
        node.always_on(Operation::Identity, Fault::lost_request());
    }
    let start = Instant::now();
    assert_unavailable(&redsync(&nodes).mutex(NAME).try_lock().await);
    assert_eq!(start.elapsed(), NODE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_capped_by_the_expiry() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    let mutex = redsync(&nodes).mutex(NAME).with_node_timeout(ms(60_000));
    let start = Instant::now();
    assert_unavailable(&mutex.try_lock().await);
    assert_eq!(start.elapsed(), EXPIRY);
}

#[tokio::test(start_paused = true)]
async fn the_limit_can_be_a_part_of_the_expiry() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    let mutex = redsync(&nodes).mutex(NAME).with_timeout_factor(0.05);
    let start = Instant::now();
    assert_unavailable(&mutex.try_lock().await);
    assert_eq!(start.elapsed(), ms(50));
}

#[tokio::test(start_paused = true)]
async fn an_extension_waits_no_longer_than_the_validity() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    sleep(VALIDITY - ms(100)).await;
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
    assert_eq!(Instant::now(), until);
}

#[tokio::test(start_paused = true)]
async fn a_hung_node_does_not_keep_an_extension_from_succeeding() {
    for fail_fast in [true, false] {
        let nodes = nodes::<3>();
        let mutex = redsync(&nodes).mutex(NAME).with_fail_fast(fail_fast);
        let guard = mutex.lock().await.unwrap();
        nodes[2].always(Fault::lost_request());
        // The remaining validity is shorter than the time limit.
        sleep(VALIDITY - ms(100)).await;
        let start = Instant::now();
        let result = guard.extend().await;
        assert!(result.is_ok(), "fail fast: {fail_fast}; {result:?}");
        assert_eq!(guard.until(), start + VALIDITY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_lasts_no_longer_than_the_docs_say() {
    // For up to the expiry or 30 s, whichever is shorter, plus 5 s.
    for (expiry, limit) in [(EXPIRY, EXPIRY + ms(5000)), (ms(3_600_000), ms(35_000))] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME).with_expiry(expiry);
        let guard = mutex.lock().await.unwrap();
        for node in &nodes {
            node.always(Fault::lost_request());
        }
        let start = Instant::now();
        drop(guard);
        redsync.drain().await;
        assert!(start.elapsed() <= limit, "a guard: {:?}", start.elapsed());

        let start = Instant::now();
        let mut attempt = Box::pin(redsync.mutex("other").with_expiry(expiry).lock());
        assert!(poll!(&mut attempt).is_pending());
        drop(attempt);
        redsync.drain().await;
        assert!(
            start.elapsed() <= limit,
            "an attempt: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_pursued_for_ever() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    let start = Instant::now();
    drop(guard);
    redsync.drain().await;
    let limit = EXPIRY + ms(5000);
    assert!(start.elapsed() <= limit, "{:?}", start.elapsed());
    assert_no_keys(&nodes);
}
