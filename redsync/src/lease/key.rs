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

/// The first pause before a release is repeated on a node that may still set the key of a lock that
/// was resumed.
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
    resumed: Option<Resumed>,
}

/// What a key needs whose lock was resumed: its first holder may still set it, so its release is
/// repeated.
#[derive(Clone, Copy)]
struct Resumed {
    /// Up to when the acquisition of the first holder may still arrive.
    set_until: Instant,
    /// How many times the release was repeated.
    repeats: u32,
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
                resumed: Some(Resumed {
                    set_until,
                    repeats: 0,
                }),
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
    /// [`Lanes::forget_gaps_before`](super::Lanes::forget_gaps_before).
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
                self.is_placed = false;
                Settled::Vote(Vote::Granted)
            }
            Ok(ReleaseVote::NotOwner) => {
                let unclear = self.rare.as_mut().and_then(|rare| rare.unclear.take());
                // If the answer to an earlier release was lost, that release may have deleted the
                // key.
                let vote = unclear.map_or(Vote::Refused { remaining: None }, Vote::Failed);
                let resumed = self.rare.as_mut().and_then(|rare| rare.resumed.as_mut());
                if let Some(pause) = resumed.and_then(|resumed| resumed.next_pause(now)) {
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
}

impl Resumed {
    /// The pause before the release is repeated, if the first holder may still set the key. Each is
    /// longer than the one before.
    fn next_pause(&mut self, now: Instant) -> Option<Duration> {
        let left = self.set_until.saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        let pause = RELEASE_PAUSE.saturating_mul(1 << self.repeats.min(16));
        self.repeats += 1;
        Some(pause.min(left))
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
        let resumed = rare.and_then(|rare| rare.resumed);
        resumed.map(|resumed| resumed.set_until).hash(state);
    }
}

#[cfg(test)]
mod tests;
