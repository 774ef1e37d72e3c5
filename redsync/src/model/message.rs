//! The messages between leases and servers.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use crate::node::{AcquireVote, Answer, ExtendVote, RaiseVote, ReleaseVote};

/// A command on its way to a server, or its answer on the way back.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) lease: usize,
    pub(super) round: usize,
    pub(super) node: usize,
    pub(super) answer: Option<Answer>,
}

impl Message {
    /// What distinguishes messages. It leaves out for how long a name is taken, on which only
    /// pauses depend.
    fn identity(&self) -> (usize, usize, usize, u8, u64) {
        let (kind, number) = match &self.answer {
            None => (0, 0),
            Some(Answer::Acquire(AcquireVote::Acquired { number })) => {
                (1, number.map_or(0, |number| number.get()))
            }
            Some(Answer::Acquire(_)) => (2, 0),
            Some(Answer::Raise(RaiseVote::Raised)) => (3, 0),
            Some(Answer::Raise(RaiseVote::Refused)) => (4, 0),
            Some(Answer::Extend(ExtendVote::Extended)) => (5, 0),
            Some(Answer::Extend(ExtendVote::Healed)) => (6, 0),
            Some(Answer::Extend(ExtendVote::NotOwner)) => (7, 0),
            Some(Answer::Extend(ExtendVote::Missing)) => (10, 0),
            Some(Answer::Release(ReleaseVote::Released)) => (8, 0),
            Some(Answer::Release(ReleaseVote::NotOwner)) => (9, 0),
        };
        (self.lease, self.round, self.node, kind, number)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Message {}

impl PartialOrd for Message {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Message {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Message {
    /// Adds to a hash what it says, without the command that it belongs to.
    pub(super) fn hash_answer<H: Hasher>(&self, state: &mut H) {
        let (.., kind, number) = self.identity();
        (kind, number).hash(state);
    }
}

/// Without its node: the messages of a node are hashed together.
impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (lease, round, _, kind, number) = self.identity();
        (lease, round, kind, number).hash(state);
    }
}
