//! Rounds: one command to every node of a lease, and the count of the answers.
//!
//! The [`Command`] of a [`Round`] enters the [lane](super::lane) to each node. When the lane lets
//! it pass, the node is asked. The node's [answer](answers) is counted where it arrives, on any
//! thread.

mod answers;

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use super::{
    Lease,
    command::Command,
    lane::{Beginning, LaneCommand},
    lanes::ByNode,
};
use crate::{
    Printable,
    background::DrainGuard,
    node::{Answering, Operation, Question},
    observed::observed,
    quorum::{count::Count, tally::Verdict, votes::Vote},
    sync::Mutex,
};

pub(super) struct Round {
    lease: Arc<Lease>,
    command: Command,
    count: Count,
    /// Makes a drain wait while answers are outstanding that no caller waits for.
    late: Mutex<Option<DrainGuard>>,
}

impl Round {
    /// Starts a round. With `fail_fast`, the verdict is given as soon as it is clear; otherwise
    /// when all nodes have voted.
    pub(super) fn start(lease: &Arc<Lease>, command: Command, fail_fast: bool) -> Arc<Self> {
        Arc::new(Self {
            lease: Arc::clone(lease),
            command,
            count: Count::new(lease.site.nodes().len(), fail_fast),
            late: Mutex::new(None),
        })
    }

    pub(super) fn is_release(&self) -> bool {
        self.command.operation == Operation::Release
    }

    pub(super) const fn count(&self) -> &Count {
        &self.count
    }

    /// Sends the command of this round to every node. The returned futures have to be driven for
    /// answers to arrive.
    pub(super) fn send(self: &Arc<Self>) -> Vec<Answering> {
        let Command {
            operation, token, ..
        } = self.command;
        let beginnings =
            (self.lease.lanes).enter(|lane| lane.begin(operation, token, || Arc::clone(self) as _));
        let mut beginnings: ByNode<_> = beginnings.into_iter().enumerate().collect();
        if self.lease.options().rounds.shuffled_nodes {
            fastrand::shuffle(&mut beginnings);
        }
        let mut answering = Vec::new();
        for (node, beginning) in beginnings {
            answering.extend(self.begin(node, beginning, self.command.start));
        }
        answering
    }

    /// Begins the command on one node at `now`. If that takes a future, it has to be driven.
    fn begin(
        self: &Arc<Self>,
        node: usize,
        beginning: Beginning,
        now: Instant,
    ) -> Option<Answering> {
        match beginning {
            Beginning::Asks => self.ask(node, self.question(node, self.command.operation), now),
            Beginning::Waits => None,
            Beginning::Votes(vote) => {
                self.vote(node, vote);
                None
            }
        }
    }

    fn question(self: &Arc<Self>, node: usize, operation: Operation) -> Question {
        Question::new(Arc::clone(self) as _, node, operation)
    }

    /// Asks a node. If that takes a future, it has to be driven.
    fn ask(&self, node: usize, question: Question, now: Instant) -> Option<Answering> {
        self.lease.site.nodes().ask(node, question, now)
    }

    /// Drives questions that nobody has begun to drive.
    pub(super) fn drive(&self, answering: impl Future<Output = ()> + Send + 'static) {
        self.lease
            .site
            .in_background(self.pursued_until(Instant::now()), answering);
    }

    /// Continues to drive questions that the caller no longer drives.
    pub(super) fn drive_on(&self, answering: impl Future<Output = ()> + Send + 'static) {
        self.lease
            .site
            .continue_here(self.pursued_until(Instant::now()), answering);
    }

    fn vote(&self, node: usize, vote: Vote) {
        if let Vote::Failed(error) = &vote {
            // Logged here, because the error is lost if the round already has its verdict.
            observed(|| {
                tracing::debug!(
                    name = %self.lease.label(),
                    node = %Printable(&**self.lease.site.nodes().address(node)),
                    operation = self.command.operation.name(),
                    %error,
                    "a node failed"
                );
            });
        }
        if self.count.vote(node, vote) {
            self.let_drain_end();
        }
    }

    /// Notes whether enough nodes answered, if the round belongs to an attempt.
    pub(super) fn note_verdict(&self, verdict: Verdict) {
        if self.command.operation == Operation::Acquire {
            match verdict {
                Verdict::Unavailable => self.lease.site.nodes().note_unavailable(),
                // Half of an even number of nodes can refuse while the other half fails.
                Verdict::Refused if self.lease.site.nodes().len().is_multiple_of(2) => {}
                _ => self.lease.site.nodes().note_available(),
            }
        }
    }

    /// Ends the round, because no caller waits for the answers any longer. A drain waits for those
    /// that are outstanding.
    pub(super) fn abandon(&self) {
        if self.count.abandon() {
            *self.late.lock() = Some(self.lease.site.background().guard());
            // If the last vote was counted between these two calls, it found no drain guard to
            // drop.
            if !self.count.abandon() {
                self.let_drain_end();
            }
        }
    }

    fn let_drain_end(&self) {
        // Dropped after the mutex is unlocked, because that may wake a task.
        let late = self.late.lock().take();
        drop(late);
    }

    /// The end of the validity of the lease.
    pub(super) fn until(&self) -> Instant {
        self.lease.until()
    }

    /// When the pursuit of answers ends that are still outstanding at `now`.
    fn pursued_until(&self, now: Instant) -> Instant {
        let Command {
            operation, start, ..
        } = self.command;
        (self.lease.purpose.pursuit()).end(operation, start, now)
    }
}

impl LaneCommand for Round {
    fn go_on(self: Arc<Self>, node: usize, beginning: Beginning) {
        // Whoever waits for the verdict does not know of this future.
        if let Some(answering) = self.begin(node, beginning, Instant::now()) {
            self.drive(answering);
        }
    }
}

#[cfg(test)]
mod tests;
