//! What is wanted: a name and how to lock it.

use std::{
    error::Error,
    fmt,
    future::Future,
    ops::Range,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    ConfigError, Guard, LockError, OwnerValue, Redsync,
    attempt::Attempt,
    claim::{Claim, Holding},
    options::{MAX_NAME_LEN, NodeTimeout, Options, RetryDelay},
    quorum::Verdict,
    retry::{Limit, again},
};

/// A distributed mutex: a name, and how to lock it.
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
    redsync: Redsync,
    name: Arc<str>,
    options: Arc<Options>,
}

impl Mutex {
    /// The length that a name and its prefix may have together, in bytes.
    pub const MAX_NAME_LEN: usize = MAX_NAME_LEN;

    pub(crate) const fn new(redsync: Redsync, name: Arc<str>, options: Arc<Options>) -> Self {
        Self {
            redsync,
            name,
            options,
        }
    }

    pub(crate) fn into_options(self) -> Arc<Options> {
        self.options
    }

    fn set(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// The name, without the prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long a node keeps the key if nobody extends or releases it: the longest that others
    /// wait after the holder has crashed. Sent in whole milliseconds; from 10 ms to a year. 8 s by
    /// default.
    #[must_use]
    pub fn with_expiry(self, expiry: Duration) -> Self {
        self.set(|options| options.expiry = expiry)
    }

    /// How often [`lock`](Self::lock) tries, the first time included. 32 by default.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        self.set(|options| options.tries = tries)
    }

    /// Gives up after so many tries in a row that found no quorum of nodes, whatever time or tries
    /// are left: those who wait for a holder need not wait for an outage to end. No such limit by
    /// default.
    #[must_use]
    pub fn with_outage_tries(self, tries: u32) -> Self {
        self.set(|options| options.outage_tries = tries)
    }

    /// The pause between tries. It should not be the same for all who wait; see
    /// [`with_retry_delay_range`](Self::with_retry_delay_range).
    #[must_use]
    pub fn with_retry_delay(self, delay: Duration) -> Self {
        self.with_retry_delay_range(delay..delay)
    }

    /// The range from which the pause between tries is drawn, evenly. 50 ms to 250 ms by default.
    #[must_use]
    pub fn with_retry_delay_range(self, range: Range<Duration>) -> Self {
        self.set(|options| options.retry_delay = RetryDelay::Uniform(range))
    }

    /// The pause after the given number of tries.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let redsync = redsync::Redsync::in_memory(1);
    /// let mutex = redsync
    ///     .mutex("order:42")
    ///     .with_retry_delay_fn(|tries| Duration::from_millis(10) * tries.min(20));
    /// ```
    #[must_use]
    pub fn with_retry_delay_fn(
        self,
        delay: impl Fn(u32) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.set(|options| options.retry_delay = RetryDelay::Function(Arc::new(delay)))
    }

    /// What part of the expiry is taken off the validity for clocks that run at different rates
    /// (2 ms more are taken off always). At least 0 and below 1; 0.01 by default.
    #[must_use]
    pub fn with_drift_factor(self, factor: f64) -> Self {
        self.set(|options| options.drift_factor = factor)
    }

    /// The validity that must be left when a quorum has acquired; a lock with less counts as not
    /// acquired and is released. A tenth of the expiry by default.
    #[must_use]
    pub fn with_min_validity(self, validity: Duration) -> Self {
        self.set(|options| options.min_validity = Some(validity))
    }

    /// How long one node's answer to an acquisition, extension, release or inspection is waited
    /// for, at most the expiry. 250 ms by default.
    ///
    /// A node that hangs costs this much only where its vote is needed. Between sites, allow for two
    /// round trips (to make a connection, for more).
    #[must_use]
    pub fn with_node_timeout(self, limit: Duration) -> Self {
        self.set(|options| options.node_timeout = NodeTimeout::Absolute(limit))
    }

    /// The [node time limit](Self::with_node_timeout) as a part of the expiry, above 0 and at most
    /// 1. (go-redsync has 0.05.)
    #[must_use]
    pub fn with_timeout_factor(self, factor: f64) -> Self {
        self.set(|options| options.node_timeout = NodeTimeout::Factor(factor))
    }

    /// What owner values begin with, such as the name of the host, for whoever looks at the keys.
    /// It is called for each try; 128 random bits are always appended. Nothing by default.
    ///
    /// (It stands in for go-redsync's `WithGenValueFunc`, without its trap: where two tries have one
    /// value, two can hold the lock.)
    #[must_use]
    pub fn with_value_fn<E>(
        self,
        label: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.set(|options| options.value_label = Arc::new(move || label().map_err(Into::into)))
    }

    /// Whether a verdict is returned as soon as it is clear, rather than when all nodes have
    /// answered or timed out. True by default. (go-redsync's default is false.)
    #[must_use]
    pub fn with_fail_fast(self, fail_fast: bool) -> Self {
        self.set(|options| options.fail_fast = fail_fast)
    }

    /// Whether nodes are sent to in another order each time. False by default.
    #[must_use]
    pub fn with_shuffled_nodes(self, shuffled: bool) -> Self {
        self.set(|options| options.shuffled_nodes = shuffled)
    }

    /// Whether an extension sets the key again on nodes that have lost it, so that a node that
    /// restarted empty helps to hold the lock again. False by default. (go-redsync's
    /// `WithSetNXOnExtend`.)
    ///
    /// It heals nodes, not locks: a majority must have held the key all the time for the extension
    /// to succeed. (go-redsync counts keys it has just set, and so can take a lock back that
    /// another has held in between.)
    #[must_use]
    pub fn with_set_if_absent_on_extend(self, set: bool) -> Self {
        self.set(|options| options.set_if_absent_on_extend = set)
    }

    /// What is put before the name to make the nodes' key, such as `shop:`. Nothing by default.
    #[must_use]
    pub fn with_key_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|options| options.key_prefix = prefix.into())
    }

    /// Checks the name and the options, as every way to lock does first.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.wanted().map(drop)
    }

    fn wanted(&self) -> Result<Wanted, ConfigError> {
        self.options.check()?;
        Ok(Wanted {
            redsync: self.redsync.clone(),
            key: self.options.key(&self.name)?,
            options: Arc::clone(&self.options),
        })
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
    /// [`LockError::Config`] or [`LockError::Value`], at once.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, whatever it has acquired is released in the background.
    ///
    /// # Panics
    ///
    /// The future panics when it has to wait outside of a tokio runtime with time enabled.
    pub fn lock(&self) -> Lock {
        Lock::new(self.wanted(), Limit::Tries(self.options.tries))
    }

    /// Locks with one try.
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock`](Self::lock).
    pub fn try_lock(&self) -> Lock {
        Lock::new(self.wanted(), Limit::Tries(1))
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
        Lock::new(self.wanted(), Limit::Until(deadline))
    }

    /// Takes over a lock that is held with a known value, here or in another process, to extend or
    /// release it. (go-redsync's `WithValue`.)
    ///
    /// The nodes are asked how long a majority still keeps the key; less drift, that is the
    /// guard's validity. Two guards of one value do not exclude each other: whoever hands the lock
    /// over should do so with [`Guard::into_value`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let value = redsync.mutex("order:42").lock().await?.into_value();
    /// // Elsewhere, with the value in hand:
    /// let guard = redsync.mutex("order:42").resume(value).await?;
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LockError::NotHeld`] if no majority holds the key with this value, or too little of its
    /// time is left; [`LockError::Unavailable`] if too few nodes answered; [`LockError::Value`] if
    /// the value is empty; [`LockError::Config`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock stays as it is.
    pub async fn resume(&self, value: impl Into<OwnerValue>) -> Result<Guard, LockError> {
        let value = value.into();
        if value.as_str().is_empty() {
            return Err(LockError::Value("an owner value is not empty".into()));
        }
        let claim = Claim::resumed(&self.wanted()?, value);
        let start = Instant::now();
        let (ours, kept) = mpsc::channel();
        let outcome = claim.inspect(&ours).await;
        match outcome.verdict {
            Verdict::Granted => {
                // For so long all who granted keep it, and they are a majority.
                let kept = kept.try_iter().min().unwrap_or_default();
                let until = claim.options().until_from(start, kept);
                if Instant::now() >= until {
                    return Err(LockError::NotHeld(outcome.into_votes(&claim)));
                }
                claim.begin(until);
                Ok(Guard::new(Holding::new(claim)))
            }
            Verdict::Refused => Err(LockError::NotHeld(outcome.into_votes(&claim))),
            Verdict::Unknown => Err(LockError::Unavailable(outcome.into_votes(&claim))),
        }
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A mutex whose name and options have been checked.
pub(crate) struct Wanted {
    pub(crate) redsync: Redsync,
    pub(crate) key: Arc<str>,
    pub(crate) options: Arc<Options>,
}

pin_project! {
    /// The future of [`Mutex::lock`] and its like.
    ///
    /// The first try is polled in place; only what waits for a second one is boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct Lock {
        #[pin]
        state: State,
        limit: Limit,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Start { wanted: Option<Result<Wanted, ConfigError>> },
        First { #[pin] attempt: Attempt, wanted: Option<Wanted> },
        Again { future: BoxFuture<'static, Result<Guard, LockError>> },
    }
}

impl Lock {
    const fn new(wanted: Result<Wanted, ConfigError>, limit: Limit) -> Self {
        Self {
            state: State::Start {
                wanted: Some(wanted),
            },
            limit,
        }
    }
}

impl Future for Lock {
    type Output = Result<Guard, LockError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Start { wanted } => {
                    let wanted = wanted.take().expect("polled after it was ready")?;
                    State::First {
                        attempt: Attempt::start(&wanted)?,
                        wanted: Some(wanted),
                    }
                }
                StateProj::First { attempt, wanted } => match ready!(attempt.poll(cx)) {
                    Ok(guard) => return Poll::Ready(Ok(guard)),
                    Err(failure) if this.limit.retries() => {
                        let wanted = wanted.take().expect("polled after it was ready");
                        State::Again {
                            future: again(wanted, *this.limit, failure).boxed(),
                        }
                    }
                    Err(failure) => return Poll::Ready(Err(failure.into_error(*this.limit))),
                },
                StateProj::Again { future } => return future.as_mut().poll(cx),
            };
            this.state.set(next);
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
