//! The answers to the command of a round, and what follows from each.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    super::{
        key::Settled,
        lane::{Lane, LaneCommand, Passage},
    },
    Command, Round,
};
use crate::{
    FencingToken, Printable,
    node::{AcquireVote, Answer, Asker, Entry, NodeAnswer, NodeError, Operation, RaiseVote},
    quorum::votes::Vote,
};

impl Round {
    /// Settles the outcome of the command on a node, by means of `settle`. If this yields a vote,
    /// the command leaves the lane, the commands behind it continue, and the vote is counted.
    fn settle(self: &Arc<Self>, node: usize, settle: impl FnOnce(&mut Lane) -> Settled) {
        let (settled, next) = self.lease.lanes.with(node, |lane| {
            let settled = settle(lane);
            let is_clear = matches!(settled, Settled::Vote(_));
            let leaves = is_clear && self.passage() == Passage::Keeps;
            (settled, leaves.then(|| lane.leave()))
        });
        for command in next.into_iter().flatten() {
            command.go_on(node);
        }
        match settled {
            Settled::Vote(vote) => self.vote(node, vote),
            Settled::RepeatAfter(pause) => self.repeat_after(pause, node),
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
        let Command {
            operation, start, ..
        } = self.command;
        let round = Self::start(&self.lease, Command::new(operation, start), true);
        for other in (0..self.lease.site.nodes().len()).filter(|other| *other != node) {
            round.vote(other, Vote::Refused { remaining: None });
        }
        round.abandon();
        round
    }

    /// Settles a release on a node that has no key, without asking it.
    pub(super) fn has_nothing_to_release(self: &Arc<Self>, node: usize) {
        self.settle(node, |_| Settled::Vote(Vote::Refused { remaining: None }));
    }

    fn time_out(self: &Arc<Self>, node: usize) {
        self.settle(node, |_| Settled::Vote(Vote::Failed(NodeError::TimedOut)));
    }

    fn repeat_after(self: &Arc<Self>, pause: Duration, node: usize) {
        let at = Instant::now() + pause;
        if at >= self.pursued_until(Instant::now()) {
            return self.time_out(node);
        }
        let site = &self.lease.site;
        let Some(runtime) = site.living_runtime() else {
            tracing::warn!(
                name = %self.lease.label(),
                node = %Printable(&**site.nodes().address(node)),
                "no tokio runtime is available to release a lock; its key stays until it expires"
            );
            return self.time_out(node);
        };
        // Made before the pause: if the background work is dropped during the pause, because its
        // runtime ends, so is the question, which is then asked again on another runtime.
        let question = self.question(node, self.command.operation);
        let round = Arc::clone(self);
        let repeats = async move {
            sleep(pause).await;
            if let Some(answering) = round.lease.site.nodes().ask(node, question, at) {
                answering.await;
            }
        };
        let background = site.background();
        background.spawn_on(&runtime, self.pursued_until(Instant::now()), repeats);
    }
}

impl Asker for Round {
    fn entry(&self) -> &Entry {
        self.lease.entry()
    }

    fn token(&self) -> Option<FencingToken> {
        self.command.token
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        self.pursued_until(now).saturating_duration_since(now)
    }

    fn may_ask(&self, operation: Operation) -> Result<(), NodeError> {
        if operation == Operation::Release {
            let now = Instant::now();
            let is_over = now >= self.pursued_until(now);
            return if is_over {
                Err(NodeError::TimedOut)
            } else {
                Ok(())
            };
        }
        let is_late = |limit: Instant| {
            let now = Instant::now();
            now >= limit || now >= self.lease.until()
        };
        if self.lease.has_ended() || self.command.ask_until.is_some_and(is_late) {
            return Err(NodeError::NotSent);
        }
        Ok(())
    }

    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer) {
        if !matches!(answer, Err(NodeError::NotSent)) {
            let metrics = self.lease.site.nodes().metrics(node);
            metrics.answered(operation, self.command.start, answer.as_ref().err());
        }
        (self.lease.site.nodes()).note(node, operation, answer.as_ref().err());
        self.settle(node, |lane| match (operation, answer) {
            (Operation::Acquire, Ok(Answer::Acquire(vote))) => {
                Settled::Vote(lane.key.acquired(Ok(vote), self.lease.entry().fenced))
            }
            (Operation::Acquire, Err(error)) => Settled::Vote(lane.key.acquired(Err(error), false)),
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Raised))) => {
                Settled::Vote(Vote::Granted)
            }
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Refused))) => {
                Settled::Vote(Vote::Refused { remaining: None })
            }
            (Operation::Extend | Operation::Heal, Ok(Answer::Extend(vote))) => {
                Settled::Vote(lane.key.extended(Ok(vote), Instant::now()))
            }
            (Operation::Release, Ok(Answer::Release(vote))) => {
                lane.key.released(Ok(vote), Instant::now())
            }
            (Operation::Release, Err(error)) => lane.key.released(Err(error), Instant::now()),
            (_, Err(error)) => Settled::Vote(Vote::Failed(error)),
            (_, Ok(_)) => unreachable!("each operation has its own kind of answer"),
        });
    }

    fn expect(&self, node: usize, answer: Answer) {
        if let Answer::Acquire(AcquireVote::Taken { remaining }) = answer {
            self.count.expect(node, Vote::Refused { remaining });
        }
    }

    fn unanswered(self: Arc<Self>, node: usize, operation: Operation) {
        let metrics = self.lease.site.nodes().metrics(node);
        metrics.unanswered(operation, self.command.start);
        let start = self.command.start;
        let is_over = Instant::now() >= start + self.lease.options().timing.node_timeout();
        (self.lease.site.nodes()).note_unanswered(node, operation, is_over.then_some(start));
        self.settle(node, |lane| match operation {
            Operation::Acquire => Settled::Vote(lane.key.acquired(Err(NodeError::TimedOut), false)),
            // Its time is not over if its runtime has ended.
            Operation::Release => lane.key.released(Err(NodeError::TimedOut), Instant::now()),
            Operation::Extend | Operation::Heal | Operation::Raise => {
                Settled::Vote(Vote::Failed(NodeError::TimedOut))
            }
        });
    }

    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError) {
        tracing::trace!(%error, "the connection had ended; asking again over another");
        let question = self.question(node, operation).retried();
        self.ask_in_background(node, question);
    }
}
