//! The lock beyond one exclusive name: fencing tokens, shared locks, several names, locks that move to
//! another process, limits, and work under a lock.

mod covering;
mod deployments;
mod fencing;
mod force_release;
mod holding;
mod min_hold;
mod resuming;
mod semaphores;
mod several;
mod shared;

use std::time::Duration;

use redsync::{Redsync, node::MemoryNode};
use redsync_tests::faulty::FaultyNode;

const MILLI: Duration = Duration::from_millis(1);

fn memory() -> (Redsync, Vec<MemoryNode>) {
    let nodes: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    (Redsync::new(nodes.clone()).unwrap(), nodes)
}

fn faulty() -> (Redsync, Vec<FaultyNode>) {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    (Redsync::new(nodes.clone()).unwrap(), nodes)
}

/// A generous time limit, for real servers on a busy machine where the limit is not the subject.
fn patient(redsync: Redsync) -> Redsync {
    redsync
        .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)))
        .unwrap()
}
