//! The verification of a lease: whether the nodes still keep its keys. It changes nothing.

use std::{
    future::poll_fn,
    task::{Poll, ready},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::Lease;
use crate::quorum::{
    count::Count,
    tally::Verdict,
    votes::{Vote, Votes},
};

/// The result of a verification.
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
    pub(crate) async fn verify(&self) -> Kept {
        let nodes = self.site.nodes();
        let deadline = Instant::now() + self.options().timing.node_timeout();
        let count = Count::new(nodes.len(), true);
        let mut remaining: Option<Duration> = None;
        let mut answers: FuturesUnordered<_> = (0..nodes.len())
            .map(|node| async move { (node, self.kept_on(node).await) })
            .collect();
        let verdict = poll_fn(|cx| {
            loop {
                if let Poll::Ready(verdict) = count.poll_verdict(cx) {
                    return Poll::Ready(verdict);
                }
                let answer = ready!(answers.poll_next_unpin(cx));
                let (node, kept) = answer.expect("when all nodes have voted, there is a verdict");
                let vote = match kept {
                    Ok(kept) => {
                        remaining = Some(remaining.map_or(kept, |least| least.min(kept)));
                        Vote::Granted
                    }
                    Err(vote) => vote,
                };
                count.vote(node, vote);
            }
        });
        let verdict = timeout_at(deadline, verdict).await;
        Kept {
            verdict: verdict.unwrap_or_else(|_| count.end()),
            remaining: remaining.unwrap_or_default(),
            votes: self.votes(count.take_votes()),
        }
    }

    /// Asks a node for how long it will keep all names with this lease's owner value. Returns its
    /// vote if it does not keep them all.
    async fn kept_on(&self, node: usize) -> Result<Duration, Vote> {
        let found = self.site.nodes().inspect(node, &self.entry().names).await;
        let (mut kept, mut is_missing) = (Duration::MAX, false);
        for found in found.map_err(Vote::Failed)? {
            let Some(found) = found else {
                is_missing = true;
                continue;
            };
            let mut holders = found.holders.into_iter();
            let ours = holders.find(|holder| holder.value == self.entry().value);
            match ours.filter(|_| found.mode == self.entry().mode) {
                // If the time is unknown, none can be relied on.
                Some(ours) => kept = kept.min(ours.remaining.unwrap_or_default()),
                None => return Err(Vote::Refused { remaining: None }),
            }
        }
        if is_missing {
            return Err(Vote::Missing);
        }
        Ok(kept)
    }
}
