//! What the lock offers beyond one exclusive name: fencing tokens, shared locks, several names,
//! hand-over, limits, and work under a lock.

mod dropping;
mod fencing;
mod handover;
mod holding;
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

/// On real servers of a busy machine, where the time limit of a node is not the subject.
fn patient(redsync: Redsync) -> Redsync {
    redsync
        .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)))
        .unwrap()
}
