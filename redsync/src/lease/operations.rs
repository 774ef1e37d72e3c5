//! The operations of a lease: it acquires, raises, extends and releases its keys on all nodes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Lease, command::Command, pending::Pending, round::Round};
use crate::FencingToken;

impl Lease {
    /// Sends a command to every node, whose answers count up to a deadline. With `fail_fast`, the
    /// verdict is given as soon as it is clear; otherwise when all nodes have voted.
    fn send(self: &Arc<Self>, command: Command, fail_fast: bool, deadline: Instant) -> Pending {
        let round = Round::start(self, command, fail_fast);
        let answering = round.send();
        Pending::new(round, answering, deadline)
    }

    /// The node time limit of a round that starts at `start`.
    fn node_deadline(&self, start: Instant) -> Instant {
        start + self.options().timing.node_timeout()
    }

    fn fail_fast(&self) -> bool {
        self.options().rounds.fail_fast
    }

    /// Acquires the keys, for an attempt that has just begun.
    pub(crate) fn acquire(self: &Arc<Self>) -> Pending {
        let start = self.started_at();
        self.send(
            Command::acquire(start),
            self.fail_fast(),
            self.node_deadline(start),
        )
    }

    /// Raises lower counters to `token`.
    pub(crate) fn raise(self: &Arc<Self>, token: FencingToken) -> Pending {
        let now = Instant::now();
        self.send(Command::raise(token, now), true, self.node_deadline(now))
    }

    /// Extends the keys. After the validity, or after `limit` if there is one, no node is asked and
    /// no answer counts.
    ///
    /// Without `fail_fast`, it waits for all nodes, but for at most half of the remaining validity,
    /// so that a node that hangs does not keep the extension from counting.
    pub(crate) fn extend(self: &Arc<Self>, limit: Option<Instant>) -> Pending {
        let (now, until) = (Instant::now(), self.until());
        let command = Command::extend(self.token(), limit, now);
        let deadline = limit.map_or(until, |limit| limit.min(until));
        if !self.fail_fast() {
            let left = until.saturating_duration_since(now);
            return self.send(command, false, deadline.min(now + left / 2));
        }
        let pending = self.send(command, true, deadline);
        match limit {
            Some(_) => pending,
            None => pending.while_valid(),
        }
    }

    /// Asks each node to extend the keys of a lease that nobody holds, to see which of them can.
    pub(crate) fn test_extension(self: &Arc<Self>) -> Pending {
        let now = Instant::now();
        let command = Command::test_extension(now);
        self.send(command, false, self.node_deadline(now))
    }

    /// Sets the keys again on nodes that were found without them. It is only for a lease that a
    /// majority has just extended. The nodes that have their keys are not asked.
    pub(super) fn heal(self: &Arc<Self>) {
        let now = Instant::now();
        let command = Command::heal(self.token(), now);
        // Nobody waits for the answers. They go on in the background.
        drop(self.send(command, true, now));
    }

    /// Releases the keys. From here on, nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Pending {
        let now = Instant::now();
        self.end_at(now);
        self.send(
            Command::release(now),
            self.fail_fast(),
            self.node_deadline(now),
        )
    }

    /// Gives an attempt up that no other follows: releases its keys, and on nodes that have
    /// reserved the names for the next attempt, ends that.
    pub(crate) fn give_up(self: &Arc<Self>) -> Pending {
        self.lanes.withdraw();
        self.release()
    }
}
