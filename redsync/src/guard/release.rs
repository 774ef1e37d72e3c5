//! The release of a guard, and its result.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    DrainGuard, ReleaseError,
    lease::Lease,
    queue::{OwnedLease, Releasing},
    quorum::tally::Verdict,
};

/// The result of [`Guard::release`](crate::Guard::release).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The lock was held to the end.
    Held,
    /// The lock was already lost: its validity had ended, or a majority of the nodes no longer had
    /// its key. Another holder may have worked at the same time.
    AlreadyLost,
}

pin_project! {
    /// The future of [`Guard::release`](crate::Guard::release).
    #[must_use = "await it to learn whether the lock was held to the end"]
    pub struct Release {
        // None if the lock was handed over.
        #[pin]
        releasing: Option<Releasing>,
        lease: Arc<Lease>,
        was_lost: bool,
        _drain_guard: Option<DrainGuard>,
    }
}

impl Release {
    pub(super) fn start(owned: OwnedLease, drain_guard: Option<DrainGuard>) -> Self {
        let lease = Arc::clone(owned.lease());
        let was_lost = lease.is_lost();
        Self {
            releasing: owned.end_hold(),
            lease,
            was_lost,
            _drain_guard: drain_guard,
        }
    }
}

impl Future for Release {
    type Output = Result<Released, ReleaseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(mut releasing) = this.releasing.as_pin_mut() else {
            return Poll::Ready(Ok(Released::Held));
        };
        let verdict = ready!(releasing.as_mut().poll(cx));
        Poll::Ready(match verdict {
            _ if *this.was_lost => Ok(Released::AlreadyLost),
            Verdict::Granted => Ok(Released::Held),
            Verdict::Refused => {
                this.lease.count_loss();
                Ok(Released::AlreadyLost)
            }
            Verdict::Divided | Verdict::Unavailable => {
                Err(ReleaseError(this.lease.votes(releasing.take_votes())))
            }
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("name", &self.lease.label().as_str())
            .finish_non_exhaustive()
    }
}
