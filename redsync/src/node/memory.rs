//! A node in the memory of this process.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout_at};

use super::{
    AcquireVote, EXCLUSIVE_NEXT, Entry, ExtendVote, Holder, Holders, Node, NodeError, RaiseVote,
    ReleaseVote, WakeUp, watchers::Watchers,
};
use crate::{
    FencingToken, Mode, OwnerValue,
    fence::{RETENTION, STRIDE},
    sync::Mutex,
};

/// A node in the memory of this process, on tokio's clock.
///
/// It is for a service with a single instance, for development without a server, and for tests,
/// where tokio's paused clock makes expiries pass at once. Clones share their keys. Its locks end
/// with the process, and so do all their possible holders.
///
/// ```
/// use redsync::{Redsync, node::MemoryNode};
///
/// let redsync = Redsync::new([MemoryNode::new()])?;
/// # Ok::<_, redsync::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct MemoryNode {
    address: Arc<str>,
    state: Arc<Mutex<State>>,
    watchers: Watchers,
}

#[derive(Default)]
struct State {
    locks: HashMap<Arc<str>, Lock>,
    counters: HashMap<Arc<str>, Counter>,
    /// At this number of locks and counters, those that have expired are removed.
    sweep_at: usize,
    /// One moment on both clocks, by which the monotonic clock is converted to wall-clock time.
    epoch: Option<(Instant, SystemTime)>,
}

/// A name that is held, or that is kept free for an exclusive waiter.
struct Lock {
    mode: Mode,
    holders: Vec<Held>,
    /// Up to when no new shared holder is admitted, because an exclusive one wants the name.
    exclusive_next: Option<Instant>,
}

struct Held {
    value: OwnerValue,
    expires: Instant,
}

struct Counter {
    number: u64,
    expires: Instant,
}

impl MemoryNode {
    /// Creates a node without keys.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            address: format!("memory-{number}").into(),
            state: Arc::default(),
            watchers: Watchers::default(),
        }
    }

    /// Removes all keys, as a restart does on a server without persistence.
    pub fn clear(&self) {
        self.with(|state, _| {
            state.locks.clear();
            state.counters.clear();
        });
        self.watchers.notify_all();
    }

    /// Returns how many names are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|state, now| {
            state.sweep(now);
            state
                .locks
                .values()
                .filter(|lock| !lock.holders.is_empty())
                .count()
        })
    }

    /// Returns whether no name is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, operation: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.state.lock();
        operation(&mut state, Instant::now())
    }
}

impl State {
    /// The lock on the name, without expired holders, if anything is left of it.
    fn live(&mut self, name: &str, now: Instant) -> Option<&mut Lock> {
        let lock = self.locks.get_mut(name)?;
        lock.lives(now).then_some(lock)
    }

    /// How long other entries keep `entry` out; [`None`] if they do not.
    fn kept_out(&mut self, entry: &Entry, now: Instant) -> Option<Duration> {
        let mut longest = None;
        for name in entry.names.iter() {
            let Some(lock) = self.live(name, now) else {
                continue;
            };
            // A holder in the other mode is another holder, even with the same owner value.
            let own = |held: &&Held| lock.mode == entry.mode && held.value == entry.value;
            let others = lock.holders.iter().filter(|held| !own(held));
            let others = others.map(|held| held.expires).max();
            let until = match (entry.mode, lock.mode) {
                (Mode::Shared, Mode::Shared) if lock.holds(&entry.value) => None,
                (Mode::Shared, Mode::Shared) => lock.exclusive_next,
                (Mode::Exclusive, Mode::Shared) => {
                    // Kept out by shared holders: the exclusive one is next.
                    others.inspect(|_| lock.exclusive_next = Some(now + EXCLUSIVE_NEXT))
                }
                (_, Mode::Exclusive) => others,
            };
            longest = longest.max(until.map(|until| until - now));
        }
        longest
    }

    fn hold(&mut self, name: &Arc<str>, entry: &Entry, now: Instant) {
        self.sweep_if_due(now);
        let held = Held {
            value: entry.value.clone(),
            expires: now + entry.expiry,
        };
        match self.live(name, now) {
            Some(lock) if lock.holds(&entry.value) => {}
            Some(lock) if lock.mode == entry.mode && lock.mode == Mode::Shared => {
                lock.holders.push(held);
            }
            _ => {
                let lock = Lock {
                    mode: entry.mode,
                    holders: vec![held],
                    exclusive_next: None,
                };
                self.locks.insert(Arc::clone(name), lock);
            }
        }
    }

    /// The number of an acquisition: the same number if the acquisition arrives again.
    fn count(&mut self, entry: &Entry, again: bool, now: Instant) -> FencingToken {
        if again {
            let number = self.highest(entry, now);
            self.set_counters(entry, number, now);
            return FencingToken::new(number);
        }
        let (start, clock) = *self.epoch.get_or_insert_with(|| (now, SystemTime::now()));
        let clock = (clock + (now - start))
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let floor = clock.as_secs() * 1_000_000;
        let grown = entry
            .names
            .iter()
            .map(|name| self.counter(name, now).saturating_add(STRIDE));
        let number = grown.max().unwrap_or_default().max(floor);
        self.set_counters(entry, number, now);
        FencingToken::new(number)
    }

    fn counter(&self, name: &str, now: Instant) -> u64 {
        let counter = self.counters.get(name);
        counter.map_or(0, |counter| {
            if counter.expires > now {
                counter.number
            } else {
                0
            }
        })
    }

    fn highest(&self, entry: &Entry, now: Instant) -> u64 {
        let counters = entry.names.iter().map(|name| self.counter(name, now));
        counters.max().unwrap_or_default()
    }

    fn set_counters(&mut self, entry: &Entry, number: u64, now: Instant) {
        for name in entry.names.iter() {
            self.set_counter(name, number, now);
        }
    }

    fn set_counter(&mut self, name: &Arc<str>, number: u64, now: Instant) {
        let expires = now + RETENTION;
        let counter = Counter { number, expires };
        self.counters.insert(Arc::clone(name), counter);
    }

    fn holds_all(&mut self, entry: &Entry, now: Instant) -> bool {
        (entry.names.iter()).all(|name| {
            (self.live(name, now)).is_some_and(|lock| lock.holds_in(entry.mode, &entry.value))
        })
    }

    fn sweep_if_due(&mut self, now: Instant) {
        if self.locks.len() + self.counters.len() >= self.sweep_at {
            self.sweep(now);
            self.sweep_at = 2 * (self.locks.len() + self.counters.len()) + 64;
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.locks.retain(|_, lock| lock.lives(now));
        self.counters.retain(|_, counter| counter.expires > now);
    }
}

impl Lock {
    /// Removes expired holders. Returns whether anything is left.
    fn lives(&mut self, now: Instant) -> bool {
        self.holders.retain(|held| held.expires > now);
        self.exclusive_next = self.exclusive_next.filter(|until| *until > now);
        !self.holders.is_empty() || self.exclusive_next.is_some()
    }

    /// When the name becomes free if no holder extends or releases it.
    fn ends(&self) -> Option<Instant> {
        let holders = self.holders.iter().map(|held| held.expires);
        holders.chain(self.exclusive_next).max()
    }

    fn holds(&self, value: &OwnerValue) -> bool {
        self.holders.iter().any(|held| held.value == *value)
    }

    fn holds_in(&self, mode: Mode, value: &OwnerValue) -> bool {
        self.mode == mode && self.holds(value)
    }
}

impl Node for MemoryNode {
    fn address(&self) -> &str {
        &self.address
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        Ok(self.with(|state, now| {
            if let Some(remaining) = state.kept_out(entry, now) {
                return AcquireVote::Taken {
                    remaining: Some(remaining),
                };
            }
            let again = state.holds_all(entry, now);
            for name in entry.names.iter() {
                state.hold(name, entry, now);
            }
            AcquireVote::Acquired {
                number: entry.fenced.then(|| state.count(entry, again, now)),
            }
        }))
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        Ok(self.with(|state, now| {
            if !state.holds_all(entry, now) || state.highest(entry, now) > token.get() {
                return RaiseVote::Refused;
            }
            state.set_counters(entry, token.get(), now);
            RaiseVote::Raised
        }))
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        Ok(self.with(|state, now| {
            let mut missing = false;
            for name in entry.names.iter() {
                match state.live(name, now) {
                    Some(lock) if lock.holds_in(entry.mode, &entry.value) => {}
                    None if set_if_absent => missing = true,
                    _ => return ExtendVote::NotOwner,
                }
            }
            for name in entry.names.iter() {
                state.hold(name, entry, now);
                let holders = state
                    .live(name, now)
                    .into_iter()
                    .flat_map(|lock| &mut lock.holders);
                for held in holders.filter(|held| held.value == entry.value) {
                    held.expires = held.expires.max(now + entry.expiry);
                }
            }
            if let Some(token) = token {
                for name in entry.names.iter() {
                    let number = token.get().max(state.counter(name, now));
                    state.set_counter(name, number, now);
                }
            }
            if missing {
                ExtendVote::Healed
            } else {
                ExtendVote::Extended
            }
        }))
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        let (vote, gone) = self.with(|state, now| {
            let all = state.holds_all(entry, now);
            let mut gone = Vec::new();
            for name in entry.names.iter() {
                if let Some(lock) = state.live(name, now) {
                    if lock.holds_in(entry.mode, &entry.value) {
                        lock.holders.retain(|held| held.value != entry.value);
                        gone.push(name);
                    }
                    if !lock.lives(now) {
                        state.locks.remove(name);
                    }
                }
            }
            let vote = if all {
                ReleaseVote::Released
            } else {
                ReleaseVote::NotOwner
            };
            (vote, gone)
        });
        for name in gone {
            self.watchers.notify(name);
        }
        Ok(vote)
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        Ok(self.with(|state, now| {
            let lock = state.live(name, now)?;
            let holders = lock.holders.iter().map(|held| Holder {
                value: held.value.clone(),
                remaining: Some(held.expires - now),
            });
            Some(Holders {
                mode: lock.mode,
                holders: holders.collect(),
            })
            .filter(|holders| !holders.holders.is_empty())
        }))
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        let watcher = self.watchers.watch(names);
        let expires = self.with(|state, now| {
            let held = names
                .iter()
                .filter_map(|name| state.live(name, now)?.ends());
            held.min()
        });
        let Some(expires) = expires else {
            return Ok(WakeUp::Free);
        };
        // If the lock was extended meanwhile, this wake-up is wrong, and the attempt finds the name
        // taken.
        let _ = timeout_at(expires, watcher.changed()).await;
        Ok(WakeUp::Changed)
    }
}

impl Default for MemoryNode {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn expired_locks_are_removed() {
        let node = MemoryNode::new();
        for number in 0..1000 {
            let name = format!("name:{number}");
            let entry = Entry::new(&name, "value".into(), Duration::from_millis(10));
            node.acquire(&entry).await.unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let kept = node.with(|state, _| state.locks.len());
        assert!(kept < 200, "{kept} entries for 10 live names");
        assert_eq!(node.len(), 9);
    }
}
