//! The watches of a waiter, for any of several permits.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use smallvec::SmallVec;

use super::watch::{Watch, Watched};
use crate::{nodes::Nodes, request::Request};

/// The watches of a waiter: one [`Watch`] for each permit. The first that finds its permit free
/// ends all of them. There are none before they start and after they have ended.
///
/// The names of a mutex with several names have one watch, because all of them have to be free. Of
/// several permits, one has to be.
#[derive(Default)]
pub(super) struct Watches {
    permits: SmallVec<[Option<Watch>; 1]>,
    /// The permit with which the last watches have ended, because it may be free.
    freed: Option<usize>,
    /// The permits that this process held or released when the watches began, a bit for each of
    /// them. Their changes say nothing about other processes.
    here: u64,
}

impl Watches {
    /// Watches all permits anew. The nodes marked as `own` hold nothing but a key that is about to
    /// be released. The permits whose bits are set in `here` are held or released in this process.
    pub(super) fn start(&mut self, nodes: &Nodes, request: &Request, own: &[bool], here: u64) {
        // The keys of a failed search may be on other nodes for each permit.
        let own = if request.is_semaphore() { &[] } else { own };
        let watch = |names| Some(Watch::start(nodes, names, own));
        self.permits = request.permits().map(watch).collect();
        self.here = here;
    }

    /// Whether the permit that may be free was held or released here.
    pub(super) fn freed_here(&self) -> bool {
        self.freed
            .is_some_and(|permit| self.here & 1 << permit != 0)
    }

    /// Watches all nodes for an acquisition of the names.
    pub(super) fn start_for_acquisition(&mut self, nodes: &Nodes, names: &Arc<[Arc<str>]>) {
        self.permits = [Some(Watch::acquired(nodes, names))].into();
    }

    /// Stops watching.
    pub(super) fn end(&mut self) {
        self.permits.clear();
    }

    /// Takes the permit that may be free, if the last watches have ended with one.
    pub(super) const fn take_freed(&mut self) -> Option<usize> {
        self.freed.take()
    }

    /// Whether wake-ups work for every permit.
    pub(super) fn work(&self) -> bool {
        self.all(Watch::works)
    }

    /// Whether a quorum of nodes has said of every permit that it is held.
    pub(super) fn are_answered(&self) -> bool {
        self.all(Watch::is_answered)
    }

    fn all(&self, holds: impl Fn(&Watch) -> bool) -> bool {
        let holds = |watch: &Option<Watch>| watch.as_ref().is_some_and(&holds);
        !self.permits.is_empty() && self.permits.iter().all(holds)
    }

    /// Whether nothing has come of them yet, and they can go on after an attempt. A search may have
    /// changed the keys of any permit.
    pub(super) fn are_whole(&self) -> bool {
        match &self.permits[..] {
            [Some(watch)] => watch.is_whole(),
            _ => false,
        }
    }

    /// Resolves when a permit may be free, or when none can be watched. The watches have then
    /// ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        if self.permits.is_empty() {
            return Poll::Pending;
        }
        for (permit, place) in self.permits.iter_mut().enumerate() {
            match place.as_mut().map(|watch| watch.poll(cx)) {
                Some(Poll::Ready(free @ Watched::Free { .. })) => {
                    self.freed = Some(permit);
                    self.end();
                    return Poll::Ready(free);
                }
                Some(Poll::Ready(Watched::Blind)) => *place = None,
                Some(Poll::Pending) | None => {}
            }
        }
        if self.permits.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        self.freed = None;
        self.end();
        Poll::Ready(Watched::Blind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_freed_here_if_this_process_had_the_same_one() {
        let freed_here = |freed, here| {
            let watches = Watches {
                freed,
                here,
                ..Watches::default()
            };
            watches.freed_here()
        };
        assert!(freed_here(Some(1), 0b010));
        assert!(freed_here(Some(1), 0b110));
        assert!(!freed_here(Some(1), 0b101));
        assert!(!freed_here(None, 0b111));
    }
}
