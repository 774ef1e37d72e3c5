//! Thousands of locks that end while the nodes fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use redsync::{
    Guard, NodeError, Redsync,
    node::{Entry, Node, NodeWrapper, ReleaseVote},
};
use redsync_tests::{
    FaultyNode, Servers,
    faulty::{Fault, Operation},
    wait::until_async,
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::ms;

const MANY: usize = 2_000;

/// Shorter than releases are repeated.
const OUTAGE: Duration = Duration::from_secs(20);

/// How often a node may be asked in an outage: about once a second, and more often at first.
const TESTS: usize = 50;

fn faults() -> [(&'static str, Fault); 4] {
    let refused = |code| Fault::error(NodeError::refused(code, "not now"));
    [
        ("down", Fault::unreachable()),
        ("cut off", Fault::broken_request()),
        ("loading", refused("LOADING")),
        ("read-only", refused("READONLY")),
    ]
}

async fn with_guards() -> ([FaultyNode; 3], Redsync, Vec<Guard>) {
    let nodes = std::array::from_fn(|_| FaultyNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let lock = |name: usize| {
        let mutex = redsync.mutex(name.to_string());
        async move { mutex.with_expiry(4 * OUTAGE).lock().await.unwrap() }
    };
    let guards = join_all((0..MANY).map(lock)).await;
    redsync.drain().await;
    (nodes, redsync, guards)
}

fn releases(node: &FaultyNode) -> usize {
    node.sent(Operation::Release).len()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_is_asked_about_once_a_second_however_many_locks_have_ended() {
    for (fault, planned) in faults() {
        let (nodes, redsync, guards) = with_guards().await;
        for node in &nodes[..2] {
            node.always(planned.clone());
        }
        drop(guards);
        sleep(OUTAGE).await;
        let asked: Vec<_> = nodes.iter().map(releases).collect();
        // Each release has asked each node once by itself.
        let repeated = |asked: usize| asked - MANY;
        assert!(
            asked[..2].iter().all(|asked| repeated(*asked) < TESTS),
            "{fault}: {asked:?}"
        );
        assert_eq!(asked[2], MANY);
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert!(tasks < 50, "{fault}: {tasks} tasks");

        for node in &nodes[..2] {
            node.always(Fault::none());
        }
        // No later than the longest pause, and the answers of memory take no time.
        sleep(ms(1_100)).await;
        for node in &nodes {
            assert!(node.inner().is_empty(), "{fault}");
        }
        let again = releases(&nodes[0]) - asked[0];
        assert!(again < MANY + TESTS, "{fault}: {again}");
        redsync.drain().await;
    }
}

#[tokio::test]
async fn locks_that_end_while_their_servers_are_down_are_released_when_these_are_back() {
    let servers = Servers::start_with(3, &["--appendonly", "yes", "--appendfsync", "no"]);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let lock = |name: usize| {
        let mutex = redsync.mutex(name.to_string()).with_expiry(4 * OUTAGE);
        async move { mutex.lock_within(OUTAGE).await.unwrap() }
    };
    let guards = join_all((0..MANY).map(lock)).await;
    redsync.drain().await;
    let down = [&servers[0], &servers[1]];
    assert!(down.iter().all(|server| server.keys().len() == MANY));
    down.iter().for_each(|server| server.kill());
    drop(guards);
    until_async("no key on the third server", OUTAGE, async || {
        servers[2].keys().is_empty()
    })
    .await;
    down.iter().for_each(|server| server.restart());
    let drained = timeout(OUTAGE, redsync.drain()).await;
    drained.expect("the servers are back");
    servers.assert_no_keys();
}

/// A node that never releases one name.
struct Stubborn {
    inner: FaultyNode,
    asked: Arc<AtomicUsize>,
}

impl NodeWrapper for Stubborn {
    type Inner = FaultyNode;

    fn inner(&self) -> &FaultyNode {
        &self.inner
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        if *entry.names[0] != *"stubborn" {
            return self.inner.release(entry).await;
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        Err(NodeError::refused("ERR", "not this one"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_succeeds_holds_up_no_other() {
    let (inner, asked) = (FaultyNode::new(), Arc::new(AtomicUsize::new(0)));
    let node = Stubborn {
        inner: inner.clone(),
        asked: Arc::clone(&asked),
    };
    let redsync = Redsync::new([node]).unwrap();
    let lock = async |name: &str| {
        let mutex = redsync.mutex(name).with_expiry(4 * OUTAGE);
        mutex.lock().await.unwrap()
    };
    drop(lock("stubborn").await);
    sleep(OUTAGE / 4).await;
    let before = asked.load(Ordering::Relaxed);
    // Those that the node carries out at once do not lead to a repetition of this one.
    for _ in 0..100 {
        lock("prompt").await.release().await.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) <= before + 1);

    let guards = join_all((0..100).map(|name| {
        let name = name.to_string();
        async move { lock(&name).await }
    }))
    .await;
    inner.always(Fault::unreachable());
    drop(guards);
    sleep(OUTAGE / 4).await;
    inner.always(Fault::none());
    // Up to two pauses: the stubborn one may be the first to be repeated.
    sleep(ms(2_100)).await;
    assert_eq!(inner.inner().len(), 1);
    assert!(asked.load(Ordering::Relaxed) < TESTS);
}
