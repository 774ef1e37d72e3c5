//! The lane from a lease to one node: the order of the commands, and the key there.
//!
//! A command that can set a key keeps the lane until it has been answered. These are the
//! acquisition and a command that sets missing keys again. A release keeps the lane, too. Every other
//! command waits for that answer and then passes. So a key is never set after it was released,
//! however slow the node is.
//!
//! Pure: it does no I/O and has no clock of its own.

use std::{mem, sync::Arc};

use smallvec::SmallVec;

use super::key::Key;

pub(super) struct Lane {
    /// Whether a command keeps the lane.
    is_kept: bool,
    /// The commands that wait, in order.
    waiting: SmallVec<[Arc<dyn LaneCommand>; 1]>,
    pub(super) key: Key,
}

/// A command that enters a lane.
pub(super) trait LaneCommand: Send + Sync + 'static {
    fn passage(&self) -> Passage;

    /// Continues on this node, because the lane is free.
    fn go_on(self: Arc<Self>, node: usize);
}

/// How a command uses a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It keeps the lane until it has been answered.
    Keeps,
    /// It waits for the command that keeps the lane, but the next command may follow it at once.
    Passes,
}

/// The commands that may continue now.
pub(super) type Next = SmallVec<[Arc<dyn LaneCommand>; 1]>;

impl Lane {
    pub(super) const fn new(key: Key) -> Self {
        Self {
            is_kept: false,
            waiting: SmallVec::new_const(),
            key,
        }
    }

    /// Lets a command enter, or puts it behind the waiting ones. Returns whether it has entered.
    pub(super) fn enter(&mut self, command: &Arc<impl LaneCommand>) -> bool {
        if self.is_kept {
            self.waiting.push(Arc::clone(command) as _);
            return false;
        }
        self.is_kept = command.passage() == Passage::Keeps;
        true
    }

    /// Frees the lane, because the command that kept it has been answered. Returns the commands
    /// that may continue now.
    pub(super) fn leave(&mut self) -> Next {
        debug_assert!(self.is_kept, "nothing kept the lane");
        self.is_kept = false;
        let mut next = Next::new();
        if self.waiting.is_empty() {
            return next;
        }
        let mut waiting = mem::take(&mut self.waiting).into_iter();
        for command in waiting.by_ref() {
            self.is_kept = command.passage() == Passage::Keeps;
            next.push(command);
            if self.is_kept {
                break;
            }
        }
        self.waiting = waiting.collect();
        next
    }

    /// Whether the node certainly has no key to release, and will not get one.
    pub(super) const fn has_nothing_to_release(&self) -> bool {
        !self.is_kept && !self.key.is_placed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl LaneCommand for Passage {
        fn passage(&self) -> Passage {
            *self
        }

        fn go_on(self: Arc<Self>, _: usize) {}
    }

    fn enter(lane: &mut Lane, passage: Passage) -> bool {
        lane.enter(&Arc::new(passage))
    }

    fn leave(lane: &mut Lane) -> Vec<Passage> {
        let next = lane.leave();
        next.into_iter().map(|command| command.passage()).collect()
    }

    #[test]
    fn a_command_waits_for_the_one_that_keeps_the_lane() {
        let mut lane = Lane::new(Key::absent());
        assert!(enter(&mut lane, Passage::Keeps));
        assert!(!enter(&mut lane, Passage::Passes));
        assert!(!enter(&mut lane, Passage::Keeps));
        assert!(!enter(&mut lane, Passage::Passes));
        assert_eq!(leave(&mut lane), [Passage::Passes, Passage::Keeps]);
        assert!(!enter(&mut lane, Passage::Keeps));
        assert_eq!(leave(&mut lane), [Passage::Passes, Passage::Keeps]);
        assert_eq!(leave(&mut lane), []);
    }

    #[test]
    fn a_command_that_passes_does_not_block_the_lane() {
        let mut lane = Lane::new(Key::absent());
        assert!(enter(&mut lane, Passage::Passes));
        assert!(enter(&mut lane, Passage::Passes));
        assert!(enter(&mut lane, Passage::Keeps));
        assert!(!enter(&mut lane, Passage::Passes));
    }
}
