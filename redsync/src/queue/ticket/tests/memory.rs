//! Explorations of memory: the count of waiters, which a holder reads without the mutex of the
//! queues. See [`Queues::is_empty`].

use loom::thread::spawn;

use super::*;
use crate::sync::interleaved::memory;

/// Runs a scenario in all orders, in each of them with another process.
fn explore(scenario: impl Fn(&Arc<Common>) + Send + Sync + 'static) {
    memory::explore(move || {
        let common = process();
        scenario(&common);
        // Its keeper ends then, and notifies the thread that watches over all keepers.
        memory::aside(|| drop(common));
    });
}

/// A waiter to which a lock is handed over however long the exploration takes.
fn wait_long(common: &Common) -> Ticket {
    wait_with(common, |options| {
        options.timing.set_expiry(LONG);
        options.queueing.max_hand_over_time = LONG;
    })
}

/// Leaves the queue as a holder. What threads share of the lease is used once before that.
fn enter(common: &Common, ticket: &Ticket) -> Arc<Lease> {
    let lease = held(common, ticket, 0, LONG);
    assert!(!lease.has_ended() && !lease.is_lost());
    ticket.leave_with(&lease);
    lease
}

#[test]
fn a_holder_that_reads_zero_is_not_relied_on_in_any_order_of_memory() {
    explore(|common| {
        let (first, leaves) = (wait(common), wait(common));
        let of_holder = Arc::clone(common);
        let holder = spawn(move || {
            let lease = enter(&of_holder, &first);
            (lease, of_holder.queues.is_empty())
        });
        drop(leaves);
        let comes = wait(common);
        let (_lease, is_empty) = holder.join().expect("the holder");
        assert!(!is_empty || !comes.standing().is_held_here);
        assert!(!common.queues.is_empty(), "one is waiting");
    });
}

#[test]
fn a_holder_reads_of_the_waiter_that_relies_on_it_in_any_order_of_memory() {
    explore(|common| {
        let leaves = wait(common);
        let of_holder = Arc::clone(common);
        let holder = spawn(move || {
            let (first, relies) = (wait(&of_holder), wait(&of_holder));
            let lease = enter(&of_holder, &first);
            assert!(relies.standing().is_held_here);
            assert!(!of_holder.queues.is_empty());
            (lease, relies)
        });
        drop(leaves);
        drop(holder.join().expect("the holder"));
        assert!(common.queues.is_empty(), "all have left");
    });
}

#[test]
fn nor_is_a_holder_that_was_handed_the_lock_in_any_order_of_memory() {
    explore(|common| {
        let [first, next, leaves] = [(); 3].map(|()| wait_long(common));
        let (lease, queues) = (enter(common, &first), Arc::clone(&common.queues));
        let holder = spawn(move || assert!(queues.hand_over(&lease)));
        let of_next = Arc::clone(common);
        // It finds the lock before it is woken, or later.
        let next = spawn(move || {
            let owned = next.take_handed_over();
            (next, owned, of_next.queues.is_empty())
        });
        drop(leaves);
        let comes = wait(common);
        holder.join().expect("the holder");
        let (next, owned, is_empty) = next.join().expect("the next holder");
        let was_misled = owned.is_some() && is_empty;
        let owned = owned.or_else(|| next.take_handed_over()).expect("the lock");
        assert!(!was_misled || !comes.standing().is_held_here);
        assert!(!common.queues.is_empty(), "one is waiting");
        owned.leave();
    });
}
