//! One message to every node, and the count of the answers.

use std::{
    future::Future,
    mem,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    future::{BoxFuture, FutureExt},
    stream::{FuturesUnordered, Stream, StreamExt},
};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    NodeError,
    claim::Claim,
    quorum::{NodeVote, Tally, Verdict, Vote, Votes},
};

/// A message to one node: which node, and its vote when it has settled.
pub(crate) type Ballot = BoxFuture<'static, (usize, Vote)>;

/// The ballot of one node. If its code panics, that is a failure of this node, and no reason to drop
/// the ballots of the others.
pub(crate) fn ballot(node: usize, vote: impl Future<Output = Vote> + Send + 'static) -> Ballot {
    AssertUnwindSafe(vote)
        .catch_unwind()
        .map(move |vote| {
            let panicked = || Vote::Failed(NodeError::Unexpected("it panicked".into()));
            (node, vote.unwrap_or_else(|_| panicked()))
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
        ballots: FuturesUnordered<Ballot>,
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
            let mut ballots = mem::take(self.ballots);
            let work = async move { while ballots.next().await.is_some() {} };
            self.claim.in_background(*self.pursuit, work);
        }
    }
}

impl Round {
    pub(crate) fn new(
        claim: &Arc<Claim>,
        ballots: impl IntoIterator<Item = Ballot>,
        deadline: Deadline,
        pursuit: Duration,
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
            pursuit,
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
                        this.limit.set(Some(match *this.deadline {
                            Deadline::At(deadline) => sleep_until(deadline),
                            Deadline::After(limit) => sleep(limit),
                        }));
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
