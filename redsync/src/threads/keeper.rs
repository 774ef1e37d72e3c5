//! The keeper: guards that are registered while it has nothing to do and goes to sleep.

use std::time::Duration;

use shuttle::{
    future::block_on,
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::time::sleep;

use crate::{
    Guard, Mutex, Redsync,
    node::MemoryNode,
    sync::interleaved::{Background, explore},
};

const EXPIRY: Duration = Duration::from_millis(60);

/// Longer than a lock is valid that nobody extends.
const LONG: Duration = Duration::from_millis(90);

fn mutex(redsync: &Redsync, name: &str) -> Mutex {
    redsync.mutex(name).with_expiry(EXPIRY)
}

fn kept(mutex: &Mutex) -> Guard {
    let mut guard = block_on(mutex.lock()).expect("a lock");
    guard.keep_alive();
    guard
}

/// A thread that holds a lock for a moment, and so lets the keeper go to sleep.
fn holds_shortly(mutex: Mutex) -> JoinHandle<()> {
    spawn(move || {
        drop(kept(&mutex));
        yield_now();
        drop(kept(&mutex));
    })
}

/// A thread that holds a lock for longer than it is valid by itself. It asks for extensions when
/// the keeper finds that no guard is left of those that were due.
fn holds_long(mutex: Mutex) -> JoinHandle<()> {
    spawn(move || {
        let mut guard = block_on(mutex.lock()).expect("a lock");
        block_on(sleep(EXPIRY / 3));
        guard.keep_alive();
        block_on(sleep(LONG));
        assert!(!guard.is_lost(), "the keeper has not extended the lock");
    })
}

#[test]
fn interleaved_guards_are_kept_alive_though_the_keeper_goes_to_sleep() {
    explore("guards, while the keeper goes to sleep", 200, |runtime| {
        let background = Background::run(runtime);
        let redsync = Redsync::new([MemoryNode::new()]).expect("a node");
        let short = holds_shortly(mutex(&redsync, "a"));
        let long = holds_long(mutex(&redsync, "b"));
        short.join().expect("a holder");
        long.join().expect("a holder");
        block_on(redsync.drain());
        background.end();
    });
}

#[test]
fn interleaved_a_guard_is_kept_alive_though_the_keeper_goes_to_sleep_for_longer() {
    explore(
        "a guard, while the keeper goes to sleep for longer",
        400,
        |runtime| {
            let background = Background::run(runtime);
            let redsync = Redsync::new([MemoryNode::new()]).expect("a node");
            let longer = mutex(&redsync, "a").with_expiry(10 * EXPIRY);
            let other = spawn(move || kept(&longer));
            let guard = kept(&mutex(&redsync, "b"));
            block_on(sleep(LONG));
            assert!(!guard.is_lost(), "the keeper has not extended the lock");
            drop(guard);
            drop(other.join().expect("a holder"));
            block_on(redsync.drain());
            background.end();
        },
    );
}
