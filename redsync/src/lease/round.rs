//! Rounds: one command to every node of a lease, and the count of the answers.
//!
//! The command of a [`Round`] enters the [lane](super::lane) to each node. When the lane lets it
//! pass, the node is asked. The node's answer is counted where it arrives, on any thread.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::{Instant, sleep};

use super::{
    Lease, RELEASE_MARGIN,
    lane::{Lane, LaneCommand, Passage, Settled},
};
#[cfg(feature = "_redis")]
use crate::node::AcquireVote;
use crate::{
    FencingToken,
    background::DrainGuard,
    node::{
        Answer, Answering, Asker, Entry, NodeAnswer, NodeError, Operation, Question, RaiseVote,
    },
    quorum::{USUAL_NODES, count::Count, votes::Vote},
    sync::Mutex,
};

pub(super) struct Round {
    lease: Arc<Lease>,
    operation: Operation,
    /// The token that counters are raised to, if there is one.
    token: Option<FencingToken>,
    start: Instant,
    /// No node is asked after this instant.
    ask_until: Option<Instant>,
    count: Count,
    /// Makes a drain wait while answers are outstanding that no caller waits for.
    late: Mutex<Option<DrainGuard>>,
}

/// How a round begins on one node.
pub(super) enum Beginning {
    /// The node is asked now, because the lane is free.
    Asks,
    /// The node is asked when the lane is free.
    Waits,
    /// The node need not be asked.
    Votes(Vote),
}

impl Round {
    /// Makes a round that begins at `start`. With `fail_fast`, the verdict is given as soon as it
    /// is clear; otherwise when all nodes have voted.
    pub(super) fn new(
        lease: &Arc<Lease>,
        operation: Operation,
        start: Instant,
        fail_fast: bool,
    ) -> Self {
        Self {
            lease: Arc::clone(lease),
            operation,
            token: None,
            start,
            ask_until: None,
            count: Count::new(lease.nodes.len(), fail_fast),
            late: Mutex::new(None),
        }
    }

    /// Asks no node after `limit`.
    pub(super) const fn asked_until(mut self, limit: Instant) -> Self {
        self.ask_until = Some(limit);
        self
    }

    /// Sets the token that counters are raised to.
    pub(super) const fn with_token(mut self, token: Option<FencingToken>) -> Self {
        self.token = token;
        self
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(super) const fn count(&self) -> &Count {
        &self.count
    }

    /// Sends the command of this round to every node. The returned futures have to be driven for answers to
    /// arrive.
    pub(super) fn send(
        self: &Arc<Self>,
        begin: impl Fn(&Arc<Self>, &mut Lane) -> Beginning,
    ) -> Vec<Answering> {
        let beginnings: SmallVec<[_; USUAL_NODES]> = {
            // Under one lock, so that the commands of a lease have the same order on all its lanes.
            let mut lanes = self.lease.lanes.lock();
            lanes.iter_mut().map(|lane| begin(self, lane)).collect()
        };
        let mut beginnings: SmallVec<[_; USUAL_NODES]> =
            beginnings.into_iter().enumerate().collect();
        if self.lease.options.rounds.shuffled_nodes {
            fastrand::shuffle(&mut beginnings);
        }
        let mut answering = Vec::new();
        for (node, beginning) in beginnings {
            match beginning {
                Beginning::Asks => answering.extend(self.ask(node, self.operation, self.start)),
                Beginning::Waits => {}
                Beginning::Votes(vote) => self.vote(node, vote),
            }
        }
        answering
    }

    /// Enters a lane.
    pub(super) fn enter(self: &Arc<Self>, lane: &mut Lane) -> Beginning {
        if lane.enter(self) {
            Beginning::Asks
        } else {
            Beginning::Waits
        }
    }

    /// Asks a node. If a future is returned, it has to be driven for the answer to arrive.
    fn ask(self: &Arc<Self>, node: usize, operation: Operation, now: Instant) -> Option<Answering> {
        let question = Question::new(Arc::clone(self) as _, node, operation);
        self.lease.nodes.ask(node, question, now)
    }

    /// Asks a node. If that takes a future, it is driven in the background.
    fn ask_in_background(self: &Arc<Self>, node: usize, question: Question) {
        if let Some(answering) = self.lease.nodes.ask(node, question, Instant::now()) {
            self.lease.in_background(self.abandon_at(), answering);
        }
    }

    fn vote(&self, node: usize, vote: Vote) {
        if let Vote::Failed(error) = &vote {
            // Logged here, because the error is lost if the round already has its verdict.
            tracing::debug!(
                name = %self.lease.label,
                node = &**self.lease.nodes.address(node),
                operation = self.operation.name(),
                %error,
                "a node failed"
            );
        }
        if self.count.vote(node, vote) {
            self.late.lock().take();
        }
    }

    /// Ends the round, because no caller waits for the answers any longer. A drain waits for those
    /// that are outstanding.
    pub(super) fn abandon(&self) {
        if self.count.abandon() {
            *self.late.lock() = Some(self.lease.nodes.background().guard());
            // If the last vote was counted between these two calls, it found no drain guard to
            // drop.
            if !self.count.abandon() {
                self.late.lock().take();
            }
        }
    }

    /// When to stop waiting for answers. This is later for a release, which may have to follow an
    /// acquisition.
    pub(super) fn abandon_at(&self) -> Instant {
        match self.operation {
            Operation::Release => self.start + self.lease.pursuit() + RELEASE_MARGIN,
            _ => Instant::now() + self.lease.pursuit(),
        }
    }

    /// Settles the outcome of the operation on a node, by means of `settle`. If this yields a vote,
    /// the command leaves the lane, the commands behind it continue, and the vote is counted.
    fn settle(self: &Arc<Self>, node: usize, settle: impl FnOnce(&mut Lane) -> Settled) {
        let (settled, next) = {
            let mut lanes = self.lease.lanes.lock();
            let lane = &mut lanes[node];
            let settled = settle(lane);
            let is_clear = matches!(settled, Settled::Vote(_));
            let leaves = is_clear && self.passage() == Passage::Keeps;
            (settled, leaves.then(|| lane.leave()))
        };
        for round in next.into_iter().flatten() {
            round.go_on(node);
        }
        match settled {
            Settled::Vote(vote) => self.vote(node, vote),
            Settled::Heal => {
                let question = Question::new(Arc::clone(self) as _, node, Operation::Heal);
                self.ask_in_background(node, question);
            }
            Settled::RepeatAfter(pause) => self.repeat_after(pause, node),
        }
    }

    fn repeat_after(self: &Arc<Self>, pause: Duration, node: usize) {
        let at = Instant::now() + pause;
        if at >= self.abandon_at() {
            let given_up = Settled::Vote(Vote::Failed(NodeError::TimedOut));
            return self.settle(node, |_| given_up);
        }
        // Made before the pause: if the background work is dropped during the pause, so is the
        // question, which then reports that it was not answered.
        let question = Question::new(Arc::clone(self) as _, node, self.operation);
        let round = Arc::clone(self);
        self.lease.in_background(self.abandon_at(), async move {
            sleep(pause).await;
            if let Some(answering) = round.lease.nodes.ask(node, question, at) {
                answering.await;
            }
        });
    }
}

impl LaneCommand for Round {
    fn passage(&self) -> Passage {
        match self.operation {
            Operation::Acquire | Operation::Release => Passage::Keeps,
            // An extension that finds no key changes nothing, so it need not keep the lane: the
            // next one may use a connection that works. An extension that sets missing keys has to
            // be answered before a release is sent.
            Operation::Extend | Operation::Heal if self.lease.options.kind.heals => Passage::Keeps,
            Operation::Extend | Operation::Heal | Operation::Raise => Passage::Passes,
        }
    }

    fn go_on(self: Arc<Self>, node: usize) {
        let is_placed = self.lease.lanes.lock()[node].is_placed();
        if self.operation == Operation::Release && !is_placed {
            let nothing = Settled::Vote(Vote::Refused { remaining: None });
            return self.settle(node, |_| nothing);
        }
        let question = Question::new(Arc::clone(&self) as _, node, self.operation);
        self.ask_in_background(node, question);
    }
}

impl Asker for Round {
    fn entry(&self) -> &Entry {
        &self.lease.entry
    }

    fn token(&self) -> Option<FencingToken> {
        self.token
    }

    #[cfg(feature = "_redis")]
    fn patience(&self) -> Duration {
        match self.operation {
            // Repeated releases share one limit.
            Operation::Release => self.abandon_at().saturating_duration_since(Instant::now()),
            _ => self.lease.pursuit(),
        }
    }

    fn may_ask(&self, operation: Operation) -> Result<(), NodeError> {
        if operation == Operation::Release {
            return Ok(());
        }
        let is_late = |limit: Instant| {
            let now = Instant::now();
            now >= limit || now >= self.lease.until()
        };
        if self.lease.has_ended() || self.ask_until.is_some_and(is_late) {
            return Err(NodeError::NotSent);
        }
        Ok(())
    }

    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer) {
        if !matches!(answer, Err(NodeError::NotSent)) {
            let metrics = self.lease.nodes.metrics(node);
            metrics.answered(operation, self.start, answer.as_ref().err());
        }
        self.settle(node, |lane| match (operation, answer) {
            (Operation::Acquire, Ok(Answer::Acquire(vote))) => {
                Settled::Vote(lane.acquired(Ok(vote), self.lease.entry.fenced))
            }
            (Operation::Acquire, Err(error)) => Settled::Vote(lane.acquired(Err(error), false)),
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Raised))) => {
                Settled::Vote(Vote::Granted)
            }
            (Operation::Raise, Ok(Answer::Raise(RaiseVote::Refused))) => {
                Settled::Vote(Vote::Refused { remaining: None })
            }
            // Whether or not the key has been set now, the node was without it before.
            (Operation::Heal, Ok(_)) => Settled::Vote(Vote::Refused { remaining: None }),
            (Operation::Extend, Ok(Answer::Extend(vote))) => {
                let heals = self.lease.options.kind.heals && !self.lease.has_ended();
                lane.extended(Ok(vote), heals, Instant::now())
            }
            (Operation::Release, Ok(Answer::Release(vote))) => lane.released(Ok(vote)),
            (Operation::Release, Err(error)) => lane.released(Err(error)),
            (_, Err(error)) => Settled::Vote(Vote::Failed(error)),
            (_, Ok(_)) => unreachable!("each operation has its own kind of answer"),
        });
    }

    #[cfg(feature = "_redis")]
    fn expect(&self, node: usize, answer: Answer) {
        if let Answer::Acquire(AcquireVote::Taken { remaining }) = answer {
            self.count.expect(node, Vote::Refused { remaining });
        }
    }

    fn given_up(self: Arc<Self>, node: usize, operation: Operation) {
        let metrics = self.lease.nodes.metrics(node);
        metrics.unanswered(operation, self.start);
        self.settle(node, |lane| {
            Settled::Vote(match operation {
                Operation::Acquire => lane.acquired(Err(NodeError::TimedOut), false),
                _ => Vote::Failed(NodeError::TimedOut),
            })
        });
    }

    #[cfg(feature = "_redis")]
    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError) {
        tracing::trace!(%error, "the connection had ended; asking again over another");
        let question = Question::new(Arc::clone(&self) as _, node, operation);
        self.ask_in_background(node, question.retried());
    }
}
