//! Waiters for the permits of a semaphore: they search, step aside meanwhile, and are handed permits over.

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{JoinHandle, spawn},
};

use super::locks::{Held, LONGEST_WAIT, end, hold, polled};
use crate::{
    Guard, Mode, Mutex, Redsync,
    node::MemoryNode,
    sync::interleaved::{Background, explore},
};

const PERMITS: usize = 2;

/// Holds a permit for a moment, alone.
fn hold_permit(mutex: &Mutex, guard: Guard, held: &[Held; PERMITS]) {
    let permit = mutex.keys().position(|key| key == guard.name());
    let permit = permit.expect("one of the permits");
    hold(guard, Mode::Exclusive, &held[permit..=permit]);
}

/// A thread that acquires a permit and releases it, some times.
fn locks(mutex: Mutex, held: &[Held; PERMITS], times: usize) -> JoinHandle<()> {
    let held = held.clone();
    spawn(move || {
        for _ in 0..times {
            let guard = block_on(mutex.lock()).expect("a permit");
            hold_permit(&mutex, guard, &held);
        }
    })
}

/// A thread that wants a permit, and leaves after a few steps: while it searches, waits, or has been handed a
/// permit that it does not know of yet.
fn leaves(mutex: Mutex, held: &[Held; PERMITS]) -> JoinHandle<()> {
    let held = held.clone();
    spawn(move || {
        if let Some(guard) = polled(mutex.lock(), thread_rng().gen_range(1..6)) {
            hold_permit(&mutex, guard.expect("a permit"), &held);
        }
    })
}

#[test]
fn interleaved_permits_pass_those_that_search_and_none_is_lost() {
    explore("waiters for permits", 600, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let (mutex, held) = (
            redsync.semaphore("a", PERMITS),
            <[Held; PERMITS]>::default(),
        );
        let threads = vec![
            locks(mutex.clone(), &held, 2),
            locks(mutex.clone(), &held, 2),
            locks(mutex.clone(), &held, 1),
            leaves(mutex.clone(), &held),
        ];
        end(threads, &redsync, &node, background, LONGEST_WAIT);
        let free: Vec<_> = (0..PERMITS).map(|_| block_on(mutex.try_lock())).collect();
        assert!(free.iter().all(Result::is_ok), "a permit is lost");
    });
}
