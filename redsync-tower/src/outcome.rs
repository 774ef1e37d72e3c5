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
            Self::Rejected(reason) => reason.label(),
        }
    }
}
