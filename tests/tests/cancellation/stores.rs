//! What keeps the keys: nodes in memory that answer late, or real servers.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use redsync::{
    Redsync,
    node::{Entry, Node},
};
use redsync_tests::{
    Servers,
    faulty::{Fault, Operation},
    watched::Watched,
};

use super::situation::LONG;

/// How long another process holds the lock.
pub(crate) const RIVAL: Duration = Duration::from_millis(300);

pub(crate) trait Stores {
    /// Lets another process hold these keys on a majority for [`RIVAL`].
    fn occupy<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, ()>;

    /// How long a waiter may wait for what the dropped future has left. The nodes keep a name
    /// reserved for 500 ms to 750 ms, unless the reservation is withdrawn.
    fn soon(&self) -> Duration;

    /// All names that are held.
    fn keys(&self) -> BoxFuture<'_, Vec<String>>;
}

/// Three nodes in this process.
pub(crate) struct Memory(Vec<Watched>);

impl Memory {
    /// The nodes answer at different times, so that rounds are dropped between the answers of any
    /// two. Each is slowest to acquire: a release that does not wait for the answer to the
    /// acquisition overtakes it.
    pub(crate) fn new() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
        for (index, watched) in (1..).zip(&nodes) {
            let delay = Duration::from_millis(index);
            watched.node.identify_as(watched.node.address());
            watched.node.plan(move |operation| {
                let there = match operation {
                    Operation::Acquire => 4 * delay,
                    _ => delay,
                };
                Fault::late_request(there).and_late_reply(2 * delay)
            });
        }
        Self(nodes)
    }

    pub(crate) fn redsync(&self) -> Redsync {
        woken_only(Redsync::new(self.0.clone()).expect("three nodes"))
    }
}

/// With pauses and expiries so long that neither a poll nor an expiry helps a waiter that is not
/// woken.
pub(crate) fn woken_only(redsync: Redsync) -> Redsync {
    let never = 2 * LONG;
    let woken = redsync.with_defaults(|mutex| {
        (mutex.with_expiry(never).with_retry_delay(never)).with_node_timeout(Duration::from_secs(3))
    });
    woken.expect("options that work")
}

impl Stores for Memory {
    fn occupy<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, ()> {
        async move {
            for watched in &self.0[..2] {
                for key in keys {
                    let entry = Entry::new(key, "rival".into(), RIVAL);
                    let acquired = watched.node.inner().acquire(&entry).await;
                    acquired.expect("a node in memory");
                }
            }
        }
        .boxed()
    }

    fn soon(&self) -> Duration {
        Duration::from_millis(400)
    }

    fn keys(&self) -> BoxFuture<'_, Vec<String>> {
        let nodes = self.0.iter().map(|watched| &watched.node);
        let held = nodes
            .filter(|node| !node.inner().is_empty())
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

    fn soon(&self) -> Duration {
        LONG
    }

    fn keys(&self) -> BoxFuture<'_, Vec<String>> {
        let keys = self.iter().flat_map(|server| server.keys());
        let keys = keys.filter(|key| !key.ends_with(":fence")).collect();
        async move { keys }.boxed()
    }
}
