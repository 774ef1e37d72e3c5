//! The options for the attempts while another holder has the lock, or while nodes fail.

use std::{ops::Range, sync::Arc, time::Duration};

use crate::{Mutex, options::Delay};

/// The attempts while another holder has the lock, or while nodes fail.
impl Mutex {
    /// Sets the pause between attempts to a fixed time.
    ///
    /// Waiters in different processes should not all pause for the same time, or their attempts
    /// collide; prefer [`with_retry_delay_range`](Self::with_retry_delay_range).
    #[must_use]
    pub fn with_retry_delay(self, delay: Duration) -> Self {
        self.with_retry_delay_range(delay..delay)
    }

    /// Sets the range from which each pause between attempts is drawn at random, with equal
    /// probability. 50 ms to 250 ms by default.
    ///
    /// These are the pauses on nodes without [wake-ups](crate#waiting). While wake-ups work, or too
    /// few nodes answer, [they are longer](crate::future::Lock#polls).
    #[must_use]
    pub fn with_retry_delay_range(self, range: Range<Duration>) -> Self {
        self.set(|options| options.retry.delay = Delay::Uniform(range))
    }

    /// Computes each pause between attempts by a function of the number of attempts made so far.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync
    ///     .mutex("order:42")
    ///     .with_retry_delay_fn(|attempts| Duration::from_millis(10) * attempts.min(20));
    /// ```
    #[must_use]
    pub fn with_retry_delay_fn(
        self,
        delay: impl Fn(u32) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.retry.delay = Delay::Function(Arc::new(delay)))
    }

    /// Sets a limit for outages: locking fails after this many attempts in a row that found no
    /// quorum of nodes, even if time or attempts are left. So a caller can wait long for another
    /// holder, and yet fail soon in an outage. An attempt that acquires the lock [too
    /// late](crate::LockError::TooLate) counts as one that found no quorum. At least 1; no limit by
    /// default.
    #[must_use]
    pub fn with_outage_attempts(self, attempts: u32) -> Self {
        self.set(|options| options.retry.outage_attempts = attempts)
    }
}
