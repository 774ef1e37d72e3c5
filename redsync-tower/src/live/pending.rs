//! How many requests may be pending, that is, on their way to their lock.
//!
//! A request is pending from the time it asks for its lock until it holds the lock or is refused.
//! The limits apply to a layer and all its clones; every other instance of the service counts its
//! own.
//!
//! [`Mutex::with_max_waiting`](redsync::Mutex::with_max_waiting) is another limit: it counts the
//! waiters for one name in the process, whichever part of it they come from, and does not count
//! those that find the lock free.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{config::PendingLimits, key::LockKey, sync::lock};

/// The counts of pending requests. They are counted only if there is a limit.
#[derive(Clone, Default)]
pub(crate) struct Pending(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    by_key: HashMap<LockKey, usize>,
    total: usize,
}

impl Pending {
    /// Counts one more request until the permit is dropped. Returns [`None`] if a limit is reached.
    pub(crate) fn enter(&self, limits: PendingLimits, key: &LockKey) -> Option<PendingPermit> {
        if limits == PendingLimits::default() {
            return Some(PendingPermit(None));
        }
        let mut counts = self.counts();
        let reached = |limit: Option<usize>, count| limit.is_some_and(|limit| count >= limit);
        let for_key = counts.by_key.get(key).copied().unwrap_or_default();
        if reached(limits.per_key, for_key) || reached(limits.total, counts.total) {
            return None;
        }
        counts.total += 1;
        *counts.by_key.entry(key.clone()).or_default() += 1;
        drop(counts);
        Some(PendingPermit(Some((self.clone(), key.clone()))))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.0)
    }
}

/// One pending request. It is empty if there is no limit.
pub(crate) struct PendingPermit(Option<(Pending, LockKey)>);

impl Drop for PendingPermit {
    fn drop(&mut self) {
        let Some((pending, key)) = &self.0 else {
            return;
        };
        let mut counts = pending.counts();
        counts.total -= 1;
        if let Some(count) = counts.by_key.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_limited_per_key_and_in_total_and_no_count_remains() {
        let pending = Pending::default();
        let limits = PendingLimits {
            per_key: Some(2),
            total: Some(3),
        };
        let enter = |name: &str| pending.enter(limits, &name.into());
        let (a, _a) = (enter("a").unwrap(), enter("a").unwrap());
        assert!(enter("a").is_none(), "two for a");
        let b = enter("b").unwrap();
        assert!(enter("c").is_none(), "three in total");
        drop(a);
        assert!(enter("a").is_some());
        drop((_a, b));
        assert!(pending.counts().by_key.is_empty());
        assert_eq!(pending.counts().total, 0);
    }
}
