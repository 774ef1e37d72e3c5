//! Who wants to be told that a name has changed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

/// The bells of one node, by name.
#[derive(Clone, Default)]
pub(crate) struct Bells(Arc<Mutex<HashMap<Arc<str>, Vec<Arc<Notify>>>>>);

/// A bell that rings for some names, until it is dropped. What has rung before it is waited for is
/// not lost.
pub(crate) struct Bell {
    bells: Bells,
    names: Vec<Arc<str>>,
    notify: Arc<Notify>,
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Vec<Arc<Notify>>>> {
        // Nothing in here panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on a ring for one of the names is heard.
    pub(crate) fn hang(&self, names: &[Arc<str>]) -> Bell {
        let notify = Arc::new(Notify::new());
        let mut bells = self.lock();
        for name in names {
            let here = bells.entry(Arc::clone(name)).or_default();
            here.push(Arc::clone(&notify));
        }
        Bell {
            bells: self.clone(),
            names: names.to_vec(),
            notify,
        }
    }

    pub(crate) fn ring(&self, name: &str) {
        for bell in self.lock().get(name).into_iter().flatten() {
            bell.notify_one();
        }
    }

    pub(crate) fn ring_all(&self) {
        for bell in self.lock().values().flatten() {
            bell.notify_one();
        }
    }
}

impl Bell {
    /// # Cancel safety
    ///
    /// A ring is not lost if the future is dropped.
    pub(crate) fn rung(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.lock();
        for name in &self.names {
            let Some(here) = bells.get_mut(name) else {
                continue;
            };
            here.retain(|bell| !Arc::ptr_eq(bell, &self.notify));
            if here.is_empty() {
                bells.remove(name);
            }
        }
        if bells.len() < bells.capacity() / 4 {
            bells.shrink_to_fit();
        }
    }
}

impl fmt::Debug for Bells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bells").field(&self.lock().len()).finish()
    }
}
