//! Leases that lose their last owner while the book is locked.

use std::sync::Weak;

use super::*;
use crate::{queue::Queues, sync::interleaved::explore};

/// A part of an option, of which users can have any: it locks the queues when it is dropped.
struct LocksTheQueues(Arc<Queues>);

impl Drop for LocksTheQueues {
    fn drop(&mut self) {
        let names = Arc::from(["a".into()]);
        let request = Request::new(&names, &Arc::default()).expect("a request");
        self.0.has_queue_for(&request);
    }
}

/// A lock whose options are dropped with its lease, and a part of them.
fn enter_with_option(common: &Arc<Common>) -> (Arc<Lease>, Weak<LocksTheQueues>) {
    let part = Arc::new(LocksTheQueues(Arc::clone(&common.queues)));
    let option = Arc::downgrade(&part);
    let ticket = wait_with(common, |options| {
        options.kind.permits = 2;
        options.rounds.owner_label = Some(Arc::new(move || {
            let LocksTheQueues(queues) = &*part;
            Ok(queues.is_empty().to_string())
        }));
    });
    (enter(common, &ticket, 0), option)
}

#[test]
fn interleaved_a_lease_that_a_queue_asks_last_is_dropped_when_the_book_is_unlocked() {
    explore("a holder that leaves while it is asked", 200, |_| {
        let common = process();
        let waiter = wait_for_permit(&common);
        let (lease, option) = enter_with_option(&common);
        let asks = shuttle::thread::spawn(move || {
            // Each of them asks whether the permit is still held.
            waiter.standing();
            waiter.permits();
            waiter.permits_here();
        });
        lease.end();
        drop(lease);
        asks.join().expect("the waiter");
        assert_eq!(option.strong_count(), 0, "it is dropped");
    });
}
