//! A panic in the code of a node is a failure of that node, and reaches nobody else.

use std::{
    future::{Future, ready},
    panic::panic_any,
    sync::Arc,
};

use redsync::{
    ExtendError, FencingToken, LockError, NodeError, Redsync, Released,
    node::{
        AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, NodeWrapper, RaiseVote,
        ReleaseVote, WakeUp,
    },
};
use tokio::task::yield_now;

use crate::{NAME, ms};

/// When a method of a node panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When it is called, before there is a future.
    Called,
    Polled,
    /// When its future is polled again.
    PolledAgain,
}

const WHEN: [When; 3] = [When::Called, When::Polled, When::PolledAgain];

const METHODS: [&str; 8] = [
    "watch_acquired",
    "identity",
    "acquire",
    "raise",
    "extend",
    "release",
    "inspect",
    "watch",
];

/// A node, one method of which panics.
#[derive(Clone)]
struct Panicking {
    node: MemoryNode,
    method: &'static str,
    when: When,
}

impl Panicking {
    fn or_panic<T>(
        &self,
        method: &str,
        work: impl Future<Output = Result<T, NodeError>> + Send,
    ) -> impl Future<Output = Result<T, NodeError>> + Send {
        let when = (self.method == method).then_some(self.when);
        if when == Some(When::Called) {
            // Not a text, as most panics are.
            panic_any(7);
        }
        async move {
            match when {
                Some(When::Polled) => panic!("an expected panic"),
                Some(_) => {
                    yield_now().await;
                    panic!("an expected panic");
                }
                None => work.await,
            }
        }
    }
}

impl NodeWrapper for Panicking {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.node
    }

    fn acquire(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<AcquireVote, NodeError>> + Send {
        self.or_panic("acquire", self.node.acquire(entry))
    }

    fn raise(
        &self,
        entry: &Entry,
        token: FencingToken,
    ) -> impl Future<Output = Result<RaiseVote, NodeError>> + Send {
        self.or_panic("raise", self.node.raise(entry, token))
    }

    fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> impl Future<Output = Result<ExtendVote, NodeError>> + Send {
        self.or_panic("extend", self.node.extend(entry, token, set_if_absent))
    }

    fn release(
        &self,
        entry: &Entry,
    ) -> impl Future<Output = Result<ReleaseVote, NodeError>> + Send {
        self.or_panic("release", self.node.release(entry))
    }

    fn inspect(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Holders>, NodeError>> + Send {
        self.or_panic("inspect", self.node.inspect(name))
    }

    fn watch(&self, names: &[Arc<str>]) -> impl Future<Output = Result<WakeUp, NodeError>> + Send {
        self.or_panic("watch", self.node.watch(names))
    }

    fn watch_acquired(
        &self,
        names: &[Arc<str>],
    ) -> impl Future<Output = Result<(), NodeError>> + Send {
        self.or_panic("watch_acquired", self.node.watch_acquired(names))
    }

    fn identity(&self) -> impl Future<Output = Result<Option<String>, NodeError>> + Send {
        self.or_panic("identity", ready(Ok(None)))
    }
}

/// Three nodes, of which this number panic.
fn redsync(panicking: usize, method: &'static str, when: When) -> Redsync {
    let node = |index| Panicking {
        node: MemoryNode::new(),
        method: if index < panicking { method } else { "" },
        when,
    };
    Redsync::new([0, 1, 2].map(node)).unwrap()
}

fn every_panic() -> impl Iterator<Item = (&'static str, When)> {
    METHODS
        .into_iter()
        .flat_map(|method| WHEN.map(|when| (method, when)))
}

#[tokio::test(start_paused = true)]
async fn of_a_minority_costs_its_votes() {
    for (method, when) in every_panic() {
        println!("{method} {when:?}");
        let redsync = redsync(1, method, when);
        let mutex = redsync.mutex(NAME).with_fencing(true);
        let guard = mutex.lock().await.unwrap();
        assert!(guard.verify().await.unwrap());
        guard.extend().await.unwrap();
        let failed = mutex.inspect().await.unwrap();
        let failed = failed.iter().filter(|node| node.holders.is_err()).count();
        assert_eq!(
            failed,
            usize::from(["inspect", "identity"].contains(&method))
        );
        // Another process waits, and watches the nodes.
        let waiter = mutex.clone().with_hand_over(0, ms(0));
        let waiter = tokio::spawn(async move { waiter.lock_within(ms(60_000)).await });
        tokio::time::sleep(ms(1_000)).await;
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        waiter.await.unwrap().unwrap().release().await.unwrap();
        let granted = redsync.probe().await.granted();
        let counts = ["identity", "acquire", "extend", "release"].contains(&method);
        assert_eq!(granted, if counts { 2 } else { 3 }, "{method}");
        redsync.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_majority_is_an_error() {
    for (method, when) in every_panic() {
        println!("{method} {when:?}");
        let redsync = redsync(2, method, when);
        let mutex = redsync.mutex(NAME);
        let result = mutex.try_lock().await;
        let Ok(guard) = result else {
            assert!(["identity", "acquire"].contains(&method), "{result:?}");
            assert!(
                matches!(result, Err(LockError::Unavailable(_))),
                "{result:?}"
            );
            continue;
        };
        let extended = guard.extend().await;
        assert_eq!(
            matches!(extended, Err(ExtendError::Failed(_))),
            method == "extend"
        );
        assert_eq!(guard.verify().await.is_err(), method == "inspect");
        assert_eq!(guard.release().await.is_err(), method == "release");
        redsync.drain().await;
    }
}

/// Two processes on the same nodes, of which a majority cannot be watched: the waiter polls.
#[tokio::test(start_paused = true)]
async fn of_a_watch_leaves_a_waiter_that_polls() {
    for when in WHEN {
        let nodes = [(); 3].map(|()| Panicking {
            node: MemoryNode::new(),
            method: "watch",
            when,
        });
        let [here, there] = [(); 2].map(|()| Redsync::new(nodes.clone()).unwrap());
        let guard = here.mutex(NAME).lock().await.unwrap();
        let waiter = there.mutex(NAME);
        let waiter = tokio::spawn(async move { waiter.lock_within(ms(60_000)).await });
        tokio::time::sleep(ms(1_000)).await;
        guard.release().await.unwrap();
        waiter.await.unwrap().unwrap().release().await.unwrap();
    }
}
