//! A node in this process.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{AcquireVote, ExtendVote, Holder, Node, ReleaseVote};
use crate::{NodeError, OwnerValue};

/// A node in this process, on tokio's clock.
///
/// It is for a service that runs once, for development without a server, and for tests, where
/// tokio's paused clock makes expiries pass at once. Clones share their keys. What it holds is
/// gone with the process, which is fine: so are all who could have held it.
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
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Box<str>, Entry>,
    /// Expired keys are swept when the map has grown to this.
    sweep_at: usize,
}

struct Entry {
    value: OwnerValue,
    expires: Instant,
}

impl Entry {
    fn remaining(&self, now: Instant) -> Duration {
        self.expires - now
    }
}

impl MemoryNode {
    /// A node without keys.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            address: format!("memory-{number}").into(),
            entries: Arc::default(),
        }
    }

    /// Forgets all keys, as a server without persistence does when it restarts.
    pub fn clear(&self) {
        self.with(|entries, _| entries.by_key.clear());
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|entries, now| {
            entries.sweep(now);
            entries.by_key.len()
        })
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, operation: impl FnOnce(&mut Entries, Instant) -> T) -> T {
        // No operation leaves the map half changed when it panics.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        operation(&mut entries, Instant::now())
    }
}

impl Entries {
    fn live(&mut self, key: &str, now: Instant) -> Option<&mut Entry> {
        self.by_key.get_mut(key).filter(|entry| entry.expires > now)
    }

    fn set(&mut self, key: &str, value: &OwnerValue, expiry: Duration, now: Instant) {
        if self.by_key.len() >= self.sweep_at {
            self.sweep(now);
            self.sweep_at = 2 * self.by_key.len() + 64;
        }
        let entry = Entry {
            value: value.clone(),
            expires: now + expiry,
        };
        self.by_key.insert(key.into(), entry);
    }

    fn sweep(&mut self, now: Instant) {
        self.by_key.retain(|_, entry| entry.expires > now);
    }
}

impl Node for MemoryNode {
    fn address(&self) -> &str {
        &self.address
    }

    async fn acquire(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
    ) -> Result<AcquireVote, NodeError> {
        Ok(self.with(|entries, now| match entries.live(key, now) {
            Some(entry) if entry.value == *value => AcquireVote::Acquired,
            Some(entry) => AcquireVote::Taken {
                remaining: Some(entry.remaining(now)),
            },
            None => {
                entries.set(key, value, expiry, now);
                AcquireVote::Acquired
            }
        }))
    }

    async fn extend(
        &self,
        key: &str,
        value: &OwnerValue,
        expiry: Duration,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        Ok(self.with(|entries, now| match entries.live(key, now) {
            Some(entry) if entry.value == *value => {
                entry.expires = entry.expires.max(now + expiry);
                ExtendVote::Extended
            }
            None if set_if_absent => {
                entries.set(key, value, expiry, now);
                ExtendVote::Healed
            }
            _ => ExtendVote::NotOwner,
        }))
    }

    async fn release(&self, key: &str, value: &OwnerValue) -> Result<ReleaseVote, NodeError> {
        Ok(self.with(|entries, now| match entries.live(key, now) {
            Some(entry) if entry.value == *value => {
                entries.by_key.remove(key);
                ReleaseVote::Released
            }
            _ => ReleaseVote::NotOwner,
        }))
    }

    async fn inspect(&self, key: &str) -> Result<Option<Holder>, NodeError> {
        Ok(self.with(|entries, now| {
            entries.live(key, now).map(|entry| Holder {
                value: entry.value.clone(),
                remaining: Some(entry.remaining(now)),
            })
        }))
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
    async fn expired_keys_are_swept() {
        let node = MemoryNode::new();
        for number in 0..1000 {
            let key = format!("key:{number}");
            node.acquire(&key, &"value".into(), Duration::from_millis(10))
                .await
                .unwrap();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let kept = node.with(|entries, _| entries.by_key.len());
        assert!(kept < 200, "{kept} entries for 10 live keys");
        assert_eq!(node.len(), 9);
    }
}
