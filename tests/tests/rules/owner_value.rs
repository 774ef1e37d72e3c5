//! Rule 2: each attempt has a fresh owner value, which appears in no output.

use std::{collections::HashSet, convert::Infallible};

use redsync::{LockError, Redsync};
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Operation},
};
use tokio::time::sleep;

use crate::{NAME, assert_taken, holders, ms, nodes, occupy, redsync};

fn acquired_with(node: &FaultyNode) -> Vec<String> {
    node.arrivals()
        .into_iter()
        .filter(|arrival| arrival.operation == Operation::Acquire)
        .map(|arrival| arrival.value.unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_value() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(10_000)).await;
    let mutex = redsync(&nodes).mutex(NAME).with_tries(5);
    assert_taken(&mutex.lock().await);
    assert_taken(&mutex.try_lock().await);

    let values = acquired_with(&nodes[0]);
    assert_eq!(values.len(), 6);
    assert_eq!(values.iter().collect::<HashSet<_>>().len(), 6);
    for node in &nodes {
        assert_eq!(acquired_with(node), values, "an attempt has one value");
    }
    // 128 bits in hexadecimal.
    assert!(values.iter().all(|value| value.len() >= 32));
}

#[tokio::test(start_paused = true)]
async fn a_stale_release_of_one_attempt_leaves_the_key_of_the_next_alone() {
    // The first attempt acquires one node, whichever it is.
    for granting in 0..3 {
        let nodes = nodes::<3>();
        for (number, node) in nodes.iter().enumerate() {
            if number == granting {
                // The release deletes the key, but its answer is lost. So it is repeated, and finds
                // the key of a later attempt.
                node.once(Operation::Release, Fault::broken_reply());
            } else {
                // Up to the second attempt, which comes before the release is repeated.
                occupy(std::slice::from_ref(node), ms(15)).await;
            }
        }
        let redsync = redsync(&nodes);
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        let acquired = nodes[granting].operations().len();
        sleep(ms(100)).await;
        let later = nodes[granting].operations().split_off(acquired);
        assert_eq!(later, [Operation::Release]);
        let ours = Some(guard.expose_value().as_str().to_owned());
        assert_eq!(holders(&nodes).await, vec![ours; 3]);
        assert_taken(&redsync.mutex(NAME).try_lock().await);
    }
}

#[tokio::test(start_paused = true)]
async fn values_with_the_same_label_differ_between_attempts() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(10_000)).await;
    let mutex = redsync(&nodes)
        .mutex(NAME)
        .with_owner_label(|| Ok::<_, Infallible>("same:".to_owned()));
    assert_taken(&mutex.with_tries(5).lock().await);
    let values = acquired_with(&nodes[0]);
    assert!(values.iter().all(|value| value.starts_with("same:")));
    assert!(values.iter().all(|value| value.len() >= 32 + 5));
    assert_eq!(values.iter().collect::<HashSet<_>>().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn if_the_function_for_the_label_fails_nothing_is_sent() {
    let nodes = nodes::<3>();
    let mutex = redsync(&nodes).mutex(NAME);
    let failing = mutex.with_owner_label(|| Err("no host name"));
    let result = failing.lock().await;
    assert!(matches!(&result, Err(LockError::Value(_))), "{result:?}");
    assert!(result.unwrap_err().to_string().contains("no host name"));
    assert!(nodes[0].sent(Operation::Acquire).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_value_is_in_no_output() {
    let nodes = nodes::<3>();
    let redsync: Redsync = redsync(&nodes);
    let mutex = redsync
        .mutex(NAME)
        .with_owner_label(|| Ok::<_, Infallible>("credential".to_owned()));
    let guard = mutex.lock().await.unwrap();
    let taken = redsync.mutex(NAME).try_lock().await.unwrap_err();
    let mut shown = format!("{redsync:?} {mutex:?} {guard:?} {taken:?} {taken}");
    shown += &format!("{:?} {:?} ", guard.expose_value(), guard.validity());
    for node in &nodes {
        shown += &format!("{:?} {:?}", node.inner(), node.holder(NAME).await);
        node.always(Fault::unreachable());
    }
    let failed = guard.extend().await.unwrap_err();
    let release = guard.release();
    shown += &format!("{failed:?} {failed} {release:?}");
    let failed = release.await.unwrap_err();
    shown += &format!("{failed:?} {failed}");
    assert!(!shown.contains("credential"), "{shown}");
}
