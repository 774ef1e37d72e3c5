//! Work in the background: releases that nobody waits for, and a drain that waits for all of them.

use std::time::Duration;

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{spawn, yield_now},
};

use super::{locks::polled, node::Faults, rounds::Nodes};
use crate::sync::interleaved::explore;

#[test]
fn interleaved_a_drain_ends_after_the_releases_that_nobody_waits_for() {
    explore("releases beside a drain", 300, |runtime| {
        let nodes = Nodes::start(runtime, Faults::default());
        let mutex = nodes.mutex().with_hand_over(0, Duration::ZERO);
        let guard = block_on(mutex.lock()).expect("a lock");
        let [leaves, waits] = [(); 2].map(|()| nodes.redsync.drain_guard());
        let other = nodes.redsync.mutex("b");
        let drops = spawn(move || {
            drop(polled(other.lock(), thread_rng().gen_range(1..6)));
            drop(leaves);
        });
        // A waiter is notified when the release of the guard before is confirmed, in the
        // background.
        let waiter = spawn(move || {
            drop(block_on(mutex.lock()).expect("a lock"));
            drop(waits);
        });
        yield_now();
        drop(guard);
        block_on(nodes.redsync.drain());
        nodes.check_that_no_key_is_left();
        drops.join().expect("who leaves");
        waiter.join().expect("who waits");
        nodes.end();
    });
}
