//! Figures of nodes, by command and failure.

use std::{future::Future, sync::Arc};

use ::metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram,
};
use tokio::time::Instant;

use super::labels::{Command, Failure, Handles, Label};
use crate::{NodeError, node::Operation};

const NODE: &str = "redsync_node_seconds";
const NODE_ERRORS: &str = "redsync_node_errors_total";

pub(super) fn describe() {
    let (count, seconds) = (Unit::Count, Unit::Seconds);
    describe_histogram!(NODE, seconds, "Time that a node took to answer a command");
    let errors = "Commands that failed on a node or were not answered";
    describe_counter!(NODE_ERRORS, count, errors);
}

/// The commands of one node, with a handle for each figure.
pub(crate) struct NodeMetrics {
    address: Arc<str>,
    commands: Handles<Command, CommandMetrics>,
}

struct CommandMetrics {
    seconds: Histogram,
    errors: Handles<Failure, Counter>,
}

impl NodeMetrics {
    pub(crate) fn new(address: &Arc<str>) -> Self {
        Self {
            address: Arc::clone(address),
            commands: Handles::default(),
        }
    }

    /// Records the answer to an operation that began at `since`.
    pub(crate) fn answered(&self, operation: Operation, since: Instant, error: Option<&NodeError>) {
        self.record(operation.into(), since, error.map(Failure::from));
    }

    /// Records that nobody waits any longer for the answer to an operation that began at `since`.
    pub(crate) fn unanswered(&self, operation: Operation, since: Instant) {
        self.record(operation.into(), since, Some(Failure::Unanswered));
    }

    /// Waits for the node to say which server it is, and records the answer.
    pub(crate) async fn identity<T>(
        &self,
        answer: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        self.time(Command::Identity, answer).await
    }

    /// Waits for the node to say who holds a name, and records the answer.
    pub(crate) async fn inspect<T>(
        &self,
        answer: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        self.time(Command::Inspect, answer).await
    }

    /// Waits for an answer, and records it. If the future is dropped, the command is recorded as
    /// unanswered.
    async fn time<T>(
        &self,
        command: Command,
        answer: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let mut timed = Timed {
            metrics: self,
            command,
            since: Instant::now(),
            failure: Some(Failure::Unanswered),
        };
        let answer = answer.await;
        timed.failure = answer.as_ref().err().map(Failure::from);
        answer
    }

    fn record(&self, command: Command, since: Instant, failure: Option<Failure>) {
        let address = || String::from(&*self.address);
        let figures = self
            .commands
            .get_or_make(command, |command| CommandMetrics {
                seconds: histogram!(NODE, "node" => address(), "operation" => command),
                errors: Handles::default(),
            });
        figures.seconds.record(since.elapsed());
        if let Some(failure) = failure {
            let errors = figures.errors.get_or_make(failure, |failure| {
                let command = command.text();
                counter!(NODE_ERRORS, "node" => address(), "operation" => command, "kind" => failure)
            });
            errors.increment(1);
        }
    }
}

struct Timed<'a> {
    metrics: &'a NodeMetrics,
    command: Command,
    since: Instant,
    failure: Option<Failure>,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.metrics.record(self.command, self.since, self.failure);
    }
}
