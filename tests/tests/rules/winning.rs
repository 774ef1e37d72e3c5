//! Rule 5: a lock is acquired at quorum, and the keys on the other nodes are part of it.

use std::sync::{Arc, Mutex};

use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::{NAME, NODE_TIMEOUT, assert_no_keys, assert_taken, holders, ms, nodes, redsync};

#[tokio::test(start_paused = true)]
async fn a_straggler_is_not_waited_for_and_holds_the_key_in_the_end() {
    let nodes = nodes::<3>();
    nodes[1].once(Operation::Acquire, Fault::late_request(ms(600)));
    let redsync = redsync(&nodes);
    let start = Instant::now();
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!(holders(&nodes[1..2]).await, [None]);

    sleep(ms(601)).await;
    let ours = Some(guard.expose_value().as_str().to_owned());
    assert_eq!(holders(&nodes).await, vec![ours; 3]);
    guard.release().await.unwrap();
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn the_straggler_makes_the_lock_survive_the_loss_of_another_node() {
    let nodes = nodes::<3>();
    nodes[1].once(Operation::Acquire, Fault::late_request(ms(100)));
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    sleep(ms(101)).await;
    nodes[0].inner().clear();
    guard.extend().await.unwrap();
    assert_taken(&redsync.mutex(NAME).try_lock().await);
}

#[tokio::test(start_paused = true)]
async fn an_early_release_comes_behind_the_stragglers_acquisition() {
    for fault in [
        Fault::late_request(ms(700)),
        Fault::late_reply(ms(700)),
        Fault::late_request(ms(300)).and_late_reply(ms(400)),
    ] {
        let nodes = nodes::<3>();
        nodes[0].once(Operation::Acquire, fault);
        let redsync = redsync(&nodes);
        let start = Instant::now();
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        guard.release().await.unwrap();
        assert_eq!(start.elapsed(), ms(0), "the straggler is not waited for");

        redsync.drain().await;
        let expected = [Operation::Acquire, Operation::Release];
        assert_eq!(nodes[0].operations(), expected);
        assert_eq!(start.elapsed(), ms(700));
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_comes_behind_the_stragglers_acquisition() {
    let nodes = nodes::<3>();
    nodes[0].once(Operation::Acquire, Fault::late_request(ms(100)));
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    guard.extend().await.unwrap();
    sleep(ms(200)).await;
    let expected = [Operation::Acquire, Operation::Extend];
    assert_eq!(nodes[0].operations(), expected);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_are_waited_for_if_the_mutex_says_so() {
    let nodes = nodes::<3>();
    nodes[2].once(Operation::Acquire, Fault::late_reply(ms(100)));
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let start = Instant::now();
    let guard = mutex.lock().await.unwrap();
    assert_eq!(start.elapsed(), ms(100));
    guard.release().await.unwrap();
    redsync.drain().await;

    nodes[2].always(Fault::lost_request());
    let start = Instant::now();
    let _guard = mutex.lock().await.unwrap();
    assert_eq!(start.elapsed(), NODE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn nodes_are_asked_in_a_random_order_if_the_mutex_says_so() {
    for shuffled in [false, true] {
        let nodes = nodes::<3>();
        let asked = Arc::new(Mutex::new(Vec::new()));
        for (index, node) in nodes.iter().enumerate() {
            let asked = Arc::clone(&asked);
            node.plan(move |operation| {
                if operation == Operation::Acquire {
                    asked.lock().unwrap().push(index);
                }
                Fault::none()
            });
        }
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME).with_shuffled_nodes(shuffled);
        let mut first = [0; 3];
        // The probability that one of the nodes is never the first is less than 10^-17.
        for _ in 0..100 {
            mutex.lock().await.unwrap().release().await.unwrap();
            redsync.drain().await;
            first[std::mem::take(&mut *asked.lock().unwrap())[0]] += 1;
        }
        if shuffled {
            assert!(first.iter().all(|times| *times > 0), "{first:?}");
        } else {
            assert_eq!(first, [100, 0, 0]);
        }
    }
}
