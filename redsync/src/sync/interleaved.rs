//! For unit tests: primitives that [shuttle](https://docs.rs/shuttle) can interleave, and the
//! exploration of what several threads do with them.
//!
//! Under an [exploration](explore), all threads of a scenario run on one thread of the system, one at a
//! time. Before each use of a primitive, a scheduler chooses which of them goes on. So the tests run the
//! very code that runs in production, in hundreds of orders. An order that fails is printed, and
//! `shuttle::replay` runs it again. Outside of an exploration, the primitives are those of `std`.
//!
//! tokio's own primitives are not interleaved: what they do happens at once. Nor is memory: every thread
//! sees what the others have written, so an ordering of an atomic that is too weak is not found. Each of
//! these orderings has its reason beside it.

mod exploration;

use std::{
    cell::Cell,
    fmt,
    ops::{Deref, DerefMut},
    sync::{LockResult, OnceLock, PoisonError},
    time::Duration,
};

pub(crate) use self::exploration::{Background, explore};

thread_local! {
    static IS_EXPLORED: Cell<bool> = const { Cell::new(false) };
    /// How often a primitive was used.
    static USES: Cell<u64> = const { Cell::new(0) };
}

/// Whether this thread explores a scenario. If it does, the use of a primitive is counted.
fn is_explored() -> bool {
    let is_explored = IS_EXPLORED.get();
    if is_explored {
        USES.set(USES.get() + 1);
    }
    is_explored
}

/// A mutex of `std` that is locked in the order in which shuttle's mutex is.
#[derive(Default)]
pub(crate) struct Mutex<T> {
    value: std::sync::Mutex<T>,
    turn: OnceLock<shuttle::sync::Mutex<()>>,
}

/// The fields are dropped in this order: after its turn, another thread may lock the value.
pub(crate) struct MutexGuard<'a, T> {
    value: std::sync::MutexGuard<'a, T>,
    turn: Option<shuttle::sync::MutexGuard<'a, ()>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: std::sync::Mutex::new(value),
            turn: OnceLock::new(),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let turn = is_explored().then(|| {
            let turn = self.turn.get_or_init(shuttle::sync::Mutex::default);
            turn.lock().unwrap_or_else(PoisonError::into_inner)
        });
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

pub(crate) mod atomic {
    use std::sync::atomic::Ordering;

    use super::is_explored;

    /// Lets another thread go on, under an exploration.
    fn may_switch() {
        if is_explored() {
            // Any use of one of shuttle's atomics lets the scheduler choose.
            shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct AtomicBool(std::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) const fn new(value: bool) -> Self {
            Self(std::sync::atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, ordering: Ordering) -> bool {
            may_switch();
            self.0.load(ordering)
        }

        pub(crate) fn store(&self, value: bool, ordering: Ordering) {
            may_switch();
            self.0.store(value, ordering);
        }

        pub(crate) fn swap(&self, value: bool, ordering: Ordering) -> bool {
            may_switch();
            self.0.swap(value, ordering)
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct AtomicUsize(std::sync::atomic::AtomicUsize);

    impl AtomicUsize {
        pub(crate) fn load(&self, ordering: Ordering) -> usize {
            may_switch();
            self.0.load(ordering)
        }

        pub(crate) fn store(&self, value: usize, ordering: Ordering) {
            may_switch();
            self.0.store(value, ordering);
        }
    }
}
