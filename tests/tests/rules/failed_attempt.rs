//! Rule 3: a failed attempt leaves nothing behind.

use redsync::Released;
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Gate, Operation},
};
use tokio::time::{Instant, sleep};

use crate::{
    NAME, NODE_TIMEOUT, assert_no_keys, assert_taken, assert_unavailable, ms, nodes, occupy,
    redsync,
};

fn assert_released_after_acquired(node: &FaultyNode) {
    let operations = node.operations();
    let acquired = operations.iter().rposition(|o| *o == Operation::Acquire);
    let released = operations.iter().position(|o| *o == Operation::Release);
    assert!(released.is_some() && released > acquired, "{operations:?}");
}

#[tokio::test(start_paused = true)]
async fn every_node_that_may_have_its_key_is_released_and_no_other() {
    let nodes = nodes::<5>();
    occupy(&nodes[..3], ms(5000)).await;
    // One node grants. Another grants too, but its answer is lost with the connection.
    nodes[4].once(Operation::Acquire, Fault::broken_reply());
    let redsync = redsync(&nodes);
    assert_taken(&redsync.mutex(NAME).try_lock().await);
    redsync.drain().await;
    for node in &nodes[..3] {
        assert_eq!(
            node.operations(),
            [Operation::Acquire],
            "it answered that the name is taken"
        );
    }
    for node in &nodes[3..] {
        assert_released_after_acquired(node);
    }
    assert_no_keys(&nodes[3..]);
    let rivals = crate::holders(&nodes[..3]).await;
    assert_eq!(rivals, vec![Some("rival".to_owned()); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_late_acquisition_is_released_behind_it() {
    let nodes = nodes::<3>();
    occupy(&nodes[..2], ms(5000)).await;
    nodes[2].once(Operation::Acquire, Fault::late_request(ms(900)));
    let redsync = redsync(&nodes);
    let start = Instant::now();
    assert_taken(&redsync.mutex(NAME).try_lock().await);
    assert_eq!(start.elapsed(), ms(0), "the late node is not waited for");
    redsync.drain().await;
    assert_eq!(start.elapsed(), ms(900));
    assert_released_after_acquired(&nodes[2]);
    assert_no_keys(&nodes[2..]);
}

#[tokio::test(start_paused = true)]
async fn acquisitions_that_all_timed_out_are_released_when_they_arrive() {
    let nodes = nodes::<3>();
    let gate = Gate::new();
    for node in &nodes {
        node.once(Operation::Acquire, Fault::held_request(&gate));
    }
    let redsync = redsync(&nodes);
    assert_unavailable(&redsync.mutex(NAME).try_lock().await);
    sleep(ms(400)).await;
    for node in &nodes {
        assert!(node.sent(Operation::Release).is_empty());
    }
    gate.open();
    redsync.drain().await;
    for node in &nodes {
        assert_released_after_acquired(node);
    }
    assert_no_keys(&nodes);
    // The next attempt succeeds at once.
    let _guard = redsync.mutex(NAME).try_lock().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_release_is_repeated_when_its_connection_breaks() {
    let nodes = nodes::<3>();
    occupy(&nodes[..2], ms(5000)).await;
    nodes[2].once(Operation::Release, Fault::broken_request());
    nodes[2].once(Operation::Release, Fault::broken_request());
    let redsync = redsync(&nodes);
    assert_taken(&redsync.mutex(NAME).try_lock().await);
    redsync.drain().await;
    assert_no_keys(&nodes[2..]);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_code_panics_counts_as_failed() {
    for (panicking, works) in [(1, true), (2, false)] {
        let nodes = nodes::<3>();
        for node in &nodes[..panicking] {
            node.plan(|_| panic!("an expected panic"));
        }
        let redsync = redsync(&nodes);
        let result = redsync.mutex(NAME).try_lock().await;
        if works {
            drop(result.unwrap());
        } else {
            assert_unavailable(&result);
        }
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_on_nodes_that_never_answer_are_left_to_expire() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always(Fault::lost_reply());
    }
    let redsync = redsync(&nodes);
    let start = Instant::now();
    assert_unavailable(&redsync.mutex(NAME).try_lock().await);
    redsync.drain().await;
    // The time limit, an expiry, and five seconds for the release behind it.
    assert!(start.elapsed() <= ms(6250), "{:?}", start.elapsed());
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_lock_clean_up_after_themselves() {
    let nodes = nodes::<5>();
    occupy(&nodes[..2], ms(200)).await;
    for node in &nodes[2..] {
        node.plan({
            let mut number = 0;
            move |operation| {
                number += 1;
                match (operation, number % 3) {
                    (Operation::Acquire, 0) => Fault::late_request(ms(400)),
                    (Operation::Acquire, 1) => Fault::broken_reply(),
                    _ => Fault::late_reply(ms(1)),
                }
            }
        });
    }
    let redsync = redsync(&nodes);
    let result = redsync.mutex(NAME).with_tries(20).lock().await;
    if let Ok(guard) = result {
        guard.release().await.unwrap();
    }
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_lock_is_released_though_the_first_holders_acquisition_arrives_later() {
    for delay in [ms(20), NODE_TIMEOUT, NODE_TIMEOUT + ms(900)] {
        let nodes = nodes::<3>();
        let (first, second) = (redsync(&nodes), redsync(&nodes));
        nodes[2].once(Operation::Acquire, Fault::late_request(delay));
        let parts = first.mutex(NAME).lock().await.unwrap().into_parts();
        let guard = second.mutex(NAME).resume(parts).await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        first.drain().await;
        second.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumed_lock_that_is_dropped_is_released_in_the_same_way() {
    let nodes = nodes::<3>();
    let (first, second) = (redsync(&nodes), redsync(&nodes));
    nodes[2].once(Operation::Acquire, Fault::late_request(NODE_TIMEOUT));
    let parts = first.mutex(NAME).lock().await.unwrap().into_parts();
    drop(second.mutex(NAME).resume(parts).await.unwrap());
    first.drain().await;
    second.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn the_release_of_a_resumed_lock_is_repeated_for_a_bounded_time() {
    let nodes = nodes::<3>();
    let (first, second) = (redsync(&nodes), redsync(&nodes));
    let parts = first.mutex(NAME).lock().await.unwrap().into_parts();
    let guard = second.mutex(NAME).resume(parts).await.unwrap();
    nodes[2].inner().clear();
    let start = Instant::now();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    assert_eq!(
        start.elapsed(),
        ms(0),
        "the caller waits for none of the repetitions"
    );
    second.drain().await;
    assert_eq!(start.elapsed(), NODE_TIMEOUT + ms(1000));
    assert_eq!(nodes[0].sent(Operation::Release).len(), 1);
    assert!(nodes[2].sent(Operation::Release).len() <= 8);

    let parts = first.mutex(NAME).lock().await.unwrap().into_parts();
    let guard = second.mutex(NAME).with_expiry(ms(9000)).resume(parts).await;
    let guard = guard.unwrap();
    guard.extend().await.unwrap();
    sleep(NODE_TIMEOUT + ms(1000)).await;
    nodes[2].inner().clear();
    let start = Instant::now();
    guard.release().await.unwrap();
    second.drain().await;
    assert_eq!(
        start.elapsed(),
        ms(0),
        "nothing can be under way any longer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_resumed_twice_is_released_in_the_same_way() {
    let nodes = nodes::<3>();
    let processes = [(); 3].map(|()| redsync(&nodes));
    nodes[2].once(Operation::Acquire, Fault::late_request(ms(200)));
    let mut parts = processes[0].mutex(NAME).lock().await.unwrap().into_parts();
    for process in &processes[1..] {
        parts = process
            .mutex(NAME)
            .resume(parts)
            .await
            .unwrap()
            .into_parts();
    }
    let guard = processes[0].mutex(NAME).resume(parts).await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    for process in &processes {
        process.drain().await;
    }
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_shared_lock_that_was_resumed_is_released_in_the_same_way() {
    let nodes = nodes::<3>();
    let (first, second) = (redsync(&nodes), redsync(&nodes));
    let other = redsync(&nodes).mutex(NAME).shared().lock().await.unwrap();
    sleep(ms(1)).await;
    nodes[2].once(Operation::Acquire, Fault::late_request(ms(200)));
    let parts = first
        .mutex(NAME)
        .shared()
        .lock()
        .await
        .unwrap()
        .into_parts();
    let guard = second.mutex(NAME).shared().resume(parts).await.unwrap();
    guard.release().await.unwrap();
    first.drain().await;
    second.drain().await;
    assert!(other.verify().await.unwrap(), "the other's share stays");
    other.release().await.unwrap();
    sleep(ms(1)).await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_lock_is_released_though_the_first_holder_was_setting_a_missing_key_again() {
    let nodes = nodes::<3>();
    let (first, second) = (redsync(&nodes), redsync(&nodes));
    let mutex = first.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    nodes[2].inner().clear();
    // The first finds that the key is missing, and the second sets it.
    nodes[2].once(Operation::Extend, Fault::none());
    nodes[2].once(Operation::Extend, Fault::late_request(ms(200)));
    guard.extend().await.unwrap();
    guard.extend().await.unwrap();
    sleep(ms(1)).await;
    let guard = second.mutex(NAME).resume(guard.into_parts()).await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    first.drain().await;
    second.drain().await;
    assert!(nodes[2].sent(Operation::Extend).len() >= 2);
    assert_no_keys(&nodes);
}
