//! The driver for connections of redis-rs.

use std::{fmt, future::Future, sync::Arc};

use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::{
    node::{
        NodeError,
        redis::{
            Reply,
            connection::{
                kind::SharedConnection,
                replies::{failure, packed, reply},
                sender::Sender,
            },
            conversation::Conversation,
            driver::Driver,
        },
    },
    sync::Mutex,
};

/// The driver for connections of [redis-rs](redis) that are cheap to clone and shared by their
/// clones.
///
/// It takes one of these:
///
/// * [`ConnectionManager`](redis::aio::ConnectionManager) reconnects when its connection breaks.
///   Commands that were under way fail, and it does not send them again. Commands wait while it
///   connects, and fail if it cannot. By default it makes six attempts with growing pauses, so it
///   takes many seconds until a node that is down is reported as such. Set
///   `set_number_of_retries(0)` to have it reported at once. If the server refuses a new connection
///   with an error, for instance because of a wrong password, the manager keeps that error for good
///   (redis-rs 1.8).
/// * [`MultiplexedConnection`] never reconnects: when it breaks, the node is lost. It is for
///   programs that do not run for long.
/// * `ClusterConnection`, with the feature `cluster`. It sends commands again if a connection is
///   lost, unless it was built with `ClusterClientBuilder::retries(0)`: see [Sentinel and
///   Cluster](crate::node::redis#sentinel-and-cluster).
///
/// Replies are read on the runtime that the connection was made on, so that one has to be driven. A
/// connection that goes silent is not replaced: give it TCP keepalive.
///
/// The connection should have no response timeout (the default of redis-rs is 500 ms), or one that
/// is longer than the [node time limit](crate::Mutex::with_node_timeout): redsync limits the time
/// itself.
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
    /// Made for the first command, which is sent from within a runtime, and made again when that
    /// runtime has ended.
    sender: Mutex<Option<Arc<Sender<C>>>>,
}

impl<C: SharedConnection> Multiplexed<C> {
    /// Creates a driver on a connection. Errors and logs refer to the server as `address`.
    pub fn new(address: impl Into<Arc<str>>, connection: C) -> Self {
        Self {
            address: address.into(),
            connection,
            sender: Mutex::new(None),
        }
    }

    fn sender(&self) -> Arc<Sender<C>> {
        let mut slot = self.sender.lock();
        match &*slot {
            Some(sender) if !sender.is_closed() => Arc::clone(sender),
            _ => {
                let new = Arc::new(Sender::new(self.connection.clone()));
                Arc::clone(slot.insert(new))
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
            match self.sender().send(command).await {
                Ok(value) => reply(value),
                Err(undelivered) if undelivered.is_unsent => {
                    Err(NodeError::unreachable(undelivered.error))
                }
                Err(undelivered) => Err(failure::<C>(undelivered.error)),
            }
        }
    }

    fn take(&self, conversation: Conversation, now: Instant) -> Result<(), Conversation> {
        match &*self.sender.lock() {
            Some(sender) => sender.push(now, conversation),
            None => Err(conversation),
        }
    }
}

impl<C: SharedConnection> fmt::Debug for Multiplexed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
