//! A value on whose changes tasks wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value on whose changes tasks wait. They are woken in the order in which they came, so that a
/// run can be replayed. (Those of tokio's `watch` are woken at random.)
pub(super) struct Condition<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Condition<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            changed: Notify::const_new(),
        }
    }

    pub(super) fn get(&self) -> T {
        *self.value()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value());
        self.changed.notify_waiters();
    }

    /// Waits for a value that is accepted, and returns it.
    pub(super) async fn until(&self, is_accepted: impl Fn(T) -> bool) -> T {
        loop {
            // Made before the value is read, so that no change after that is missed.
            let changed = self.changed.notified();
            let value = self.get();
            if is_accepted(value) {
                return value;
            }
            changed.await;
        }
    }

    fn value(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
