//! The connection types of redis-rs whose clones share one connection.

use std::future::Future;

use redis::{
    Cmd, Pipeline, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// A connection of redis-rs that is shared by its clones. This trait is sealed. It is implemented
/// for
///
/// * `MultiplexedConnection`,
/// * `ConnectionManager`, with the feature `redis-rs`, and
/// * `ClusterConnection`, with the feature `cluster`.
pub trait SharedConnection: sealed::Sealed {}

impl<C: sealed::Sealed> SharedConnection for C {}

pub(crate) mod sealed {
    use super::{Cmd, ConnectionLike, Future, Pipeline, RedisResult, Value};

    pub trait Sealed: ConnectionLike + Clone + Send + Sync + 'static {
        /// Whether it sends a command at most once. Otherwise it is never certain that a command
        /// was not sent.
        const SENDS_ONCE: bool = true;

        /// Whether commands on any keys can be sent together.
        const PIPELINES: bool = true;

        /// Whether it reconnects by itself after it has broken.
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
    // The inherent methods, whose futures need no allocation.
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
