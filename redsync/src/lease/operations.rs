//! The operations of a lease: it acquires, raises, extends and releases its keys on all nodes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Lease,
    pending::Pending,
    round::{Command, Round},
};
use crate::{FencingToken, node::Operation};

impl Lease {
    /// Acquires the keys, for an attempt that has just begun.
    pub(crate) fn acquire(self: &Arc<Self>) -> Pending {
        let start = self.started_at();
        let deadline = start + self.options().timing.node_timeout();
        let fail_fast = self.options().rounds.fail_fast;
        let round = Round::start(self, Command::new(Operation::Acquire, start), fail_fast);
        let answering = round.send();
        Pending::new(round, answering, deadline)
    }

    /// Raises lower counters to `token`.
    pub(crate) fn raise(self: &Arc<Self>, token: FencingToken) -> Pending {
        let now = Instant::now();
        let command = Command::new(Operation::Raise, now).with_token(Some(token));
        let round = Round::start(self, command, true);
        let answering = round.send();
        Pending::new(round, answering, now + self.options().timing.node_timeout())
    }

    /// Extends the keys. After the validity, or after `limit` if there is one, no node is asked and no
    /// answer counts.
    ///
    /// Without `fail_fast`, it waits for all nodes, but for at most half of the remaining validity,
    /// so that a node that hangs does not keep the extension from counting.
    pub(crate) fn extend(self: &Arc<Self>, limit: Option<Instant>) -> Pending {
        let now = Instant::now();
        let until = self.until();
        let fail_fast = self.options().rounds.fail_fast;
        let command = Command::new(Operation::Extend, now).with_token(self.token());
        let (command, deadline) = match limit {
            Some(limit) => (command.asked_until(limit), limit.min(until)),
            None => (command.asked_while_valid(), until),
        };
        let round = Round::start(self, command, fail_fast);
        let answering = round.send();
        if fail_fast {
            let pending = Pending::new(round, answering, deadline);
            return if limit.is_none() {
                pending.while_valid()
            } else {
                pending
            };
        }
        let left = until.saturating_duration_since(now);
        Pending::new(round, answering, deadline.min(now + left / 2))
    }

    /// Sets the keys again on nodes that were found without them. It is only for a lease that a
    /// majority has just extended. The nodes that have their keys are not asked.
    pub(super) fn heal(self: &Arc<Self>) {
        let now = Instant::now();
        let command = Command::new(Operation::Heal, now)
            .with_token(self.token())
            .asked_while_valid();
        let round = Round::start(self, command, true);
        let answering = round.send();
        // Nobody waits for the answers. They go on in the background.
        drop(Pending::new(round, answering, now));
    }

    /// Releases the keys. From here on, nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Pending {
        let now = Instant::now();
        self.end_at(now);
        let fail_fast = self.options().rounds.fail_fast;
        let round = Round::start(self, Command::new(Operation::Release, now), fail_fast);
        let answering = round.send();
        Pending::new(round, answering, now + self.options().timing.node_timeout())
    }
}
