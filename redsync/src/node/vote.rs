//! The votes of a node.

use std::{sync::Arc, time::Duration};

use crate::FencingToken;

/// A node's answer to [`Node::acquire`](super::Node::acquire).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireVote {
    /// The entry holds all names.
    Acquired {
        /// The number that the counters were set to, if the entry is fenced.
        number: Option<FencingToken>,
    },
    /// Another entry holds one of the names.
    Taken {
        /// How long the node will keep the name for the other entry, if that is known.
        remaining: Option<Duration>,
    },
    /// Shared holders have one of the names. It is reserved for the entry, which is
    /// [repeated](super::Entry::repeated): the node admits no new shared holders for at least half
    /// a second.
    Reserved {
        /// How long the node will keep the name for the present holders, if that is known.
        remaining: Option<Duration>,
    },
    /// A key with one of the names is not a lock, so nobody holds it and nobody will release it. Or
    /// the key of its counter is not a counter, so the name cannot be fenced.
    NotALock {
        /// The key.
        name: Arc<str>,
    },
}

/// A node's answer to [`Node::raise`](super::Node::raise).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseVote {
    /// The counters are at the token, which this node has now granted.
    Raised,
    /// The entry does not hold all of its names, or a counter is above the token.
    Refused,
}

/// A node's answer to [`Node::extend`](super::Node::extend).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendVote {
    /// The entry held all names, and the node keeps them for longer.
    Extended,
    /// Some names were missing and were set again. The node keeps the others for longer.
    Healed,
    /// A name is missing, and no other entry holds one. The node changed nothing.
    Missing,
    /// Another entry holds a name. The node changed nothing.
    NotOwner,
}

/// A node's answer to [`Node::release`](super::Node::release).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseVote {
    /// The entry held all names, and now holds none.
    Released,
    /// A name was missing, or another entry held it. The names that the entry did hold are
    /// released.
    NotOwner,
}
