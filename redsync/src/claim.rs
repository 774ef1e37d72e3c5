//! What one try to lock has put on the nodes, from the first message to the last.

mod rounds;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    FencingToken, NodeError, OwnerValue, Redsync, Vote,
    node::{AnyNode, Terms},
    options::Options,
    round::Round,
    wanted::Wanted,
};

/// How long answers are pursued in the background, at the most. A key that could not be released by
/// then is left to its expiry.
const MAX_PURSUIT: Duration = Duration::from_secs(30);

/// A name, an owner value of its own, and what is known about the keys that hold it.
///
/// There is one lane per node, which a message that can set a key keeps until it has settled: the
/// acquisition, and an extension that heals. Whatever else is sent comes after it. So a key is never
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
    /// Fires when the validity ends before its time: the nodes say that the lock is not ours, or it is
    /// released.
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

    /// From here on nothing is acquired or extended that has not been sent, and whoever has a view of
    /// the validity is told that it is over.
    fn end(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.lose();
    }

    pub(crate) fn is_released(&self) -> bool {
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
