//! The key of a lease on one node: what is known about it, and what follows from each answer.
//!
//! Pure: it does no I/O and has no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    FencingToken,
    node::{
        AcquireVote, Answer, ExtendVote, NodeAnswer, NodeError, Operation, RaiseVote, ReleaseVote,
    },
    quorum::votes::Vote,
};

/// The first pause before a release is repeated on a node that may still set the key.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);

#[cfg_attr(test, derive(Clone))]
pub(crate) struct Key {
    /// Whether the node may have the key.
    is_placed: bool,
    /// State that few keys need.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
struct Rare {
    /// The number of the node's counter, if the lease is fenced.
    number: Option<FencingToken>,
    /// When the node was last found without the key or got it back, if no majority has confirmed
    /// the lock since.
    gap: Option<Instant>,
    /// Whether the node was without the key when it last answered.
    lacks_key: bool,
    /// Whether the node has reserved the names for the attempt, which shared holders kept out.
    is_reserved: bool,
    /// The last error of a release that may have been carried out.
    unclear: Option<NodeError>,
    overdue: Option<Overdue>,
}

/// A command that may still arrive and set the key, after commands that were sent later: one of the
/// first holder of a lock that was resumed, or one over a connection that has been replaced. So a
/// release is repeated.
#[derive(Clone, Copy)]
struct Overdue {
    /// Up to when it may arrive.
    until: Instant,
    /// How many times the release was repeated.
    repeats: u32,
    /// Whether the key was to be set again meanwhile. Then a release that deletes it is repeated,
    /// too.
    is_healed: bool,
}

/// The consequence of an answer.
#[derive(Debug)]
pub(crate) enum Settled {
    Vote(Vote),
    /// The release is repeated, because the node has not carried it out.
    Repeat,
    /// The node votes now, and after a pause, the release is repeated without a vote.
    VoteAndRepeatAfter(Vote, Duration),
}

impl Key {
    /// The key of a lease that has asked the node for nothing yet.
    pub(crate) const fn absent() -> Self {
        Self {
            is_placed: false,
            rare: None,
        }
    }

    /// The key of a lock that was resumed. The acquisition of its first holder may still be under
    /// way, and set the key up to the given instant.
    pub(crate) fn resumed(set_until: Instant) -> Self {
        Self {
            rare: Some(Box::new(Rare {
                overdue: Some(Overdue::until(set_until)),
                ..Rare::default()
            })),
            is_placed: true,
        }
    }

    /// Whether the node may have a key.
    pub(super) const fn is_placed(&self) -> bool {
        self.is_placed
    }

    /// Notes that the node may have a key from here on.
    pub(super) const fn place(&mut self) {
        self.is_placed = true;
    }

    /// Notes that the node may get the key back from here on.
    pub(super) fn place_again(&mut self) {
        self.is_placed = true;
        if let Some(overdue) = self.overdue() {
            overdue.is_healed = true;
        }
    }

    fn overdue(&mut self) -> Option<&mut Overdue> {
        self.rare.as_mut()?.overdue.as_mut()
    }

    pub(crate) fn number(&self) -> Option<FencingToken> {
        self.rare.as_ref()?.number
    }

    fn gap(&self) -> Option<Instant> {
        self.rare.as_ref()?.gap
    }

    /// Whether the node was without the key when it last answered.
    pub(crate) fn lacks_key(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.lacks_key)
    }

    /// Whether the node has reserved the names for the attempt, which shared holders kept out.
    pub(super) fn is_reserved(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_reserved)
    }

    /// Lets the node count again if it was without the key before `start`: see
    /// [`extended`](super::lanes::extended).
    pub(crate) fn forget_gap_before(&mut self, start: Instant) {
        if let Some(rare) = &mut self.rare {
            rare.gap = rare.gap.filter(|gap| *gap >= start);
        }
    }

    /// Counts the answer to an operation.
    pub(super) fn answered(
        &mut self,
        operation: Operation,
        answer: NodeAnswer,
        is_fenced: bool,
        now: Instant,
    ) -> Settled {
        match (operation, answer) {
            (Operation::Acquire, Ok(Answer::Acquire(vote))) => {
                Settled::Vote(self.acquired(Ok(vote), is_fenced))
            }
            (Operation::Acquire, Err(error)) => Settled::Vote(self.acquired(Err(error), is_fenced)),
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Raised))) => {
                Settled::Vote(Vote::Granted)
            }
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Refused))) => {
                Settled::Vote(Vote::Refused { remaining: None })
            }
            (Operation::Extend | Operation::Heal, Ok(Answer::Extend(vote))) => {
                Settled::Vote(self.extended(Ok(vote), now))
            }
            (Operation::Release, Ok(Answer::Release(vote))) => self.released(Ok(vote), now),
            (Operation::Release, Err(error)) => self.released(Err(error), now),
            (_, Err(error)) => Settled::Vote(Vote::Failed(error)),
            (_, Ok(_)) => unreachable!("each operation has its own kind of answer"),
        }
    }

    fn acquired(&mut self, answer: Result<AcquireVote, NodeError>, is_fenced: bool) -> Vote {
        self.is_placed = match &answer {
            Ok(AcquireVote::Acquired { .. }) => true,
            Ok(
                AcquireVote::Taken { .. }
                | AcquireVote::Reserved { .. }
                | AcquireVote::NotALock { .. },
            ) => false,
            Err(error) => !error.is_undone(),
        };
        match answer {
            Ok(AcquireVote::Acquired { number: None }) if is_fenced => {
                Vote::Failed(NodeError::Unexpected("no number for the token".into()))
            }
            Ok(AcquireVote::Acquired {
                number: Some(number),
            }) if number > FencingToken::MAX => {
                Vote::Failed(NodeError::Unexpected("a number that is too large".into()))
            }
            Ok(AcquireVote::Acquired { number }) => {
                if number.is_some() {
                    self.rare.get_or_insert_default().number = number;
                }
                Vote::Granted
            }
            Ok(AcquireVote::Taken { remaining }) => Vote::Refused { remaining },
            Ok(AcquireVote::Reserved { remaining }) => {
                self.rare.get_or_insert_default().is_reserved = true;
                Vote::Refused { remaining }
            }
            Ok(AcquireVote::NotALock { name }) => Vote::NotALock { name },
            Err(error) => Vote::Failed(error),
        }
    }

    /// Counts an answer to an extension, which may have been asked to set missing keys.
    fn extended(&mut self, answer: Result<ExtendVote, NodeError>, now: Instant) -> Vote {
        match answer {
            Ok(ExtendVote::Extended) => {
                if let Some(rare) = &mut self.rare {
                    rare.lacks_key = false;
                }
                // After a gap the node does not count, because another may have held the key
                // meanwhile.
                match self.gap() {
                    None => Vote::Granted,
                    Some(_) => Vote::Missing,
                }
            }
            Ok(vote @ (ExtendVote::Healed | ExtendVote::Missing | ExtendVote::NotOwner)) => {
                let rare = self.rare.get_or_insert_default();
                rare.gap = Some(now);
                rare.lacks_key = vote != ExtendVote::Healed;
                match vote {
                    ExtendVote::NotOwner => Vote::Refused { remaining: None },
                    _ => Vote::Missing,
                }
            }
            Err(error) => Vote::Failed(error),
        }
    }

    /// Decides what follows an answer to a release.
    ///
    /// A release can be repeated safely, because it deletes nothing but its own key.
    fn released(&mut self, answer: Result<ReleaseVote, NodeError>, now: Instant) -> Settled {
        match answer {
            Ok(ReleaseVote::Released) => {
                let healed = self.overdue().filter(|overdue| overdue.is_healed);
                if let Some(pause) = healed.and_then(|overdue| overdue.next_pause(now)) {
                    return Settled::VoteAndRepeatAfter(Vote::Granted, pause);
                }
                self.is_placed = false;
                Settled::Vote(Vote::Granted)
            }
            Ok(ReleaseVote::NotOwner) => {
                let unclear = self.rare.as_mut().and_then(|rare| rare.unclear.take());
                // If the answer to an earlier release was lost, that release may have deleted the
                // key.
                let vote = unclear.map_or(Vote::Refused { remaining: None }, Vote::Failed);
                if let Some(pause) = self.overdue().and_then(|overdue| overdue.next_pause(now)) {
                    return Settled::VoteAndRepeatAfter(vote, pause);
                }
                self.is_placed = false;
                Settled::Vote(vote)
            }
            Err(error) if error.may_pass() => {
                if !error.is_undone() {
                    self.rare.get_or_insert_default().unclear = Some(error);
                }
                Settled::Repeat
            }
            Err(error) => Settled::Vote(Vote::Failed(error)),
        }
    }

    /// Notes that a release may have been carried out, whose answer nobody gets.
    pub(super) fn may_be_released(&mut self) {
        self.rare.get_or_insert_default().unclear = Some(NodeError::TimedOut);
    }

    /// Notes that a command whose answer nobody gets may still set the key, up to the given
    /// instant.
    pub(super) fn may_be_set(&mut self, until: Instant) {
        let rare = self.rare.get_or_insert_default();
        let overdue = rare.overdue.get_or_insert(Overdue::until(until));
        overdue.until = overdue.until.max(until);
    }
}

impl Overdue {
    const fn until(until: Instant) -> Self {
        Self {
            until,
            repeats: 0,
            is_healed: false,
        }
    }

    /// The pause before the release is repeated, if the command may still arrive. Each is longer
    /// than the one before.
    fn next_pause(&mut self, now: Instant) -> Option<Duration> {
        let left = self.until.saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        let pause = RELEASE_PAUSE.saturating_mul(1 << self.repeats.min(16));
        self.repeats += 1;
        Some(pause.min(left))
    }
}

/// For the model checker.
#[cfg(test)]
impl Key {
    /// Whether a command may still set the key, whose answer nobody gets.
    pub(crate) fn may_be_set_late(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.overdue.is_some())
    }
}

/// For the model checker. The number of repetitions decides on nothing but pauses.
#[cfg(test)]
impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let rare = self.rare.as_ref();
        self.is_placed.hash(state);
        self.number().hash(state);
        self.gap().hash(state);
        self.lacks_key().hash(state);
        rare.is_some_and(|rare| rare.unclear.is_some()).hash(state);
        let overdue = rare.and_then(|rare| rare.overdue);
        let overdue = overdue.map(|overdue| (overdue.until, overdue.is_healed));
        overdue.hash(state);
    }
}

#[cfg(test)]
mod tests;
