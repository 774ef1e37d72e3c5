//! The messages of a claim to its nodes, a round at a time.

use std::{
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering, mpsc},
    time::Duration,
};

use futures_util::future::{FutureExt, try_join_all};
use tokio::time::{Instant, sleep};

use super::Claim;
use crate::{
    FencingToken, NodeError, Vote,
    fence::{Agreement, agree},
    metrics,
    node::{AcquireVote, ExtendVote, Node, RaiseVote, ReleaseVote},
    quorum::majority,
    round::{Ballot, Deadline, Round, ballot},
};

/// For how much longer than an acquisition a release is pursued, which may have to follow it.
const RELEASE_MARGIN: Duration = Duration::from_secs(5);

/// The first and the longest pause before a release is sent again to a node that may have a key.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(1);

impl Claim {
    /// The round that acquires, started now.
    pub(crate) fn acquire(self: &Arc<Self>) -> Round {
        let ballots = self.ballots(|node| self.nodes()[node].voter().acquire(self, node));
        let deadline = Deadline::At(self.begun + self.options.node_timeout());
        Round::new(
            self,
            ballots,
            deadline,
            self.pursuit(),
            self.options.fail_fast,
        )
    }

    fn numbers(&self) -> MutexGuard<'_, Vec<Option<FencingToken>>> {
        // Each assignment is whole.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the numbers amount to that the nodes have returned so far.
    pub(crate) fn agree(&self) -> Agreement {
        agree(&self.numbers(), majority(self.nodes().len()))
    }

    /// The round that raises lower counters to `token`, started now. A node that returned it has
    /// granted; one that has not answered has no part in this.
    pub(crate) fn raise(self: &Arc<Self>, token: FencingToken) -> Round {
        let numbers = self.numbers().clone();
        let ballots = self.ballots(|node| {
            let (claim, number) = (Arc::clone(self), numbers[node]);
            ballot(async move {
                match number {
                    Some(number) if number == token => return Vote::Granted,
                    Some(_) => {}
                    None => return Vote::Failed(NodeError::TimedOut),
                }
                // One that comes late finds nothing it may raise, and need not keep the lane.
                drop(claim.lanes[node].open.acquire().await);
                let vote = if claim.is_released() {
                    Err(NodeError::NotSent)
                } else {
                    claim.nodes()[node].get().raise(&claim.terms, token).await
                };
                match vote {
                    Ok(RaiseVote::Raised) => Vote::Granted,
                    Ok(RaiseVote::Refused) => Vote::Refused { remaining: None },
                    Err(error) => claim.failed(node, "raise", error),
                }
            })
        });
        let deadline = Deadline::After(self.options.node_timeout());
        Round::new(self, ballots, deadline, self.pursuit(), true)
    }

    /// The round that extends, started now. No node is sent its message after `deadline`.
    pub(crate) fn extend(self: &Arc<Self>, deadline: Instant) -> Round {
        let ballots = self.ballots(|node| self.extend_on(node, deadline));
        Round::new(self, ballots, Deadline::At(deadline), self.pursuit(), true)
    }

    fn extend_on(self: &Arc<Self>, node: usize, deadline: Instant) -> Ballot {
        let claim = Arc::clone(self);
        ballot(async move {
            let lane = &claim.lanes[node];
            let turn = lane.open.acquire().await;
            let now = Instant::now();
            let heals = claim.options.set_if_absent_on_extend;
            // An extension that comes late finds nothing to extend, and need not keep others from
            // the lane: the next may go over a connection that works. One that sets what is
            // missing has to be settled before a release is sent.
            let _turn = heals.then_some(turn);
            if claim.is_released() || now >= deadline || now >= claim.until() {
                return claim.failed(node, "extend", NodeError::NotSent);
            }
            let asked = claim.nodes()[node].get();
            let (terms, token) = (&claim.terms, claim.token());
            let vote = match asked.extend(terms, token, false).await {
                Ok(ExtendVote::Extended) if lane.gap().is_none() => return Vote::Granted,
                Ok(vote) => vote,
                Err(error) => return claim.failed(node, "extend", error),
            };
            // It has been without the key, perhaps while another had it, and does not count.
            if vote != ExtendVote::Extended {
                *lane.gap() = Some(Instant::now());
            }
            if heals && vote != ExtendVote::Extended && !claim.is_released() {
                lane.placed.store(true, Ordering::SeqCst);
                if let Err(error) = asked.extend(terms, token, true).await {
                    return claim.failed(node, "heal", error);
                }
            }
            Vote::Refused { remaining: None }
        })
    }

    /// A majority has held the lock throughout a round started at `start`, so that nodes that were
    /// without the key before count again: nobody else can have held it since.
    pub(crate) fn forget_gaps_before(&self, start: Instant) {
        for lane in self.lanes.iter() {
            let mut gap = lane.gap();
            *gap = gap.filter(|gap| *gap >= start);
        }
    }

    /// The round that releases, started now. From here on nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Round {
        self.end();
        let ballots = self.ballots(|node| self.nodes()[node].voter().release(self, node));
        let deadline = Deadline::After(self.options.node_timeout());
        Round::new(self, ballots, deadline, self.release_pursuit(), true)
    }

    /// Longer than an acquisition is pursued, which a release may have to follow.
    pub(super) fn release_pursuit(&self) -> Duration {
        self.pursuit() + RELEASE_MARGIN
    }

    /// The round that asks who holds the names, started now: granted where it is this claim's value.
    /// `ours` is told how long each such node will keep them.
    pub(crate) fn inspect(self: &Arc<Self>, ours: &mpsc::Sender<Duration>) -> Round {
        let ballots = self.ballots(|node| {
            let (claim, ours) = (Arc::clone(self), ours.clone());
            ballot(async move {
                match claim.kept_on(node).await {
                    Ok(Some(kept)) => {
                        // Nobody listens any more when the round has its verdict.
                        let _ = ours.send(kept);
                        Vote::Granted
                    }
                    Ok(None) => Vote::Refused { remaining: None },
                    Err(error) => claim.failed(node, "inspect", error),
                }
            })
        });
        let deadline = Deadline::After(self.options.node_timeout());
        Round::new(self, ballots, deadline, self.pursuit(), true)
    }

    /// For how long the node will keep all names for this claim's value, if it has them.
    async fn kept_on(&self, node: usize) -> Result<Option<Duration>, NodeError> {
        let node = self.nodes()[node].get();
        let names = self.terms.names.iter().map(|name| node.inspect(name));
        let kept = try_join_all(names).await?.into_iter().map(|found| {
            let found = found.filter(|found| found.mode == self.terms.mode)?;
            let mut holders = found.holders.into_iter();
            let ours = holders.find(|holder| holder.value == self.terms.value)?;
            // What a node does not tell cannot be relied on.
            Some(ours.remaining.unwrap_or_default())
        });
        Ok(kept.min().flatten())
    }
}

/// A node's ballots that every lock takes, each in one piece with the node's own future.
pub(crate) trait Voter {
    fn acquire(self: Arc<Self>, claim: &Arc<Claim>, node: usize) -> Ballot;
    fn release(self: Arc<Self>, claim: &Arc<Claim>, node: usize) -> Ballot;
}

impl<N: Node> Voter for N {
    fn acquire(self: Arc<Self>, claim: &Arc<Claim>, node: usize) -> Ballot {
        // Made here, not in the future: a future that is dropped before its first poll opens its
        // lane too, and no release can come before an acquisition that was not polled yet.
        let opens = OpensLane(Arc::clone(claim), node);
        ballot(async move {
            let claim = &opens.0;
            let vote = match claim.redsync.admit(node).await {
                Ok(()) if claim.is_released() => Err(NodeError::NotSent),
                Ok(()) => {
                    claim.lanes[node].placed.store(true, Ordering::SeqCst);
                    let vote = Node::acquire(&*self, &claim.terms);
                    metrics::command(Node::address(&*self), "acquire", vote).await
                }
                Err(error) => Err(error),
            };
            let placed = match &vote {
                Ok(AcquireVote::Acquired { .. }) => true,
                Ok(AcquireVote::Taken { .. }) => false,
                Err(error) => error.is_ambiguous(),
            };
            claim.lanes[node].placed.store(placed, Ordering::SeqCst);
            match vote {
                Ok(AcquireVote::Acquired { number: None }) if claim.terms.fenced => {
                    let error = NodeError::Unexpected("no number for the token".into());
                    claim.failed(node, "acquire", error)
                }
                Ok(AcquireVote::Acquired { number }) => {
                    if number.is_some() {
                        claim.numbers()[node] = number;
                    }
                    Vote::Granted
                }
                Ok(AcquireVote::Taken { remaining }) => Vote::Refused { remaining },
                Err(error) => claim.failed(node, "acquire", error),
            }
        })
    }

    fn release(self: Arc<Self>, claim: &Arc<Claim>, node: usize) -> Ballot {
        let claim = Arc::clone(claim);
        ballot(async move {
            let lane = &claim.lanes[node];
            let _turn = lane.open.acquire().await;
            let mut pause = RELEASE_PAUSE;
            let mut ambiguous = None;
            let vote = loop {
                let vote = Node::release(&*self, &claim.terms);
                match metrics::command(Node::address(&*self), "release", vote).await {
                    // It may be repeated, as it may be lost: it deletes nothing but its own key.
                    Err(error) if error.may_pass() && lane.placed.load(Ordering::SeqCst) => {
                        if error.is_ambiguous() {
                            ambiguous = Some(error.clone());
                        }
                        claim.failed(node, "release", error);
                        // Boxed, as it is large and rare.
                        sleep(pause).boxed().await;
                        pause = (2 * pause).min(MAX_RELEASE_PAUSE);
                    }
                    vote => break vote,
                }
            };
            match (vote, ambiguous) {
                (Ok(ReleaseVote::Released), _) => Vote::Granted,
                // Perhaps gone because the release whose answer was lost has deleted it.
                (Ok(ReleaseVote::NotOwner), Some(error)) => Vote::Failed(error),
                (Ok(ReleaseVote::NotOwner), None) => Vote::Refused { remaining: None },
                (Err(error), _) => claim.failed(node, "release", error),
            }
        })
    }
}

/// Opens a lane when the acquisition on it has settled, or was never sent.
struct OpensLane(Arc<Claim>, usize);

impl Drop for OpensLane {
    fn drop(&mut self) {
        self.0.lanes[self.1].open.add_permits(1);
    }
}
