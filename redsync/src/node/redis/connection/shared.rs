//! The connections of redis-rs that all their clones share.

use std::future::Future;

use redis::{
    Cmd, Pipeline, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// A connection of redis-rs that all its clones share: `MultiplexedConnection`, with the feature
/// `redis-rs` `ConnectionManager`, and with the feature `cluster` `ClusterConnection`. It cannot be
/// implemented elsewhere.
pub trait SharedConnection: sealed::Sealed {}

impl<C: sealed::Sealed> SharedConnection for C {}

pub(crate) mod sealed {
    use super::{Cmd, ConnectionLike, Future, Pipeline, RedisResult, Value};

    pub trait Sealed: ConnectionLike + Clone + Send + Sync + 'static {
        /// Whether it sends a command at most once. One that does not cannot tell that a command
        /// was never sent.
        const SENDS_ONCE: bool = true;

        /// Whether commands on any keys can be sent together.
        const PIPELINES: bool = true;

        /// Whether it connects again by itself when it has broken.
        const RECONNECTS: bool = false;

        fn send_one(&mut self, command: &Cmd) -> impl Future<Output = RedisResult<Value>> + Send {
            async move { self.req_packed_command(command).await }
        }

        fn send_many(
            &mut self,
            commands: &Pipeline,
            count: usize,
        ) -> impl Future<Output = RedisResult<Vec<Value>>> + Send {
            async move { self.req_packed_commands(commands, 0, count).await }
        }
    }
}

impl sealed::Sealed for MultiplexedConnection {
    // Its own functions, which need no allocation for their futures.
    fn send_one(&mut self, command: &Cmd) -> impl Future<Output = RedisResult<Value>> + Send {
        self.send_packed_command(command)
    }

    fn send_many(
        &mut self,
        commands: &Pipeline,
        count: usize,
    ) -> impl Future<Output = RedisResult<Vec<Value>>> + Send {
        self.send_packed_commands(commands, 0, count)
    }
}

#[cfg(feature = "redis-rs")]
impl sealed::Sealed for redis::aio::ConnectionManager {
    const RECONNECTS: bool = true;
}

#[cfg(feature = "cluster")]
impl sealed::Sealed for redis::cluster_async::ClusterConnection {
    const SENDS_ONCE: bool = false;
    const PIPELINES: bool = false;
    const RECONNECTS: bool = true;
}
