//! The settings of a proxy's switches.

use std::time::Duration;

/// What happens to the bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    #[default]
    Pass,
    Hold,
    Drop,
    Twice,
}

#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) requests: Flow,
    pub(super) replies: Flow,
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Requests,
    Replies,
}

impl Settings {
    pub(super) fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Requests => self.requests,
            Direction::Replies => self.replies,
        }
    }
}
