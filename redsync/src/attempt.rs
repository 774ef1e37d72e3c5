//! One try: send, count, decide, clean up.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    Guard, LockError, OwnerValue, Votes,
    claim::{Claim, Holding},
    mutex::Wanted,
    quorum::Verdict,
    round::Round,
};

pin_project! {
    /// One try of one owner value on all nodes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it releases every node in the background, each after its acquisition has settled.
    pub(crate) struct Attempt {
        // Dropped before `holding`: the release must find what was sent in the background.
        #[pin]
        round: Round,
        holding: Option<Holding>,
        start: Instant,
    }
}

/// Why a try failed.
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) votes: Votes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Taken,
    Unavailable,
}

impl Attempt {
    /// Starts a try, the clock first. Nothing is sent before the first poll.
    pub(crate) fn start(wanted: &Wanted) -> Result<Self, LockError> {
        let label = (wanted.options.value_label)().map_err(LockError::Value)?;
        let value = OwnerValue::random(&label).map_err(LockError::Value)?;
        let claim = Claim::new(wanted, value);
        let start = Instant::now();
        Ok(Self {
            round: claim.acquire(start),
            holding: Some(Holding::new(claim)),
            start,
        })
    }
}

impl Future for Attempt {
    type Output = Result<Guard, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.round.poll(cx));
        let holding = this.holding.take().expect("polled after it was ready");
        let claim = holding.claim();
        let until = claim.until_from(*this.start);
        let verdict = outcome.verdict;
        // The clock is read after the last counted vote.
        if verdict == Verdict::Granted && Instant::now() + claim.options().min_validity() < until {
            claim.begin(until);
            tracing::debug!(name = %claim.name(), "acquired");
            return Poll::Ready(Ok(Guard::new(holding)));
        }
        let votes = outcome.into_votes(claim);
        let reason = match verdict {
            Verdict::Refused => Reason::Taken,
            // Those who answered would have been enough, had they agreed: with a node down, this
            // is what two look like who try at the same time.
            Verdict::Unknown if votes.quorum_answered() => Reason::Taken,
            Verdict::Granted | Verdict::Unknown => Reason::Unavailable,
        };
        let failure = Failure { reason, votes };
        tracing::debug!(name = %claim.name(), ?reason, "not acquired");
        // Releases, behind what is still under way.
        drop(holding);
        Poll::Ready(Err(failure))
    }
}
