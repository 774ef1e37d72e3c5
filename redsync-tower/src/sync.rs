//! Locking a mutex without a failure.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a thread has panicked while it had the mutex locked.
///
/// `std` reports that as an error, because the value may be half changed. Here it is whole: no code
/// of users runs under the mutexes of this crate, and nothing under them panics between two changes
/// that belong together.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
