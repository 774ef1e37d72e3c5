//! For unit tests: primitives that [shuttle](https://docs.rs/shuttle) can interleave, and the
//! exploration of what several threads do with them.
//!
//! Under an [exploration](explore), all threads of a scenario run on one thread of the system, one
//! at a time. Before each use of a primitive, a scheduler chooses which of them goes on. So the
//! tests run the very code that runs in production, in hundreds of orders. An order that fails is
//! printed, and `shuttle::replay` runs it again. Outside of an exploration, the primitives are
//! those of `std`.
//!
//! tokio's own primitives are not interleaved: what they do happens at once. Nor is memory: every
//! thread sees what the others have written, so an ordering of an atomic that is too weak is not
//! found. Each of these orderings has its reason beside it, and [memory] has explorations of what
//! the reasons say about more than the atomic itself.

pub(crate) mod atomic;
mod exploration;
pub(crate) mod memory;

use std::{
    cell::Cell,
    fmt,
    ops::{Deref, DerefMut},
    sync::{LockResult, OnceLock, PoisonError},
    time::Duration,
};

pub(crate) use self::exploration::{Background, explore, find};

/// What runs the scenario of this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Explorer {
    Shuttle,
    Loom,
}

thread_local! {
    static EXPLORER: Cell<Option<Explorer>> = const { Cell::new(None) };
    /// How often a primitive was used.
    static USES: Cell<u64> = const { Cell::new(0) };
}

/// What explores the scenario of this thread, if anything does. The use of a primitive is counted.
fn explorer() -> Option<Explorer> {
    let explorer = EXPLORER.get();
    if explorer.is_some() {
        USES.set(USES.get() + 1);
    }
    explorer
}

/// A mutex of `std` that is locked in the order in which that of the explorer is.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    value: std::sync::Mutex<T>,
    turns: Turns,
}

#[derive(Default)]
struct Turns {
    shuttle: OnceLock<shuttle::sync::Mutex<()>>,
    loom: OnceLock<loom::sync::Mutex<()>>,
}

type Turn<'a> = (
    Option<shuttle::sync::MutexGuard<'a, ()>>,
    Option<loom::sync::MutexGuard<'a, ()>>,
);

impl Turns {
    const fn new() -> Self {
        Self {
            shuttle: OnceLock::new(),
            loom: OnceLock::new(),
        }
    }

    fn wait(&self) -> Turn<'_> {
        match explorer() {
            Some(Explorer::Shuttle) => {
                let turn = self.shuttle.get_or_init(shuttle::sync::Mutex::default);
                (
                    Some(turn.lock().unwrap_or_else(PoisonError::into_inner)),
                    None,
                )
            }
            Some(Explorer::Loom) => {
                let turn = self.loom.get_or_init(loom::sync::Mutex::default);
                (
                    None,
                    Some(turn.lock().unwrap_or_else(PoisonError::into_inner)),
                )
            }
            None => (None, None),
        }
    }
}

/// The fields are dropped in this order: after its turn, another thread may lock the value.
pub(crate) struct MutexGuard<'a, T> {
    value: std::sync::MutexGuard<'a, T>,
    turn: Turn<'a>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: std::sync::Mutex::new(value),
            turns: Turns::new(),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let turn = self.turns.wait();
        match self.value.lock() {
            Ok(value) => Ok(MutexGuard { value, turn }),
            Err(poisoned) => {
                let value = poisoned.into_inner();
                Err(PoisonError::new(MutexGuard { value, turn }))
            }
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The condition of `std`: no exploration waits for one.
#[derive(Debug)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let turn = guard.turn;
        let value = (self.0.wait(guard.value)).unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { value, turn })
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let turn = guard.turn;
        let waited = self.0.wait_timeout(guard.value, limit);
        let (value, result) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok((MutexGuard { value, turn }, result.timed_out()))
    }
}
