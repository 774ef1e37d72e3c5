//! Acquiring the lock of a mutex: the methods that lock, resume, and run work under the lock.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::{Lock, Mutex};
use crate::{
    Guard, LockError, Released, Resume, RunError, Validity,
    acquire::{self, Limit},
};

/// Acquiring the lock.
impl Mutex {
    fn lock_up_to(&self, limit: Limit) -> Lock {
        Lock::new(self.request(), Arc::clone(&self.common), limit)
    }

    /// Acquires the lock, and waits while another holder has it.
    ///
    /// It waits until the configured number of attempts has failed: by default
    /// [32 attempts](Self::with_tries), with [pauses](Self::with_retry_delay) between them that add
    /// up to about 5 s. To limit the time instead, use [`lock_within`](Self::lock_within).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// // ... work on the order ...
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// After the last attempt, the future resolves to
    ///
    /// * [`LockError::Taken`] if another holder has the lock,
    /// * [`LockError::Unavailable`] if too few nodes answered, or
    /// * [`LockError::TooLate`] if the lock was acquired too late to be valid.
    ///
    /// It resolves at once to
    ///
    /// * [`LockError::NotALock`] if a key with the name is not a lock,
    /// * [`LockError::Config`] if a name or an option is invalid,
    /// * [`LockError::Value`] if no owner value could be made, or
    /// * [`LockError::TooManyWaiting`] if the queue is [full](Self::with_max_waiting).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it leaves the queue. A lock that it has acquired, or that was
    /// handed over to it, goes to the next waiter or is released in the background.
    ///
    /// # Panics
    ///
    /// The future panics if it has to wait outside of a tokio runtime with time enabled.
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Lock {
        self.lock_up_to(Limit::Tries(self.options.retry.tries))
    }

    /// Acquires the lock in a single attempt. It does not wait for another holder.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// use redsync::LockError;
    ///
    /// let mutex = redsync.mutex("order:42");
    /// let guard = mutex.try_lock().await?;
    /// assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As for [`lock`](Self::lock).
    #[doc(alias = "try_acquire")]
    pub fn try_lock(&self) -> Lock {
        self.lock_up_to(Limit::Tries(1))
    }

    /// Acquires the lock, and waits for at most `limit` while another holder has it.
    ///
    /// If the lock may have become free without a [wake-up](crate#waiting), the last attempt starts
    /// when the limit is over. It is completed, so the future can take longer than the limit: by a
    /// round trip, or, if nodes hang, by the [node time limit](Self::with_node_timeout). With a
    /// limit of zero there is one attempt.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// use redsync::LockError;
    ///
    /// let mutex = redsync.mutex("order:42");
    /// let mut guard = mutex.lock_within(Duration::from_secs(2)).await?;
    /// guard.keep_alive();
    /// let waited = mutex.lock_within(Duration::from_secs(2)).await;
    /// assert!(matches!(waited, Err(LockError::TimedOut(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As for [`lock`](Self::lock), with [`LockError::TimedOut`] in place of [`LockError::Taken`].
    #[doc(alias = "timeout")]
    pub fn lock_within(&self, limit: Duration) -> Lock {
        self.lock_up_to(Limit::within(Instant::now(), limit))
    }

    /// Acquires the lock, and waits up to `deadline` while another holder has it. See
    /// [`lock_within`](Self::lock_within).
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As for [`lock_within`](Self::lock_within).
    pub fn lock_until(&self, deadline: Instant) -> Lock {
        self.lock_up_to(Limit::Until(deadline))
    }

    /// Makes a guard for a lock that is already held: from [`Guard::into_parts`], called here or in
    /// another process, or from the owner value alone. (go-redsync's `WithValue`.)
    ///
    /// It asks the nodes how long a majority of them will still keep the names. The guard is valid
    /// for that long, less drift. Two guards with the same owner value do not exclude each other,
    /// so only one of them may be used; [`Guard::into_parts`] therefore consumes its guard.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let parts = redsync.mutex("order:42").lock().await?.into_parts();
    /// // In another process, which has received the parts (feature `serde`):
    /// let guard = redsync.mutex("order:42").resume(parts).await?;
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`LockError::NotHeld`] if no majority keeps the names with this value, or not for long
    ///   enough;
    /// * [`LockError::Unavailable`] if too few nodes answered;
    /// * [`LockError::Value`] if the value is empty;
    /// * [`LockError::Config`] if a name or an option is invalid, or if the parts belong to other
    ///   names or another mode. A [permit](crate::Redsync::semaphore) is resumed from its parts,
    ///   because the owner value alone does not say which of them it is.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock stays as it is: no guard releases it, and it expires if
    /// no guard extends it.
    pub async fn resume(&self, parts: impl Into<Resume>) -> Result<Guard, LockError> {
        acquire::resume(self.request()?, Arc::clone(&self.common), parts.into()).await
    }

    /// Acquires the lock, runs `work` while extending the lock, and releases the lock.
    ///
    /// If the lock is lost, `work` is dropped at the point where it awaits.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let total = redsync
    ///     .mutex("order:42")
    ///     .run(async |held| {
    ///         // ... work on the order ...
    ///         held.name().len()
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`RunError::Lock`] if the lock could not be acquired. `work` has not begun.
    /// * [`RunError::Lost`] if the lock was lost. `work` was dropped, or had finished before the
    ///   loss was known. It may have run at the same time as the work of another holder.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, `work` is dropped first, and then the lock is released in the
    /// background.
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock), and if `work` panics. The lock is then released.
    pub async fn run<T, F>(&self, work: impl FnOnce(Validity) -> F) -> Result<T, RunError>
    where
        F: Future<Output = T>,
    {
        let mut guard = self.lock().await?;
        guard.keep_alive();
        let output = {
            // Both are dropped before the lock is released.
            let (lost, work) = (pin!(guard.lost()), pin!(work(guard.validity())));
            match select(work, lost).await {
                Either::Left((output, _)) => output,
                Either::Right(_) => return Err(RunError::Lost),
            }
        };
        match guard.release().await {
            Ok(Released::AlreadyLost) => Err(RunError::Lost),
            // Even if too few nodes confirm the release, the lock was valid to the end by this
            // process's clock, and that is all that is promised.
            Ok(Released::Held) | Err(_) => Ok(output),
        }
    }
}
