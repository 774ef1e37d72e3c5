//! The answers to the command of a round, and what follows from each.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{
    super::{
        command::Command,
        key::Settled,
        lane::{Lane, LaneCommand, Next},
    },
    Round,
};
use crate::{
    FencingToken, Printable,
    node::{AcquireVote, Answer, Asker, Entry, NodeAnswer, NodeError, Operation},
    observed::observed,
    quorum::votes::Vote,
};

impl Round {
    /// Changes the lane to a node. Then the commands that may continue do so, and the consequence
    /// of the answer is carried out.
    fn settle(
        self: &Arc<Self>,
        node: usize,
        change: impl FnOnce(&mut Lane) -> (Settled, Next<Arc<dyn LaneCommand>>),
    ) {
        let (settled, next) = self.lease.lanes.with(node, change);
        for (command, beginning) in next {
            command.go_on(node, beginning);
        }
        match settled {
            Settled::Vote(vote) => self.vote(node, vote),
            Settled::Repeat => self.repeat(node),
            Settled::VoteAndRepeatAfter(vote, pause) => {
                // First, so that a drain waits for it.
                self.without_a_caller(node).repeat_after(pause, node);
                self.vote(node, vote);
            }
        }
    }

    /// Starts a round that continues this one on one node, whose vote nobody waits for. It takes
    /// the place of this one in the lane.
    fn without_a_caller(&self, node: usize) -> Arc<Self> {
        let round = Self::start(&self.lease, Command::release(self.command.start), true);
        for other in (0..self.lease.site.nodes().len()).filter(|other| *other != node) {
            round.vote(other, Vote::Refused { remaining: None });
        }
        round.abandon();
        round
    }

    fn time_out(self: &Arc<Self>, node: usize) {
        let operation = self.command.operation;
        let timed_out = Settled::Vote(Vote::Failed(NodeError::TimedOut));
        self.settle(node, |lane| lane.settle(operation, timed_out));
    }

    /// Repeats a release that a node has not carried out. The node's backlog says when.
    fn repeat(self: &Arc<Self>, node: usize) {
        let Some(runtime) = self.runtime_to_repeat_on(Instant::now(), node) else {
            return;
        };
        let now = Instant::now();
        let site = &self.lease.site;
        let release = self.question(node, self.command.operation);
        if let Some(repeater) = site.nodes().repeat(node, release, self.pursued_until(now)) {
            (site.background()).spawn_to_the_end(&runtime, repeater.run());
        }
    }

    fn repeat_after(self: &Arc<Self>, pause: Duration, node: usize) {
        let at = Instant::now() + pause;
        let Some(runtime) = self.runtime_to_repeat_on(at, node) else {
            return;
        };
        // Made before the pause: if the background work is dropped during the pause, because its
        // runtime ends, so is the question, which is then asked again on another runtime.
        let question = self.question(node, self.command.operation);
        let round = Arc::clone(self);
        let repeats = async move {
            sleep(pause).await;
            if let Some(answering) = round.ask(node, question, at) {
                answering.await;
            }
        };
        let background = self.lease.site.background();
        background.spawn_on(&runtime, self.pursued_until(Instant::now()), repeats);
    }

    /// A runtime on which the release can be repeated at an instant. If there is none, or if the
    /// pursuit has ended by then, the node has not answered in time.
    fn runtime_to_repeat_on(self: &Arc<Self>, at: Instant, node: usize) -> Option<Handle> {
        if at >= self.pursued_until(Instant::now()) {
            self.time_out(node);
            return None;
        }
        let site = &self.lease.site;
        let runtime = site.living_runtime();
        if runtime.is_none() {
            tracing::warn!(
                name = %self.lease.label(),
                node = %Printable(&**site.nodes().address(node)),
                "no tokio runtime is available to release a lock; its key stays until it expires"
            );
            self.time_out(node);
        }
        runtime
    }
}

impl Asker for Round {
    fn entry(&self) -> &Entry {
        self.lease.entry()
    }

    fn token(&self) -> Option<FencingToken> {
        self.command.token
    }

    fn kept_after_release(&self) -> Duration {
        self.lease.kept_after_release(Instant::now())
    }

    fn patience(&self, now: Instant) -> Duration {
        self.pursued_until(now).saturating_duration_since(now)
    }

    fn may_ask(&self, operation: Operation, now: Instant) -> Result<(), NodeError> {
        let lease = &self.lease;
        if operation == Operation::Release && now >= self.pursued_until(now) {
            Err(NodeError::TimedOut)
        } else if (self.command).may_be_sent(now, lease.has_ended(), || lease.until()) {
            Ok(())
        } else {
            Err(NodeError::NotSent)
        }
    }

    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer) {
        let (nodes, error) = (self.lease.site.nodes(), answer.as_ref().err());
        if !matches!(error, Some(NodeError::NotSent)) {
            let start = self.command.start;
            observed(|| nodes.metrics(node).answered(operation, start, error));
        }
        observed(|| nodes.note(node, operation, error));
        if operation == Operation::Release
            && let Some(error) = error.filter(|error| error.may_pass())
        {
            // The release is repeated. If no repetition is answered in time, this is the reason.
            self.count.expect(node, Vote::Failed(error.clone()));
        }
        let is_fenced = self.lease.entry().fenced;
        self.settle(node, |lane| {
            lane.answered(operation, answer, is_fenced, Instant::now())
        });
    }

    fn expect(&self, node: usize, answer: Answer) {
        if let Answer::Acquire(AcquireVote::Taken { remaining }) = answer {
            self.count.expect(node, Vote::Refused { remaining });
        }
    }

    fn unanswered(self: Arc<Self>, node: usize, operation: Operation) {
        let (nodes, start) = (self.lease.site.nodes(), self.command.start);
        observed(|| nodes.metrics(node).unanswered(operation, start));
        let is_over = Instant::now() >= start + self.lease.options().timing.node_timeout();
        observed(|| nodes.note_unanswered(node, operation, is_over.then_some(start)));
        // The node may have carried it out, or may do so later.
        let until = self.pursued_until(start);
        self.settle(node, |lane| {
            lane.unanswered(operation, until, Instant::now())
        });
    }

    fn is_asked_again(&self, node: usize, operation: Operation) {
        if operation == Operation::Release {
            self.lease
                .lanes
                .with(node, |lane| lane.key.may_be_released());
        }
    }

    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError) {
        tracing::trace!(%error, "the connection had ended; asking again over another");
        let question = self.question(node, operation).retried();
        if let Some(answering) = self.ask(node, question, Instant::now()) {
            self.drive(answering);
        }
    }
}
