//! The loss of a lock: whether it has been noted, and what the nodes said.

use std::{fmt, sync::atomic::Ordering};

use crate::{
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

    /// Why the lock is lost, for a log.
    pub(super) fn reason(&self) -> impl fmt::Display {
        Reason(self.votes())
    }
}

struct Reason(Option<Votes>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(votes) => votes.described("keeps it", "had another's key").fmt(f),
            None => f.write_str("it was not extended in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        assert_eq!(loss.reason().to_string(), "it was not extended in time");
        loss.note_votes(Some(votes([
            ("one", Vote::Granted),
            ("two", Vote::Refused { remaining: None }),
        ])));
        assert_eq!(
            loss.reason().to_string(),
            "one keeps it; two had another's key"
        );
    }
}
