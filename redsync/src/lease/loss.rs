//! The loss of a lock: whether it has been noted, and what the nodes said.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    Printable,
    quorum::votes::Votes,
    sync::{AtomicBool, Mutex},
};

#[derive(Default)]
pub(super) struct Loss {
    is_noted: AtomicBool,
    /// For each node, the vote of the last round that asked it and did not confirm the lock, if
    /// none has confirmed it since.
    votes: Mutex<Option<Votes>>,
}

impl Loss {
    /// Notes the loss. Returns whether this is the first time.
    pub(super) fn note(&self) -> bool {
        // Relaxed: only one of two callers may see false, and nothing else is ordered by the flag.
        !self.is_noted.swap(true, Ordering::Relaxed)
    }

    /// Notes the votes of a round that has not confirmed the lock, or [`None`] if a round has.
    pub(super) fn note_votes(&self, votes: Option<Votes>) {
        let mut noted = self.votes.lock();
        *noted = votes.map(|votes| match &*noted {
            // A round that begins just before the end asks no node, and so does not say why.
            Some(earlier) => votes.or_if_not_asked(earlier),
            None => votes,
        });
    }

    /// The votes of the last rounds that did not confirm the lock, if none has confirmed it since.
    pub(super) fn votes(&self) -> Option<Votes> {
        self.votes.lock().clone()
    }

    /// Why the lock is lost, for a log: the answer of each of these nodes.
    pub(super) fn reason<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Arc<str>>,
    ) -> impl fmt::Display {
        Reason {
            votes: self.votes(),
            nodes: nodes.collect(),
        }
    }
}

struct Reason<'a> {
    votes: Option<Votes>,
    nodes: Vec<&'a Arc<str>>,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(votes) = &self.votes else {
            return f.write_str("it was not extended in time");
        };
        votes.described("keeps it", "had another's key").fmt(f)?;
        let has_voted = |address: &str| votes.iter().any(|node| node.address() == address);
        for address in self.nodes.iter().filter(|address| !has_voted(address)) {
            // The loss was certain by then.
            write!(f, "; {} was not waited for", Printable(&***address))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeError, NodeVote, Vote};

    fn votes(votes: [(&str, Vote); 2]) -> Votes {
        let votes = votes.map(|(address, vote)| NodeVote {
            address: address.into(),
            vote,
        });
        Votes {
            name: Arc::<str>::from("a").into(),
            nodes: 2,
            votes: votes.into(),
            attempt: 1,
        }
    }

    #[test]
    fn a_node_that_was_not_asked_again_has_its_earlier_reason() {
        let loss = Loss::default();
        let failed = |error| Vote::Failed(error);
        loss.note_votes(Some(votes([
            ("one", failed(NodeError::TimedOut)),
            ("two", failed(NodeError::TimedOut)),
        ])));
        loss.note_votes(Some(votes([
            ("one", failed(NodeError::NotSent)),
            ("two", Vote::Missing),
        ])));
        let noted = loss.votes().expect("votes");
        let [one, two] = &noted.votes[..] else {
            panic!("{noted:?}");
        };
        assert!(matches!(one.vote, Vote::Failed(NodeError::TimedOut)));
        assert!(matches!(two.vote, Vote::Missing));
        loss.note_votes(None);
        assert!(loss.votes().is_none());
    }

    #[test]
    fn a_loss_is_noted_once_and_says_why() {
        let loss = Loss::default();
        assert!(loss.note());
        assert!(!loss.note());
        let nodes: [Arc<str>; 3] = ["one", "two", "three"].map(Arc::from);
        let reason = || loss.reason(nodes.iter()).to_string();
        assert_eq!(reason(), "it was not extended in time");
        loss.note_votes(Some(votes([
            ("one", Vote::Granted),
            ("two", Vote::Refused { remaining: None }),
        ])));
        assert_eq!(
            reason(),
            "one keeps it; two had another's key; three was not waited for"
        );
    }
}
