//! The actions: what may happen next.

/// Something that may happen. Messages and leases have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A client starts an attempt.
    Start {
        client: usize,
    },
    /// A message arrives: at its server, which carries it out, or back at its lease.
    Deliver {
        message: usize,
    },
    /// A server carries a command out that will arrive again.
    Duplicate {
        message: usize,
    },
    /// A lease acts on a clear verdict.
    Decide {
        lease: usize,
    },
    /// The time limit of a round ends, and the lease acts on the votes so far.
    TimeOut {
        lease: usize,
    },
    /// The background stops waiting for an answer that others wait for.
    GiveUp {
        lease: usize,
        round: usize,
        node: usize,
    },
    Extend {
        lease: usize,
    },
    HandOver {
        lease: usize,
    },
    Release {
        lease: usize,
    },
    /// Time passes. The clock of one node may get ahead by a tick.
    Tick {
        ahead: Option<usize>,
    },
    /// A key expires early.
    Expire {
        node: usize,
    },
    /// A node loses its data, and stays away.
    LoseData {
        node: usize,
    },
    /// A node crashes, and stays away for a while. It keeps its data. Commands on their way to it
    /// are lost, and their leases do not know whether it has carried them out.
    Crash {
        node: usize,
    },
    /// A node is back: if it had lost its data, after a long time.
    Return {
        node: usize,
    },
}
