//! What the algorithm must not get wrong, one rule a module. On virtual time, but for the rules
//! that are about a real server.

mod dropping;
mod extension;
mod failed_try;
mod input;
mod interoperability;
mod losing;
mod lost;
mod owner_value;
mod release;
mod repetition;
mod time_limit;
mod validity;
mod winning;

use std::time::Duration;

use redsync::{LockError, Redsync};
use redsync_tests::FaultyNode;

const NAME: &str = "order:42";

/// What a lock is valid for with the default options of [`redsync`] here: a second less drift.
const VALIDITY: Duration = ms(988);
const EXPIRY: Duration = ms(1000);
const NODE_TIMEOUT: Duration = ms(250);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn nodes<const N: usize>() -> [FaultyNode; N] {
    std::array::from_fn(|_| FaultyNode::new())
}

fn redsync(nodes: &[FaultyNode]) -> Redsync {
    Redsync::new(nodes.iter().cloned())
        .and_then(|redsync| {
            redsync.with_defaults(|mutex| {
                (mutex.with_expiry(EXPIRY))
                    .with_node_timeout(NODE_TIMEOUT)
                    .with_retry_delay(ms(20))
            })
        })
        .expect("a configuration that works")
}

/// Has somebody else hold the name on these nodes, for the given time.
async fn occupy(nodes: &[FaultyNode], expiry: Duration) {
    use redsync::node::{Entry, Node};
    let terms = Entry::new(NAME, "rival".into(), expiry);
    for node in nodes {
        let acquired = node.inner().acquire(&terms).await;
        acquired.expect("a node in memory");
    }
}

/// The owner value on each node.
async fn holders(nodes: &[FaultyNode]) -> Vec<Option<String>> {
    let mut holders = Vec::new();
    for node in nodes {
        let holder = node.holder(NAME).await;
        holders.push(holder.map(|holder| holder.value.as_str().to_owned()));
    }
    holders
}

fn assert_no_keys(nodes: &[FaultyNode]) {
    for node in nodes {
        assert!(
            node.inner().is_empty(),
            "a key is left after {:?}",
            node.arrivals()
        );
    }
}

#[track_caller]
fn assert_taken<T: std::fmt::Debug>(result: &Result<T, LockError>) {
    assert!(matches!(result, Err(LockError::Taken(_))), "{result:?}");
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: &Result<T, LockError>) {
    assert!(
        matches!(result, Err(LockError::Unavailable(_))),
        "{result:?}"
    );
}
