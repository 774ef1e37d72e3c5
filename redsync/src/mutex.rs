//! A mutex: a name and its options.

mod lock;

// In the order in which the docs of `Mutex` have their methods.
mod locking;

mod options;

mod holders;

use std::{fmt, sync::Arc};

pub use self::lock::Lock;
use crate::{
    ConfigError, Mode, Validity,
    common::Common,
    options::{MAX_NAME_LEN, MAX_PERMITS, Options, permit_key},
    request::Request,
};

/// A distributed mutex: a name, or several, and its options.
///
/// A mutex has no state, and is cheap to make and to clone. Locking it returns a
/// [`Guard`](crate::Guard), which holds the lock. All mutexes with the same name exclude each
/// other, in this process and in others.
///
/// The default options are those of go-redsync, except for
/// [`with_fail_fast`](Self::with_fail_fast).
/// [`Redsync::with_defaults`](crate::Redsync::with_defaults) changes them for all mutexes. An
/// option that is out of its range is reported when the mutex is locked, or by
/// [`check`](Self::check).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use redsync::{LockError, Redsync};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let redsync = Redsync::in_memory(3);
/// let mutex = redsync.mutex("order:42").with_expiry(Duration::from_secs(5));
///
/// let guard = mutex.lock_within(Duration::from_secs(2)).await?;
/// match mutex.try_lock().await {
///     Err(LockError::Taken(votes)) => println!("held for {:?} more", votes.free_in()),
///     other => panic!("{other:?}"),
/// }
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mutex {
    common: Arc<Common>,
    names: Arc<[Arc<str>]>,
    options: Arc<Options>,
}

impl Mutex {
    /// The greatest length of a name together with its prefix, in bytes.
    pub const MAX_NAME_LEN: usize = MAX_NAME_LEN;

    /// The most [permits](Self::with_permits).
    ///
    /// An attempt that finds all permits taken makes a round for each of them, one after the other.
    /// With this many, it takes 64 ms if the nodes are a millisecond away.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    pub(crate) const fn new(
        common: Arc<Common>,
        names: Arc<[Arc<str>]>,
        options: Arc<Options>,
    ) -> Self {
        Self {
            common,
            names,
            options,
        }
    }

    pub(crate) fn into_options(self) -> Arc<Options> {
        self.options
    }

    /// Returns the names, without the prefix. There is one, unless the mutex was made by
    /// [`Redsync::mutex_many`](crate::Redsync::mutex_many).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Returns the keys on the nodes: each name with its [prefix](Self::with_key_prefix). A
    /// [semaphore](crate::Redsync::semaphore) has one for each permit.
    ///
    /// ```
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync.mutex("order:42").with_key_prefix("shop:");
    /// assert!(mutex.keys().eq(["shop:order:42"]));
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let permits = 1..=self.options.kind.permits;
        self.names.iter().flat_map(move |name| {
            let name = self.options.prefixed(name);
            (permits.clone()).map(move |permit| permit_key(&name, permit))
        })
    }

    /// Returns whether the mutex is locked in exclusive or in shared mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.options.kind.mode
    }

    /// Returns whether the lock `held` covers this mutex, so that its holder need not lock the
    /// mutex as well.
    ///
    /// It does if all of these are true:
    ///
    /// * the lock is still valid;
    /// * it is on the same nodes;
    /// * it includes all names of this mutex, or is a permit of this
    ///   [semaphore](crate::Redsync::semaphore);
    /// * it is exclusive, or this mutex is shared;
    /// * it has a fencing token, or this mutex has no [fencing](Self::with_fencing).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let both = redsync.mutex_many(["a", "b"]).lock().await?;
    /// assert!(redsync.mutex("a").is_covered_by(&both.validity()));
    /// assert!(!redsync.mutex("c").is_covered_by(&both.validity()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_covered_by(&self, held: &Validity) -> bool {
        let lease = held.lease();
        !held.is_lost()
            && lease.is_on(&self.common.nodes)
            && self.request().is_ok_and(|request| lease.covers(&request))
    }

    /// Checks the names and the options. Every method that locks does this first.
    ///
    /// ```
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// assert!(redsync.mutex("order:42").check().is_ok());
    /// assert!(redsync.mutex("").check().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says which name or option is invalid.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.request().map(drop)
    }

    fn request(&self) -> Result<Request, ConfigError> {
        Request::new(&self.names, &self.options)
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("names", &self.names)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
