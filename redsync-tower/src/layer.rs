use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use redsync::{DrainDelay, Lock, Mutex, Redsync};
use tower_layer::Layer;

use crate::{
    LockKey, LockRejection, Redlock,
    errand::Form,
    metrics, prefer,
    waiting::{Place, Waiting},
};

/// Layer that holds a lock for as long as the inner service works on a request: applies
/// [`Redlock`].
///
/// See the [crate docs](crate) for examples.
#[derive(Clone)]
pub struct RedlockLayer<K> {
    pub(crate) key: K,
    pub(crate) config: Arc<Config>,
}

#[derive(Clone)]
pub(crate) struct Config {
    redsync: Redsync,
    prefix: Arc<str>,
    hashed_names: bool,
    wait: Option<Duration>,
    max_preferred_wait: Option<Duration>,
    waiting: Waiting,
    methods: Option<Arc<dyn Fn(&Method) -> bool + Send + Sync>>,
    shared_reads: bool,
    contention_status: Option<StatusCode>,
    problem_types: Option<Arc<str>>,
    response: Option<Arc<dyn Fn(&LockRejection) -> Response<Bytes> + Send + Sync>>,
    pub(crate) keep_alive: bool,
    pub(crate) on_loss: OnLoss,
    pub(crate) hold: Hold,
    pub(crate) fail_open: bool,
}

/// For how long a lock is held. See [`RedlockLayer::with_hold`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hold {
    /// Until the inner service has answered. The release is waited for before the response goes out.
    #[default]
    UntilResponse,
    /// Until the response's body has ended, failed or been dropped, for a response that is worked on
    /// while it is sent. The lock is then released in the background.
    ///
    /// If the lock is lost meanwhile, whatever [`OnLoss`] says, the body goes on, and an event says so:
    /// a response that has begun cannot be taken back.
    UntilBodyEnd,
}

/// What becomes of a request whose lock is lost while the inner service works on it. See
/// [`RedlockLayer::with_on_loss`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLoss {
    /// The inner service's future is dropped, and the answer is 500: what it has done is unknown.
    #[default]
    Abort,
    /// The inner service goes on. Its response carries a [`LockRejection`] in its extensions.
    Finish,
}

impl<K> RedlockLayer<K> {
    /// A layer that locks the name `key` finds in a request, on the nodes and with the defaults of
    /// `redsync`, but for [`with_outage_tries`](Self::with_outage_tries).
    ///
    /// It refuses at once what is locked already; see [`with_wait`](Self::with_wait). For another
    /// expiry, prefix or node time limit than the service has elsewhere:
    ///
    /// ```
    /// use std::time::Duration;
    /// use redsync::Redsync;
    /// use redsync_tower::{RedlockLayer, key};
    ///
    /// let redsync = Redsync::in_memory(3);
    /// let quick = redsync.with_defaults(|mutex| mutex.with_expiry(Duration::from_secs(2)))?;
    /// let layer = RedlockLayer::new(quick, key::header("idempotency-key"));
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(redsync: Redsync, key: K) -> Self {
        metrics::describe();
        Self {
            key,
            config: Arc::new(Config {
                redsync: outage_tries(redsync, 2),
                prefix: "".into(),
                hashed_names: false,
                wait: None,
                max_preferred_wait: None,
                waiting: Waiting::default(),
                methods: None,
                shared_reads: false,
                contention_status: None,
                problem_types: None,
                response: None,
                keep_alive: true,
                on_loss: OnLoss::default(),
                hold: Hold::default(),
                fail_open: false,
            }),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Waits for a lock that is held by another, up to the given time, before it refuses: with 423
    /// (Locked) rather than 409 (Conflict).
    #[must_use]
    pub fn with_wait(self, limit: Duration) -> Self {
        self.set(|config| config.wait = Some(limit))
    }

    /// Waits for as long as the client prefers by `Prefer: wait=N` (seconds; RFC 7240), up to the given
    /// time, instead of [`with_wait`](Self::with_wait). The response then says
    /// `Preference-Applied: wait=N`, in the whole seconds that were waited at the most; not if that
    /// limit is below a second. Off by default.
    #[must_use]
    pub fn with_preferred_wait(self, max: Duration) -> Self {
        self.set(|config| config.max_preferred_wait = Some(max))
    }

    /// How many requests may be on their way to the lock of one key, in this layer and its clones: from
    /// when they ask for it until they have it. Another one is refused at once, as if it had waited. No
    /// limit by default.
    #[must_use]
    pub fn with_max_waiting(self, per_key: usize) -> Self {
        self.set(|config| config.waiting.per_key = Some(per_key))
    }

    /// How many requests may be on their way to their locks in all, in this layer and its clones. No
    /// limit by default.
    #[must_use]
    pub fn with_max_waiting_in_all(self, in_all: usize) -> Self {
        self.set(|config| config.waiting.in_all = Some(in_all))
    }

    /// What is put before each name, such as `orders:`. Nothing by default. (A prefix of
    /// [the mutex](redsync::Mutex::with_key_prefix) comes before that.)
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|config| config.prefix = prefix.into())
    }

    /// Whether a SHA-256 stands in for each name, for keys with personal data in them: neither the
    /// nodes nor logs and errors, here or in the core, then have the name itself. (It is a pseudonym,
    /// and no secret: who can guess a name can tell its hash.) The layer's prefix, before it, stays
    /// readable. False by default.
    ///
    /// Whoever else locks that name has to do the same.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // Locks `user:#sha256:`, and 64 digits.
    /// let layer = RedlockLayer::new(redsync, key::header("x-email"))
    ///     .with_prefix("user:")
    ///     .with_hashed_names(true);
    /// ```
    #[must_use]
    pub fn with_hashed_names(self, hashed: bool) -> Self {
        self.set(|config| config.hashed_names = hashed)
    }

    /// Whether each lock has a [fencing token](redsync::fence), which the handler gets from
    /// [`HeldLock::fencing_token`](crate::HeldLock::fencing_token). For exclusive locks. False by
    /// default.
    ///
    /// # Panics
    ///
    /// If the defaults of the [`Redsync`] say that locks are shared.
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|config| {
            let redsync = config.redsync.clone();
            config.redsync = redsync
                .with_defaults(|mutex| mutex.with_fencing(fencing))
                .expect("fencing is for exclusive locks");
        })
    }

    /// Lets requests pass without a lock when too few nodes can be reached, rather than answer 503.
    /// There is a warning event for each, and a [`NotLocked`](crate::NotLocked) in the request's
    /// extensions. False by default.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::{Extension, Router, routing::post};
    /// # use redsync::Redsync;
    /// use redsync_tower::{NotLocked, RedlockLayer, key};
    ///
    /// async fn report(not_locked: Option<Extension<NotLocked>>) -> &'static str {
    ///     if not_locked.is_some() { "perhaps not alone" } else { "alone" }
    /// }
    ///
    /// # let redsync = Redsync::in_memory(3);
    /// let lock = RedlockLayer::new(redsync, key::path("report:{id}")).with_fail_open(true);
    /// let app: Router = Router::new().route("/reports/{id}", post(report).route_layer(lock));
    /// # }
    /// ```
    #[must_use]
    pub fn with_fail_open(self, fail_open: bool) -> Self {
        self.set(|config| config.fail_open = fail_open)
    }

    /// For how long the lock is held: until the response, by default, or until the end of its body.
    #[must_use]
    pub fn with_hold(self, hold: Hold) -> Self {
        self.set(|config| config.hold = hold)
    }

    /// Gives up after so many tries in a row that found no quorum of nodes, however long the
    /// [wait](Self::with_wait): 2 by default, so that an outage is answered within
    /// about a second.
    ///
    /// # Panics
    ///
    /// If `tries` is zero.
    #[must_use]
    pub fn with_outage_tries(self, tries: u32) -> Self {
        self.set(|config| config.redsync = outage_tries(config.redsync.clone(), tries))
    }

    /// Which methods lock. Others pass. By default those that are not safe (RFC 9110, section
    /// 9.2.1): all but GET, HEAD, OPTIONS and TRACE.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_methods(|method| method == http::Method::POST);
    /// ```
    #[must_use]
    pub fn with_methods(self, lock: impl Fn(&Method) -> bool + Send + Sync + 'static) -> Self {
        self.set(|config| config.methods = Some(Arc::new(lock)))
    }

    /// Locks shared for safe methods, and as the key says for others: reads side by side, and writes
    /// alone. Only OPTIONS and TRACE pass then, unless [`with_methods`](Self::with_methods) says
    /// otherwise. See [`Mutex::shared`](redsync::Mutex::shared).
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::extension(|id: &u64| format!("report:{id}")))
    ///     .with_shared_reads(true);
    /// ```
    #[must_use]
    pub fn with_shared_reads(self, shared: bool) -> Self {
        self.set(|config| config.shared_reads = shared)
    }

    /// The status for contention, whether it was waited or not, in place of 409 and 423.
    #[must_use]
    pub fn with_contention_status(self, status: StatusCode) -> Self {
        self.set(|config| config.contention_status = Some(status))
    }

    /// Makes the responses to requests that are refused or whose lock was lost, in place of
    /// [`LockRejection::to_response`] (and of what gRPC requests are answered).
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{LockRejection, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_response(|rejection: &LockRejection| {
    ///         // As it would be, with another body.
    ///         rejection.to_response().map(|_| format!("{rejection}\n"))
    ///     });
    /// ```
    #[must_use]
    pub fn with_response<T: Into<Bytes>>(
        self,
        response: impl Fn(&LockRejection) -> Response<T> + Send + Sync + 'static,
    ) -> Self {
        self.set(|config| {
            config.response = Some(Arc::new(move |rejection| {
                response(rejection).map(Into::into)
            }));
        })
    }

    /// What the `type` of a problem begins with, in place of `urn:redsync:problem:`, such as a page of
    /// yours that explains them (RFC 9457 advises URLs that can be opened).
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // "type": "https://api.example.com/problems#timed-out"
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_problem_types("https://api.example.com/problems#");
    /// ```
    #[must_use]
    pub fn with_problem_types(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|config| config.problem_types = Some(prefix.into()))
    }

    /// Whether the lock is extended while the inner service works, so that it may take longer
    /// than the expiry. True by default.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: bool) -> Self {
        self.set(|config| config.keep_alive = keep_alive)
    }

    /// What becomes of a request whose lock is lost: [aborted](OnLoss::Abort) by default.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{OnLoss, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // What is begun has to be finished, and the handler has `HeldLock::is_lost` to look at.
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_on_loss(OnLoss::Finish);
    /// ```
    #[must_use]
    pub fn with_on_loss(self, on_loss: OnLoss) -> Self {
        self.set(|config| config.on_loss = on_loss)
    }
}

fn outage_tries(redsync: Redsync, tries: u32) -> Redsync {
    redsync
        .with_defaults(|mutex| mutex.with_outage_tries(tries))
        .expect("the other defaults have been checked")
}

impl Config {
    pub(crate) fn locks(&self, method: &Method) -> bool {
        match &self.methods {
            Some(locks) => locks(method),
            None if self.shared_reads => !matches!(*method, Method::OPTIONS | Method::TRACE),
            None => !method.is_safe(),
        }
    }

    /// The mutex of a key, for a request of that method.
    pub(crate) fn mutex(&self, key: &LockKey, method: &Method) -> Mutex {
        let mutex = key.mutex(&self.redsync, &self.prefix, self.hashed_names);
        if self.shared_reads && method.is_safe() {
            mutex.shared()
        } else {
            mutex
        }
    }

    /// How long the client prefers to wait, where it has a say.
    pub(crate) fn preferred_wait(&self, headers: &HeaderMap) -> Option<Duration> {
        let max = self.max_preferred_wait?;
        prefer::wait(headers).map(|wait| wait.min(max))
    }

    pub(crate) fn lock(&self, mutex: &Mutex, preferred_wait: Option<Duration>) -> Lock {
        match preferred_wait.or(self.wait) {
            Some(limit) if !limit.is_zero() => mutex.lock_within(limit),
            _ => mutex.try_lock(),
        }
    }

    pub(crate) fn delay_drain(&self) -> DrainDelay {
        self.redsync.delay_drain()
    }

    pub(crate) fn enter(&self, key: &LockKey) -> Option<Place> {
        self.waiting.enter(key)
    }

    /// The response to a request that is refused, with the rejection in its extensions.
    pub(crate) fn refuse(&self, mut rejection: LockRejection, form: Form) -> Response<Bytes> {
        if let Some(status) = self.contention_status {
            rejection.set_contention_status(status);
        }
        rejection.set_problem_types(self.problem_types.as_ref());
        let mut response = match &self.response {
            Some(response) => response(&rejection),
            None => form(&rejection),
        };
        response.extensions_mut().insert(rejection);
        response
    }
}

impl<S, K: Clone> Layer<S> for RedlockLayer<K> {
    type Service = Redlock<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Redlock::new(inner, self.clone())
    }
}

impl<K> fmt::Debug for RedlockLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        f.debug_struct("RedlockLayer")
            .field("key", &format_args!("{}", std::any::type_name::<K>()))
            .field("redsync", &config.redsync)
            .field("prefix", &config.prefix)
            .field("hashed_names", &config.hashed_names)
            .field("wait", &config.wait)
            .field("max_preferred_wait", &config.max_preferred_wait)
            .field("waiting", &config.waiting)
            .field("shared_reads", &config.shared_reads)
            .field("contention_status", &config.contention_status)
            .field("problem_types", &config.problem_types)
            .field("keep_alive", &config.keep_alive)
            .field("on_loss", &config.on_loss)
            .field("hold", &config.hold)
            .field("fail_open", &config.fail_open)
            .finish_non_exhaustive()
    }
}
