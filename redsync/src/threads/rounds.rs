//! Rounds whose answers arrive on threads of their own: while the lock's task polls, leaves or releases.

use std::{array, sync::Arc, time::Duration};

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{JoinHandle, spawn},
};
use tokio::runtime::Runtime;

use super::{locks::polled, node::start_late};
use crate::{
    Mutex, Redsync,
    node::MemoryNode,
    sync::interleaved::{Background, explore},
};

/// Three nodes with threads of their own, and a lock on them.
pub(super) struct Nodes {
    keys: [MemoryNode; 3],
    threads: Vec<JoinHandle<()>>,
    pub(super) redsync: Redsync,
    background: Background,
}

impl Nodes {
    pub(super) fn start(runtime: &Arc<Runtime>, lost: f64) -> Self {
        let keys: [MemoryNode; 3] = array::from_fn(|_| MemoryNode::new());
        let started = keys.iter().map(|node| start_late(node, lost));
        let (nodes, threads): (Vec<_>, _) = started.unzip();
        Self {
            redsync: Redsync::new(nodes).expect("nodes"),
            keys,
            threads,
            background: Background::run(runtime),
        }
    }

    pub(super) fn mutex(&self) -> Mutex {
        self.redsync.mutex("a")
    }

    pub(super) fn check_that_no_key_is_left(&self) {
        for node in &self.keys {
            assert!(node.is_empty(), "a key is left");
        }
    }

    /// Waits until all work is done, checks that no key is left, and returns how long all threads have
    /// waited.
    pub(super) fn end(self) -> Duration {
        block_on(self.redsync.drain());
        self.check_that_no_key_is_left();
        drop(self.redsync);
        for thread in self.threads {
            thread.join().expect("a node");
        }
        self.background.end()
    }
}

/// No answer is waited for: a round that misses its verdict ends with the node time limit.
const NO_WAIT: Duration = Duration::from_millis(10);

#[test]
fn interleaved_votes_decide_a_round_once_and_late_ones_are_cleaned_up() {
    explore("votes on three threads", 600, |runtime| {
        let nodes = Nodes::start(runtime, 0.0);
        let guard = block_on(nodes.mutex().lock()).expect("a lock");
        block_on(guard.extend()).expect("an extension");
        if thread_rng().gen_bool(0.5) {
            block_on(guard.release()).expect("a release");
        } else {
            drop(guard);
        }
        assert!(nodes.end() < NO_WAIT);
    });
}

#[test]
fn interleaved_attempts_that_are_dropped_leave_no_key() {
    explore("attempts that are dropped", 1_000, |runtime| {
        let nodes = Nodes::start(runtime, 0.1);
        let mutex = nodes.mutex();
        let other = spawn(move || drop(polled(mutex.try_lock(), thread_rng().gen_range(1..6))));
        drop(polled(
            nodes.mutex().try_lock(),
            thread_rng().gen_range(1..6),
        ));
        other.join().expect("the other");
        nodes.end();
    });
}

#[test]
fn interleaved_extensions_and_a_release_leave_no_key() {
    explore("extensions beside a release", 600, |runtime| {
        let nodes = Nodes::start(runtime, 0.0);
        let guard = block_on(nodes.mutex().lock()).expect("a lock");
        let validity = guard.validity();
        let extends = spawn(move || {
            // The guard is released while an extension is under way.
            polled(guard.extend(), thread_rng().gen_range(1..6));
            drop(guard);
        });
        extends.join().expect("the holder");
        assert!(validity.is_lost(), "it is over when it is released");
        drop(validity);
        assert!(nodes.end() < NO_WAIT);
    });
}
