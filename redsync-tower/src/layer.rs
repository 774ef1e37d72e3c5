//! The layer and its options.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use redsync::{Mutex, Redsync};
use tower_layer::Layer;

use crate::{
    config::{Config, HoldUntil, OnLoss},
    key::LockKey,
    rejection::LockRejection,
    service::Redlock,
};

/// Layer that applies [`Redlock`]: it holds a lock while the inner service handles a request.
///
/// The requests of a layer and its clones count together against
/// [limits](Self::with_max_pending_per_key). The [crate docs](crate) have examples.
#[derive(Clone)]
pub struct RedlockLayer<K> {
    key: K,
    config: Arc<Config>,
}

/// The number of attempts in a row without a quorum after which a request is answered with 503.
/// They take about a second.
const OUTAGE_ATTEMPTS: u32 = 2;

impl<K> RedlockLayer<K> {
    /// Creates a layer that locks the name that `key` finds in a request.
    ///
    /// The nodes, and the defaults for expiry, prefix, time limits and so on, are those of
    /// `redsync`. Only the limit of [attempts in an outage](Self::with_outage_attempts) is the
    /// layer's own.
    ///
    /// By default a request that finds its lock taken is refused at once, with 409 (Conflict). See
    /// [`with_wait`](Self::with_wait).
    ///
    /// ```
    /// use std::time::Duration;
    /// use redsync::Redsync;
    /// use redsync_tower::{RedlockLayer, key};
    ///
    /// // A shorter expiry than elsewhere in the service.
    /// let redsync = Redsync::in_memory(3);
    /// let quick = redsync.with_defaults(|mutex| mutex.with_expiry(Duration::from_secs(2)))?;
    /// let layer = RedlockLayer::new(quick, key::header("idempotency-key"));
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    #[must_use]
    pub fn new(redsync: Redsync, key: K) -> Self {
        let config = Arc::new(Config::new(redsync));
        Self { key, config }.with_outage_attempts(OUTAGE_ATTEMPTS)
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

/// Which requests lock, and which names.
impl<K> RedlockLayer<K> {
    /// Sets which methods lock. Requests with other methods pass.
    ///
    /// By default, the methods that are not safe lock (RFC 9110, section 9.2.1): all but GET, HEAD,
    /// OPTIONS and TRACE.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_methods(|method| method == http::Method::POST);
    /// ```
    #[must_use]
    pub fn with_methods(self, methods: impl Fn(&Method) -> bool + Send + Sync + 'static) -> Self {
        self.set(|config| config.locking.methods = Some(Arc::new(methods)))
    }

    /// Sets whether requests with safe methods lock in shared mode, so that reads run side by side
    /// and writes run alone. False by default.
    ///
    /// GET and HEAD requests then lock too, and only OPTIONS and TRACE pass, unless
    /// [`with_methods`](Self::with_methods) says otherwise. Other requests lock in the mode that
    /// their key has. See [`Mutex::shared`](redsync::Mutex::shared).
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// # use axum::{Router, routing::get};
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let catalog = RedlockLayer::new(redsync, key::path("catalog:{shop}")).with_shared_reads(true);
    ///
    /// let app: Router = Router::new().route(
    ///     "/shops/{shop}/catalog",
    ///     get(async || "many read").put(async || "one writes").route_layer(catalog),
    /// );
    /// # }
    /// ```
    #[must_use]
    pub fn with_shared_reads(self, shared: bool) -> Self {
        self.set(|config| config.locking.shared_reads = shared)
    }

    /// Sets a prefix for all names, such as `orders:`. Empty by default.
    ///
    /// A [prefix of the mutex](redsync::Mutex::with_key_prefix) comes before it.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // Locks `billing:account:7` for a request with the header `account: 7`.
    /// let layer = RedlockLayer::new(redsync, key::header("account")).with_prefix("billing:");
    /// ```
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|config| config.locking.naming.prefix = prefix.into())
    }

    /// Sets whether names are replaced by their SHA-256, for names that contain personal data.
    /// False by default.
    ///
    /// Neither the nodes nor logs and errors, of this crate or the core, then contain the name. The
    /// hash is a pseudonym and not a secret: it can be computed for a guessed name. The layer's
    /// prefix stays readable.
    ///
    /// Other programs that lock the same name must hash it in the same way.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // Locks `user:#sha256:` and 64 hexadecimal digits.
    /// let layer = RedlockLayer::new(redsync, key::header("x-email"))
    ///     .with_prefix("user:")
    ///     .with_hashed_names(true);
    /// ```
    #[must_use]
    pub fn with_hashed_names(self, hashed: bool) -> Self {
        self.set(|config| config.locking.naming.hashed = hashed)
    }

    /// Sets whether each exclusive lock has a [fencing token](redsync::fence). False by default.
    ///
    /// The handler reads it with
    /// [`HeldLock::fencing_token`](crate::HeldLock::fencing_token) and passes it to the resource,
    /// which refuses a token that is smaller than the largest it has seen. So a process that was
    /// paused, and continues after its lock has expired, cannot overwrite newer data.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// # use axum::{Router, extract::Path, http::StatusCode, routing::put};
    /// # use redsync::{FencingToken, Redsync};
    /// # use redsync_tower::{HeldLock, RedlockLayer, key};
    /// # async fn save(_: u64, _: Option<FencingToken>) {}
    /// # let redsync = Redsync::in_memory(3);
    /// let key = key::from_extractor(|Path(id): Path<u64>| format!("order:{id}"));
    /// let lock = RedlockLayer::new(redsync, key).with_fencing(true);
    ///
    /// async fn update(lock: HeldLock, Path(id): Path<u64>) -> StatusCode {
    ///     // UPDATE orders SET .., token = $token WHERE id = $id AND token <= $token
    ///     save(id, lock.fencing_token()).await;
    ///     StatusCode::NO_CONTENT
    /// }
    /// let app: Router = Router::new().route("/orders/{id}", put(update).route_layer(lock));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `fencing` is true and the defaults of the [`Redsync`] make locks shared.
    #[must_use]
    pub fn with_fencing(self, fencing: bool) -> Self {
        self.set(|config| {
            let change = |mutex: Mutex| mutex.with_fencing(fencing);
            config
                .locking
                .change_defaults(change, "fencing is for exclusive locks");
        })
    }
}

/// For code that locks by hand.
impl<K> RedlockLayer<K> {
    /// Returns the mutex that the layer locks for a request with that key, for code that locks by
    /// hand what requests lock, such as a nightly job.
    ///
    /// It has the layer's nodes, the defaults of its [`Redsync`], and the
    /// [name on the nodes](crate::key#names-on-the-nodes). It is exclusive unless the key is
    /// [shared](LockKey::shared).
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// # use axum::{Router, routing::put};
    /// # use redsync::{Guard, Redsync};
    /// # use redsync_tower::{RedlockLayer, key};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = Redsync::in_memory(3);
    /// let key = key::path("user:{email}");
    /// let lock = RedlockLayer::new(redsync, key.clone()).with_prefix("shop:");
    /// let app: Router = Router::new()
    ///     .route("/users/{email}", put(async || "updated").route_layer(lock.clone()));
    ///
    /// // What `PUT /users/ann@example.com` locks:
    /// let ann = lock.mutex(key.name([("email", "ann@example.com")])?);
    /// let guard = ann.lock().await?;
    /// assert_eq!(guard.name(), "shop:user:ann%40example.com");
    /// # Ok(())
    /// # }
    /// # main().unwrap();
    /// # }
    /// ```
    #[must_use]
    pub fn mutex(&self, key: impl Into<LockKey>) -> Mutex {
        self.config.locking.mutex(&key.into())
    }
}

/// How long a request waits for its lock.
impl<K> RedlockLayer<K> {
    /// Sets how long a request waits for its lock. Zero by default: a request that finds its lock
    /// taken is refused at once, with 409 (Conflict).
    ///
    /// A request that has waited up to the limit is refused with 423 (Locked). Waiters within the
    /// process are served first come, first served.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_wait(Duration::from_secs(2))
    ///     .with_max_pending_per_key(20)
    ///     .with_max_pending_total(1000);
    /// ```
    #[must_use]
    pub fn with_wait(self, limit: Duration) -> Self {
        self.set(|config| config.waiting.limit = Some(limit))
    }

    /// Lets the client choose how long its request waits, up to `max`. Off by default.
    ///
    /// The client sends `Prefer: wait=N`, in seconds (RFC 7240, section 4.3). For such a request, N
    /// or `max`, whichever is less, replaces the limit of [`with_wait`](Self::with_wait), and the
    /// response has `Preference-Applied: wait=N` with that limit, cut to whole seconds. The header
    /// is left out if the limit is between zero and one second.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // 2 s, or as the client prefers, but at most 10 s.
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_wait(Duration::from_secs(2))
    ///     .with_preferred_wait(Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn with_preferred_wait(self, max: Duration) -> Self {
        self.set(|config| config.waiting.max_preferred = Some(max))
    }

    /// Limits how many requests for one key may be pending. No limit by default.
    ///
    /// A request is pending from the time it asks for its lock until it holds the lock or is
    /// refused. A request beyond the limit is refused at once, with 423 (Locked). The layer and its
    /// clones count together; other instances of the service count their own.
    ///
    /// The limit includes requests that find the lock free, so a limit of zero refuses all
    /// requests. [`Mutex::with_max_waiting`](redsync::Mutex::with_max_waiting) is another limit: it
    /// applies to waiters only, whichever part of the process they come from.
    #[must_use]
    pub fn with_max_pending_per_key(self, limit: usize) -> Self {
        self.set(|config| config.waiting.pending.per_key = Some(limit))
    }

    /// Limits how many requests may be pending for all keys together. No limit by default.
    ///
    /// See [`with_max_pending_per_key`](Self::with_max_pending_per_key).
    #[must_use]
    pub fn with_max_pending_total(self, limit: usize) -> Self {
        self.set(|config| config.waiting.pending.total = Some(limit))
    }

    /// Sets a limit for outages: a request is refused with 503 after this many attempts in a row
    /// that found no quorum of nodes, however long it [may wait](Self::with_wait). The default is
    /// 2, which takes about a second.
    ///
    /// # Panics
    ///
    /// Panics if `attempts` is zero.
    #[must_use]
    pub fn with_outage_attempts(self, attempts: u32) -> Self {
        self.set(|config| {
            let change = |mutex: Mutex| mutex.with_outage_attempts(attempts);
            config
                .locking
                .change_defaults(change, "at least one attempt");
        })
    }

    /// Sets whether requests pass without their lock if too few nodes answer, or if they answer too
    /// late, instead of being refused with 503 or 504. False by default.
    ///
    /// Each request that passes in this way causes a warning event, and has a
    /// [`NotLocked`](crate::NotLocked) in its extensions.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::{Extension, Router, routing::post};
    /// # use redsync::Redsync;
    /// use redsync_tower::{NotLocked, RedlockLayer, key};
    ///
    /// async fn report(not_locked: Option<Extension<NotLocked>>) -> &'static str {
    ///     if not_locked.is_some() { "other requests may be running" } else { "running alone" }
    /// }
    ///
    /// # let redsync = Redsync::in_memory(3);
    /// let lock = RedlockLayer::new(redsync, key::path("report:{id}")).with_fail_open(true);
    /// let app: Router = Router::new().route("/reports/{id}", post(report).route_layer(lock));
    /// # }
    /// ```
    #[must_use]
    pub fn with_fail_open(self, fail_open: bool) -> Self {
        self.set(|config| config.waiting.fail_open = fail_open)
    }
}

/// How long the lock is held.
impl<K> RedlockLayer<K> {
    /// Sets when the lock is released: with the [response](HoldUntil::Response), which is the
    /// default, or at the [end of its body](HoldUntil::BodyEnd).
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// # use axum::{Router, body::Body, routing::post};
    /// # use redsync::Redsync;
    /// # use redsync_tower::{HoldUntil, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let lock = RedlockLayer::new(redsync, key::path("export:{id}"))
    ///     .with_hold_until(HoldUntil::BodyEnd);
    ///
    /// async fn export() -> Body {
    ///     // ... a stream that does its work while it is sent ...
    ///     # Body::empty()
    /// }
    /// let app: Router = Router::new().route("/exports/{id}", post(export).route_layer(lock));
    /// # }
    /// ```
    #[must_use]
    pub fn with_hold_until(self, until: HoldUntil) -> Self {
        self.set(|config| config.holding.until = until)
    }

    /// Sets whether the lock is extended in the background while it is held, so that a handler may
    /// take longer than the expiry. True by default.
    ///
    /// On a runtime with several threads, a handler may block its thread meanwhile. On a runtime with one
    /// thread, nothing else runs then, so blocking work belongs in [`tokio::task::spawn_blocking`]. See
    /// [`Guard::keep_alive`](redsync::Guard::keep_alive).
    ///
    /// [`Mutex::with_max_hold`](redsync::Mutex::with_max_hold) limits how long a lock can be held
    /// this way:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// let redsync = Redsync::in_memory(3)
    ///     .with_defaults(|mutex| mutex.with_max_hold(Duration::from_secs(60)))?;
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"));
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: bool) -> Self {
        self.set(|config| config.holding.keep_alive = keep_alive)
    }

    /// Sets what happens to a request whose lock is lost: it is [aborted](OnLoss::Abort), which is
    /// the default, or [finishes](OnLoss::Finish).
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{OnLoss, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // The handler must not be stopped halfway. It checks `HeldLock::is_lost` itself.
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_on_loss(OnLoss::Finish);
    /// ```
    #[must_use]
    pub fn with_on_loss(self, on_loss: OnLoss) -> Self {
        self.set(|config| config.holding.on_loss = on_loss)
    }
}

/// How the layer answers a request that does not acquire its lock, or loses it. See
/// [`response`](crate::response).
impl<K> RedlockLayer<K> {
    /// Sets one status for contention, in place of 409 and 423.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_contention_status(StatusCode::CONFLICT);
    /// ```
    #[must_use]
    pub fn with_contention_status(self, status: StatusCode) -> Self {
        self.set(|config| config.responses.contention_status = Some(status))
    }

    /// Sets the start of the problem types, in place of `urn:redsync:problem:`.
    ///
    /// RFC 9457, section 3.1.1, recommends URLs that lead to a description of the problem.
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
        self.set(|config| config.responses.problem_types = Some(prefix.into()))
    }

    /// Sets the function that makes all responses of the layer, including those to gRPC requests.
    ///
    /// The default is [`response::problem`](crate::response::problem), or `response::grpc` for gRPC
    /// requests.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{LockRejection, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("idempotency-key"))
    ///     .with_response(|rejection: &LockRejection| {
    ///         http::Response::builder()
    ///             .status(rejection.status())
    ///             .body(format!("{rejection}\n"))
    ///             .expect("a valid response")
    ///     });
    /// ```
    #[must_use]
    pub fn with_response<T: Into<Bytes>>(
        self,
        response: impl Fn(&LockRejection) -> Response<T> + Send + Sync + 'static,
    ) -> Self {
        self.set(|config| {
            config.responses.response = Some(Arc::new(move |rejection| {
                response(rejection).map(Into::into)
            }));
        })
    }
}

impl<S, K: Clone> Layer<S> for RedlockLayer<K> {
    type Service = Redlock<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Redlock::new(inner, self.key.clone(), Arc::clone(&self.config))
    }
}

impl<K> fmt::Debug for RedlockLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedlockLayer")
            .field("key", &format_args!("{}", std::any::type_name::<K>()))
            .field("config", &self.config)
            .finish()
    }
}
