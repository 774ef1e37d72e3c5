//! What kind of run it is, and what can be expected of it.

use std::time::Duration;

use super::{Flaw, chance::ms};
use crate::history::Expected;

/// The kind of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The number of nodes.
    pub nodes: u32,
    /// How waiters learn that a name is free.
    pub wake_ups: WakeUps,
    /// How long it goes on before the network heals.
    pub span: Duration,
    /// A mistake to be found.
    pub flaw: Option<Flaw>,
}

/// Whether nodes report that a name may be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeUps {
    /// They do, and a report is lost only with its connection.
    Reliable,
    /// They do, and some reports get lost although the connection lives.
    Lossy,
    /// They do not.
    Missing,
}

/// The expiry of all locks.
pub(super) const EXPIRY: Duration = ms(1000);

/// How long a lock is valid from the start of its acquisition: the expiry, less the drift.
pub(super) const VALIDITY: Duration = ms(988);

/// The longest minimum hold, in milliseconds.
pub(super) const LONGEST_MINIMUM: u64 = 400;

/// How long a second is at least that a node measures.
pub(super) const FASTEST: f64 = 0.99;

/// How long a client waits for a node.
pub(super) const NODE_TIMEOUT: Duration = ms(120);

/// The longest time that a message takes, unless the network is cut or a server stands still.
pub(super) const LATEST: u64 = 900;

/// The longest time for which a server, or the way to it, stands still.
pub(super) const LONGEST_FAULT: u64 = 4000;

/// The keys of the exclusive and shared locks, and of the semaphore.
pub(super) const NAMES: [&str; 2] = ["order:1", "order:2"];
pub(super) const SEMAPHORE: &str = "export";
pub(super) const PERMITS: usize = 3;

/// The number of permits that other processes know of. The larger number is the limit.
pub(super) const FEWER_PERMITS: usize = 2;

/// What a guard has left of its validity, at least, when it is granted.
pub(super) const MIN_VALIDITY: Duration = ms(100);

/// The longest pause between polls, as the page on waiting has it: a second if too few nodes
/// answered, up to the next quarter of a second. A round may follow that waits for nodes that do
/// not answer.
const POLL: Duration = ms(1250).saturating_add(NODE_TIMEOUT);

/// The same if a wake-up is lost although its connection lives.
const RARE_POLL: Duration = Duration::from_secs(10);

/// For how long a name is left open for clients that poll.
const OPEN: Duration = ms(260);

/// The kinds of runs, which take turns.
const KINDS: [(u32, WakeUps); 4] = [
    (3, WakeUps::Reliable),
    (5, WakeUps::Reliable),
    (3, WakeUps::Missing),
    (3, WakeUps::Lossy),
];

impl Setting {
    /// The setting of the run with this seed.
    #[must_use]
    pub const fn of(seed: u64, span: Duration) -> Self {
        let (nodes, wake_ups) = KINDS[seed as usize % KINDS.len()];
        Self {
            nodes,
            wake_ups,
            span,
            flaw: None,
        }
    }

    /// Plants a flaw.
    #[must_use]
    pub const fn with(self, flaw: Flaw) -> Self {
        let flaw = Some(flaw);
        Self { flaw, ..self }
    }

    /// What the check of the history expects.
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected {
            nodes: self.nodes,
            expiry: EXPIRY,
            idle: match self.wake_ups {
                WakeUps::Lossy => 2 * RARE_POLL + OPEN,
                WakeUps::Reliable | WakeUps::Missing => 2 * POLL + OPEN,
            },
            wait: Duration::from_secs(60),
            poller_wait: Duration::from_secs(120),
            keep: EXPIRY / 2,
            stale: ms(200),
            healed: EXPIRY + EXPIRY / 50 + POLL,
        }
    }
}
