//! Waiting for a permit: the order of service, hand-overs, wake-ups by any of the permits, and how many
//! hold one at the same time, on servers.

mod crowds;
mod processes;
mod searches;

use std::sync::Arc;

use redsync::{
    LockError, NodeError, Redsync,
    node::{AcquireVote, Entry, MemoryNode, Node, NodeWrapper},
};
use redsync_tests::{
    Servers,
    faulty::{Fault, FaultyNode, Operation},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    WAIT, Watched, assert_before_a_poll, drowsy, got, in_memory, ms, poll_once, queue, waiting,
};

const NAME: &str = "export";

/// How many keys there are on the first node.
async fn keys(nodes: &[MemoryNode]) -> usize {
    nodes[0].len()
}

#[tokio::test(start_paused = true)]
async fn waiters_of_one_process_get_permits_in_the_order_in_which_they_came() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.semaphore(NAME, 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(mutex.try_lock().await.unwrap());
    }
    let mut waiters = Vec::new();
    for _ in 0..6 {
        waiters.push(queue(mutex.lock_within(WAIT)).await);
    }
    // Whichever permit is released.
    for at in [1, 0, 0, 2, 1, 0] {
        drop(held.remove(at % held.len()));
        let mut first = waiters.remove(0);
        for other in &mut waiters {
            assert!(poll_once(other).await.is_pending());
        }
        held.push(got(poll_once(&mut first).await));
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_no_further_permit_is_tried() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    let [here, there] = [(); 2].map(|()| Redsync::new(nodes.clone()).unwrap());
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(there.semaphore(NAME, 8).try_lock().await.unwrap());
    }
    let before = nodes[0].sent(Operation::Acquire).len();
    for node in &nodes {
        node.always_on(Operation::Acquire, Fault::late_reply(ms(100)));
    }
    let start = Instant::now();
    let error = here
        .semaphore(NAME, 8)
        .lock_within(ms(150))
        .await
        .unwrap_err();
    assert!(matches!(error, LockError::TimedOut(_)), "{error}");
    let tried: Vec<_> = nodes[0].sent(Operation::Acquire).split_off(before);
    assert_eq!(tried.len(), 2, "{tried:?}");
    assert!(tried.iter().all(|at| *at < start + ms(150)), "{tried:?}");
    // A call without a deadline tries all of them.
    here.semaphore(NAME, 8).try_lock().await.unwrap_err();
    assert_eq!(nodes[0].sent(Operation::Acquire).len(), before + 2 + 8);
}

#[tokio::test]
async fn a_key_that_is_no_lock_takes_the_place_of_one_permit() {
    let servers = Servers::start(3);
    for server in servers.iter() {
        server.command(&["SET", "export:permit-2", "of another program"]);
    }
    let [here, there] = [(); 2].map(|()| Redsync::connect(servers.urls()).unwrap());
    for _ in 0..20 {
        let guard = here.semaphore(NAME, 3).try_lock().await.unwrap();
        assert_ne!(guard.name(), "export:permit-2");
        guard.release().await.unwrap();
    }
    let one = there.semaphore(NAME, 3).try_lock().await.unwrap();
    let _other = there.semaphore(NAME, 3).try_lock().await.unwrap();
    let error = here.semaphore(NAME, 3).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error}");
    let mut waiter = queue(here.semaphore(NAME, 3).lock_within(WAIT)).await;
    assert!(poll_once(&mut waiter).await.is_pending());
    let name = one.name().to_owned();
    one.release().await.unwrap();
    assert_eq!(waiter.await.unwrap().name(), name);
}

/// A node that answers late, and has a key that is no lock in the place of the second permit.
#[derive(Clone)]
struct Occupied(MemoryNode);

impl NodeWrapper for Occupied {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        sleep(ms(20)).await;
        let name = &entry.names[0];
        if name.ends_with(":permit-2") {
            let name = Arc::clone(name);
            return Ok(AcquireVote::NotALock { name });
        }
        self.0.acquire(entry).await
    }
}

fn occupied() -> [Occupied; 3] {
    [(); 3].map(|()| Occupied(MemoryNode::new()))
}

#[tokio::test(start_paused = true)]
async fn a_waiter_waits_for_the_permits_beside_a_key_that_is_no_lock() {
    let mutex = Redsync::new(occupied()).unwrap().semaphore(NAME, 2);
    let first = mutex.try_lock().await.unwrap();
    let second = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(100)).await;
    drop(first);
    // Handed over, so the queue knows that this process has the permit. What is left to try is the
    // one with the foreign key.
    let second = second.await.unwrap().unwrap();
    let error = mutex.lock_within(ms(500)).await.unwrap_err();
    assert!(matches!(error, LockError::TimedOut(_)), "{error}");
    let third = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(500)).await;
    drop(second);
    assert_eq!(third.await.unwrap().unwrap().name(), NAME);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_taken_if_the_deadline_comes_before_all_permits_have_been_tried() {
    let nodes = occupied();
    let [here, there] = [(); 2].map(|()| Redsync::new(nodes.clone()).unwrap());
    let _held = there.mutex(NAME).lock().await.unwrap();
    // Each begins with a permit at random.
    for _ in 0..20 {
        let error = here
            .semaphore(NAME, 2)
            .lock_within(ms(10))
            .await
            .unwrap_err();
        assert!(matches!(error, LockError::TimedOut(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_handed_over_without_a_message_to_the_nodes() {
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    let redsync = drowsy(Redsync::new(nodes.clone()).unwrap());
    let mutex = redsync.semaphore(NAME, 2);
    let _one = mutex.lock().await.unwrap();
    let other = mutex.lock().await.unwrap();
    let name = other.name().to_owned();
    let waiter = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    let sent = |operation| nodes[0].node.sent(operation).len();
    let before = (sent(Operation::Acquire), sent(Operation::Release));
    drop(other);
    let next = waiter.await.unwrap().unwrap();
    assert_eq!(next.name(), name);
    assert_eq!(before, (sent(Operation::Acquire), sent(Operation::Release)));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_by_any_permit_that_another_process_releases() {
    let ([here, there], _) = in_memory();
    for released in 0..3 {
        let mutex = there.semaphore(NAME, 3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(mutex.try_lock().await.unwrap());
        }
        held.sort_by(|one, other| one.name().cmp(other.name()));
        let waiter = tokio::spawn(here.semaphore(NAME, 3).lock_within(WAIT));
        sleep(ms(1)).await;
        let start = Instant::now();
        let freed = held.remove(released);
        let name = freed.name().to_owned();
        drop(freed);
        let guard = waiter.await.unwrap().unwrap();
        assert_eq!(guard.name(), name);
        assert_before_a_poll(start);
        // It had seen which one.
        assert_eq!(guard.attempts(), 4);
        drop((held, guard));
        there.drain().await;
        here.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_waiter_watches_when_the_first_has_got_a_permit() {
    let ([here, there], _) = in_memory();
    let mutex = there.semaphore(NAME, 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(mutex.try_lock().await.unwrap());
    }
    let start = Instant::now();
    let mut waiters = JoinSet::new();
    for _ in 0..3 {
        waiters.spawn(queue(here.semaphore(NAME, 3).lock_within(WAIT)).await);
    }
    let mut got = Vec::new();
    while let Some(guard) = held.pop() {
        sleep(ms(100)).await;
        drop(guard);
        // Those that have a permit keep it.
        got.push(waiters.join_next().await.unwrap().unwrap().unwrap());
    }
    assert_before_a_poll(start);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_anywhere_leaves_no_permit_behind() {
    for polls in 0..12 {
        let ([here, there], nodes) = in_memory();
        let mutex = here.semaphore(NAME, 3);
        let taken = there.semaphore(NAME, 3).try_lock().await.unwrap();
        let held = [
            mutex.try_lock().await.unwrap(),
            mutex.try_lock().await.unwrap(),
        ];
        let mut dropped = Box::pin(mutex.lock_within(WAIT));
        let mut next = Box::pin(mutex.lock_within(WAIT));
        for poll in 0..polls {
            let _ = poll_once(&mut dropped).await;
            if poll == 2 {
                assert!(poll_once(&mut next).await.is_pending());
            }
        }
        drop(held);
        drop(dropped);
        let start = Instant::now();
        let guard = next.await.unwrap();
        assert_before_a_poll(start);
        drop((guard, taken));
        here.drain().await;
        there.drain().await;
        assert_eq!(keys(&nodes).await, 0);
        assert!(!waiting(&mutex, 1).await);
    }
}

#[tokio::test(start_paused = true)]
async fn permits_that_are_held_here_are_not_asked_for() {
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    let redsync = drowsy(Redsync::new(nodes.clone()).unwrap());
    let mutex = redsync.semaphore(NAME, 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(mutex.try_lock().await.unwrap());
    }
    // Two permits are handed over, so that the queue knows of them.
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(tokio::spawn(mutex.lock_within(WAIT)));
        sleep(ms(1)).await;
    }
    held.truncate(1);
    let _last = waiters.pop();
    for waiter in waiters {
        held.push(waiter.await.unwrap().unwrap());
    }
    let asked = nodes[0].node.sent(Operation::Acquire).len();
    let refused = redsync
        .semaphore(NAME, 3)
        .lock_until(Instant::now() + ms(1))
        .await;
    assert!(matches!(refused, Err(LockError::TimedOut(_))));
    let asked = nodes[0].node.sent(Operation::Acquire).len() - asked;
    assert_eq!(
        asked, 1,
        "only the permit that is not known to be held here"
    );
}
