//! What a history consists of.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Something that happened, at a number of nanoseconds of the history's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// A call of `lock` or its like, and the guard that it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Call {
    /// The process. A poller, or whoever else has no queue with others, is a process of its own.
    pub process: u32,
    /// The number of the call in its process.
    pub number: u64,
}

impl Call {
    /// The owner label for the call, by which the record of a node tells whose keys it has.
    #[must_use]
    pub fn label(self) -> String {
        format!("{}.{}", self.process, self.number)
    }

    /// Reads the label of a call.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        let (process, number) = label.split_once('.')?;
        Some(Self {
            process: process.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} of process {}", self.number, self.process)
    }
}

/// What a call wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wants {
    /// All keys, for itself.
    Exclusive(Arc<[Arc<str>]>),
    /// All keys, together with others that want them shared.
    Shared(Arc<[Arc<str>]>),
    /// One of these keys: the permits of a semaphore. The first key is its name.
    Permit(Arc<[Arc<str>]>),
}

impl Wants {
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Arc<str>] {
        match self {
            Self::Exclusive(keys) | Self::Shared(keys) | Self::Permit(keys) => keys,
        }
    }
}

/// The kind of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A call begins.
    Waits {
        /// The call.
        call: Call,
        /// What it wants.
        wants: Wants,
    },
    /// A call ends without a guard.
    Leaves {
        /// The call.
        call: Call,
    },
    /// A call returned a guard.
    Holds {
        /// The call.
        call: Call,
        /// Up to when the guard is valid.
        until: u64,
        /// Its fencing token.
        token: Option<u64>,
        /// The key, if it is one of several permits.
        permit: Option<Arc<str>>,
        /// The call whose lock it has taken over with `resume`.
        resumes: Option<Call>,
    },
    /// The guard's lock has a minimum hold: up to an instant, nobody else gets it, even if it is
    /// released before.
    Minimum {
        /// The call.
        call: Call,
        /// The end of the minimum, by the fastest clock that a node may have.
        until: u64,
    },
    /// From now on, the guard is extended for as long as it lives.
    Keeps {
        /// The call.
        call: Call,
    },
    /// An extension by hand succeeded.
    Extends {
        /// The call.
        call: Call,
        /// When the extension was called for.
        since: u64,
        /// Up to when the guard is valid now.
        until: u64,
    },
    /// A node has answered that it does not have the keys of the call's guard, or not all of them.
    Lacks {
        /// The call.
        call: Call,
        /// The number of the node.
        node: u32,
    },
    /// A client no longer believes in its guard.
    Ends {
        /// The call.
        call: Call,
        /// Up to when the guard was valid, or would have been.
        until: u64,
        /// How it ended.
        end: End,
    },
    /// A client does not poll the future of a call up to [`Goes`](Self::Goes). So neither do those
    /// behind it in the queues of its process get on.
    Stands {
        /// The call.
        call: Call,
    },
    /// The future of a call is polled again.
    Goes {
        /// The call.
        call: Call,
    },
    /// A process only polls: nobody notifies it, and no process leaves it a place in a queue.
    Polls {
        /// The process.
        process: u32,
    },
    /// A process stands still up to [`Continues`](Self::Continues).
    Stops {
        /// The process.
        process: u32,
    },
    /// A process goes on.
    Continues {
        /// The process.
        process: u32,
    },
    /// A process has been killed, with all that it held. The event may stand a moment before that.
    Killed {
        /// The process.
        process: u32,
    },
    /// A node, or the way to it, has a fault up to the [`Well`](Self::Well) that belongs to this
    /// event. Faults of a node may overlap.
    Ill {
        /// The number of the node.
        node: u32,
    },
    /// A fault of a node is over.
    Well {
        /// The number of the node.
        node: u32,
    },
    /// A node keeps a key for a call, from now on and up to an instant.
    Kept {
        /// The number of the node.
        node: u32,
        /// The key.
        key: Arc<str>,
        /// Whose it is; [`None`] if nobody's who records calls.
        owner: Option<Call>,
        /// How it is kept.
        mode: KeyMode,
        /// Up to when.
        until: u64,
    },
    /// A node no longer keeps a key for a call.
    Freed {
        /// The number of the node.
        node: u32,
        /// The key.
        key: Arc<str>,
        /// Whose it was.
        owner: Option<Call>,
    },
    /// A node has lost all of its keys.
    Emptied {
        /// The number of the node.
        node: u32,
    },
    /// From now on there are no more faults, and every key is asked for.
    Healed,
}

/// How a node keeps a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyMode {
    /// Nobody else gets it.
    Exclusive,
    /// Others who want it shared get it, too.
    Shared,
    /// It is not held, or shared, and nobody who wants it shared gets it.
    Reserved,
}

/// How a belief ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The client released the lock and waited for the answers, or dropped the guard.
    Released,
    /// The guard said that it is lost.
    Lost,
    /// The client left the lock to expire, or to be resumed.
    Left,
}
