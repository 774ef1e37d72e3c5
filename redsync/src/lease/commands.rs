//! The commands of a lease: one operation for every node, and the round that counts the answers.
//!
//! A [`Command`] enters the [lane](super::lane) to each node, is asked there in its turn, and counts
//! the node's answer where it arrives. The caller waits for the [`Answers`].

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{
    future::{FutureExt, join_all},
    stream::{FuturesUnordered, StreamExt},
};
use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

use super::{
    Lease, RELEASE_MARGIN,
    lane::{LaneCommand, Passage},
};
use crate::{
    FencingToken,
    background::DrainGuard,
    node::{
        AcquireVote, Answer, Answering, Asker, Entry, ExtendVote, NodeAnswer, NodeError, Operation,
        Question, RaiseVote, ReleaseVote,
    },
    quorum::{
        USUAL_NODES,
        round::{Ballot, Outcome, Round},
        tally::{Tally, Verdict},
        votes::{Vote, Votes},
    },
};

/// The first and the longest pause before a release is repeated on a node that may have a key.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(1);

/// One operation for every node of a lease.
pub(super) struct Command {
    lease: Arc<Lease>,
    operation: Operation,
    start: Instant,
    /// No node is asked after this instant.
    ask_until: Option<Instant>,
    round: Round,
    /// While answers are outstanding that nobody waits for any more.
    late: Mutex<Option<DrainGuard>>,
}

/// Until when the answers to a command count.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    At(Instant),
    /// After this time, from the first poll on.
    After(Duration),
}

impl Lease {
    /// Acquires the keys, for an attempt that has just begun.
    pub(crate) fn acquire(self: &Arc<Self>) -> Answers {
        let deadline = Deadline::At(self.begun() + self.options.timing.node_timeout());
        let fail_fast = self.options.rounds.fail_fast;
        let command = Command::new(self, Operation::Acquire, None, fail_fast);
        command.send(deadline, |command, node| command.enter(node))
    }

    /// Raises lower counters to `token`. A node that has returned it has granted; one that has not
    /// answered the acquisition has no part in this.
    pub(crate) fn raise(self: &Arc<Self>, token: FencingToken) -> Answers {
        let numbers: SmallVec<[_; USUAL_NODES]> =
            self.lanes.lock().iter().map(|lane| lane.number).collect();
        let deadline = Deadline::After(self.options.timing.node_timeout());
        let command = Command::new(self, Operation::Raise(token), None, true);
        command.send(deadline, |command, node| match numbers[node] {
            Some(number) if number == token => command.vote(node, Vote::Granted),
            Some(_) => command.enter(node),
            None => command.vote(node, Vote::Failed(NodeError::TimedOut)),
        })
    }

    /// Extends the keys' lives. No node is asked after `deadline`, and no later answer counts.
    ///
    /// If all nodes are to be waited for, that is for no more than half of the validity: one that
    /// hangs does not keep the others from extending.
    pub(crate) fn extend(self: &Arc<Self>, deadline: Instant) -> Answers {
        let operation = Operation::Extend {
            token: self.token(),
            set_if_absent: false,
        };
        let fail_fast = self.options.rounds.fail_fast;
        let command = Command::new(self, operation, Some(deadline), fail_fast);
        let wait_until = if fail_fast {
            deadline
        } else {
            let left = self.until().saturating_duration_since(command.start);
            deadline.min(command.start + left / 2)
        };
        command.send(Deadline::At(wait_until), |command, node| {
            command.enter(node)
        })
    }

    /// Releases the keys. From here on nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Answers {
        self.end();
        let deadline = Deadline::After(self.options.timing.node_timeout());
        let command = Command::new(self, Operation::Release, None, true);
        command.send(deadline, |command, node| command.enter(node))
    }

    /// Whether a node was found without the key, and set it again, since `start`.
    pub(crate) fn has_healed_since(&self, start: Instant) -> bool {
        let is_healed = |gap: Option<Instant>| gap.is_some_and(|gap| gap >= start);
        self.options.kind.heals && self.lanes.lock().iter().any(|lane| is_healed(lane.gap))
    }

    /// A majority has held the lock throughout a round started at `start`, so that nodes that were
    /// without the key before count again: nobody else can have held it since.
    pub(crate) fn forget_gaps_before(&self, start: Instant) {
        for lane in self.lanes.lock().iter_mut() {
            lane.gap = lane.gap.filter(|gap| *gap >= start);
        }
    }

    /// Asks the nodes whether, and how long, they keep all names for this lease. It changes nothing.
    pub(crate) async fn inspect(&self) -> Kept {
        let deadline = Instant::now() + self.options.timing.node_timeout();
        let mut tally = Tally::new(self.nodes.len());
        let mut votes: Ballot = (0..self.nodes.len()).map(|_| None).collect();
        let mut remaining: Option<Duration> = None;
        let mut count = |tally: &mut Tally, node: usize, kept: Result<_, NodeError>| {
            let vote = match kept {
                Ok(Some(kept)) => {
                    remaining = Some(remaining.map_or(kept, |least| least.min(kept)));
                    Vote::Granted
                }
                Ok(None) => Vote::Refused { remaining: None },
                Err(error) => Vote::Failed(error),
            };
            tally.count(&vote);
            votes[node] = Some(vote);
        };
        let mut answers: FuturesUnordered<_> = (0..self.nodes.len())
            .map(|node| async move { (node, self.kept_on(node).await) })
            .collect();
        let verdict = loop {
            if let Some(verdict) = tally.verdict() {
                break verdict;
            }
            match timeout_at(deadline, answers.next()).await {
                Ok(Some((node, kept))) => count(&mut tally, node, kept),
                Ok(None) => unreachable!("when all have voted there is a verdict"),
                Err(_) => break Verdict::Unknown,
            }
        };
        drop(answers);
        if tally.verdict().is_none() {
            for vote in &mut votes {
                vote.get_or_insert(Vote::Failed(NodeError::TimedOut));
            }
        }
        Kept {
            verdict,
            remaining: remaining.unwrap_or_default(),
            votes: self.votes(votes),
        }
    }

    /// How long the node will keep all names for this lease's owner value, if it has them.
    async fn kept_on(&self, node: usize) -> Result<Option<Duration>, NodeError> {
        let found = self.nodes.inspect(node, &self.entry.names).await?;
        let kept = found.into_iter().map(|found| {
            let found = found.filter(|found| found.mode == self.entry.mode)?;
            let mut holders = found.holders.into_iter();
            let ours = holders.find(|holder| holder.value == self.entry.value)?;
            // What a node does not tell cannot be relied on.
            Some(ours.remaining.unwrap_or_default())
        });
        Ok(kept.min().flatten())
    }
}

/// What the nodes say about the keys of a lease.
pub(crate) struct Kept {
    /// Granted where the owner value is this lease's.
    pub(crate) verdict: Verdict,
    /// How long all nodes that granted keep the keys at the least.
    pub(crate) remaining: Duration,
    pub(crate) votes: Votes,
}

impl Command {
    fn new(
        lease: &Arc<Lease>,
        operation: Operation,
        ask_until: Option<Instant>,
        fail_fast: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            lease: Arc::clone(lease),
            operation,
            start: Instant::now(),
            ask_until,
            round: Round::new(lease.nodes.len(), fail_fast),
            late: Mutex::new(None),
        })
    }

    /// Sends it to every node, each in its `way`, and waits for the answers up to a deadline.
    fn send(
        self: Arc<Self>,
        deadline: Deadline,
        way: impl Fn(&Arc<Self>, usize) -> Option<Answering>,
    ) -> Answers {
        let nodes = self.lease.nodes.len();
        let answering = if self.lease.options.rounds.shuffled_nodes {
            let mut order: SmallVec<[_; USUAL_NODES]> = (0..nodes).collect();
            fastrand::shuffle(&mut order);
            order
                .into_iter()
                .filter_map(|node| way(&self, node))
                .collect()
        } else {
            (0..nodes).filter_map(|node| way(&self, node)).collect()
        };
        Answers {
            answering,
            command: self,
            deadline,
            limit: None,
            has_ended: false,
        }
    }

    /// Enters the lane to a node.
    fn enter(self: &Arc<Self>, node: usize) -> Option<Answering> {
        let may_go = self.lease.lanes.lock()[node].enter(self);
        may_go.then(|| self.go(node)).flatten()
    }

    /// Asks the node: the lane is free. A future that is returned leads to the answer.
    fn go(self: &Arc<Self>, node: usize) -> Option<Answering> {
        let has_nothing_to_release =
            self.operation == Operation::Release && !self.lease.lanes.lock()[node].is_placed;
        if has_nothing_to_release {
            self.leave_lane(node);
            return self.vote(node, Vote::Refused { remaining: None });
        }
        self.ask(node, Question::new(self.asker(), node, self.operation))
    }

    fn ask(&self, node: usize, question: Question) -> Option<Answering> {
        self.lease.nodes.ask(node, question)
    }

    fn asker(self: &Arc<Self>) -> Arc<dyn Asker> {
        Arc::clone(self) as _
    }

    /// Leaves the lane to the commands that wait for it.
    fn leave_lane(&self, node: usize) {
        let go = self.lease.lanes.lock()[node].leave();
        for command in go {
            command.go_on(node);
        }
    }

    /// Counts a vote. Returns nothing to be driven.
    fn vote(&self, node: usize, vote: Vote) -> Option<Answering> {
        if let Vote::Failed(error) = &vote {
            // A round that has its verdict does not wait for it, so it is made visible here.
            tracing::debug!(
                name = %self.lease.label,
                node = &**self.lease.nodes.address(node),
                operation = self.operation.name(),
                %error,
                "a node failed"
            );
        }
        if self.round.vote(node, vote) {
            self.late().take();
        }
        None
    }

    fn late(&self) -> MutexGuard<'_, Option<DrainGuard>> {
        // An assignment is whole.
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for the answers any longer. Those that are outstanding are waited for by a drain.
    fn abandon(&self) {
        if self.round.abandon() {
            *self.late() = Some(self.lease.nodes.background().guard());
            // The last vote may have come in between, and found no guard to take away.
            if !self.round.abandon() {
                self.late().take();
            }
        }
    }

    /// When the answers are given up. A release may have to follow an acquisition.
    fn give_up_at(&self) -> Instant {
        match self.operation {
            Operation::Release => self.start + self.lease.pursuit() + RELEASE_MARGIN,
            _ => Instant::now() + self.lease.pursuit(),
        }
    }

    fn acquired(&self, node: usize, answer: Result<AcquireVote, NodeError>) -> Vote {
        let mut lanes = self.lease.lanes.lock();
        let lane = &mut lanes[node];
        lane.is_placed = match &answer {
            Ok(AcquireVote::Acquired { .. }) => true,
            Ok(AcquireVote::Taken { .. }) => false,
            Err(error) => error.is_ambiguous(),
        };
        match answer {
            Ok(AcquireVote::Acquired { number: None }) if self.lease.entry.fenced => {
                Vote::Failed(NodeError::Unexpected("no number for the token".into()))
            }
            Ok(AcquireVote::Acquired { number }) => {
                lane.number = number;
                Vote::Granted
            }
            Ok(AcquireVote::Taken { remaining }) => Vote::Refused { remaining },
            Err(error) => Vote::Failed(error),
        }
    }

    /// The vote of an extension, unless the node is to be asked again to set what is missing.
    fn extended(
        &self,
        node: usize,
        heals: bool,
        answer: Result<ExtendVote, NodeError>,
    ) -> Option<Vote> {
        let answer = match answer {
            // It has set what was missing, or not: it has been without the key before.
            Ok(_) if heals => return Some(Vote::Refused { remaining: None }),
            Ok(answer) => answer,
            Err(error) => return Some(Vote::Failed(error)),
        };
        let mut lanes = self.lease.lanes.lock();
        let lane = &mut lanes[node];
        if answer == ExtendVote::Extended {
            // After a gap, in which perhaps another had the key, the node does not count.
            return Some(match lane.gap {
                None => Vote::Granted,
                Some(_) => Vote::Refused { remaining: None },
            });
        }
        lane.gap = Some(Instant::now());
        if self.lease.options.kind.heals && !self.lease.has_ended() {
            return None;
        }
        Some(Vote::Refused { remaining: None })
    }

    /// The vote of a release, unless it is repeated.
    ///
    /// It may be repeated as it may be lost: it deletes nothing but its own key.
    fn released(
        self: &Arc<Self>,
        node: usize,
        answer: Result<ReleaseVote, NodeError>,
    ) -> Option<Vote> {
        let mut lanes = self.lease.lanes.lock();
        let lane = &mut lanes[node];
        match answer {
            Ok(ReleaseVote::Released) => {
                lane.is_placed = false;
                Some(Vote::Granted)
            }
            Ok(ReleaseVote::NotOwner) => {
                lane.is_placed = false;
                // Perhaps gone because the release whose answer was lost has deleted it.
                Some(match lane.unclear.take() {
                    Some(error) => Vote::Failed(*error),
                    None => Vote::Refused { remaining: None },
                })
            }
            Err(error) if error.may_pass() => {
                let pause = lane.next_pause(RELEASE_PAUSE, MAX_RELEASE_PAUSE);
                if Instant::now() + pause >= self.give_up_at() {
                    return Some(Vote::Failed(error));
                }
                if error.is_ambiguous() {
                    lane.unclear = Some(Box::new(error));
                }
                drop(lanes);
                self.repeat_after(pause, node);
                None
            }
            Err(error) => Some(Vote::Failed(error)),
        }
    }

    fn repeat_after(self: &Arc<Self>, pause: Duration, node: usize) {
        // Made before the pause: if the pause is never over, the question is dropped, and with that
        // answered.
        let question = Question::new(self.asker(), node, self.operation);
        let command = Arc::clone(self);
        self.lease.in_background(self.give_up_at(), async move {
            sleep(pause).await;
            if let Some(answering) = command.ask(node, question) {
                answering.await;
            }
        });
    }

    /// The answer has settled what became of the operation on this node.
    fn settle(&self, node: usize, vote: Vote) {
        if self.passage() == Passage::Keeps {
            self.leave_lane(node);
        }
        self.vote(node, vote);
    }
}

impl LaneCommand for Command {
    fn passage(&self) -> Passage {
        match self.operation {
            Operation::Acquire | Operation::Release => Passage::Keeps,
            // An extension that finds no key changes nothing, and need not keep others from the
            // lane: the next may go over a connection that works. One that sets what is missing has
            // to be settled before a release is sent.
            Operation::Extend { .. } if self.lease.options.kind.heals => Passage::Keeps,
            Operation::Extend { .. } | Operation::Raise(_) => Passage::Passes,
        }
    }

    fn go_on(self: Arc<Self>, node: usize) {
        if let Some(answering) = self.go(node) {
            self.lease.in_background(self.give_up_at(), answering);
        }
    }
}

impl Asker for Command {
    fn entry(&self) -> &Entry {
        &self.lease.entry
    }

    fn patience(&self) -> Duration {
        self.lease.pursuit()
    }

    fn may_ask(&self, node: usize, operation: Operation) -> Result<(), NodeError> {
        let places = match operation {
            Operation::Release => return Ok(()),
            Operation::Acquire => true,
            Operation::Extend { set_if_absent, .. } => set_if_absent,
            Operation::Raise(_) => false,
        };
        let now = Instant::now();
        let is_late = self.ask_until.is_some_and(|limit| now >= limit)
            || self.ask_until.is_some() && now >= self.lease.until();
        if is_late || self.lease.has_ended() {
            return Err(NodeError::NotSent);
        }
        if places {
            self.lease.lanes.lock()[node].is_placed = true;
        }
        Ok(())
    }

    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer) {
        let metrics = self.lease.nodes.metrics(node);
        metrics.answered(operation.name(), self.start, answer.as_ref().err());
        let vote = match operation {
            Operation::Acquire => {
                let answer = answer.map(|answer| match answer {
                    Answer::Acquire(vote) => vote,
                    _ => unreachable!("an acquisition is answered as one"),
                });
                self.acquired(node, answer)
            }
            Operation::Raise(_) => match answer {
                Ok(Answer::Raise(RaiseVote::Raised)) => Vote::Granted,
                Ok(_) => Vote::Refused { remaining: None },
                Err(error) => Vote::Failed(error),
            },
            Operation::Extend {
                token,
                set_if_absent,
            } => {
                let answer = answer.map(|answer| match answer {
                    Answer::Extend(vote) => vote,
                    _ => unreachable!("an extension is answered as one"),
                });
                match self.extended(node, set_if_absent, answer) {
                    Some(vote) => vote,
                    None => {
                        let heal = Operation::Extend {
                            token,
                            set_if_absent: true,
                        };
                        let question = Question::new(self.asker(), node, heal);
                        if let Some(answering) = self.ask(node, question) {
                            self.lease.in_background(self.give_up_at(), answering);
                        }
                        return;
                    }
                }
            }
            Operation::Release => {
                let answer = answer.map(|answer| match answer {
                    Answer::Release(vote) => vote,
                    _ => unreachable!("a release is answered as one"),
                });
                match self.released(node, answer) {
                    Some(vote) => vote,
                    None => return,
                }
            }
        };
        self.settle(node, vote);
    }

    fn expect(&self, node: usize, answer: Answer) {
        if let Answer::Acquire(AcquireVote::Taken { remaining }) = answer {
            self.round.expect(node, Vote::Refused { remaining });
        }
    }

    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError) {
        tracing::trace!(%error, "the connection had ended; asking over another");
        let question = Question::again(self.asker(), node, operation);
        if let Some(answering) = self.ask(node, question) {
            self.lease.in_background(self.give_up_at(), answering);
        }
    }

    fn given_up(self: Arc<Self>, node: usize, operation: Operation) {
        let error = NodeError::TimedOut;
        let metrics = self.lease.nodes.metrics(node);
        metrics.unanswered(operation.name(), self.start);
        let vote = match operation {
            Operation::Acquire => self.acquired(node, Err(error)),
            _ => Vote::Failed(error),
        };
        self.settle(node, vote);
    }
}

pin_project! {
    /// The answers of all nodes to one command: a future that is ready as soon as the verdict is
    /// clear or the time limit is over.
    ///
    /// # Cancel safety
    ///
    /// Whether it is finished or dropped, what has not been answered goes on in the background: a
    /// command that was sent cannot be taken back, and what it did has to be known before anything
    /// else is sent to that node.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Answers {
        command: Arc<Command>,
        // Of nodes that do not count answers themselves. They are few: polling all of them at each
        // wake-up is cheaper than to know which one it is about.
        answering: Vec<Answering>,
        deadline: Deadline,
        // Made when an answer is first waited for: in a drop there may be no runtime.
        #[pin]
        limit: Option<Sleep>,
        has_ended: bool,
    }

    impl PinnedDrop for Answers {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.has_ended {
                leave_behind(this.command, this.answering);
            }
        }
    }
}

/// Leaves what has not been answered to the background.
fn leave_behind(command: &Arc<Command>, answering: &mut Vec<Answering>) {
    command.abandon();
    if !answering.is_empty() {
        let work = join_all(mem::take(answering)).map(drop);
        (command.lease).in_background(command.give_up_at(), work);
    }
}

impl Future for Answers {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        this.answering
            .retain_mut(|answering| answering.as_mut().poll(cx).is_pending());
        let outcome = match this.command.round.poll_outcome(cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                if this.limit.is_none() {
                    this.limit.set(Some(match *this.deadline {
                        Deadline::At(deadline) => sleep_until(deadline),
                        Deadline::After(limit) => sleep(limit),
                    }));
                }
                let limit = this.limit.as_mut().as_pin_mut().expect("just set");
                ready!(limit.poll(cx));
                this.command.round.end()
            }
        };
        // Now, not when this is dropped: a future that is ready may be kept for long.
        *this.has_ended = true;
        leave_behind(this.command, this.answering);
        Poll::Ready(outcome)
    }
}
