//! The outcomes of requests that need a lock, as spans and metrics report them.

use crate::rejection::LockRejectionReason as Reason;

/// The final outcome of a request, or the outcome of its wait.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Acquired,
    Detached,
    Dropped,
    FailedOpen,
    Rejected(Reason),
}

impl Outcome {
    /// The value of the field or label `outcome`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Detached => "detached",
            Self::Dropped => "dropped",
            Self::FailedOpen => "failed_open",
            Self::Rejected(reason) => match reason {
                Reason::Taken => "taken",
                Reason::TimedOut => "timed_out",
                Reason::TooManyWaiting => "too_many_waiting",
                Reason::Unavailable => "unavailable",
                Reason::TooLate => "too_late",
                Reason::BadRequest => "bad_request",
                Reason::Misconfigured => "misconfigured",
                Reason::Lost => "lost",
            },
        }
    }
}
