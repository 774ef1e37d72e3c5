//! Nobody goes round in circles: neither where wake-ups promise more than there is, nor where pauses
//! are none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redsync::{
    LockError, NodeError, Redsync,
    node::{
        AcquireVote, Entry, MemoryNode, Node, NodeWrapper, WakeUp,
        redis::{Deadpool, RedisNode},
    },
};
use redsync_tests::{RedisServer, Servers, faulty::Fault};
use tokio::time::{Instant, sleep, timeout};

use crate::{NAME, SOON, WAIT, Watched, ms, on_servers, queue};

/// A server that can be read and not be written, such as one that is out of memory.
#[derive(Clone)]
struct Full {
    node: MemoryNode,
    tries: Arc<AtomicUsize>,
}

impl NodeWrapper for Full {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.node
    }

    async fn acquire(&self, _: &Entry) -> Result<AcquireVote, NodeError> {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst);
        assert!(tries < 10_000, "tries without an end");
        // As an answer comes: not at once.
        sleep(Duration::from_micros(100)).await;
        Err(NodeError::Unexpected("OOM command not allowed".into()))
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_free_and_grant_nothing_are_not_besieged() {
    let tries = Arc::new(AtomicUsize::new(0));
    let nodes = [(); 3].map(|()| Full {
        node: MemoryNode::new(),
        tries: Arc::clone(&tries),
    });
    let redsync = Redsync::new(nodes).unwrap();
    let mutex = redsync.mutex(NAME).with_retry_delay(ms(100));
    let refused = mutex.lock_within(Duration::from_secs(2)).await;
    assert!(matches!(refused, Err(LockError::Unavailable(_))));
    let tries = tries.load(Ordering::SeqCst) / 3;
    // Fewer and fewer.
    assert!((6..=9).contains(&tries), "{tries} in 2 s");
}

/// A node whose watch is of another database, in which the name is free.
#[derive(Clone)]
struct WatchedElsewhere {
    node: MemoryNode,
    attempts: Arc<AtomicUsize>,
}

impl NodeWrapper for WatchedElsewhere {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.node
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let attempts = self.attempts.fetch_add(1, Ordering::SeqCst);
        assert!(attempts < 10_000, "attempts without an end");
        sleep(ms(1)).await;
        self.node.acquire(entry).await
    }

    async fn watch(&self, _: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        Ok(WakeUp::Free)
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_report_a_taken_name_as_free_are_not_besieged() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let nodes = [(); 3].map(|()| WatchedElsewhere {
        node: MemoryNode::new(),
        attempts: Arc::clone(&attempts),
    });
    let mutex = || {
        let redsync = Redsync::new(nodes.clone()).unwrap();
        redsync.mutex(NAME).with_retry_delay(ms(100))
    };
    let _held = mutex().lock().await.unwrap();
    let before = attempts.load(Ordering::SeqCst);
    let refused = mutex().lock_within(Duration::from_secs(2)).await;
    assert!(matches!(refused, Err(LockError::TimedOut(_))));
    let attempts = (attempts.load(Ordering::SeqCst) - before) / 3;
    // The polls, and some more.
    assert!((19..=50).contains(&attempts), "{attempts} in 2 s");
}

/// Waits for two seconds, with polls every 100 ms. Returns how many attempts arrived at the server.
async fn attempts_at(server: &RedisServer, redsync: &Redsync) -> u64 {
    // Nothing ends a round early: neither a busy machine, nor two nodes that decide before this server
    // is asked.
    let mutex = (redsync.mutex(NAME).with_fail_fast(false))
        .with_node_timeout(SOON)
        .with_retry_delay(ms(100));
    let before = server.info("cmdstat_set");
    let refused = mutex.lock_within(Duration::from_secs(2)).await;
    refused.unwrap_err();
    server.info("cmdstat_set") - before
}

#[tokio::test]
async fn servers_that_are_free_and_full_beside_one_with_a_key_that_is_left_are_not_besieged() {
    let servers = Servers::start(3);
    servers[0].command(&["SET", NAME, "left", "PX", "600000"]);
    for server in &servers[1..] {
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    }
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let attempts = attempts_at(&servers[0], &redsync).await;
    // Fewer on a busy machine.
    assert!((1..=21).contains(&attempts), "{attempts} in 2 s");
}

#[tokio::test]
async fn servers_whose_wake_ups_are_of_another_database_are_not_besieged() {
    let servers = Servers::start(3);
    let holder = Redsync::connect(servers.urls()).unwrap();
    // On every node: where the name is free, each attempt sets a key and deletes it again. Both are
    // changes, and those of all databases are reported.
    let mutex = (holder.mutex(NAME).with_fail_fast(false))
        .with_node_timeout(SOON)
        .with_expiry(WAIT);
    let _held = mutex.lock().await.unwrap();
    // The name is free there.
    let nodes = servers.iter().map(|server| {
        let node = RedisNode::new(Deadpool::connect(&server.url()).unwrap());
        node.with_wake_ups(&format!("{}/1", server.url())).unwrap()
    });
    let redsync = Redsync::new(nodes).unwrap();
    let attempts = attempts_at(&servers[0], &redsync).await;
    // The polls, and some more. Without a pause, there were more than a thousand.
    assert!((1..=50).contains(&attempts), "{attempts} in 2 s");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_come_too_late_have_pauses_between_them() {
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    for watched in &nodes {
        watched.node.always(Fault::late_reply(ms(10)));
    }
    let redsync = Redsync::new(nodes.clone()).unwrap();
    // All grant, and too little of the validity is left.
    let mutex = (redsync.mutex(NAME).with_retry_delay(ms(100)))
        .with_expiry(ms(100))
        .with_min_validity(ms(90));
    mutex.lock_within(Duration::from_secs(2)).await.unwrap_err();
    let tries = nodes[0]
        .node
        .sent(redsync_tests::faulty::Operation::Acquire)
        .len();
    // Fewer and fewer.
    assert!((6..=9).contains(&tries), "{tries} in 2 s");
}

#[tokio::test(start_paused = true)]
async fn without_pauses_waiters_behind_the_head_let_time_pass() {
    let redsync = Redsync::in_memory(3);
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let head = tokio::spawn(queue(mutex.lock_within(WAIT)).await);
    let hasty = mutex.clone().with_retry_delay(Duration::ZERO);
    let start = Instant::now();
    let refused = queue(hasty.lock_within(ms(100))).await.await;
    assert!(
        matches!(refused, Err(LockError::TimedOut(_))),
        "{refused:?}"
    );
    assert!(start.elapsed() >= ms(100));
    drop(held);
    drop(head.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn pauses_that_never_end_do_not_panic() {
    let redsync = Redsync::in_memory(3);
    let mutex = (redsync.mutex(NAME))
        .with_retry_delay(Duration::MAX)
        .with_expiry(ms(500));
    let held = mutex.lock().await.unwrap();
    let waiter = tokio::spawn(mutex.lock());
    sleep(ms(10)).await;
    drop(held);
    drop(waiter.await.unwrap().unwrap());
}

/// An exclusive waiter that shared holders keep out reserves the name on the nodes, which changes the
/// key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_writers_do_not_wake_each_other() {
    let servers = Servers::start(3);
    let [here, writers @ ..] = on_servers::<9>(&servers);
    // On every node, because the writers are counted on the first.
    let shared = here.mutex(NAME).shared().with_fail_fast(false);
    let shared = shared.lock().await.unwrap();
    let writers = writers.map(|redsync| {
        // The first attempts of all of them together may take long, and the next ones are far away.
        let mutex = redsync.mutex(NAME).with_node_timeout(SOON);
        // Otherwise, an attempt that two nodes have refused may never ask the first.
        let mutex = mutex.with_fail_fast(false);
        tokio::spawn(async move { mutex.lock_within(WAIT).await.map(drop) })
    });
    let attempts = || servers[0].info("cmdstat_set");
    redsync_tests::wait::until("all have made an attempt", SOON, || attempts() >= 8);
    // The reservation wakes those that watched before. Polls are far away.
    let start = Instant::now();
    let (mut calls, mut since) = (attempts(), start);
    while since.elapsed() < ms(500) {
        assert!(start.elapsed() < SOON, "{calls} attempts, and more");
        sleep(ms(20)).await;
        let now = attempts();
        if now > calls {
            (calls, since) = (now, Instant::now());
        }
    }
    let took = since - start;
    println!("eight writers wait for a reader after {calls} attempts in {took:.1?}");
    drop(shared);
    for writer in writers {
        let served = timeout(SOON, writer).await.expect("it is woken");
        served.expect("no panic").expect("a lock");
    }
}
