//! The events that a waiter reacts to, and the actions with which it reacts.

use std::time::Duration;

use super::super::polls::{Found, Reliance};
use crate::queue::fairness::Stay;

/// An event that a waiter reacts to. `may_act` says whether this waiter is the one that asks the
/// nodes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The waiter has joined the queues.
    Joined { may_act: bool },
    /// The waiter has moved to the head, or the name was released here, and it may act. `can_watch`
    /// says whether the nodes can tell when the name is free.
    Notified {
        stay_back: Option<Stay>,
        can_watch: bool,
    },
    /// The waiter that acts has found no quorum of nodes.
    Outage,
    /// A waiter of this process shares the names.
    Shared,
    /// The name was left open, and somebody has acquired it.
    Visited,
    /// A quorum of nodes may have the names free.
    Free(Free),
    /// The nodes cannot be watched. `stay` is how long to stay back if the name was released here.
    Blind { stay: Duration },
    /// The instant that [`due`](Course::due) returned has come.
    Timer(Reliance),
    /// The attempt has failed.
    Failed(Failed),
}

/// Names that may be free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    /// Whether a node reported a change, so that the names were held when the watch began.
    pub(super) has_changed: bool,
    /// How often to check that they are free before the next attempt.
    pub(super) checks: u32,
    /// Whether to pause after a divided attempt.
    pub(super) pauses: bool,
    /// For how long to leave the names open for others, if at all.
    pub(super) opening: Option<Duration>,
    pub(super) may_act: bool,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) found: Found,
    pub(super) divided: bool,
    /// When the nodes will have dropped the holder's key.
    pub(super) free_in: Option<Duration>,
    pub(super) may_act: bool,
}

/// The next action of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Wait for the next event. In the state `Watching`, go on watching.
    Wait,
    /// Begin a new watch of the nodes.
    Watch,
    /// Watch the nodes for an acquisition.
    WatchAcquired,
    /// Make an attempt.
    Attempt,
    /// Return the failure.
    Fail,
}
