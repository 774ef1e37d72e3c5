//! One try: send, count, decide, clean up.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    FencingToken, Guard, LockError, OwnerValue, Vote, Votes,
    claim::{Claim, Holding},
    fence::Agreement,
    quorum::Verdict,
    round::Round,
    wanted::Wanted,
};

pin_project! {
    /// One try of one owner value on all nodes: a round that acquires, and for a fenced lock perhaps
    /// one that raises counters.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it releases every node in the background, each after its acquisition has settled.
    pub(crate) struct Attempt {
        // Dropped before `holding`: the release must find what was sent in the background.
        #[pin]
        round: Round,
        raising_to: Option<FencingToken>,
        holding: Option<Holding>,
    }
}

/// Why a try failed.
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) votes: Votes,
    /// Which nodes were acquired, and are being released.
    pub(crate) own: Vec<bool>,
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
        Ok(Self {
            round: claim.acquire(),
            raising_to: None,
            holding: Some(Holding::new(claim)),
        })
    }
}

impl Future for Attempt {
    type Output = Result<Guard, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = loop {
            let outcome = ready!(this.round.as_mut().poll(cx));
            let claim = this
                .holding
                .as_ref()
                .expect("polled after it was ready")
                .claim();
            if outcome.verdict == Verdict::Granted && claim.terms().fenced {
                let agreement = match *this.raising_to {
                    Some(token) => Agreement::Token(token),
                    None => claim.agree(),
                };
                match agreement {
                    Agreement::Token(token) => claim.set_token(token),
                    Agreement::Raise(token) => {
                        let round = claim.raise(token);
                        this.round.set(round);
                        *this.raising_to = Some(token);
                        continue;
                    }
                    Agreement::None => unreachable!("whoever grants on fenced terms has a number"),
                }
            }
            break outcome;
        };
        let holding = this.holding.take().expect("polled after it was ready");
        let claim = holding.claim();
        let verdict = outcome.verdict;
        let until = claim.until_from(claim.begun());
        // The clock is read after the last counted vote.
        if verdict == Verdict::Granted && Instant::now() + claim.options().min_validity() < until {
            claim.begin(until);
            tracing::debug!(
                name = %claim.name(),
                token = claim.token().map(FencingToken::get),
                "acquired"
            );
            return Poll::Ready(Ok(Guard::new(holding)));
        }
        let own = |vote: &Option<Vote>| matches!(vote, Some(Vote::Granted));
        let own = outcome.votes.iter().map(own).collect();
        let votes = outcome.into_votes(claim);
        let reason = match verdict {
            Verdict::Refused => Reason::Taken,
            // Those who answered would have been enough, had they agreed: with a node down, this
            // is what two look like who try at the same time.
            Verdict::Unknown if votes.quorum_answered() => Reason::Taken,
            Verdict::Granted | Verdict::Unknown => Reason::Unavailable,
        };
        tracing::debug!(name = %claim.name(), ?reason, "not acquired");
        // Behind what is still under way, and at once, so that the next try does not meet this one.
        // What cannot be done at once goes on in the background.
        let _ = pin!(holding.undo()).poll(cx);
        Poll::Ready(Err(Failure { reason, votes, own }))
    }
}
