//! The driver for connections of redis-rs.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::node::{
    NodeError,
    redis::{
        Reply,
        connection::{
            batch::Batch,
            item::Item,
            replies::{failure, packed, reply},
            shared::SharedConnection,
        },
        driver::{Driver, unreachable},
        exchange::Conversation,
    },
};

/// A connection of [redis-rs](redis) as a driver: one that is cheap to clone and shared by all its
/// clones.
///
/// * [`ConnectionManager`](redis::aio::ConnectionManager) connects again when its connection
///   breaks. Commands that were under way fail, and it does not send them again. While it connects,
///   commands wait; if it gives up, they fail, and the next ones start it again. With the default
///   six tries and the pauses between them, that is many seconds for which a node that is down does
///   not say so: `set_number_of_retries(0)` has it say so at once. If the server refuses a new
///   connection with an error of its own, such as that of a wrong password, it stays with that error
///   for good (redis-rs 1.8).
/// * [`MultiplexedConnection`] is one connection for good: when it breaks, so does the node. For
///   programs that do not run for long.
/// * `ClusterConnection`, with the feature `cluster`. It sends commands again when a connection
///   breaks, unless it is made with `ClusterClientBuilder::retries(0)`: see
///   [Sentinel and Cluster](crate::node::redis#sentinel-and-cluster).
///
/// A response timeout (redis-rs has one of 500 ms by default) should be none, or longer than the
/// [time limit of a node](crate::Mutex::with_node_timeout): redsync limits the time itself.
///
/// ```no_run
/// # #[cfg(feature = "redis-rs")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use redis::aio::{ConnectionManager, ConnectionManagerConfig};
/// use redsync::{Redsync, node::{redis::{Multiplexed, RedisNode}}};
///
/// let client = redis::Client::open("redis://127.0.0.1:6379")?;
/// let config = ConnectionManagerConfig::new()
///     .set_number_of_retries(0)
///     .set_response_timeout(None);
/// let connection = ConnectionManager::new_lazy_with_config(client, config)?;
/// let node = RedisNode::new(Multiplexed::new("127.0.0.1:6379", connection));
/// let redsync = Redsync::new([node])?;
/// # Ok(())
/// # }
/// ```
pub struct Multiplexed<C: SharedConnection = MultiplexedConnection> {
    address: Arc<str>,
    connection: C,
    /// Made with the first command, which comes from within a runtime, and again when that runtime
    /// has ended.
    batch: Mutex<Option<Arc<Batch<C>>>>,
}

impl<C: SharedConnection> Multiplexed<C> {
    /// A driver on a connection. Errors and logs call its server `address`.
    pub fn new(address: impl Into<Arc<str>>, connection: C) -> Self {
        Self {
            address: address.into(),
            connection,
            batch: Mutex::new(None),
        }
    }

    fn batch(&self) -> Arc<Batch<C>> {
        // An assignment is whole.
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*batch {
            Some(batch) if !batch.is_closed() => Arc::clone(batch),
            _ => {
                let new = Arc::new(Batch::new(self.connection.clone()));
                Arc::clone(batch.insert(new))
            }
        }
    }
}

impl<C: SharedConnection> Driver for Multiplexed<C> {
    fn address(&self) -> &str {
        &self.address
    }

    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send {
        let command = packed(command);
        async move {
            match self.batch().send(command).await {
                Ok(value) => reply(value),
                Err(undelivered) if undelivered.is_unsent => Err(unreachable(undelivered.error)),
                Err(undelivered) => Err(failure(undelivered.error, C::SENDS_ONCE)),
            }
        }
    }

    fn take(&self, conversation: Conversation, now: Instant) -> Result<(), Conversation> {
        let mut conversation = Some(conversation);
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = &*batch {
            batch.push_if(
                |_, _| true,
                now,
                || {
                    let conversation = conversation.take().expect("asked for once");
                    Item::Conversation(conversation)
                },
            );
        }
        conversation.map_or(Ok(()), Err)
    }
}

impl<C: SharedConnection> fmt::Debug for Multiplexed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
