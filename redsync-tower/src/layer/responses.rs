//! The options for the layer's own responses.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::RedlockLayer;
use crate::rejection::LockRejection;

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
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_contention_status(StatusCode::CONFLICT);
    /// ```
    #[must_use]
    pub fn with_contention_status(self, status: StatusCode) -> Self {
        self.set(|config| config.responses.contention_status = Some(status))
    }

    /// Sets when clients are asked to repeat a request that was refused, in whole seconds, rounded
    /// up, and at least one: the `Retry-After` of each response that has one.
    ///
    /// By default it is one second. For contention, it is how long locks of the layer are usually
    /// held, as the layer has seen itself: a decaying average, in which about the last ten holds
    /// count most. It is then at least the [minimum hold](Self::with_min_hold), and at most the
    /// time after which the lock expires if its holder neither extends nor releases it. See
    /// [`response`](crate::response#retry-after) for clients in browsers.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use redsync::Redsync;
    /// # use redsync_tower::{RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_retry_after(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.set(|config| config.responses.retry_after = Some(after))
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
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
    ///     .with_problem_types("https://api.example.com/problems#");
    /// ```
    #[must_use]
    pub fn with_problem_types(self, prefix: impl Into<Arc<str>>) -> Self {
        self.set(|config| config.responses.problem_types = Some(prefix.into()))
    }

    /// Sets the function that makes all responses of the layer, including those to gRPC requests,
    /// but not the responses that a [key returns](crate::key::KeyError::Response).
    ///
    /// The default is [`response::problem`](crate::response::problem), or `response::grpc` for gRPC
    /// requests.
    ///
    /// ```
    /// # use redsync::Redsync;
    /// # use redsync_tower::{LockRejection, RedlockLayer, key};
    /// # let redsync = Redsync::in_memory(3);
    /// let layer = RedlockLayer::new(redsync, key::header("device-id"))
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
