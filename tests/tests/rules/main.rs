//! The rules that the algorithm must not break, one module for each. The tests run on virtual time,
//! except where a rule is about a real server.
//!
//! 1. [`validity`]: a lock is valid for the expiry less the time that acquiring took, less drift.
//! 2. [`owner_value`]: each attempt has a fresh owner value.
//! 3. [`failed_attempt`]: a failed attempt releases every node that may have its key.
//! 4. [`dropping`]: a future or a guard can be dropped at any time, and leaves no key.
//! 5. [`winning`]: a lock is acquired at quorum; the keys on the other nodes are part of it.
//! 6. [`losing`]: a failed attempt ends when its reason is clear: contention, or too few answers.
//! 7. [`time_limit`]: a node that hangs costs no more than the time limit.
//! 8. [`extension`]: an extension succeeds on a majority, started and confirmed within the validity.
//! 9. [`lost`]: the loss of a lock is reported when its validity ends, or earlier if it is known.
//! 10. [`release`]: a release reports whether the lock was held to its end.
//! 11. [`repetition`]: no acquisition is sent twice, and one that arrives twice does no harm.
//! 12. [`input`]: input is checked before anything is sent.
//! 13. [`interoperability`]: clients of go-redsync can share a mutex.
//!
//! And [`errors`]: an error shows what it is about on one line, whatever the name contains; [`panics`]: a
//! node whose code panics is one that has failed; [`recorders`]: and a recorder of metrics that panics leaves
//! nothing behind.

mod dropping;
mod errors;
mod extension;
mod failed_attempt;
mod input;
mod interoperability;
mod losing;
mod lost;
mod owner_value;
mod panics;
#[cfg(feature = "metrics")]
mod recorders;
mod release;
mod repetition;
mod time_limit;
mod validity;
mod winning;

use std::time::Duration;

use redsync::{LockError, Redsync};
use redsync_tests::FaultyNode;

const NAME: &str = "order:42";

/// How long a lock of [`redsync`] below is valid: a second less drift.
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

/// Lets another holder have the name on these nodes, for the given time.
async fn occupy(nodes: &[FaultyNode], expiry: Duration) {
    use redsync::node::{Entry, Node};
    let entry = Entry::new(NAME, "rival".into(), expiry);
    for node in nodes {
        let acquired = node.inner().acquire(&entry).await;
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
