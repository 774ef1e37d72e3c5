//! The arithmetic of votes. Pure: no I/O and no clock, so that every decision can be tested, and
//! model-checked, as it is.

use std::{fmt, sync::Arc, time::Duration};

use crate::NodeError;

/// The smallest number of nodes of which any two sets of that size share a node.
pub(crate) const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// What the votes of a round amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A quorum granted.
    Granted,
    /// The refusals alone keep any quorum from forming.
    Refused,
    /// No quorum can form, and refusals alone are not the reason: nodes failed.
    Unknown,
}

/// Counts the votes of one round, each node at most once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    nodes: usize,
    granted: usize,
    refused: usize,
    failed: usize,
}

impl Tally {
    pub(crate) const fn new(nodes: usize) -> Self {
        Self {
            nodes,
            granted: 0,
            refused: 0,
            failed: 0,
        }
    }

    pub(crate) const fn count(&mut self, vote: &Vote) {
        match vote {
            Vote::Granted => self.granted += 1,
            Vote::Refused { .. } => self.refused += 1,
            Vote::Failed(_) => self.failed += 1,
        }
    }

    const fn outstanding(&self) -> usize {
        self.nodes - self.granted - self.refused - self.failed
    }

    /// How many nodes must withhold their vote for a quorum to be out of reach.
    const fn blocking(&self) -> usize {
        self.nodes - majority(self.nodes) + 1
    }

    /// The verdict, as soon as no outstanding vote can change it.
    ///
    /// That a quorum is out of reach may be known before it is known why: because nodes refuse, or
    /// because too few answer. The two mean different things to a caller (come back later, or page
    /// someone), so outstanding votes are waited for while they can tell.
    pub(crate) const fn verdict(&self) -> Option<Verdict> {
        let (quorum, blocking) = (majority(self.nodes), self.blocking());
        let open = self.outstanding();
        let no_quorum_answers = self.failed >= blocking;
        let a_divided_quorum_answers = self.granted + self.refused >= quorum
            && self.granted + open < quorum
            && self.refused + open < blocking;
        if self.granted >= quorum {
            Some(Verdict::Granted)
        } else if self.refused >= blocking {
            Some(Verdict::Refused)
        } else if no_quorum_answers || a_divided_quorum_answers {
            Some(Verdict::Unknown)
        } else {
            None
        }
    }
}

/// What one node said in a round.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Vote {
    /// The node did what it was asked: it acquired, extended or released.
    Granted,
    /// The node answered that the key is not the caller's: taken by another, or gone.
    #[non_exhaustive]
    Refused {
        /// How long the node will keep the key of the present holder, if it told.
        remaining: Option<Duration>,
    },
    /// The node gave no usable answer.
    Failed(NodeError),
}

/// One node's vote, and which node it was.
#[derive(Clone, Debug)]
pub struct NodeVote {
    pub(crate) address: Arc<str>,
    pub(crate) vote: Vote,
}

impl NodeVote {
    /// The node's address, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the node said.
    #[must_use]
    pub const fn vote(&self) -> &Vote {
        &self.vote
    }
}

/// The nodes' votes in one round on one name.
///
/// This is what [`LockError`](crate::LockError), [`ExtendError`](crate::ExtendError) and
/// [`ReleaseError`](crate::ReleaseError) carry, so that a log line says which node failed and how.
#[derive(Clone, Debug)]
pub struct Votes {
    pub(crate) name: Arc<str>,
    pub(crate) nodes: usize,
    pub(crate) votes: Vec<NodeVote>,
    /// Of the claim that was voted on.
    pub(crate) attempt: u32,
}

impl Votes {
    /// The name that was voted on, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the tries for one lock they were cast in, from 1 on: in a
    /// [`LockError`](crate::LockError), how many tries there were.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// The votes, at most one per node: those that no longer mattered were not waited for.
    pub fn iter(&self) -> impl Iterator<Item = &NodeVote> {
        self.votes.iter()
    }

    /// How many nodes make a quorum.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        majority(self.nodes)
    }

    /// How many nodes granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.iter()
            .filter(|node| matches!(node.vote, Vote::Granted))
            .count()
    }

    /// How long until a quorum can be free if the present holders neither extend nor release.
    ///
    /// [`None`] where that is not known: a node that is needed failed, or did not tell.
    #[must_use]
    pub fn free_in(&self) -> Option<Duration> {
        let mut remaining: Vec<Option<Duration>> = self
            .iter()
            .filter_map(|node| match node.vote {
                Vote::Granted => Some(Some(Duration::ZERO)),
                Vote::Refused { remaining } => Some(remaining),
                Vote::Failed(_) => None,
            })
            .collect();
        // Those that did not tell come last.
        remaining.sort_by_key(|remaining| remaining.unwrap_or(Duration::MAX));
        remaining.get(self.quorum() - 1).copied().flatten()
    }

    /// Whether a quorum of nodes gave a usable answer, whichever.
    pub(crate) fn quorum_answered(&self) -> bool {
        let answered = |node: &&NodeVote| !matches!(node.vote, Vote::Failed(_));
        self.iter().filter(answered).count() >= self.quorum()
    }

    pub(crate) fn first_failure(&self) -> Option<&NodeError> {
        self.votes.iter().find_map(|node| match &node.vote {
            Vote::Failed(error) => Some(error),
            _ => None,
        })
    }

    /// Writes "address: words; address: words", with `refused` for a node's refusal.
    pub(crate) fn describe(
        &self,
        f: &mut fmt::Formatter<'_>,
        granted: &str,
        refused: &str,
    ) -> fmt::Result {
        for (index, node) in self.votes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} ", node.address)?;
            match &node.vote {
                Vote::Granted => f.write_str(granted)?,
                Vote::Refused { .. } => f.write_str(refused)?,
                Vote::Failed(error) => write!(f, "{error}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "granted", "refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(nodes: usize, granted: usize, refused: usize, failed: usize) -> Tally {
        Tally {
            nodes,
            granted,
            refused,
            failed,
        }
    }

    #[test]
    fn two_quorums_always_share_a_node() {
        for nodes in 1..=9 {
            assert!(2 * majority(nodes) > nodes);
            assert!(
                2 * (majority(nodes) - 1) <= nodes,
                "and no smaller set does"
            );
        }
    }

    #[test]
    fn the_verdict_of_every_count_of_up_to_seven_nodes() {
        for nodes in 1..=7 {
            for granted in 0..=nodes {
                for refused in 0..=nodes - granted {
                    for failed in 0..=nodes - granted - refused {
                        let tally = tally(nodes, granted, refused, failed);
                        let open = tally.outstanding();
                        match tally.verdict() {
                            Some(Verdict::Granted) => assert!(granted >= majority(nodes)),
                            Some(Verdict::Refused) => {
                                assert!(nodes - refused < majority(nodes));
                            }
                            Some(Verdict::Unknown) => {
                                assert!(granted + open < majority(nodes), "a quorum could form");
                                assert!(failed > 0, "no failure to blame");
                                let answered = granted + refused;
                                assert!(
                                    answered >= majority(nodes)
                                        || answered + open < majority(nodes),
                                    "it could still change whether a quorum answers"
                                );
                            }
                            None => assert!(open > 0, "undecided though all have voted"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_dead_node_does_not_turn_contention_into_an_outage() {
        // One of three is dead, one says taken: the third decides which of the two it is.
        assert_eq!(tally(3, 0, 1, 1).verdict(), None);
        assert_eq!(tally(3, 0, 2, 1).verdict(), Some(Verdict::Refused));
        assert_eq!(tally(3, 1, 1, 1).verdict(), Some(Verdict::Unknown));
        assert_eq!(tally(3, 0, 0, 2).verdict(), Some(Verdict::Unknown));
    }

    fn votes(votes: impl IntoIterator<Item = Vote>) -> Votes {
        let votes: Vec<_> = votes.into_iter().collect();
        Votes {
            name: "name".into(),
            nodes: votes.len(),
            attempt: 1,
            votes: votes
                .into_iter()
                .map(|vote| NodeVote {
                    address: "node".into(),
                    vote,
                })
                .collect(),
        }
    }

    fn taken(seconds: impl Into<Option<u64>>) -> Vote {
        Vote::Refused {
            remaining: seconds.into().map(Duration::from_secs),
        }
    }

    #[test]
    fn free_when_the_last_node_of_the_earliest_quorum_is() {
        let free_in = |list: Vec<Vote>| votes(list).free_in().map(|duration| duration.as_secs());
        assert_eq!(free_in(vec![taken(3), taken(1), taken(2)]), Some(2));
        assert_eq!(free_in(vec![taken(3), Vote::Granted, taken(2)]), Some(2));
        assert_eq!(free_in(vec![taken(3), taken(None), taken(2)]), Some(3));
        assert_eq!(free_in(vec![taken(3), taken(None), taken(None)]), None);
        let failed = || Vote::Failed(NodeError::TimedOut);
        assert_eq!(free_in(vec![taken(3), failed(), taken(2)]), Some(3));
        assert_eq!(free_in(vec![taken(3), failed(), failed()]), None);
    }
}
