//! A server: the node of the model.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    flaw::Flaw,
    setting::{instant, names},
};
use crate::{
    FencingToken, Mode, OwnerValue,
    fence::STRIDE,
    node::{
        AcquireVote, Answer, Entry, Holder, Holders, MemoryState, Operation, RaiseVote, ReleaseVote,
    },
};

/// How many times its expiry a key is kept that never expires.
const NEVER: u32 = 1_000_000;

#[derive(Clone)]
pub(super) struct Server {
    state: MemoryState,
    /// By how many ticks its clock is ahead.
    pub(super) ahead: u32,
    /// Why it is away, if it is.
    pub(super) away: Option<Away>,
}

/// Why a node is away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Away {
    /// It has crashed, and keeps its data.
    Crashed,
    /// It has lost its data at this time.
    Empty { since: u32 },
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            state: MemoryState::starting_at(instant(0)),
            ahead: 0,
            away: None,
        }
    }

    fn clock(&self, time: u32) -> Instant {
        instant(time + self.ahead)
    }

    pub(super) fn carry_out(
        &mut self,
        operation: Operation,
        entry: &Entry,
        token: Option<FencingToken>,
        time: u32,
        flaw: Option<Flaw>,
    ) -> Answer {
        let now = self.clock(time);
        match operation {
            Operation::Acquire => Answer::Acquire(self.acquire(entry, now, flaw)),
            Operation::Raise => {
                let token = token.expect("a raise has a token");
                Answer::Raise(self.raise(entry, token, now, flaw))
            }
            Operation::Extend => Answer::Extend(self.state.extend(entry, token, false, now)),
            Operation::Heal => Answer::Extend(self.state.extend(entry, token, true, now)),
            Operation::Release => Answer::Release(self.release(entry, now, flaw)),
        }
    }

    fn acquire(&mut self, entry: &Entry, now: Instant, flaw: Option<Flaw>) -> AcquireVote {
        match flaw {
            Some(Flaw::NoExpiry) => {
                let expiry = entry.expiry * NEVER;
                let entry = Entry {
                    expiry,
                    ..entry.clone()
                };
                self.state.acquire(&entry, now)
            }
            Some(Flaw::ReaderBesideWriter) if entry.mode == Mode::Shared => {
                AcquireVote::Acquired { number: None }
            }
            _ => self.state.acquire(entry, now),
        }
    }

    fn raise(
        &mut self,
        entry: &Entry,
        token: FencingToken,
        now: Instant,
        flaw: Option<Flaw>,
    ) -> RaiseVote {
        let name = &entry.names[0];
        let counter = self.state.counter(name, now);
        match flaw {
            Some(Flaw::RaiseWithoutKey) if counter <= token => {
                self.state.set_counter(name, token, now);
                RaiseVote::Raised
            }
            Some(Flaw::RaiseOfAtLeast) if counter >= token && self.is_held_by(entry, now) => {
                RaiseVote::Raised
            }
            _ => self.state.raise(entry, token, now),
        }
    }

    fn release(&mut self, entry: &Entry, now: Instant, flaw: Option<Flaw>) -> ReleaseVote {
        let is_for_all = match flaw {
            Some(Flaw::ReleaseWithoutOwner) => true,
            Some(Flaw::ReleaseOfAllReaders) => self.is_held_by(entry, now),
            _ => false,
        };
        if !is_for_all {
            return self.state.release(entry, Duration::ZERO, now).0;
        }
        let Some(Holders { mode, holders }) = self.state.holders(&names()[0], now) else {
            return ReleaseVote::NotOwner;
        };
        for Holder { value, .. } in holders {
            let entry = Entry {
                value,
                mode,
                ..entry.clone()
            };
            self.state.release(&entry, Duration::ZERO, now);
        }
        ReleaseVote::Released
    }

    fn is_held_by(&self, entry: &Entry, now: Instant) -> bool {
        let holders = self.state.holders(&entry.names[0], now);
        holders.is_some_and(|it| it.holders.iter().any(|it| it.value == entry.value))
    }

    /// Whether it has a key with this owner value.
    pub(super) fn has_holder(&self, value: &OwnerValue, time: u32) -> bool {
        let holders = self.holders(time);
        holders.is_some_and(|it| it.holders.iter().any(|it| it.value == *value))
    }

    /// Counts as if `locks` had been acquired.
    pub(super) fn count(&mut self, locks: u64) {
        let number = FencingToken::new(locks * STRIDE);
        self.state.set_counter(&names()[0], number, instant(0));
    }

    pub(super) fn lose_data(&mut self) {
        self.state.clear();
    }

    pub(super) fn is_free(&self, time: u32) -> bool {
        self.holders(time).is_none()
    }

    pub(super) fn holders(&self, time: u32) -> Option<Holders> {
        self.state.holders(&names()[0], self.clock(time))
    }

    /// Adds to a hash all that an operation can depend on, but for who the holders are.
    pub(super) fn digest<H: Hasher>(&self, time: u32, hasher: &mut H) {
        let (now, name) = (self.clock(time), &names()[0]);
        self.away.hash(hasher);
        self.state.counter(name, now).hash(hasher);
        let mode = self
            .holders(time)
            .map(|holders| holders.mode == Mode::Shared);
        mode.hash(hasher);
    }
}
