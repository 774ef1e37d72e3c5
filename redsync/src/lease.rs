//! The lease: the state of one attempt and of the lock that results from it, from the first command
//! to the last.
//!
//! A [`Lease`] serves a [`Purpose`], keeps its keys at a [`Site`], has a [hold](hold) with a
//! validity, a [lane](lane) to each node, and a place in the [succession](succession) of holders.
//! Each of its [operations](operations) is a [round](round) over all nodes.

mod command;
mod extension;
mod hold;
mod key;
mod lane;
mod lanes;
mod loss;
mod operations;
mod pending;
mod purpose;
mod pursuit;
mod round;
mod site;
mod succession;
mod verification;

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use self::{
    command::Command,
    hold::Extended,
    key::{Key, Settled},
    lane::{Beginning, Lane, Next},
    lanes::{agreement, extended},
};
pub(crate) use self::{
    extension::Extension,
    hold::Period,
    pending::Pending,
    purpose::Purpose,
    site::Site,
    succession::{Held, Succession},
};
use self::{
    hold::{Ended, Hold},
    lanes::Lanes,
};
use crate::{
    DrainGuard, ExtendError, FencingToken, OwnerValue,
    node::{Entry, Operation},
    nodes::Nodes,
    observed::observed,
    options::Options,
    printable::Label,
    quorum::{cast::RoundVotes, votes::Votes},
    request::Request,
};

/// How much longer than the node time limit a command of the first holder may be under way after
/// the lock was resumed. Up to then, a release is repeated on a node that has no key. A packet that
/// was lost is sent again well within this time.
const RESUME_MARGIN: Duration = Duration::from_secs(1);

/// The keys with one owner value on all nodes, and their known state.
pub(crate) struct Lease {
    purpose: Purpose,
    site: Site,
    /// Shared with the leases that the keys were handed over to.
    lanes: Arc<Lanes>,
    hold: Hold,
    succession: Succession,
    token: OnceLock<FencingToken>,
}

impl Lease {
    /// Makes a lease for the attempt with this number, on one of the permits. The attempt starts
    /// now, and may be `repeated`.
    pub(crate) fn new(
        site: Site,
        request: &Request,
        permit: usize,
        value: OwnerValue,
        repeated: bool,
    ) -> Arc<Self> {
        let succession = Succession::new(Instant::now());
        let lanes = Lanes::without_keys(site.nodes().len());
        let attempt = request.count_attempt();
        let purpose = Purpose::new(request, permit, attempt, value, repeated);
        Self::with(site, purpose, succession, lanes)
    }

    /// Makes a lease on keys that the nodes already have.
    pub(crate) fn resumed(
        site: Site,
        request: &Request,
        permit: usize,
        value: OwnerValue,
    ) -> Arc<Self> {
        let now = Instant::now();
        // The value came from outside, so others may know it.
        let succession = Succession::exposed(now);
        let set_until = now + request.options.timing.node_timeout() + RESUME_MARGIN;
        let lanes = Lanes::with_keys(site.nodes().len(), set_until);
        let purpose = Purpose::new(request, permit, request.count_attempt(), value, false);
        Self::with(site, purpose, succession, lanes)
    }

    /// Ends the reservation of the names for a request that will not be repeated, so that the nodes
    /// admit shared holders again.
    pub(crate) fn withdraw(site: Site, request: &Request) {
        let Ok(value) = OwnerValue::random("") else {
            return;
        };
        let now = Instant::now();
        // Only the first permit can have shared holders.
        let purpose = Purpose::new(request, 0, request.attempts(), value, true);
        let lanes = Lanes::with_keys(site.nodes().len(), now);
        // Nobody waits for the answers. They go on in the background.
        drop(Self::with(site, purpose, Succession::new(now), lanes).release());
    }

    fn with(site: Site, purpose: Purpose, succession: Succession, lanes: Arc<Lanes>) -> Arc<Self> {
        Arc::new(Self {
            hold: Hold::new(Period::new(
                succession.started_at(),
                &purpose.options.timing,
            )),
            purpose,
            site,
            lanes,
            succession,
            token: OnceLock::new(),
        })
    }

    /// Hands the keys over to a new lease for another request of this process, and ends this lease.
    /// Returns [`None`] if this is not allowed, for instance later than `time` after the
    /// acquisition.
    ///
    /// The end is for the caller to [announce](Self::announce), because that runs code of users,
    /// and the caller has the queues locked.
    ///
    /// The new lease is complete before this one ends, so the keys are never without a holder. Both
    /// share their lanes, so a command of the old holder that is still under way stays ahead of the
    /// commands of the new one.
    pub(crate) fn hand_over(
        &self,
        request: &Request,
        time: Duration,
    ) -> Option<(Arc<Self>, Ended)> {
        let now = Instant::now();
        if !self.was_held() || self.has_ended() {
            return None;
        }
        let held = Held {
            purpose: &self.purpose,
            succession: &self.succession,
            token: self.token(),
            until: self.until(),
        };
        let next = held.hand_over(request, time, now)?;
        let lease = Self {
            purpose: next.purpose,
            site: self.site.succeeded_by(),
            lanes: Arc::clone(&self.lanes),
            hold: Hold::begun(next.period, now),
            succession: next.succession,
            token: next.token.map_or_else(OnceLock::new, OnceLock::from),
        };
        Some((Arc::new(lease), self.hold.end(now)))
    }

    /// Returns the owner value, which others may know from here on. The keys are then not handed
    /// over, because anyone who knows the value could release the lock of the next holder.
    pub(crate) fn expose_value(&self) -> &OwnerValue {
        self.succession.expose();
        &self.entry().value
    }

    pub(crate) fn is_on(&self, nodes: &Arc<Nodes>) -> bool {
        self.site.is_on(nodes)
    }

    /// Whether this lease includes the requested lock, so that its holder need not acquire it too.
    pub(crate) fn covers(&self, request: &Request) -> bool {
        let is_fenced_enough = !request.options.kind.fencing || self.token().is_some();
        is_fenced_enough && self.purpose.covers(request)
    }

    /// The name in errors and logs.
    pub(crate) const fn label(&self) -> &Label {
        &self.purpose.label
    }

    pub(crate) const fn entry(&self) -> &Entry {
        &self.purpose.entry
    }

    /// The names whose queues have the waiters for such a lock.
    pub(crate) const fn queues(&self) -> &Arc<[Arc<str>]> {
        &self.purpose.queues
    }

    pub(crate) fn options(&self) -> &Options {
        &self.purpose.options
    }

    /// The number of the attempt, starting from 1. If the lock was handed over, the number of
    /// attempts that its waiter made.
    pub(crate) const fn attempt(&self) -> u32 {
        self.purpose.attempt
    }

    /// When the first command of this lease was about to be sent, or when the keys were handed over
    /// to it.
    pub(crate) const fn started_at(&self) -> Instant {
        self.succession.started_at()
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.token.get().copied()
    }

    pub(crate) fn set_token(&self, token: FencingToken) {
        self.token.get_or_init(|| token);
    }

    /// The end of the validity if a round that started at `start` succeeds.
    pub(crate) fn until_from(&self, start: Instant) -> Instant {
        let timing = &self.options().timing;
        self.hold.capped(timing.until_from(start, timing.expiry()))
    }

    pub(crate) fn until(&self) -> Instant {
        self.hold.until()
    }

    /// Whether the validity is over.
    pub(crate) fn is_lost(&self) -> bool {
        self.hold.is_over()
    }

    /// Whether no extension can prolong the validity.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.hold.is_at_its_limit()
    }

    /// Whether enough validity is left for a new holder.
    pub(crate) fn is_worth_having(&self) -> bool {
        self.options()
            .timing
            .is_enough(Instant::now(), self.until())
    }

    /// Whether a quorum has granted, at any time.
    pub(crate) fn was_held(&self) -> bool {
        self.hold.was_held()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.hold.has_ended()
    }

    /// Returns a token that is cancelled when the validity ends early.
    pub(crate) fn ended_early(&self) -> &CancellationToken {
        self.hold.ended_early()
    }

    /// Begins the hold of a lock that has just been acquired. It is valid up to `until`, or up to
    /// the end of the maximum hold time if that is earlier.
    pub(crate) fn begin_hold(&self, until: Instant) {
        self.hold.begin(Instant::now(), until);
    }

    /// Ends the validity, because too many nodes no longer keep the keys, as these votes show.
    pub(crate) fn lose(&self, votes: Votes) {
        self.hold.loss().note_votes(Some(votes));
        let was_valid = self.hold.cut_short(Instant::now());
        self.hold.notify_ended();
        if was_valid {
            self.report_loss();
            // Its guard may be dropped much later, and nobody knows of the holder by then.
            (self.site.waiting()).notify(self.queues(), self.entry().mode);
        }
    }

    /// The error for an extension of this lease, which is lost.
    pub(crate) fn lost(&self) -> ExtendError {
        ExtendError::Lost(self.hold.loss().votes())
    }

    /// Reports that the lock was lost while it was in use. It is reported once, and not after the
    /// lease has ended: the validity then ended because its holder gave the lock up.
    pub(crate) fn report_loss(&self) {
        if !self.has_ended() && self.count_loss() {
            let nodes = self.site.nodes();
            let addresses = (0..nodes.len()).map(|node| nodes.address(node));
            let reason = self.hold.loss().reason(addresses);
            observed(|| tracing::warn!(name = %self.label(), %reason, "the lock was lost"));
        }
    }

    /// Counts that the lock was lost. It is counted once; returns whether this call counted it.
    pub(crate) fn count_loss(&self) -> bool {
        let is_first = self.hold.note_loss();
        if is_first {
            observed(|| self.site.lock_metrics().lost(self.entry().mode));
        }
        is_first
    }

    /// For how long the nodes are to keep the keys when the lease is released at `now`. An attempt
    /// that has failed leaves none.
    fn kept_after_release(&self, now: Instant) -> Duration {
        let minimum = self.options().timing.min_hold;
        if minimum.is_zero() || !self.was_held() {
            return Duration::ZERO;
        }
        (self.started_at() + minimum).saturating_duration_since(now)
    }

    /// Ends the lease, because its keys are to be released or belong to another lease now. Nothing
    /// more is acquired or extended for it, and every view of the validity shows that it has ended.
    pub(crate) fn end(&self) {
        self.end_at(Instant::now());
    }

    fn end_at(&self, now: Instant) {
        self.announce(&self.hold.end(now));
    }

    /// Notifies whoever waits for the end of this lease, and records the end in the metrics. This
    /// runs code of users, so no mutex may be locked.
    pub(crate) fn announce(&self, end: &Ended) {
        self.hold.notify_ended();
        let Ended { since, was_lost } = *end;
        let Some(since) = since else {
            return;
        };
        observed(|| self.site.lock_metrics().held(self.entry().mode, since));
        if was_lost {
            self.count_loss();
        }
    }

    /// Makes a drain wait until this is dropped.
    pub(crate) fn drain_guard(&self) -> DrainGuard {
        self.site.background().guard()
    }

    /// Finishes a release in the background.
    pub(crate) fn finish_in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let now = Instant::now();
        let deadline = (self.purpose.pursuit()).end(Operation::Release, now, now);
        self.site.in_background(deadline, work);
    }

    /// The votes with the addresses of their nodes, for an error.
    pub(crate) fn votes(&self, round: RoundVotes) -> Votes {
        self.site.nodes().votes(self.label(), self.attempt(), round)
    }
}

#[cfg(test)]
mod tests;
