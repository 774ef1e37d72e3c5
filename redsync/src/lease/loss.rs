//! The loss of a lock: whether it has been noted, and what the nodes said.

use std::{fmt, sync::atomic::Ordering};

use crate::{
    quorum::votes::Votes,
    sync::{AtomicBool, Mutex},
};

#[derive(Default)]
pub(super) struct Loss {
    is_noted: AtomicBool,
    /// The votes of the last round that did not confirm the lock, if none has confirmed it since.
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
        *self.votes.lock() = votes;
    }

    /// The votes of the last round that did not confirm the lock, if none has confirmed it since.
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
            Some(votes) => votes.describe(f, "keeps it", "had another's key"),
            None => f.write_str("it was not extended in time"),
        }
    }
}
