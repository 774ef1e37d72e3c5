//! What one try to lock has put on the nodes, from the first message to the last.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures_util::future::FutureExt;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    NodeError, OwnerValue, Redsync, Vote,
    mutex::Wanted,
    node::{AcquireVote, AnyNode, ExtendVote, ReleaseVote},
    options::Options,
    round::{Ballot, Round},
};

/// How often a release is sent to a node whose connection breaks, and the first pause between.
/// (A release may be repeated, as it may be lost: it deletes nothing but its own key.)
const RELEASE_TRIES: u32 = 4;
const RELEASE_PAUSE: Duration = Duration::from_millis(50);

/// A name, an owner value of its own, and what is known about the keys that hold it.
///
/// There is one lane per node, on which one message of this claim is under way at a time: an
/// extension is sent after the acquisition has settled, and a release after everything else has.
/// So a key is never set after it was released, however late a node is.
pub(crate) struct Claim {
    redsync: Redsync,
    name: Arc<str>,
    value: OwnerValue,
    options: Arc<Options>,
    lanes: Box<[Semaphore]>,
    /// Up to when the holder may believe it holds the lock.
    until: Mutex<Instant>,
    /// Fires when the nodes say, before `until`, that the lock is not ours.
    lost_early: CancellationToken,
    released: AtomicBool,
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
            name: Arc::clone(&wanted.key),
            value,
            options: Arc::clone(&wanted.options),
            lanes: nodes.iter().map(|_| Semaphore::new(permits)).collect(),
            until: Mutex::new(Instant::now()),
            lost_early: CancellationToken::new(),
            released: AtomicBool::new(false),
            home: Handle::try_current().ok(),
        })
    }

    pub(crate) fn nodes(&self) -> &[AnyNode] {
        self.redsync.nodes()
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) const fn value(&self) -> &OwnerValue {
        &self.value
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) const fn lost_early(&self) -> &CancellationToken {
        &self.lost_early
    }

    /// Work about this claim that outlives its caller. By an expiry from now every key that is
    /// known of is gone by itself.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let limit = self.options.expiry();
        (self.redsync.background()).spawn(self.home.as_ref(), limit, work);
    }

    /// The end of the validity that begins with a round started at `start`.
    pub(crate) fn until_from(&self, start: Instant) -> Instant {
        self.options.until_from(start, self.options.expiry())
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
    pub(crate) fn acquire(self: &Arc<Self>, start: Instant) -> Round {
        let ballots = self.order().into_iter().map(|node| self.acquire_on(node));
        let deadline = start + self.options.node_timeout();
        Round::new(self, ballots, deadline, self.options.fail_fast)
    }

    fn acquire_on(self: &Arc<Self>, node: usize) -> Ballot {
        // Made here, not in the future: a future that is dropped before its first poll opens its
        // lane too, and no release can come before an acquisition that was not polled yet.
        let settles = Settles(Arc::clone(self), node);
        async move {
            let claim = &settles.0;
            let vote = match claim.redsync.admit(node).await {
                Ok(()) => {
                    (claim.nodes()[node].get())
                        .acquire(&claim.name, &claim.value, claim.options.expiry())
                        .await
                }
                Err(error) => Err(error),
            };
            let vote = match vote {
                Ok(AcquireVote::Acquired) => Vote::Granted,
                Ok(AcquireVote::Taken { remaining }) => Vote::Refused { remaining },
                Err(error) => claim.failed(node, "acquire", error),
            };
            (node, vote)
        }
        .boxed()
    }

    /// The round that extends, started now. No node is sent its message after `deadline`.
    pub(crate) fn extend(self: &Arc<Self>, deadline: Instant) -> Round {
        let ballots = self
            .order()
            .into_iter()
            .map(|node| self.extend_on(node, deadline));
        Round::new(self, ballots, deadline, self.options.fail_fast)
    }

    fn extend_on(self: &Arc<Self>, node: usize, deadline: Instant) -> Ballot {
        let claim = Arc::clone(self);
        async move {
            let _turn = claim.lanes[node].acquire().await;
            let now = Instant::now();
            let vote = if claim.is_released() || now >= deadline || now >= claim.until() {
                Err(NodeError::NotSent)
            } else {
                let options = claim.options();
                let heal = options.set_if_absent_on_extend;
                (claim.nodes()[node].get())
                    .extend(&claim.name, &claim.value, options.expiry(), heal)
                    .await
            };
            let vote = match vote {
                Ok(ExtendVote::Extended) => Vote::Granted,
                // A key that was set again does not count: what matters is that a majority held
                // ours all the time. It heals the node, not the lock.
                Ok(ExtendVote::Healed | ExtendVote::NotOwner) => Vote::Refused { remaining: None },
                Err(error) => claim.failed(node, "extend", error),
            };
            (node, vote)
        }
        .boxed()
    }

    /// The round that releases, started now. From here on nothing is extended.
    pub(crate) fn release(self: &Arc<Self>) -> Round {
        self.released.store(true, Ordering::SeqCst);
        let ballots = self.order().into_iter().map(|node| self.release_on(node));
        let deadline = Instant::now() + self.options.node_timeout();
        Round::new(self, ballots, deadline, true)
    }

    fn release_on(self: &Arc<Self>, node: usize) -> Ballot {
        let claim = Arc::clone(self);
        async move {
            let _turn = claim.lanes[node].acquire().await;
            let mut tries = 1;
            let vote = loop {
                let vote = (claim.nodes()[node].get())
                    .release(&claim.name, &claim.value)
                    .await;
                match vote {
                    Err(NodeError::Disconnected(_) | NodeError::TimedOut)
                        if tries < RELEASE_TRIES =>
                    {
                        sleep(RELEASE_PAUSE * tries).await;
                        tries += 1;
                    }
                    vote => break vote,
                }
            };
            let vote = match vote {
                Ok(ReleaseVote::Released) => Vote::Granted,
                Ok(ReleaseVote::NotOwner) => Vote::Refused { remaining: None },
                Err(error) => claim.failed(node, "release", error),
            };
            (node, vote)
        }
        .boxed()
    }

    /// The round that asks who holds the key, started now: granted where it is this claim's value.
    /// `ours` is told how long each such node will keep it.
    pub(crate) fn inspect(self: &Arc<Self>, ours: &mpsc::Sender<Duration>) -> Round {
        let ballots = self.order().into_iter().map(|node| {
            let (claim, ours) = (Arc::clone(self), ours.clone());
            async move {
                let vote = match claim.nodes()[node].get().inspect(&claim.name).await {
                    Ok(Some(holder)) if holder.value == claim.value => {
                        // Nobody listens any more when the round has its verdict.
                        let _ = ours.send(holder.remaining.unwrap_or(claim.options.expiry()));
                        Vote::Granted
                    }
                    Ok(holder) => Vote::Refused {
                        remaining: holder.map_or(Some(Duration::ZERO), |holder| holder.remaining),
                    },
                    Err(error) => claim.failed(node, "inspect", error),
                };
                (node, vote)
            }
            .boxed()
        });
        let deadline = Instant::now() + self.options.node_timeout();
        Round::new(self, ballots, deadline, true)
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

/// Opens a lane when the acquisition on it has settled, or was never sent.
struct Settles(Arc<Claim>, usize);

impl Drop for Settles {
    fn drop(&mut self) {
        self.0.lanes[self.1].add_permits(1);
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
