//! What one try to lock has put on the nodes, from the first message to the last.

mod holding;
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

pub(crate) use self::{
    holding::{Holding, Releasing},
    rounds::Voter,
};
use crate::{
    FencingToken, NodeError, OwnerValue, Redsync, Vote,
    fence::STRIDE,
    metrics,
    node::{AnyNode, Mode, Terms},
    options::Options,
    round::Ballot,
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
    /// Those of the keys: a claim that they were passed on from has the same.
    lanes: Arc<[Lane]>,
    /// Up to when the holder may believe it holds the lock.
    until: Mutex<Instant>,
    /// Fires when the validity ends before its time: the nodes say that the lock is not ours, or it is
    /// released.
    /// Made when somebody wants to know.
    lost_early: OnceLock<CancellationToken>,
    released: AtomicBool,
    begun: Instant,
    turn: Turn,
    /// Whether a quorum has granted, once.
    held: AtomicBool,
    /// Whether the owner value may be known to others, who could release with it.
    shown: AtomicBool,
    /// Which of the tries for one lock it is, from 1 on. Of one that was passed on: how many there were.
    attempt: u32,
    hold: metrics::Hold,
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
        let now = Instant::now();
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
            numbers: Mutex::new(if wanted.options.fencing {
                vec![None; nodes.len()]
            } else {
                Vec::new()
            }),
            token: OnceLock::new(),
            begun: now,
            turn: Turn {
                begun: now,
                passed: 0,
            },
            held: AtomicBool::new(false),
            // It came from elsewhere.
            shown: AtomicBool::new(permits > 0),
            attempt: wanted.count_attempt(),
            hold: metrics::Hold::new(),
            options: Arc::clone(&wanted.options),
            lanes: (nodes.iter())
                .map(|_| Lane {
                    open: Semaphore::new(permits),
                    placed: AtomicBool::new(permits > 0),
                    gap: Mutex::new(None),
                })
                .collect(),
            until: Mutex::new(now),
            lost_early: OnceLock::new(),
            released: AtomicBool::new(false),
            home: Handle::try_current().ok(),
        })
    }

    /// Whether the keys were passed on to the next who waits for them in this process.
    fn pass_on(&self) -> bool {
        self.was_held() && !self.is_lost() && self.redsync.lines().pass(self)
    }

    /// Tells those who wait in this process that the names are free.
    fn tell_freed(&self) {
        self.redsync.lines().freed(&self.terms.names);
    }

    /// Passes the keys on to a claim of the next who wants them, and ends this one; [`None`] if that may
    /// not be. It may within `time` of the acquisition.
    pub(crate) fn pass(&self, wanted: &Wanted, time: Duration, now: Instant) -> Option<Arc<Self>> {
        let passed = self.turn.passed + 1;
        let options = &wanted.options;
        let hand_offs = options.hand_offs.min(self.options.hand_offs);
        let same = self.terms.names == wanted.names
            && self.terms.mode == options.mode
            && self.terms.fenced == options.fencing
            && self.terms.expiry == options.expiry()
            // Its validity goes on as it was reckoned.
            && options.drift_factor <= self.options.drift_factor;
        let in_turn = now < self.turn.begun + time.min(self.options.turn())
            && passed <= hand_offs
            && (!self.terms.fenced || u64::from(passed) < STRIDE);
        let exclusive = self.terms.mode == Mode::Exclusive;
        let shown = self.shown.load(Ordering::SeqCst);
        if !same || !in_turn || !exclusive || shown || self.is_released() {
            return None;
        }
        let until = self.until();
        let claim = Self {
            redsync: wanted.redsync.clone(),
            name: Arc::clone(&wanted.label),
            terms: self.terms.clone(),
            numbers: Mutex::default(),
            token: self
                .token()
                .map(FencingToken::next)
                .map_or_else(OnceLock::new, OnceLock::from),
            begun: now,
            turn: Turn {
                begun: self.turn.begun,
                passed,
            },
            held: AtomicBool::new(true),
            shown: AtomicBool::new(false),
            attempt: wanted.attempts.load(Ordering::Relaxed),
            hold: metrics::Hold::new(),
            options: Arc::clone(options),
            lanes: Arc::clone(&self.lanes),
            until: Mutex::new(now),
            lost_early: OnceLock::new(),
            released: AtomicBool::new(false),
            home: Handle::try_current().ok().or_else(|| self.home.clone()),
        };
        claim.begin(claim.capped(until));
        if !claim.is_worth_having() {
            return None;
        }
        // Not before the other is there: a lock that is passed on is never without a holder.
        self.end();
        Some(Arc::new(claim))
    }

    /// Whether enough of the validity is left to begin with.
    pub(crate) fn is_worth_having(&self) -> bool {
        Instant::now() + self.options.min_validity() < self.until()
    }

    /// The owner value, for others.
    pub(crate) fn show_value(&self) -> &OwnerValue {
        self.shown.store(true, Ordering::SeqCst);
        &self.terms.value
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

    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
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

    pub(crate) fn lost_early(&self) -> &CancellationToken {
        // Whoever asks looks at `until` after that, and so misses nothing that ended it before.
        self.lost_early.get_or_init(CancellationToken::new)
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

    /// Whether a quorum has granted, whatever has come since.
    fn was_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Sets the validity of a lock that has just been acquired.
    pub(crate) fn begin(&self, until: Instant) {
        *self.lock_until() = until;
        self.held.store(true, Ordering::SeqCst);
        self.hold.begin();
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
        if let Some(token) = self.lost_early.get() {
            token.cancel();
        }
    }

    /// It is known to be lost, by whom or what.
    pub(crate) fn count_loss(&self) {
        self.hold.lost(self.terms.mode);
    }

    pub(crate) fn is_lost(&self) -> bool {
        Instant::now() >= self.until()
    }

    /// From here on nothing is acquired or extended that has not been sent, and whoever has a view of
    /// the validity is told that it is over.
    fn end(&self) {
        self.hold.end(self.terms.mode, self.is_lost());
        self.released.store(true, Ordering::SeqCst);
        self.lose();
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// A ballot for each node, in the order in which they are sent to.
    fn ballots(&self, ballot: impl Fn(usize) -> Ballot) -> Vec<(usize, Ballot)> {
        let nodes = 0..self.nodes().len();
        let mut ballots: Vec<_> = nodes.map(|node| (node, ballot(node))).collect();
        if self.options.shuffled_nodes {
            fastrand::shuffle(&mut ballots);
        }
        ballots
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

/// Since when keys have been held by those of this process, one after the other.
struct Turn {
    begun: Instant,
    /// How often they were passed on.
    passed: u32,
}

/// What goes on between the keys of a claim and one node.
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
