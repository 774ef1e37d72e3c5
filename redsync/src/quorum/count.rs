//! The count of the votes of one round, while they arrive: the [votes](super::cast) that any thread
//! adds to, and that one task waits for.

use std::task::{Context, Poll, Waker};

use super::{
    cast::{CastVotes, RoundVotes},
    tally::Verdict,
    votes::Vote,
};
use crate::sync::Mutex;

/// The count of the votes of one round.
///
/// A vote is counted where it arrives, on any thread. The task that waits for the verdict is woken
/// once: by the vote that decides.
pub(crate) struct Count(Mutex<State>);

struct State {
    votes: CastVotes,
    waker: Option<Waker>,
}

impl Count {
    pub(crate) fn new(nodes: usize, fail_fast: bool) -> Self {
        Self(Mutex::new(State {
            votes: CastVotes::new(nodes, fail_fast),
            waker: None,
        }))
    }

    /// Counts the vote of a node. Returns whether it was the last outstanding vote.
    pub(crate) fn vote(&self, node: usize, vote: Vote) -> bool {
        let mut state = self.0.lock();
        let is_last = state.votes.vote(node, vote);
        let woken = if state.votes.is_decided() {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = woken {
            waker.wake();
        }
        is_last
    }

    /// Notes the preliminary vote of a node. It counts if no final vote arrives in time.
    pub(crate) fn expect(&self, node: usize, vote: Vote) {
        self.0.lock().votes.expect(node, vote);
    }

    /// The verdict, once it is clear. Later votes do not count.
    pub(crate) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        let mut state = self.0.lock();
        if let Some(verdict) = state.votes.end_if_clear() {
            return Poll::Ready(verdict);
        }
        let is_known = (state.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_known {
            return Poll::Pending;
        }
        // A waker is foreign code: it is neither cloned nor dropped under the lock.
        drop(state);
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        let former = state.waker.replace(waker);
        // The deciding vote may have been counted in between, and found no waker.
        let verdict = state.votes.end_if_clear();
        drop(state);
        drop(former);
        verdict.map_or(Poll::Pending, Poll::Ready)
    }

    /// Ends the round because its time is over, and returns the verdict. Later votes do not count.
    pub(crate) fn end(&self) -> Verdict {
        self.0.lock().votes.end()
    }

    /// Takes the votes of a round that has ended. The reasons can be taken once.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        self.0.lock().votes.take()
    }

    /// Ends the round, because nobody waits for its verdict any longer. Returns whether votes are
    /// outstanding.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.0.lock();
        let are_outstanding = state.votes.abandon();
        // Dropped after the mutex is unlocked, because it is foreign code.
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        are_outstanding
    }
}

#[cfg(test)]
mod tests;
