//! Extensions that reach a node after the release: they do not prolong the minimum.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use redsync::{
    NodeError, Redsync, Released,
    node::redis::{Deadpool, Driver, RedisNode, Reply},
};
use redsync_tests::{
    Proxy, RedisServer, Servers,
    faulty::{Fault, Operation},
};
use tokio::time::{Instant, sleep, timeout};

use super::{KINDS, MILLI, MINIMUM, SECOND, left};
use crate::{faulty, patient};

#[tokio::test(start_paused = true)]
async fn an_extension_that_arrives_after_the_release_changes_nothing() {
    for kind in KINDS {
        for by_hand in [true, false] {
            let (redsync, nodes) = faulty();
            let start = Instant::now();
            let mut guard = kind(&redsync).with_fail_fast(false).lock().await.unwrap();
            for node in &nodes {
                node.once(Operation::Extend, Fault::late_request(5 * SECOND));
            }
            if by_hand {
                guard.extend().await.unwrap_err();
            } else {
                guard.keep_alive();
                sleep(21 * SECOND).await;
            }
            assert_eq!(guard.release().await.unwrap(), Released::Held);
            sleep(6 * SECOND).await;
            for node in &nodes {
                assert_eq!(node.operations().last(), Some(&Operation::Extend));
                assert_eq!(left(node.inner()).await, MINIMUM - start.elapsed());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn healing_that_arrives_after_the_release_changes_nothing() {
    let (redsync, nodes) = faulty();
    let mutex = super::job(&redsync).with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    redsync.drain().await;
    let start = Instant::now();
    nodes[0].inner().clear();
    // The first is the extension, which finds that a node has no key.
    for fault in [Fault::none(), Fault::late_request(5 * SECOND)] {
        nodes[0].once(Operation::Extend, fault);
    }
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    for node in &nodes {
        let left = left(node.inner()).await;
        assert!(left <= MINIMUM - start.elapsed(), "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_whose_answer_was_lost_is_repeated_and_found_to_be_done() {
    for kind in KINDS {
        let (redsync, nodes) = faulty();
        let start = Instant::now();
        let guard = kind(&redsync).with_fail_fast(false).lock().await.unwrap();
        for node in &nodes {
            node.once(Operation::Release, Fault::broken_reply());
        }
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        for node in &nodes {
            assert_eq!(node.sent(Operation::Release).len(), 2);
            assert_eq!(left(node.inner()).await, MINIMUM - start.elapsed());
        }
    }
}

/// A driver whose connection is given up for another one. What was sent over the first may still
/// arrive.
struct TwoConnections {
    first: Deadpool,
    second: Deadpool,
    change: Arc<Change>,
}

#[derive(Default)]
struct Change {
    is_given_up: AtomicBool,
    /// How many replies came over connections that were given up.
    late: AtomicUsize,
}

impl TwoConnections {
    fn new(proxy: &Proxy, server: &RedisServer, change: &Arc<Change>) -> Self {
        Self {
            first: Deadpool::connect(&proxy.url()).unwrap(),
            second: Deadpool::connect(&server.url()).unwrap(),
            change: Arc::clone(change),
        }
    }
}

impl Driver for TwoConnections {
    fn address(&self) -> &str {
        self.second.address()
    }

    async fn command(&self, command: &[&[u8]]) -> Result<Reply, NodeError> {
        if self.change.is_given_up.load(Relaxed) {
            return self.second.command(command).await;
        }
        let reply = self.first.command(command).await;
        if self.change.is_given_up.load(Relaxed) {
            self.change.late.fetch_add(1, Relaxed);
        }
        reply
    }
}

#[tokio::test]
async fn on_servers_an_extension_over_a_connection_that_was_given_up_changes_nothing() {
    let servers = Servers::start(3);
    for kind in KINDS {
        let change = Arc::<Change>::default();
        let (mut proxies, mut nodes) = (Vec::new(), Vec::new());
        for server in &servers {
            let proxy = Proxy::start(server.port()).await;
            nodes.push(RedisNode::new(TwoConnections::new(&proxy, server, &change)));
            proxies.push(proxy);
        }
        let redsync = patient(Redsync::new(nodes).unwrap());
        let guard = kind(&redsync).with_fail_fast(false).lock().await.unwrap();
        proxies.iter().for_each(Proxy::hold_requests);
        // Its caller leaves.
        timeout(100 * MILLI, guard.extend()).await.unwrap_err();
        change.is_given_up.store(true, Relaxed);
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        assert_eq!(change.late.load(Relaxed), 0);
        proxies.iter().for_each(Proxy::pass);
        redsync.drain().await;
        assert_eq!(change.late.load(Relaxed), 3);
        for server in &servers {
            let keys = server.keys().into_iter();
            for key in keys.filter(|key| !key.ends_with(":fence")) {
                let left = server.pttl(&key);
                assert!(left > 0 && left <= 30_000, "{key}: {left}");
            }
            server.flush();
        }
    }
}
