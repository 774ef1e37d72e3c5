//! The hand-over of a lock that is still valid to the next waiter of this process.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Queues, entrant::Notice};
use crate::lease::Lease;

impl Queues {
    /// Hands a lock over to the waiter at the head, if that waiter wants exactly this lock, or to the
    /// next one if that waiter has stepped [aside](super::aside). Returns whether it did.
    ///
    /// All of it, up to the notice, happens under one lock. If the waiter leaves before that, the
    /// lock goes to the next one. If it leaves after that, it finds the lock in its notice, and
    /// hands it over or releases it. The end of the old lease is announced after that, because it
    /// runs code of users.
    pub(crate) fn hand_over(&self, lease: &Lease) -> bool {
        if self.is_empty() {
            return false;
        }
        let now = Instant::now();
        let end = self.change(|book, to_wake| {
            let names = lease.queues();
            let name = names.first()?;
            let next = Arc::clone(book.next_exclusive(name, now)?);
            let time = next.request.options.hand_over_time();
            let queues = book.queues(&next.request.names);
            let times = queues.map(|queue| queue.fairness.fair_hand_over_time(time, now));
            let time = times.min().unwrap_or(time);
            let (handed_over, end) = lease.hand_over(&next.request, time)?;
            book.count_passes(name, &next);
            let was_head = book.is_head(&next);
            book.remove(&next);
            book.each_queue(names, |queue| queue.acquired(&handed_over));
            next.notify(Notice::HandedOver(handed_over), to_wake);
            // If it was passed, the head searches for the rest already.
            if was_head {
                book.notify_for_rest(&next, to_wake);
            }
            Some(end)
        });
        end.map(|end| lease.announce(&end)).is_some()
    }
}
