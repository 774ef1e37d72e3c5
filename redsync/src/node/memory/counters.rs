//! The counters of a memory node, from which fencing tokens are made.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio::time::Instant;

use crate::{
    FencingToken,
    fence::{RETENTION, STRIDE},
};

/// The counters of all names.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Counters {
    by_name: HashMap<Arc<str>, Counter>,
    /// One moment on both clocks, by which the monotonic clock is converted to wall-clock time.
    epoch: Option<(Instant, SystemTime)>,
}

#[cfg_attr(test, derive(Clone))]
struct Counter {
    number: u64,
    expires: Instant,
}

impl Counters {
    /// Sets the wall clock from which counters start.
    pub(super) fn set_clock(&mut self, clock: SystemTime, now: Instant) {
        self.epoch = Some((now, clock));
    }

    /// Counts an acquisition of names, and returns its number.
    pub(super) fn count(&mut self, names: &[Arc<str>], now: Instant) -> FencingToken {
        let (start, clock) = *self.epoch.get_or_insert_with(|| (now, SystemTime::now()));
        let clock = (clock + (now - start))
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let floor = clock.as_secs() * 1_000_000;
        let grown = names
            .iter()
            .map(|name| self.get(name, now).saturating_add(STRIDE));
        let number = FencingToken::new(grown.max().unwrap_or_default().max(floor));
        self.set(names, number, now);
        number
    }

    /// Returns the highest of the names' counters.
    pub(super) fn highest(&self, names: &[Arc<str>], now: Instant) -> FencingToken {
        let counters = names.iter().map(|name| self.get(name, now));
        FencingToken::new(counters.max().unwrap_or_default())
    }

    /// Sets the counters of all names to a number.
    pub(super) fn set(&mut self, names: &[Arc<str>], number: FencingToken, now: Instant) {
        for name in names {
            self.insert(name, number.get(), now);
        }
    }

    /// Raises those counters of the names that are below a token.
    pub(super) fn raise(&mut self, names: &[Arc<str>], token: FencingToken, now: Instant) {
        for name in names {
            let number = token.get().max(self.get(name, now));
            self.insert(name, number, now);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn clear(&mut self) {
        self.by_name.clear();
    }

    pub(super) fn remove_expired(&mut self, now: Instant) {
        self.by_name.retain(|_, counter| counter.expires > now);
    }

    fn get(&self, name: &str, now: Instant) -> u64 {
        match self.by_name.get(name) {
            Some(counter) if counter.expires > now => counter.number,
            _ => 0,
        }
    }

    fn insert(&mut self, name: &Arc<str>, number: u64, now: Instant) {
        let expires = now + RETENTION;
        let counter = Counter { number, expires };
        self.by_name.insert(Arc::clone(name), counter);
    }
}
