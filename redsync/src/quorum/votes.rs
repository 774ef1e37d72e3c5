//! The votes of one round, as errors carry them.

use std::{fmt, sync::Arc, time::Duration};

use super::majority;
use crate::node::NodeError;

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
    /// The number of the attempt that was voted on.
    pub(crate) attempt: u32,
}

impl Votes {
    /// The name that was voted on, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
