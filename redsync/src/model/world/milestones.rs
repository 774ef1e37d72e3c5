//! Worlds from which a flaw shows after few steps.

use super::{
    super::{
        lease::{Lease, Phase},
        message::Message,
        setting::NODES,
    },
    World,
};
use crate::{
    node::{Answer, ExtendVote, Operation},
    quorum::majority,
};

impl World {
    /// Whether a raise is under way to a node where the acquisition of the same lease is about to
    /// be carried out once more.
    pub(in crate::model) fn raises_before_a_duplicate(&self) -> bool {
        self.asked(Operation::Raise).any(|raise| {
            let mut repeated = self.asked(Operation::Acquire);
            repeated.any(|it| (it.lease, it.node) == (raise.lease, raise.node))
        })
    }

    /// Whether a lock is being extended that was acquired some time ago.
    pub(in crate::model) fn is_extending_a_lock(&self) -> bool {
        let is_extending = |lease: &Lease| lease.phase == Phase::Extending;
        self.time > 0 && self.leases().any(|(_, lease)| is_extending(lease))
    }

    /// Whether a lock is held after an extension that one node has granted some time ago, and a clock
    /// may still run ahead.
    pub(in crate::model) fn has_an_extension_on_one_node(&self) -> bool {
        let is_extended = |(number, lease): (usize, &Lease)| {
            let grants = self.messages.iter().filter(|message| {
                let is_last = (message.lease, message.round) == (number, lease.last_round());
                is_last
                    && matches!(message.answer, Some(Answer::Extend(ExtendVote::Extended)))
                    && self.has_kept_for_some_time(lease, message.node)
            });
            lease.is_held_after_an_extension() && grants.count() == 1
        };
        self.left.ticks_ahead > 0 && self.leases().any(is_extended)
    }

    /// Whether time has passed since the key of a lease was last set or extended on a node.
    fn has_kept_for_some_time(&self, lease: &Lease, node: usize) -> bool {
        let holders = self.servers[node].holders(self.time);
        let mut holders = holders.into_iter().flat_map(|it| it.holders);
        holders.any(|it| it.value == *lease.value() && it.remaining < Some(lease.entry().expiry))
    }

    /// Whether two clients hold the lock.
    pub(in crate::model) fn has_two_holders(&self) -> bool {
        self.leases().filter(|(_, lease)| lease.is_held()).count() == 2
    }

    /// Whether a release is on its way to a node where another lease has the key, which that one
    /// needs for its majority.
    pub(in crate::model) fn releases_for_another(&self) -> bool {
        let holders = |node: usize| self.servers[node].holders(self.time);
        let has_key = |lease: &Lease, node: usize| {
            let holders = holders(node).into_iter().flat_map(|it| it.holders);
            holders
                .map(|it| it.value)
                .any(|value| value == *lease.value())
        };
        let needs_all = |lease: &Lease| {
            let keys = (0..NODES).filter(|node| has_key(lease, *node));
            lease.is_held() && keys.count() == majority(NODES)
        };
        let is_threatened = |message: &Message| {
            let mut leases = self.leases();
            leases.any(|(number, lease)| {
                number != message.lease && needs_all(lease) && has_key(lease, message.node)
            })
        };
        self.asked(Operation::Release).any(is_threatened)
    }

    /// The commands that have not been carried out.
    fn asked(&self, operation: Operation) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| {
            let lease = self.leases[message.lease].as_ref();
            let is_meant = |lease: &Lease| lease.operation(message.round) == operation;
            message.answer.is_none() && lease.is_some_and(is_meant)
        })
    }
}
