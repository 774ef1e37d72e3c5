//! Why a request did not acquire its lock or lost it, and the status of each reason.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use http::StatusCode;
use redsync::{LockError, Printable, Votes};

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
/// | [`BadRequest`](LockRejectionReason::BadRequest) | 400 Bad Request, or the status that the key returned | no |
/// | [`Misconfigured`](LockRejectionReason::Misconfigured) | 500 Internal Server Error | no |
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
    source: Option<Arc<dyn Error + Send + Sync>>,
    /// The start of the problem type, if the layer has one of its own.
    problem_types: Option<Arc<str>>,
}

/// The reason of a [`LockRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockRejectionReason {
    /// Another request or process holds the lock, and the layer does not wait.
    Taken,
    /// Another request or process held the lock until the wait had reached its limit.
    TimedOut,
    /// The limit of pending requests, or of waiters for the lock, has been reached.
    TooManyWaiting,
    /// Too few nodes answered.
    Unavailable,
    /// The nodes granted the lock too late to be valid for long enough: they are slow, or the expiry
    /// is short (see [`LockError::TooLate`]). The lock has been released.
    TooLate,
    /// The request has no valid key.
    BadRequest,
    /// The route or the layer is misconfigured, or a key with the name of the lock is not a lock (see
    /// [`LockError::NotALock`]). An error event says which.
    Misconfigured,
    /// The lock was lost while the request was handled. The request may have been carried out in
    /// part.
    Lost,
}

/// The start of the default problem types.
const URN: &str = "urn:redsync:problem:";

impl LockRejectionReason {
    /// The reason for a failed acquisition.
    pub(crate) const fn of(error: &LockError) -> Self {
        match error {
            LockError::Taken(_) => Self::Taken,
            LockError::TimedOut(_) => Self::TimedOut,
            LockError::TooManyWaiting { .. } => Self::TooManyWaiting,
            LockError::Unavailable(_) => Self::Unavailable,
            LockError::TooLate(_) => Self::TooLate,
            _ => Self::Misconfigured,
        }
    }

    /// Whether the reason is contention: another request or process holds the lock.
    #[must_use]
    pub const fn is_contention(self) -> bool {
        matches!(self, Self::Taken | Self::TimedOut | Self::TooManyWaiting)
    }

    /// Returns the default problem type (RFC 9457, section 3.1.1). It is stable, and different for
    /// each reason.
    ///
    /// It is a URN, to be compared and not to be opened. A layer can
    /// [replace it](crate::RedlockLayer::with_problem_types).
    #[must_use]
    pub const fn problem_type(self) -> &'static str {
        match self {
            Self::Taken => "urn:redsync:problem:taken",
            Self::TimedOut => "urn:redsync:problem:timed-out",
            Self::TooManyWaiting => "urn:redsync:problem:too-many-waiting",
            Self::Unavailable => "urn:redsync:problem:unavailable",
            Self::TooLate => "urn:redsync:problem:too-late",
            Self::BadRequest => "urn:redsync:problem:bad-request",
            Self::Misconfigured => "urn:redsync:problem:misconfigured",
            Self::Lost => "urn:redsync:problem:lost",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Taken => StatusCode::CONFLICT,
            Self::TimedOut | Self::TooManyWaiting => StatusCode::LOCKED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // RFC 9110, section 15.6.5: no timely response from a server that is needed.
            Self::TooLate => StatusCode::GATEWAY_TIMEOUT,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Misconfigured | Self::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The text for the client, unless the key has a more exact one.
    const fn detail(self) -> &'static str {
        match self {
            Self::Taken => "Another request for this resource is being processed.",
            Self::TimedOut => {
                "Other requests for this resource were being processed for as long as this one \
                 could wait."
            }
            Self::TooManyWaiting => "Too many requests are waiting for this resource.",
            Self::Unavailable => "Too few of the nodes that keep locks can be reached.",
            Self::TooLate => "The nodes that keep locks answered too late.",
            Self::BadRequest => "The request names no lock.",
            Self::Misconfigured => "The server is misconfigured.",
            Self::Lost => {
                "The lock on this resource was lost while the request was being processed. The \
                 request may have been carried out in part."
            }
        }
    }

    /// Whether the same request is likely to succeed a little later.
    const fn is_transient(self) -> bool {
        self.is_contention() || matches!(self, Self::Unavailable | Self::TooLate)
    }
}

impl LockRejection {
    fn new(reason: LockRejectionReason) -> Self {
        Self {
            reason,
            status: reason.status(),
            retry_after: reason.is_transient().then_some(Duration::from_secs(1)),
            detail: reason.detail().into(),
            source: None,
            problem_types: None,
        }
    }

    pub(crate) fn too_many_waiting() -> Self {
        Self::new(LockRejectionReason::TooManyWaiting)
    }

    pub(crate) fn lost() -> Self {
        Self::new(LockRejectionReason::Lost)
    }

    fn bad_request(status: StatusCode, detail: Cow<'static, str>) -> Self {
        Self {
            status,
            detail,
            ..Self::new(LockRejectionReason::BadRequest)
        }
    }

    /// The text for the client, which a response format encodes in its own way.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn set_contention_status(&mut self, status: StatusCode) {
        if self.reason.is_contention() {
            self.status = status;
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
    /// For contention, this is the time after which the lock expires if its holder neither extends
    /// nor releases it, as far as the nodes reported it. [`None`] means that repeating the request
    /// is of no use, or not safe because the request may have been carried out in part.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<KeyError> for LockRejection {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::BadRequest(detail) => Self::bad_request(StatusCode::BAD_REQUEST, detail),
            KeyError::Rejected(status, detail) => Self::bad_request(status, detail),
            KeyError::Misconfigured(_) => Self {
                source: Some(Arc::new(error)),
                ..Self::new(LockRejectionReason::Misconfigured)
            },
        }
    }
}

impl From<LockError> for LockRejection {
    fn from(error: LockError) -> Self {
        let mut rejection = Self::new(LockRejectionReason::of(&error));
        let held = matches!(error, LockError::Taken(_) | LockError::TimedOut(_));
        if let Some(free_in) = error.votes().filter(|_| held).and_then(Votes::free_in) {
            let seconds = free_in.as_millis().div_ceil(1000).max(1) as u64;
            rejection.retry_after = Some(Duration::from_secs(seconds));
        }
        rejection.source = Some(Arc::new(error));
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
        Some(&**self.source.as_ref()?)
    }
}
