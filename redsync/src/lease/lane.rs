//! The order of the commands of one lease to one node.
//!
//! A command that can set a key keeps the lane until it has been answered: the acquisition, and an
//! extension that sets missing keys. So does the release. Every other command waits for that answer
//! and then passes. So a key is never set after it was released, however late a node is.
//!
//! Pure: no I/O and no clock of its own.

use std::{mem, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{FencingToken, node::NodeError};

/// What goes on between the keys of a lease and one node.
pub(crate) struct Lane {
    /// Whether a command keeps the lane.
    is_kept: bool,
    /// The commands that wait, in their order.
    waiting: SmallVec<[Arc<dyn LaneCommand>; 1]>,
    /// Whether the node may have a key.
    pub(crate) is_placed: bool,
    /// When the node was last found without the key, if no majority has confirmed the lock since.
    pub(crate) gap: Option<Instant>,
    /// The number of the node's counter, of a fenced lease.
    pub(crate) number: Option<FencingToken>,
    /// The last answer to a release that leaves open whether it was carried out.
    pub(crate) unclear: Option<Box<NodeError>>,
    /// How often a release was repeated.
    repeats: u32,
}

/// A command that enters a lane.
pub(crate) trait LaneCommand: Send + Sync + 'static {
    fn passage(&self) -> Passage;

    /// The lane to the node is free: goes on from there.
    fn go_on(self: Arc<Self>, node: usize);
}

/// What a command does with the lane that it wants to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It keeps the lane until it has been answered.
    Keeps,
    /// It waits for the command that keeps the lane, and lets the next one follow at once.
    Passes,
}

impl Lane {
    pub(crate) const fn new(is_placed: bool) -> Self {
        Self {
            is_kept: false,
            waiting: SmallVec::new_const(),
            is_placed,
            gap: None,
            number: None,
            unclear: None,
            repeats: 0,
        }
    }

    /// The pause before a release is repeated: from `first` on, twice as long each time, up to `longest`.
    pub(crate) fn next_pause(&mut self, first: Duration, longest: Duration) -> Duration {
        let pause = first.saturating_mul(1 << self.repeats.min(16)).min(longest);
        self.repeats += 1;
        pause
    }

    /// Lets a command enter now, or puts it behind those that wait. Says whether it may go.
    pub(crate) fn enter(&mut self, command: &Arc<impl LaneCommand>) -> bool {
        if self.is_kept {
            self.waiting.push(Arc::clone(command) as _);
            return false;
        }
        self.is_kept = command.passage() == Passage::Keeps;
        true
    }

    /// The command that kept the lane has been answered: the commands that may go now.
    pub(crate) fn leave(&mut self) -> SmallVec<[Arc<dyn LaneCommand>; 1]> {
        debug_assert!(self.is_kept, "nothing kept the lane");
        self.is_kept = false;
        let mut go = SmallVec::new();
        let mut waiting = mem::take(&mut self.waiting).into_iter();
        for command in waiting.by_ref() {
            self.is_kept = command.passage() == Passage::Keeps;
            go.push(command);
            if self.is_kept {
                break;
            }
        }
        self.waiting = waiting.collect();
        go
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
        let go = lane.leave();
        go.into_iter().map(|command| command.passage()).collect()
    }

    #[test]
    fn a_command_waits_for_the_one_that_keeps_the_lane() {
        let mut lane = Lane::new(false);
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
    fn a_command_that_passes_keeps_nobody_waiting() {
        let mut lane = Lane::new(true);
        assert!(enter(&mut lane, Passage::Passes));
        assert!(enter(&mut lane, Passage::Passes));
        assert!(enter(&mut lane, Passage::Keeps));
        assert!(!enter(&mut lane, Passage::Passes));
    }

    #[test]
    fn the_pause_before_a_release_is_repeated_grows() {
        let mut lane = Lane::new(true);
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(1));
        let pauses: Vec<_> = (0..40).map(|_| lane.next_pause(first, longest)).collect();
        assert_eq!(pauses[..3], [first, 2 * first, 4 * first]);
        assert!(pauses[5..].iter().all(|pause| *pause == longest));
    }
}
