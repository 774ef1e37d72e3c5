//! The watch of a waiter for any of several permits.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use smallvec::SmallVec;

use super::watch::{Watch, Watched};
use crate::{nodes::Nodes, request::Request};

/// A [`Watch`] for each permit, of which the first that may be free ends all.
///
/// The names of a mutex with several names are watched together, because all of them have to be free. Of
/// permits, one has to be.
pub(super) struct Watches {
    permits: SmallVec<[Option<Watch>; 1]>,
    freed: Option<usize>,
}

impl Watches {
    /// Watches all permits. The nodes marked as `own` hold nothing but a key that is about to be released.
    pub(super) fn start(nodes: &Arc<Nodes>, request: &Request, own: &[bool]) -> Self {
        // The keys of a failed search may be on other nodes for each permit.
        let own = if request.is_semaphore() { &[] } else { own };
        let watch = |names| Some(Watch::start(nodes, names, own));
        Self {
            permits: request.permits().map(watch).collect(),
            freed: None,
        }
    }

    /// Watches all nodes for an acquisition of the names.
    pub(super) fn acquired(nodes: &Arc<Nodes>, names: &Arc<[Arc<str>]>) -> Self {
        Self {
            permits: [Some(Watch::acquired(nodes, names))].into(),
            freed: None,
        }
    }

    /// The permit that may be free, once a watch has ended with one.
    pub(super) const fn freed(&self) -> Option<usize> {
        self.freed
    }

    /// Whether wake-ups work for every permit.
    pub(super) fn works(&self) -> bool {
        let works = |watch: &Option<Watch>| watch.as_ref().is_some_and(Watch::works);
        !self.permits.is_empty() && self.permits.iter().all(works)
    }

    /// Whether nothing has come of it yet, and it can go on after an attempt. A search may have changed the
    /// keys of any permit.
    pub(super) fn is_whole(&self) -> bool {
        match &self.permits[..] {
            [Some(watch)] => watch.is_whole(),
            _ => false,
        }
    }

    /// Resolves once, and never again: when a permit may be free, or when none can be watched.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        if self.permits.is_empty() {
            return Poll::Pending;
        }
        for (permit, place) in self.permits.iter_mut().enumerate() {
            match place.as_mut().map(|watch| watch.poll(cx)) {
                Some(Poll::Ready(free @ Watched::Free { .. })) => {
                    self.freed = Some(permit);
                    self.permits.clear();
                    return Poll::Ready(free);
                }
                Some(Poll::Ready(Watched::Blind)) => *place = None,
                Some(Poll::Pending) | None => {}
            }
        }
        if self.permits.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        self.permits.clear();
        Poll::Ready(Watched::Blind)
    }
}
