//! The lanes from a lease to all of its nodes.

use std::{iter, sync::Arc};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{hold::Extended, key::Key, lane::Lane};
use crate::{
    fence::{Agreement, agree},
    quorum::{USUAL_NODES, majority},
    sync::{Mutex, MutexGuard},
};

pub(crate) struct Lanes(Mutex<ByNode<Lane>>);

pub(super) type ByNode<T> = SmallVec<[T; USUAL_NODES]>;

impl Lanes {
    /// The lanes to nodes that have no keys yet.
    pub(super) fn without_keys(nodes: usize) -> Arc<Self> {
        Self::new(nodes, || Lane::new(Key::absent()))
    }

    /// The lanes to nodes that have the keys of another lease already, or get them up to the given
    /// instant.
    pub(super) fn with_keys(nodes: usize, set_until: Instant) -> Arc<Self> {
        Self::new(nodes, || Lane::new(Key::resumed(set_until)))
    }

    fn new(nodes: usize, lane: impl FnMut() -> Lane) -> Arc<Self> {
        let lanes = iter::repeat_with(lane).take(nodes).collect();
        Arc::new(Self(Mutex::new(lanes)))
    }

    fn lock(&self) -> MutexGuard<'_, ByNode<Lane>> {
        self.0.lock()
    }

    /// Lets the commands of a round enter the lanes. All of them do so at once, so that the rounds
    /// of a lease have the same order on all its lanes.
    pub(super) fn enter<T>(&self, enter: impl FnMut(&mut Lane) -> T) -> ByNode<T> {
        self.lock().iter_mut().map(enter).collect()
    }

    /// Changes the lane to one node.
    pub(super) fn with<T>(&self, node: usize, change: impl FnOnce(&mut Lane) -> T) -> T {
        change(&mut self.lock()[node])
    }

    /// See [`agreement`].
    pub(crate) fn agreement(&self) -> Agreement {
        agreement(&self.lock())
    }

    /// Whether a node has reserved the names for the attempt, which shared holders kept out.
    pub(crate) fn are_reserved(&self) -> bool {
        self.lock().iter().any(|lane| lane.key.is_reserved())
    }

    /// Notes that no attempt follows this one.
    pub(super) fn withdraw(&self) {
        self.lock().iter_mut().for_each(Lane::withdraw);
    }

    /// See [`extended`].
    pub(super) fn extended(&self, effect: Extended, start: Instant, heals: bool) -> bool {
        extended(&mut self.lock(), effect, start, heals)
    }
}

/// The agreement of the numbers that the nodes have returned so far.
///
/// Pure.
pub(crate) fn agreement<C>(lanes: &[Lane<C>]) -> Agreement {
    let numbers: ByNode<_> = lanes.iter().map(|lane| lane.key.number()).collect();
    agree(&numbers, majority(numbers.len()))
}

/// Counts an extension that started at `start` and had this effect. Returns whether the lease is to
/// set missing keys again, if it `heals` at all.
///
/// After a prolongation, nodes that were without the key before `start` count again: a majority has
/// kept the key throughout the round, so nobody else can have held the lock since then.
///
/// Pure.
pub(crate) fn extended<C>(
    lanes: &mut [Lane<C>],
    effect: Extended,
    start: Instant,
    heals: bool,
) -> bool {
    if effect != Extended::Prolonged {
        return false;
    }
    for lane in &mut *lanes {
        lane.key.forget_gap_before(start);
    }
    heals && lanes.iter().any(|lane| lane.key.lacks_key())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        lease::key::Settled,
        node::{AcquireVote, Answer, ExtendVote, Operation},
        quorum::votes::Vote,
    };

    fn extension(lane: &mut Lane<()>, vote: ExtendVote, now: Instant) -> Settled {
        let (settled, _) = lane.answered(Operation::Extend, Ok(Answer::Extend(vote)), false, now);
        settled
    }

    /// The lanes to two nodes that have acquired the lock, of which the second then answered like
    /// this.
    fn lanes(second: ExtendVote, now: Instant) -> [Lane<()>; 2] {
        let mut lanes = [(); 2].map(|()| Lane::new(Key::absent()));
        for lane in &mut lanes {
            _ = lane.begin(Operation::Acquire, None, || ());
            let acquired = Ok(Answer::Acquire(AcquireVote::Acquired { number: None }));
            _ = lane.answered(Operation::Acquire, acquired, false, now);
        }
        _ = extension(&mut lanes[1], second, now);
        lanes
    }

    #[test]
    fn missing_keys_are_set_again_after_a_prolongation_of_a_lease_that_heals() {
        let now = Instant::now();
        let sets_again =
            |second, effect, heals| extended(&mut lanes(second, now), effect, now, heals);
        assert!(sets_again(ExtendVote::Missing, Extended::Prolonged, true));
        assert!(!sets_again(ExtendVote::Extended, Extended::Prolonged, true));
        assert!(!sets_again(ExtendVote::Missing, Extended::Prolonged, false));
        for effect in [Extended::TooLate, Extended::Refused, Extended::Unclear] {
            assert!(!sets_again(ExtendVote::Missing, effect, true), "{effect:?}");
        }
    }

    #[test]
    fn a_node_that_had_no_key_counts_again_after_a_prolongation_only() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let counts_after = |effect| {
            let mut lanes = lanes(ExtendVote::Missing, start);
            _ = extended(&mut lanes, effect, later, true);
            let settled = extension(&mut lanes[1], ExtendVote::Extended, later);
            matches!(settled, Settled::Vote(Vote::Granted))
        };
        assert!(counts_after(Extended::Prolonged));
        assert!(!counts_after(Extended::Unclear));
    }
}
