//! The options for the kind of lock and its key.

use std::{error::Error, sync::Arc};

use crate::{Mode, Mutex};

/// The kind of lock and its key.
impl Mutex {
    /// Sets the mode: exclusive (the default) or [shared](Self::shared). The shared mode turns
    /// [fencing](Self::with_fencing) off.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        if self.options.kind.mode == mode {
            return self;
        }
        self.set(|options| {
            options.kind.mode = mode;
            options.kind.fencing &= mode == Mode::Exclusive;
        })
    }

    /// Returns the same mutex in shared mode: it can have any number of shared holders, or one
    /// exclusive holder.
    ///
    /// Each shared holder has its own guard, which expires and is extended on its own.
    ///
    /// An exclusive waiter does not starve, however many others want to share the lock, unless the
    /// pause between its attempts is longer than half a second. An attempt that finds shared
    /// holders reserves the name: the nodes admit no new shared holders for at least half a second,
    /// and the waiter enters when the present ones have left. Later attempts renew the reservation,
    /// which ends when the waiter leaves without the lock. A single attempt, such as that of
    /// [`try_lock`](Self::try_lock), reserves nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let catalog = redsync.mutex("catalog");
    /// let one = catalog.shared().lock().await?;
    /// let another = catalog.shared().lock().await?;
    /// assert!(catalog.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A go-redsync client sees a shared lock as taken. Shared locks have no
    /// [fencing tokens](crate::fence).
    #[must_use]
    pub fn shared(&self) -> Self {
        self.clone().with_mode(Mode::Shared)
    }

    /// Sets how many holders there may be at the same time, from 1 to
    /// [`MAX_PERMITS`](Self::MAX_PERMITS): the mutex is then a
    /// [semaphore](crate::Redsync::semaphore). 1 by default.
    ///
    /// More than one permit is for exclusive locks with one name and without
    /// [fencing](Self::with_fencing).
    #[must_use]
    pub fn with_permits(self, permits: usize) -> Self {
        self.set(|options| options.kind.permits = permits)
    }

    /// Sets the prefix that is put before each name to make the key on the nodes, such as `shop:`.
    /// At most 768 bytes; no prefix by default.
    #[must_use]
    pub fn with_key_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|options| options.key_prefix = prefix.into())
    }

    /// Sets a function that returns a label, such as the host name, with which owner values begin.
    /// It helps people who look at the keys on a server or [inspect](Self::inspect) a lock, in this
    /// process or in another: so it must not be secret. No label by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let host = || std::env::var("HOSTNAME").or(Ok::<_, std::convert::Infallible>("web-7".to_owned()));
    /// let redsync = redsync.with_defaults(|mutex| mutex.with_owner_label(host))?;
    ///
    /// let _guard = redsync.mutex("order:42").lock().await?;
    /// for node in redsync.mutex("order:42").inspect().await? {
    ///     for holder in node.holders? {
    ///         println!("held by {:?}", holder.label);
    ///         # assert!(holder.label.is_some());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The function is called once per attempt, and 128 random bits are always appended to its
    /// result. If it returns an error, locking fails with
    /// [`LockError::Value`](crate::LockError::Value).
    ///
    /// (This replaces go-redsync's `WithGenValueFunc`, with which two attempts can get the same
    /// value. Two clients can then hold the lock at the same time: see
    /// [`OwnerValue`](crate::OwnerValue).)
    #[doc(alias = "gen_value")]
    #[must_use]
    pub fn with_owner_label<E>(
        self,
        label: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.set(|options| {
            options.rounds.owner_label = Some(Arc::new(move || label().map_err(Into::into)))
        })
    }

    /// Sets whether every acquisition gets a [fencing token](crate::fence), which is larger than
    /// all earlier tokens of the name. For exclusive locks. False by default.
    ///
    /// Acquiring then takes a script instead of a plain command, a second round (with its own time
    /// limit) when the nodes' counters differ, and one more key per name, which stays for a day.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").with_fencing(true).lock().await?;
    /// let token = guard.fencing_token().expect("the mutex is fenced");
    /// // ... send the token along with each write ...
    /// # let _ = token;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|options| options.kind.fencing = fencing)
    }
}
