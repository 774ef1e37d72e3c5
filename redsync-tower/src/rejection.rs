//! Why a request did not acquire its lock or lost it.

mod reason;

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use redsync::{LockError, Printable, Votes};

pub use self::reason::LockRejectionReason;
use self::reason::URN;
use crate::key::KeyError;

/// Why a request did not acquire its lock, or lost it.
///
/// Each response that a layer gives for such a reason has one in its extensions. The
/// [`response`](crate::response) module turns it into a response; with the feature `axum`, it also
/// implements `IntoResponse`.
///
/// | reason | status | `Retry-After` |
/// |---|---|---|
/// | [`Taken`](LockRejectionReason::Taken) | 409 Conflict | yes |
/// | [`TimedOut`](LockRejectionReason::TimedOut) | 423 Locked | yes |
/// | [`TooManyWaiting`](LockRejectionReason::TooManyWaiting) | 423 Locked | yes |
/// | [`Unavailable`](LockRejectionReason::Unavailable) | 503 Service Unavailable | yes |
/// | [`TooLate`](LockRejectionReason::TooLate) | 504 Gateway Timeout | yes |
/// | [`BadRequest`](LockRejectionReason::BadRequest) | 400 Bad Request, or what the key returned | no |
/// | [`TooLarge`](LockRejectionReason::TooLarge) | 413 Content Too Large | no |
/// | [`Misconfigured`](LockRejectionReason::Misconfigured) | 500 Internal Server Error | no |
/// | [`ShuttingDown`](LockRejectionReason::ShuttingDown) | 503 Service Unavailable | yes |
/// | [`Lost`](LockRejectionReason::Lost) | 500 Internal Server Error | no |
///
/// Its [source](Error::source), if any, is the [`LockError`], which names the nodes and what they
/// answered, or the [`KeyError`] of a misconfigured route. The text of the rejection itself names
/// neither the lock nor the nodes, and may be shown to clients.
///
/// ```
/// use http::Response;
/// use redsync_tower::LockRejection;
///
/// // In a layer outside the lock: why was this request refused?
/// fn log_refusal<B>(response: &Response<B>) {
///     if let Some(rejection) = response.extensions().get::<LockRejection>() {
///         println!("{:?}: {rejection}", rejection.reason());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct LockRejection {
    reason: LockRejectionReason,
    status: StatusCode,
    retry_after: Option<Duration>,
    detail: Cow<'static, str>,
    cause: Option<Cause>,
    /// The start of the problem type, if the layer has one of its own.
    problem_types: Option<Arc<str>>,
}

/// What a rejection was made from, beyond what its other fields say.
#[derive(Clone, Debug)]
enum Cause {
    Lock(Arc<LockError>),
    Mistake(KeyError),
    /// The whole response, which the key has returned.
    Response(Box<Response<Bytes>>),
}

impl LockRejection {
    fn new(reason: LockRejectionReason) -> Self {
        Self {
            reason,
            status: reason.status(),
            retry_after: reason
                .is_transient()
                .then_some(whole_seconds(Duration::ZERO)),
            detail: reason.detail().into(),
            cause: None,
            problem_types: None,
        }
    }

    pub(crate) fn too_many_waiting() -> Self {
        Self::new(LockRejectionReason::TooManyWaiting)
    }

    pub(crate) fn lost() -> Self {
        Self::new(LockRejectionReason::Lost)
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(LockRejectionReason::ShuttingDown)
    }

    /// Refuses a request because of a mistake of the client.
    fn of_client(status: StatusCode, detail: Cow<'static, str>) -> Self {
        Self {
            status,
            detail,
            ..Self::new(LockRejectionReason::of_client(status))
        }
    }

    /// The text for the client, which a response format encodes in its own way.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Takes the response that the key has returned, if it has.
    pub(crate) fn take_response(&mut self) -> Option<Response<Bytes>> {
        match self.cause.take() {
            Some(Cause::Response(response)) => Some(*response),
            cause => {
                self.cause = cause;
                None
            }
        }
    }

    pub(crate) fn set_contention_status(&mut self, status: StatusCode) {
        if self.reason.is_contention() {
            self.status = status;
        }
    }

    /// Sets when to repeat the request, if that is of use.
    pub(crate) fn set_retry_after(&mut self, after: Duration) {
        if self.reason.is_transient() {
            self.retry_after = Some(whole_seconds(after));
        }
    }

    /// Sets when to repeat a request that met contention, from how long locks are usually held. The
    /// key's remaining time is an upper limit: then the lock is free, or has been extended.
    pub(crate) fn expect_hold(&mut self, usual: Duration) {
        if self.reason.is_contention() {
            let votes = match &self.cause {
                Some(Cause::Lock(error)) => error.votes(),
                _ => None,
            };
            let free_in = votes.and_then(Votes::free_in);
            self.set_retry_after(free_in.map_or(usual, |free_in| free_in.min(usual)));
        }
    }

    pub(crate) fn set_problem_types(&mut self, prefix: Option<&Arc<str>>) {
        self.problem_types = prefix.cloned();
    }

    /// Returns the reason.
    #[must_use]
    pub const fn reason(&self) -> LockRejectionReason {
        self.reason
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the problem type (RFC 9457, section 3.1.1): the one of the
    /// [reason](LockRejectionReason::problem_type), unless the layer has [its
    /// own](crate::RedlockLayer::with_problem_types).
    #[must_use]
    pub fn problem_type(&self) -> Cow<'static, str> {
        let default = self.reason.problem_type();
        match &self.problem_types {
            Some(prefix) => format!("{prefix}{}", &default[URN.len()..]).into(),
            None => default.into(),
        }
    }

    /// Returns how long the client should wait before it repeats the request: whole seconds, at
    /// least one.
    ///
    /// For contention, this is how long locks of the layer are usually held, as the layer has seen
    /// itself, and at most the time after which the lock expires if its holder neither extends nor
    /// releases it. [`with_retry_after`](crate::RedlockLayer::with_retry_after) sets another time.
    /// [`None`] means that repeating the request is of no use, or not safe because the request may
    /// have been carried out in part.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Rounds up, to at least one.
fn whole_seconds(time: Duration) -> Duration {
    let seconds = time
        .as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(seconds.max(1))
}

impl From<KeyError> for LockRejection {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::BadRequest(detail) => Self::of_client(StatusCode::BAD_REQUEST, detail),
            KeyError::Rejected(status, detail) => Self::of_client(status, detail),
            KeyError::Response(response) => {
                let status = response.status();
                Self {
                    status,
                    cause: Some(Cause::Response(response)),
                    ..Self::new(LockRejectionReason::of_client(status))
                }
            }
            KeyError::Misconfigured(_) => Self {
                cause: Some(Cause::Mistake(error)),
                ..Self::new(LockRejectionReason::Misconfigured)
            },
        }
    }
}

impl From<LockError> for LockRejection {
    fn from(error: LockError) -> Self {
        let mut rejection = Self::new(LockRejectionReason::of(&error));
        rejection.cause = Some(Cause::Lock(Arc::new(error)));
        rejection
    }
}

impl fmt::Display for LockRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.detail).fmt(f)
    }
}

impl Error for LockRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.cause.as_ref()? {
            Cause::Lock(error) => Some(&**error),
            Cause::Mistake(error) => Some(error),
            Cause::Response(_) => None,
        }
    }
}
