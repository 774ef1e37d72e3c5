//! Waiting in queues: the order of service, hand-overs, wake-ups, and what becomes of a queue when those
//! in it, the holder or the nodes go away.
//!
//! Most of it is with pauses between polls of a minute ([`POLL`]), so that what was not woken is
//! seen to hang.

mod bounds;
mod cancelled;
mod crashes;
mod ends;
mod fairness;
mod forced;
mod hand_over;
mod memory;
mod order;
mod outage;
mod paces;
mod pollers;
mod polls;
mod process;
mod processes;
mod reconnects;
mod semaphores;
mod several;
mod shared;
mod wake_ups;
mod writers;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use redsync::{Guard, LockError, Mutex, Redsync, future::Lock, node::MemoryNode};
use redsync_tests::{Servers, wait::until_async, watched::Watched};
use tokio::time::Instant;

const NAME: &str = "order:42";

/// A pause between polls that a test would not survive.
const POLL: Duration = Duration::from_secs(60);

/// How long to wait for a lock: longer than a poll.
const WAIT: Duration = Duration::from_secs(200);

/// Longer than all that has to happen at once, on a busy machine; less than a poll.
const SOON: Duration = Duration::from_secs(30);

/// Longer than any wait here: no key expires.
const LONG: Duration = Duration::from_secs(300);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whose polls and expiries are far away, and who has patience with a busy machine's nodes.
fn drowsy(redsync: Redsync) -> Redsync {
    redsync
        .with_defaults(|mutex| {
            (mutex.with_retry_delay(POLL))
                .with_expiry(LONG)
                .with_node_timeout(Duration::from_secs(3))
        })
        .expect("a configuration that works")
}

/// Several processes on nodes in memory, whose polls are far away.
fn in_memory<const N: usize>() -> ([Redsync; N], Vec<MemoryNode>) {
    let nodes: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let process = |_| drowsy(Redsync::new(nodes.clone()).expect("nodes"));
    (std::array::from_fn(process), nodes)
}

/// Several processes on servers, whose polls are far away.
fn on_servers<const N: usize>(servers: &Servers) -> [Redsync; N] {
    std::array::from_fn(|_| drowsy(Redsync::connect(servers.urls()).expect("URLs")))
}

/// Polls once, as it is when it is first awaited.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

type Waiter = Pin<Box<Lock>>;

/// A waiter that has joined the queue and is not polled meanwhile. On nodes that answer at once.
async fn queue(lock: Lock) -> Waiter {
    let mut waiter = Box::pin(lock);
    assert!(poll_once(&mut waiter).await.is_pending(), "it is free");
    waiter
}

/// What a waiter has got by now, without being given any time.
#[track_caller]
fn got(polled: Poll<Result<Guard, LockError>>) -> Guard {
    match polled {
        Poll::Ready(result) => result.expect("a lock"),
        Poll::Pending => panic!("it still waits"),
    }
}

/// Waits until the queue of a mutex that is held has this number of waiters.
async fn until_waiting(mutex: &Mutex, count: usize) {
    until_async("they wait in the queue", SOON, async || {
        waiting(mutex, count).await
    })
    .await;
}

/// Whether the queue of a mutex that is held has this number of waiters.
async fn waiting(mutex: &Mutex, count: usize) -> bool {
    let probe = mutex.clone().with_max_waiting(count);
    let refused = probe.lock_within(Duration::ZERO).await;
    matches!(refused, Err(LockError::TooManyWaiting { .. }))
}

/// Asserts that nothing has waited for a poll since.
#[track_caller]
fn assert_before_a_poll(since: Instant) {
    let took = since.elapsed();
    assert!(took < POLL / 2, "it took {took:?}");
}
