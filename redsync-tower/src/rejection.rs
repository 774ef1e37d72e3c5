use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use redsync::LockError;
use serde_json::json;

use crate::KeyError;

/// Why a request did not get its lock, or lost it.
///
/// It is in the extensions of every response that says so. The response itself is
/// [`to_response`](Self::to_response), or what [`RedlockLayer::with_response`] makes.
///
/// [`RedlockLayer::with_response`]: crate::RedlockLayer::with_response
///
/// | reason | status | `Retry-After` |
/// |---|---|---|
/// | [`Taken`](LockRejectionReason::Taken) | 409 Conflict | yes |
/// | [`TimedOut`](LockRejectionReason::TimedOut) | 423 Locked | yes |
/// | [`TooManyWaiting`](LockRejectionReason::TooManyWaiting) | 423 Locked | yes |
/// | [`Unavailable`](LockRejectionReason::Unavailable) | 503 Service Unavailable | yes |
/// | [`BadRequest`](LockRejectionReason::BadRequest) | 400 Bad Request, or what the key says | no |
/// | [`Misconfigured`](LockRejectionReason::Misconfigured) | 500 Internal Server Error | no |
/// | [`Lost`](LockRejectionReason::Lost) | 500 Internal Server Error | no |
#[derive(Clone, Debug)]
pub struct LockRejection {
    reason: LockRejectionReason,
    status: StatusCode,
    retry_after: Option<Duration>,
    detail: Cow<'static, str>,
    source: Option<Arc<LockError>>,
    /// What problem types begin with, if the layer says so.
    problem_types: Option<Arc<str>>,
}

/// The reasons of a [`LockRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockRejectionReason {
    /// Another holds the lock, and waiting was not asked for.
    Taken,
    /// Another held the lock up to the limit of the wait.
    TimedOut,
    /// As many wait for this lock, or in all, as may.
    TooManyWaiting,
    /// Too few nodes can be reached to know.
    Unavailable,
    /// The request lacks what names the lock, or has it malformed.
    BadRequest,
    /// The route or the layer is set up so that it cannot work. The log says how.
    Misconfigured,
    /// The lock was lost while the request was worked on. What has been done is unknown.
    Lost,
}

impl LockRejection {
    fn new(reason: LockRejectionReason, detail: impl Into<Cow<'static, str>>) -> Self {
        use LockRejectionReason as Reason;
        let status = match reason {
            Reason::Taken => StatusCode::CONFLICT,
            Reason::TimedOut | Reason::TooManyWaiting => StatusCode::LOCKED,
            Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Reason::BadRequest => StatusCode::BAD_REQUEST,
            Reason::Misconfigured | Reason::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            reason,
            status,
            retry_after: None,
            detail: detail.into(),
            source: None,
            problem_types: None,
        }
    }

    pub(crate) fn too_many_waiting() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                LockRejectionReason::TooManyWaiting,
                "Too many requests are waiting for this resource.",
            )
        }
    }

    pub(crate) fn lost() -> Self {
        Self::new(
            LockRejectionReason::Lost,
            "The lock on this resource was lost while the request was worked on. It may have been \
             carried out in part.",
        )
    }

    fn misconfigured(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a lock layer is set up so that it cannot work");
        Self::new(
            LockRejectionReason::Misconfigured,
            "The server is misconfigured.",
        )
    }

    pub(crate) fn set_contention_status(&mut self, status: StatusCode) {
        if self.reason.is_contention() {
            self.status = status;
        }
    }

    pub(crate) fn set_problem_types(&mut self, prefix: Option<&Arc<str>>) {
        self.problem_types = prefix.cloned();
    }

    /// The reason.
    #[must_use]
    pub const fn reason(&self) -> LockRejectionReason {
        self.reason
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem type (RFC 9457, section 3.1.1): that of the [reason](LockRejectionReason::problem_type),
    /// or as the layer [says](crate::RedlockLayer::with_problem_types).
    #[must_use]
    pub fn problem_type(&self) -> Cow<'static, str> {
        let default = self.reason.problem_type();
        match &self.problem_types {
            Some(prefix) => format!("{prefix}{}", &default[URN.len()..]).into(),
            None => default.into(),
        }
    }

    /// When to try again: whole seconds, at least one. [`None`] where trying again is no use, or no
    /// business of a client that does not know what it has done.
    ///
    /// For contention, it is the time after which the lock expires if its holder neither extends
    /// nor releases it, as far as the nodes told.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The default response: the status, `Retry-After`, and an `application/problem+json` body
    /// (RFC 9457) with `type`, `title`, `status` and `detail`. It names neither the lock nor the
    /// nodes.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let problem = json!({
            "type": self.problem_type(),
            "title": self.reason.title(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(problem.to_string().into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, after.as_secs().into());
        }
        response
    }
}

/// What the problem types begin with.
const URN: &str = "urn:redsync:problem:";

impl LockRejectionReason {
    /// How spans and metrics call it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::TimedOut => "timed_out",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Unavailable => "unavailable",
            Self::BadRequest => "bad_request",
            Self::Misconfigured => "misconfigured",
            Self::Lost => "lost",
        }
    }

    /// Whether the lock is held by another.
    #[must_use]
    pub const fn is_contention(self) -> bool {
        matches!(self, Self::Taken | Self::TimedOut | Self::TooManyWaiting)
    }

    /// The problem type (RFC 9457, section 3.1.1): stable, and different for each reason. It is a
    /// name to compare, which cannot be opened; see
    /// [`with_problem_types`](crate::RedlockLayer::with_problem_types).
    #[must_use]
    pub const fn problem_type(self) -> &'static str {
        match self {
            Self::Taken => "urn:redsync:problem:taken",
            Self::TimedOut => "urn:redsync:problem:timed-out",
            Self::TooManyWaiting => "urn:redsync:problem:too-many-waiting",
            Self::Unavailable => "urn:redsync:problem:unavailable",
            Self::BadRequest => "urn:redsync:problem:bad-request",
            Self::Misconfigured => "urn:redsync:problem:misconfigured",
            Self::Lost => "urn:redsync:problem:lost",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Taken => "The resource is locked",
            Self::TimedOut => "The resource stayed locked",
            Self::TooManyWaiting => "Too many are waiting for the resource",
            Self::Unavailable => "Locks are unavailable",
            Self::BadRequest => "The request names no lock",
            Self::Misconfigured => "Locks are misconfigured",
            Self::Lost => "The lock was lost",
        }
    }
}

impl From<KeyError> for LockRejection {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::BadRequest(words) => Self::new(LockRejectionReason::BadRequest, words),
            KeyError::Rejected(status, words) => Self {
                status,
                ..Self::new(LockRejectionReason::BadRequest, words)
            },
            KeyError::Misconfigured(_) => Self::misconfigured(&error),
        }
    }
}

impl From<LockError> for LockRejection {
    fn from(error: LockError) -> Self {
        let free_in = || error.votes().and_then(redsync::Votes::free_in);
        let (mut rejection, after) = match &error {
            LockError::Taken(_) => (
                Self::new(
                    LockRejectionReason::Taken,
                    "Another request for this resource is being worked on.",
                ),
                free_in(),
            ),
            LockError::TimedOut(_) => (
                Self::new(
                    LockRejectionReason::TimedOut,
                    "Other requests for this resource were being worked on for as long as this \
                     one could wait.",
                ),
                free_in(),
            ),
            LockError::Unavailable(_) => {
                let words = "Too few of the nodes that keep locks can be reached.";
                (Self::new(LockRejectionReason::Unavailable, words), None)
            }
            LockError::TooManyWaiting { .. } => (Self::too_many_waiting(), None),
            error => return Self::misconfigured(error),
        };
        let seconds = after.map_or(1, |after| after.as_millis().div_ceil(1000).max(1) as u64);
        rejection.retry_after = Some(Duration::from_secs(seconds));
        rejection.source = Some(Arc::new(error));
        rejection
    }
}

impl fmt::Display for LockRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for LockRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for LockRejection {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.to_response();
        response.extensions_mut().insert(self);
        response.map(axum::body::Body::from)
    }
}
