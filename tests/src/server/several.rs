//! Several servers at a time.

use std::ops::Deref;

use super::RedisServer;

/// Independent servers, as Redlock needs them.
#[derive(Debug)]
pub struct Servers(Vec<RedisServer>);

impl Servers {
    /// Starts `count` servers side by side.
    ///
    /// # Panics
    ///
    /// As [`RedisServer::start`].
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// Starts `count` servers side by side, each with additional arguments.
    ///
    /// # Panics
    ///
    /// As [`RedisServer::start`].
    #[must_use]
    pub fn start_with(count: usize, args: &[&str]) -> Self {
        // All are spawned before the first is waited for.
        let mut servers: Vec<_> = (0..count).map(|_| RedisServer::spawn(args)).collect();
        for server in &mut servers {
            server.settle();
        }
        Self(servers)
    }

    /// The URL of each.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.iter().map(RedisServer::url).collect()
    }

    /// The value that each server has at `key`: `None` if there is none, or if the server is killed
    /// or stopped and cannot be asked.
    ///
    /// # Panics
    ///
    /// If a running server answers with an error.
    #[must_use]
    pub fn holders(&self, key: &str) -> Vec<Option<String>> {
        self.iter()
            .map(|server| server.is_answering().then(|| server.get(key))?)
            .collect()
    }

    /// Asserts that nothing is left on any server that isn't killed.
    ///
    /// # Panics
    ///
    /// If there is a key, or if a server is stopped and cannot be asked.
    #[track_caller]
    pub fn assert_no_keys(&self) {
        let left: Vec<_> = self
            .iter()
            .filter(|server| server.pid().is_some())
            .map(|server| (server.address(), server.keys()))
            .filter(|(_, keys)| !keys.is_empty())
            .collect();
        assert!(left.is_empty(), "keys are left: {left:?}");
    }
}

impl Deref for Servers {
    type Target = [RedisServer];

    fn deref(&self) -> &[RedisServer] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Servers {
    type Item = &'a RedisServer;
    type IntoIter = std::slice::Iter<'a, RedisServer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
