//! The votes of one round, as the nodes cast them: which of them count, and when the verdict is
//! clear.
//!
//! Pure, without I/O, a clock or a mutex of its own. So the model checker drives it as it is.

use std::mem;

use smallvec::{SmallVec, smallvec};

use super::{
    tally::{Tally, Verdict},
    votes::Vote,
};
use crate::node::NodeError;

/// The votes of one round, by node. [`None`] if the verdict was clear before the node voted.
pub(crate) type RoundVotes = Vec<Option<Vote>>;

/// The votes that were cast in one round.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct CastVotes {
    tally: Tally,
    /// How each node has voted. Every lock has a round, so this is kept small.
    cast: SmallVec<[Cast; 8]>,
    /// The votes of nodes that did not grant.
    reasons: Vec<(usize, Vote)>,
    /// How many nodes have not voted. It is still counted after the round has ended.
    outstanding: usize,
    /// Whether the verdict is given as soon as it is clear, rather than when all nodes have voted.
    fail_fast: bool,
    has_ended: bool,
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

impl CastVotes {
    /// The votes of a round that has just begun.
    pub(crate) fn new(nodes: usize, fail_fast: bool) -> Self {
        Self {
            tally: Tally::new(nodes),
            cast: smallvec![Cast::Outstanding; nodes],
            reasons: Vec::new(),
            outstanding: nodes,
            fail_fast,
            has_ended: false,
        }
    }

    /// Takes the vote of a node, which counts unless the round has ended. Returns whether it was
    /// the last outstanding vote.
    pub(crate) fn vote(&mut self, node: usize, vote: Vote) -> bool {
        self.outstanding -= 1;
        if !self.has_ended {
            self.count(node, vote);
        }
        self.outstanding == 0
    }

    /// Notes the preliminary vote of a node. It counts if no final vote arrives in time.
    pub(super) fn expect(&mut self, node: usize, vote: Vote) {
        if !self.has_ended && self.cast[node] == Cast::Outstanding {
            self.cast[node] = Cast::Expected;
            self.reasons.push((node, vote));
        }
    }

    /// The verdict, once it is clear.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if self.fail_fast || self.outstanding == 0 {
            self.tally.verdict()
        } else {
            None
        }
    }

    /// Whether the verdict is clear, and the round has not ended with it.
    pub(super) fn is_decided(&self) -> bool {
        !self.has_ended && self.verdict().is_some()
    }

    /// Ends the round with its verdict, if that is clear. Later votes do not count.
    pub(crate) fn end_if_clear(&mut self) -> Option<Verdict> {
        let verdict = self.verdict()?;
        self.has_ended = true;
        Some(verdict)
    }

    /// Ends the round because its time is over, and returns the verdict. Later votes do not count.
    pub(crate) fn end(&mut self) -> Verdict {
        for node in 0..self.cast.len() {
            match self.cast[node] {
                Cast::Outstanding => self.count(node, Vote::Failed(NodeError::TimedOut)),
                Cast::Expected => {
                    let expected = self.reasons.iter().position(|(other, _)| *other == node);
                    let expected = expected.expect("a preliminary vote");
                    let (_, vote) = self.reasons.swap_remove(expected);
                    self.count(node, vote);
                }
                Cast::Granted | Cast::NotGranted => {}
            }
        }
        self.has_ended = true;
        self.tally.verdict().expect("all nodes have voted")
    }

    /// Ends the round, because nobody waits for its verdict any longer. Returns whether votes are
    /// outstanding.
    pub(crate) const fn abandon(&mut self) -> bool {
        self.has_ended = true;
        self.outstanding > 0
    }

    /// Takes the votes of a round that has ended. The reasons can be taken once.
    pub(super) fn take(&mut self) -> RoundVotes {
        let granted = |cast: &Cast| (*cast == Cast::Granted).then_some(Vote::Granted);
        let mut votes: RoundVotes = self.cast.iter().map(granted).collect();
        for (node, vote) in mem::take(&mut self.reasons) {
            if self.cast[node] == Cast::NotGranted {
                votes[node] = Some(vote);
            }
        }
        votes
    }

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

/// For the model checker. No decision depends on which node has voted how.
#[cfg(test)]
impl std::hash::Hash for CastVotes {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.tally, self.has_ended).hash(state);
    }
}
