//! What keeps the keys: nodes in memory that answer late, or real servers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use redsync::Redsync;
use redsync::node::{Entry, Node};
use redsync_tests::Servers;
use redsync_tests::faulty::{Fault, FaultyNode};

use super::situation::LONG;

/// How long another process holds the lock.
pub(crate) const RIVAL: Duration = Duration::from_millis(300);

/// So long that no key expires before it is noticed.
const EXPIRY: Duration = Duration::from_secs(20);

pub(crate) trait Stores {
    /// Lets another process hold these keys on a majority for [`RIVAL`].
    fn occupy<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, ()>;

    /// All names that are held.
    fn keys(&self) -> BoxFuture<'_, Vec<String>>;
}

/// Three nodes in this process.
pub(crate) struct Memory(Vec<FaultyNode>);

impl Memory {
    /// The nodes answer at different times, so that rounds are dropped between the answers of any two.
    pub(crate) fn new() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
        for (index, node) in (1..).zip(&nodes) {
            let delay = Duration::from_millis(index);
            node.identify_as(node.address());
            node.always(Fault::late_request(delay).and_late_reply(2 * delay));
        }
        Self(nodes)
    }

    pub(crate) fn redsync(&self) -> Redsync {
        patient(Redsync::new(self.0.clone()).expect("three nodes"))
    }
}

/// With generous times, which are not the subject.
pub(crate) fn patient(redsync: Redsync) -> Redsync {
    let patient = redsync.with_defaults(|mutex| {
        mutex
            .with_expiry(EXPIRY)
            .with_node_timeout(Duration::from_secs(3))
    });
    patient.expect("options that work")
}

/// The same where nodes send wake-ups: neither a poll nor an expiry helps a waiter that is not woken.
pub(crate) fn woken_only(redsync: Redsync) -> Redsync {
    let never = 2 * LONG;
    let woken =
        patient(redsync).with_defaults(|mutex| mutex.with_expiry(never).with_retry_delay(never));
    woken.expect("options that work")
}

impl Stores for Memory {
    fn occupy<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, ()> {
        async move {
            for node in &self.0[..2] {
                for key in keys {
                    let entry = Entry::new(key, "rival".into(), RIVAL);
                    node.inner()
                        .acquire(&entry)
                        .await
                        .expect("a node in memory");
                }
            }
        }
        .boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Vec<String>> {
        let held = self.0.iter().filter(|node| !node.inner().is_empty());
        let held = held
            .map(|node| format!("a key on {}", node.address()))
            .collect();
        async move { held }.boxed()
    }
}

impl Stores for Arc<Servers> {
    fn occupy<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, ()> {
        for server in self.iter().take(2) {
            for key in keys {
                let expiry = RIVAL.as_millis().to_string();
                server.command(&["SET", key, "rival", "PX", &expiry]);
            }
        }
        async {}.boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Vec<String>> {
        let keys = self.iter().flat_map(|server| server.keys());
        let keys = keys.filter(|key| !key.ends_with(":fence")).collect();
        async move { keys }.boxed()
    }
}
