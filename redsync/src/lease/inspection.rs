//! The inspection of a lease: whether the nodes still keep its keys. It changes nothing.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::Lease;
use crate::{
    node::NodeError,
    quorum::{
        count::RoundVotes,
        tally::{Tally, Verdict},
        votes::{Vote, Votes},
    },
};

/// The result of an inspection.
pub(crate) struct Kept {
    /// Granted if a quorum keeps the keys with the owner value of this lease.
    pub(crate) verdict: Verdict,
    /// The shortest time for which a node that granted keeps the keys.
    pub(crate) remaining: Duration,
    pub(crate) votes: Votes,
}

impl Lease {
    /// Asks the nodes whether and for how long they keep all names for this lease. It changes
    /// nothing.
    pub(crate) async fn inspect(&self) -> Kept {
        let nodes = self.site.nodes();
        let deadline = Instant::now() + self.options().timing.node_timeout();
        let mut tally = Tally::new(nodes.len());
        let mut votes: RoundVotes = (0..nodes.len()).map(|_| None).collect();
        let mut remaining: Option<Duration> = None;
        let mut count = |tally: &mut Tally, node: usize, kept: Result<_, NodeError>| {
            let vote = match kept {
                Ok(Some(kept)) => {
                    remaining = Some(remaining.map_or(kept, |least| least.min(kept)));
                    Vote::Granted
                }
                Ok(None) => Vote::Refused { remaining: None },
                Err(error) => Vote::Failed(error),
            };
            tally.count(&vote);
            votes[node] = Some(vote);
        };
        let mut answers: FuturesUnordered<_> = (0..nodes.len())
            .map(|node| async move { (node, self.kept_on(node).await) })
            .collect();
        while tally.verdict().is_none()
            && let Ok(Some((node, kept))) = timeout_at(deadline, answers.next()).await
        {
            count(&mut tally, node, kept);
        }
        drop(answers);
        if tally.verdict().is_none() {
            for vote in votes.iter_mut().filter(|vote| vote.is_none()) {
                tally.count(vote.insert(Vote::Failed(NodeError::TimedOut)));
            }
        }
        let verdict = tally.verdict().expect("all nodes have voted");
        Kept {
            verdict,
            remaining: remaining.unwrap_or_default(),
            votes: self.votes(votes),
        }
    }

    /// Asks a node for how long it will keep all names with this lease's owner value, if it has
    /// them.
    async fn kept_on(&self, node: usize) -> Result<Option<Duration>, NodeError> {
        let found = (self.site.nodes())
            .inspect(node, &self.entry().names)
            .await?;
        let kept = found.into_iter().map(|found| {
            let found = found.filter(|found| found.mode == self.entry().mode)?;
            let mut holders = found.holders.into_iter();
            let ours = holders.find(|holder| holder.value == self.entry().value)?;
            // If the time is unknown, none can be relied on.
            Some(ours.remaining.unwrap_or_default())
        });
        Ok(kept.min().flatten())
    }
}
