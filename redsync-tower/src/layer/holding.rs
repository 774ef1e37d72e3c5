//! The options for how long the lock is held.

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
