//! A mutex whose lock cannot fail, for state of this process.
//!
//! `std` poisons a mutex if a thread panics while it has it locked, because the value may then be
//! half changed. Here it is whole: no code of users runs under these mutexes, and nothing under
//! them panics between two changes that belong together. To panic once more would do harm, because
//! locks are released in drops: a panic there ends the process, and its locks stay until they
//! expire.
//!
//! So the wakers of tasks are collected while a mutex is locked, and called after it is unlocked.
//! Metrics and events follow then, too. A waker may drop a task with a guard, which locks the
//! queues and its lease anew: under the same mutex, the thread would wait for itself.
//!
//! Most mutexes are locked alone. If a second one is locked under the first, it protects a part of
//! the first one's data, or belongs to a lower room. So no two threads lock the same two in
//! different orders. The book of the queues comes before a waiter's notice and whether it has
//! stepped aside, the validity of a lease and the known runtimes; the schedule of the keeper before a
//! guard's due time, the validity and the orders of the watchdog; the slot of a connection before
//! its list.
//!
//! In unit tests, the primitives are those of [`interleaved`], which a test can interleave in any
//! order.

#[cfg(test)]
pub(crate) mod interleaved;

#[cfg(not(test))]
use std::sync as primitives;
use std::{sync::PoisonError, time::Duration};

#[cfg(test)]
use self::interleaved as primitives;
pub(crate) use self::primitives::{
    MutexGuard,
    atomic::{AtomicBool, AtomicUsize},
};

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(primitives::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(primitives::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition on a value in a [`Mutex`].
#[derive(Debug)]
pub(crate) struct Condvar(primitives::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(primitives::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Waits for a notification, at most for `limit` if there is one. It may return without either.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match limit {
            Some(limit) => {
                let waited = self.0.wait_timeout(guard, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => (self.0.wait(guard)).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn after_a_panic_the_value_can_still_be_used() {
        let mutex = Mutex::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut value = mutex.lock();
            *value = 2;
            panic!("planted");
        }));
        assert!(panicked.is_err());
        assert_eq!(*mutex.lock(), 2);
    }
}
