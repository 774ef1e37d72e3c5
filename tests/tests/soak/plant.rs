//! What can be broken on purpose.

use redsync_simulation::history::Rule;
use serde::{Deserialize, Serialize};

use crate::{Error, Outcome};

/// A mistake that a run has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plant {
    /// One of the processes takes no locks.
    Unlocked,
    /// A majority of nodes loses its keys and is back at once.
    EarlyRestart,
    /// The ledger accepts late writes, while processes are stopped for longer than the expiry.
    Unfenced,
    /// One of the processes believes that its guards are kept alive, and they are not.
    Unkept,
    /// One of the processes does not release its last locks.
    Unreleased,
    /// The waiters of one of the processes miss every wake-up, up to the end of their calls.
    Asleep,
    /// One of the processes keeps a lock, and nobody knows.
    Blocked,
    /// One of the processes keeps memory and connections that it no longer needs.
    Leak,
}

impl Plant {
    pub(crate) const ALL: [Self; 8] = [
        Self::Unlocked,
        Self::EarlyRestart,
        Self::Unfenced,
        Self::Unkept,
        Self::Unreleased,
        Self::Asleep,
        Self::Blocked,
        Self::Leak,
    ];

    /// Those that are found within seconds, which the short form plants.
    pub(crate) const SHORT: [Self; 5] = [
        Self::Unlocked,
        Self::EarlyRestart,
        Self::Unfenced,
        Self::Unkept,
        Self::Unreleased,
    ];

    pub(crate) fn named(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|plant| plant.name() == name);
        found.ok_or_else(|| Error::from(format!("nothing to plant is named {name}")))
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unlocked => "unlocked",
            Self::EarlyRestart => "early-restart",
            Self::Unfenced => "unfenced",
            Self::Unkept => "unkept",
            Self::Unreleased => "unreleased",
            Self::Asleep => "asleep",
            Self::Blocked => "blocked",
            Self::Leak => "leak",
        }
    }

    /// The rule of liveness that it breaks.
    pub(crate) const fn breaks(self) -> Option<Rule> {
        match self {
            Self::Unkept => Some(Rule::LostGuard),
            Self::Asleep => Some(Rule::IdleLock),
            Self::Blocked => Some(Rule::EndlessWait),
            Self::Unlocked
            | Self::EarlyRestart
            | Self::Unfenced
            | Self::Unreleased
            | Self::Leak => None,
        }
    }

    /// Whether there are faults beside it. Without them, it is found for certain, or sooner.
    pub(crate) const fn has_faults(self) -> bool {
        matches!(self, Self::Unlocked | Self::EarlyRestart | Self::Unfenced)
    }
}
