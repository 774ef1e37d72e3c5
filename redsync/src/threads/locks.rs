//! Waiters and holders of one process, on threads of their own: whether each enters in time, and
//! alone.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    thread::{JoinHandle, spawn, yield_now},
};
use tokio::time::Instant;

use crate::{
    Guard, Mode, Mutex, Redsync,
    node::MemoryNode,
    sync::interleaved::{Background, explore},
};

/// A waiter that has missed a notice waits for a poll, and so longer than this.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(40);

/// A writer that has met readers polls, because the nodes do not report when the name is free for
/// it.
const TWO_POLLS: Duration = Duration::from_millis(2 * 250);

/// Who holds a name: -1 for an exclusive holder, or the number of shared ones.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<AtomicI32>);

impl Held {
    fn enter(&self, mode: Mode) {
        let before = self.0.load(Ordering::Relaxed);
        let after = match mode {
            Mode::Exclusive => {
                assert_eq!(before, 0, "an exclusive holder is alone");
                -1
            }
            Mode::Shared => {
                assert!(
                    before >= 0,
                    "a shared holder has entered beside an exclusive one"
                );
                before + 1
            }
        };
        self.0.store(after, Ordering::Relaxed);
    }

    fn leave(&self, mode: Mode) {
        match mode {
            Mode::Exclusive => self.0.store(0, Ordering::Relaxed),
            Mode::Shared => _ = self.0.fetch_sub(1, Ordering::Relaxed),
        }
    }
}

/// Holds a lock for a moment, and releases it in one of the ways in which that can be done.
pub(super) fn hold(guard: Guard, mode: Mode, held: &[Held]) {
    held.iter().for_each(|name| name.enter(mode));
    yield_now();
    held.iter().for_each(|name| name.leave(mode));
    if thread_rng().gen_bool(0.5) {
        drop(guard);
    } else {
        block_on(guard.release()).expect("a release");
    }
}

/// A thread that acquires a lock and releases it, some times.
fn locks(mutex: Mutex, held: &[Held], times: usize) -> JoinHandle<()> {
    let held = held.to_vec();
    spawn(move || {
        for _ in 0..times {
            let guard = block_on(mutex.lock()).expect("a lock");
            hold(guard, mutex.mode(), &held);
        }
    })
}

/// A thread that wants a lock, and leaves after a few steps if it has not got it by then.
fn leaves(mutex: Mutex, held: &[Held]) -> JoinHandle<()> {
    let held = held.to_vec();
    spawn(move || {
        if let Some(guard) = polled(mutex.lock(), thread_rng().gen_range(1..4)) {
            hold(guard.expect("a lock"), mutex.mode(), &held);
        }
    })
}

/// Polls a future a few times, and drops it.
pub(super) fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return Some(output);
        }
        yield_now();
    }
    None
}

/// Waits for all threads, and checks that none has waited for a poll, and that no key is left.
pub(super) fn end(
    threads: Vec<JoinHandle<()>>,
    redsync: &Redsync,
    node: &MemoryNode,
    background: Background,
    longest: Duration,
) {
    for thread in threads {
        thread.join().expect("a thread");
    }
    block_on(redsync.drain());
    let waited = background.end();
    assert!(waited < longest, "all threads have waited for {waited:?}");
    assert!(node.is_empty(), "a key is left");
}

#[test]
fn interleaved_waiters_enter_one_after_the_other() {
    explore("waiters for one name", 600, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let (mutex, held) = (redsync.mutex("a"), [Held::default()]);
        let threads = (0..3).map(|_| locks(mutex.clone(), &held, 2)).collect();
        end(threads, &redsync, &node, background, LONGEST_WAIT);
    });
}

#[test]
fn interleaved_waiters_that_leave_pass_their_notices_on() {
    explore("waiters that leave", 1_000, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let (mutex, held) = (redsync.mutex("a"), [Held::default()]);
        let leaving = (0..2).map(|_| leaves(mutex.clone(), &held));
        let staying = (0..2).map(|_| locks(mutex.clone(), &held, 1));
        end(
            leaving.chain(staying).collect(),
            &redsync,
            &node,
            background,
            LONGEST_WAIT,
        );
    });
}

#[test]
fn interleaved_waiters_for_one_name_and_for_two_do_not_block_each_other() {
    explore("waiters for one name and for two", 400, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let held = [Held::default(), Held::default()];
        let both = redsync.mutex_many(["a", "b"]);
        let threads = vec![
            locks(both.clone(), &held, 1),
            locks(redsync.mutex("a"), &held[..1], 2),
            locks(redsync.mutex("b"), &held[1..], 2),
            leaves(both, &held),
        ];
        end(threads, &redsync, &node, background, LONGEST_WAIT);
    });
}

#[test]
fn interleaved_readers_share_a_name_and_a_writer_does_not() {
    explore("two readers and a writer", 600, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let (mutex, held) = (redsync.mutex("a"), [Held::default()]);
        let threads = vec![
            locks(mutex.shared(), &held, 1),
            locks(mutex.clone(), &held, 1),
            locks(mutex.shared(), &held, 1),
            leaves(mutex.shared(), &held),
        ];
        end(threads, &redsync, &node, background, TWO_POLLS);
    });
}

#[test]
fn interleaved_a_lock_that_was_handed_over_is_lost_at_its_end() {
    const EXPIRY: Duration = Duration::from_millis(20);
    explore("a lock that is handed over and lost", 300, |runtime| {
        let (background, node) = (Background::run(runtime), MemoryNode::new());
        let redsync = Redsync::new([node.clone()]).expect("a node");
        let others = Redsync::new([node.clone()]).expect("a node");
        let [mutex, other] = [&redsync, &others].map(|it| it.mutex("a").with_expiry(EXPIRY));
        let first = block_on(mutex.lock()).expect("a lock");
        let loses = spawn(move || {
            let guard = block_on(mutex.lock()).expect("a lock");
            let [watched, held] = [(); 2].map(|()| guard.validity());
            let watches = spawn(move || block_on(watched.lost()));
            let comes = spawn(move || {
                drop(block_on(other.lock()).expect("the lock of another process"));
                assert!(held.is_lost(), "two have held it");
            });
            block_on(guard.lost());
            assert!(Instant::now() >= guard.until(), "it is lost too early");
            vec![watches, comes]
        });
        yield_now();
        drop(first);
        for thread in loses.join().expect("the next holder") {
            thread.join().expect("who has seen the end");
        }
        block_on(others.drain());
        end(Vec::new(), &redsync, &node, background, TWO_POLLS);
    });
}
