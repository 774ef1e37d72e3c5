//! The kinds of locks.

use std::time::Duration;

use redsync::{Mutex, Redsync};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    One,
    Shared,
    /// Exclusive, where all others are shared.
    AmongShared,
    Fenced,
    /// Extensions set missing keys.
    Healed,
    /// Several names, fenced.
    Several,
    Semaphore,
    /// Kept for a minimum time.
    MinHold,
}

/// The minimum hold of the kind that has one.
pub(crate) const MIN_HOLD: Duration = Duration::from_millis(200);

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::One,
        Self::Shared,
        Self::AmongShared,
        Self::Fenced,
        Self::Healed,
        Self::Several,
        Self::Semaphore,
        Self::MinHold,
    ];

    pub(crate) fn mutex(self, redsync: &Redsync) -> Mutex {
        let one = redsync.mutex("a");
        match self {
            Self::One | Self::AmongShared => one,
            Self::Shared => one.shared(),
            Self::Fenced => one.with_fencing(true),
            Self::Healed => one.with_set_if_absent_on_extend(true),
            Self::Several => redsync.mutex_many(["a", "b"]).with_fencing(true),
            Self::Semaphore => redsync.semaphore("a", 2),
            Self::MinHold => one.with_min_hold(MIN_HOLD),
        }
    }

    /// A mutex of the same names that cannot be locked at the same time.
    pub(crate) fn against(self, redsync: &Redsync) -> Mutex {
        match self {
            Self::Shared => redsync.mutex("a"),
            Self::AmongShared => redsync.mutex("a").shared(),
            _ => self.mutex(redsync),
        }
    }
}
