//! One message to every node, and the count of the answers.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, Stream, StreamExt},
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    NodeError,
    claim::Claim,
    quorum::{NodeVote, Tally, Verdict, Vote, Votes},
};

/// A message to one node: which node, and its vote when it has settled.
pub(crate) type Ballot = BoxFuture<'static, (usize, Vote)>;

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
    pub(crate) struct Round {
        ballots: FuturesUnordered<Ballot>,
        claim: Arc<Claim>,
        votes: Vec<Option<Vote>>,
        tally: Tally,
        deadline: Instant,
        // Made when an answer is first waited for: in a drop there may be no runtime.
        #[pin]
        limit: Option<Sleep>,
        fail_fast: bool,
    }

    impl PinnedDrop for Round {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.ballots.is_empty() {
                let mut ballots = std::mem::take(this.ballots);
                this.claim.in_background(async move { while ballots.next().await.is_some() {} });
            }
        }
    }
}

impl Round {
    pub(crate) fn new(
        claim: &Arc<Claim>,
        ballots: impl IntoIterator<Item = Ballot>,
        deadline: Instant,
        fail_fast: bool,
    ) -> Self {
        let nodes = claim.nodes().len();
        Self {
            ballots: ballots.into_iter().collect(),
            claim: Arc::clone(claim),
            votes: vec![None; nodes],
            tally: Tally::new(nodes),
            deadline,
            limit: None,
            fail_fast,
        }
    }
}

impl Future for Round {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        let verdict = loop {
            let may_end = *this.fail_fast || this.ballots.is_empty();
            if let Some(verdict) = this.tally.verdict().filter(|_| may_end) {
                break verdict;
            }
            match Pin::new(&mut *this.ballots).poll_next(cx) {
                Poll::Ready(Some((node, vote))) => {
                    debug_assert!(this.votes[node].is_none(), "a node has one vote");
                    this.tally.count(&vote);
                    this.votes[node] = Some(vote);
                    continue;
                }
                Poll::Ready(None) => {}
                Poll::Pending => {
                    if this.limit.is_none() {
                        this.limit.set(Some(sleep_until(*this.deadline)));
                    }
                    let limit = this.limit.as_mut().as_pin_mut().expect("just set");
                    if limit.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
            // No more answers, or none that counts any more.
            for vote in this.votes.iter_mut().filter(|vote| vote.is_none()) {
                let vote = vote.insert(Vote::Failed(NodeError::TimedOut));
                this.tally.count(vote);
            }
            break this.tally.verdict().expect("all have voted");
        };
        Poll::Ready(Outcome {
            verdict,
            votes: std::mem::take(this.votes),
        })
    }
}

impl Outcome {
    /// The votes with their nodes' addresses, for an error.
    pub(crate) fn into_votes(self, claim: &Claim) -> Votes {
        let nodes = claim.nodes();
        Votes {
            name: Arc::clone(claim.name()),
            nodes: nodes.len(),
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
