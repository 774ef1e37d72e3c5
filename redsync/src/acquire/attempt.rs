//! One attempt: ask all nodes, count their votes, decide, and clean up after a failure.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::limit::Limit;
use crate::{
    FencingToken, Guard, LockError, OwnerValue,
    common::Common,
    fence::Agreement,
    lease::{Lease, Pending},
    node::NodeError,
    nodes::Nodes,
    queue::OwnedLease,
    quorum::{
        cast::RoundVotes,
        tally::Verdict,
        votes::{Vote, Votes},
    },
    request::Request,
};

pin_project! {
    /// One attempt, with one owner value, on all nodes: a round that acquires, and for a fenced
    /// lock perhaps a round that raises counters.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the nodes that may have its key are released in the background, each after
    /// its acquisition has been answered.
    pub(super) struct Attempt {
        // Dropped before `owned`, so that the release follows the acquisition.
        #[pin]
        pending: Pending,
        raising_to: Option<FencingToken>,
        owned: Option<OwnedLease>,
        common: Arc<Common>,
    }
}

/// Why an attempt failed.
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) votes: Votes,
    /// For each node, whether it granted. The nodes that did are being released.
    pub(crate) own: Vec<bool>,
    /// Whether nodes have reserved the names for the next attempt, because shared holders kept this
    /// one out.
    pub(crate) reserves: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Taken,
    /// A key that is not a lock has the name, and stays.
    NotALock,
    Unavailable,
    TooLate,
}

impl Failure {
    fn new(reason: Reason, verdict: Verdict, votes: RoundVotes, lease: &Lease) -> Self {
        // After a grant that came too late, all keys are released.
        let is_own = |vote: &Option<Vote>| {
            verdict != Verdict::Granted && matches!(vote, Some(Vote::Granted))
        };
        let own = votes.iter().map(is_own).collect();
        let votes = lease.votes(votes);
        Self {
            reason: match votes.not_a_lock() {
                Some(_) => Reason::NotALock,
                None => reason,
            },
            votes,
            own,
            reserves: lease.lanes().are_reserved(),
        }
    }

    /// The failure of an attempt that was not begun, because too many others are under way.
    pub(crate) fn overloaded(request: &Request, nodes: &Nodes) -> Self {
        let attempts = request.attempts();
        let votes = nodes.not_asked(&request.label, attempts, &NodeError::Overloaded);
        Self {
            reason: Reason::Unavailable,
            votes,
            own: Vec::new(),
            reserves: false,
        }
    }

    /// Whether no later attempt can succeed.
    pub(crate) fn is_final(&self) -> bool {
        self.reason == Reason::NotALock
    }

    /// Whether nodes may have reserved the names for this attempt, if it was to be repeated. If
    /// shared holders have a majority, one of the nodes that refused has said so.
    pub(crate) fn may_reserve(&self) -> bool {
        self.reserves || self.reason != Reason::Taken
    }

    pub(crate) fn into_error(self, limit: Limit) -> LockError {
        match (self.reason, limit) {
            (Reason::NotALock, _) => LockError::NotALock(self.votes),
            (Reason::Unavailable, _) => LockError::Unavailable(self.votes),
            (Reason::TooLate, _) => LockError::TooLate(self.votes),
            (Reason::Taken, Limit::Tries(_)) => LockError::Taken(self.votes),
            (Reason::Taken, Limit::Until(_)) => LockError::TimedOut(self.votes),
        }
    }
}

/// The decision after the verdict of a round.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The lock is held, with this token if it is fenced.
    Held(Option<FencingToken>),
    /// The lower counters have to be raised to this token first.
    Raise(FencingToken),
    Failed(Reason),
}

/// Decides what follows a round of an attempt.
///
/// Pure. `raised_to` is the token that the round raised counters to, if it did. `counters` returns
/// the agreement of the nodes' counters, if the lock is fenced. `is_in_time` says whether enough
/// validity is left.
pub(crate) fn decide(
    verdict: Verdict,
    raised_to: Option<FencingToken>,
    counters: impl FnOnce() -> Option<Agreement>,
    is_in_time: bool,
) -> Decision {
    match verdict {
        Verdict::Granted => {}
        // A divided quorum is contention, too: two attempts at the same time look like this while a
        // node is down.
        Verdict::Refused | Verdict::Divided => return Decision::Failed(Reason::Taken),
        Verdict::Unavailable => return Decision::Failed(Reason::Unavailable),
    }
    // Counters that were raised agree.
    match raised_to.map(Agreement::Token).or_else(counters) {
        Some(Agreement::Raise(token)) => Decision::Raise(token),
        Some(Agreement::None) => unreachable!("every node that grants a fenced lock has a number"),
        _ if !is_in_time => Decision::Failed(Reason::TooLate),
        Some(Agreement::Token(token)) => Decision::Held(Some(token)),
        None => Decision::Held(None),
    }
}

impl Attempt {
    /// Starts an attempt on one of the permits, which may be `repeated` if it fails. The clock is
    /// read before anything is sent.
    pub(super) fn start(
        request: &Request,
        permit: usize,
        common: &Arc<Common>,
        repeated: bool,
    ) -> Result<Self, LockError> {
        let label = match &request.options.rounds.owner_label {
            Some(label) => label().map_err(LockError::Value)?,
            None => String::new(),
        };
        let value = OwnerValue::random(&label).map_err(LockError::Value)?;
        let lease = Lease::new(common.site(), request, permit, value, repeated);
        let pending = lease.acquire();
        Ok(Self {
            pending,
            raising_to: None,
            owned: Some(common.own(lease)),
            common: Arc::clone(common),
        })
    }
}

impl Future for Attempt {
    type Output = Result<Guard, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let verdict = ready!(this.pending.as_mut().poll(cx));
            let owned = this.owned.take().expect("polled after it was ready");
            let lease = owned.lease();
            let until = lease.until_from(lease.started_at());
            let counters = || (lease.entry().fenced).then(|| lease.lanes().agreement());
            // This reads the clock after the last counted vote.
            let is_in_time = lease.options().timing.is_enough(Instant::now(), until);
            match decide(verdict, *this.raising_to, counters, is_in_time) {
                Decision::Held(token) => {
                    begin_hold(lease, token, until);
                    return Poll::Ready(Ok(Guard::new(owned, this.common)));
                }
                Decision::Raise(token) => {
                    let raise = lease.raise(token);
                    *this.raising_to = Some(token);
                    *this.owned = Some(owned);
                    this.pending.set(raise);
                }
                Decision::Failed(reason) => {
                    let votes = this.pending.take_votes();
                    let failure = Failure::new(reason, verdict, votes, lease);
                    tracing::debug!(
                        name = %lease.label(),
                        reason = ?failure.reason,
                        "the lock was not acquired"
                    );
                    // The release starts at once, so that the next attempt does not meet the keys
                    // of this one. On each node it follows the commands that are still under way.
                    // What is left of it continues in the background.
                    let _ = pin!(owned.undo()).poll(cx);
                    return Poll::Ready(Err(failure));
                }
            }
        }
    }
}

fn begin_hold(lease: &Lease, token: Option<FencingToken>, until: Instant) {
    if let Some(token) = token {
        lease.set_token(token);
    }
    lease.begin_hold(until);
    tracing::debug!(
        name = %lease.label(),
        token = token.map(FencingToken::get),
        "acquired"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_in_time_holds_the_lock() {
        let token = FencingToken::new(7);
        let decide = |agreement: Option<_>, is_in_time| {
            decide(Verdict::Granted, None, || agreement, is_in_time)
        };
        assert_eq!(decide(None, true), Decision::Held(None));
        assert_eq!(decide(None, false), Decision::Failed(Reason::TooLate));
        let agreed = || Some(Agreement::Token(token));
        assert_eq!(decide(agreed(), true), Decision::Held(Some(token)));
        assert_eq!(decide(agreed(), false), Decision::Failed(Reason::TooLate));
        let raise = Some(Agreement::Raise(token));
        assert_eq!(decide(raise, true), Decision::Raise(token));
    }

    #[test]
    fn counters_that_a_quorum_has_raised_agree_on_the_token() {
        let token = FencingToken::new(7);
        let decide = |verdict| decide(verdict, Some(token), || Some(Agreement::Raise(token)), true);
        assert_eq!(decide(Verdict::Granted), Decision::Held(Some(token)));
        let failed = Decision::Failed(Reason::Unavailable);
        assert_eq!(decide(Verdict::Unavailable), failed);
    }

    #[test]
    fn a_divided_quorum_is_contention_and_too_few_answers_are_an_outage() {
        let decide = |verdict| decide(verdict, None, || None, true);
        let failed = Decision::Failed;
        assert_eq!(decide(Verdict::Refused), failed(Reason::Taken));
        assert_eq!(decide(Verdict::Divided), failed(Reason::Taken));
        assert_eq!(decide(Verdict::Unavailable), failed(Reason::Unavailable));
    }
}
