//! The reservation of the names for an exclusive waiter that shared holders keep out.

use super::super::attempt::Failure;
use crate::{Mode, common::Common, lease::Lease, queue::Ticket};

/// The reservation that nodes may have made for a waiter.
///
/// If it is dropped, it ends, so that the nodes admit shared holders again; unless another
/// exclusive waiter of this process comes after this one.
pub(super) struct Reservation<'a> {
    ticket: &'a Ticket,
    common: &'a Common,
    /// Whether nodes may keep shared holders out for the waiter.
    may_exist: bool,
}

impl<'a> Reservation<'a> {
    /// The reservation of a waiter that has made no attempt.
    pub(super) const fn new(ticket: &'a Ticket, common: &'a Common) -> Self {
        Self {
            ticket,
            common,
            may_exist: false,
        }
    }

    /// Notes an attempt that the nodes are about to see. One that is not `repeated` reserves
    /// nothing.
    pub(super) fn attempt_begins(&mut self, repeated: bool) {
        let is_exclusive = self.ticket.request().options.kind.mode == Mode::Exclusive;
        self.may_exist |= repeated && is_exclusive;
    }

    /// Notes the failure of an attempt. One that is not `repeated` does not end what was reserved
    /// before.
    pub(super) fn attempt_failed(&mut self, failure: &Failure, repeated: bool) {
        self.may_exist &= !repeated || failure.may_reserve();
    }

    /// Ends the reservation if shared waiters have joined before this one. They act first, and it
    /// would keep them out.
    pub(super) fn give_way(&mut self) {
        if self.may_exist && self.ticket.has_shared_ahead() {
            self.withdraw();
        }
    }

    /// Notes that the waiter has its lock. Its acquisition has ended the reservation.
    pub(super) const fn fulfilled(&mut self) {
        self.may_exist = false;
    }

    fn withdraw(&mut self) {
        self.may_exist = false;
        Lease::withdraw(self.common.site(), self.ticket.request());
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.may_exist && !self.ticket.has_rival() {
            self.withdraw();
        }
    }
}
