//! Rounds whose answers arrive on threads of their own: while the lock's task polls, leaves or
//! releases.

use std::{array, sync::Arc, time::Duration};

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{JoinHandle, spawn},
};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

use super::{
    locks::polled,
    node::{self, Faults},
};
use crate::{
    Mutex, Redsync,
    node::{MemoryNode, Node},
    sync::interleaved::{Background, explore, find},
};

/// Three nodes with threads of their own, and a lock on them.
pub(super) struct Nodes {
    keys: [MemoryNode; 3],
    threads: Vec<JoinHandle<()>>,
    pub(super) redsync: Redsync,
    background: Background,
}

impl Nodes {
    pub(super) fn start(runtime: &Arc<Runtime>, faults: Faults) -> Self {
        let keys: [MemoryNode; 3] = array::from_fn(|_| MemoryNode::new());
        let started = keys.iter().map(|key| node::start(key, faults));
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

    /// Checks that most nodes keep the key up to this instant.
    pub(super) fn check_that_most_keep_the_key(&self, until: Instant) {
        let now = Instant::now();
        let keeps = |node: &&MemoryNode| {
            let key = block_on(node.inspect("a")).expect("a node in memory does not fail");
            let mut holders = key.into_iter().flat_map(|key| key.holders);
            holders.any(|holder| holder.remaining.is_some_and(|left| now + left >= until))
        };
        let count = self.keys.iter().filter(keeps).count();
        assert!(count >= 2, "the lock is valid for longer than its keys");
    }

    /// Waits until all work is done, checks that no key is left, and returns how long all threads
    /// have waited.
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
        let nodes = Nodes::start(runtime, Faults::default());
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
        let faults = Faults {
            lost: 0.1,
            ..Faults::default()
        };
        let nodes = Nodes::start(runtime, faults);
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
        let nodes = Nodes::start(runtime, Faults::default());
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

/// Extends a lock again and again, while answers are on their way for longer than the node time
/// limit. So some arrive while the next extension waits for its own.
fn extends_while_answers_are_late(runtime: &Arc<Runtime>, mixed_up: bool) {
    const EXPIRY: Duration = Duration::from_millis(60);
    let faults = Faults {
        slow: EXPIRY / 2,
        mixed_up,
        ..Faults::default()
    };
    let nodes = Nodes::start(runtime, faults);
    let mutex = nodes.mutex().with_expiry(EXPIRY);
    let guard = block_on(mutex.with_node_timeout(EXPIRY / 6).lock()).expect("a lock");
    for _ in 0..4 {
        // Whether it counts is for the answers to decide.
        _ = block_on(guard.extend());
        if guard.is_lost() {
            break;
        }
        nodes.check_that_most_keep_the_key(guard.until());
        block_on(sleep(EXPIRY / 12));
    }
    drop(guard);
    nodes.end();
}

#[test]
fn interleaved_answers_that_come_late_count_in_their_own_rounds() {
    explore("late answers to extensions", 300, |runtime| {
        extends_while_answers_are_late(runtime, false);
    });
}

#[test]
fn interleaved_an_answer_that_counts_in_another_round_is_found() {
    let found = "the lock is valid for longer than its keys";
    find("an answer in another round", 100, found, |runtime| {
        extends_while_answers_are_late(runtime, true);
    });
}
