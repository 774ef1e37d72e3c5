//! What a node is asked to keep for a lock.

use std::{sync::Arc, time::Duration};

use crate::{Mode, OwnerValue};

/// The entry of a lock on every node: which names are locked, with which owner value, for how long
/// and in which mode. A node receives it with every operation on the lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The names: at least one, sorted, no two alike. They are acquired all or none.
    pub names: Arc<[Arc<str>]>,
    /// The owner value.
    pub value: OwnerValue,
    /// How long the node keeps the names; whole milliseconds.
    pub expiry: Duration,
    /// Exclusive or shared.
    pub mode: Mode,
    /// Whether an acquisition returns a number for a [fencing token](crate::fence).
    pub fenced: bool,
}

impl Entry {
    /// An exclusive entry for one name, without a fencing token.
    #[must_use]
    pub fn new(name: &str, value: OwnerValue, expiry: Duration) -> Self {
        Self {
            names: [name.into()].into(),
            value,
            expiry,
            mode: Mode::Exclusive,
            fenced: false,
        }
    }

    /// The same entry for several names.
    #[must_use]
    pub fn with_names<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = sorted(names);
        self
    }

    /// The same entry in another mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The same entry, with a fencing token or without.
    #[must_use]
    pub const fn with_fencing(mut self, fenced: bool) -> Self {
        self.fenced = fenced;
        self
    }
}

/// Names as an entry has them: sorted, no two alike.
pub(crate) fn sorted<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
    names.sort_unstable();
    names.dedup();
    names.into()
}
