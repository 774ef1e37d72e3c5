//! What is wanted: a name and how to lock it.

use std::{
    error::Error,
    fmt,
    future::Future,
    ops::Range,
    pin::{Pin, pin},
    sync::{Arc, mpsc},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, FutureExt, select};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    ConfigError, FencingToken, Guard, Inspected, LockError, Redsync, Released, Resume, RunError,
    Validity,
    attempt::Attempt,
    claim::{Claim, Holding},
    inspect,
    node::Mode,
    options::{MAX_NAME_LEN, NodeTimeout, Options, RetryDelay},
    quorum::Verdict,
    retry::{Limit, again},
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
    redsync: Redsync,
    names: Arc<[Arc<str>]>,
    options: Arc<Options>,
}

impl Mutex {
    /// The length that a name and its prefix may have together, in bytes.
    pub const MAX_NAME_LEN: usize = MAX_NAME_LEN;

    pub(crate) const fn new(
        redsync: Redsync,
        names: Arc<[Arc<str>]>,
        options: Arc<Options>,
    ) -> Self {
        Self {
            redsync,
            names,
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

    /// The names, without the prefix: one, but for a mutex of
    /// [several names](Redsync::mutex_many).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
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

    /// Whether every acquisition gets a [fencing token](crate::fence), larger than all before it. For
    /// exclusive locks. False by default.
    ///
    /// It costs a script where there is a plain command otherwise, a second round (with a time limit of
    /// its own) when the nodes' counters differ, and a key per name that stays for a day.
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|options| options.fencing = fencing)
    }

    /// Exclusive (the default) or shared: see [`shared`](Self::shared).
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        self.set(|options| options.mode = mode)
    }

    /// The same mutex, locked in shared mode: any number of shared holders, or one exclusive.
    ///
    /// Each shared holder has its own guard, expiry and renewal. An exclusive lock that finds shared
    /// holders keeps new ones out for half a second, again with each try: so it comes in when those
    /// who are in have left, however many others come. (With pauses between tries of more than that,
    /// it can starve.)
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let catalog = redsync.mutex("catalog");
    /// let one = catalog.read().await?;
    /// let another = catalog.read().await?;
    /// assert!(catalog.try_lock().await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A go-redsync client sees a shared lock as taken. Shared locks have no
    /// [fencing tokens](crate::fence).
    #[must_use]
    pub fn shared(&self) -> Self {
        self.clone().with_mode(Mode::Shared).with_fencing(false)
    }

    /// Locks in [shared](Self::shared) mode: `shared().lock()`.
    ///
    /// # Errors, cancel safety, panics
    ///
    /// As [`lock`](Self::lock).
    pub fn read(&self) -> Lock {
        self.shared().lock()
    }

    /// How long a lock may be held altogether, from the beginning of its acquisition: then it is
    /// lost, however often it is extended. A lock that is resumed begins anew. No such limit by default.
    #[must_use]
    pub fn with_max_hold(self, limit: Duration) -> Self {
        self.set(|options| options.max_hold = Some(limit))
    }

    pub(crate) fn is_covered_by(&self, claim: &Claim) -> bool {
        let held = claim.terms();
        let modes = held.mode == Mode::Exclusive || self.options.mode == Mode::Shared;
        let names = |wanted: &Wanted| wanted.names.iter().all(|name| held.names.contains(name));
        modes && claim.is_on(&self.redsync) && self.wanted().is_ok_and(|wanted| names(&wanted))
    }

    /// Checks the names and the options, as every way to lock does first.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that says what cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.wanted().map(drop)
    }

    fn wanted(&self) -> Result<Wanted, ConfigError> {
        self.options.check()?;
        let mut names = Vec::with_capacity(self.names.len());
        for name in self.names.iter() {
            names.push(self.options.key(name)?);
        }
        let label = match &names[..] {
            [] => return Err(ConfigError::NoNames),
            [name] => Arc::clone(name),
            names => names.join(", ").into(),
        };
        Ok(Wanted {
            redsync: self.redsync.clone(),
            label,
            names: names.into(),
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
        let Resume {
            value,
            token,
            terms,
        } = parts.into();
        let wanted = self.wanted()?;
        if value.as_str().is_empty() {
            return Err(LockError::Value("an owner value is not empty".into()));
        }
        if terms.is_some_and(|(names, mode)| *names != *wanted.names || mode != self.options.mode) {
            return Err(ConfigError::OtherLock { name: wanted.label }.into());
        }
        if let Some(token) = token.filter(|token| *token > FencingToken::MAX) {
            return Err(ConfigError::Option {
                option: "fencing_token",
                must: "one that was granted",
                is: token.to_string().into(),
            }
            .into());
        }
        let claim = Claim::resumed(&wanted, value);
        if let Some(token) = token {
            claim.set_token(token);
        }
        let start = Instant::now();
        let (ours, kept) = mpsc::channel();
        let outcome = claim.inspect(&ours).await;
        match outcome.verdict {
            Verdict::Granted => {
                // For so long all who granted keep it, and they are a majority.
                let kept = kept.try_iter().min().unwrap_or_default();
                let until = claim.capped(claim.options().until_from(start, kept));
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
    pub async fn inspect(&self) -> Result<Vec<Inspected>, ConfigError> {
        let wanted = self.wanted()?;
        Ok(inspect::inspect(&wanted).await)
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

/// A mutex whose name and options have been checked.
pub(crate) struct Wanted {
    pub(crate) redsync: Redsync,
    /// What errors and logs call it.
    pub(crate) label: Arc<str>,
    /// With the prefix, sorted, no two alike.
    pub(crate) names: Arc<[Arc<str>]>,
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
