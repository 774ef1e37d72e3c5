//! The options for how the layer is seen from outside.

use std::{sync::Arc, time::Duration};

use tracing::Span;

use super::RedlockLayer;
use crate::{metrics::Metrics, rejection::LockRejection};

/// How the layer is seen from outside.
impl<K> RedlockLayer<K> {
    /// Sets a label that tells this layer from the others of the service: the field `layer` of its
    /// spans, and the label `layer` of its [metrics](crate#metrics). None by default.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("x-account")).with_label("accounts");
    /// ```
    #[must_use]
    pub fn with_label(mut self, label: &'static str) -> Self {
        let common = Arc::make_mut(&mut self.common);
        common.config.observing.label = Some(label);
        common.metrics = Metrics::new(Some(label));
        self
    }

    /// Sets whether an event at level `info` says who holds the lock when a request is refused
    /// because another holder has it (409 or 423). False by default.
    ///
    /// The nodes are asked in the background. This delays no response, but each refusal costs a
    /// command on each node. While the nodes are being asked who holds a lock, further refusals for
    /// the same lock do not ask again. A layer asks for at most eight locks at a time; refusals
    /// beyond that are not logged. The event names the holder by the
    /// [label](redsync::Mutex::with_owner_label) that it has chosen, such as its host, and by the
    /// fingerprint of its owner value. If there are several, as of a shared lock, each of the first
    /// eight has an event, and one more has the number of the others.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let host = || Ok::<_, Infallible>("web-7".to_owned());
    /// let redsync = redsync.with_defaults(|mutex| mutex.with_owner_label(host))?;
    /// let layer = RedlockLayer::new(redsync, key::header("x-account")).with_logged_holders(true);
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_logged_holders(self, logged: bool) -> Self {
        self.set(|config| config.observing.logs_holders = logged)
    }

    /// Sets a function that is called for each request that the layer refuses, before the response
    /// is sent. A lost lock is not a refusal: see [`on_lost`](Self::on_lost).
    ///
    /// It gets what the response is made from, how long the request has waited for its lock, and
    /// the span of the lock, which is disabled if the request has no valid key. It is called on the
    /// task of the request, and should not block.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("x-account")).on_refused(|rejection, wait, _| {
    ///     if rejection.reason().is_contention() {
    ///         tracing::info!(?wait, "the account is busy");
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn on_refused(
        self,
        callback: impl Fn(&LockRejection, Duration, &Span) + Send + Sync + 'static,
    ) -> Self {
        self.set(|config| config.observing.on_refused = Some(Arc::new(callback)))
    }

    /// Sets a function that is called when the layer notices that the lock of a request is lost:
    /// when it aborts the handler, or else when the lock was to be released. It is not called for a
    /// lock that the handler has [detached](crate::HeldLock::detach), nor while a panic unwinds,
    /// where a second panic would abort the process.
    ///
    /// It gets the name of the lock as it is on the nodes, which can contain whatever the client
    /// has sent (for a log, use [`Printable`](redsync::Printable)), how long the request has had
    /// its lock, and the span of the lock. It is called on the task of the request, and should not
    /// block.
    ///
    /// ```
    /// # use redsync::{Printable, Redsync};
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("x-account")).on_lost(|name, hold, _| {
    ///     // ... page somebody ...
    ///     eprintln!("{} was lost after {hold:?}", Printable(name));
    /// });
    /// ```
    #[must_use]
    pub fn on_lost(self, callback: impl Fn(&str, Duration, &Span) + Send + Sync + 'static) -> Self {
        self.set(|config| config.observing.on_lost = Some(Arc::new(callback)))
    }
}
