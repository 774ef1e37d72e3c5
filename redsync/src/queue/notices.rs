//! Which waiters are notified when the queues change.

use std::sync::Arc;

use super::{
    book::Book,
    entrant::{Entrant, Notice, ToWake},
};
use crate::Mode;

impl Book {
    /// Notifies each waiter that acts now because one before it has left. The waiters before that
    /// one acted already.
    ///
    /// One of the names may be held here. A waiter checks that when it reads the notice.
    pub(super) fn notify_behind(&self, left: &Entrant, to_wake: &mut ToWake) {
        let heads = self.heads(&left.request.names);
        self.notify_first(heads.filter(|head| head.number > left.number), to_wake);
    }

    /// Notifies the waiter that acts after one has left with a permit of a semaphore, because other
    /// permits may be free. After one has left with another lock, nobody acts: all names are held.
    pub(super) fn notify_for_rest(&self, left: &Entrant, to_wake: &mut ToWake) {
        if left.request.is_semaphore() {
            let heads = self.heads(&left.request.names);
            let heads = heads.filter(|head| !self.is_held_here(&head.request));
            self.notify_first(heads, to_wake);
        }
    }

    /// Notifies the others in the queues of a waiter that has found no quorum of nodes.
    pub(super) fn notify_outage(&self, finder: &Entrant, to_wake: &mut ToWake) {
        let all = self.queues(&finder.request.names);
        for other in all.flat_map(|queue| queue.order.all()) {
            if other.number != finder.number {
                other.notify(Notice::Outage, to_wake);
            }
        }
    }

    /// Notifies the waiters that act after a lock of these names has ended.
    pub(super) fn notify_ended(&mut self, names: &[Arc<str>], mode: Mode, to_wake: &mut ToWake) {
        let was_shared = mode == Mode::Shared;
        self.each_queue(names, |queue| queue.was_shared = was_shared);
        self.notify_first(self.heads(names), to_wake);
    }

    /// Notifies others after a waiter has acquired its names as a shared holder and left: the
    /// waiters that can share the names, and exclusive ones that have moved to the head.
    ///
    /// The first of a run notifies the others. Each of these notifies only those that have come
    /// since, and the one that is first now. So the notices of a crowd are not as many as its
    /// square.
    pub(super) fn notify_shared(&self, holder: &Entrant, to_wake: &mut ToWake) {
        let names = &holder.request.names;
        let notified = holder.shared_up_to();
        let queues = self.queues(names);
        let later = queues.flat_map(|queue| queue.order.run_from(notified + 1));
        for entrant in later.filter(|entrant| self.is_head(entrant)) {
            if (entrant.request.names.iter()).all(|name| names.contains(name)) {
                entrant.notify_to_share_up_to(self.last(), to_wake);
            }
        }
        // If its attempt has failed, so may those of others, which it notifies in turn.
        let first = self.first_of_run(names);
        if let Some(first) = first.filter(|it| it.number <= notified && self.is_head(it)) {
            first.notify(Notice::Share, to_wake);
        }
        let queues = self.queues(names);
        let exclusive = queues.filter_map(|queue| queue.order.exclusive_head());
        self.notify_first(exclusive.filter(|it| it.number > holder.number), to_wake);
    }

    /// The waiters at the heads of the queues of these names. Of a crowd with the same names, it is
    /// the first: the others follow it.
    fn heads(&self, names: &[Arc<str>]) -> impl Iterator<Item = &Arc<Entrant>> {
        let mut last: Option<&Arc<[Arc<str>]>> = None;
        let heads = self.queues(names).flat_map(|queue| queue.order.heads());
        heads.filter(move |head| {
            let names = &head.request.names;
            // Mostly of clones of one mutex. The comparison of pointers is quicker.
            let follows = last.is_some_and(|it| Arc::ptr_eq(it, names) || it == names);
            last = Some(names);
            !follows
        })
    }

    /// Notifies those of the waiters before which no other acts.
    fn notify_first<'a>(
        &self,
        heads: impl Iterator<Item = &'a Arc<Entrant>>,
        to_wake: &mut ToWake,
    ) {
        for head in heads.filter(|head| self.is_first(head)) {
            head.notify(Notice::Act, to_wake);
        }
    }
}
