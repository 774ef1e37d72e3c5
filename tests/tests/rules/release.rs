//! Rule 10: a release reports whether the lock was held to its end.

use redsync::{NodeError, Released, Vote};
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{sleep, sleep_until};

use crate::{EXPIRY, NAME, assert_no_keys, holders, ms, nodes, occupy, redsync};

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_held_to_the_end_is_reported_as_held() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_validity_has_ended_is_reported_as_lost() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    // The keys still exist, and are deleted.
    sleep_until(guard.until()).await;
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
    redsync.drain().await;
    assert_no_keys(&nodes);

    let guard = redsync.mutex(NAME).lock().await.unwrap();
    sleep(2 * EXPIRY).await;
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_keys_are_gone_from_a_majority_is_reported_as_lost() {
    for (gone, released) in [
        (1, Released::Held),
        (2, Released::AlreadyLost),
        (3, Released::AlreadyLost),
    ] {
        let nodes = nodes::<3>();
        let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
        for node in &nodes[..gone] {
            node.inner().clear();
        }
        assert_eq!(guard.release().await.unwrap(), released);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_client_has_acquired_meanwhile_is_reported_as_lost() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        node.inner().clear();
    }
    occupy(&nodes, ms(5000)).await;
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
    redsync.drain().await;
    let rivals = vec![Some("rival".to_owned()); 3];
    assert_eq!(holders(&nodes).await, rivals, "the rival's lock stays");
}

#[tokio::test(start_paused = true)]
async fn with_too_few_answers_the_result_is_unknown() {
    for (dead, known) in [(1, true), (2, false), (3, false)] {
        let nodes = nodes::<3>();
        let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
        for node in &nodes[..dead] {
            node.always(Fault::unreachable());
        }
        let result = guard.release().await;
        if known {
            assert_eq!(result.unwrap(), Released::Held);
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.votes().name(), NAME);
        let failed = error.votes().iter();
        let failed = failed.filter(|node| matches!(node.vote(), Vote::Failed(_)));
        assert!(failed.count() >= 2, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_refusal_and_a_failure_the_result_is_unknown_too() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    nodes[0].inner().clear();
    nodes[1].always(Fault::unreachable());
    guard.release().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_does_not_turn_a_held_lock_into_a_lost_one() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for node in &nodes[..2] {
        // The node deletes the key, and finds none when the release is repeated.
        node.once(Operation::Release, Fault::broken_reply());
    }
    let result = guard.release().await;
    assert!(
        !matches!(result, Ok(Released::AlreadyLost)),
        "either it was held or the result is unknown: {result:?}"
    );
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_once_do_not_keep_keys_from_being_released() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        node.once(Operation::Release, Fault::broken_request());
    }
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_repeated_after_a_refusal_that_may_pass() {
    for (code, message) in [
        ("READONLY", ""),
        ("LOADING", ""),
        ("MISCONF", ""),
        ("NOREPLICAS", ""),
        ("BUSY", ""),
        ("CLUSTERDOWN", ""),
        ("MASTERDOWN", ""),
        ("TRYAGAIN", ""),
        ("A_CODE_OF_THE_FUTURE", ""),
        // A proxy, and a script on a server before Redis 7.
        ("ERR", "no server is available"),
        ("ERR", "Error running script: -READONLY You can't write"),
        ("upstream", "failure"),
    ] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        for node in &nodes {
            node.once(
                Operation::Release,
                Fault::error(NodeError::refused(code, message)),
            );
        }
        assert_eq!(guard.release().await.unwrap(), Released::Held, "{code}");
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_repeated_after_an_answer_that_nobody_understands() {
    for is_carried_out in [false, true] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        for node in &nodes {
            let unexpected = NodeError::Unexpected("a status".into());
            node.once(Operation::Release, Fault::error(unexpected));
            if is_carried_out {
                node.inner().clear();
            }
        }
        let result = guard.release().await;
        assert!(
            !matches!(result, Ok(Released::AlreadyLost)),
            "the first may have released it: {result:?}"
        );
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_repeated_after_a_panic_in_the_code_of_a_node() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for node in &nodes {
        let mut panics = true;
        node.plan(move |_| {
            assert!(!std::mem::take(&mut panics), "an expected panic");
            Fault::none()
        });
    }
    drop(guard);
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_can_never_succeed_is_not_repeated() {
    for (code, message) in [
        ("NOPERM", "this user has no permissions"),
        ("ERR", "unknown command 'EVALSHA'"),
        ("ERR", "wrong number of arguments for 'eval' command"),
    ] {
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        for node in &nodes {
            let error = NodeError::refused(code, message);
            node.always_on(Operation::Release, Fault::error(error));
        }
        guard.release().await.unwrap_err();
        redsync.drain().await;
        for node in &nodes {
            assert_eq!(node.sent(Operation::Release).len(), 1, "{code} {message}");
        }
    }
}
