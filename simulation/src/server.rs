//! The servers: nodes in memory, on clocks of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use futures_util::future::FutureExt;
use redsync::{
    FencingToken, Mode,
    node::{
        AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote, WakeUp,
    },
};
use tokio::time::{Instant, sleep};

use super::{Flaw, Setting, chance::ms, condition::Condition};
use crate::history::{Call, KeyMode, Recorder, What};

/// For how long a node reserves a name at most.
const RESERVED: Duration = ms(750);

/// How far the wall clocks of two servers may be apart.
pub(super) const SKEW: u64 = 500;

/// Whether a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) state: State,
    /// How often it was started. A connection ends with it.
    pub(super) starts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Runs,
    /// What it is sent waits for it.
    Stands,
    Down,
}

pub(super) struct Server {
    pub(super) number: u32,
    keys: MemoryNode,
    /// How much real time passes in a second of its clock.
    rate: f64,
    /// The beginning of time by its wall clock.
    start: (Instant, Duration),
    releases: AtomicU64,
    pub(super) running: Condition<Running>,
    pub(super) recorder: Recorder,
    pub(super) flaw: Option<Flaw>,
}

impl Server {
    pub(super) fn new(number: u32, setting: &Setting, rng: &mut Rng, recorder: &Recorder) -> Self {
        // The drift factor of 0.01 allows for this difference.
        let rate = match setting.flaw {
            Some(Flaw::FastClocks) => 0.9,
            _ => 0.02_f64.mul_add(rng.f64(), 0.9905),
        };
        let running = Running {
            state: State::Runs,
            starts: 0,
        };
        let clock = Duration::from_secs(1_000_000) + ms(rng.u64(0..SKEW));
        Self {
            number,
            keys: MemoryNode::new().with_wall_clock(SystemTime::UNIX_EPOCH + clock),
            rate,
            start: (Instant::now(), clock),
            releases: AtomicU64::new(0),
            running: Condition::new(running),
            recorder: recorder.clone(),
            flaw: setting.flaw,
        }
    }

    pub(super) fn address(&self) -> &str {
        self.keys.address()
    }

    pub(super) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// How many names are held.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Loses all data.
    pub(super) fn lose(&self) {
        self.keys.clear();
        let node = self.number;
        self.recorder.record(What::Emptied { node });
    }

    pub(super) fn acquire(&self, entry: &Entry) -> AcquireVote {
        let vote = match self.flaw {
            Some(Flaw::GrantsEverything) => AcquireVote::Acquired { number: None },
            Some(Flaw::SharedBesideExclusive) if entry.mode == Mode::Shared => {
                AcquireVote::Acquired { number: None }
            }
            Some(Flaw::NoReservation) => now(self
                .keys
                .acquire(&self.measured(entry).with_repetition(false))),
            _ => now(self.keys.acquire(&self.measured(entry))),
        };
        match vote {
            AcquireVote::Acquired { number } => {
                self.record_kept(entry, Duration::ZERO);
                let counted = number.filter(|_| !self.is(Flaw::TokensOfTheClock));
                let number = counted.or_else(|| entry.fenced.then(|| self.number_of_the_clock()));
                AcquireVote::Acquired { number }
            }
            AcquireVote::Reserved { .. } => {
                self.record(entry, KeyMode::Reserved, RESERVED);
                vote
            }
            refused => refused,
        }
    }

    pub(super) fn raise(&self, entry: &Entry, token: FencingToken) -> RaiseVote {
        if self.is(Flaw::LargestNumber) {
            return RaiseVote::Raised;
        }
        now(self.keys.raise(entry, token))
    }

    pub(super) fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> ExtendVote {
        let mut vote = now(self
            .keys
            .extend(&self.measured(entry), token, set_if_absent));
        if self.is(Flaw::ProlongedMinimum) && self.take_back(entry) {
            vote = ExtendVote::Extended;
        }
        if matches!(vote, ExtendVote::Extended | ExtendVote::Healed) {
            self.record_kept(entry, Duration::ZERO);
        }
        vote
    }

    pub(super) fn release(&self, entry: &Entry, after: Duration) -> ReleaseVote {
        if self.is(Flaw::ReleaseOfOthers) {
            self.keys.clear();
        }
        if self.is(Flaw::LostReleases)
            && self
                .releases
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(5)
        {
            return ReleaseVote::Released;
        }
        let after = if self.is(Flaw::NoMinimum) {
            Duration::ZERO
        } else {
            after.mul_f64(self.rate)
        };
        // Otherwise the key may be that of a later attempt of the same call, or this release has
        // arrived before.
        let is_held = entry.names.iter().all(|name| self.holds(name, entry));
        let vote = now(self.keys.release_after(entry, after));
        if vote == ReleaseVote::Released && is_held {
            let (node, owner) = (self.number, owner(entry));
            for key in entry.names.iter() {
                let key = Arc::clone(key);
                self.recorder.record(What::Freed { node, key, owner });
            }
            if !after.is_zero() {
                self.record(entry, mode(entry), after);
            }
        }
        vote
    }

    fn holds(&self, name: &str, entry: &Entry) -> bool {
        let found = now(self.keys.inspect(name));
        found.is_some_and(|found| found.holders.iter().any(|it| it.value == entry.value))
    }

    /// Gives a name back to an entry that has released it, and for which it is kept.
    fn take_back(&self, entry: &Entry) -> bool {
        let [name] = &*entry.names else {
            return false;
        };
        let found = now(self.keys.inspect(name));
        let mut holders = found.into_iter().flat_map(|found| found.holders);
        let Some(released) = holders.find(|it| {
            let value = it.value.as_str();
            it.value != entry.value && value.starts_with(entry.value.as_str())
        }) else {
            return false;
        };
        let mut kept = entry.clone();
        kept.value = released.value;
        now(self.keys.release(&kept));
        let vote = now(self.keys.acquire(&self.measured(entry)));
        matches!(vote, AcquireVote::Acquired { .. })
    }

    pub(super) fn inspect(&self, name: &str) -> Option<Holders> {
        let mut found = now(self.keys.inspect(name));
        for holder in found.iter_mut().flat_map(|found| &mut found.holders) {
            // Measured by this server's clock.
            holder.remaining = holder.remaining.map(|left| left.div_f64(self.rate));
        }
        found
    }

    pub(super) async fn watch(&self, names: &[Arc<str>]) -> WakeUp {
        self.keys
            .watch(names)
            .await
            .expect("nodes in memory can be watched")
    }

    pub(super) async fn watch_acquired(&self, names: &[Arc<str>]) {
        let watched = self.keys.watch_acquired(names).await;
        watched.expect("nodes in memory can be watched");
    }

    /// Waits while the server stands still. Returns whether it has run all the time otherwise.
    pub(super) async fn served(&self, starts: u32) -> bool {
        let goes_on = |now: Running| now.state != State::Stands || now.starts != starts;
        let now = self.running.until(goes_on).await;
        now.state == State::Runs && now.starts == starts
    }

    /// Resolves when a connection that was made after this number of starts has ended.
    pub(super) async fn ended(&self, starts: u32) {
        let has_ended = |now: Running| now.state == State::Down || now.starts != starts;
        self.running.until(has_ended).await;
    }

    /// The entry with its expiry as this server's clock measures it.
    fn measured(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        entry.expiry = if self.is(Flaw::NoExpiry) {
            Duration::from_secs(1_000_000)
        } else {
            entry.expiry.mul_f64(self.rate)
        };
        entry
    }

    /// What a server answers that does not count, but has a clock.
    fn number_of_the_clock(&self) -> FencingToken {
        let (start, clock) = self.start;
        FencingToken::new((clock + start.elapsed()).as_secs() * 1_000_000)
    }

    fn record_kept(&self, entry: &Entry, after: Duration) {
        self.record(entry, mode(entry), self.measured(entry).expiry + after);
    }

    fn record(&self, entry: &Entry, mode: KeyMode, time: Duration) {
        let until = self.recorder.now().saturating_add(time.as_nanos() as u64);
        for key in entry.names.iter() {
            self.recorder.record(What::Kept {
                node: self.number,
                key: Arc::clone(key),
                owner: owner(entry),
                mode,
                until,
            });
        }
    }
}

/// The answer of a node in memory, which takes no time.
fn now<T, E: std::fmt::Debug>(answer: impl Future<Output = Result<T, E>>) -> T {
    let answer = answer.now_or_never();
    let answer = answer.expect("nodes in memory answer at once");
    answer.expect("nodes in memory answer")
}

fn owner(entry: &Entry) -> Option<Call> {
    Call::from_label(entry.value.label()?)
}

const fn mode(entry: &Entry) -> KeyMode {
    match entry.mode {
        Mode::Shared => KeyMode::Shared,
        Mode::Exclusive => KeyMode::Exclusive,
    }
}

/// Records that a node is ill for as long as this lives.
pub(super) struct Illness {
    node: u32,
    recorder: Recorder,
}

impl Illness {
    pub(super) fn of(server: &Server) -> Self {
        let (node, recorder) = (server.number, server.recorder.clone());
        recorder.record(What::Ill { node });
        Self { node, recorder }
    }

    pub(super) async fn last(self, time: Duration) {
        sleep(time).await;
    }
}

impl Drop for Illness {
    fn drop(&mut self) {
        self.recorder.record(What::Well { node: self.node });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_reserves_a_name_for_as_long_as_is_recorded() {
        let node = MemoryNode::new();
        let entry = |value: &str| Entry::new("name", value.into(), Duration::from_secs(60));
        let shared = |value| entry(value).with_mode(Mode::Shared);
        let acquire = |entry: Entry| now(node.acquire(&entry));
        let acquired = AcquireVote::Acquired { number: None };
        assert_eq!(acquire(shared("holder")), acquired);
        let vote = acquire(entry("writer").with_repetition(true));
        assert!(matches!(vote, AcquireVote::Reserved { .. }), "{vote:?}");
        let remaining = Some(RESERVED);
        assert_eq!(acquire(shared("late")), AcquireVote::Taken { remaining });
        tokio::time::advance(RESERVED).await;
        assert_eq!(acquire(shared("late")), acquired);
    }
}
