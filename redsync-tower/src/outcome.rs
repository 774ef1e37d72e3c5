//! The outcomes of requests that need a lock, as spans and metrics report them.

use crate::rejection::LockRejectionReason as Reason;

/// The final outcome of a request, or the outcome of its wait.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Acquired,
    Detached,
    Dropped,
    FailedOpen,
    Taken,
    TimedOut,
    TooManyWaiting,
    Unavailable,
    TooLate,
    BadRequest,
    Misconfigured,
    Lost,
}

impl Outcome {
    /// The number of outcomes. Each, as `usize`, is below it.
    #[cfg(feature = "metrics")]
    pub(crate) const COUNT: usize = Self::Lost as usize + 1;

    /// The value of the field or label `outcome`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Detached => "detached",
            Self::Dropped => "dropped",
            Self::FailedOpen => "failed_open",
            Self::Taken => "taken",
            Self::TimedOut => "timed_out",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Unavailable => "unavailable",
            Self::TooLate => "too_late",
            Self::BadRequest => "bad_request",
            Self::Misconfigured => "misconfigured",
            Self::Lost => "lost",
        }
    }
}

impl From<Reason> for Outcome {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Taken => Self::Taken,
            Reason::TimedOut => Self::TimedOut,
            Reason::TooManyWaiting => Self::TooManyWaiting,
            Reason::Unavailable => Self::Unavailable,
            Reason::TooLate => Self::TooLate,
            Reason::BadRequest => Self::BadRequest,
            Reason::Misconfigured => Self::Misconfigured,
            Reason::Lost => Self::Lost,
        }
    }
}
