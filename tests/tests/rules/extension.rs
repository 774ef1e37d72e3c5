//! Rule 8: an extension, by hand or by the keep-alive, succeeds on a majority, started and
//! confirmed within the validity.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use redsync::{ExtendError, Guard};
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Gate, Operation},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{EXPIRY, NAME, VALIDITY, assert_no_keys, assert_taken, holders, ms, nodes, redsync};

#[track_caller]
fn assert_lost(guard: &Guard, result: &Result<(), ExtendError>) {
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
    assert!(guard.is_lost());
    assert_eq!(guard.remaining(), Duration::ZERO);
}

#[track_caller]
fn assert_failed(result: &Result<(), ExtendError>) {
    assert!(matches!(result, Err(ExtendError::Failed(_))), "{result:?}");
}

/// The times from `start` at which a node was asked to extend.
fn extensions(node: &FaultyNode, start: Instant) -> Vec<Duration> {
    let sent = node.sent(Operation::Extend);
    sent.into_iter().map(|at| at - start).collect()
}

#[tokio::test(start_paused = true)]
async fn an_extension_takes_a_majority() {
    for (failing, succeeds) in [(0, true), (1, true), (2, true), (3, false), (5, false)] {
        let nodes = nodes::<5>();
        let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
        let until = guard.until();
        sleep(ms(500)).await;
        for node in &nodes[..failing] {
            node.always(Fault::unreachable());
        }
        let result = guard.extend().await;
        if succeeds {
            result.unwrap();
            assert_eq!(guard.until(), until + ms(500));
        } else {
            assert_failed(&result);
            assert_eq!(guard.until(), until);
            assert!(!guard.is_lost());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_new_validity_counts_from_before_the_round() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        node.always(Fault::late_request(ms(50)).and_late_reply(ms(80)));
    }
    sleep(ms(300)).await;
    let start = Instant::now();
    guard.extend().await.unwrap();
    assert_eq!(start.elapsed(), ms(130));
    assert_eq!(guard.until(), start + VALIDITY);
}

#[tokio::test(start_paused = true)]
async fn after_the_validity_nothing_is_sent() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    // The keys still exist.
    sleep_until(guard.until()).await;
    let result = guard.extend().await;
    assert_lost(&guard, &result);
    assert!(nodes[0].sent(Operation::Extend).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_after_the_validity_does_not_count() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    for node in &nodes {
        node.always(Fault::late_reply(ms(100)));
    }
    sleep_until(until - ms(50)).await;
    let result = guard.extend().await;
    assert_lost(&guard, &result);
    assert_eq!(guard.until(), until);
    assert_eq!(nodes[0].operations().last(), Some(&Operation::Extend));

    sleep(ms(200)).await;
    assert_eq!(guard.until(), until, "a lost lock stays lost");
    let result = guard.extend().await;
    assert_lost(&guard, &result);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_read_after_the_validity_does_not_count() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    sleep(ms(500)).await;
    let mut extend = pin!(guard.extend());
    assert!(extend.as_mut().now_or_never().is_none());
    // The answers come at once, but the process is paused.
    sleep(ms(600)).await;
    let result = extend.await;
    assert_lost(&guard, &result);
    assert_eq!(guard.until(), until);
    for node in &nodes {
        assert!(node.holder(NAME).await.is_some(), "it was extended");
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_waits_in_its_lane_is_not_sent_after_the_validity() {
    let nodes = nodes::<3>();
    let mutex = redsync(&nodes).mutex(NAME);
    nodes[0].once(Operation::Acquire, Fault::late_reply(ms(600)));
    let guard = mutex.lock().await.unwrap();
    guard.extend().await.unwrap();
    sleep(ms(700)).await;
    assert_eq!(nodes[0].operations(), [Operation::Acquire]);
    guard.extend().await.unwrap();
    sleep(ms(1)).await;
    let expected = [Operation::Acquire, Operation::Extend];
    assert_eq!(nodes[0].operations(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_votes_of_two_rounds_are_not_added_up() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    sleep(ms(300)).await;
    nodes[1].always(Fault::unreachable());
    nodes[2].always(Fault::unreachable());
    assert_failed(&guard.extend().await);
    nodes[0].always(Fault::unreachable());
    nodes[1].always(Fault::none());
    assert_failed(&guard.extend().await);
    assert_eq!(guard.until(), until);
}

#[tokio::test(start_paused = true)]
async fn late_confirmations_of_a_round_that_failed_do_not_count_for_the_next() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    nodes[0].always(Fault::unreachable());
    for node in &nodes[1..] {
        node.once(Operation::Extend, Fault::late_reply(ms(300)));
        node.once(Operation::Extend, Fault::lost_request());
    }
    assert_failed(&guard.extend().await);
    assert_failed(&guard.extend().await);
    assert_eq!(guard.until(), until);
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_key_is_never_shortened() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let long = redsync.mutex(NAME).with_expiry(ms(60_000));
    let value = long.lock().await.unwrap().into_parts().value;
    let short = redsync.mutex(NAME).resume(value).await.unwrap();
    let until = short.until();
    assert!(short.remaining() > ms(50_000));
    short.extend().await.unwrap();
    assert_eq!(short.until(), until);
    for node in &nodes {
        let kept = node.holder(NAME).await.unwrap().remaining;
        assert_eq!(kept, Some(ms(60_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_validity_never_goes_back() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        node.once(Operation::Extend, Fault::late_reply(ms(200)));
    }
    let early = guard.extend();
    let late = async {
        sleep(ms(100)).await;
        guard.extend().await
    };
    let (early, late) = tokio::join!(early, late);
    early.unwrap();
    late.unwrap();
    assert_eq!(guard.remaining(), VALIDITY - ms(100));
}

#[tokio::test(start_paused = true)]
async fn keep_alive_extends_at_a_third_of_the_expiry() {
    let nodes = nodes::<3>();
    let start = Instant::now();
    let mutex = redsync(&nodes).mutex(NAME).with_expiry(ms(1200));
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    guard.keep_alive();
    sleep(ms(12_100)).await;
    for node in &nodes {
        let extensions = extensions(node, start);
        assert_eq!(extensions.len(), 30);
        assert_eq!(
            extensions[0].as_millis() / 10,
            39,
            "a third of the validity"
        );
        for pair in extensions.windows(2) {
            assert_eq!(pair[1] - pair[0], ms(400));
        }
    }
    assert!(!guard.is_lost());
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_keep_alive_extends_at_every_twelfth_until_the_lock_is_lost() {
    let nodes = nodes::<3>();
    let start = Instant::now();
    let mutex = redsync(&nodes).mutex(NAME).with_expiry(ms(1200));
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    sleep(ms(500)).await;
    for node in &nodes {
        node.always(Fault::unreachable());
    }
    guard.lost().await;
    let lost = start.elapsed();
    sleep(ms(5000)).await;

    let extensions = extensions(&nodes[0], start);
    // The first extension was confirmed.
    assert_eq!(lost, extensions[0] + ms(1200 - 14));
    assert_eq!(extensions[1] - extensions[0], ms(400));
    let gaps: Vec<_> = extensions[1..].windows(2).map(|p| p[1] - p[0]).collect();
    assert_eq!(gaps[..4], [ms(100); 4]);
    // The nearer the end, the more often, but always with a pause.
    assert!(gaps.iter().all(|gap| (ms(1)..=ms(100)).contains(gap)));
    assert!((8..40).contains(&gaps.len()), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_survives_an_outage_that_is_shorter_than_the_validity() {
    for fault in [
        Fault::unreachable(),
        Fault::broken_request(),
        Fault::broken_reply(),
        Fault::late_reply(ms(500)),
        Fault::late_request(ms(500)),
    ] {
        let nodes = nodes::<3>();
        let mut guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
        guard.keep_alive();
        sleep(ms(300)).await;
        for node in &nodes {
            node.always(fault.clone());
        }
        sleep(ms(450)).await;
        for node in &nodes {
            node.always(Fault::none());
        }
        sleep(ms(5000)).await;
        assert!(!guard.is_lost(), "{fault:?}");
        guard.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alive_begins_in_time_when_acquiring_took_long() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.once(Operation::Acquire, Fault::late_reply(ms(800)));
    }
    let mutex = redsync(&nodes).mutex(NAME).with_node_timeout(EXPIRY);
    let mut guard = mutex.lock().await.unwrap();
    assert_eq!(guard.remaining(), ms(188));
    guard.keep_alive();
    sleep(ms(5000)).await;
    assert!(!guard.is_lost());
}

#[tokio::test(start_paused = true)]
async fn keep_alive_begins_in_time_on_a_lock_that_was_handed_over() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let value = redsync.mutex(NAME).lock().await.unwrap().into_parts().value;
    sleep(ms(750)).await;
    let mut guard = redsync.mutex(NAME).resume(value).await.unwrap();
    guard.keep_alive();
    sleep(ms(5000)).await;
    assert!(!guard.is_lost());
}

#[tokio::test(start_paused = true)]
async fn keep_alive_begins_in_time_when_it_is_requested_late() {
    let nodes = nodes::<3>();
    let mut guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    sleep(ms(800)).await;
    guard.keep_alive();
    sleep(ms(5000)).await;
    assert!(!guard.is_lost());
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_known_at_once_when_the_nodes_that_may_have_the_key_are_not_a_majority() {
    for (gone, lost) in [(1, false), (2, false), (3, true), (5, true)] {
        let nodes = nodes::<5>();
        let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
        for node in &nodes[..gone] {
            node.inner().clear();
        }
        let result = guard.extend().await;
        if lost {
            assert_lost(&guard, &result);
            guard.lost().now_or_never().expect("lost by now");
        } else {
            result.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_failures_do_not_add_up_to_a_loss() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    nodes[0].inner().clear();
    nodes[1].always(Fault::unreachable());
    assert_failed(&guard.extend().await);
    assert!(!guard.is_lost());
    nodes[1].always(Fault::none());
    guard.extend().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_holder_is_left_alone() {
    for set_if_absent in [false, true] {
        let nodes = nodes::<3>();
        let mutex = redsync(&nodes).mutex(NAME);
        let mutex = mutex.with_set_if_absent_on_extend(set_if_absent);
        let guard = mutex.lock().await.unwrap();
        for node in &nodes[..2] {
            node.inner().clear();
        }
        crate::occupy(&nodes[..2], ms(5000)).await;
        let result = guard.extend().await;
        assert_lost(&guard, &result);
        drop(guard);
        let rivals = vec![Some("rival".to_owned()); 2];
        assert_eq!(holders(&nodes[..2]).await, rivals);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_the_key_is_healed_if_the_mutex_says_so() {
    for set_if_absent in [false, true] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME);
        let mutex = mutex.with_set_if_absent_on_extend(set_if_absent);
        let guard = mutex.lock().await.unwrap();
        nodes[0].inner().clear();
        guard.extend().await.unwrap();
        // The extension may have succeeded before this node was healed.
        redsync.drain().await;
        assert_eq!(nodes[0].holder(NAME).await.is_some(), set_if_absent);

        // The healed node counts again when a later round has confirmed the lock without it.
        tokio::time::advance(ms(10)).await;
        guard.extend().await.unwrap();
        nodes[1].inner().clear();
        assert_eq!(guard.extend().await.is_ok(), set_if_absent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_majority_is_not_taken_back() {
    let nodes = nodes::<3>();
    let mutex = redsync(&nodes).mutex(NAME);
    let mutex = mutex.with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    for node in &nodes[..2] {
        node.inner().clear();
    }
    let result = guard.extend().await;
    assert_lost(&guard, &result);
    let result = guard.extend().await;
    assert_lost(&guard, &result);
}

#[tokio::test(start_paused = true)]
async fn a_lost_majority_is_not_taken_back_by_an_extension_that_was_dropped() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    for node in &nodes[..2] {
        node.inner().clear();
    }
    assert!(guard.extend().now_or_never().is_none());
    redsync.drain().await;
    let result = guard.extend().await;
    assert_lost(&guard, &result);
}

#[tokio::test(start_paused = true)]
async fn a_lost_majority_is_not_taken_back_by_an_extension_that_timed_out() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    for node in &nodes[..2] {
        node.inner().clear();
        node.once(Operation::Extend, Fault::late_reply(ms(300)));
    }
    assert_failed(&guard.extend().await);
    redsync.drain().await;
    let result = guard.extend().await;
    assert!(result.is_err(), "two of three had lost the key");
}

#[tokio::test(start_paused = true)]
async fn a_lost_majority_is_not_taken_back_in_two_steps() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    // Meanwhile another client could hold the lock on these two, unseen.
    for node in &nodes[..2] {
        node.inner().clear();
    }
    nodes[0].always(Fault::unreachable());
    assert_failed(&guard.extend().await);
    let result = guard.extend().await;
    assert!(result.is_err(), "two of three had lost the key");
}

#[tokio::test(start_paused = true)]
async fn an_extension_under_way_does_not_bring_a_released_key_back() {
    for set_if_absent in [false, true] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME);
        let mutex = mutex.with_set_if_absent_on_extend(set_if_absent);
        let gate = Gate::new();

        let guard = mutex.lock().await.unwrap();
        nodes[0].once(Operation::Extend, Fault::held_request(&gate));
        nodes[1].once(Operation::Extend, Fault::late_request(ms(100)));
        assert!(guard.extend().now_or_never().is_none());
        guard.release().await.unwrap();
        sleep(ms(300)).await;
        gate.open();
        redsync.drain().await;
        sleep(ms(1)).await;
        for node in &nodes[..2] {
            // An extension that sets nothing may be overtaken.
            assert!(node.operations().contains(&Operation::Extend));
        }
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_being_set_again_is_released_behind_that() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    nodes[0].inner().clear();
    let gate = Gate::new();
    // The first finds that the key is missing, and the second sets it.
    nodes[0].once(Operation::Extend, Fault::none());
    nodes[0].once(Operation::Extend, Fault::held_request(&gate));
    guard.extend().await.unwrap();
    sleep(ms(1)).await;
    guard.release().await.unwrap();
    sleep(ms(300)).await;
    assert_eq!(
        nodes[0].operations(),
        [Operation::Acquire, Operation::Extend],
        "neither has arrived"
    );
    gate.open();
    redsync.drain().await;
    assert_eq!(nodes[0].operations().last(), Some(&Operation::Release));
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_reports_the_lock_as_lost_sets_no_keys() {
    for gone in [2, 3] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
        let guard = mutex.lock().await.unwrap();
        for node in &nodes[..gone] {
            node.inner().clear();
        }
        let result = guard.extend().await;
        assert_lost(&guard, &result);
        redsync.drain().await;
        assert_eq!(holders(&nodes[..gone]).await, vec![None; gone]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_fails_or_is_dropped_sets_no_keys() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    nodes[0].inner().clear();
    nodes[1].once(Operation::Extend, Fault::unreachable());
    assert_failed(&guard.extend().await);
    nodes[1].once(Operation::Extend, Fault::late_reply(ms(10)));
    assert!(guard.extend().now_or_never().is_none());
    redsync.drain().await;
    assert!(nodes[0].inner().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_key_is_set_again_after_the_validity() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    nodes[0].inner().clear();
    // The command that sets the key waits behind one that takes too long.
    nodes[0].once(Operation::Extend, Fault::late_reply(2 * EXPIRY));
    let _ = guard.extend().await;
    guard.lost().await;
    redsync.drain().await;
    sleep(2 * EXPIRY).await;
    assert!(nodes[0].inner().is_empty());
}

#[tokio::test(start_paused = true)]
async fn keep_alive_under_way_does_not_bring_a_released_key_back() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    for node in &nodes {
        node.always_on(Operation::Extend, Fault::late_request(ms(200)));
    }
    for millis in (300..600).step_by(10) {
        let mut guard = mutex.lock().await.unwrap();
        guard.keep_alive();
        sleep(ms(millis)).await;
        guard.release().await.unwrap();
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_waits_in_its_lane_is_not_sent_after_the_release() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME);
    nodes[0].once(Operation::Acquire, Fault::late_reply(ms(150)));
    let guard = mutex.lock().await.unwrap();
    assert!(guard.extend().now_or_never().is_none());
    guard.release().await.unwrap();
    redsync.drain().await;
    let expected = [Operation::Acquire, Operation::Release];
    assert_eq!(nodes[0].operations(), expected);
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn other_clients_are_kept_out_for_as_long_as_the_lock_is_kept_alive() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mut guard = redsync.mutex(NAME).lock().await.unwrap();
    guard.keep_alive();
    for _ in 0..1000 {
        assert_taken(&redsync.mutex(NAME).try_lock().await);
        sleep(ms(37)).await;
    }
    guard.release().await.unwrap();
    let _guard = redsync.mutex(NAME).try_lock().await.unwrap();
}
