//! The states of a waiter on its way to the lock. The page `docs/waiting.md` has the diagram.

use std::time::Duration;

use tokio::time::Instant;

use crate::queue::fairness::{OWN_RELEASE, Sign};

/// A state on the way to the lock. In every state the next poll may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Another of this process acts first: an earlier waiter, or the holder. At `until`, the waiter
    /// checks without a notice whether it may act, because a holder that hangs gives none.
    Queued { until: Instant },
    /// At the head. Other processes come first, for this pause. Then the nodes are watched, if they
    /// can tell whether the name is free.
    StayingBack {
        until: Instant,
        pause: Duration,
        can_watch: bool,
    },
    /// At the head. The name is left open for clients that poll, until the nodes report that one of
    /// them has acquired it. Meanwhile, no poll of this waiter is an attempt, except for the last.
    Opening { until: Instant },
    /// At the head. The nodes are watched.
    Watching(Watching),
    /// At the head, without a watch, up to an instant or the next poll.
    Pausing {
        until: Option<Instant>,
        prompt: Prompt,
    },
    /// An attempt is under way.
    Attempting { prompt: Prompt },
}

impl State {
    /// When the time of the state is over, if it has an end of its own.
    pub(super) const fn until(self) -> Option<Instant> {
        match self {
            Self::Queued { until }
            | Self::StayingBack { until, .. }
            | Self::Opening { until }
            | Self::Watching(Watching { until, .. }) => Some(until),
            Self::Pausing { until, .. } => until,
            Self::Attempting { .. } => None,
        }
    }

    pub(super) const fn is_watching(self) -> bool {
        matches!(self, Self::Watching(_) | Self::Opening { .. })
    }

    /// Whether the waiter is on its way to an attempt, or makes one: it does not know yet whether
    /// the names are free.
    pub(super) const fn is_searching(self) -> bool {
        match self {
            Self::StayingBack { .. } | Self::Attempting { .. } => true,
            Self::Watching(Watching { cause, .. }) => matches!(cause, Cause::Release { .. }),
            Self::Queued { .. } | Self::Opening { .. } | Self::Pausing { .. } => false,
        }
    }

    /// Whether the name is left open for others.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Opening { .. })
    }

    /// Whether the nodes are watched because an attempt has failed.
    pub(super) const fn has_failed(self) -> bool {
        matches!(
            self,
            Self::Watching(Watching {
                cause: Cause::Failure { .. },
                ..
            })
        )
    }

    /// Returns the sign of other processes that the end of a watch gives, if any.
    pub(super) fn sign(self, has_changed: bool, now: Instant) -> Option<Sign> {
        let Self::Watching(Watching { since, cause, .. }) = self else {
            return None;
        };
        match cause {
            // It took longer than the rest of a release in this process takes.
            Cause::Release { .. } if has_changed && since + OWN_RELEASE < now => Some(Sign::Held),
            Cause::Release { stayed_back } if !has_changed => stayed_back.map(Sign::NobodyCame),
            _ => None,
        }
    }
}

/// What leads to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// A node has reported a change.
    WakeUp,
    /// A poll, a notice, or a name that was found free.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watching {
    /// When the watch began.
    pub(super) since: Instant,
    /// When the key of the holder may have expired.
    pub(super) until: Instant,
    pub(super) cause: Cause,
    /// How many more times the name has to be found free before the next attempt.
    pub(super) checks: u32,
}

/// Why the nodes are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An attempt has failed: `divided` if it got some of the nodes while others got the rest.
    Failure { divided: bool },
    /// The name was released here, or this waiter has moved to the head. If somebody is seen with
    /// the name now, it is another process.
    Release { stayed_back: Option<Duration> },
    /// The name was left open, and somebody came.
    Visit,
}

impl Cause {
    /// The same cause, after the nodes have been asked once more.
    pub(super) const fn checked(self) -> Self {
        match self {
            Self::Release { .. } => Self::Release { stayed_back: None },
            other @ (Self::Failure { .. } | Self::Visit) => other,
        }
    }
}
