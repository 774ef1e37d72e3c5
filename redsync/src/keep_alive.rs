//! One task that extends all guards of a [`Redsync`](crate::Redsync) for as long as they are kept
//! alive.
//!
//! The keeper has a [queue of due times](schedule). It extends a lock whenever a third of the
//! expiry has passed, until the lock is lost or has reached its maximum hold time. After a failure,
//! it repeats the extension after a twelfth, or sooner if little validity is left: see [`due`]. It
//! spawns no task per guard, and sends extensions that are due at the same time together.
//!
//! # Threads
//!
//! The extension of a lock must not depend on the thread that works under it: a handler may block
//! that thread for longer than the expiry. On a multi-thread runtime the keeper is therefore woken
//! by a [thread of its own](watchdog) when it is due.
//!
//! The [task](runner) runs on the runtime on which it was first needed. If that runtime ends or
//! stands still, the keeper moves to another one on which locks were acquired. If there is none, it
//! moves with the next guard that is kept alive.
//!
//! # Load
//!
//! If nodes answer late because they are busy, the keeper must not add to their load. So it repeats
//! a round that has no result only after a quarter of the validity that is left, and not before the
//! node time limit. The next third counts from the answer, up to half of the expiry after the start
//! of the round. So the extensions of guards that were locked together spread out over time.

mod due;
mod renewal;
mod runner;
mod schedule;
mod watchdog;

use std::{fmt, sync::Arc};

use tokio::{runtime::Handle, time::Instant};

use self::runner::Tasks;
pub(crate) use self::schedule::KeptAlive;
use crate::{lease::Lease, runtimes::Runtimes};

/// Extends guards for as long as they are kept alive.
#[derive(Clone)]
pub(crate) struct Keeper(Arc<Tasks>);

impl Keeper {
    /// A keeper that runs on one of these runtimes.
    pub(crate) fn new(runtimes: &Arc<Runtimes>) -> Self {
        Self(Arc::new(Tasks::new(runtimes)))
    }

    /// Keeps a lock alive for as long as the returned value exists.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub(crate) fn keep(&self, lease: &Arc<Lease>) -> Arc<KeptAlive> {
        let here = Handle::current();
        let now = Instant::now();
        let kept = KeptAlive::new(lease, now);
        self.0.keep(&kept, kept.times().first(now), &here, now);
        kept
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
