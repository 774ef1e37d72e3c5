//! The holders of a mutex: who they are, and how to take the lock from them.

use super::Mutex;
use crate::{ConfigError, Inspection, inspect};

/// For administrators.
impl Mutex {
    /// Asks each node who holds the names, or the permits of a
    /// [semaphore](crate::Redsync::semaphore).
    ///
    /// This is for people who want to know why something is locked. The answer describes the past
    /// by the time it arrives.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42");
    /// let _guard = mutex.lock().await?;
    /// for node in mutex.inspect().await? {
    ///     match node.holders {
    ///         Ok(holders) => println!("{}: {holders:?}", node.address),
    ///         Err(error) => println!("{} {error}", node.address),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It takes at most the [node time limit](Self::with_node_timeout), 400 ms by default.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] if a name or an option is invalid. If a node fails, its own [`Inspection`]
    /// has the error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn inspect(&self) -> Result<Vec<Inspection>, ConfigError> {
        let request = self.request()?;
        Ok(inspect::inspect(&request, &self.common.nodes).await)
    }

    /// Takes the lock from whoever holds it: releases its keys on all nodes that can be reached,
    /// exclusive and shared ones, of all permits. Returns the holders that each node has released.
    ///
    /// **The holder does not know it at once.** It goes on until its next
    /// [extension](crate::Guard::extend) or [`verify`](crate::Guard::verify), which finds that the
    /// lock is [lost](crate::Guard::lost), or until its validity ends. The same is true of a waiter
    /// to which it [hands the lock over](Self::with_hand_over). Meanwhile the next holder works at
    /// the same time. So this is for people who know that the holder hangs, and that its work
    /// cannot do harm; where that matters, use [fencing tokens](crate::fence): that of the next
    /// holder is larger than those of the holder and of the waiters to which it hands the lock
    /// over. A lock whose holder has crashed expires by itself.
    ///
    /// Each node releases the holders that it reports when it is asked, so a holder that acquires
    /// the lock just before or during the call may lose it, too. A key that is [not a
    /// lock](crate::LockError::NotALock) stays. If fewer than a majority of the nodes answer, the
    /// holder may keep the lock on the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mutex = redsync.mutex("order:42");
    /// let guard = mutex.lock().await?;
    ///
    /// let nodes = mutex.force_release().await?;
    /// let released = nodes.iter().filter(|node| matches!(&node.holders, Ok(all) if !all.is_empty()));
    /// assert_eq!(released.count(), 3);
    ///
    /// // What the holder finds.
    /// assert!(!guard.verify().await?);
    /// assert!(guard.is_lost());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Waiters in other processes than the holder's are notified. Those of the holder's process are
    /// notified when the holder notices the loss, even if it keeps its guard.
    ///
    /// It takes at most the [node time limit](Self::with_node_timeout), 400 ms by default.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] if a name or an option is invalid. If a node fails, its own [`Inspection`]
    /// has the error. It may have released some holders before that: a warning in the log names
    /// each holder as soon as a node has released it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, some nodes have released the keys, and others have not.
    #[doc(alias = "force_unlock")]
    pub async fn force_release(&self) -> Result<Vec<Inspection>, ConfigError> {
        let request = self.request()?;
        Ok(inspect::force_release(&request, &self.common.nodes).await)
    }
}
