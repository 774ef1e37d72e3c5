//! The options for how long a request waits for its lock.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::RedlockLayer;
use crate::key::{BodyFirst, BufferedBody};

/// How long a request waits for its lock.
impl<K> RedlockLayer<K> {
    /// Sets how long a request waits for its lock. Zero by default: a request that finds its lock
    /// taken is refused at once, with 409 (Conflict).
    ///
    /// A request that has waited for that long is refused with 423 (Locked). Waiters within the
    /// process are served first come, first served.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_wait(Duration::from_secs(2))
    ///     .with_max_pending_per_key(20)
    ///     .with_max_pending_total(1000);
    /// ```
    #[doc(alias = "timeout")]
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
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
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
    #[track_caller]
    pub fn with_outage_attempts(self, attempts: u32) -> Self {
        let valid = "at least one attempt";
        self.set_default(|mutex| mutex.with_outage_attempts(attempts), valid)
    }

    /// Sends away the requests that wait for their locks, when the service begins to shut down and
    /// the token is cancelled. A graceful shutdown then takes as long as the handlers that run, and
    /// not as long as those that would come after them.
    ///
    /// They are answered with 503 (Service Unavailable) and `Retry-After`, so that their clients
    /// come back to another instance. From then on, a request whose lock is free still gets it, and
    /// one that would have to wait is refused in the same way. Requests that hold their locks are
    /// not affected. Requests that may not wait, by [`with_wait`](Self::with_wait) or
    /// [`with_preferred_wait`](Self::with_preferred_wait), are answered as before.
    ///
    /// The token is that of the crate `tokio-util`, which need not be a dependency of the service:
    /// `redsync_tower::redsync` re-exports it. Several layers can share one.
    /// [`Redsync::drain`](redsync::Redsync::drain) then waits for what is released in the
    /// background:
    ///
    /// ```no_run
    /// # #[cfg(feature = "axum")] {
    /// # use std::time::Duration;
    /// # use axum::{Router, routing::put};
    /// # use redsync_tower::{RedlockLayer, key};
    /// use redsync_tower::redsync::{CancellationToken, Redsync};
    ///
    /// # async fn serve(redsync: Redsync, signal: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    /// let shutdown = CancellationToken::new();
    /// let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"))
    ///     .with_wait(Duration::from_secs(10))
    ///     .with_shutdown(shutdown.clone());
    /// let app = Router::new()
    ///     .route("/orders/{id}", put(async || "updated").route_layer(lock));
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app)
    ///     .with_graceful_shutdown(async move {
    ///         signal.await;
    ///         shutdown.cancel();
    ///     })
    ///     .await?;
    /// redsync.drain().await;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    #[doc(alias = "graceful_shutdown")]
    #[must_use]
    pub fn with_shutdown(self, token: CancellationToken) -> Self {
        self.set(|config| config.waiting.shutdown = Some(token))
    }

    /// Sets how long a request waits for the answer of each node, whenever it asks them. By default
    /// it is that of the [`Redsync`](redsync::Redsync).
    ///
    /// A node that hangs costs nothing visible, because the others are a majority. If a majority
    /// hangs, the limit is what each [attempt](Self::with_outage_attempts) takes. See
    /// [`Mutex::with_node_timeout`](redsync::Mutex::with_node_timeout).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_node_timeout(Duration::from_millis(150));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if no lock could have that limit, as with zero.
    #[must_use]
    #[track_caller]
    pub fn with_node_timeout(self, limit: Duration) -> Self {
        let valid = "a time limit that a node can have";
        self.set_default(|mutex| mutex.with_node_timeout(limit), valid)
    }

    /// Sets whether requests pass without their lock if too few nodes answer, or if they answer too
    /// late, instead of being refused with 503 or 504. False by default.
    ///
    /// Each request that passes in this way causes a warning event, and has a
    /// [`NotLocked`](crate::NotLocked) in its extensions. It has no [`HeldLock`](crate::HeldLock),
    /// so the handler extracts `Option<HeldLock>`: the plain extractor would answer with 500.
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

    /// Reads the request body before the lock is acquired, so that a client that is slow to send it
    /// does not hold a lock meanwhile, and a client that leaves before its end never locks.
    ///
    /// `make_body` turns what was read into the body of the request. Most body types have such a
    /// function, named `new`, as `axum::body::Body` does. The inner service gets the whole body,
    /// with its trailers, and with a known length. A body that is empty is left as it is.
    ///
    /// A body of more than `limit` bytes is refused with 413 (Content Too Large): at once if its
    /// `Content-Length` is greater, and otherwise when it has become too long. A body that cannot
    /// be read is refused with 400. Requests that do not lock are not read.
    ///
    /// A request whose body is being read counts for no limit of pending requests, and is not sent
    /// away at a shutdown. So against slow clients, an outer layer has to limit how long a body may
    /// take, such as `RequestBodyDeadlineLayer` of tower-http. A request whose body goes on while
    /// it is answered, such as a streaming gRPC call, cannot be read first.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use axum::{
    ///     Router,
    ///     body::{Body, Bytes},
    ///     routing::put,
    /// };
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let lock = RedlockLayer::new(redsync, key::path("order:{id}"))
    ///     .with_body_first(64 * 1024, Body::new);
    ///
    /// let update = async |order: Bytes| format!("updated to {order:?}");
    /// let app: Router = Router::new().route("/orders/{id}", put(update).route_layer(lock));
    /// # }
    /// ```
    #[must_use]
    pub fn with_body_first<F, B>(self, limit: usize, make_body: F) -> RedlockLayer<BodyFirst<K, F>>
    where
        F: Fn(BufferedBody) -> B + Clone,
    {
        RedlockLayer {
            key: BodyFirst::new(self.key, limit, make_body),
            common: self.common,
        }
    }
}
