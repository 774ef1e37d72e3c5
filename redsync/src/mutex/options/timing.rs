//! The options for how long a lock is held, and how long nodes may take.

use std::time::Duration;

use crate::{Mutex, options::NodeTimeout};

/// How long the lock is held, and how long nodes may take.
impl Mutex {
    /// Sets the expiry: how long a node keeps the key if nobody extends or releases it. If the
    /// holder crashes, others wait for this long at most.
    ///
    /// From 10 ms to a year, cut to whole milliseconds. 8 s by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42").with_expiry(Duration::from_secs(5));
    /// let guard = mutex.lock().await?;
    /// assert!(guard.remaining() < Duration::from_secs(5));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("ttl", "lease"))]
    #[must_use]
    pub fn with_expiry(self, expiry: Duration) -> Self {
        self.set(|options| options.timing.set_expiry(expiry))
    }

    /// Sets how long a lock may be held in total, counted from the start of its acquisition. After
    /// that it is lost, however often it is extended. When a lock is [resumed](Self::resume), the
    /// time starts again. No limit by default.
    #[must_use]
    pub fn with_max_hold(self, limit: Duration) -> Self {
        self.set(|options| options.timing.max_hold = Some(limit))
    }

    /// Sets how long a lock is held at least, counted from the start of its acquisition: if it is
    /// released earlier, by its guard or by a drop, nobody can acquire it before that time is over.
    /// At most the [expiry](Self::with_expiry). Zero by default.
    ///
    /// This is for a job that several instances start at the same time, by clocks that differ, and
    /// that must run once. If it is done before the slowest clock has struck, another instance
    /// would find the lock free. So the minimum has to be longer than the clocks differ, and
    /// shorter than the interval of the job. (ShedLock calls it `lockAtLeastFor`.)
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let nightly = (redsync.mutex("nightly-report"))
    ///     .with_expiry(Duration::from_secs(60))
    ///     .with_min_hold(Duration::from_secs(30));
    /// let guard = nightly.try_lock().await?;
    /// // ... the report takes a second ...
    /// guard.release().await?;
    ///
    /// // Another instance, whose clock is 10 s behind.
    /// # tokio::time::sleep(Duration::from_secs(9)).await;
    /// assert!(nightly.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The release leaves the keys on the nodes, and lets them expire at the end of the minimum, by
    /// the nodes' clocks. The guard ends with the release: nothing is extended any longer, and
    /// [`Guard::release`](crate::Guard::release) and [`Redsync::drain`](crate::Redsync::drain) do
    /// not wait for the end of the minimum. Up to then, the keys have the owner value with
    /// `:released` behind it, so an extension that reaches a node after the release does not
    /// prolong them, and [`inspect`](Self::inspect) still shows the holder. A node that the release
    /// does not reach keeps them for the rest of the expiry.
    ///
    /// Such a lock is not [handed over](Self::with_hand_over). When a lock is
    /// [resumed](Self::resume), the minimum of the mutex that resumes it applies, from then on.
    /// [`force_release`](Self::force_release) ends the rest of a minimum, too.
    #[doc(alias = "lock_at_least_for")]
    #[must_use]
    pub fn with_min_hold(self, minimum: Duration) -> Self {
        self.set(|options| options.timing.min_hold = minimum)
    }

    /// Sets the least validity that a lock must have left when it has been acquired. A lock with
    /// less is released and counts as not acquired: see
    /// [`LockError::TooLate`](crate::LockError::TooLate). A tenth of the expiry by default.
    #[must_use]
    pub fn with_min_validity(self, validity: Duration) -> Self {
        self.set(|options| options.timing.set_min_validity(validity))
    }

    /// Sets the drift factor: the part of the expiry that is subtracted from the validity because
    /// clocks may run at different rates. Another 2 ms are always subtracted, for the precision of
    /// Redis' expiries (redis.io, "Distributed Locks with Redis").
    ///
    /// At least 0 and below 1; 0.01 by default.
    #[must_use]
    pub fn with_drift_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.drift_factor = factor)
    }

    /// Sets the node time limit: how long to wait for one node's answer when a lock is acquired,
    /// extended, released or inspected. Never longer than the expiry. 400 ms by default.
    ///
    /// A node that hangs delays a call by this much only if its vote is needed. Between sites,
    /// allow for two round trips, and for more if a connection has to be made.
    #[must_use]
    pub fn with_node_timeout(self, limit: Duration) -> Self {
        self.set(|options| {
            options
                .timing
                .set_node_timeout(NodeTimeout::Absolute(limit))
        })
    }
}
