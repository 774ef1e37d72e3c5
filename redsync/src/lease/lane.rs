//! The lane from a lease to one node: the order of the commands, and the key there.
//!
//! A command that can set a key keeps the lane until it has been answered. These are the
//! acquisition and a command that sets missing keys again. A release keeps the lane, too. Every
//! other command waits for that answer and then passes. So a key is never set after it was
//! released, however slow the node is. If nobody gets the answer, because the connection was
//! replaced, the next command follows at once, and a release is repeated for as long as the key may
//! still be set.
//!
//! Pure: it does no I/O and has no clock of its own. So the model checker drives it as it is.

use std::{mem, sync::Arc};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::key::{Key, Settled};
use crate::{
    FencingToken,
    node::{NodeAnswer, NodeError, Operation},
    quorum::votes::Vote,
};

/// The lane of commands that `C` stands for.
#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) struct Lane<C = Arc<dyn LaneCommand>> {
    /// Whether a command keeps the lane.
    is_kept: bool,
    /// Whether a release also ends what the node has reserved for the next attempt, because there
    /// is none.
    withdraws: bool,
    /// The commands that wait, in order.
    waiting: SmallVec<[(Operation, C); 1]>,
    pub(crate) key: Key,
}

/// A command that enters a lane.
pub(crate) trait LaneCommand: Send + Sync + 'static {
    /// Continues on this node, because the lane is free.
    fn go_on(self: Arc<Self>, node: usize, beginning: Beginning);
}

/// How a command uses a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
enum Passage {
    /// It keeps the lane until it has been answered.
    Keeps,
    /// It waits for the command that keeps the lane, but the next command may follow it at once.
    Passes,
}

impl Passage {
    const fn of(operation: Operation) -> Self {
        match operation {
            Operation::Acquire | Operation::Heal | Operation::Release => Self::Keeps,
            // An extension that finds no key changes nothing, so it need not keep the lane: the
            // next one may use a connection that works.
            Operation::Extend | Operation::Raise => Self::Passes,
        }
    }
}

/// How a command begins on one node.
#[derive(Debug)]
pub(crate) enum Beginning {
    /// The node is asked now, because the lane is free.
    Asks,
    /// The node is asked when the lane is free.
    Waits,
    /// The node need not be asked.
    Votes(Vote),
}

/// The commands that may continue now, each with how it begins.
pub(crate) type Next<C> = SmallVec<[(C, Beginning); 1]>;

impl<C> Lane<C> {
    pub(crate) const fn new(key: Key) -> Self {
        Self {
            is_kept: false,
            withdraws: false,
            waiting: SmallVec::new_const(),
            key,
        }
    }

    /// Begins an operation: its command enters the lane, if the node has to be asked. `token` is
    /// what a raise raises counters to.
    pub(crate) fn begin(
        &mut self,
        operation: Operation,
        token: Option<FencingToken>,
        command: impl FnOnce() -> C,
    ) -> Beginning {
        match operation {
            Operation::Acquire => self.key.place(),
            Operation::Raise => match self.key.number() {
                // A node whose counter is at the token has granted already.
                number @ Some(_) if number == token => return Beginning::Votes(Vote::Granted),
                Some(_) => {}
                // A node that has not answered the acquisition takes no part.
                None => return Beginning::Votes(Vote::Failed(NodeError::TimedOut)),
            },
            Operation::Heal if self.key.lacks_key() => self.key.place_again(),
            Operation::Heal => return Beginning::Votes(Vote::Granted),
            Operation::Extend | Operation::Release => {}
        }
        if self.is_kept {
            self.waiting.push((operation, command()));
            return Beginning::Waits;
        }
        self.pass(operation)
    }

    /// Notes that no attempt follows this one, so that a reservation for it is of no use.
    pub(super) const fn withdraw(&mut self) {
        self.withdraws = true;
    }

    /// Counts the answer to an operation, and settles it.
    pub(crate) fn answered(
        &mut self,
        operation: Operation,
        answer: NodeAnswer,
        is_fenced: bool,
        now: Instant,
    ) -> (Settled, Next<C>) {
        let settled = self.key.answered(operation, answer, is_fenced, now);
        self.settle(operation, settled)
    }

    /// Counts an operation whose answer nobody gets. If it can set a key, that may happen up to
    /// `until`, after commands that follow over another connection.
    pub(crate) fn unanswered(
        &mut self,
        operation: Operation,
        until: Instant,
        now: Instant,
    ) -> (Settled, Next<C>) {
        if matches!(operation, Operation::Acquire | Operation::Heal) && now < until {
            self.key.may_be_set(until);
        }
        if operation == Operation::Heal && now < until {
            // Another one may wait in this lane. A release deletes its key, and then that of this
            // one has to be deleted, too.
            self.key.place_again();
        }
        self.answered(operation, Err(NodeError::TimedOut), false, now)
    }

    /// Settles an operation. Returns what follows from it, and the commands that may continue.
    pub(crate) fn settle(&mut self, operation: Operation, settled: Settled) -> (Settled, Next<C>) {
        let is_clear = matches!(settled, Settled::Vote(_));
        let leaves = is_clear && Passage::of(operation) == Passage::Keeps;
        let next = if leaves { self.leave() } else { Next::new() };
        (settled, next)
    }

    /// Lets a command through, because the lane is free. A release need not ask a node that certainly
    /// has nothing to release, and will not get a key.
    fn pass(&mut self, operation: Operation) -> Beginning {
        if operation == Operation::Release && !self.may_have_something_to_release() {
            return Beginning::Votes(Vote::Refused { remaining: None });
        }
        self.is_kept = Passage::of(operation) == Passage::Keeps;
        Beginning::Asks
    }

    /// Frees the lane, because the command that kept it has been answered. Returns the commands
    /// that may continue now.
    fn leave(&mut self) -> Next<C> {
        debug_assert!(self.is_kept, "nothing kept the lane");
        self.is_kept = false;
        let mut next = Next::new();
        if self.waiting.is_empty() {
            return next;
        }
        let mut waiting = mem::take(&mut self.waiting).into_iter();
        for (operation, command) in waiting.by_ref() {
            next.push((command, self.pass(operation)));
            if self.is_kept {
                break;
            }
        }
        self.waiting = waiting.collect();
        next
    }

    fn may_have_something_to_release(&self) -> bool {
        self.key.is_placed() || self.withdraws && self.key.is_reserved()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::{AcquireVote, Answer, ExtendVote, ReleaseVote};

    fn enters(lane: &mut Lane<Operation>, operation: Operation) -> bool {
        let beginning = lane.begin(operation, None, || operation);
        matches!(beginning, Beginning::Asks)
    }

    fn leave(lane: &mut Lane<Operation>) -> Vec<Operation> {
        let next = lane.leave().into_iter();
        next.map(|(operation, _)| operation).collect()
    }

    #[test]
    fn a_command_waits_for_the_one_that_keeps_the_lane() {
        let mut lane = Lane::new(Key::absent());
        assert!(enters(&mut lane, Operation::Acquire));
        assert!(!enters(&mut lane, Operation::Extend));
        assert!(!enters(&mut lane, Operation::Release));
        assert!(!enters(&mut lane, Operation::Extend));
        assert_eq!(leave(&mut lane), [Operation::Extend, Operation::Release]);
        assert!(!enters(&mut lane, Operation::Release));
        assert_eq!(leave(&mut lane), [Operation::Extend, Operation::Release]);
        assert_eq!(leave(&mut lane), []);
    }

    #[test]
    fn a_command_that_passes_does_not_block_the_lane() {
        let mut lane = Lane::new(Key::absent());
        assert!(enters(&mut lane, Operation::Extend));
        assert!(enters(&mut lane, Operation::Extend));
        assert!(enters(&mut lane, Operation::Acquire));
        assert!(!enters(&mut lane, Operation::Extend));
    }

    #[test]
    fn a_release_waits_for_an_acquisition_that_may_still_set_the_key() {
        let mut lane = Lane::new(Key::absent());
        let begins = |lane: &mut Lane<()>, operation| lane.begin(operation, None, || ());
        assert!(matches!(
            begins(&mut lane, Operation::Acquire),
            Beginning::Asks
        ));
        assert!(matches!(
            begins(&mut lane, Operation::Release),
            Beginning::Waits
        ));
        let late = Err(NodeError::TimedOut);
        let (_, next) = lane.answered(Operation::Acquire, late, false, Instant::now());
        assert!(matches!(next[..], [((), Beginning::Asks)]));
    }

    /// A lane to a node that has returned this number, or has not answered.
    fn numbered(number: Option<u64>) -> Lane<()> {
        let mut lane = Lane::new(Key::absent());
        _ = lane.begin(Operation::Acquire, None, || ());
        let number = number.map(FencingToken::new);
        let answer = match number {
            Some(_) => Ok(Answer::Acquire(AcquireVote::Acquired { number })),
            None => Err(NodeError::TimedOut),
        };
        _ = lane.answered(Operation::Acquire, answer, true, Instant::now());
        lane
    }

    #[test]
    fn a_counter_that_is_at_the_token_is_not_raised() {
        let raise = |number| {
            let token = Some(FencingToken::new(9));
            numbered(number).begin(Operation::Raise, token, || ())
        };
        assert!(matches!(raise(Some(9)), Beginning::Votes(Vote::Granted)));
        assert!(matches!(raise(Some(7)), Beginning::Asks));
        assert!(matches!(
            raise(None),
            Beginning::Votes(Vote::Failed(NodeError::TimedOut))
        ));
    }

    #[test]
    fn only_a_node_without_the_key_is_healed() {
        let mut lane = numbered(Some(9));
        let heal = |lane: &mut Lane<()>| lane.begin(Operation::Heal, None, || ());
        assert!(matches!(heal(&mut lane), Beginning::Votes(Vote::Granted)));
        let missing = Ok(Answer::Extend(ExtendVote::Missing));
        _ = lane.answered(Operation::Extend, missing, true, Instant::now());
        assert!(matches!(heal(&mut lane), Beginning::Asks));
    }

    #[test]
    fn a_release_is_repeated_while_one_of_two_heals_may_still_arrive() {
        let (mut lane, now) = (Lane::new(Key::absent()), Instant::now());
        assert!(enters(&mut lane, Operation::Acquire));
        let acquired = Ok(Answer::Acquire(AcquireVote::Acquired { number: None }));
        _ = lane.answered(Operation::Acquire, acquired, false, now);
        let missing = Ok(Answer::Extend(ExtendVote::Missing));
        _ = lane.answered(Operation::Extend, missing, false, now);
        assert!(enters(&mut lane, Operation::Heal));
        assert!(!enters(&mut lane, Operation::Heal));
        // The first was sent into a silence, and the second over another connection.
        let until = now + Duration::from_secs(8);
        let (_, next) = lane.unanswered(Operation::Heal, until, now);
        assert!(matches!(next[..], [(Operation::Heal, Beginning::Asks)]));
        let healed = Ok(Answer::Extend(ExtendVote::Healed));
        _ = lane.answered(Operation::Heal, healed, false, now);
        assert!(enters(&mut lane, Operation::Release));
        let released = Ok(Answer::Release(ReleaseVote::Released));
        let (settled, _) = lane.answered(Operation::Release, released, false, now);
        assert!(matches!(settled, Settled::VoteAndRepeatAfter(..)));
    }

    #[test]
    fn a_release_that_has_waited_is_not_sent_to_a_node_that_refused() {
        let mut lane = Lane::new(Key::absent());
        assert!(enters(&mut lane, Operation::Acquire));
        assert!(!enters(&mut lane, Operation::Release));
        assert!(!enters(&mut lane, Operation::Extend));
        let taken = Ok(Answer::Acquire(AcquireVote::Taken { remaining: None }));
        let (_, next) = lane.answered(Operation::Acquire, taken, false, Instant::now());
        let [
            (Operation::Release, released),
            (Operation::Extend, extended),
        ] = &next[..]
        else {
            panic!("{next:?}");
        };
        assert!(matches!(
            released,
            Beginning::Votes(Vote::Refused { remaining: None })
        ));
        assert!(matches!(extended, Beginning::Asks));
    }
}
