//! Wake-ups, and the watchers of one node: tasks that are notified when a name changes.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use smallvec::SmallVec;
use tokio::sync::{Notify, futures::Notified};

use crate::sync::{Mutex, MutexGuard};

/// A hint from a node that a name may be free: the answer to [`Node::watch`](super::Node::watch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeUp {
    /// All names were free when the watch began.
    Free,
    /// A name was held when the watch began, and has changed since.
    Changed,
}

/// The nodes that report the next change of the names that a waiter watches. It counts them.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Reporters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The nodes that have said that a name is held.
    answered: AtomicUsize,
    /// The nodes that have been asked, and cannot say so.
    asked: AtomicUsize,
}

/// One of the nodes that report, until it is dropped.
pub(crate) struct Reporting {
    reporters: Reporters,
    has_answered: bool,
}

impl Reporters {
    /// Counts a node that has said that a name is held, and has begun to report.
    #[cfg_attr(
        not(any(feature = "_redis", test)),
        expect(dead_code, reason = "only the nodes on Redis can say so")
    )]
    pub(crate) fn begin(&self) -> Reporting {
        self.count_one(true)
    }

    /// Counts a node that is asked now, and cannot say when it has begun to report.
    pub(crate) fn begin_unanswered(&self) -> Reporting {
        self.count_one(false)
    }

    fn count_one(&self, has_answered: bool) -> Reporting {
        // Relaxed, like all orderings here: the counts order nothing else, and a node that is
        // counted a moment too late costs one poll, or lets a permit pass too many.
        self.counter(has_answered).fetch_add(1, Ordering::Relaxed);
        Reporting {
            reporters: self.clone(),
            has_answered,
        }
    }

    fn counter(&self, has_answered: bool) -> &AtomicUsize {
        if has_answered {
            &self.0.answered
        } else {
            &self.0.asked
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.answered() + self.0.asked.load(Ordering::Relaxed)
    }

    /// The number of those that have said that a name is held.
    pub(crate) fn answered(&self) -> usize {
        self.0.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        let counter = self.reporters.counter(self.has_answered);
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The watchers of one node, by name.
#[derive(Clone, Default)]
pub(crate) struct Watchers(Arc<Mutex<ByName>>);

type ByName = HashMap<Arc<str>, Vec<Arc<Notify>>>;

/// Watchers to notify. Most names have one.
type ToNotify = SmallVec<[Arc<Notify>; 1]>;

/// A watcher of some names, until it is dropped. It does not miss a change that comes before it is
/// awaited.
pub(crate) struct Watcher {
    watchers: Watchers,
    names: Vec<Arc<str>>,
    notify: Arc<Notify>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, ByName> {
        self.0.lock()
    }

    /// Starts to watch names: from here on, the watcher misses no change of any of them.
    pub(crate) fn watch(&self, names: &[Arc<str>]) -> Watcher {
        let notify = Arc::new(Notify::new());
        let mut watchers = self.lock();
        for name in names {
            let here = watchers.entry(Arc::clone(name)).or_default();
            here.push(Arc::clone(&notify));
        }
        Watcher {
            watchers: self.clone(),
            names: names.to_vec(),
            notify,
        }
    }

    /// Notifies the watchers of a name that it has changed.
    pub(crate) fn notify(&self, name: &str) {
        let watching: ToNotify = self
            .lock()
            .get(name)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        notify(watching);
    }

    /// Notifies all watchers, because any name may have changed.
    pub(crate) fn notify_all(&self) {
        let watching: ToNotify = self.lock().values().flatten().cloned().collect();
        notify(watching);
    }
}

/// Notifies watchers. A waker is foreign code, so the map must not be locked.
fn notify(watching: ToNotify) {
    for watcher in watching {
        watcher.notify_one();
    }
}

impl Watcher {
    /// Resolves when one of the names has changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no change is lost.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watchers = self.watchers.lock();
        for name in &self.names {
            let Some(here) = watchers.get_mut(name) else {
                continue;
            };
            here.retain(|watcher| !Arc::ptr_eq(watcher, &self.notify));
            if here.is_empty() {
                watchers.remove(name);
            }
        }
        if watchers.len() < watchers.capacity() / 4 {
            watchers.shrink_to_fit();
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watchers").field(&self.lock().len()).finish()
    }
}
