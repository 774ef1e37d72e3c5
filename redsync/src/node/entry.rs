//! The entry of a lock, which nodes are asked to keep.

use std::{sync::Arc, time::Duration};

use crate::{Mode, OwnerValue};

/// The entry of a lock on a node: which names are locked, with which owner value, for how long and
/// in which mode. A node receives it with every operation on the lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The names: at least one, sorted and without duplicates. They are acquired all or none.
    pub names: Arc<[Arc<str>]>,
    /// The owner value.
    pub value: OwnerValue,
    /// How long the node keeps the names. A whole number of milliseconds.
    pub expiry: Duration,
    /// Exclusive or shared.
    pub mode: Mode,
    /// Whether an acquisition returns a number for the [fencing token](crate::fence).
    pub fenced: bool,
    /// Whether an exclusive acquisition that shared holders keep out will be repeated. If so, the
    /// node admits no new shared holders for at least half a second, so that the exclusive one
    /// enters when the present holders have left. A release of such an entry ends this.
    pub repeated: bool,
}

impl Entry {
    /// Creates an exclusive entry for one name, without a fencing token.
    #[must_use]
    pub fn new(name: &str, value: OwnerValue, expiry: Duration) -> Self {
        Self {
            names: [name.into()].into(),
            value,
            expiry,
            mode: Mode::Exclusive,
            fenced: false,
            repeated: false,
        }
    }

    /// Replaces the name by several names.
    #[must_use]
    pub fn with_names<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = sorted(names);
        self
    }

    /// Changes the mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Changes whether an exclusive acquisition that shared holders keep out will be repeated.
    #[must_use]
    pub const fn with_repetition(mut self, repeated: bool) -> Self {
        self.repeated = repeated;
        self
    }

    /// Changes whether an acquisition returns a number for the fencing token.
    #[must_use]
    pub const fn with_fencing(mut self, fenced: bool) -> Self {
        self.fenced = fenced;
        self
    }
}

/// Sorts names and removes duplicates, as an [`Entry`] requires.
pub(crate) fn sorted<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}
