//! What is wanted: a name and how to lock it.

mod lock;
mod options;

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::Instant;

pub use self::lock::Lock;
use crate::{
    ConfigError, FencingToken, Guard, Inspection, LockError, Mode, Released, Resume, RunError,
    Validity, acquire::Limit, config::MAX_NAME_LEN, inspect, lease::Lease, options::Options,
    queue::hand_over::Holding, quorum::tally::Verdict, request::Request, shared::Shared,
};

/// A distributed mutex: a name (or several), and how to lock it.
///
/// It is a value without state, cheap to make and to clone; what is held is the [`Guard`]. All
/// mutexes of one name, in this process or in another, exclude each other.
///
/// The defaults are go-redsync's. [`Redsync::with_defaults`] changes them for all mutexes.
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
    shared: Arc<Shared>,
    names: Arc<[Arc<str>]>,
    options: Arc<Options>,
}

impl Mutex {
    /// The length that a name and its prefix may have together, in bytes.
    pub const MAX_NAME_LEN: usize = MAX_NAME_LEN;

    pub(crate) const fn new(
        shared: Arc<Shared>,
        names: Arc<[Arc<str>]>,
        options: Arc<Options>,
    ) -> Self {
        Self {
            shared,
            names,
            options,
        }
    }

    pub(crate) fn into_options(self) -> Arc<Options> {
        self.options
    }

    /// The names, without the prefix: one, but for a mutex of
    /// [several names](Redsync::mutex_many).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The keys on the nodes: each name with the [prefix](Self::with_key_prefix) before it.
    ///
    /// ```
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync.mutex("order:42").with_key_prefix("shop:");
    /// assert!(mutex.keys().eq(["shop:order:42"]));
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = String> {
        (self.names()).map(|name| format!("{}{name}", self.options.key_prefix))
    }

    /// Exclusive or shared.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.options.kind.mode
    }

    /// Whether the holder of a lock need not lock this mutex too: the lock is on the same nodes, all
    /// names are among those that are locked, and neither an exclusive lock is asked of a shared one
    /// nor a fencing token of one that has none. A lock that is lost covers nothing.
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
            && lease.is_on(&self.shared.nodes)
            && self.request().is_ok_and(|request| lease.covers(&request))
    }

    /// Checks the names and the options, as every way to lock does first.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.request().map(drop)
    }

    fn request(&self) -> Result<Request, ConfigError> {
        Request::new(&self.names, &self.options)
    }

    fn lock_up_to(&self, limit: Limit) -> Lock {
        Lock::new(self.request(), Arc::clone(&self.shared), limit)
    }

    /// Locks, trying [as often](Self::with_tries) and with [such pauses](Self::with_retry_delay)
    /// as the options say: for about 5 s by default.
    ///
    /// Who knows for how long to wait rather than how often should use
    /// [`lock_within`](Self::lock_within).
    ///
    /// # Errors
    ///
    /// The future resolves to [`LockError::Taken`] if another holds the lock,
    /// [`LockError::Unavailable`] if no quorum of nodes can be had, each after the last try; or
    /// [`LockError::Config`], [`LockError::Value`] or [`LockError::TooManyWaiting`], at once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, its place in line is given up. Whatever it has acquired, or was handed,
    /// goes on to the next in line or is released in the background.
    ///
    /// # Panics
    ///
    /// The future panics when it has to wait outside of a tokio runtime with time enabled.
    pub fn lock(&self) -> Lock {
        self.lock_up_to(Limit::Tries(self.options.retry.tries))
    }

    /// Locks with one try.
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock`](Self::lock).
    pub fn try_lock(&self) -> Lock {
        self.lock_up_to(Limit::Tries(1))
    }

    /// Locks, trying until the given time has passed.
    ///
    /// No try starts after the deadline. One that is under way then is finished, so the future may
    /// take a [node time limit](Self::with_node_timeout) longer if nodes hang. With no time at
    /// all, it tries once.
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock`](Self::lock), with [`LockError::TimedOut`] instead of [`LockError::Taken`].
    pub fn lock_within(&self, limit: Duration) -> Lock {
        let now = Instant::now();
        // A time beyond what the clock can tell is a wait without an end.
        let end = now + Duration::from_secs(100 * 365 * 24 * 60 * 60);
        self.lock_until(now.checked_add(limit).map_or(end, |until| until.min(end)))
    }

    /// Locks, trying until the given instant. See [`lock_within`](Self::lock_within).
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock_within`](Self::lock_within).
    pub fn lock_until(&self, deadline: Instant) -> Lock {
        self.lock_up_to(Limit::Until(deadline))
    }

    /// Takes over a lock that is held with a known value, here or in another process, to extend or
    /// release it: from [`Guard::into_parts`], or from the value alone. (go-redsync's `WithValue`.)
    ///
    /// The nodes are asked how long a majority still keeps the names; less drift, that is the
    /// guard's validity. Two guards of one value do not exclude each other: whoever hands the lock
    /// over gives up its own guard.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let parts = redsync.mutex("order:42").lock().await?.into_parts();
    /// // Elsewhere, with the parts in hand (with the feature `serde` they can travel):
    /// let guard = redsync.mutex("order:42").resume(parts).await?;
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LockError::NotHeld`] if no majority holds the names with this value, or too little of their
    /// time is left; [`LockError::Unavailable`] if too few nodes answered; [`LockError::Value`] if
    /// the value is empty; [`LockError::Config`], also if the parts are of other names or of another
    /// mode.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock stays as it is.
    pub async fn resume(&self, parts: impl Into<Resume>) -> Result<Guard, LockError> {
        let Resume { value, token, kind } = parts.into();
        let request = self.request()?;
        if value.as_str().is_empty() {
            return Err(LockError::Value("an owner value is not empty".into()));
        }
        let mode = self.options.kind.mode;
        if kind.is_some_and(|(names, held)| *names != *request.names || held != mode) {
            return Err(ConfigError::OtherLock {
                name: request.label,
            }
            .into());
        }
        if let Some(token) = token.filter(|token| *token > FencingToken::MAX) {
            return Err(ConfigError::Option {
                option: "fencing_token",
                must: "one that was granted",
                is: token.to_string().into(),
            }
            .into());
        }
        let lease = Lease::resumed(&self.shared.nodes, &request, value);
        if let Some(token) = token {
            lease.set_token(token);
        }
        let start = Instant::now();
        let kept = lease.inspect().await;
        match kept.verdict {
            Verdict::Granted => {
                // All nodes that granted keep it for as long, and they are a majority.
                let until = lease.options().timing.until_from(start, kept.remaining);
                let until = lease.capped(until);
                if Instant::now() >= until {
                    return Err(LockError::NotHeld(kept.votes));
                }
                lease.begin(until);
                Ok(Guard::new(Holding::new(lease, Arc::clone(&self.shared))))
            }
            Verdict::Refused => Err(LockError::NotHeld(kept.votes)),
            Verdict::Unknown => Err(LockError::Unavailable(kept.votes)),
        }
    }

    /// Locks, runs `work`, extending the lock meanwhile, and releases.
    ///
    /// If the lock is lost, `work` is dropped where it is waiting.
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
    /// [`RunError::Lock`] if the lock could not be had: `work` has not begun. [`RunError::Lost`] if
    /// it was lost: `work` was dropped, or had ended by the time that became known; what it has done
    /// may have met the work of another.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, `work` is dropped with it, and then the lock is released in the
    /// background.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock), and if `work` does; the lock is then released.
    pub async fn run<T, F>(&self, work: impl FnOnce(Validity) -> F) -> Result<T, RunError>
    where
        F: Future<Output = T>,
    {
        let mut guard = self.lock().await?;
        guard.keep_alive();
        let output = {
            // Dropped before the lock is released.
            let (lost, work) = (pin!(guard.lost()), pin!(work(guard.validity())));
            match select(work, lost).await {
                Either::Left((output, _)) => output,
                Either::Right(_) => return Err(RunError::Lost),
            }
        };
        match guard.release().await {
            Ok(Released::AlreadyLost) => Err(RunError::Lost),
            // Unknown to the nodes, but held by this process' clock, which is what was promised.
            Ok(Released::Held) | Err(_) => Ok(output),
        }
    }

    /// Who holds the names, by what each node says: for people who look into why something is
    /// locked. Nothing can be concluded from it for the next moment.
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
    /// It takes at most the [node time limit](Self::with_node_timeout).
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] if the names or options cannot work. A node's failure is in its own entry.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn inspect(&self) -> Result<Vec<Inspection>, ConfigError> {
        let request = self.request()?;
        Ok(inspect::inspect(&request, &self.shared.nodes).await)
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
