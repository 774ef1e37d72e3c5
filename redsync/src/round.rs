//! One message to every node, and the count of the answers.

use std::{
    future::Future,
    mem,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    NodeError,
    claim::Claim,
    quorum::{NodeVote, Tally, Verdict, Vote, Votes},
};

/// A message to one node, and its vote when it has settled.
pub(crate) type Ballot = BoxFuture<'static, Vote>;

/// The ballot of one node. If its code panics, that is a failure of this node, and no reason to drop
/// the ballots of the others.
pub(crate) fn ballot(vote: impl Future<Output = Vote> + Send + 'static) -> Ballot {
    AssertUnwindSafe(vote)
        .catch_unwind()
        .map(|vote| {
            vote.unwrap_or_else(|_| Vote::Failed(NodeError::Unexpected("it panicked".into())))
        })
        .boxed()
}

/// What a round came to.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) votes: Vec<Option<Vote>>,
}

pin_project! {
    /// One round over all nodes: polls the ballots in the caller's task, and is ready as soon as
    /// the verdict is clear or the time limit is over.
    ///
    /// # Cancel safety
    ///
    /// Whether it is finished or dropped, ballots that have not settled go on in the background:
    /// what was sent cannot be taken back, and what it did has to be known before anything else is
    /// sent about it.
    #[project = RoundProjection]
    pub(crate) struct Round {
        // Those that have not settled. They are few: polling all of them at each wake-up is cheaper
        // than to know which one it is about.
        ballots: Vec<(usize, Ballot)>,
        claim: Arc<Claim>,
        votes: Vec<Option<Vote>>,
        tally: Tally,
        deadline: Deadline,
        // Made when an answer is first waited for: in a drop there may be no runtime.
        #[pin]
        limit: Option<Sleep>,
        // How long the ballots may go on in the background.
        pursuit: Duration,
        fail_fast: bool,
    }

    impl PinnedDrop for Round {
        fn drop(this: Pin<&mut Self>) {
            this.project().hand_over();
        }
    }
}

/// Until when the answers to a round count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    At(Instant),
    /// After this time, from the first poll on.
    After(Duration),
}

impl RoundProjection<'_> {
    /// Leaves the ballots that have not settled to the background.
    fn hand_over(self) {
        if !self.ballots.is_empty() {
            let ballots = mem::take(self.ballots).into_iter();
            let work = join_all(ballots.map(|(_, ballot)| ballot)).map(drop);
            self.claim.in_background(*self.pursuit, work);
        }
    }
}

impl Round {
    /// A round of ballots, each with its node, in the order in which they are sent.
    pub(crate) fn new(
        claim: &Arc<Claim>,
        ballots: Vec<(usize, Ballot)>,
        deadline: Deadline,
        pursuit: Duration,
        fail_fast: bool,
    ) -> Self {
        let nodes = claim.nodes().len();
        Self {
            ballots,
            claim: Arc::clone(claim),
            votes: vec![None; nodes],
            tally: Tally::new(nodes),
            deadline,
            limit: None,
            pursuit,
            fail_fast,
        }
    }
}

impl Future for Round {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        let (votes, tally) = (&mut *this.votes, &mut *this.tally);
        this.ballots.retain_mut(|(node, ballot)| {
            let Poll::Ready(vote) = ballot.as_mut().poll(cx) else {
                return true;
            };
            debug_assert!(votes[*node].is_none(), "a node has one vote");
            tally.count(&vote);
            votes[*node] = Some(vote);
            false
        });
        let may_end = *this.fail_fast || this.ballots.is_empty();
        if !may_end || tally.verdict().is_none() {
            if this.limit.is_none() {
                this.limit.set(Some(match *this.deadline {
                    Deadline::At(deadline) => sleep_until(deadline),
                    Deadline::After(limit) => sleep(limit),
                }));
            }
            let limit = this.limit.as_mut().as_pin_mut().expect("just set");
            ready!(limit.poll(cx));
            // No more answers, or none that counts any more.
            for vote in votes.iter_mut().filter(|vote| vote.is_none()) {
                let vote = vote.insert(Vote::Failed(NodeError::TimedOut));
                tally.count(vote);
            }
        }
        let verdict = tally.verdict().expect("all have voted, or enough");
        let votes = mem::take(this.votes);
        // Now, not when this is dropped: a future that is ready may be kept for long.
        this.hand_over();
        Poll::Ready(Outcome { verdict, votes })
    }
}

impl Outcome {
    /// The votes with their nodes' addresses, for an error.
    pub(crate) fn into_votes(self, claim: &Claim) -> Votes {
        let nodes = claim.nodes();
        Votes {
            name: Arc::clone(claim.name()),
            nodes: nodes.len(),
            attempt: claim.attempt(),
            votes: (self.votes.into_iter().zip(nodes))
                .filter_map(|(vote, node)| {
                    Some(NodeVote {
                        address: node.get().address().into(),
                        vote: vote?,
                    })
                })
                .collect(),
        }
    }
}
