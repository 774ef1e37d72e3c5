//! A node in the memory of this process.

mod counters;
mod key;
mod state;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout_at};

pub(crate) use self::state::State;
use super::{
    AcquireVote, Entry, ExtendVote, Holders, Node, NodeError, RaiseVote, ReleaseVote, WakeUp,
    watchers::Watchers,
};
use crate::{FencingToken, sync::Mutex};

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
    /// Watchers that wait for a release.
    watchers: Watchers,
    /// Watchers that wait for an acquisition.
    acquisitions: Watchers,
}

impl MemoryNode {
    /// Creates a node without keys.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        // Relaxed: the number only has to be unique.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            address: format!("memory-{number}").into(),
            state: Arc::default(),
            watchers: Watchers::default(),
            acquisitions: Watchers::default(),
        }
    }

    /// Sets the wall clock of the node, which then goes on with tokio's clock. Fencing tokens start
    /// from it, so a test that repeats itself needs one that does. The system's time by default.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// use redsync::node::MemoryNode;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let node = MemoryNode::new().with_wall_clock(SystemTime::UNIX_EPOCH);
    /// # }
    /// ```
    #[must_use]
    pub fn with_wall_clock(self, time: SystemTime) -> Self {
        self.with(|state, now| state.set_clock(time, now));
        self
    }

    /// Removes all keys, as a restart does on a server without persistence.
    pub fn clear(&self) {
        self.with(|state, _| state.clear());
        self.watchers.notify_all();
    }

    /// Returns how many names are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|state, now| state.len(now))
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

impl Node for MemoryNode {
    fn address(&self) -> &str {
        &self.address
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let vote = self.with(|state, now| state.acquire(entry, now));
        if matches!(vote, AcquireVote::Acquired { .. }) {
            for name in entry.names.iter() {
                self.acquisitions.notify(name);
            }
        }
        Ok(vote)
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        Ok(self.with(|state, now| state.raise(entry, token, now)))
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        Ok(self.with(|state, now| state.extend(entry, token, set_if_absent, now)))
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.release_after(entry, Duration::ZERO).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        let (vote, changed) = self.with(|state, now| state.release(entry, time, now));
        // Those who watch wait for the new end.
        for name in changed {
            self.watchers.notify(name);
        }
        Ok(vote)
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        Ok(self.with(|state, now| state.inspect(name, now)))
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        let watcher = self.watchers.watch(names);
        let Some(ends) = self.with(|state, now| state.ends(names, now)) else {
            return Ok(WakeUp::Free);
        };
        // If the lock was extended meanwhile, this wake-up is wrong, and the attempt finds the name
        // taken.
        let _ = timeout_at(ends, watcher.changed()).await;
        Ok(WakeUp::Changed)
    }

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        // Registered before the state is read, so that no acquisition after that is missed.
        let acquired = self.acquisitions.watch(names);
        while self.watch(names).await? != WakeUp::Free {}
        acquired.changed().await;
        Ok(())
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
    use crate::{
        Mode,
        node::{EXCLUSIVE_NEXT, EXCLUSIVE_NEXT_AT_MOST},
    };

    #[tokio::test(start_paused = true)]
    async fn tokens_start_from_the_wall_clock() {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_millis(7900);
        let node = MemoryNode::new().with_wall_clock(clock);
        tokio::time::advance(Duration::from_millis(200)).await;
        let entry = Entry::new("order:1", "value".into(), Duration::from_millis(10));
        let vote = node.acquire(&entry.with_fencing(true)).await.unwrap();
        let number = Some(FencingToken::new(8_000_000));
        assert_eq!(vote, AcquireVote::Acquired { number });
    }

    fn reader(value: &str) -> Entry {
        writer(value).with_mode(Mode::Shared)
    }

    fn writer(value: &str) -> Entry {
        Entry::new("a", value.into(), Duration::from_secs(10))
    }

    #[test]
    fn a_release_that_arrives_again_counts_while_the_names_are_kept_and_not_after_that() {
        let (mut state, now) = (State::default(), Instant::now());
        let holder = writer("holder").with_names(["a", "b"].map(Arc::from));
        let mut released_after = |time| {
            state.acquire(&holder, now);
            [(); 2].map(|()| state.release(&holder, time, now))
        };
        let released = (ReleaseVote::Released, vec!["a", "b"]);
        let none = (ReleaseVote::NotOwner, vec![]);
        assert_eq!(released_after(Duration::ZERO), [released.clone(), none]);
        let again = (ReleaseVote::Released, vec![]);
        let kept = Duration::from_secs(1);
        assert_eq!(released_after(kept), [released, again]);
    }

    /// A name with a shared holder.
    fn shared(now: Instant) -> State {
        let mut state = State::default();
        state.acquire(&reader("reader"), now);
        state
    }

    /// Up to when another shared holder is kept out, if it is.
    fn reserved_until(state: &State, now: Instant) -> Option<Instant> {
        match state.clone().acquire(&reader("newcomer"), now) {
            AcquireVote::Taken { remaining } => remaining.map(|remaining| now + remaining),
            _ => None,
        }
    }

    #[test]
    fn a_reservation_is_renewed_only_if_it_is_about_to_end() {
        let start = Instant::now();
        let (mut state, writer) = (shared(start), writer("writer").with_repetition(true));
        let mut reserved_after = |after| {
            let now = start + after;
            state.acquire(&writer, now);
            reserved_until(&state, now)
        };
        let first = Some(start + EXCLUSIVE_NEXT_AT_MOST);
        assert_eq!(reserved_after(Duration::ZERO), first);
        let late = EXCLUSIVE_NEXT_AT_MOST - EXCLUSIVE_NEXT;
        assert_eq!(reserved_after(late), first);
        let later = late + Duration::from_millis(1);
        let renewed = start + later + EXCLUSIVE_NEXT_AT_MOST;
        assert_eq!(reserved_after(later), Some(renewed));
    }

    #[test]
    fn an_attempt_that_is_not_repeated_neither_makes_a_reservation_nor_ends_one() {
        let now = Instant::now();
        let (mut state, once) = (shared(now), writer("once"));
        state.acquire(&once, now);
        assert_eq!(reserved_until(&state, now), None);
        state.acquire(&writer("writer").with_repetition(true), now);
        let reserved = reserved_until(&state, now);
        assert!(reserved.is_some());
        for other in [once, reader("other").with_repetition(true)] {
            assert!(state.release(&other, Duration::ZERO, now).1.is_empty());
            assert_eq!(reserved_until(&state, now), reserved);
        }
    }

    /// The end of a reservation notifies the waiters once, as on a server.
    #[test]
    fn a_release_that_finds_nothing_reserved_changes_nothing() {
        let now = Instant::now();
        let mut state = shared(now);
        let writers = ["one", "other"].map(|value| writer(value).with_repetition(true));
        for writer in &writers {
            let vote = state.acquire(writer, now);
            assert!(matches!(vote, AcquireVote::Reserved { .. }));
        }
        let [first, second] = writers
            .each_ref()
            .map(|it| state.release(it, Duration::ZERO, now).1);
        assert_eq!((first, second), (vec!["a"], vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn expired_locks_are_removed() {
        let node = MemoryNode::new();
        for number in 0..1000 {
            let name = format!("name:{number}");
            let entry = Entry::new(&name, "value".into(), Duration::from_millis(10));
            node.acquire(&entry).await.unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let kept = node.with(|state, _| state.kept());
        assert!(kept < 200, "{kept} entries for 10 live names");
        assert_eq!(node.len(), 9);
    }
}
