//! The keys and counters of a memory node, and its operations on them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{counters::Counters, key::Key};
use crate::{
    FencingToken, Mode,
    node::{AcquireVote, Entry, ExtendVote, Holders, RaiseVote, ReleaseVote},
};

/// All that a memory node keeps.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct State {
    keys: HashMap<Arc<str>, Key>,
    counters: Counters,
    /// At this number of keys and counters, those that have expired are removed.
    sweep_at: usize,
}

impl State {
    pub(crate) fn acquire(&mut self, entry: &Entry, now: Instant) -> AcquireVote {
        if let Some(remaining) = self.kept_out(entry, now) {
            let remaining = Some(remaining);
            return if self.are_reserved(entry, now) {
                AcquireVote::Reserved { remaining }
            } else {
                AcquireVote::Taken { remaining }
            };
        }
        let is_repeated = self.holds_all(entry, now);
        for name in entry.names.iter() {
            self.hold(name, entry, now);
        }
        AcquireVote::Acquired {
            number: entry
                .fenced
                .then(|| self.number(&entry.names, is_repeated, now)),
        }
    }

    pub(crate) fn raise(&mut self, entry: &Entry, token: FencingToken, now: Instant) -> RaiseVote {
        if !self.holds_all(entry, now) || self.counters.highest(&entry.names, now) > token {
            return RaiseVote::Refused;
        }
        self.counters.set(&entry.names, token, now);
        RaiseVote::Raised
    }

    pub(crate) fn extend(
        &mut self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
        now: Instant,
    ) -> ExtendVote {
        let mut is_missing = false;
        for name in entry.names.iter() {
            match self.live(name, now) {
                Some(key) if key.is_held_by(entry) => {}
                None => is_missing = true,
                Some(_) => return ExtendVote::NotOwner,
            }
        }
        if is_missing && !set_if_absent {
            return ExtendVote::Missing;
        }
        for name in entry.names.iter() {
            self.hold(name, entry, now);
            if let Some(key) = self.live(name, now) {
                key.extend(entry, now);
            }
        }
        if let Some(token) = token {
            self.counters.raise(&entry.names, token, now);
        }
        if is_missing {
            ExtendVote::Healed
        } else {
            ExtendVote::Extended
        }
    }

    /// Releases the names after a time. Also returns the names that have changed: those that the
    /// entry held, and those that were reserved for it.
    pub(crate) fn release<'a>(
        &mut self,
        entry: &'a Entry,
        after: Duration,
        now: Instant,
    ) -> (ReleaseVote, Vec<&'a str>) {
        let (mut released, mut changed) = (0, Vec::new());
        for name in entry.names.iter() {
            let Some(key) = self.live(name, now) else {
                continue;
            };
            if key.is_held_by(entry) {
                key.release(&entry.value, now + after, now);
                released += 1;
                changed.push(&**name);
            } else if !after.is_zero() && key.is_released_by(entry) {
                // The same release has arrived before.
                released += 1;
            } else if entry.repeated
                && entry.mode == Mode::Exclusive
                && key.is_shared()
                && key.admit_shared()
            {
                changed.push(&**name);
            }
            if !key.lives(now) {
                self.keys.remove(name);
            }
        }
        let vote = if released == entry.names.len() {
            ReleaseVote::Released
        } else {
            ReleaseVote::NotOwner
        };
        (vote, changed)
    }

    pub(super) fn inspect(&mut self, name: &str, now: Instant) -> Option<Holders> {
        self.live(name, now)?.holders(now)
    }

    /// When the first of the names becomes free; [`None`] if all are free.
    pub(super) fn ends(&mut self, names: &[Arc<str>], now: Instant) -> Option<Instant> {
        let ends = names.iter().filter_map(|name| self.live(name, now)?.ends());
        ends.min()
    }

    /// How many names are held.
    pub(super) fn len(&mut self, now: Instant) -> usize {
        self.sweep(now);
        self.keys.values().filter(|key| key.is_held()).count()
    }

    /// How many keys are kept, including those that have expired.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.keys.len()
    }

    /// Sets the wall clock from which counters start.
    pub(crate) fn set_clock(&mut self, clock: SystemTime, now: Instant) {
        self.counters.set_clock(clock, now);
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.counters.clear();
    }

    /// The key of the name, without expired holders, if anything is left of it.
    fn live(&mut self, name: &str, now: Instant) -> Option<&mut Key> {
        let key = self.keys.get_mut(name)?;
        key.lives(now).then_some(key)
    }

    /// For how long other entries keep `entry` out; [`None`] if they do not.
    fn kept_out(&mut self, entry: &Entry, now: Instant) -> Option<Duration> {
        let mut longest = None;
        for name in entry.names.iter() {
            if let Some(key) = self.live(name, now) {
                longest = longest.max(key.keeps_out(entry, now));
            }
        }
        longest
    }

    /// Whether one of the names is now reserved for `entry`, which is kept out.
    fn are_reserved(&mut self, entry: &Entry, now: Instant) -> bool {
        let mut is_shared = |name| {
            let key = self.live(name, now);
            key.is_some_and(|key| key.is_shared() && key.is_held())
        };
        entry.mode == Mode::Exclusive
            && entry.repeated
            && entry.names.iter().any(|name| is_shared(name))
    }

    fn holds_all(&mut self, entry: &Entry, now: Instant) -> bool {
        (entry.names.iter())
            .all(|name| (self.live(name, now)).is_some_and(|key| key.is_held_by(entry)))
    }

    fn hold(&mut self, name: &Arc<str>, entry: &Entry, now: Instant) {
        self.sweep_if_due(now);
        match self.live(name, now) {
            Some(key) => key.add(entry, now),
            None => {
                self.keys.insert(Arc::clone(name), Key::new(entry, now));
            }
        }
    }

    /// The number of an acquisition: the same number if the acquisition is repeated.
    fn number(&mut self, names: &[Arc<str>], is_repeated: bool, now: Instant) -> FencingToken {
        if !is_repeated {
            return self.counters.count(names, now);
        }
        let number = self.counters.highest(names, now);
        self.counters.set(names, number, now);
        number
    }

    fn sweep_if_due(&mut self, now: Instant) {
        if self.keys.len() + self.counters.len() >= self.sweep_at {
            self.sweep(now);
            self.sweep_at = 2 * (self.keys.len() + self.counters.len()) + 64;
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.keys.retain(|_, key| key.lives(now));
        self.counters.remove_expired(now);
    }
}

/// For the model checker.
#[cfg(test)]
impl State {
    /// A state whose counters start from a wall clock that was at zero at `start`.
    pub(crate) fn starting_at(start: Instant) -> Self {
        let mut state = Self::default();
        state.set_clock(SystemTime::UNIX_EPOCH, start);
        state
    }

    pub(crate) fn counter(&self, name: &Arc<str>, now: Instant) -> FencingToken {
        self.counters.highest(std::slice::from_ref(name), now)
    }

    /// As [`inspect`](Self::inspect), without a change of the state.
    pub(crate) fn holders(&self, name: &str, now: Instant) -> Option<Holders> {
        let mut key = self.keys.get(name)?.clone();
        key.lives(now).then_some(key)?.holders(now)
    }

    pub(crate) fn set_counter(&mut self, name: &Arc<str>, number: FencingToken, now: Instant) {
        self.counters.set(std::slice::from_ref(name), number, now);
    }
}
