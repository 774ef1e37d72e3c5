//! The extension of a lease: a round, and the effect of its verdict on the validity.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Lease, Pending, hold::Extended};
use crate::{ExtendError, observed::observed};

pin_project! {
    /// An extension that has been sent.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the background waits for the answers to commands that were sent. The
    /// validity stays as it was, though some nodes may keep the keys for longer.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Extension {
        lease: Arc<Lease>,
        start: Instant,
        // None if the lease was already lost.
        #[pin]
        pending: Option<Pending>,
    }
}

impl Extension {
    /// Starts an extension whose answers count up to the node time limit.
    pub(crate) fn within_node_timeout(lease: &Arc<Lease>) -> Self {
        let limit = Instant::now() + lease.options().timing.node_timeout();
        Self::start(lease, Some(limit))
    }

    /// Starts an extension whose answers count for as long as the lease is valid, even if another
    /// extension prolongs the validity meanwhile.
    pub(crate) fn within_validity(lease: &Arc<Lease>) -> Self {
        Self::start(lease, None)
    }

    fn start(lease: &Arc<Lease>, limit: Option<Instant>) -> Self {
        let start = Instant::now();
        Self {
            lease: Arc::clone(lease),
            start,
            // Answers after the end of the validity do not count.
            pending: lease.hold.is_valid(start).then(|| lease.extend(limit)),
        }
    }
}

impl Future for Extension {
    type Output = Result<(), ExtendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (lease, start) = (&*this.lease, *this.start);
        let Some(mut pending) = this.pending.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(lease.lost()));
        };
        let verdict = ready!(pending.as_mut().poll(cx));
        // The new validity counts from before the round was sent.
        let extended = lease.hold.extended(verdict, lease.until_from(start));
        if (lease.lanes).extended(extended, start, lease.options().kind.heals) {
            lease.heal();
        }
        Poll::Ready(match extended {
            Extended::Prolonged => {
                observed(|| tracing::trace!(name = %lease.label(), "extended"));
                lease.hold.loss().note_votes(None);
                Ok(())
            }
            Extended::TooLate => Err(lease.lost()),
            Extended::Refused => {
                lease.lose(lease.votes(pending.take_votes()));
                Err(lease.lost())
            }
            Extended::Unclear => {
                let votes = lease.votes(pending.take_votes());
                lease.hold.loss().note_votes(Some(votes.clone()));
                Err(if lease.is_lost() {
                    lease.lost()
                } else {
                    ExtendError::Failed(votes)
                })
            }
        })
    }
}
