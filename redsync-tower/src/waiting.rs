//! How many requests may wait for their locks.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::LockKey;

/// Counts the requests that have no lock yet, where there is a limit.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    pub(crate) per_key: Option<usize>,
    pub(crate) in_all: Option<usize>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    by_key: HashMap<LockKey, usize>,
    in_all: usize,
}

impl Waiting {
    /// A place to wait in, free again when it is dropped; [`None`] if there is none left.
    pub(crate) fn enter(&self, key: &LockKey) -> Option<Place> {
        if self.per_key.is_none() && self.in_all.is_none() {
            return Some(Place(None));
        }
        let mut counts = self.counts();
        let full = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
        let for_key = counts.by_key.get(key).copied().unwrap_or_default();
        if full(self.per_key, for_key) || full(self.in_all, counts.in_all) {
            return None;
        }
        counts.in_all += 1;
        *counts.by_key.entry(key.clone()).or_default() += 1;
        drop(counts);
        Some(Place(Some((self.clone(), key.clone()))))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics between two changes that belong together.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who wait.
pub(crate) struct Place(Option<(Waiting, LockKey)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((waiting, key)) = &self.0 else {
            return;
        };
        let mut counts = waiting.counts();
        counts.in_all -= 1;
        if let Some(count) = counts.by_key.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.by_key.remove(key);
            }
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("per_key", &self.per_key)
            .field("in_all", &self.in_all)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_per_key_and_in_all_and_nothing_is_kept() {
        let waiting = Waiting {
            per_key: Some(2),
            in_all: Some(3),
            ..Waiting::default()
        };
        let enter = |name: &str| waiting.enter(&name.into());
        let (a, _a) = (enter("a").unwrap(), enter("a").unwrap());
        assert!(enter("a").is_none(), "two for a");
        let b = enter("b").unwrap();
        assert!(enter("c").is_none(), "three in all");
        drop(a);
        assert!(enter("a").is_some());
        drop((_a, b));
        assert!(waiting.counts().by_key.is_empty());
        assert_eq!(waiting.counts().in_all, 0);
    }
}
