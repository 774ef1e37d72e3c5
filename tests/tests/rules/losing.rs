//! Rule 6: a failed attempt ends when its reason is clear.

use redsync::{LockError, Vote};
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::Instant;

use crate::{
    NAME, NODE_TIMEOUT, assert_no_keys, assert_taken, assert_unavailable, ms, nodes, occupy,
    redsync,
};

#[tokio::test(start_paused = true)]
async fn a_taken_majority_is_known_at_once() {
    let nodes = nodes::<5>();
    occupy(&nodes[1..4], ms(700)).await;
    nodes[0].always(Fault::lost_request());
    nodes[4].always(Fault::lost_request());
    let start = Instant::now();
    let error = redsync(&nodes).mutex(NAME).try_lock().await.unwrap_err();
    assert_eq!(start.elapsed(), ms(0));
    let LockError::Taken(votes) = &error else {
        panic!("{error:?}")
    };
    assert!(error.is_contention());
    assert_eq!(votes.iter().count(), 3);
    assert_eq!(votes.quorum(), 3);
    assert_eq!(votes.free_in(), Some(ms(700)));
}

#[tokio::test(start_paused = true)]
async fn a_majority_that_fails_is_known_at_once() {
    let nodes = nodes::<5>();
    for node in &nodes[2..] {
        node.always(Fault::unreachable());
    }
    nodes[0].always(Fault::lost_request());
    nodes[1].always(Fault::lost_request());
    let start = Instant::now();
    assert_unavailable(&redsync(&nodes).mutex(NAME).try_lock().await);
    assert_eq!(start.elapsed(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_does_not_turn_contention_into_an_outage() {
    for dead in 0..3 {
        for fault in [Fault::unreachable(), Fault::broken_request()] {
            let nodes = nodes::<3>();
            occupy(&nodes, ms(700)).await;
            nodes[dead].always(fault);
            assert_taken(&redsync(&nodes).mutex(NAME).try_lock().await);
        }
    }
}

/// Of an even number of nodes, half can refuse while the other half fails.
#[tokio::test(start_paused = true)]
async fn half_of_the_nodes_that_are_taken_are_contention_in_whatever_order_they_answer() {
    for are_failures_late in [false, true] {
        let nodes = nodes::<4>();
        let (taken, failing) = nodes.split_at(2);
        occupy(taken, ms(700)).await;
        for node in taken.iter().filter(|_| !are_failures_late) {
            node.once(Operation::Acquire, Fault::late_reply(ms(20)));
        }
        let late = Fault::broken_reply().and_late_request(ms(20));
        for node in failing {
            let fault = if are_failures_late {
                late.clone()
            } else {
                Fault::unreachable()
            };
            node.once(Operation::Acquire, fault);
        }
        assert_taken(&redsync(&nodes).mutex(NAME).try_lock().await);
    }
}

#[tokio::test(start_paused = true)]
async fn with_too_few_answers_it_is_an_outage() {
    // How many of three nodes have the key of another holder, and how many fail.
    for (taken, failed) in [(0, 2), (1, 2), (0, 3)] {
        let nodes = nodes::<3>();
        occupy(&nodes[..taken], ms(700)).await;
        for node in &nodes[taken..taken + failed] {
            node.always(Fault::unreachable());
        }
        let redsync = redsync(&nodes);
        let result = redsync.mutex(NAME).try_lock().await;
        assert_unavailable(&result);
        let error = result.unwrap_err();
        assert!(!error.is_contention());
        let votes = error.votes().unwrap().iter();
        let failures: Vec<_> = votes
            .filter(|node| matches!(node.vote(), Vote::Failed(_)))
            .collect();
        assert!(failures.len() >= 2, "{error}");
        let failing = &nodes[taken..taken + failed];
        for vote in failures {
            let is_it = |node| redsync::node::Node::address(node) == vote.address();
            assert!(failing.iter().any(is_it));
            assert!(error.to_string().contains(vote.address()), "{error}");
        }
        redsync.drain().await;
        assert_no_keys(&nodes[taken..]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_divided_majority_beside_a_dead_node_is_contention() {
    let nodes = nodes::<3>();
    occupy(&nodes[..1], ms(700)).await;
    nodes[1].always(Fault::unreachable());
    let redsync = redsync(&nodes);
    assert_taken(&redsync.mutex(NAME).try_lock().await);
    redsync.drain().await;
    assert_no_keys(&nodes[1..]);
}

#[tokio::test(start_paused = true)]
async fn the_vote_that_separates_contention_from_an_outage_is_waited_for() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(700)).await;
    nodes[0].always(Fault::unreachable());
    nodes[2].always(Fault::late_reply(ms(100)));
    let start = Instant::now();
    assert_taken(&redsync(&nodes).mutex(NAME).try_lock().await);
    assert_eq!(start.elapsed(), ms(100));

    nodes[2].always(Fault::lost_reply());
    let start = Instant::now();
    assert_unavailable(&redsync(&nodes).mutex(NAME).try_lock().await);
    assert_eq!(start.elapsed(), NODE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn half_of_an_even_number_is_not_a_majority() {
    for size in [2, 4, 6] {
        let nodes: Vec<_> = nodes::<6>().into_iter().take(size).collect();
        occupy(&nodes[..size / 2], ms(700)).await;
        let redsync = redsync(&nodes);
        assert_taken(&redsync.mutex(NAME).try_lock().await);
        redsync.drain().await;
        for node in &nodes[..size / 2] {
            node.inner().clear();
            node.always(Fault::unreachable());
        }
        assert_unavailable(&redsync.mutex(NAME).try_lock().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_acquires_the_lock_when_it_is_free() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(700)).await;
    let redsync = redsync(&nodes);
    let start = Instant::now();
    let error = redsync.mutex(NAME).lock_within(ms(600)).await.unwrap_err();
    assert!(matches!(error, LockError::TimedOut(_)), "{error:?}");
    assert_eq!(start.elapsed(), ms(600));
    let _guard = redsync.mutex(NAME).lock_within(ms(600)).await.unwrap();
    assert_eq!(start.elapsed(), ms(700));
}

#[tokio::test(start_paused = true)]
async fn attempts_and_pauses_are_those_of_the_options() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(10_000)).await;
    let mutex = redsync(&nodes)
        .mutex(NAME)
        .with_tries(4)
        .with_retry_delay_fn(|attempts| ms(100) * attempts);
    let start = Instant::now();
    assert_taken(&mutex.lock().await);
    let attempts: Vec<_> = (nodes[0].sent(Operation::Acquire).iter())
        .map(|at| *at - start)
        .collect();
    assert_eq!(attempts, [ms(0), ms(100), ms(300), ms(600)]);
    assert_eq!(start.elapsed(), ms(600), "no pause after the last attempt");
}

#[tokio::test(start_paused = true)]
async fn an_outage_can_end_the_attempts_early() {
    let nodes = nodes::<3>();
    occupy(&nodes, ms(50)).await;
    let mutex = redsync(&nodes).mutex(NAME).with_outage_attempts(3);
    for node in &nodes {
        let mut number = 0;
        node.plan(move |operation| {
            if operation == Operation::Acquire {
                number += 1;
            }
            // The first attempt meets contention, which is not an outage.
            if number > 1 {
                Fault::unreachable()
            } else {
                Fault::none()
            }
        });
    }
    assert_unavailable(&mutex.lock_within(ms(100_000)).await);
    assert_eq!(nodes[0].sent(Operation::Acquire).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_come_too_late_count_as_an_outage() {
    let nodes = nodes::<3>();
    for node in &nodes {
        node.always_on(Operation::Acquire, Fault::late_reply(ms(100)));
    }
    let mutex = redsync(&nodes).mutex(NAME).with_min_validity(ms(900));
    let result = (mutex.with_outage_attempts(3).lock_within(ms(100_000))).await;
    assert!(matches!(result, Err(LockError::TooLate(_))), "{result:?}");
    assert_eq!(nodes[0].sent(Operation::Acquire).len(), 3);
}
