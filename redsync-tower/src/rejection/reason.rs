//! The reasons of rejections, and all that depends on a reason alone.

use http::StatusCode;
use redsync::LockError;

/// The reason of a [`LockRejection`](crate::LockRejection).
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
    /// The nodes granted the lock too late to be valid for long enough: they are slow, or the
    /// expiry is short (see [`LockError::TooLate`]). The lock has been released.
    TooLate,
    /// The request has no valid key, or its body could not be read.
    BadRequest,
    /// The request body is larger than its limit: that of
    /// [`with_body_first`](crate::RedlockLayer::with_body_first) or of
    /// [`key::body`](crate::key::body), or one of the key's own, which has returned 413.
    TooLarge,
    /// The route or the layer is misconfigured, or a key with the name of the lock is not a lock
    /// (see [`LockError::NotALock`]). An error event says which.
    Misconfigured,
    /// The service shuts down, and the request would have had to wait. See
    /// [`RedlockLayer::with_shutdown`](crate::RedlockLayer::with_shutdown).
    ShuttingDown,
    /// The lock was lost while the request was handled. The request may have been carried out in
    /// part.
    Lost,
}

/// The start of the default problem types.
pub(super) const URN: &str = "urn:redsync:problem:";

/// What a reason amounts to.
struct Facts {
    /// The value of the label `outcome`.
    label: &'static str,
    /// [`URN`] and the label, with hyphens.
    problem_type: &'static str,
    status: StatusCode,
    /// A summary that is the same for each response with that reason.
    title: &'static str,
    /// The text for the client, unless the key has a more exact one.
    detail: &'static str,
    class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Another request or process holds the lock.
    Contention,
    /// The same request is likely to succeed a little later.
    Transient,
    /// To repeat the request is of no use, or not safe.
    Final,
}

impl LockRejectionReason {
    /// The number of reasons. `Lost` is the last.
    #[cfg(feature = "metrics")]
    pub(crate) const COUNT: usize = Self::Lost as usize + 1;

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

    /// The reason for the refusal of a request whose key has returned this status, because of a
    /// mistake of the client.
    pub(super) fn of_client(status: StatusCode) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::BadRequest
        }
    }

    const fn facts(self) -> Facts {
        match self {
            Self::Taken => Facts {
                label: "taken",
                problem_type: "urn:redsync:problem:taken",
                status: StatusCode::CONFLICT,
                title: "The resource is in use",
                detail: "Other requests for this resource are being processed.",
                class: Class::Contention,
            },
            Self::TimedOut => Facts {
                label: "timed_out",
                problem_type: "urn:redsync:problem:timed-out",
                status: StatusCode::LOCKED,
                title: "The resource stayed in use",
                detail: "Other requests for this resource were being processed for as long as this \
                         one could wait.",
                class: Class::Contention,
            },
            Self::TooManyWaiting => Facts {
                label: "too_many_waiting",
                problem_type: "urn:redsync:problem:too-many-waiting",
                status: StatusCode::LOCKED,
                title: "Too many requests are waiting for the resource",
                detail: "Too many requests are waiting for this resource.",
                class: Class::Contention,
            },
            Self::Unavailable => Facts {
                label: "unavailable",
                problem_type: "urn:redsync:problem:unavailable",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Locks are unavailable",
                detail: "Too few of the nodes that keep locks can be reached.",
                class: Class::Transient,
            },
            Self::TooLate => Facts {
                label: "too_late",
                problem_type: "urn:redsync:problem:too-late",
                // RFC 9110, section 15.6.5: no timely response from a server that is needed.
                status: StatusCode::GATEWAY_TIMEOUT,
                title: "The lock came too late",
                detail: "The nodes that keep locks answered too late.",
                class: Class::Transient,
            },
            Self::BadRequest => Facts {
                label: "bad_request",
                problem_type: "urn:redsync:problem:bad-request",
                status: StatusCode::BAD_REQUEST,
                title: "The request cannot be locked",
                detail: "The request names no lock.",
                class: Class::Final,
            },
            Self::TooLarge => Facts {
                label: "too_large",
                problem_type: "urn:redsync:problem:too-large",
                status: StatusCode::PAYLOAD_TOO_LARGE,
                title: "The request body is too large",
                detail: "The body is too large.",
                class: Class::Final,
            },
            Self::Misconfigured => Facts {
                label: "misconfigured",
                problem_type: "urn:redsync:problem:misconfigured",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "Locks are misconfigured",
                detail: "The server is misconfigured.",
                class: Class::Final,
            },
            Self::ShuttingDown => Facts {
                label: "shutting_down",
                problem_type: "urn:redsync:problem:shutting-down",
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The service is shutting down",
                detail: "This instance of the service is shutting down, and the request would have had \
                         to wait.",
                class: Class::Transient,
            },
            Self::Lost => Facts {
                label: "lost",
                problem_type: "urn:redsync:problem:lost",
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "The lock was lost",
                detail: "The lock on this resource was lost while the request was being processed. \
                         The request may have been carried out in part.",
                class: Class::Final,
            },
        }
    }

    /// Whether the reason is contention: another request or process holds the lock.
    #[must_use]
    pub const fn is_contention(self) -> bool {
        matches!(self.facts().class, Class::Contention)
    }

    /// Returns the default problem type (RFC 9457, section 3.1.1). It is stable, and different for
    /// each reason.
    ///
    /// It is a URN, to be compared and not to be opened. A layer can
    /// [replace it](crate::RedlockLayer::with_problem_types).
    #[must_use]
    pub const fn problem_type(self) -> &'static str {
        self.facts().problem_type
    }

    pub(crate) const fn label(self) -> &'static str {
        self.facts().label
    }

    pub(crate) const fn title(self) -> &'static str {
        self.facts().title
    }

    /// Whether the same request is likely to succeed a little later.
    pub(crate) const fn is_transient(self) -> bool {
        !matches!(self.facts().class, Class::Final)
    }

    pub(super) const fn status(self) -> StatusCode {
        self.facts().status
    }

    pub(super) const fn detail(self) -> &'static str {
        self.facts().detail
    }
}
