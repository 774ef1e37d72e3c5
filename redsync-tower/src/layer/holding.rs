//! The options for how long the lock is held.

use std::time::Duration;

use super::RedlockLayer;
use crate::config::{HoldUntil, OnLoss};

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

    /// Sets the expiry: how long a node keeps the key if nobody extends or releases it. By default
    /// it is that of the [`Redsync`](redsync::Redsync).
    ///
    /// With [keep-alive](Self::with_keep_alive) it does not limit how long a handler may take. It
    /// is how long other requests wait after a process has crashed, or can no longer reach the
    /// nodes. See [`Mutex::with_expiry`](redsync::Mutex::with_expiry).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_expiry(Duration::from_secs(20));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if no lock can have that expiry, for instance because it leaves less than the least
    /// validity.
    #[doc(alias("ttl", "lease"))]
    #[must_use]
    #[track_caller]
    pub fn with_expiry(self, expiry: Duration) -> Self {
        let valid = "an expiry that a lock can have";
        self.set_default(|mutex| mutex.with_expiry(expiry), valid)
    }

    /// Sets how long a lock can be held. At that time it is lost, and what happens then is what
    /// [`with_on_loss`](Self::with_on_loss) says: by default the handler is dropped, and the
    /// response is 500. The limit includes the body with [`HoldUntil::BodyEnd`], and the job that
    /// has [detached](crate::HeldLock::detach) the lock.
    ///
    /// **There is no limit by default**, unless the [`Redsync`](redsync::Redsync) has one: with
    /// [keep-alive](Self::with_keep_alive), a handler that hangs holds its lock until it is
    /// dropped, because its client disconnects or an outer time-out elapses. No limit fits every
    /// handler, and a limit that ends a long job halfway does more harm than a lock that stays. So
    /// the choice is left to the service. If a handler waits for anything that has no time-out of
    /// its own, set a limit here, or apply a time-out outside of the lock. The layer does not warn
    /// if there is neither, because it cannot see the layers outside of it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_max_hold(Duration::from_secs(60));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the limit is not above the least validity, which is a tenth of the expiry unless
    /// the `Redsync` has another. Set a short expiry first.
    #[doc(alias = "timeout")]
    #[must_use]
    #[track_caller]
    pub fn with_max_hold(self, limit: Duration) -> Self {
        let valid = "a maximum hold that a lock can have";
        self.set_default(|mutex| mutex.with_max_hold(limit), valid)
    }

    /// Sets the least time for which a lock is held. If the handler is done earlier, its response
    /// is sent, and the key stays on the nodes until that time is over. Zero by default.
    ///
    /// It is for a request that several schedulers send at about the same time, and that has to be
    /// handled once. See [`Mutex::with_min_hold`](redsync::Mutex::with_min_hold).
    ///
    /// The key stays however the request ends: even if its handler fails or panics, or if its
    /// client disconnects. So a client that repeats a request that has failed is refused up to
    /// then. (A handler cannot end the minimum early.
    /// [`Mutex::force_release`](redsync::Mutex::force_release) does.) The `Retry-After` of a
    /// refusal says how long the key stays. If the lock is [detached](crate::HeldLock::detach), the
    /// minimum still counts from its acquisition.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// // Further requests within five seconds get 409.
    /// let layer = RedlockLayer::new(redsync, key::path("jobs:{job}"))
    ///     .with_min_hold(Duration::from_secs(5));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the minimum is longer than the expiry. Set a long [expiry](Self::with_expiry)
    /// first.
    #[doc(alias = "lock_at_least_for")]
    #[must_use]
    #[track_caller]
    pub fn with_min_hold(self, minimum: Duration) -> Self {
        let valid = "a minimum hold of at most the expiry";
        self.set_default(|mutex| mutex.with_min_hold(minimum), valid)
            .set(|config| config.responses.min_hold = minimum)
    }

    /// Sets whether the lock is extended in the background while it is held, so that a handler may
    /// take longer than the expiry. True by default.
    ///
    /// On a runtime with several threads, a handler may block its thread meanwhile. On a runtime
    /// with one thread, nothing else runs then, so blocking work belongs in
    /// [`tokio::task::spawn_blocking`]. See [`Guard::keep_alive`](redsync::Guard::keep_alive).
    ///
    /// [`with_max_hold`](Self::with_max_hold) limits how long a lock can be held this way.
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
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_on_loss(OnLoss::Finish);
    /// ```
    #[must_use]
    pub fn with_on_loss(self, on_loss: OnLoss) -> Self {
        self.set(|config| config.holding.on_loss = on_loss)
    }
}
