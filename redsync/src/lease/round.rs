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
    lane::{Beginning, LaneCommand},
    lanes::ByNode,
};
use crate::{
    FencingToken, Printable,
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

/// The command of a round to every node.
pub(super) struct Command {
    operation: Operation,
    /// The token that counters are raised to, if there is one.
    token: Option<FencingToken>,
    start: Instant,
    asked: Asked,
}

/// Up to when a command may be sent.
#[derive(Clone, Copy)]
enum Asked {
    Always,
    /// Up to this instant, while the lease is valid.
    Until(Instant),
    WhileValid,
}

impl Command {
    /// A command that is about to be sent at `start`.
    pub(super) const fn new(operation: Operation, start: Instant) -> Self {
        Self {
            operation,
            token: None,
            start,
            asked: Asked::Always,
        }
    }

    /// Asks no node after `limit` or after the validity.
    pub(super) const fn asked_until(mut self, limit: Instant) -> Self {
        self.asked = Asked::Until(limit);
        self
    }

    /// Asks no node after the validity, which may be prolonged meanwhile.
    pub(super) const fn asked_while_valid(mut self) -> Self {
        self.asked = Asked::WhileValid;
        self
    }

    /// Sets the token that counters are raised to.
    pub(super) const fn with_token(mut self, token: Option<FencingToken>) -> Self {
        self.token = token;
        self
    }

    /// Whether a command that is not a release may be sent at `now`: not after the lease
    /// `has_ended`, and an extension not after `until`, when the validity is over.
    pub(crate) fn may_be_sent(&self, now: Instant, until: Instant, has_ended: bool) -> bool {
        let is_late = match self.asked {
            Asked::Always => false,
            Asked::Until(limit) => now >= limit.min(until),
            Asked::WhileValid => now >= until,
        };
        !has_ended && !is_late
    }
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
            operation,
            start,
            token,
            ..
        } = self.command;
        let beginnings =
            (self.lease.lanes).enter(|lane| lane.begin(operation, token, || Arc::clone(self) as _));
        let mut beginnings: ByNode<_> = beginnings.into_iter().enumerate().collect();
        if self.lease.options().rounds.shuffled_nodes {
            fastrand::shuffle(&mut beginnings);
        }
        let mut answering = Vec::new();
        for (node, beginning) in beginnings {
            match beginning {
                Beginning::Asks => {
                    let question = self.question(node, operation);
                    answering.extend(self.lease.site.nodes().ask(node, question, start));
                }
                Beginning::Waits => {}
                Beginning::Votes(vote) => self.vote(node, vote),
            }
        }
        answering
    }

    fn question(self: &Arc<Self>, node: usize, operation: Operation) -> Question {
        Question::new(Arc::clone(self) as _, node, operation)
    }

    /// Asks a node. If that takes a future, it is driven in the background.
    fn ask_in_background(self: &Arc<Self>, node: usize, question: Question) {
        let site = &self.lease.site;
        if let Some(answering) = site.nodes().ask(node, question, Instant::now()) {
            self.drive(answering);
        }
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
    fn go_on(self: Arc<Self>, node: usize) {
        let operation = self.command.operation;
        if !(self.lease.lanes).with(node, |lane| lane.still_asks(operation)) {
            return self.has_nothing_to_release(node);
        }
        let question = self.question(node, operation);
        self.ask_in_background(node, question);
    }
}

#[cfg(test)]
mod tests;
