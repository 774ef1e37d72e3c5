//! What one try to lock has put on the nodes, from the first message to the last.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    FencingToken, NodeError, OwnerValue, Redsync, Vote,
    fence::{Agreement, agree},
    mutex::Wanted,
    node::{AcquireVote, AnyNode, ExtendVote, RaiseVote, ReleaseVote, Terms},
    options::Options,
    quorum::majority,
    round::{Ballot, Deadline, Round, ballot},
};

/// How long answers are pursued in the background, at the most. A key that could not be released by
/// then is left to its expiry.
const MAX_PURSUIT: Duration = Duration::from_secs(30);
const RELEASE_MARGIN: Duration = Duration::from_secs(5);

/// The first and the longest pause before a release is sent again to a node that may have a key.
const RELEASE_PAUSE: Duration = Duration::from_millis(50);
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(1);

/// A name, an owner value of its own, and what is known about the keys that hold it.
///
/// There is one lane per node, on which one message that can set a key is under way at a time: an
/// extension is sent after the acquisition has settled, and a release after both. So a key is never
/// set after it was released, however late a node is.
pub(crate) struct Claim {
    redsync: Redsync,
    /// What errors and logs call it.
    name: Arc<str>,
    terms: Terms,
    options: Arc<Options>,
    lanes: Box<[Lane]>,
    /// Up to when the holder may believe it holds the lock.
    until: Mutex<Instant>,
    /// Fires when the nodes say, before `until`, that the lock is not ours.
    lost_early: CancellationToken,
    released: AtomicBool,
    begun: Instant,
    /// The counters' numbers, by node.
    numbers: Mutex<Vec<Option<FencingToken>>>,
    token: OnceLock<FencingToken>,
    /// Where clean-up runs if it is asked for outside of any runtime.
    home: Option<Handle>,
}

impl Claim {
    /// A claim whose lanes are closed until [`acquire`](Self::acquire) has settled on each.
    pub(crate) fn new(wanted: &Wanted, value: OwnerValue) -> Arc<Self> {
        Self::with_lanes(wanted, value, 0)
    }

    /// A claim on keys that are there already.
    pub(crate) fn resumed(wanted: &Wanted, value: OwnerValue) -> Arc<Self> {
        Self::with_lanes(wanted, value, 1)
    }

    fn with_lanes(wanted: &Wanted, value: OwnerValue, permits: usize) -> Arc<Self> {
        let nodes = wanted.redsync.nodes();
        Arc::new(Self {
            redsync: wanted.redsync.clone(),
            name: Arc::clone(&wanted.label),
            terms: Terms {
                names: Arc::clone(&wanted.names),
                value,
                expiry: wanted.options.expiry(),
                mode: wanted.options.mode,
                fenced: wanted.options.fencing,
            },
            numbers: Mutex::new(vec![None; nodes.len()]),
            token: OnceLock::new(),
            begun: Instant::now(),
            options: Arc::clone(&wanted.options),
            lanes: (nodes.iter())
                .map(|_| Lane {
                    open: Semaphore::new(permits),
                    placed: AtomicBool::new(permits > 0),
                    gap: Mutex::new(None),
                })
                .collect(),
            until: Mutex::new(Instant::now()),
            lost_early: CancellationToken::new(),
            released: AtomicBool::new(false),
            home: Handle::try_current().ok(),
        })
    }

    pub(crate) fn nodes(&self) -> &[AnyNode] {
        self.redsync.nodes()
    }

    pub(crate) fn is_on(&self, redsync: &Redsync) -> bool {
        self.redsync.has_nodes_of(redsync)
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// When the first message was about to be sent.
    pub(crate) const fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.token.get().copied()
    }

    pub(crate) fn set_token(&self, token: FencingToken) {
        self.token.get_or_init(|| token);
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) const fn lost_early(&self) -> &CancellationToken {
        &self.lost_early
    }

    /// Work about this claim that outlives its caller, for a time.
    pub(crate) fn in_background(
        &self,
        limit: Duration,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        (self.redsync.background()).spawn(self.home.as_ref(), limit, work);
    }

    /// How long an answer is pursued in the background.
    fn pursuit(&self) -> Duration {
        self.options.expiry().min(MAX_PURSUIT)
    }

    /// The end of the validity that begins with a round started at `start`.
    pub(crate) fn until_from(&self, start: Instant) -> Instant {
        self.capped(self.options.until_from(start, self.options.expiry()))
    }

    /// The same instant, or that at which the lock has been held for as long as it may.
    pub(crate) fn capped(&self, until: Instant) -> Instant {
        let max_hold = self.options.max_hold;
        let end = max_hold.and_then(|max_hold| self.begun.checked_add(max_hold));
        end.map_or(until, |end| until.min(end))
    }

    /// Whether no extension can move the validity on.
    pub(crate) fn is_held_to_the_end(&self) -> bool {
        let until = self.until();
        self.capped(until + Duration::from_secs(1)) == until
    }

    fn lock_until(&self) -> MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn until(&self) -> Instant {
        *self.lock_until()
    }

    /// Sets the validity of a lock that has just been acquired.
    pub(crate) fn begin(&self, until: Instant) {
        *self.lock_until() = until;
    }

    /// Prolongs the validity, unless it has ended: what is lost stays lost.
    pub(crate) fn prolong(&self, until: Instant) -> bool {
        let mut current = self.lock_until();
        let valid = Instant::now() < *current;
        if valid {
            *current = until.max(*current);
        }
        valid
    }

    /// Ends the validity now.
    pub(crate) fn lose(&self) {
        {
            let mut until = self.lock_until();
            *until = Instant::now().min(*until);
        }
        self.lost_early.cancel();
    }

    pub(crate) fn is_lost(&self) -> bool {
        Instant::now() >= self.until()
    }

    /// The round that acquires, started now.
    pub(crate) fn acquire(self: &Arc<Self>) -> Round {
        let ballots = self.order().into_iter().map(|node| self.acquire_on(node));
        let deadline = Deadline::At(self.begun + self.options.node_timeout());
        Round::new(
            self,
            ballots,
            deadline,
            self.pursuit(),
            self.options.fail_fast,
        )
    }

    fn acquire_on(self: &Arc<Self>, node: usize) -> Ballot {
        // Made here, not in the future: a future that is dropped before its first poll opens its
        // lane too, and no release can come before an acquisition that was not polled yet.
        let opens = OpensLane(Arc::clone(self), node);
        ballot(node, async move {
            let claim = &opens.0;
            let vote = match claim.redsync.admit(node).await {
                Ok(()) if claim.is_released() => Err(NodeError::NotSent),
                Ok(()) => {
                    claim.lanes[node].placed.store(true, Ordering::SeqCst);
                    claim.nodes()[node].get().acquire(&claim.terms).await
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
        let ballots = self.order().into_iter().map(|node| {
            let (claim, number) = (Arc::clone(self), numbers[node]);
            ballot(node, async move {
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
        let ballots = self
            .order()
            .into_iter()
            .map(|node| self.extend_on(node, deadline));
        Round::new(self, ballots, Deadline::At(deadline), self.pursuit(), true)
    }

    fn extend_on(self: &Arc<Self>, node: usize, deadline: Instant) -> Ballot {
        let claim = Arc::clone(self);
        ballot(node, async move {
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
        for lane in &self.lanes {
            let mut gap = lane.gap();
            *gap = gap.filter(|gap| *gap >= start);
        }
    }

    /// The round that releases, started now. From here on nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Round {
        self.end();
        let ballots = self.order().into_iter().map(|node| self.release_on(node));
        let deadline = Deadline::After(self.options.node_timeout());
        // Longer than an acquisition is pursued, which it may have to follow.
        let pursuit = self.pursuit() + RELEASE_MARGIN;
        Round::new(self, ballots, deadline, pursuit, true)
    }

    fn release_on(self: &Arc<Self>, node: usize) -> Ballot {
        let claim = Arc::clone(self);
        ballot(node, async move {
            let lane = &claim.lanes[node];
            let _turn = lane.open.acquire().await;
            let mut pause = RELEASE_PAUSE;
            let mut ambiguous = None;
            let vote = loop {
                match claim.nodes()[node].get().release(&claim.terms).await {
                    // It may be repeated, as it may be lost: it deletes nothing but its own key.
                    Err(error) if error.may_pass() && lane.placed.load(Ordering::SeqCst) => {
                        if error.is_ambiguous() {
                            ambiguous = Some(error.clone());
                        }
                        claim.failed(node, "release", error);
                        sleep(pause).await;
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

    /// The round that asks who holds the names, started now: granted where it is this claim's value.
    /// `ours` is told how long each such node will keep them.
    pub(crate) fn inspect(self: &Arc<Self>, ours: &mpsc::Sender<Duration>) -> Round {
        let ballots = self.order().into_iter().map(|node| {
            let (claim, ours) = (Arc::clone(self), ours.clone());
            ballot(node, async move {
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

    /// From here on nothing is acquired or extended that has not been sent.
    fn end(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// The nodes in the order in which they are sent to.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes().len()).collect();
        if self.options.shuffled_nodes {
            fastrand::shuffle(&mut order);
        }
        order
    }

    /// A failed vote, made visible: a round that has its verdict does not wait for it.
    fn failed(&self, node: usize, operation: &'static str, error: NodeError) -> Vote {
        tracing::debug!(
            name = %self.name,
            node = self.nodes()[node].get().address(),
            operation,
            %error,
            "a node failed"
        );
        Vote::Failed(error)
    }
}

/// What goes on between this claim and one node.
struct Lane {
    /// One permit, for the message that is under way; none before the acquisition has settled.
    open: Semaphore,
    /// Whether there may be a key.
    placed: AtomicBool,
    /// When the node was last found without the key, if no majority has confirmed the lock since.
    gap: Mutex<Option<Instant>>,
}

impl Lane {
    fn gap(&self) -> MutexGuard<'_, Option<Instant>> {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a lane when the acquisition on it has settled, or was never sent.
struct OpensLane(Arc<Claim>, usize);

impl Drop for OpensLane {
    fn drop(&mut self) {
        self.0.lanes[self.1].open.add_permits(1);
    }
}

/// The keys of a claim, to be released when this is dropped.
pub(crate) struct Holding {
    claim: Arc<Claim>,
    armed: bool,
}

impl Holding {
    pub(crate) const fn new(claim: Arc<Claim>) -> Self {
        Self { claim, armed: true }
    }

    pub(crate) const fn claim(&self) -> &Arc<Claim> {
        &self.claim
    }

    /// Releases, and tells what the nodes say.
    pub(crate) fn release(mut self) -> Round {
        self.armed = false;
        self.claim.release()
    }

    /// Leaves the keys to whoever knows their value.
    pub(crate) fn leave(mut self) {
        self.armed = false;
        self.claim.end();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.armed {
            // A round that is dropped goes on in the background.
            drop(self.claim.release());
        }
    }
}
