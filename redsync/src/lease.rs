//! The lease: the state of one attempt and of the lock that results from it, from the first command
//! to the last.
//!
//! A [`Lease`] has an [entry](crate::node::Entry) with its own owner value, a [validity](hold), and
//! a [lane](lane) to each node. Each of its [operations](operations) is a [round](round) over all
//! nodes.

mod extension;
mod hold;
mod inspection;
mod lane;
mod operations;
mod pending;
mod round;

use std::{
    future::Future,
    sync::{
        Arc, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;
use tokio::{runtime::Handle, time::Instant};

pub(crate) use self::{extension::Extension, pending::Pending};
use self::{hold::Hold, lane::Lane};
use crate::{
    FencingToken, Mode, OwnerValue,
    fence::{Agreement, STRIDE, agree},
    metrics,
    node::Entry,
    nodes::Nodes,
    options::Options,
    quorum::{
        USUAL_NODES,
        count::RoundVotes,
        majority,
        votes::{NodeVote, Votes},
    },
    request::Request,
    sync::Mutex,
};

/// The longest time to wait for answers in the background. A key that could not be released by then
/// stays until it expires.
const MAX_PURSUIT: Duration = Duration::from_secs(30);

/// How much longer to wait for a release than for an acquisition, because the release may have to
/// follow the acquisition.
const RELEASE_MARGIN: Duration = Duration::from_secs(5);

/// The keys with one owner value on all nodes, and their known state.
pub(crate) struct Lease {
    nodes: Arc<Nodes>,
    /// The name in errors and logs.
    label: Arc<str>,
    entry: Entry,
    options: Arc<Options>,
    /// Shared with the leases that the keys were handed over to.
    lanes: Arc<Lanes>,
    hold: Hold,
    succession: Succession,
    token: OnceLock<FencingToken>,
    /// The number of the attempt, starting from 1. If the lock was handed over, the number of
    /// attempts that its waiter made.
    attempt: u32,
    metrics: metrics::HoldTime,
    /// The runtime that clean-up uses if it begins outside of any runtime.
    home: Option<Handle>,
}

/// The succession of holders in this process that have held the same keys, one after the other.
struct Succession {
    /// When the first holder was about to send its first command.
    origin: Instant,
    /// When this lease began.
    begun: Instant,
    /// How many times the keys were handed over.
    hand_overs: u32,
    /// Whether others may know the owner value. They could release the lock with it.
    is_exposed: AtomicBool,
}

impl Succession {
    fn new(now: Instant, is_exposed: bool) -> Self {
        Self {
            origin: now,
            begun: now,
            hand_overs: 0,
            is_exposed: AtomicBool::new(is_exposed),
        }
    }
}

/// The lanes to all nodes.
struct Lanes(Mutex<SmallVec<[Lane; USUAL_NODES]>>);

impl Lanes {
    fn new(nodes: usize, are_placed: bool) -> Arc<Self> {
        let lanes = (0..nodes).map(|_| Lane::new(are_placed)).collect();
        Arc::new(Self(Mutex::new(lanes)))
    }

    fn lock(&self) -> MutexGuard<'_, SmallVec<[Lane; USUAL_NODES]>> {
        self.0.lock()
    }
}

impl Lease {
    /// Makes a lease for an attempt that begins now.
    pub(crate) fn new(nodes: &Arc<Nodes>, request: &Request, value: OwnerValue) -> Arc<Self> {
        Self::with_keys(nodes, request, value, false)
    }

    /// Makes a lease on keys that the nodes already have.
    pub(crate) fn resumed(nodes: &Arc<Nodes>, request: &Request, value: OwnerValue) -> Arc<Self> {
        // The value came from outside, so others may know it.
        Self::with_keys(nodes, request, value, true)
    }

    fn with_keys(
        nodes: &Arc<Nodes>,
        request: &Request,
        value: OwnerValue,
        are_placed: bool,
    ) -> Arc<Self> {
        let now = Instant::now();
        let options = &request.options;
        Arc::new(Self {
            nodes: Arc::clone(nodes),
            label: Arc::clone(&request.label),
            entry: Entry {
                names: Arc::clone(&request.names),
                value,
                expiry: options.timing.expiry(),
                mode: options.kind.mode,
                fenced: options.kind.fencing,
            },
            options: Arc::clone(options),
            lanes: Lanes::new(nodes.len(), are_placed),
            hold: Hold::new(now),
            succession: Succession::new(now, are_placed),
            token: OnceLock::new(),
            attempt: request.count_attempt(),
            metrics: metrics::HoldTime::new(),
            home: Handle::try_current().ok(),
        })
    }

    /// Hands the keys over to a new lease for another request of this process, and ends this lease.
    /// Returns [`None`] if this is not allowed, for instance later than `time` after the
    /// acquisition.
    ///
    /// The new lease is complete before this one ends, so the keys are never without a holder. Both
    /// share their lanes, so a command of the old holder that is still under way stays ahead of the
    /// commands of the new one.
    pub(crate) fn hand_over(&self, request: &Request, time: Duration) -> Option<Arc<Self>> {
        let now = Instant::now();
        if !self.may_hand_over(request, time, now) {
            return None;
        }
        let lease = Self {
            nodes: Arc::clone(&self.nodes),
            label: Arc::clone(&request.label),
            entry: self.entry.clone(),
            options: Arc::clone(&request.options),
            lanes: Arc::clone(&self.lanes),
            hold: Hold::new(now),
            succession: Succession {
                origin: self.succession.origin,
                begun: now,
                hand_overs: self.succession.hand_overs + 1,
                is_exposed: AtomicBool::new(false),
            },
            token: (self.token().map(FencingToken::next))
                .map_or_else(OnceLock::new, OnceLock::from),
            attempt: request.attempts(),
            metrics: metrics::HoldTime::new(),
            home: Handle::try_current().ok().or_else(|| self.home.clone()),
        };
        lease.begin(lease.capped(self.until()));
        if !lease.is_worth_having() {
            return None;
        }
        self.end();
        Some(Arc::new(lease))
    }

    fn may_hand_over(&self, request: &Request, time: Duration, now: Instant) -> bool {
        let (options, own) = (&request.options, &self.options);
        let is_same = self.entry.names == request.names
            && self.entry.mode == options.kind.mode
            && self.entry.fenced == options.kind.fencing
            && self.entry.expiry == options.timing.expiry()
            // The validity is not computed again, so the new drift must not be larger.
            && options.timing.drift_factor <= own.timing.drift_factor;
        // If the holder's and the next waiter's limits differ, the smaller applies.
        let hand_overs = (options.queueing.hand_overs).min(own.queueing.hand_overs);
        let next = self.succession.hand_overs + 1;
        let has_tokens = !self.entry.fenced || u64::from(next) < STRIDE;
        let is_in_time = now < self.succession.origin + time.min(own.hand_over_time());
        let is_secret = !self.succession.is_exposed.load(Ordering::Relaxed);
        is_same
            && next <= hand_overs
            && has_tokens
            && is_in_time
            && self.entry.mode == Mode::Exclusive
            && is_secret
            && self.hold.was_held()
            && !self.hold.is_over()
            && !self.has_ended()
    }

    /// Whether enough validity is left for a new holder.
    pub(crate) fn is_worth_having(&self) -> bool {
        Instant::now() + self.options.timing.min_validity() < self.until()
    }

    /// Returns the owner value, which others may know from here on. The keys are then not handed
    /// over, because anyone who knows the value could release the lock of the next holder.
    pub(crate) fn expose_value(&self) -> &OwnerValue {
        // Relaxed: the flag is read when the same guard is released or dropped, which comes after
        // this.
        self.succession.is_exposed.store(true, Ordering::Relaxed);
        &self.entry.value
    }

    pub(crate) fn is_on(&self, nodes: &Arc<Nodes>) -> bool {
        Arc::ptr_eq(&self.nodes, nodes)
    }

    /// Whether this lease includes the requested lock, so that its holder need not acquire it too.
    pub(crate) fn covers(&self, request: &Request) -> bool {
        let wanted = &request.options.kind;
        let is_strong_enough = self.entry.mode == Mode::Exclusive || wanted.mode == Mode::Shared;
        let is_fenced_enough = !wanted.fencing || self.token().is_some();
        let mut names = request.names.iter();
        is_strong_enough && is_fenced_enough && names.all(|name| self.entry.names.contains(name))
    }

    pub(crate) const fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(crate) const fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the first command of this lease was about to be sent, or when the keys were handed over
    /// to it.
    pub(crate) const fn begun(&self) -> Instant {
        self.succession.begun
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.token.get().copied()
    }

    pub(crate) fn set_token(&self, token: FencingToken) {
        self.token.get_or_init(|| token);
    }

    /// The agreement of the numbers that the nodes have returned so far.
    pub(crate) fn agreement(&self) -> Agreement {
        let numbers: SmallVec<[_; USUAL_NODES]> =
            self.lanes.lock().iter().map(Lane::number).collect();
        agree(&numbers, majority(numbers.len()))
    }

    /// The end of the validity if a round that started at `start` succeeds.
    pub(crate) fn until_from(&self, start: Instant) -> Instant {
        let timing = &self.options.timing;
        self.capped(timing.until_from(start, timing.expiry()))
    }

    /// The same instant, or the end of the maximum hold time if that is earlier.
    pub(crate) fn capped(&self, until: Instant) -> Instant {
        let max_hold = self.options.timing.max_hold;
        let end = max_hold.and_then(|max_hold| self.begun().checked_add(max_hold));
        end.map_or(until, |end| until.min(end))
    }

    /// Whether no extension can prolong the validity.
    pub(crate) fn is_at_its_end(&self) -> bool {
        let until = self.until();
        self.capped(until + Duration::from_secs(1)) == until
    }

    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(crate) fn until(&self) -> Instant {
        self.hold.until()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.hold.is_over()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.hold.has_ended()
    }

    /// Begins the validity of a lock that has just been acquired.
    pub(crate) fn begin(&self, until: Instant) {
        self.hold.begin(until);
        self.metrics.begin();
    }

    /// Ends the validity, because too many nodes no longer keep the keys.
    pub(crate) fn lose(&self) {
        if self.hold.cut_short(Instant::now()) {
            self.report_loss();
        }
    }

    /// Reports that the lock was lost while it was in use. It is reported once.
    pub(crate) fn report_loss(&self) {
        if self.count_loss() {
            tracing::warn!(name = %self.label, "lost");
        }
    }

    /// Counts that the lock was lost. It is counted once; returns whether this call counted it.
    pub(crate) fn count_loss(&self) -> bool {
        let is_first = self.hold.report_loss();
        if is_first {
            self.nodes.lock_metrics().lost(self.entry.mode);
        }
        is_first
    }

    /// Ends the lease, because its keys are to be released or belong to another lease now. Nothing
    /// more is acquired or extended for it, and every view of the validity shows that it has ended.
    pub(crate) fn end(&self) {
        self.end_at(Instant::now());
    }

    fn end_at(&self, now: Instant) {
        let was_lost = now >= self.until();
        if self.hold.end(now) && self.hold.was_held() {
            self.nodes
                .lock_metrics()
                .held(self.entry.mode, &self.metrics);
            if was_lost {
                self.count_loss();
            }
        }
    }

    /// Whether, since `start`, a node was found without the key and was asked to set it again.
    pub(crate) fn has_healed_since(&self, start: Instant) -> bool {
        let is_healed = |lane: &Lane| lane.gap().is_some_and(|gap| gap >= start);
        self.options.kind.heals && self.lanes.lock().iter().any(is_healed)
    }

    /// Lets nodes that were without the key before `start` count again. A majority has kept the key
    /// throughout a round that started at `start`, so nobody else can have held the lock since
    /// then.
    pub(crate) fn forget_gaps_before(&self, start: Instant) {
        for lane in self.lanes.lock().iter_mut() {
            lane.forget_gap_before(start);
        }
    }

    /// The runtime that the lease was made on.
    pub(crate) const fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    /// Spawns work for this lease that outlives its caller, up to a deadline.
    fn in_background(&self, deadline: Instant, work: impl Future<Output = ()> + Send + 'static) {
        (self.nodes.background()).spawn(self.home.as_ref(), deadline, work);
    }

    /// Finishes a release in the background.
    pub(crate) fn finish_in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.in_background(Instant::now() + self.pursuit() + RELEASE_MARGIN, work);
    }

    /// How long to wait for an answer in the background.
    fn pursuit(&self) -> Duration {
        self.options.timing.expiry().min(MAX_PURSUIT)
    }

    /// The votes with the addresses of their nodes, for an error.
    pub(crate) fn votes(&self, round: RoundVotes) -> Votes {
        let vote = |(node, vote): (usize, Option<_>)| {
            let address = Arc::clone(self.nodes.address(node));
            vote.map(|vote| NodeVote { address, vote })
        };
        Votes {
            name: Arc::clone(&self.label),
            nodes: self.nodes.len(),
            attempt: self.attempt,
            votes: round.into_iter().enumerate().filter_map(vote).collect(),
        }
    }
}
