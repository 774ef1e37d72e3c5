//! The count of the votes of one round, while they arrive: a [tally](super::tally) that any thread
//! adds to, and that one task waits for.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use smallvec::{SmallVec, smallvec};

use super::{
    tally::{Tally, Verdict},
    votes::Vote,
};
use crate::{node::NodeError, sync::Mutex};

/// The votes of one round, by node. [`None`] if the verdict was clear before the node voted.
pub(crate) type RoundVotes = Vec<Option<Vote>>;

/// The count of the votes of one round.
///
/// A vote is counted where it arrives, on any thread. The task that waits for the verdict is woken
/// once: by the vote that decides.
pub(crate) struct Count {
    state: Mutex<State>,
    /// Whether the verdict is given as soon as it is clear, rather than when all nodes have voted.
    fail_fast: bool,
}

struct State {
    tally: Tally,
    /// How each node has voted. Every lock has a round, so this is kept small.
    cast: SmallVec<[Cast; 8]>,
    /// The votes of nodes that did not grant.
    reasons: Vec<(usize, Vote)>,
    /// How many nodes have not voted. It is still counted after the round has ended.
    outstanding: usize,
    has_ended: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cast {
    Outstanding,
    /// The node has a preliminary vote, which is among the reasons, and is asked for more.
    Expected,
    Granted,
    /// The vote is among the reasons.
    NotGranted,
}

impl Count {
    pub(crate) fn new(nodes: usize, fail_fast: bool) -> Self {
        Self {
            state: Mutex::new(State {
                tally: Tally::new(nodes),
                cast: smallvec![Cast::Outstanding; nodes],
                reasons: Vec::new(),
                outstanding: nodes,
                has_ended: false,
                waker: None,
            }),
            fail_fast,
        }
    }

    /// Counts the vote of a node. Returns whether it was the last outstanding vote.
    pub(crate) fn vote(&self, node: usize, vote: Vote) -> bool {
        let mut state = self.state.lock();
        state.outstanding -= 1;
        let is_last = state.outstanding == 0;
        if state.has_ended {
            return is_last;
        }
        state.count(node, vote);
        let woken = if self.verdict(&state).is_some() {
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
        let mut state = self.state.lock();
        if !state.has_ended && state.cast[node] == Cast::Outstanding {
            state.cast[node] = Cast::Expected;
            state.reasons.push((node, vote));
        }
    }

    fn verdict(&self, state: &State) -> Option<Verdict> {
        if self.fail_fast || state.outstanding == 0 {
            state.tally.verdict()
        } else {
            None
        }
    }

    /// The verdict, once it is clear. Later votes do not count.
    pub(crate) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        let mut state = self.state.lock();
        if let Some(verdict) = self.end_if_clear(&mut state) {
            return Poll::Ready(verdict);
        }
        let is_known = (state.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_known {
            return Poll::Pending;
        }
        // A waker is foreign code: it is neither cloned nor dropped under the lock.
        drop(state);
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let former = state.waker.replace(waker);
        // The deciding vote may have been counted in between, and found no waker.
        let verdict = self.end_if_clear(&mut state);
        drop(state);
        drop(former);
        verdict.map_or(Poll::Pending, Poll::Ready)
    }

    fn end_if_clear(&self, state: &mut State) -> Option<Verdict> {
        let verdict = self.verdict(state)?;
        state.has_ended = true;
        Some(verdict)
    }

    /// Ends the round because its time is over, and returns the verdict. Later votes do not count.
    pub(crate) fn end(&self) -> Verdict {
        let mut state = self.state.lock();
        for node in 0..state.cast.len() {
            match state.cast[node] {
                Cast::Outstanding => state.count(node, Vote::Failed(NodeError::TimedOut)),
                Cast::Expected => {
                    let expected = state.reasons.iter().position(|(other, _)| *other == node);
                    let (_, vote) = state
                        .reasons
                        .swap_remove(expected.expect("a preliminary vote"));
                    state.count(node, vote);
                }
                Cast::Granted | Cast::NotGranted => {}
            }
        }
        state.has_ended = true;
        state.tally.verdict().expect("all nodes have voted")
    }

    /// Takes the votes of a round that has ended. The reasons can be taken once.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        let mut state = self.state.lock();
        let granted = |cast: &Cast| (*cast == Cast::Granted).then_some(Vote::Granted);
        let mut votes: RoundVotes = state.cast.iter().map(granted).collect();
        for (node, vote) in mem::take(&mut state.reasons) {
            if state.cast[node] == Cast::NotGranted {
                votes[node] = Some(vote);
            }
        }
        votes
    }

    /// Ends the round, because nobody waits for its verdict any longer. Returns whether votes are
    /// outstanding.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        state.has_ended = true;
        let are_outstanding = state.outstanding > 0;
        // Dropped after the mutex is unlocked, because it is foreign code.
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        are_outstanding
    }
}

impl State {
    fn count(&mut self, node: usize, vote: Vote) {
        let cast = &mut self.cast[node];
        debug_assert!(
            !matches!(cast, Cast::Granted | Cast::NotGranted),
            "a node has one vote"
        );
        if *cast == Cast::Expected {
            self.reasons.retain(|(other, _)| *other != node);
        }
        self.tally.count(&vote);
        if matches!(vote, Vote::Granted) {
            *cast = Cast::Granted;
        } else {
            *cast = Cast::NotGranted;
            self.reasons.push((node, vote));
        }
    }
}

#[cfg(test)]
mod tests;
