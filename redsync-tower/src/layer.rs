use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use redsync::{Lock, Redsync};
use tower_layer::Layer;

use crate::{LockKey, LockRejection, Redlock};

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
    wait: Option<Duration>,
    methods: Arc<dyn Fn(&Method) -> bool + Send + Sync>,
    contention_status: Option<StatusCode>,
    response: Arc<dyn Fn(&LockRejection) -> Response<Bytes> + Send + Sync>,
    pub(crate) keep_alive: bool,
    pub(crate) on_loss: OnLoss,
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
    /// `redsync`.
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
        Self {
            key,
            config: Arc::new(Config {
                redsync: outage_tries(redsync, 2),
                wait: None,
                methods: Arc::new(|method| !method.is_safe()),
                contention_status: None,
                response: Arc::new(LockRejection::to_response),
                keep_alive: true,
                on_loss: OnLoss::default(),
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
        self.set(|config| config.wait = (!limit.is_zero()).then_some(limit))
    }

    /// Gives up after so many tries in a row that found no quorum of nodes, however long the
    /// [wait](Self::with_wait): 2 by default, so that an outage is answered within a second.
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
        self.set(|config| config.methods = Arc::new(lock))
    }

    /// The status for contention, whether it was waited or not, in place of 409 and 423.
    #[must_use]
    pub fn with_contention_status(self, status: StatusCode) -> Self {
        self.set(|config| config.contention_status = Some(status))
    }

    /// Makes the responses to requests that are refused or whose lock was lost, in place of
    /// [`LockRejection::to_response`].
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
            config.response = Arc::new(move |rejection| response(rejection).map(Into::into));
        })
    }

    /// Whether the lock is extended while the inner service works, so that it may take longer
    /// than the expiry. True by default.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: bool) -> Self {
        self.set(|config| config.keep_alive = keep_alive)
    }

    /// What becomes of a request whose lock is lost: [aborted](OnLoss::Abort) by default.
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
        (self.methods)(method)
    }

    pub(crate) fn lock(&self, key: LockKey) -> Lock {
        let mutex = self.redsync.mutex(String::from(key));
        match self.wait {
            Some(limit) => mutex.lock_within(limit),
            None => mutex.try_lock(),
        }
    }

    /// The response to a request that is refused, with the rejection in its extensions.
    pub(crate) fn refuse(&self, mut rejection: LockRejection) -> Response<Bytes> {
        if let Some(status) = self.contention_status {
            rejection.set_contention_status(status);
        }
        let mut response = (self.response)(&rejection);
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
            .field("wait", &config.wait)
            .field("contention_status", &config.contention_status)
            .field("keep_alive", &config.keep_alive)
            .field("on_loss", &config.on_loss)
            .finish_non_exhaustive()
    }
}
