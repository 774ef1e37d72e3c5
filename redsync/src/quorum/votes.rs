//! The votes of one round, as they appear in errors.

use std::{fmt, sync::Arc, time::Duration};

use super::majority;
use crate::{
    fence::is_counter,
    node::NodeError,
    printable::{Label, Printable},
};

/// The vote of one node in a round.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Vote {
    /// The node acquired, extended or released the key, as it was asked.
    Granted,
    /// The node answered that another holder has the key; or, after a release, that it has no key.
    #[non_exhaustive]
    Refused {
        /// How long the node will keep the key of the present holder, if that is known.
        remaining: Option<Duration>,
    },
    /// The node had no key with one of the names, and no other holder had one: the key has expired,
    /// was deleted, or was lost when the node restarted without its data. It is also the vote of a
    /// node on which the key has been set again since then.
    Missing,
    /// A key with one of the names is not a lock, or the key of its counter of [fencing
    /// tokens](crate::fence) is not a counter. The name cannot be acquired.
    #[non_exhaustive]
    NotALock {
        /// The key: the name with its prefix, or the key of its counter.
        name: Arc<str>,
    },
    /// The node gave no usable answer.
    Failed(NodeError),
}

/// The vote of one node, with the address of the node.
#[derive(Clone, Debug)]
pub struct NodeVote {
    pub(crate) address: Arc<str>,
    pub(crate) vote: Vote,
}

impl NodeVote {
    /// Returns the node's address, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the vote.
    #[must_use]
    pub const fn vote(&self) -> &Vote {
        &self.vote
    }
}

/// The votes of the nodes in one round.
///
/// The errors of locking, extending, verifying and releasing contain them, so that a log shows
/// which node failed and why.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let redsync = redsync::Redsync::in_memory(3);
/// # let _guard = redsync.mutex("order:42").lock().await?;
/// if let Err(error) = redsync.mutex("order:42").try_lock().await {
///     for node in error.votes().into_iter().flat_map(|votes| votes.iter()) {
///         println!("{}: {:?}", node.address(), node.vote());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Votes {
    pub(crate) name: Label,
    pub(crate) nodes: usize,
    pub(crate) votes: Vec<NodeVote>,
    /// The number of the attempt that the round belongs to.
    pub(crate) attempt: u32,
}

impl Votes {
    /// Returns the name of the lock, with its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Iterates over the votes, at most one per node. Votes that could no longer change the outcome
    /// may be missing.
    pub fn iter(&self) -> impl Iterator<Item = &NodeVote> {
        self.votes.iter()
    }

    /// Returns how many nodes make a quorum.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        majority(self.nodes)
    }

    /// Returns how many nodes granted.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.iter()
            .filter(|node| matches!(node.vote, Vote::Granted))
            .count()
    }

    /// Replaces the vote of each node that was not asked by its vote in an earlier round.
    pub(crate) fn or_if_not_asked(mut self, earlier: &Self) -> Self {
        for node in &mut self.votes {
            if matches!(node.vote, Vote::Failed(NodeError::NotSent)) {
                let earlier = earlier.iter().find(|it| it.address == node.address);
                node.vote = earlier.map_or(&node.vote, |it| &it.vote).clone();
            }
        }
        self
    }

    /// The key that keeps a quorum from granting, because it is not a lock. If another holder keeps
    /// it from that as well, as half of an even number of nodes can, it is not known yet what comes
    /// after the holder.
    pub(crate) fn not_a_lock(&self) -> Option<&Arc<str>> {
        // Enough nodes that the rest cannot form a quorum.
        let last = self.nodes - self.quorum();
        let is_taken = |node: &&NodeVote| matches!(node.vote, Vote::Refused { .. } | Vote::Missing);
        let mut keys = self.iter().filter_map(|node| match &node.vote {
            Vote::NotALock { name } => Some(name),
            _ => None,
        });
        keys.nth(last)
            .filter(|_| self.iter().filter(is_taken).nth(last).is_none())
    }

    /// Returns how long it takes until the name is free on a quorum of nodes, if the present
    /// holders neither extend nor release it.
    ///
    /// [`None`] if this is unknown: a node that is needed for the quorum failed, or did not say how
    /// long it keeps the key.
    #[must_use]
    pub fn free_in(&self) -> Option<Duration> {
        let mut remaining: Vec<Option<Duration>> = self
            .iter()
            .filter_map(|node| match &node.vote {
                Vote::Granted | Vote::Missing => Some(Some(Duration::ZERO)),
                Vote::Refused { remaining } => Some(*remaining),
                Vote::NotALock { .. } => Some(None),
                Vote::Failed(_) => None,
            })
            .collect();
        // Unknown times come last.
        remaining.sort_by_key(|remaining| remaining.unwrap_or(Duration::MAX));
        remaining.get(self.quorum() - 1).copied().flatten()
    }

    /// Displays each node's address and vote, such as `10.0.0.1:6379 taken; 10.0.0.2:6379
    /// acquired`.
    pub(crate) const fn described<'a>(
        &'a self,
        granted: &'a str,
        refused: &'a str,
    ) -> Described<'a> {
        Described {
            votes: self,
            granted,
            refused,
        }
    }
}

/// The votes of a round, with words for those that granted and those that refused.
pub(crate) struct Described<'a> {
    votes: &'a Votes,
    granted: &'a str,
    refused: &'a str,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.votes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} ", Printable(&node.address))?;
            match &node.vote {
                Vote::Granted => f.write_str(self.granted)?,
                Vote::Refused { .. } => f.write_str(self.refused)?,
                Vote::Missing => f.write_str("had no key")?,
                Vote::NotALock { name } => {
                    let expected = if is_counter(name) { "counter" } else { "lock" };
                    write!(
                        f,
                        "has a key `{}` that is not a {expected}",
                        Printable(name)
                    )?;
                }
                Vote::Failed(error) => write!(f, "{error}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.described("granted", "refused").fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(votes: impl IntoIterator<Item = Vote>) -> Votes {
        let votes: Vec<_> = votes.into_iter().collect();
        Votes {
            name: Label::from(Arc::<str>::from("name")),
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
    fn a_quorum_is_free_when_its_last_node_is() {
        let free_in = |list: Vec<Vote>| votes(list).free_in().map(|duration| duration.as_secs());
        assert_eq!(free_in(vec![taken(3), taken(1), taken(2)]), Some(2));
        assert_eq!(free_in(vec![taken(3), Vote::Granted, taken(2)]), Some(2));
        assert_eq!(free_in(vec![taken(3), taken(None), taken(2)]), Some(3));
        assert_eq!(free_in(vec![taken(3), taken(None), taken(None)]), None);
        let failed = || Vote::Failed(NodeError::TimedOut);
        assert_eq!(free_in(vec![taken(3), failed(), taken(2)]), Some(3));
        assert_eq!(free_in(vec![taken(3), failed(), failed()]), None);
    }

    #[test]
    fn a_key_that_is_not_a_lock_is_the_reason_if_it_keeps_a_quorum_from_granting() {
        let foreign = || Vote::NotALock { name: "key".into() };
        let reason = |list: [Vote; 3]| votes(list).not_a_lock().cloned();
        assert_eq!(reason([foreign(), taken(1), taken(1)]), None);
        assert_eq!(
            reason([foreign(), taken(1), foreign()]).as_deref(),
            Some("key")
        );
        assert_eq!(reason([taken(1), taken(1), taken(1)]), None);
    }

    #[test]
    fn votes_are_shown_one_after_the_other() {
        let name = "a:fence".into();
        let failed = Vote::Failed(NodeError::TimedOut);
        let shown = votes([Vote::Granted, taken(1), Vote::NotALock { name }, failed]).to_string();
        let expected = format!(
            "node granted; node refused; node has a key `a:fence` that is not a counter; node {}",
            NodeError::TimedOut
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_node_that_was_not_asked_has_the_vote_of_its_own_address() {
        let not_asked = || Vote::Failed(NodeError::NotSent);
        let named = |list: [Vote; 2]| {
            let mut votes = votes(list);
            votes.votes[1].address = "other".into();
            votes
        };
        let earlier = named([taken(1), Vote::Missing]);
        let now = named([not_asked(), not_asked()]).or_if_not_asked(&earlier);
        assert!(matches!(now.votes[0].vote, Vote::Refused { .. }));
        assert!(matches!(now.votes[1].vote, Vote::Missing));
    }
}
