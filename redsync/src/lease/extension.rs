//! The extension of a lease: a round, and the effect of its verdict on the validity.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Lease, Pending};
use crate::{ExtendError, quorum::tally::Verdict};

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
        deadline: Instant,
        is_confirming: bool,
    }
}

impl Extension {
    /// Starts an extension whose answers count up to the node time limit.
    pub(crate) fn within_node_timeout(lease: &Arc<Lease>) -> Self {
        let deadline = Instant::now() + lease.options().timing.node_timeout();
        Self::start(lease, deadline)
    }

    /// Starts an extension whose answers count for as long as the lease is valid.
    pub(crate) fn within_validity(lease: &Arc<Lease>) -> Self {
        Self::start(lease, lease.until())
    }

    fn start(lease: &Arc<Lease>, deadline: Instant) -> Self {
        let (start, until) = (Instant::now(), lease.until());
        Self {
            lease: Arc::clone(lease),
            start,
            // Answers after the end of the validity do not count.
            pending: (start < until).then(|| lease.extend(deadline.min(until))),
            deadline,
            is_confirming: false,
        }
    }
}

impl Future for Extension {
    type Output = Result<(), ExtendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let lease = &*this.lease;
        let verdict = loop {
            let Some(pending) = this.pending.as_mut().as_pin_mut() else {
                return Poll::Ready(Err(ExtendError::Lost));
            };
            let verdict = ready!(pending.poll(cx));
            let start = *this.start;
            // The new validity counts from before the round was sent.
            let is_extended =
                verdict == Verdict::Granted && lease.hold.prolong(lease.until_from(start));
            if is_extended {
                lease.lanes.forget_gaps_before(start);
                tracing::trace!(name = %lease.shown_name(), "extended");
            }
            let has_healed = || lease.options().kind.heals && lease.lanes.have_gap_since(start);
            if is_extended && !*this.is_confirming && has_healed() {
                // A node that was without the key counts again after another round that a majority
                // confirms, so start that round.
                *this.is_confirming = true;
                *this.start = Instant::now();
                let deadline = (*this.deadline).min(lease.until());
                this.pending.set(Some(lease.extend(deadline)));
                continue;
            }
            if is_extended {
                return Poll::Ready(Ok(()));
            }
            break verdict;
        };
        let votes = || {
            let pending = this.pending.as_ref().as_pin_ref();
            pending.map_or_else(Vec::new, |pending| pending.take_votes())
        };
        Poll::Ready(match verdict {
            Verdict::Granted => Err(ExtendError::Lost),
            // Too many nodes no longer keep the key: the others are no majority.
            Verdict::Refused => {
                lease.lose();
                Err(ExtendError::Lost)
            }
            Verdict::Divided | Verdict::Unavailable if lease.is_lost() => Err(ExtendError::Lost),
            // The lease was extended, and only the confirming round has failed.
            Verdict::Divided | Verdict::Unavailable if *this.is_confirming => Ok(()),
            Verdict::Divided | Verdict::Unavailable => {
                Err(ExtendError::Failed(lease.votes(votes())))
            }
        })
    }
}
