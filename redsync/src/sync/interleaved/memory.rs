//! Explorations of memory, by [loom](https://docs.rs/loom): a thread reads each value of an atomic
//! that the orderings allow, also one that another thread has replaced.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{EXPLORER, Explorer};

/// Runs a scenario in all orders of threads and of memory.
///
/// A primitive has to be used once before the threads are started that share it.
pub(crate) fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    EXPLORER.set(Some(Explorer::Loom));
    let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(scenario)));
    EXPLORER.set(None);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Does something of a scenario that uses a primitive of the whole process, which stays from one
/// order to the next.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let explorer = EXPLORER.replace(None);
    let done = work();
    EXPLORER.set(explorer);
    done
}
