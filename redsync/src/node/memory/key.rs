//! A key of a memory node.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    Mode, OwnerValue,
    node::{EXCLUSIVE_NEXT, EXCLUSIVE_NEXT_AT_MOST, Entry, Holder, Holders},
};

/// A name that is held, or that is kept free for an exclusive waiter.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Key {
    mode: Mode,
    holders: Vec<KeyHolder>,
    /// Up to when no new shared holder is admitted, because an exclusive one wants the name.
    exclusive_next: Option<Instant>,
}

#[cfg_attr(test, derive(Clone))]
struct KeyHolder {
    value: OwnerValue,
    expires: Instant,
}

impl Key {
    pub(super) fn new(entry: &Entry, now: Instant) -> Self {
        Self {
            mode: entry.mode,
            holders: vec![KeyHolder::new(entry, now)],
            exclusive_next: None,
        }
    }

    /// Removes expired holders. Returns whether anything is left.
    pub(super) fn lives(&mut self, now: Instant) -> bool {
        self.holders.retain(|holder| holder.expires > now);
        self.exclusive_next = self.exclusive_next.filter(|until| *until > now);
        self.is_held() || self.exclusive_next.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }

    /// When the name becomes free if no holder extends or releases it.
    pub(super) fn ends(&self) -> Option<Instant> {
        let holders = self.holders.iter().map(|holder| holder.expires);
        holders.chain(self.exclusive_next).max()
    }

    fn holds(&self, value: &OwnerValue) -> bool {
        self.holders.iter().any(|holder| holder.value == *value)
    }

    /// Whether the entry holds the name. A holder in the other mode is another holder, even with
    /// the same owner value.
    pub(super) fn is_held_by(&self, entry: &Entry) -> bool {
        self.mode == entry.mode && self.holds(&entry.value)
    }

    /// For how long this key keeps an acquisition out; [`None`] if it does not.
    pub(super) fn keeps_out(&mut self, entry: &Entry, now: Instant) -> Option<Duration> {
        let own = |holder: &&KeyHolder| self.mode == entry.mode && holder.value == entry.value;
        let others = self.holders.iter().filter(|holder| !own(holder));
        let others = others.map(|holder| holder.expires).max();
        let until = match (entry.mode, self.mode) {
            (Mode::Shared, Mode::Shared) if self.holds(&entry.value) => None,
            (Mode::Shared, Mode::Shared) => self.exclusive_next,
            (Mode::Exclusive, Mode::Shared) => {
                // Kept out by shared holders: the exclusive one is next, if it comes again.
                if others.is_some() && entry.repeated && !self.is_reserved(now + EXCLUSIVE_NEXT) {
                    self.exclusive_next = Some(now + EXCLUSIVE_NEXT_AT_MOST);
                }
                others
            }
            (_, Mode::Exclusive) => others,
        };
        until.map(|until| until - now)
    }

    /// Adds the entry to the holders, unless it is one of them. Nothing may keep it out.
    pub(super) fn add(&mut self, entry: &Entry, now: Instant) {
        if self.holds(&entry.value) {
            return;
        }
        if self.mode == entry.mode && self.mode == Mode::Shared {
            self.holders.push(KeyHolder::new(entry, now));
        } else {
            *self = Self::new(entry, now);
        }
    }

    /// Keeps the name for the entry for at least its expiry from now.
    pub(super) fn extend(&mut self, entry: &Entry, now: Instant) {
        for holder in &mut self.holders {
            if holder.value == entry.value {
                holder.expires = holder.expires.max(now + entry.expiry);
            }
        }
    }

    /// Whether no new shared holder is admitted before this instant.
    fn is_reserved(&self, instant: Instant) -> bool {
        self.exclusive_next.is_some_and(|until| until >= instant)
    }

    /// Ends the reservation for an exclusive entry. Returns whether there was one.
    pub(super) fn admit_shared(&mut self) -> bool {
        self.exclusive_next.take().is_some()
    }

    pub(super) fn is_shared(&self) -> bool {
        self.mode == Mode::Shared
    }

    /// Releases the name for a holder, and keeps it up to `end`, if that is later than `now`. The
    /// value in the place of the holder's is another one, so that an extension that arrives later
    /// is refused.
    pub(super) fn release(&mut self, value: &OwnerValue, end: Instant, now: Instant) {
        if end > now {
            // It may have been released before, and acquired again with the same value.
            self.holders
                .retain(|holder| !holder.value.is_release_of(value));
        }
        for holder in &mut self.holders {
            if holder.value != *value {
                continue;
            }
            if end > now {
                holder.value = value.released();
            }
            holder.expires = end;
        }
    }

    /// Whether the entry held the name, and it is kept after its release.
    pub(super) fn is_released_by(&self, entry: &Entry) -> bool {
        let is_released = |holder: &KeyHolder| holder.value.is_release_of(&entry.value);
        self.mode == entry.mode && self.holders.iter().any(is_released)
    }

    /// The holders, if there are any.
    pub(super) fn holders(&self, now: Instant) -> Option<Holders> {
        let holders = self.holders.iter().map(|holder| Holder {
            value: holder.value.clone(),
            remaining: Some(holder.expires - now),
        });
        self.is_held().then(|| Holders {
            mode: self.mode,
            holders: holders.collect(),
        })
    }
}

impl KeyHolder {
    fn new(entry: &Entry, now: Instant) -> Self {
        Self {
            value: entry.value.clone(),
            expires: now + entry.expiry,
        }
    }
}
