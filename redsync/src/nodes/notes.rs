//! What answers show about the nodes, and what the log says about it: when a node fails and when it
//! works again, and when too few of them answer.

use tokio::time::Instant;

use super::Nodes;
use crate::{
    Printable,
    node::{NodeError, Operation},
};

impl Nodes {
    /// Notes what an answer shows about a node, and reports a change of its condition.
    pub(crate) fn note(&self, node: usize, operation: Operation, error: Option<&NodeError>) {
        let condition = &self.members[node].condition;
        condition.answered();
        if error.is_none() && operation == Operation::Release {
            self.backlog(node).succeeded();
        }
        if let Some(error) = error {
            self.note_failure(node, operation, error);
        } else if condition.has_problem()
            && let Some(over) = condition.works(operation, Instant::now())
        {
            tracing::info!(
                node = %Printable(&**self.address(node)),
                reason = %over.reason,
                failures = over.failures,
                after = ?over.lasted,
                "a node works again"
            );
        }
    }

    /// Notes that a question was not answered. If its time was over, `since` says when it was
    /// asked, and this is a failure if the node has answered no other since then. Otherwise its
    /// runtime has ended, which says nothing about the node.
    pub(crate) fn note_unanswered(
        &self,
        node: usize,
        operation: Operation,
        since: Option<Instant>,
    ) {
        let condition = &self.members[node].condition;
        match since {
            Some(since) if condition.is_silent_since(since) => {
                self.note_failure(node, operation, &NodeError::TimedOut);
            }
            Some(_) => {}
            None => condition.answered(),
        }
    }

    pub(super) fn note_failure(&self, node: usize, operation: Operation, error: &NodeError) {
        let condition = &self.members[node].condition;
        if condition.failed(operation, error, Instant::now()) {
            tracing::warn!(
                node = %Printable(&**self.address(node)),
                operation = operation.name(),
                reason = %error,
                "a node does not work"
            );
        }
    }

    /// Notes an attempt for which too few nodes answered, and reports the outage.
    pub(crate) fn note_unavailable(&self) {
        match self.outage.failed(Instant::now()) {
            None => {}
            Some(1) => tracing::warn!("too few nodes answer; no lock can be acquired"),
            Some(attempts) => tracing::warn!(attempts, "the outage goes on: too few nodes answer"),
        }
    }

    /// Notes an attempt for which enough nodes answered, and reports the end of an outage.
    pub(crate) fn note_available(&self) {
        if self.outage.is_on()
            && let Some(over) = self.outage.answered(Instant::now())
        {
            tracing::info!(
                attempts = over.attempts,
                after = ?over.lasted,
                "enough nodes answer again"
            );
        }
    }
}
