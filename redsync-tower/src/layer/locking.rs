//! The options for which requests lock, and which names.

use std::sync::Arc;

use http::Method;

use super::RedlockLayer;

/// Which requests lock, and which names.
impl<K> RedlockLayer<K> {
    /// Sets which methods lock. Requests with other methods pass.
    ///
    /// By default, the methods that are not safe lock (RFC 9110, section 9.2.1): all but GET, HEAD,
    /// OPTIONS and TRACE. A request for a WebSocket locks too, although it is a GET (see
    /// [WebSockets](crate#websockets)); with a function of your own, the method alone decides.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
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
    /// [`with_methods`](Self::with_methods) says otherwise. Other requests, and those for a
    /// WebSocket, lock in the mode that their key has. See
    /// [`Mutex::shared`](redsync::Mutex::shared).
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
    ///
    /// # Panics
    ///
    /// Panics if `shared` is true and there is more than one [permit](Self::with_permits).
    #[must_use]
    #[track_caller]
    pub fn with_shared_reads(mut self, shared: bool) -> Self {
        self.locking_mut().set_shared_reads(shared);
        self
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

    /// Sets how many requests for one key are handled at the same time, by all instances of the
    /// service together. 1 by default; at most [`Mutex::MAX_PERMITS`](redsync::Mutex::MAX_PERMITS).
    ///
    /// `tower::limit::ConcurrencyLimit` limits all requests of one process; this limits the
    /// requests for each key in all processes. Each request holds one permit of a
    /// [semaphore](redsync::Redsync::semaphore), whose docs say what this costs.
    ///
    /// A request that finds all permits taken is refused with 409, or waits as
    /// [`with_wait`](Self::with_wait) says and is then refused with 423. A limit like this is
    /// usually answered with 429 (Too Many Requests):
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // Three exports for each account at the same time.
    /// let layer = RedlockLayer::new(redsync, key::header("x-account"))
    ///     .with_prefix("export:")
    ///     .with_permits(3)
    ///     .with_contention_status(StatusCode::TOO_MANY_REQUESTS);
    /// ```
    ///
    /// A key with several names, or one that is [shared](crate::key::LockKey::shared), has no
    /// permits: such a request is answered with 500, and an error event says why.
    ///
    /// # Panics
    ///
    /// Panics if `permits` is zero or more than
    /// [`Mutex::MAX_PERMITS`](redsync::Mutex::MAX_PERMITS), or if it is more than one together with
    /// [fencing](Self::with_fencing) or [shared reads](Self::with_shared_reads).
    #[doc(alias("semaphore", "concurrency_limit"))]
    #[must_use]
    #[track_caller]
    pub fn with_permits(self, permits: usize) -> Self {
        let valid = "permits that locks can have";
        self.set_default(|mutex| mutex.with_permits(permits), valid)
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
    /// Panics if `fencing` is true and the defaults of the [`Redsync`](redsync::Redsync) make locks
    /// shared, or if there is more than one [permit](Self::with_permits).
    #[must_use]
    #[track_caller]
    pub fn with_fencing(self, fencing: bool) -> Self {
        let valid = "fencing is for exclusive locks with one permit";
        self.set_default(|mutex| mutex.with_fencing(fencing), valid)
    }
}
